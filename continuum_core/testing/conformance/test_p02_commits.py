"""Promise 2: a commit is all or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from continuum_core.journal.commit import CommitOutcome, FinishKind, FinishOutcome, OrderKind
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import DeliveryKind, Held, RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    MOMENT,
    finish,
    first_turn,
    fused,
    new_id,
    new_run,
    new_task,
    signal,
    timer,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed,
    claimed_one,
    claimed_task,
    claimed_tasks,
    committed,
    delivered,
    finished,
    ordered,
    passed,
    payloads,
    row,
    seen,
    started,
    tried,
    waiting,
)


async def test_a_turn_that_begins_a_generation_counts_it(kit: Kit) -> None:
    """Promise 2: in the run's row and in claims, on every journal; other turns leave the number alone."""
    journal = await kit.open()
    run_id = await waiting(journal)
    for begun, generation in ((True, 1), (False, 1), (True, 2)):
        await delivered(journal, signal(run_id))
        claim, now = await claimed_one(journal)
        begins = claim.version + 2 if begun else 0
        await committed(journal, turn(claim, now, (b"a;", b"b;"), begins=begins))
        assert (await row(journal, run_id)).generation == generation
    await delivered(journal, signal(run_id))
    claim, _ = await claimed_one(journal)
    assert claim.generation == 2


async def test_everything_a_turn_writes_is_there(kit: Kit) -> None:
    """Promise 2: records, snapshot, deliveries, tasks, holds and the other run's message stand together."""
    journal = await kit.open()
    other = await waiting(journal)
    run_id = await waiting(journal)
    for payload in (b"one", b"two", b"three"):
        await delivered(journal, signal(run_id, payload))
    claim, now = await claimed_one(journal)
    one, two, _ = claim.deliveries
    commit = turn(
        claim,
        now,
        (b"a;", b"b;"),
        consumed=(one.id,),
        hold=((two.id, Held.DEFERRED),),
        deliveries=(timer(run_id, FAR), signal(other, b"hello")),
        tasks=(new_task(1, 0), new_task(1, 1, priority=5)),
    )
    answer = await committed(journal, commit)
    inspection = await seen(journal, run_id)
    assert answer.more
    assert inspection.run.version == 3
    assert inspection.run.commit_id == commit.commit_id
    assert inspection.run.snapshot == commit.snapshot
    assert inspection.run.lease_until is None
    assert inspection.run.claim_id is None
    assert inspection.run.tries == 0
    held = {delivery.payload: delivery.held for delivery in inspection.deliveries}
    assert held == {b"two": Held.DEFERRED, b"three": Held.NO, b"timer": Held.NO}
    assert [(task.token, task.slot, task.priority) for task in inspection.tasks] == [(1, 0, 0), (1, 1, 5)]
    assert payloads((await seen(journal, other)).deliveries) == [b"hello"]


async def test_nothing_of_a_lost_turn_is_there(kit: Kit) -> None:
    """Promise 2: a turn that is refused leaves no trace: no record, delivery, task, close or message."""
    journal = await kit.open()
    other = await waiting(journal)
    run_id = await waiting(
        journal,
        {"tasks": (new_task(1),), "deliveries": ()},
    )
    await delivered(journal, timer(run_id, FAR))
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    before, before_other = await seen(journal, run_id), await seen(journal, other)
    commit = turn(
        claim,
        now,
        fence=claim.fence + 1,
        deliveries=(timer(run_id, FAR), signal(other)),
        tasks=(new_task(9),),
        closed=(1,),
        status=RunStatus.COMPLETED,
        outcome=b"over",
    )
    assert await tried(journal, commit) is CommitOutcome.LOST
    assert await seen(journal, run_id) == before
    assert await seen(journal, other) == before_other


async def test_held_deliveries_wait_and_are_released_in_their_old_order(kit: Kit) -> None:
    """Promise 2: DEFERRED deliveries are in no claim; `release` frees all of them, before younger ones."""
    journal = await kit.open()
    run_id = await waiting(journal)
    for payload in (b"one", b"two"):
        await delivered(journal, signal(run_id, payload))
    claim, now = await claimed_one(journal)
    held = tuple((delivery.id, Held.DEFERRED) for delivery in claim.deliveries)
    answer = await committed(journal, turn(claim, now, consumed=(), hold=held))
    assert not answer.more
    assert (await claimed(journal)).runs == ()
    await delivered(journal, signal(run_id, b"three"))
    claim, now = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"three"]
    assert claim.has_deferred
    answer = await committed(journal, turn(claim, now, consumed=(), release=True))
    assert answer.more
    claim, _ = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"one", b"two", b"three"]
    assert not claim.has_deferred


async def test_a_turn_that_nobody_claimed_for_tells_what_it_made_due(kit: Kit) -> None:
    """Promise 2: a message to the run itself, at once, and what it releases; no timer, no mere step."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    held = ((claim.deliveries[0].id, Held.DEFERRED),)
    await committed(journal, turn(claim, now, consumed=(), hold=held))
    told: list[bool] = []
    for release in (False, True):
        step = fused(await row(journal, run_id), now, release=release)
        told.append((await committed(journal, step)).more)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now))
    for sent in (timer(run_id, FAR), signal(run_id)):
        own = fused(await row(journal, run_id), now, deliveries=(sent,))
        told.append((await committed(journal, own)).more)
    assert told == [False, True, False, True]


async def test_a_first_turn_tells_what_it_made_due(kit: Kit) -> None:
    """Promise 2: a run that sends itself a message as it begins has more to do."""
    journal = await kit.open()
    now = await journal.now()
    told: list[bool] = []
    for sends in (False, True):
        new = new_run()
        own = (signal(new.run_id),) if sends else ()
        (answer,) = await journal.start([replace(new, turn=first_turn(new, now, deliveries=own))])
        assert answer.committed is not None
        assert answer.committed.outcome is CommitOutcome.COMMITTED
        told.append(answer.committed.more)
    assert told == [False, True]


async def test_release_covers_what_the_same_turn_held(kit: Kit) -> None:
    """Promise 2: a delivery that one step defers and a later step of the fold frees is free."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    held = ((claim.deliveries[0].id, Held.DEFERRED),)
    answer = await committed(journal, turn(claim, now, consumed=(), hold=held, release=True))
    assert answer.more


async def test_closing_a_token_ends_what_it_had_opened(kit: Kit) -> None:
    """Promise 2: closed tokens lose timers and unstarted tasks, not outcomes; running tasks are to stop."""
    journal = await kit.open()
    run_id = await waiting(
        journal,
        {"tasks": (new_task(1, 0, queue="running"), new_task(1, 1), new_task(2, 0))},
    )
    await claimed_tasks(journal, want(queue="running"))
    late = signal(run_id, kind=DeliveryKind.OUTCOME, token=1, due=FAR)
    for delivery in (timer(run_id, FAR, token=1), timer(run_id, FAR, token=2), late, signal(run_id)):
        await delivered(journal, delivery)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, closed=(1,)))
    inspection = await seen(journal, run_id)
    kept = {(delivery.kind, delivery.token) for delivery in inspection.deliveries}
    assert kept == {(DeliveryKind.TIMER, 2), (DeliveryKind.OUTCOME, 1)}
    left = [(task.token, task.slot, task.cancel) for task in inspection.tasks]
    assert left == [(1, 0, True), (2, 0, False)]


async def test_closing_covers_what_the_same_turn_opened(kit: Kit) -> None:
    """Promise 2: what one step opens and a later step of the fold closes is not there."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    timers = (timer(run_id, FAR, token=1),)
    await committed(journal, turn(claim, now, deliveries=timers, tasks=(new_task(1),), closed=(1,)))
    inspection = await seen(journal, run_id)
    assert inspection.deliveries == ()
    assert inspection.tasks == ()


async def test_a_reported_task_is_unstarted_again(kit: Kit) -> None:
    """Promise 2: a task whose every attempt was reported goes with its token; nobody can be at it."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal)
    await finished(journal, finish(task, FinishKind.RETRY, delay=HOUR, failure=b"failure"))
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, closed=(1,)))
    assert (await seen(journal, run_id)).tasks == ()


@pytest.mark.parametrize("kind", [None, FinishKind.RETRY, FinishKind.RETURN], ids=str)
async def test_an_undo_task_outlives_its_token(kit: Kit, kind: FinishKind | None) -> None:
    """Promise 2: whoever undoes must know what became of it: marked, and claimable until that was told."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1, undo=True), new_task(1, 1))})
    if kind is not None:
        for task in (await claimed_tasks(journal)).tasks:
            await finished(journal, finish(task, kind))
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, closed=(1,)))
    (left,) = (await seen(journal, run_id)).tasks
    assert (left.slot, left.cancel, left.attempt) == (0, True, int(kind is FinishKind.RETRY))
    task = await claimed_task(journal)
    assert (task.task.slot, task.task.cancel, task.task.losses) == (0, True, 0)
    await finished(journal, finish(task, FinishKind.RETRY))
    task = await claimed_task(journal)
    assert (await finished(journal, finish(task))).outcome is FinishOutcome.FINISHED
    inspection = await seen(journal, run_id)
    assert inspection.tasks == ()
    assert [delivery.kind for delivery in inspection.deliveries] == [DeliveryKind.OUTCOME]


async def test_a_lost_task_is_not_unstarted(kit: Kit) -> None:
    """Promise 2: what its worker made of it is not known, so its token's end asks it to stop, no more."""
    journal = await kit.open(limits=Limits(loss_backoff=HOUR))
    run_id = await waiting(journal, {"tasks": (new_task(1, undo=True),)})
    await claimed_tasks(journal, lease=MOMENT)
    await passed(journal, await journal.now() + MOMENT)
    assert (await claimed_tasks(journal)).tasks == ()
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, closed=(1,)))
    (task,) = (await seen(journal, run_id)).tasks
    assert (task.cancel, task.losses, task.lease_until) == (True, 1, None)


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
async def test_an_ended_run_leaves_nothing_open(kit: Kit, status: RunStatus) -> None:
    """Promise 2: the end removes deliveries (signals are kept as dead) and unstarted tasks."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1, 0, queue="running"), new_task(1, 1))})
    running = (await claimed_tasks(journal, want(queue="running"))).tasks[0]
    for delivery in (timer(run_id, FAR), signal(run_id, b"taken"), signal(run_id, b"left")):
        await delivered(journal, delivery)
    claim, now = await claimed_one(journal)
    consumed = tuple(d.id for d in claim.deliveries if d.payload == b"taken")
    await committed(journal, turn(claim, now, consumed=consumed, status=status, outcome=b"over"))
    inspection = await seen(journal, run_id)
    assert (inspection.run.status, inspection.run.outcome) == (status, b"over")
    assert inspection.deliveries == ()
    assert [(letter.delivery.payload, letter.reason) for letter in inspection.dead] == [(b"left", "run over")]
    assert [(task.slot, task.cancel) for task in inspection.tasks] == [(0, True)]
    assert (await finished(journal, finish(running))).outcome.value == "gone"
    assert (await seen(journal, run_id)).tasks == ()


async def test_parking_appends_a_record_and_ends_the_lease(kit: Kit) -> None:
    """Promise 2: a parking keeps the poison held and the tries counted, and bumps the fence."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    poison = ((claim.deliveries[0].id, Held.POISON),)
    commit = turn(claim, now, consumed=(), hold=poison, status=RunStatus.PARKED, cause="it raised")
    await committed(journal, commit)
    inspection = await seen(journal, run_id)
    run = inspection.run
    assert (run.status, run.cause, run.version) == (RunStatus.PARKED, "it raised", 2)
    assert run.fence > claim.fence
    assert (run.lease_until, run.claim_id) == (None, None)
    assert run.tries == claim.tries
    assert [delivery.held for delivery in inspection.deliveries] == [Held.POISON]
    assert (await claimed(journal)).runs == ()


@pytest.mark.parametrize(
    ("ended", "reason"), [(True, "run over"), (False, "unknown run")], ids=["ended", "unknown"]
)
async def test_messages_that_reach_nobody_are_kept(kit: Kit, ended: bool, reason: str) -> None:
    """Promise 2: a turn stands although its message's target is over or unknown; the signal is kept."""
    journal = await kit.open()
    target = await started(journal) if ended else new_id()
    if ended:
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now, status=RunStatus.COMPLETED, outcome=b""))
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    messages = (signal(target, b"too late"), timer(target, FAR))
    await committed(journal, turn(claim, now, deliveries=messages))
    if not ended:
        await started(journal, run_id=target, delivery=signal(target, b"start"))
    dead = (await seen(journal, target)).dead
    assert [(letter.delivery.payload, letter.reason) for letter in dead] == [(b"too late", reason)]
    assert (await row(journal, run_id)).version == 1


async def test_letters_are_told_by_time(kit: Kit) -> None:
    """Promise 2: what reached nobody first is read first, whatever its id."""
    journal = await kit.open()
    target, run_id = await waiting(journal), await waiting(journal)
    await ordered(journal, OrderKind.TERMINATE, target, outcome=b"over")
    second, first = signal(target, b"second"), signal(target, b"first")
    for letter in (first, second):
        run = await row(journal, run_id)
        await committed(journal, fused(run, await journal.now(), deliveries=(letter,)))
        await passed(journal, await journal.now())
    dead = (await seen(journal, target)).dead
    assert [letter.delivery.payload for letter in dead] == [b"first", b"second"]
    assert dead[0].at < dead[1].at


async def test_messages_are_deduplicated_at_their_target(kit: Kit) -> None:
    """Promise 2: a message that a commit repeats under its dedupe id reaches its target once."""
    journal = await kit.open()
    target = await waiting(journal)
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    twice = (signal(target, b"a", dedupe="m"), signal(target, b"b", dedupe="m"))
    await committed(journal, turn(claim, now, deliveries=twice))
    assert payloads((await seen(journal, target)).deliveries) == [b"a"]
    assert (await row(journal, run_id)).version == 1


async def test_tasks_are_born_claimed_where_asked(kit: Kit) -> None:
    """Promise 2: a task with a lease is the committer's from birth, under the claim id it gave."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    claim_id = new_id()
    tasks = (new_task(1, 0, lease=HOUR, claim_id=claim_id), new_task(1, 1))
    answer = await committed(journal, turn(claim, now, tasks=tasks))
    (born,) = answer.tasks
    assert (born.task.token, born.task.slot, born.task.claim_id) == (1, 0, claim_id)
    assert born.task.fence > 0
    assert born.task.lease_until == answer.now + HOUR
    assert (born.machine, born.fingerprint) == (claim.machine, claim.fingerprint)
    assert born.task in (await seen(journal, run_id)).tasks
    assert [one.task.slot for one in (await claimed_tasks(journal)).tasks] == [1]
    assert (await finished(journal, finish(born))).outcome.value == "finished"


@pytest.mark.parametrize("field", ["snapshot", "fingerprint", "cause", "outcome"])
async def test_a_turn_replaces_what_the_run_carries(kit: Kit, field: str) -> None:
    """Promise 2: snapshot, fingerprint, cause and outcome are the last turn's, byte for byte."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    bytes_ = bytes(range(256))
    values: dict[str, Any] = {
        "snapshot": bytes_,
        "fingerprint": "kit-2",
        "cause": "because: ü\n'\"",
        "outcome": bytes_,
    }
    await committed(journal, replace(turn(claim, now), **{field: values[field]}))
    assert getattr(await row(journal, run_id), field) == values[field]
