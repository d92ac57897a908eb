"""Two journals that are asked the same: what a rule may choose from, and what must be alike after it.

What a rule chooses is the same for both; what depends on a journal's own clock (fences, `now`) is made
on each side from what that side has told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from hypothesis.stateful import initialize, invariant
from msgspec.structs import replace

from continuum_core.journal.commit import (
    FIRST_DUE,
    Commit,
    CommitOutcome,
    Committed,
    DueEntry,
    Member,
    NewRun,
    NewTask,
    Order,
    Reply,
    RunClaim,
    TaskClaim,
    TaskFinish,
)
from continuum_core.journal.connect import connect
from continuum_core.journal.crews import crewed, first_token
from continuum_core.journal.gauges import gauged
from continuum_core.journal.protocol import Capability, Journal, Limits
from continuum_core.journal.records import Delivery, Held, RunStatus
from continuum_core.journal.replies import Asked, replying
from continuum_core.journal.searching import Search, Sort, searcher_of
from continuum_core.testing.conformance.choices import limits
from continuum_core.testing.conformance.given import FAR, new_id, new_run, signal, timer
from continuum_core.testing.conformance.kit import Kit
from continuum_core.testing.conformance.operating import Operating
from continuum_core.testing.conformance.parity import Pair, Sides
from continuum_core.testing.conformance.searches import attribute, having

__all__ = ["Twins"]

_REFERENCE = "memory://"


class Twins(Operating):
    """Both journals, and what they were asked so far; `kit` and `tell` are set by the test.

    :ivar counting: compare how much waits, too, which no backend is asked to tell exactly.
    """

    kit: Kit
    tell: Callable[[str], None]
    counting = False

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[UUID] = []
        self.news: list[NewRun] = []
        self.sent: list[Delivery] = []
        self.given: list[Order] = []
        self.claim_ids: list[UUID] = []
        self.reached: tuple[DueEntry, DueEntry] = (FIRST_DUE, FIRST_DUE)
        self.held: list[Pair[RunClaim]] = []
        self.tasks: list[Pair[TaskClaim]] = []
        self.commits: list[Pair[Commit]] = []
        self.ends: list[Pair[TaskFinish]] = []
        self.fences: dict[tuple[int, UUID], int] = {}
        self.crews: set[tuple[UUID, int]] = set()

    @initialize(limits=limits)
    def begin(self, limits: Limits) -> None:
        namespace = f"parity-{new_id().hex}"
        self.theirs = self.kit.clocked(namespace, limits)
        self.kit.run(self.theirs.open())
        self.clock = self.kit.clock
        if self.clock is not None and self.kit.run(self.theirs.now()) != self.clock.at:
            self.clock = None  # a store that somebody opened before has the clock that it was given then
        self.mine = connect(_REFERENCE, namespace, limits, clock=self.clock)
        self.kit.run(self.mine.open())
        self.sides = Sides(self.kit.run, Pair(self.mine, self.theirs), self.clock, self.tell)

    def teardown(self) -> None:
        for name in ("mine", "theirs"):  # each for itself: `begin` may have been cut short between them
            if (journal := getattr(self, name, None)) is not None:
                self.kit.run(journal.close())

    # --- choosing

    def some_run(self, place: int) -> UUID:
        """A run that was started, or now and then an id that no run has."""
        if not self.runs or place == 7:
            return new_id()
        return self.runs[place % len(self.runs)]

    def message(self, choice: tuple[int, str, int | None, str | None, int]) -> Delivery:
        place, kind, due, dedupe, token = choice
        run_id = self.some_run(place)
        if kind == "timer":
            return timer(run_id, FAR if due is None else due, token)
        return signal(run_id, due=due, dedupe=dedupe, token=token, cause=new_id())

    def shaped(self, made: Commit, chosen: dict[str, Any]) -> Commit:
        """The turn with what depends on its version, as far as the journal under test takes it."""
        if Capability.CREWS in self.kit.capabilities:
            token = first_token(1)
            self.crews.add((made.run_id, token))
            members = tuple(Member(token, number, b"%d" % made.version) for number in chosen["members"])
            made = replace(made, members=members)
        if Capability.FORGETS in self.kit.capabilities:
            made = replace(
                made,
                steps=len(made.records) if chosen["gaps"] else 0,
                records=made.records[1:] if chosen["gaps"] else made.records,
                begins=made.version + chosen["steps"] if chosen["begins"] else 0,
                eternal=chosen["eternal"],
            )
        return made

    def children(self, parent: UUID, count: int) -> tuple[NewRun, ...]:
        """Runs for a turn of `parent` to start, where the journal under test can."""
        if Capability.CREWS not in self.kit.capabilities or len(self.runs) > 8:
            return ()
        return tuple(replace(new_run(), parent=parent, root=parent) for _ in range(count))

    def keep_born(self, turn: Commit, mine: Committed, theirs: Committed) -> None:
        """What is there since a turn, if it stands: its tasks that are claimed already, and its children."""
        self.keep_tasks(mine.tasks, theirs.tasks)
        if mine.outcome is CommitOutcome.COMMITTED:
            there = set(self.runs)
            self.runs += [new.run_id for new in turn.starts if new.run_id not in there]

    def changes(
        self, run_id: UUID, chosen: dict[str, Any], deliveries: tuple[Delivery, ...]
    ) -> dict[str, Any]:
        """The fields of a turn of the run that are the same on both sides."""
        consumed = chosen["consume"]
        hold: tuple[tuple[UUID, Held], ...] = ()
        if chosen["hold"] is not None:
            hold = tuple((delivery.id, chosen["hold"]) for delivery in deliveries[consumed : consumed + 1])
        claim_id = new_id()
        born: list[NewTask] = [
            replace(task, claim_id=None if task.lease is None else claim_id) for task in chosen["tasks"]
        ]
        return {
            "bodies": [b"step;"] * chosen["steps"],
            "status": chosen["status"],
            "outcome": b"over" if chosen["status"] in (RunStatus.COMPLETED, RunStatus.CANCELLED) else None,
            "cause": "parked" if chosen["status"] is RunStatus.PARKED else "",
            "starts": self.children(run_id, chosen["children"]),
            "deliveries": tuple(self.message(choice) for choice in chosen["sends"]),
            "tasks": tuple(born),
            "closed": chosen["closed"],
            "consumed": tuple(delivery.id for delivery in deliveries[:consumed]),
            "replies": self.replies(deliveries[:consumed]),
            "hold": hold,
            "release": chosen["release"],
            "fingerprint": chosen["fingerprint"],
            "commit_id": new_id(),
            "attributes": (attribute("made", consumed, chosen["steps"]),) if chosen["release"] else (),
        }

    def replies(self, consumed: Sequence[Delivery]) -> tuple[Reply, ...]:
        if Capability.REPLIES not in self.kit.capabilities:
            return ()
        named = {each.dedupe: each for each in consumed if each.dedupe is not None}
        return tuple(Reply(dedupe, b"of " + each.payload) for dedupe, each in named.items())

    def keep_tasks(self, mine: tuple[TaskClaim, ...], theirs: tuple[TaskClaim, ...]) -> None:
        self.tasks += [Pair(*pair) for pair in zip(mine, theirs, strict=True)]

    # --- what must be alike

    @invariant()
    def rows_are_the_same(self) -> None:
        if not hasattr(self, "sides"):
            return
        mine, theirs = self.kit.run(self._both())
        for run_id, ours, others in zip(self.runs, mine, theirs, strict=False):
            self.sides.check(ours, others, f"rows of run {run_id}")
        self.sides.check(mine[-2], theirs[-2], "attributes")
        self.sides.check(mine[-1], theirs[-1], "replies, members of crews, and how much waits")

    async def _both(self) -> list[list[Any]]:
        return [await self._everything(one) for one in (self.mine, self.theirs)]

    async def _everything(self, journal: Journal) -> list[Any]:
        """The rows of each run, and behind them the attributes of all, and what is kept beside the runs."""
        each = [self._rows(journal, run_id) for run_id in self.runs]
        return await asyncio.gather(*each, self._attributes(journal), self._beside(journal))

    async def _rows(self, journal: Journal, run_id: UUID) -> Any:
        inspected, history = await asyncio.gather(journal.inspect(run_id), journal.history(run_id))
        return {"inspect": inspected, "history": history}

    async def _attributes(self, journal: Journal) -> list[Any]:
        if Capability.SEARCH not in self.kit.capabilities:
            return []
        searcher = searcher_of(journal)
        places = Search(having("made"), Sort("given"))
        shown = [run.run_id for run in (await searcher.search(places)).runs]
        return [*await searcher.attributes(self.runs), shown]

    async def _beside(self, journal: Journal) -> list[Any]:
        told: list[Any] = []
        if Capability.REPLIES in self.kit.capabilities:
            asked = [Asked(run_id, dedupe) for run_id in self.runs for dedupe in ("a", "b")]
            told += await replying(journal).replies(asked)
        for run_id, token in sorted(self.crews):
            told += await crewed(journal).members(run_id, token)
        if self.counting and (counted := gauged(journal)) is not None:
            told.append(await counted.gauges())
        return told
