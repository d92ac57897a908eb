"""The rules of the parity machine that are about tasks: claimed, kept alive, finished, reserved."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from msgspec.structs import replace

from continuum_core.journal.commit import Finished, FinishKind, TaskFinish
from continuum_core.journal.protocol import Journal
from continuum_core.journal.rate import Rate
from continuum_core.testing.conformance.choices import (
    activities,
    caps,
    effects,
    leases,
    places,
    rates,
    results,
)
from continuum_core.testing.conformance.given import HOUR, finish, fused, hold_task, new_id, reservation, want
from continuum_core.testing.conformance.parity import Pair
from continuum_core.testing.conformance.twins import Twins

__all__ = ["TaskRules"]


class TaskRules(Twins):
    """Every verb on tasks."""

    @rule(
        limit=st.integers(0, 3),
        lease=leases,
        wanted=st.sets(activities),
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

    @precondition(lambda self: self.claim_ids)
    @rule(place=st.integers(0, 3))
    def claim_tasks_again(self, place: int) -> None:
        claim_id = self.claim_ids[-1 - place % len(self.claim_ids)]
        wants = [want(3, activities=("act", "other"))]
        claims = self.sides.ask(lambda journal, _: journal.claim_tasks(claim_id, wants, HOUR))
        self.keep_tasks(claims.mine.tasks, claims.theirs.tasks)

    @precondition(lambda self: self.tasks)
    @rule(place=places, lease=leases, details=results)
    def heartbeat(self, place: int, lease: int, details: bytes | None) -> None:
        pair = self.tasks[-1 - place % len(self.tasks)]
        self.sides.ask(
            lambda journal, side: journal.heartbeat(
                [hold_task(pair.theirs if side else pair.mine, details)], lease
            )
        )

    @precondition(lambda self: self.tasks)
    @rule(
        place=places,
        kind=st.sampled_from(FinishKind),
        delay=st.sampled_from([0, HOUR]),
        result=results,
        onward=st.booleans(),
        chosen=effects,
    )
    def finish(
        self,
        place: int,
        kind: FinishKind,
        delay: int,
        result: bytes | None,
        onward: bool,
        chosen: dict[str, Any],
    ) -> None:
        pair = self.tasks[-1 - place % len(self.tasks)]
        run_id = pair.mine.task.run_id
        delivery = finish(pair.mine, kind).delivery
        fields = self.changes(chosen, () if delivery is None else (delivery,))
        ends: list[TaskFinish] = []

        async def work(journal: Journal, side: int) -> list[Finished]:
            end = finish(
                pair.theirs if side else pair.mine, kind, delay=delay, result=result, delivery=delivery
            )
            (run,) = await journal.load([run_id])
            if onward and run is not None and delivery is not None:
                end = replace(end, turn=fused(run, await journal.now(), **fields))
            ends.append(end)
            return await journal.finish([end])

        answers = self.sides.ask(work)
        self.ends.append(Pair(*ends))
        mine, theirs = answers.mine[0].committed, answers.theirs[0].committed
        if mine is not None and theirs is not None:
            self.keep_tasks(mine.tasks, theirs.tasks)

    @precondition(lambda self: self.ends)
    @rule(place=st.integers(0, 3))
    def finish_again(self, place: int) -> None:
        pair = self.ends[-1 - place % len(self.ends)]
        self.sides.ask(lambda journal, side: journal.finish([pair.theirs if side else pair.mine]))

    @precondition(lambda self: self.tasks)
    @rule(first=places, second=places, lease=leases)
    def reserve(self, first: int, second: int, lease: int) -> None:
        asked = [
            reservation(self.tasks[-1 - place % len(self.tasks)].mine.task, lease)
            for place in (first, second)
        ]
        self.sides.ask(lambda journal, _: journal.reserve(asked))
