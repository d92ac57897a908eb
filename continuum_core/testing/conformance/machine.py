"""The state machine of promise 22: every verb, in any order, on two journals at once."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from continuum_core.journal.commit import OrderKind, PrunePlan, Query
from continuum_core.journal.protocol import Capability, Journal
from continuum_core.journal.records import Delivery, DeliveryKind, RunStatus
from continuum_core.testing.conformance.choices import dedupes, places
from continuum_core.testing.conformance.given import FAR, HOUR, MACHINE, new_id, order
from continuum_core.testing.conformance.operating import operation
from continuum_core.testing.conformance.run_rules import RunRules
from continuum_core.testing.conformance.searches import attribute
from continuum_core.testing.conformance.task_rules import TaskRules

__all__ = ["Parity"]


class Parity(RunRules, TaskRules):
    """All rules: those about runs and tasks, and those of time, operators and readers."""

    # --- time

    @operation(
        weight=2, when=lambda self: self.clock is not None, length=st.sampled_from([1_000, 1_000_000, HOUR])
    )
    def time_passes(self, length: int) -> None:
        assert self.clock is not None
        self.clock.at += length

    # --- operators and readers

    @operation(
        weight=3, when=lambda self: self.runs, kind=st.sampled_from(OrderKind), place=places, dedupe=dedupes
    )
    def control(self, kind: OrderKind, place: int, dedupe: str | None) -> None:
        if kind is OrderKind.SET and Capability.SEARCH not in self.kit.capabilities:
            return
        set_ = (attribute("given", place),) if kind is OrderKind.SET else ()
        run_id = self.some_run(place)
        one = order(kind, run_id, cause="cause", outcome=b"over", attributes=set_)
        if kind is OrderKind.POSTPONE:
            due = FAR if self.clock is None or place % 2 else self.clock.at + HOUR
            start = Delivery(new_id(), run_id, DeliveryKind.START, b"later", due=due)
            one = replace(one, delivery=start, digest=b"later")
        elif one.delivery is not None:
            one = replace(one, delivery=replace(one.delivery, dedupe=dedupe))
        self.given.append(one)
        self.sides.ask(lambda journal, _: journal.control([one]))

    @operation(
        when=lambda self: self.runs,
        place=st.integers(0, 6),
        kind=st.sampled_from([OrderKind.CANCEL, OrderKind.RESUME]),
    )
    def rest(self, place: int, kind: OrderKind) -> None:
        """Give a run an order, and then let it rest where a claim meets what is due to it."""
        run_id = self.some_run(place)
        first, last = order(kind, run_id), order(OrderKind.SUSPEND, run_id, cause="cause")
        self.given += [last, first]
        claim_id = new_id()
        self.sides.ask(lambda journal, _: journal.control([first, last]))
        self.sides.ask(lambda journal, _: journal.claim_runs(claim_id, 1, HOUR, frozenset()))

    @operation(when=lambda self: self.given, place=st.integers(0, 3))
    def control_again(self, place: int) -> None:
        one = self.given[-1 - place % len(self.given)]
        self.sides.ask(lambda journal, _: journal.control([one]))

    @operation(
        limit=st.integers(0, 2),
        dry_run=st.booleans(),
        status=st.sampled_from([frozenset[RunStatus](), frozenset({RunStatus.COMPLETED})]),
        machine=st.sampled_from([None, MACHINE, "other"]),
        past=st.booleans(),
    )
    def prune(
        self, limit: int, dry_run: bool, status: frozenset[RunStatus], machine: str | None, past: bool
    ) -> None:
        plan = PrunePlan(
            before=FAR,
            limit=limit,
            machine=machine,
            statuses=status,
            dry_run=dry_run,
            generations=past and Capability.FORGETS in self.kit.capabilities,
        )
        self.sides.ask(lambda journal, _: journal.prune(plan))

    @operation(limit=st.integers(1, 4), status=st.sampled_from([None, *RunStatus]))
    def list_pages(self, limit: int, status: RunStatus | None) -> None:
        query = Query(status=status)

        async def work(journal: Journal, _: int) -> Any:
            pages = [await journal.list(query, limit)]
            while pages[-1].cursor is not None:
                pages.append(await journal.list(query, limit, pages[-1].cursor))
            return pages

        self.sides.ask(work)
