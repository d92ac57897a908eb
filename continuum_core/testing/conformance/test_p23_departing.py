"""Promise 23: a run leaves only as what was dumped, in one transaction, and its image is kept."""

from __future__ import annotations

from continuum_core.journal.carrying import (
    MOVING,
    Arrival,
    DepartOutcome,
    Dumped,
    Version,
)
from continuum_core.journal.commit import (
    CommitOutcome,
    DeliverOutcome,
    FinishKind,
    FinishOutcome,
    OrderKind,
    PrunePlan,
    Query,
)
from continuum_core.journal.records import RecordKind, RunStatus
from continuum_core.testing.conformance.carried import departing, dump_of, left, opened
from continuum_core.testing.conformance.given import (
    FAR,
    MOMENT,
    finish,
    hold_task,
    new_id,
    new_task,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    claimed_task,
    claimed_tasks,
    committed,
    delivered,
    finished,
    ordered,
    passed,
    row,
    seen,
    started,
    tried,
    waiting,
)


async def test_a_departed_run_is_over_here(kit: Kit) -> None:
    """Promise 23: it is terminated with a record that keeps the image; nothing of it can go on."""
    journal, carrier = await opened(kit)
    run_id = await waiting(journal, {"tasks": (new_task(1),), "deliveries": ()})
    task = await claimed_task(journal)
    await finished(journal, finish(task, FinishKind.RETURN))
    await delivered(journal, signal(run_id, dedupe="d"))
    claim, now = await claimed_one(journal)
    late = turn(claim, now, (b"late;",))
    assert await carrier.depart([departing(await dump_of(journal, run_id))]) == [DepartOutcome.BUSY]
    await ordered(journal, OrderKind.SUSPEND, run_id)
    dumped = await dump_of(journal, run_id)
    departure = departing(dumped)
    assert await carrier.depart([departure]) == [DepartOutcome.DEPARTED]
    left = await seen(journal, run_id)
    run = left.run
    assert (run.status, run.cause, run.outcome) == (RunStatus.TERMINATED, MOVING, b"left")
    assert (run.version, run.commit_id) == (dumped.image.run.version + 1, departure.id)
    assert run.fence > dumped.image.run.fence
    assert (left.deliveries, left.tasks, left.dead) == ((), (), ())
    last = (await journal.history(run_id))[-1]
    assert (last.kind, last.body, last.cause) == (RecordKind.CONTROL, b"moved", departure.id)
    assert await tried(journal, late) is CommitOutcome.LOST
    assert (await finished(journal, finish(task))).outcome is FinishOutcome.GONE
    assert (await claimed_tasks(journal)).tasks == ()
    assert [
        answer.outcome for answer in await journal.deliver([signal(run_id), signal(run_id, dedupe="d")])
    ] == [
        DeliverOutcome.RUN_OVER,
        DeliverOutcome.DUPLICATE,
    ]


async def test_a_departure_is_known_again(kit: Kit) -> None:
    """Promise 23: its repeat is told DEPARTED; another's departure that the run is over."""
    journal, carrier = await opened(kit)
    run_id = await waiting(journal)
    dumped = await dump_of(journal, run_id)
    departure = departing(dumped)
    assert await carrier.depart([departure, departure]) == [DepartOutcome.DEPARTED] * 2
    assert await carrier.depart([departure]) == [DepartOutcome.DEPARTED]
    assert await carrier.depart([departing(dumped)]) == [DepartOutcome.RUN_OVER]
    assert await carrier.depart([departing(dumped, run_id=new_id())]) == [DepartOutcome.UNKNOWN_RUN]
    assert [record.version for record in await journal.history(run_id)] == [1, 2]


async def test_only_what_was_dumped_departs(kit: Kit) -> None:
    """Promise 23: a delivery, an order, a turn or a task's attempt since then: it stays, as it is."""
    journal, carrier = await opened(kit)
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    other_run = await waiting(journal)

    async def changed(dumped: Dumped) -> None:
        before = await seen(journal, run_id)
        assert await carrier.depart([departing(dumped)]) == [DepartOutcome.CHANGED]
        assert await seen(journal, run_id) == before

    dumped = await dump_of(journal, run_id)
    await delivered(journal, signal(run_id))
    await changed(dumped)
    dumped = await dump_of(journal, run_id)
    await ordered(journal, OrderKind.SUSPEND, run_id)
    await changed(dumped)
    dumped = await dump_of(journal, run_id)
    task = await claimed_task(journal)
    await finished(journal, finish(task, FinishKind.RETRY, failure=b"f"))
    await changed(dumped)
    pair = [await dump_of(journal, run_id), await dump_of(journal, other_run)]
    await delivered(journal, signal(run_id))
    outcomes = await carrier.depart([departing(each) for each in pair])
    assert outcomes == [DepartOutcome.CHANGED, DepartOutcome.DEPARTED]


async def test_who_is_held_does_not_depart(kit: Kit) -> None:
    """Promise 23: not while a worker has it or a task of it on a live lease; an expired one is none."""
    journal, carrier = await opened(kit)
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal)
    assert await carrier.depart([departing(await dump_of(journal, run_id))]) == [DepartOutcome.BUSY]
    await journal.heartbeat([hold_task(task)], MOMENT)
    await passed(journal, await journal.now() + MOMENT)
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal, lease=MOMENT)
    await passed(journal, now + MOMENT)
    assert await carrier.depart([departing(await dump_of(journal, run_id))]) == [DepartOutcome.DEPARTED]
    assert await tried(journal, turn(claim, now)) is CommitOutcome.LOST
    assert (await finished(journal, finish(task))).outcome is FinishOutcome.GONE


async def test_a_moving_run_is_kept_until_it_has_arrived(kit: Kit) -> None:
    """Promise 23: neither pruned nor erased before it is settled; settling touches no other run."""
    journal, carrier = await opened(kit)
    run_id, suspended = await waiting(journal), await waiting(journal)
    await ordered(journal, OrderKind.SUSPEND, suspended, cause=MOVING)
    await left(journal, run_id)
    version = Version(run_id, (await row(journal, run_id)).commit_id)
    for plan in (PrunePlan(before=FAR, limit=10, dry_run=True), PrunePlan(before=FAR, limit=10)):
        assert (await journal.prune(plan)).runs == 0
    assert await carrier.erase([version]) == [False]
    await carrier.settle([Arrival(run_id), Arrival(suspended), Arrival(new_id())])
    assert (await row(journal, run_id)).cause == ""
    assert (await row(journal, suspended)).cause == MOVING
    assert (await journal.prune(PrunePlan(before=FAR, limit=10))).runs == 1


async def test_what_came_after_a_run_had_left_is_kept_until_it_is_sent_on(kit: Kit) -> None:
    """Promise 23: a message to a run that left is buried; settling drops what it names, and only that."""
    journal, carrier = await opened(kit)
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id, b"before"))
    await left(journal, run_id)
    await started(journal)
    claim, now = await claimed_one(journal)
    sent = (signal(run_id, b"one"), signal(run_id, b"two"))
    await committed(journal, turn(claim, now, deliveries=sent))
    assert [letter.delivery.payload for letter in (await seen(journal, run_id)).dead] == [b"one", b"two"]
    await carrier.settle([Arrival(run_id, (sent[0].id, new_id()))])
    assert [letter.delivery.payload for letter in (await seen(journal, run_id)).dead] == [b"two"]
    await carrier.settle([Arrival(run_id, (sent[1].id,))])
    assert (await seen(journal, run_id)).dead == ()


async def test_erased_is_what_was_named(kit: Kit) -> None:
    """Promise 23: whole ended runs at the version that was read; never the living, never another version."""
    journal, carrier = await opened(kit)
    ended, kept, living = [await waiting(journal) for _ in range(3)]
    for run_id in (ended, kept):
        await delivered(journal, signal(run_id))
        await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    versions = [Version(run_id, (await row(journal, run_id)).commit_id) for run_id in (ended, living)]
    wrong = [*versions, Version(kept, new_id()), Version(new_id(), None)]
    assert await carrier.erase(wrong) == [True, False, False, False]
    assert (await journal.inspect(ended), await journal.history(ended)) == (None, [])
    assert [run.run_id for run in (await journal.list(Query())).runs] == [living, kept]
    assert await carrier.erase(versions) == [False, False]
