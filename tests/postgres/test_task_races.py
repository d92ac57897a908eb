"""Races for tasks and their outcomes between real transactions, each stopped at the bad moment.

A gate stops a handle between two of its round trips; where a verb is a single statement, a lock that the
test holds makes it wait with its snapshot already taken.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import replace

from continuum_core.journal.commit import CommitOutcome, FinishOutcome, ReserveOutcome
from continuum_core.testing.conformance.given import (
    HOUR,
    MOMENT,
    TAKES,
    finish,
    fused,
    hold_task,
    new_id,
    new_task,
    reservation,
    signal,
)
from continuum_core.testing.conformance.kit import (
    claimed,
    claimed_task,
    claimed_tasks,
    committed,
    delivered,
    finished,
    passed,
    payloads,
    row,
    seen,
    tried,
    waiting,
)
from continuum_postgres.shards import shard
from tests.postgres.handles import Gate, opened, raw, soon, waits_for_lock

LOCK_RUN = "SELECT 1 FROM continuum.runs WHERE shard = %s AND run_id = %s FOR UPDATE"
LOCK_TASKS = "SELECT 1 FROM continuum.tasks WHERE shard = %s AND run_id = %s FOR UPDATE"


async def locked(other: psycopg.AsyncConnection[Any], sql: str, run_id: UUID) -> None:
    """Have `other` hold rows of a run until it commits."""
    await other.execute("BEGIN")
    await other.execute(sql, (shard(run_id), run_id))


async def test_of_two_claimers_of_one_task_one_wins(postgres_url: str, namespace: str) -> None:
    """One has read the task and not locked it when the other claims it: only one fence was given out."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        await waiting(quick, {"tasks": (new_task(1),)})
        with Gate(slow, "claiming", before=2) as gate:
            claiming = asyncio.create_task(claimed_tasks(slow))
            await soon(gate.reached.wait())
            claim = await claimed_task(quick)
            gate.go.set()
            assert (await soon(claiming)).tasks == ()
        assert await quick.heartbeat([hold_task(claim)], HOUR) == [True]


async def test_of_two_claimers_of_one_run_one_wins(postgres_url: str, namespace: str) -> None:
    """The same for a run: the second reading finds another fence than the first."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        run_id = await waiting(quick)
        await delivered(quick, signal(run_id))
        with Gate(slow, "claiming", before=2) as gate:
            claiming = asyncio.create_task(slow.claim_runs(new_id(), 10, HOUR, TAKES))
            await soon(gate.reached.wait())
            (claim,) = (await claimed(quick)).runs
            gate.go.set()
            assert (await soon(claiming)).runs == ()
        assert (await row(quick, run_id)).fence == claim.fence


async def test_a_heartbeat_inside_a_claim_of_its_expired_lease_stands(
    postgres_url: str, namespace: str
) -> None:
    """The task's lease had expired when it was read, and was renewed before it was locked: no loss."""
    async with opened(postgres_url, namespace) as owner, opened(postgres_url, namespace) as thief:
        run_id = await waiting(owner, {"tasks": (new_task(1),)})
        claim = await claimed_task(owner, lease=MOMENT)
        assert claim.task.lease_until is not None
        await passed(owner, claim.task.lease_until)
        with Gate(thief, "claiming", before=2) as gate:
            claiming = asyncio.create_task(claimed_tasks(thief))
            await soon(gate.reached.wait())
            assert await owner.heartbeat([hold_task(claim)], HOUR) == [True]
            gate.go.set()
            assert (await soon(claiming)).tasks == ()
        (task,) = (await seen(owner, run_id)).tasks
        assert (task.fence, task.losses) == (claim.task.fence, 0)


async def test_a_finish_inside_a_claim_of_its_expired_lease_stands(postgres_url: str, namespace: str) -> None:
    """The holder is late, but nobody had claimed the task when it finished: its outcome is the task's."""
    async with opened(postgres_url, namespace) as owner, opened(postgres_url, namespace) as thief:
        run_id = await waiting(owner, {"tasks": (new_task(1),)})
        claim = await claimed_task(owner, lease=MOMENT)
        assert claim.task.lease_until is not None
        await passed(owner, claim.task.lease_until)
        with Gate(thief, "claiming", before=2) as gate:
            claiming = asyncio.create_task(claimed_tasks(thief))
            await soon(gate.reached.wait())
            assert (await finished(owner, finish(claim))).outcome is FinishOutcome.FINISHED
            gate.go.set()
            assert (await soon(claiming)).tasks == ()
        inspection = await seen(owner, run_id)
        assert (inspection.tasks, payloads(inspection.deliveries)) == ((), [b"outcome"])


async def test_a_finish_that_waited_for_a_claim_is_lost(postgres_url: str, namespace: str) -> None:
    """Another has the task locked and takes it: the finish, whose snapshot is older, sees the new fence."""
    async with (
        opened(postgres_url, namespace) as owner,
        raw(postgres_url) as thief,
        raw(postgres_url) as looking,
    ):
        run_id = await waiting(owner, {"tasks": (new_task(1),)})
        claim = await claimed_task(owner)
        fence = claim.task.fence + 1
        await locked(thief, LOCK_TASKS, run_id)
        run = await row(owner, run_id)
        end = finish(claim)
        assert end.delivery is not None
        riding = fused(run, await owner.now(), consumed=(end.delivery.id,))
        finishing = asyncio.create_task(owner.finish([replace(end, turn=riding)]))
        await soon(waits_for_lock(looking))
        await thief.execute(
            "UPDATE continuum.tasks SET fence = %s, claim_id = %s, losses = losses + 1 "
            "WHERE shard = %s AND run_id = %s",
            (fence, new_id(), shard(run_id), run_id),
        )
        await thief.execute("COMMIT")
        (answer,) = await soon(finishing)
        assert answer.outcome is FinishOutcome.LOST
        inspection = await seen(owner, run_id)
        assert [task.fence for task in inspection.tasks] == [fence]
        assert inspection.deliveries == ()
        assert inspection.run.version == run.version, "the turn that rode on it does not stand either"


async def test_a_turn_on_a_finish_that_waited_for_a_claim_of_its_run_is_refused(
    postgres_url: str, namespace: str
) -> None:
    """The run was leased while the finish waited for its row: the outcome waits in the run's queue."""
    async with (
        opened(postgres_url, namespace) as owner,
        raw(postgres_url) as thief,
        raw(postgres_url) as looking,
    ):
        run_id = await waiting(owner, {"tasks": (new_task(1),)})
        end = finish(await claimed_task(owner))
        assert end.delivery is not None
        run = await row(owner, run_id)
        riding = fused(run, await owner.now(), consumed=(end.delivery.id,))
        await locked(thief, LOCK_RUN, run_id)
        finishing = asyncio.create_task(owner.finish([replace(end, turn=riding)]))
        await soon(waits_for_lock(looking))
        await thief.execute(
            "UPDATE continuum.runs SET fence = fence + 1, claim_id = %s, lease_until = %s "
            "WHERE shard = %s AND run_id = %s",
            (new_id(), 2**60, shard(run_id), run_id),
        )
        await thief.execute("COMMIT")
        (answer,) = await soon(finishing)
        assert answer.outcome is FinishOutcome.FINISHED
        assert answer.committed is not None
        assert answer.committed.outcome is not CommitOutcome.COMMITTED
        inspection = await seen(owner, run_id)
        assert (inspection.run.version, inspection.tasks) == (run.version, ())
        assert payloads(inspection.deliveries) == [b"outcome"]


async def test_what_is_delivered_while_a_finish_waits_is_not_swallowed(
    postgres_url: str, namespace: str
) -> None:
    """The turn on the finish cannot have seen it: it is due afterwards, whether or not the turn stood."""
    async with (
        opened(postgres_url, namespace) as owner,
        opened(postgres_url, namespace) as sender,
        raw(postgres_url) as holder,
        raw(postgres_url) as looking,
    ):
        run_id = await waiting(owner, {"tasks": (new_task(1),)})
        end = finish(await claimed_task(owner))
        assert end.delivery is not None
        riding = fused(await row(owner, run_id), await owner.now(), consumed=(end.delivery.id,))
        await locked(holder, LOCK_RUN, run_id)
        finishing = asyncio.create_task(owner.finish([replace(end, turn=riding)]))
        await soon(waits_for_lock(looking))
        await soon(delivered(sender, signal(run_id, b"meanwhile")))
        await holder.execute("COMMIT")
        (answer,) = await soon(finishing)
        assert answer.outcome is FinishOutcome.FINISHED
        assert answer.committed is not None
        stood = answer.committed.outcome is CommitOutcome.COMMITTED
        (claim,) = (await claimed(sender)).runs
        assert sorted(payloads(claim.deliveries)) == ([b"meanwhile"] if stood else [b"meanwhile", b"outcome"])


@pytest.mark.parametrize("finish_first", [True, False], ids=["finish first", "turn first"])
async def test_a_finish_and_the_turn_that_closes_its_token(
    postgres_url: str, namespace: str, finish_first: bool
) -> None:
    """Both wait for the task's row, in either order: both are answered, and the outcome is not stranded."""
    async with (
        opened(postgres_url, namespace) as owner,
        opened(postgres_url, namespace) as closer,
        raw(postgres_url) as holder,
        raw(postgres_url) as looking,
    ):
        run_id = await waiting(owner, {"tasks": (new_task(1),)})
        end = finish(await claimed_task(owner))
        closing = fused(await row(owner, run_id), await owner.now(), closed=(1,))
        await locked(holder, LOCK_TASKS, run_id)
        answers: list[object] = []

        async def finishes() -> None:
            answers.append((await finished(owner, end)).outcome)

        async def closes() -> None:
            answers.append(await tried(closer, closing))

        both: list[asyncio.Task[None]] = []
        for verb in (finishes, closes) if finish_first else (closes, finishes):
            both.append(asyncio.create_task(verb()))
            await soon(waits_for_lock(looking, len(both)))
        await holder.execute("COMMIT")
        await soon(asyncio.gather(*both))
        assert FinishOutcome.FINISHED in answers
        inspection = await seen(owner, run_id)
        assert (inspection.tasks, payloads(inspection.deliveries)) == ((), [b"outcome"])
        (claim,) = (await claimed(owner)).runs
        assert payloads(claim.deliveries) == [b"outcome"]


async def test_of_two_that_reserve_one_key_one_has_it(postgres_url: str, namespace: str) -> None:
    """Both looked and found nothing: the row decides."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        await waiting(quick, {"tasks": (new_task(1, 0, key="k"), new_task(1, 1, key="k"))})
        one, two = (await claimed_tasks(quick)).tasks
        with Gate(slow, "claiming", before=2) as gate:
            reserving = asyncio.create_task(slow.reserve([reservation(one.task)]))
            await soon(gate.reached.wait())
            (first,) = await quick.reserve([reservation(two.task)])
            gate.go.set()
            (second,) = await soon(reserving)
        assert {first.outcome, second.outcome} == {ReserveOutcome.RESERVED, ReserveOutcome.BUSY}


async def test_a_turn_and_a_claim_of_its_run_in_both_orders(postgres_url: str, namespace: str) -> None:
    """A turn computed ahead: the claim that read before it takes nothing, and after a claim it is refused."""
    async with opened(postgres_url, namespace) as worker, opened(postgres_url, namespace) as thief:
        run_id = await waiting(worker)
        sent = signal(run_id)
        with Gate(thief, "claiming", before=2) as gate:
            await delivered(worker, sent)
            claiming = asyncio.create_task(thief.claim_runs(new_id(), 10, HOUR, TAKES))
            await soon(gate.reached.wait())
            run = await row(worker, run_id)
            await committed(worker, fused(run, await worker.now(), consumed=(sent.id,)))
            gate.go.set()
            assert (await soon(claiming)).runs == ()
        run = await row(worker, run_id)
        later = signal(run_id)
        await delivered(worker, later)
        (claim,) = (await claimed(thief)).runs
        (answer,) = await worker.commit([fused(run, await worker.now(), consumed=(later.id,))])
        assert answer.outcome is not CommitOutcome.COMMITTED
        assert payloads(claim.deliveries) == [b"signal"]
