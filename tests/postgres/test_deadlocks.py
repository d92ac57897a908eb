"""Batches of every verb over the same runs at once, each in an order of its own: nobody waits in a circle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import psycopg
from msgspec.structs import replace

from continuum_core.journal.commit import FinishKind, OrderKind, PrunePlan, TaskClaim
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.journal.records import Run, RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    MOMENT,
    TAKES,
    finish,
    first_turn,
    folded,
    fused,
    hold_run,
    hold_task,
    new_id,
    new_run,
    new_task,
    order,
    reservation,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import claimed_tasks, waiting
from continuum_postgres.shards import shard
from tests.postgres.handles import opened, raw, soon, waits_for_lock

RUNS = 12
TOKENS = 4
TASKS = [(token, slot) for token in range(TOKENS) for slot in range(3)]
ROUNDS = 15
HANDLES = 4


class Chaos:
    """One handle's share: each method is one verb with a batch over all runs, in an order of its own."""

    def __init__(self, journal: Journal, runs: list[UUID], seed: int) -> None:
        self.journal = journal
        self.runs = runs
        self.chance = random.Random(seed)
        self.answered = 0

    def some(self) -> list[UUID]:
        return self.chance.sample(self.runs, len(self.runs))

    async def rows(self) -> list[Run]:
        return [run for run in await self.journal.load(self.some()) if run is not None]

    async def turns(self) -> None:
        claims = await self.journal.claim_runs(new_id(), 100, MOMENT, TAKES)
        mixed = self.chance.sample(claims.runs, len(claims.runs))
        await self.journal.renew([hold_run(claim) for claim in mixed], MOMENT)
        others = self.some()
        turns = [
            turn(
                claim,
                claims.now,
                deliveries=(signal(others[place % len(others)]),),
                tasks=tuple([new_task(token, slot, key="k") for token, slot in self.chance.sample(TASKS, 3)]),
                closed=tuple(self.chance.sample(range(TOKENS), 2)),
            )
            for place, claim in enumerate(mixed)
        ]
        await self.journal.commit(turns)
        await self.journal.release([hold_run(claim) for claim in reversed(mixed)])

    async def ahead(self) -> None:
        now = await self.journal.now()
        await self.journal.commit(
            [fused(run, now, deliveries=(signal(run.run_id, due=FAR),)) for run in await self.rows()]
        )

    async def tasks(self) -> None:
        claims = await claimed_tasks(self.journal, lease=MOMENT)
        mixed = self.chance.sample(claims.tasks, len(claims.tasks))
        await self.journal.heartbeat([hold_task(claim, b"at") for claim in mixed], HOUR)
        await self.journal.reserve([reservation(claim.task, MOMENT, "k") for claim in reversed(mixed)])
        rows = {run.run_id: run for run in await self.rows()}
        now = await self.journal.now()
        await self.journal.finish([self._end(claim, rows, now) for claim in mixed])

    def _end(self, claim: TaskClaim, rows: dict[UUID, Run], now: int) -> Any:
        kind = self.chance.choice([FinishKind.DONE, FinishKind.FAILED, FinishKind.RETRY, FinishKind.RETURN])
        end = finish(claim, kind, result=b"result" if kind is FinishKind.DONE else None)
        if end.delivery is None or claim.task.run_id not in rows:
            return end
        run = rows[claim.task.run_id]
        return replace(end, turn=fused(run, now, consumed=(end.delivery.id,), closed=(claim.task.token,)))

    async def sends(self) -> None:
        await self.journal.deliver([signal(run_id, dedupe="once") for run_id in self.some()])
        await self.journal.deliver([signal(run_id) for run_id in self.some()])

    async def orders(self) -> None:
        for kind in (OrderKind.SUSPEND, OrderKind.RESUME):
            await self.journal.control([order(kind, run_id) for run_id in self.some()[:6]])
        await self.journal.control([order(OrderKind.RESUME, run_id) for run_id in self.some()])

    async def starts(self) -> None:
        now = await self.journal.now()
        news = [new_run() for _ in range(4)]
        await self.journal.start([replace(new, turn=first_turn(new, now)) for new in news[:2]] + news[2:])
        await self.journal.control([order(OrderKind.TERMINATE, new.run_id) for new in reversed(news)])

    async def prunes(self) -> None:
        await self.journal.prune(PrunePlan(before=FAR, limit=20))

    async def often(self, verb: Callable[[], Awaitable[None]]) -> None:
        for _ in range(ROUNDS):
            await verb()
            self.answered += 1

    async def all(self) -> None:
        verbs = (self.turns, self.ahead, self.tasks, self.sends, self.orders, self.starts, self.prunes)
        await asyncio.gather(*(self.often(verb) for verb in verbs))


async def _deadlocks(looking: psycopg.AsyncConnection[Any]) -> int:
    await looking.execute("SELECT pg_stat_clear_snapshot()")
    asked = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    found = await (await looking.execute(asked)).fetchone()
    assert found is not None
    return int(found[0])


async def test_batches_of_every_verb_do_not_deadlock(empty_url: str, namespace: str) -> None:
    """All are answered, the server saw no deadlock, and every history is whole and folds to its run."""
    async with (
        opened(empty_url, namespace, Limits(loss_backoff=MOMENT)) as journal,
        raw(empty_url) as looking,
    ):
        runs = [await waiting(journal) for _ in range(RUNS)]
        before = await _deadlocks(looking)
        handles = [journal.sibling() for _ in range(HANDLES)]
        for handle in handles:
            await handle.open()
        chaos = [Chaos(handle, runs, seed) for seed, handle in enumerate(handles)]
        try:
            await asyncio.wait_for(asyncio.gather(*(one.all() for one in chaos)), 60)
        finally:
            for handle in handles:
                await soon(handle.close())
        assert [one.answered for one in chaos] == [7 * ROUNDS] * HANDLES
        assert await _deadlocks(looking) == before
        for run_id in runs:
            (run,) = await journal.load([run_id])
            assert run is not None
            assert run.status in (RunStatus.RUNNING, RunStatus.SUSPENDED)
            history = await journal.history(run_id, limit=10_000)
            assert [record.version for record in history] == list(range(1, run.version + 1))
            assert folded(history) == run.snapshot
            assert len({record.commit_id for record in history}) == len(history)


async def test_no_verb_takes_a_later_task_before_an_earlier_one(postgres_url: str, namespace: str) -> None:
    """With a run's first task locked by another, a heartbeat and a close of all hold nothing yet."""
    async with (
        opened(postgres_url, namespace) as journal,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        run_id = await waiting(journal, {"tasks": tuple([new_task(token, slot) for token, slot in TASKS])})
        claims = (await claimed_tasks(journal)).tasks
        assert len(claims) == len(TASKS)
        name = (shard(run_id), run_id)
        backwards = sorted(claims, key=lambda claim: (-claim.task.token, -claim.task.slot))
        (run,) = await journal.load([run_id])
        assert run is not None
        closing = fused(run, await journal.now(), closed=tuple(reversed(range(TOKENS))))
        verbs: dict[str, Callable[[], Awaitable[object]]] = {
            "heartbeat": lambda: journal.heartbeat([hold_task(claim) for claim in backwards], HOUR),
            "commit": lambda: journal.commit([closing]),
        }
        for verb in verbs.values():
            await other.execute("BEGIN")
            of_run = "SELECT 1 FROM continuum.tasks WHERE shard = %s AND run_id = %s "
            await other.execute(of_run + "AND token = 0 AND slot = 0 FOR UPDATE", name)
            waiter = asyncio.ensure_future(verb())
            await soon(waits_for_lock(looking))
            await other.execute(of_run + "FOR UPDATE NOWAIT", name)
            await other.execute("ROLLBACK")
            await soon(waiter)
