"""Verbs hold nothing later in the order of locks while they wait for something earlier.

The first task of all, or the first result, is locked by another session. A verb that needs it waits; and
whatever comes later in the order can still be locked, without waiting, by a third one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from attrs import frozen
from msgspec.structs import replace

from continuum_core.journal.blobs import blob_of
from continuum_core.journal.commit import FinishKind, OrderKind, PrunePlan, ReserveOutcome, TaskClaim
from continuum_core.journal.records import Run
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    finish,
    fused,
    new_id,
    new_task,
    order,
    reservation,
    signal,
)
from continuum_core.testing.conformance.kit import claimed_tasks, ordered, row, waiting
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.shards import shard
from tests.postgres.handles import opened, raw, soon, waits_for_lock

TOKENS = 3


@frozen
class Met:
    """Two runs, of which `first` comes first in the order of locks, with their tasks, all of them claimed.

    The tasks of `last` were stored before.
    """

    journal: PostgresJournal
    first: Run
    last: Run
    tasks: dict[tuple[UUID, int], TaskClaim]

    def task(self, run: Run, token: int) -> TaskClaim:
        return self.tasks[run.run_id, token]


async def _met(journal: PostgresJournal) -> Met:
    names = sorted((new_id() for _ in range(2)), key=lambda name: (shard(name), name.int))
    new = [new_task(token) for token in range(TOKENS)]
    for run_id in reversed(names):
        await waiting(journal, {"tasks": tuple(new)}, run_id=run_id)
    claims = (await claimed_tasks(journal)).tasks
    first, last = [await row(journal, run_id) for run_id in names]
    return Met(journal, first, last, {(claim.task.run_id, claim.task.token): claim for claim in claims})


async def _finish_rounds(met: Met) -> object:
    """Several tasks of a run: a round each."""
    kind = FinishKind.CANCELLED
    return await met.journal.finish(
        [finish(met.task(run, token), kind) for token in (2, 1, 0) for run in (met.last, met.first)]
    )


async def _finish_closes(met: Met) -> object:
    """One round; the turn that rides on a late task closes an early one."""
    ending = finish(met.task(met.first, 2))
    assert ending.delivery is not None
    turn = fused(
        met.first, await met.journal.now(), consumed=(ending.delivery.id,), closed=tuple(range(TOKENS))
    )
    return await met.journal.finish([finish(met.task(met.last, 0)), replace(ending, turn=turn)])


async def _commit_rounds(met: Met) -> object:
    """Turns that send to one another's runs: a round each."""
    now, closed = await met.journal.now(), tuple(range(TOKENS))
    return await met.journal.commit(
        [
            fused(met.last, now, closed=closed, deliveries=(signal(met.first.run_id),)),
            fused(met.first, now, closed=closed, deliveries=(signal(met.last.run_id),)),
        ]
    )


async def _control_rounds(met: Met) -> object:
    """Orders that tell one another's runs: a round each."""
    return await met.journal.control(
        [
            order(OrderKind.TERMINATE, met.last.run_id, sends=(signal(met.first.run_id),)),
            order(OrderKind.TERMINATE, met.first.run_id, sends=(signal(met.last.run_id),)),
        ]
    )


async def _prune(met: Met) -> object:
    """Runs that ended while their tasks were being carried out."""
    return await met.journal.prune(PrunePlan(before=FAR, limit=100))


@pytest.mark.parametrize("verb", [_finish_rounds, _finish_closes, _commit_rounds, _control_rounds, _prune])
async def test_no_task_is_held_while_an_earlier_one_is_waited_for(
    postgres_url: str, namespace: str, verb: Callable[[Met], Awaitable[object]]
) -> None:
    async with (
        opened(postgres_url, namespace) as journal,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        met = await _met(journal)
        if verb is _prune:
            for run in (met.last, met.first):  # whose rows are stored before then
                await ordered(journal, OrderKind.TERMINATE, run.run_id)
        tasks = "SELECT 1 FROM continuum.tasks WHERE run_id = %s AND token {} FOR UPDATE NOWAIT"
        await other.execute("BEGIN")
        await other.execute(tasks.format("= 0"), (met.first.run_id,))
        waiter = asyncio.ensure_future(verb(met))
        await soon(waits_for_lock(looking))
        await other.execute(tasks.format("> 0"), (met.first.run_id,))
        await other.execute(tasks.format(">= 0"), (met.last.run_id,))
        await other.execute("ROLLBACK")
        await soon(waiter)


@pytest.mark.parametrize("rounds", [1, 2])
async def test_no_result_is_held_while_an_earlier_one_is_waited_for(
    postgres_url: str, namespace: str, rounds: int
) -> None:
    """Of two keys the one is freed and the other one kept, in one round or two."""
    async with (
        opened(postgres_url, namespace) as journal,
        raw(postgres_url) as other,
        raw(postgres_url) as looking,
    ):
        new = (new_task(1, key="early"), new_task(2, key="late"))
        run_id = await waiting(journal, {"tasks": new} if rounds == 2 else {"tasks": new[:1]})
        if rounds == 1:
            await waiting(journal, {"tasks": new[1:]})
        claims = sorted((await claimed_tasks(journal)).tasks, key=lambda claim: claim.task.token)
        await journal.reserve([reservation(claim.task, HOUR, str(claim.task.key)) for claim in claims])
        results = "SELECT 1 FROM continuum.results WHERE run_id = %s AND key = %s FOR UPDATE NOWAIT"
        await other.execute("BEGIN")
        await other.execute(results, (run_id, "early"))
        ends = [finish(claims[1], FinishKind.FAILED), finish(claims[0], result=b"kept")]
        waiter = asyncio.ensure_future(journal.finish(ends))
        await soon(waits_for_lock(looking))
        await other.execute(results, (claims[1].task.run_id, "late"))
        await other.execute("ROLLBACK")
        await soon(waiter)
        told = await journal.reserve([reservation(claims[0].task, HOUR, key) for key in ("early", "late")])
        assert [answer.outcome for answer in told] == [ReserveOutcome.DONE, ReserveOutcome.RESERVED]
        assert told[0].result == b"kept"


async def test_who_puts_a_snapshot_waits_for_no_earlier_one(postgres_url: str, namespace: str) -> None:
    """An old snapshot that another session holds at this moment is passed over, and goes the next time."""
    async with opened(postgres_url, namespace) as journal, raw(postgres_url) as other:
        run_id = await waiting(journal)
        old, new = blob_of(run_id, b"old", 1), blob_of(run_id, b"new", 3)
        await journal.keep_blobs([old])
        now = await journal.now()
        await journal.commit([fused(await row(journal, run_id), now)])
        await other.execute("BEGIN")
        await other.execute("SELECT 1 FROM continuum.blobs WHERE run_id = %s FOR UPDATE", (run_id,))
        await soon(journal.keep_blobs([new]))
        await other.execute("ROLLBACK")
        kept = "SELECT count(*) FROM continuum.blobs WHERE run_id = %s"
        assert await (await other.execute(kept, (run_id,))).fetchone() == (2,)
        await journal.keep_blobs([new])
        assert await (await other.execute(kept, (run_id,))).fetchone() == (1,)
