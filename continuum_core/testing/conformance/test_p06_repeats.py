"""Promise 6: repeating a verb with the same ids changes nothing more and gives the same answer."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from continuum_core.journal.commit import (
    CommitOutcome,
    DeliverOutcome,
    FinishKind,
    FinishOutcome,
    OrderKind,
    OrderOutcome,
    StartOutcome,
)
from continuum_core.journal.protocol import Capability, Limits
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Definition, DeliveryKind, Held, RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    MOMENT,
    TAKES,
    finish,
    first_turn,
    fused,
    hold_run,
    new_id,
    new_run,
    new_task,
    order,
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
    ordered,
    passed,
    row,
    seen,
    started,
    waiting,
)


async def test_a_repeated_start_is_one_run(kit: Kit) -> None:
    """Promise 6: the repeat is told that the run exists; nothing is written again."""
    journal = await kit.open()
    new = new_run()
    (first,) = await journal.start([new])
    before = await seen(journal, new.run_id)
    (second,) = await journal.start([new])
    assert (first.outcome, second.outcome) == (StartOutcome.STARTED, StartOutcome.EXISTS)
    assert second.status is RunStatus.RUNNING
    assert await seen(journal, new.run_id) == before


async def test_a_repeated_delivery_is_stored_once(kit: Kit) -> None:
    """Promise 6: while it is pending, the same delivery is answered the same, with or without a dedupe id."""
    journal = await kit.open()
    run_id = await waiting(journal)
    plain, late = signal(run_id), timer(run_id, FAR)
    first = await journal.deliver([plain, late])
    before = await seen(journal, run_id)
    assert await journal.deliver([plain, late]) == first
    assert await seen(journal, run_id) == before
    named = signal(run_id, dedupe="name")
    answers = [(await journal.deliver([named]))[0] for _ in range(2)]
    assert [answer.outcome for answer in answers] == [DeliverOutcome.ACCEPTED, DeliverOutcome.DUPLICATE]
    assert answers[1].due >= answers[0].due
    assert len((await seen(journal, run_id)).deliveries) == 3


async def test_a_repeated_claim_returns_what_it_holds(kit: Kit) -> None:
    """Promise 6: same runs, same fences, same leases, nothing more, until its holder gave them back."""
    journal = await kit.open()
    for _ in range(3):
        await started(journal)
    claim_id = new_id()
    first = await journal.claim_runs(claim_id, 2, HOUR, TAKES)
    second = await journal.claim_runs(claim_id, 2, HOUR, TAKES)
    assert len(first.runs) == 2
    assert second.runs == first.runs
    await committed(journal, turn(first.runs[0], first.now))
    third = await journal.claim_runs(claim_id, 2, HOUR, TAKES)
    assert third.runs == first.runs[1:]
    await journal.release([hold_run(first.runs[1])])
    fourth = await journal.claim_runs(claim_id, 2, HOUR, TAKES)
    assert len(fourth.runs) == 2


async def test_a_repeated_claim_does_not_return_what_was_taken_away(kit: Kit) -> None:
    """Promise 6: an order clears the claim id, so a late repeat does not hand the run out again."""
    journal = await kit.open()
    run_id = await started(journal)
    claim_id = new_id()
    await journal.claim_runs(claim_id, 10, HOUR, TAKES)
    await journal.control([order(OrderKind.SUSPEND, run_id)])
    assert (await journal.claim_runs(claim_id, 10, HOUR, TAKES)).runs == ()


@pytest.mark.parametrize("followed", [False, True], ids=["at once", "after others"])
async def test_a_repeated_commit_stands_once(kit: Kit, followed: bool) -> None:
    """Promise 6: a commit that stands is told so again, also when others have followed it since."""
    journal = await kit.open()
    run_id = await started(journal)
    other = await started(journal)
    claims = await journal.claim_runs(new_id(), 10, HOUR, TAKES)
    claim = next(one for one in claims.runs if one.run_id == run_id)
    born = new_task(1, lease=HOUR, claim_id=new_id())
    commit = turn(claim, claims.now, (b"a;", b"b;"), deliveries=(signal(other, b"once"),), tasks=(born,))
    first = await committed(journal, commit)
    if followed:
        await delivered(journal, signal(run_id))
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now))
    before, before_other = await seen(journal, run_id), await seen(journal, other)
    again = await committed(journal, commit)
    assert again.tasks == first.tasks
    assert await seen(journal, run_id) == before
    assert await seen(journal, other) == before_other


async def test_a_repeated_fused_turn_stands_once(kit: Kit) -> None:
    """Promise 6: a turn computed ahead that stands is told so again."""
    journal = await kit.open()
    run_id = await waiting(journal)
    commit = fused(await row(journal, run_id), await journal.now())
    await committed(journal, commit)
    await committed(journal, commit)
    assert (await row(journal, run_id)).version == 2


async def test_a_repeated_end_is_told(kit: Kit) -> None:
    """Promise 6: a commit that ended its run is told so again."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    commit = turn(claim, now, status=RunStatus.COMPLETED, outcome=b"over")
    await committed(journal, commit)
    before = await seen(journal, run_id)
    await committed(journal, commit)
    assert await seen(journal, run_id) == before


async def test_a_repeated_claim_of_tasks_returns_what_it_holds(kit: Kit) -> None:
    """Promise 6: same tasks, same fences, nothing more; those born claimed under the id included."""
    journal = await kit.open()
    claim_id = new_id()
    born = new_task(9, lease=HOUR, claim_id=claim_id, queue="other")
    await waiting(journal, {"tasks": (*(new_task(1, slot) for slot in range(3)), born)})
    mine = await claimed_tasks(journal, want(limit=2), claim_id=claim_id)
    assert [claim.task.queue for claim in mine.tasks] == ["other"]
    await journal.finish([finish(mine.tasks[0])])
    first = await claimed_tasks(journal, want(limit=2), claim_id=claim_id)
    second = await claimed_tasks(journal, want(limit=2), claim_id=claim_id)
    assert len(first.tasks) == 2
    assert second.tasks == first.tasks


async def test_a_repeated_claim_of_tasks_takes_no_more_tokens_and_no_turn(kit: Kit) -> None:
    """Promise 6: what a limited queue gave once is given again, and is paid for once."""
    journal = await kit.open()
    await waiting(journal, {"tasks": tuple(new_task(1, slot, fairness="abc"[slot % 3]) for slot in range(9))})
    claim_id = new_id()
    limited = want(2, cap=4, rate=Rate(1, HOUR, 3))
    first = await claimed_tasks(journal, limited, claim_id=claim_id)
    for _ in range(3):
        assert (await claimed_tasks(journal, limited, claim_id=claim_id)).tasks == first.tasks
    assert [claim.task.fairness for claim in first.tasks] == ["a", "b"]
    assert [claim.task.fairness for claim in (await claimed_tasks(journal, limited)).tasks] == ["c"]
    assert (await claimed_tasks(journal, limited)).tasks == ()


@pytest.mark.parametrize("kind", list(FinishKind))
async def test_a_repeated_finish_is_told_gone(kit: Kit, kind: FinishKind) -> None:
    """Promise 6: the repeat of a finish, of whatever kind, is GONE and changes nothing."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    end = finish(await claimed_task(journal), kind, delay=HOUR, failure=b"failure")
    (first,) = await journal.finish([end])
    before = await seen(journal, run_id)
    (second,) = await journal.finish([end])
    assert (first.outcome, second.outcome) == (FinishOutcome.FINISHED, FinishOutcome.GONE)
    assert await seen(journal, run_id) == before


@pytest.mark.parametrize("followed", [False, True], ids=["at once", "after others"])
async def test_a_repeated_finish_tells_of_the_turn_that_rode_along(kit: Kit, followed: bool) -> None:
    """Promise 6: GONE, and with it what the turn's own repeat is told, so a lost reply loses no knowledge."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    end = finish(await claimed_task(journal))
    assert end.delivery is not None
    born = new_task(2, lease=HOUR, claim_id=new_id())
    onward = fused(await row(journal, run_id), await journal.now(), (end.delivery.id,), tasks=(born,))
    (first,) = await journal.finish([replace(end, turn=onward)])
    if followed:
        await committed(journal, fused(await row(journal, run_id), await journal.now()))
    name = new_id()
    other = replace(
        onward, commit_id=name, records=tuple(replace(record, commit_id=name) for record in onward.records)
    )
    again, never = await journal.finish([replace(end, turn=onward), replace(end, turn=other)])
    assert (first.outcome, again.outcome) == (FinishOutcome.FINISHED, FinishOutcome.GONE)
    assert first.committed is not None
    assert again.committed is not None
    assert again.committed.outcome is CommitOutcome.COMMITTED
    assert [claim.task.token for claim in again.committed.tasks] == [2]
    assert again.committed.tasks == first.committed.tasks
    assert (never.outcome, never.committed) == (FinishOutcome.GONE, None)


async def test_a_repeated_start_tells_of_the_turn_that_rode_along(kit: Kit) -> None:
    """Promise 6: EXISTS, and with it what the first turn's own repeat is told; not so for another turn."""
    journal = await kit.open()
    new = new_run()
    born = new_task(1, lease=HOUR, claim_id=new_id())
    now = await journal.now()
    first, other = first_turn(new, now, tasks=(born,)), first_turn(new, now)
    (started_,) = await journal.start([replace(new, turn=first)])
    again, never = await journal.start([replace(new, turn=first), replace(new, turn=other)])
    assert (started_.outcome, again.outcome) == (StartOutcome.STARTED, StartOutcome.EXISTS)
    assert started_.committed is not None
    assert again.committed is not None
    assert again.committed.outcome is CommitOutcome.COMMITTED
    assert again.committed.tasks == started_.committed.tasks
    assert (never.outcome, never.committed) == (StartOutcome.EXISTS, None)


@pytest.mark.parametrize("kind", list(OrderKind))
async def test_a_repeated_order_gets_the_first_answer(kit: Kit, kind: OrderKind) -> None:
    """Promise 6: an order's id is kept: the repeat is answered alike, whatever the run is by then."""
    if kind is OrderKind.SET:
        kit.needs(Capability.SEARCH)
    journal = await kit.open()
    run_id = await waiting(journal)
    one = order(kind, run_id, outcome=b"over")
    first = await journal.control([one])
    between = OrderKind.TERMINATE if kind is not OrderKind.TERMINATE else OrderKind.SUSPEND
    await journal.control([order(between, run_id, outcome=b"over")])
    before = await seen(journal, run_id)
    assert await journal.control([one]) == first
    assert first[0].outcome in (OrderOutcome.DONE, OrderOutcome.UNCHANGED)
    assert await seen(journal, run_id) == before


async def test_an_order_that_was_forgotten_brings_its_delivery_once(kit: Kit) -> None:
    """Promise 6: given again behind its window, it takes the place of what it brought, held or not."""
    journal = await kit.open(limits=Limits(dedupe_window=MOMENT))
    run_id = await waiting(journal)
    cancel = order(OrderKind.CANCEL, run_id)
    await journal.control([cancel])
    await ordered(journal, OrderKind.SUSPEND, run_id)
    assert (await claimed(journal)).runs == ()
    assert [delivery.held for delivery in (await seen(journal, run_id)).deliveries] == [Held.PAUSED]
    await passed(journal, await journal.now() + MOMENT)
    (again,) = await journal.control([cancel])
    assert (again.outcome, again.status) == (OrderOutcome.DONE, RunStatus.RUNNING)
    claim, now = await claimed_one(journal)
    assert [delivery.kind for delivery in claim.deliveries] == [DeliveryKind.CANCEL]
    await committed(journal, turn(claim, now))
    assert (await seen(journal, run_id)).deliveries == ()
    assert (await claimed(journal)).runs == ()


@pytest.mark.parametrize("dedupe", [None, "cancel"])
async def test_an_order_that_was_forgotten_offers_anew_what_was_put_off(kit: Kit, dedupe: str | None) -> None:
    """Promise 6: a cancellation that the run has deferred is due again with the order that is given again."""
    journal = await kit.open(limits=Limits(dedupe_window=MOMENT))
    run_id = await waiting(journal)
    cancel = order(OrderKind.CANCEL, run_id)
    if cancel.delivery is not None:
        cancel = replace(cancel, delivery=replace(cancel.delivery, dedupe=dedupe))
    await journal.control([cancel])
    claim, now = await claimed_one(journal)
    deferred = tuple((delivery.id, Held.DEFERRED) for delivery in claim.deliveries)
    await committed(journal, turn(claim, now, consumed=(), hold=deferred))
    assert (await claimed(journal)).runs == ()
    await passed(journal, await journal.now() + MOMENT)
    (again,) = await journal.control([cancel])
    assert (again.outcome, again.status) == (OrderOutcome.DONE, RunStatus.RUNNING)
    assert [delivery.held for delivery in (await seen(journal, run_id)).deliveries] == [Held.NO]
    claim, now = await claimed_one(journal)
    assert [delivery.kind for delivery in claim.deliveries] == [DeliveryKind.CANCEL]
    assert not claim.has_deferred
    if dedupe is not None:  # it waits again, and so its id is taken, however long it waits
        await passed(journal, await journal.now() + MOMENT)
        (other,) = await journal.deliver([signal(run_id, dedupe=dedupe)])
        assert other.outcome is DeliverOutcome.DUPLICATE
    await committed(journal, turn(claim, now))
    assert (await seen(journal, run_id)).deliveries == ()
    assert (await claimed(journal)).runs == ()


async def test_a_repeat_in_one_batch_counts_once(kit: Kit) -> None:
    """Promise 6: the same member twice in a batch takes effect once."""
    journal = await kit.open()
    new = new_run()
    starts = await journal.start([new, new])
    assert [answer.outcome for answer in starts] == [StartOutcome.STARTED, StartOutcome.EXISTS]
    claim, now = await claimed_one(journal)
    commit = turn(claim, now)
    answers = await journal.commit([commit, commit])
    assert [answer.outcome for answer in answers] == [CommitOutcome.COMMITTED] * 2
    message = signal(new.run_id, dedupe="name")
    outcomes = [answer.outcome for answer in await journal.deliver([message, message])]
    assert outcomes == [DeliverOutcome.ACCEPTED, DeliverOutcome.DUPLICATE]
    assert (await row(journal, new.run_id)).version == 1


async def test_known_definitions_are_left_as_they_are(kit: Kit) -> None:
    """Promise 6: a fingerprint names one definition for good."""
    journal = await kit.open()
    one = Definition(fingerprint="f1", machine="m", version=1, body=b"one")
    two = Definition(fingerprint="f2", machine="m", version=2, body=b"two")
    await journal.define([two, one])
    await journal.define([Definition(fingerprint="f1", machine="m", version=1, body=b"other"), two])
    assert await journal.definitions() == [one, two]
