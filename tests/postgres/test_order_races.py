"""Races of orders, ends and pruning with turns, claims and deliveries, between real transactions."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from continuum_core.journal.commit import CommitOutcome, OrderKind, OrderOutcome, PrunePlan
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    TAKES,
    fused,
    hold_run,
    new_id,
    new_task,
    order,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import (
    claimed,
    claimed_one,
    claimed_tasks,
    committed,
    delivered,
    ordered,
    payloads,
    row,
    seen,
    started,
    tried,
    waiting,
)
from continuum_postgres.shards import shard
from tests.postgres.handles import Gate, opened, raw, soon, waits_for_lock
from tests.postgres.test_task_races import LOCK_RUN, locked


async def test_an_order_waits_for_a_turn_and_then_acts(postgres_url: str, namespace: str) -> None:
    """The turn has the run locked and is not written: both stand, one record after the other."""
    async with (
        opened(postgres_url, namespace) as worker,
        opened(postgres_url, namespace) as operator,
        raw(postgres_url) as looking,
    ):
        run_id = await started(worker)
        claim, now = await claimed_one(worker)
        with Gate(worker, "turning", before=2) as gate:
            committing = asyncio.create_task(worker.commit([turn(claim, now)]))
            await soon(gate.reached.wait())
            ordering = asyncio.create_task(ordered(operator, OrderKind.TERMINATE, run_id, outcome=b"over"))
            await soon(waits_for_lock(looking))
            gate.go.set()
            assert (await soon(committing))[0].outcome is CommitOutcome.COMMITTED
            assert (await soon(ordering)).outcome is OrderOutcome.DONE
        history = await worker.history(run_id)
        assert [record.version for record in history] == [1, 2]
        run = await row(worker, run_id)
        assert (run.status, run.version) == (RunStatus.TERMINATED, 2)


async def test_a_turn_that_waited_for_an_order_is_lost(postgres_url: str, namespace: str) -> None:
    """Both wait for the run's row, the order first: the fence that the turn has is no longer the run's."""
    async with (
        opened(postgres_url, namespace) as worker,
        opened(postgres_url, namespace) as operator,
        raw(postgres_url) as holder,
        raw(postgres_url) as looking,
    ):
        run_id = await started(worker)
        claim, now = await claimed_one(worker)
        await locked(holder, LOCK_RUN, run_id)
        ordering = asyncio.create_task(ordered(operator, OrderKind.SUSPEND, run_id))
        await soon(waits_for_lock(looking))
        committing = asyncio.create_task(tried(worker, turn(claim, now)))
        await soon(waits_for_lock(looking, 2))
        await holder.execute("COMMIT")
        assert (await soon(ordering)).outcome is OrderOutcome.DONE
        assert await soon(committing) is CommitOutcome.LOST
        run = await row(worker, run_id)
        assert (run.status, run.version, run.snapshot) == (RunStatus.SUSPENDED, 1, b"")
        assert len((await seen(worker, run_id)).deliveries) == 1


async def test_one_order_sent_twice_at_once_is_carried_out_once(postgres_url: str, namespace: str) -> None:
    """The first answer was slow and the caller asked again elsewhere: one record, the same answer twice."""
    async with (
        opened(postgres_url, namespace) as one,
        opened(postgres_url, namespace) as two,
        raw(postgres_url) as holder,
        raw(postgres_url) as looking,
    ):
        run_id = await waiting(one)
        suspend = order(OrderKind.SUSPEND, run_id)
        await locked(holder, LOCK_RUN, run_id)
        both = [asyncio.create_task(handle.control([suspend])) for handle in (one, two)]
        await soon(waits_for_lock(looking, 2))
        await holder.execute("COMMIT")
        answers = [answer for (answer,) in await soon(asyncio.gather(*both))]
        assert {(answer.outcome, answer.status) for answer in answers} == {
            (OrderOutcome.DONE, RunStatus.SUSPENDED)
        }
        assert len(await one.history(run_id)) == 2


async def test_a_suspension_between_a_claims_two_readings(postgres_url: str, namespace: str) -> None:
    """The claim takes nothing, and what was due is due again when the run is resumed."""
    async with opened(postgres_url, namespace) as worker, opened(postgres_url, namespace) as operator:
        run_id = await waiting(operator)
        await delivered(operator, signal(run_id))
        with Gate(worker, "claiming", before=2) as gate:
            claiming = asyncio.create_task(worker.claim_runs(new_id(), 10, HOUR, TAKES))
            await soon(gate.reached.wait())
            await ordered(operator, OrderKind.SUSPEND, run_id)
            gate.go.set()
            assert (await soon(claiming)).runs == ()
        assert (await claimed(worker)).runs == ()
        await ordered(operator, OrderKind.RESUME, run_id)
        claim, _ = await claimed_one(worker)
        assert payloads(claim.deliveries) == [b"signal"]


async def test_a_cancel_between_a_claims_two_readings_comes_first(postgres_url: str, namespace: str) -> None:
    """What the claim had read is no longer all: whoever takes the run has the cancel at the head."""
    async with opened(postgres_url, namespace) as worker, opened(postgres_url, namespace) as operator:
        run_id = await waiting(operator)
        await delivered(operator, signal(run_id))
        with Gate(worker, "claiming", before=2) as gate:
            claiming = asyncio.create_task(worker.claim_runs(new_id(), 10, HOUR, TAKES))
            await soon(gate.reached.wait())
            await ordered(operator, OrderKind.CANCEL, run_id)
            gate.go.set()
            taken = (await soon(claiming)).runs
        claims = taken or (await claimed(worker)).runs
        assert [payloads(claim.deliveries) for claim in claims] == [[b"cancel", b"signal"]]


async def test_a_release_between_a_claims_two_readings(postgres_url: str, namespace: str) -> None:
    """A worker gives a run back while another looks: nothing is stranded, and one fence is live."""
    async with opened(postgres_url, namespace) as leaves, opened(postgres_url, namespace) as stays:
        run_id = await started(leaves)
        claim, _ = await claimed_one(leaves)
        with Gate(stays, "claiming", before=2) as gate:
            await delivered(leaves, signal(await started(leaves)))  # something else to claim
            claiming = asyncio.create_task(stays.claim_runs(new_id(), 10, HOUR, TAKES))
            await soon(gate.reached.wait())
            await leaves.release([hold_run(claim)])
            gate.go.set()
            taken = [one.run_id for one in (await soon(claiming)).runs]
        taken += [one.run_id for one in (await claimed(stays)).runs]
        assert taken.count(run_id) == 1
        assert (await row(stays, run_id)).fence > claim.fence


async def test_a_delivery_that_races_the_end_and_the_pruning_strands_nothing(
    postgres_url: str, namespace: str
) -> None:
    """The sender saw the run going; it was ended and pruned before the delivery came: nothing stays due."""
    async with (
        opened(postgres_url, namespace) as sender,
        opened(postgres_url, namespace) as operator,
        raw(postgres_url) as looking,
    ):
        run_id = await waiting(operator)
        with Gate(sender, "starting", before=2) as gate:
            sending = asyncio.create_task(sender.deliver([signal(run_id, b"late")]))
            await soon(gate.reached.wait())
            await ordered(operator, OrderKind.TERMINATE, run_id)
            await operator.prune(PrunePlan(before=FAR, limit=10))
            assert await operator.load([run_id]) == [None]
            gate.go.set()
            await soon(sending)
        assert (await claimed(operator)).runs == ()
        asked = "SELECT count(*) FROM continuum.deliveries WHERE shard = %s AND run_id = %s AND held = 0"
        assert await (await looking.execute(asked, (shard(run_id), run_id))).fetchone() == (0,)


async def test_a_turns_message_to_a_run_that_ends_meanwhile(postgres_url: str, namespace: str) -> None:
    """The turn read its receiver as going; that ended before the turn was written: a dead letter."""
    async with opened(postgres_url, namespace) as worker, opened(postgres_url, namespace) as operator:
        receiver, sender = await waiting(operator), await waiting(operator)
        message = signal(receiver, b"too late")
        sending = fused(await row(worker, sender), await worker.now(), deliveries=(message,))
        with Gate(worker, "turning", before=2) as gate:
            committing = asyncio.create_task(worker.commit([sending]))
            await soon(gate.reached.wait())
            await ordered(operator, OrderKind.TERMINATE, receiver)
            gate.go.set()
            assert (await soon(committing))[0].outcome is CommitOutcome.COMMITTED
        assert (await claimed(operator)).runs == ()
        inspection = await seen(operator, receiver)
        assert inspection.deliveries == ()
        assert [letter.delivery.payload for letter in inspection.dead] == [b"too late"]


async def test_an_end_by_a_turn_races_a_delivery(postgres_url: str, namespace: str) -> None:
    """The same where the run ends by its own turn: a claim meets the delivery and makes it a dead letter."""
    async with opened(postgres_url, namespace) as sender, opened(postgres_url, namespace) as worker:
        run_id = await waiting(worker)
        ending = fused(
            await row(worker, run_id), await worker.now(), status=RunStatus.COMPLETED, outcome=b"over"
        )
        with Gate(sender, "starting", before=2) as gate:
            sending = asyncio.create_task(sender.deliver([signal(run_id, b"late")]))
            await soon(gate.reached.wait())
            await committed(worker, ending)
            gate.go.set()
            await soon(sending)
        assert (await claimed(worker)).runs == ()
        inspection = await seen(worker, run_id)
        assert inspection.deliveries == ()
        assert [letter.delivery.payload for letter in inspection.dead] == [b"late"]


async def test_the_end_of_a_run_races_a_claim_of_its_task(postgres_url: str, namespace: str) -> None:
    """A claim has read the task when its run is terminated: nobody is handed a task of a run that is over."""
    async with opened(postgres_url, namespace) as worker, opened(postgres_url, namespace) as operator:
        run_id = await waiting(operator, {"tasks": (new_task(1),)})
        with Gate(worker, "claiming", before=2) as gate:
            claiming = asyncio.create_task(claimed_tasks(worker))
            await soon(gate.reached.wait())
            await ordered(operator, OrderKind.TERMINATE, run_id)
            gate.go.set()
            assert (await soon(claiming)).tasks == ()
        assert (await seen(operator, run_id)).tasks == ()


async def test_an_event_taken_under_two_orders_of_the_same_moment(postgres_url: str, namespace: str) -> None:
    """Suspend and cancel wait for one row: whichever comes last, the cancel is due and the run is running."""
    async with (
        opened(postgres_url, namespace) as one,
        opened(postgres_url, namespace) as two,
        raw(postgres_url) as holder,
        raw(postgres_url) as looking,
    ):
        for first, second in ((OrderKind.SUSPEND, OrderKind.CANCEL), (OrderKind.CANCEL, OrderKind.SUSPEND)):
            run_id = await waiting(one)
            await locked(holder, LOCK_RUN, run_id)
            both = [asyncio.create_task(ordered(one, first, run_id))]
            await soon(waits_for_lock(looking))
            both.append(asyncio.create_task(ordered(two, second, run_id)))
            await soon(waits_for_lock(looking, 2))
            await holder.execute("COMMIT")
            await soon(asyncio.gather(*both))
            history = await one.history(run_id)
            assert [record.version for record in history] == list(range(1, len(history) + 1))
            if (await row(one, run_id)).status is RunStatus.SUSPENDED:
                await ordered(one, OrderKind.RESUME, run_id)
            claim, now = await claimed_one(one)
            assert payloads(claim.deliveries) == [b"cancel"]
            ended = turn(claim, now, status=RunStatus.CANCELLED, outcome=b"")
            await committed(one, replace(ended))
