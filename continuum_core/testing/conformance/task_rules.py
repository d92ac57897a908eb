"""The rules of the parity machine that are about tasks: claimed, kept alive, finished, reserved."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from msgspec.structs import replace

from continuum_core.journal.commit import Finished, FinishKind, TaskClaim, TaskClaims, TaskFinish, TaskWant
from continuum_core.journal.protocol import Journal
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Delivery
from continuum_core.testing.conformance.choices import (
    caps,
    finishes,
    latest,
    leases,
    rates,
    results,
)
from continuum_core.testing.conformance.given import (
    HOUR,
    MOMENT,
    finish,
    fused,
    hold_task,
    new_id,
    reservation,
    want,
)
from continuum_core.testing.conformance.operating import operation
from continuum_core.testing.conformance.parity import Pair
from continuum_core.testing.conformance.twins import Twins

__all__ = ["TaskRules"]


def _claim_tasks(
    claim_id: UUID, wants: list[TaskWant], lease: int, journal: Journal, _: int
) -> Coroutine[Any, Any, TaskClaims]:
    return journal.claim_tasks(claim_id, wants, lease)


def _outcome(claim: TaskClaim, kind: FinishKind, dedupe: str | None) -> Delivery | None:
    delivery = finish(claim, kind).delivery
    return None if delivery is None else replace(delivery, dedupe=dedupe)


class TaskRules(Twins):
    """Every verb on tasks."""

    @operation(
        weight=4,
        limit=st.integers(0, 3),
        lease=leases,
        wanted=st.sampled_from([{"act", "other"}, {"act", "other"}, {"act"}, set[str]()]),
        queues=st.sampled_from([("queue",), ("queue", "slow"), ("queue", "queue")]),
        cap=caps,
        rate=rates,
    )
    def claim_tasks(
        self,
        limit: int,
        lease: int,
        wanted: set[str],
        queues: tuple[str, ...],
        cap: int | None,
        rate: Rate | None,
    ) -> None:
        claim_id = new_id()
        wants = [want(limit, queue, sorted(wanted), cap, rate) for queue in queues]
        claims = self.sides.ask(lambda journal, _: journal.claim_tasks(claim_id, wants, lease))
        self.keep_tasks(claims.mine.tasks, claims.theirs.tasks)
        self.claim_ids.append(claim_id)

    @operation(weight=2, losses=st.integers(1, 2))
    def lose_tasks(self, losses: int) -> None:
        """Have tasks claimed by workers that die, and then by one that lives.

        Steps chosen one by one seldom come so far: every other claim here finds the leases run out and counts
        them, and the next is given what has backed off.
        """
        wants = [want(3, queue, ("act", "other")) for queue in ("queue", "slow")]
        for lease in (*[MOMENT] * 2 * losses, HOUR):
            claims = self.sides.ask(partial(_claim_tasks, new_id(), wants, lease))
            self.keep_tasks(claims.mine.tasks, claims.theirs.tasks)

    @operation(when=lambda self: self.claim_ids, place=st.integers(0, 3))
    def claim_tasks_again(self, place: int) -> None:
        claim_id = self.claim_ids[-1 - place % len(self.claim_ids)]
        wants = [want(3, activities=("act", "other"))]
        claims = self.sides.ask(lambda journal, _: journal.claim_tasks(claim_id, wants, HOUR))
        self.keep_tasks(claims.mine.tasks, claims.theirs.tasks)

    @operation(when=lambda self: self.tasks, place=latest, lease=leases, details=results)
    def heartbeat(self, place: int, lease: int, details: bytes | None) -> None:
        pair = self.tasks[-1 - place % len(self.tasks)]
        self.sides.ask(
            lambda journal, side: journal.heartbeat(
                [hold_task(pair.theirs if side else pair.mine, details)], lease
            )
        )

    @operation(weight=5, when=lambda self: self.tasks, choices=st.lists(finishes, min_size=1, max_size=1))
    def finish(self, choices: list[dict[str, Any]]) -> None:
        self._finish(choices)

    @operation(weight=2, when=lambda self: self.tasks, choices=st.lists(finishes, min_size=2, max_size=5))
    def finish_batch(self, choices: list[dict[str, Any]]) -> None:
        """Several in one call, of one run or of many; one task's, twice, now and then."""
        self._finish(choices)

    def _finish(self, choices: list[dict[str, Any]]) -> None:
        back: list[int] = [at + choice["place"] for at, choice in enumerate(choices)]
        pairs = [self.tasks[-1 - place % len(self.tasks)] for place in back]
        deliveries = [
            _outcome(pair.mine, choice["kind"], choice["dedupe"])
            for pair, choice in zip(pairs, choices, strict=True)
        ]
        fields = [
            self.changes(pair.mine.task.run_id, choice["chosen"], () if delivery is None else (delivery,))
            for pair, choice, delivery in zip(pairs, choices, deliveries, strict=True)
        ]
        ends: list[list[TaskFinish]] = [[], []]

        async def work(journal: Journal, side: int) -> list[Finished]:
            now = await journal.now()
            for pair, choice, delivery, one in zip(pairs, choices, deliveries, fields, strict=True):
                end = finish(
                    pair.theirs if side else pair.mine,
                    choice["kind"],
                    delay=choice["delay"],
                    result=choice["result"],
                    delivery=delivery,
                )
                (run,) = await journal.load([pair.mine.task.run_id])
                if choice["onward"] and run is not None and delivery is not None:
                    end = replace(end, turn=self.shaped(fused(run, now, **one), choice["chosen"]))
                ends[side].append(end)
            return await journal.finish(ends[side])

        answers = self.sides.ask(work)
        self.ends += [Pair(*pair) for pair in zip(*ends, strict=True)]
        for end, mine, theirs in zip(ends[0], answers.mine, answers.theirs, strict=True):
            if end.turn is not None and mine.committed is not None and theirs.committed is not None:
                self.keep_born(end.turn, mine.committed, theirs.committed)

    @operation(when=lambda self: self.ends, place=st.integers(0, 3))
    def finish_again(self, place: int) -> None:
        pair = self.ends[-1 - place % len(self.ends)]
        self.sides.ask(lambda journal, side: journal.finish([pair.theirs if side else pair.mine]))

    @operation(when=lambda self: self.tasks, first=latest, second=latest, lease=leases)
    def reserve(self, first: int, second: int, lease: int) -> None:
        asked = [
            reservation(self.tasks[-1 - place % len(self.tasks)].mine.task, lease)
            for place in (first, second)
        ]
        self.sides.ask(lambda journal, _: journal.reserve(asked))
