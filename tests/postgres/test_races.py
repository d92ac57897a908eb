"""Races between real transactions, stopped at the bad moment. Each was lost by a simpler statement once.

A gate stops one handle before a certain round trip; what another handle does meanwhile is over when the
first one goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import replace

from continuum_core.journal.commit import (
    CommitOutcome,
    DeliverOutcome,
    FinishOutcome,
    OrderKind,
    RunClaim,
    StartOutcome,
)
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Held, RunStatus
from continuum_core.testing.conformance.given import (
    HOUR,
    MOMENT,
    TAKES,
    finish,
    fused,
    hold_run,
    new_id,
    new_run,
    new_task,
    order,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import (
    claimed,
    claimed_one,
    claimed_task,
    claimed_tasks,
    committed,
    delivered,
    ordered,
    passed,
    payloads,
    row,
    seen,
    started,
    waiting,
)
from continuum_postgres.shards import shard
from tests.postgres.handles import Gate, opened, raw, soon, waits_for_lock


async def test_a_claim_that_read_before_a_commit_takes_nothing_twice(
    postgres_url: str, namespace: str
) -> None:
    """Between a claim's two readings another worker consumes and commits: its event is not handed out."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        run_id = await waiting(quick)
        await delivered(quick, signal(run_id, b"once"))
        with Gate(slow, "claiming", before=2) as gate:
            claiming = asyncio.create_task(slow.claim_runs(new_id(), 10, HOUR, TAKES))
            await soon(gate.reached.wait())
            claim, now = await claimed_one(quick)
            assert payloads(claim.deliveries) == [b"once"]
            await committed(quick, turn(claim, now))
            gate.go.set()
            assert (await soon(claiming)).runs == ()
        assert (await row(quick, run_id)).version == 2


async def test_a_claim_that_read_before_a_commit_leaves_the_rest(postgres_url: str, namespace: str) -> None:
    """The same where the run has something due again: the next claim finds it, under the new version."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        run_id = await waiting(quick)
        await delivered(quick, signal(run_id, b"one"))
        with Gate(slow, "claiming", before=2) as gate:
            claiming = asyncio.create_task(slow.claim_runs(new_id(), 10, HOUR, TAKES))
            await soon(gate.reached.wait())
            claim, now = await claimed_one(quick)
            await committed(quick, turn(claim, now))
            await delivered(quick, signal(run_id, b"two"))
            gate.go.set()
            assert (await soon(claiming)).runs == ()
        claim, _ = await claimed_one(slow)
        assert payloads(claim.deliveries) == [b"two"]


async def test_a_renewal_inside_a_claim_of_its_expired_lease_stands(
    postgres_url: str, namespace: str
) -> None:
    """The lease had expired when it was read, and was renewed before it was locked: it is live."""
    async with opened(postgres_url, namespace) as owner, opened(postgres_url, namespace) as thief:
        run_id = await started(owner)
        claim, _ = await claimed_one(owner, lease=MOMENT)
        await passed(owner, claim.lease_until)
        with Gate(thief, "claiming", before=2) as gate:
            claiming = asyncio.create_task(thief.claim_runs(new_id(), 10, HOUR, TAKES))
            await soon(gate.reached.wait())
            assert await owner.renew([hold_run(claim)], HOUR) == [True]
            gate.go.set()
            assert (await soon(claiming)).runs == ()
        assert (await row(owner, run_id)).fence == claim.fence


async def test_a_cancel_that_races_a_claim_of_the_task_is_not_lost(postgres_url: str, namespace: str) -> None:
    """The token closes while a claim has read the task and not locked it, and the other way round."""
    async with opened(postgres_url, namespace) as worker, opened(postgres_url, namespace) as closer:
        run_id = await waiting(closer, {"tasks": (new_task(1),)})
        with Gate(worker, "claiming", before=2) as gate:
            claiming = asyncio.create_task(claimed_tasks(worker))
            await soon(gate.reached.wait())
            run = await row(closer, run_id)
            await committed(closer, fused(run, await closer.now(), closed=(1,)))
            gate.go.set()
            assert (await soon(claiming)).tasks == ()
        assert (await seen(closer, run_id)).tasks == ()


async def test_a_claim_of_the_task_that_races_its_cancel_is_told(postgres_url: str, namespace: str) -> None:
    """A claim has the task locked and is not committed: the closing commit waits, and marks what it finds."""
    async with (
        opened(postgres_url, namespace) as closer,
        raw(postgres_url) as worker,
        raw(postgres_url) as looking,
    ):
        run_id = await waiting(closer, {"tasks": (new_task(1),)})
        run = await row(closer, run_id)
        await worker.execute("BEGIN")
        await worker.execute(
            "UPDATE continuum.tasks SET leased = true, fence = 7, claim_id = %s, lease_until = %s, wake = %s "
            "WHERE shard = %s AND run_id = %s",
            (new_id(), 2**60, 2**60, shard(run_id), run_id),
        )
        closing = asyncio.create_task(closer.commit([fused(run, await closer.now(), closed=(1,))]))
        await soon(waits_for_lock(looking))
        await worker.execute("COMMIT")
        assert (await soon(closing))[0].outcome is CommitOutcome.COMMITTED
        (task,) = (await seen(closer, run_id)).tasks
        assert (task.cancel, task.fence) == (True, 7)


async def test_resuming_while_a_claim_holds_back_strands_nothing(postgres_url: str, namespace: str) -> None:
    """A claim has read that the run is suspended; the run is resumed; what is due stays due."""
    async with opened(postgres_url, namespace) as worker, opened(postgres_url, namespace) as operator:
        run_id = await waiting(operator)
        await ordered(operator, OrderKind.SUSPEND, run_id)
        await delivered(operator, signal(run_id))
        with Gate(worker, "claiming", before=2) as gate:
            claiming = asyncio.create_task(worker.claim_runs(new_id(), 10, HOUR, TAKES))
            await soon(gate.reached.wait())
            await ordered(operator, OrderKind.RESUME, run_id)
            gate.go.set()
            await soon(claiming)
        assert {one.held for one in (await seen(operator, run_id)).deliveries} == {Held.NO}
        assert len((await claimed(worker)).runs) == 1


async def test_resuming_waits_for_a_claim_that_holds_back(postgres_url: str, namespace: str) -> None:
    """The other way round: the claim has marked and not committed; resuming finds what it marked."""
    async with (
        opened(postgres_url, namespace) as operator,
        raw(postgres_url) as worker,
        raw(postgres_url) as looking,
    ):
        run_id = await waiting(operator)
        await ordered(operator, OrderKind.SUSPEND, run_id)
        await delivered(operator, signal(run_id))
        where = (shard(run_id), run_id)
        await worker.execute("BEGIN")
        await worker.execute(
            "SELECT 1 FROM continuum.runs WHERE shard = %s AND run_id = %s FOR UPDATE", where
        )
        await worker.execute(
            "UPDATE continuum.deliveries SET held = 2 WHERE shard = %s AND run_id = %s", where
        )
        resuming = asyncio.create_task(operator.control([order(OrderKind.RESUME, run_id)]))
        await soon(waits_for_lock(looking))
        await worker.execute("COMMIT")
        await soon(resuming)
        assert {one.held for one in (await seen(operator, run_id)).deliveries} == {Held.NO}


async def test_a_commit_that_stands_is_known_after_another(postgres_url: str, namespace: str) -> None:
    """The answer was lost, and another worker committed before it is asked again: it stands all the same."""
    async with opened(postgres_url, namespace) as first, opened(postgres_url, namespace) as second:
        run_id = await started(first)
        claim, now = await claimed_one(first)
        mine = turn(claim, now)
        await committed(first, mine)
        run = await row(second, run_id)
        await committed(second, fused(run, await second.now()))
        assert (await committed(first, mine)).outcome is CommitOutcome.COMMITTED
        assert (await row(first, run_id)).version == 2


async def test_a_delivery_that_races_the_end_is_removed_by_a_claim(postgres_url: str, namespace: str) -> None:
    """The sender saw the run going; it ended before the delivery was stored: it becomes a dead letter."""
    async with opened(postgres_url, namespace) as sender, opened(postgres_url, namespace) as worker:
        run_id = await waiting(worker)
        with Gate(sender, "starting", before=2) as gate:
            sending = asyncio.create_task(sender.deliver([signal(run_id, b"late")]))
            await soon(gate.reached.wait())
            await ordered(worker, OrderKind.TERMINATE, run_id)
            gate.go.set()
            assert (await soon(sending))[0].outcome is DeliverOutcome.ACCEPTED
        assert (await claimed(worker)).runs == ()
        inspection = await seen(worker, run_id)
        assert inspection.deliveries == ()
        assert [letter.delivery.payload for letter in inspection.dead] == [b"late"]


async def test_of_two_senders_under_one_dedupe_id_one_is_accepted(postgres_url: str, namespace: str) -> None:
    """Both looked and found nothing: the row decides, and the rest of the later batch stands."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        run_id = await waiting(quick)
        with Gate(slow, "starting", before=2) as gate:
            late = [signal(run_id, b"late", dedupe="one"), signal(run_id, b"other")]
            sending = asyncio.create_task(slow.deliver(late))
            await soon(gate.reached.wait())
            await delivered(quick, signal(run_id, b"early", dedupe="one"))
            gate.go.set()
            outcomes = [answer.outcome for answer in await soon(sending)]
        assert outcomes == [DeliverOutcome.DUPLICATE, DeliverOutcome.ACCEPTED]
        assert {one.payload for one in (await seen(quick, run_id)).deliveries} == {b"early", b"other"}


async def test_a_delivery_waits_for_no_run_lock(postgres_url: str, namespace: str) -> None:
    """A run is locked by a transaction that goes on and on: delivering to it does not wait."""
    async with opened(postgres_url, namespace) as sender, raw(postgres_url) as other:
        run_id = await waiting(sender)
        where = (shard(run_id), run_id)
        await other.execute("BEGIN")
        await other.execute("SELECT 1 FROM continuum.runs WHERE shard = %s AND run_id = %s FOR UPDATE", where)
        await soon(delivered(sender, signal(run_id)))
        assert (await soon(claimed(sender))).runs == ()  # and a claim passes over what is locked
        await other.execute("ROLLBACK")
        assert len((await claimed(sender)).runs) == 1


@pytest.mark.parametrize("lane", ["commit first", "delivery first"])
async def test_a_delivery_and_a_commit_in_both_orders(postgres_url: str, namespace: str, lane: str) -> None:
    """Neither waits for the other, and what was delivered is due afterwards."""
    async with opened(postgres_url, namespace) as worker, opened(postgres_url, namespace) as sender:
        run_id = await started(worker)
        claim, now = await claimed_one(worker)
        gated, family = (sender, "starting") if lane == "commit first" else (worker, "turning")
        with Gate(gated, family, before=2) as gate:
            sending = asyncio.create_task(sender.deliver([signal(run_id, b"meanwhile")]))
            committing = asyncio.create_task(worker.commit([turn(claim, now)]))
            await soon(gate.reached.wait())
            await soon(committing if lane == "commit first" else sending)
            gate.go.set()
            await soon(asyncio.gather(sending, committing))
        assert payloads((await claimed_one(worker))[0].deliveries) == [b"meanwhile"]


async def test_a_keyed_start_twice_at_once(postgres_url: str, namespace: str) -> None:
    """Both found no run of that id: one creates it, the other finds it there."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        new = new_run()
        with Gate(slow, "starting", before=2) as gate:
            starting = asyncio.create_task(slow.start([new, new_run()]))
            await soon(gate.reached.wait())
            await quick.start([new])
            gate.go.set()
            outcomes = [answer.outcome for answer in await soon(starting)]
        assert outcomes == [StartOutcome.EXISTS, StartOutcome.STARTED]
        assert len((await seen(quick, new.run_id)).deliveries) == 1


async def test_a_turn_is_refused_and_its_finish_stands(postgres_url: str, namespace: str) -> None:
    """The run moved between the worker's turn and its finish: the outcome waits as a delivery."""
    async with opened(postgres_url, namespace) as worker, opened(postgres_url, namespace) as other:
        run_id = await waiting(worker, {"tasks": (new_task(1),)})
        claim = await claimed_task(worker)
        run, now = await row(worker, run_id), await worker.now()
        ending = finish(claim)
        assert ending.delivery is not None
        riding = fused(run, now, consumed=(ending.delivery.id,))
        await delivered(other, signal(run_id))
        (answer,) = await worker.finish([replace(ending, turn=riding)])
        assert answer.outcome is FinishOutcome.FINISHED
        assert answer.committed is not None
        assert answer.committed.outcome is CommitOutcome.REFUSED
        assert len((await seen(worker, run_id)).deliveries) == 2


async def test_many_batches_at_once_do_not_deadlock(postgres_url: str, namespace: str) -> None:
    """Batches over the same runs in every order: all are answered, and the server saw no deadlock."""
    async with opened(postgres_url, namespace) as journal, raw(postgres_url) as looking:
        ids = [await waiting(journal) for _ in range(12)]
        await journal.deliver([signal(run_id) for run_id in ids])
        asked = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        before = await (await looking.execute(asked)).fetchone()
        handles = [journal.sibling() for _ in range(4)]
        for handle in handles:
            await handle.open()
        try:
            await soon(asyncio.gather(*(_commit_often(handle, ids, at) for at, handle in enumerate(handles))))
        finally:
            for handle in handles:
                await handle.close()
        await looking.execute("SELECT pg_stat_clear_snapshot()")
        assert await (await looking.execute(asked)).fetchone() == before
        for run_id in ids:
            history = await journal.history(run_id)
            assert [record.version for record in history] == list(range(1, len(history) + 1))


async def _commit_often(journal: Journal, ids: Sequence[UUID], at: int) -> None:
    """Turns and orders over all runs, each batch turned round differently."""
    for number in range(15):
        claims: list[RunClaim] = list((await journal.claim_runs(new_id(), 100, MOMENT, TAKES)).runs)
        mixed = claims[at:] + claims[:at]
        if number % 2:
            mixed.reverse()
        now = await journal.now()
        sent = [signal(claim.run_id) for claim in reversed(mixed)]
        await journal.commit(
            [turn(claim, now, deliveries=(sent[place],)) for place, claim in enumerate(mixed)]
        )
        if claims and number % 5 == at:
            await journal.control([order(OrderKind.SUSPEND, claim.run_id) for claim in mixed[:4]])
            await journal.control([order(OrderKind.RESUME, claim.run_id) for claim in reversed(mixed[:4])])


async def test_a_serialization_error_is_retried(postgres_url: str, namespace: str) -> None:
    """What another transaction is in the way of is done again, and its caller never hears of it."""
    async with opened(postgres_url, namespace) as journal:
        run_id = await waiting(journal)
        store = journal._store
        assert store is not None
        session = type(store.turning.session)
        whole, failures = (
            session.ask,
            [psycopg.errors.DeadlockDetected(), psycopg.errors.SerializationFailure()],
        )

        async def ask(self: object, *asks: object) -> object:
            if failures and self is store.turning.session:
                raise failures.pop()
            return await whole(self, *asks)  # type: ignore[arg-type]  # the gate is the session's own method

        session.ask = ask  # type: ignore[method-assign,assignment]  # put back below
        try:
            answer = await ordered(journal, OrderKind.SUSPEND, run_id)
        finally:
            session.ask = whole  # type: ignore[method-assign]  # as it was
        assert answer.status is RunStatus.SUSPENDED
        assert not failures
