"""Promise 12: a task is finished once, by the holder of its fence; a repeat is told GONE, another LOST."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from continuum_core.journal.commit import (
    CommitOutcome,
    FinishKind,
    FinishOutcome,
    OrderKind,
    PrunePlan,
    ReserveOutcome,
)
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.journal.records import DeliveryKind, RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    MOMENT,
    finish,
    fused,
    new_id,
    new_task,
    reservation,
    signal,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    apart,
    claimed,
    claimed_one,
    claimed_task,
    claimed_tasks,
    delivered,
    finished,
    ordered,
    passed,
    payloads,
    row,
    seen,
    task_after_loss,
    waiting,
)


@pytest.mark.parametrize("kind", [FinishKind.DONE, FinishKind.FAILED])
async def test_an_end_delivers_its_outcome(kit: Kit, kind: FinishKind) -> None:
    """Promise 12: the row goes and the outcome comes, together; whatever became of the run's lease."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(3, 4),)})
    task = await claimed_task(journal)
    await delivered(journal, signal(run_id))
    await claimed_one(journal)  # somebody else holds the run meanwhile
    assert (await finished(journal, finish(task, kind))).outcome is FinishOutcome.FINISHED
    inspection = await seen(journal, run_id)
    assert inspection.tasks == ()
    told = inspection.deliveries[-1]
    assert (told.kind, told.token, told.slot) == (DeliveryKind.OUTCOME, 3, 4)


async def test_a_retry_counts_and_keeps_the_failure(kit: Kit) -> None:
    """Promise 12: RETRY reopens with `attempt` grown and delivers nothing; RETURN counts nothing."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal)
    await finished(journal, finish(task, FinishKind.RETRY, failure=b"failure"))
    again = await claimed_task(journal)
    assert (again.task.attempt, again.task.failure, again.task.losses) == (1, b"failure", 0)
    await finished(journal, finish(again, FinishKind.RETURN))
    third = await claimed_task(journal)
    assert (third.task.attempt, third.task.failure) == (1, b"failure")
    assert (await seen(journal, run_id)).deliveries == ()


@pytest.mark.parametrize("kind", [FinishKind.RETRY, FinishKind.RETURN])
async def test_losses_outlive_reports(kit: Kit, kind: FinishKind) -> None:
    """Promise 12: a report that reopens the task forgives no lease that was lost: it stays a suspect."""
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal, lease=MOMENT)
    for lease in (MOMENT, HOUR):
        await passed(journal, await journal.now() + MOMENT)
        task = await task_after_loss(journal, lease=lease)
    assert (await finished(journal, finish(task, kind))).outcome is FinishOutcome.FINISHED
    assert [one.losses for one in (await seen(journal, run_id)).tasks] == [2]
    assert (await claimed_task(journal)).task.losses == 2


async def test_another_holder_is_told_lost(kit: Kit) -> None:
    """Promise 12: a stale fence changes nothing; the holder's end then stands."""
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    first = await claimed_task(journal, lease=MOMENT)
    await passed(journal, await journal.now() + MOMENT)
    second = await task_after_loss(journal)
    before = await seen(journal, run_id)
    for kind in FinishKind:
        assert (await finished(journal, finish(first, kind))).outcome is FinishOutcome.LOST
    assert await seen(journal, run_id) == before
    assert (await finished(journal, finish(second))).outcome is FinishOutcome.FINISHED
    assert (await finished(journal, finish(first))).outcome is FinishOutcome.GONE


async def test_a_retry_ends_its_fence(kit: Kit) -> None:
    """Promise 12: who gave a task back for a retry cannot finish it after all; it is told GONE."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    first = await claimed_task(journal)
    await finished(journal, finish(first, FinishKind.RETRY))
    assert (await finished(journal, finish(first))).outcome is FinishOutcome.GONE
    second = await claimed_task(journal)
    assert (await finished(journal, finish(first))).outcome is FinishOutcome.GONE
    assert (await finished(journal, finish(second))).outcome is FinishOutcome.FINISHED
    assert len((await seen(journal, run_id)).deliveries) == 1


async def test_one_of_racing_ends_counts(kit: Kit) -> None:
    """Promise 12: the same end from several threads delivers once."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal)

    async def end(sibling: Journal) -> FinishOutcome:
        return (await sibling.finish([finish(task)]))[0].outcome

    outcomes = apart(journal, [end] * 4)
    assert sorted(outcome.value for outcome in outcomes) == ["finished", "gone", "gone", "gone"]
    assert len((await seen(journal, run_id)).deliveries) == 1


async def test_a_batch_of_ends_stands_by_member(kit: Kit) -> None:
    """Promise 12: each member is answered for itself."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": tuple(new_task(1, slot) for slot in range(3))})
    one, two, three = (await claimed_tasks(journal)).tasks
    stale = replace(finish(two), fence=two.task.fence - 1)
    unknown = replace(finish(one), run_id=new_id())
    answers = await journal.finish([finish(one), stale, unknown, finish(three)])
    done, lost, gone = FinishOutcome.FINISHED, FinishOutcome.LOST, FinishOutcome.GONE
    assert [answer.outcome for answer in answers] == [done, lost, gone, done]
    assert [delivery.slot for delivery in (await seen(journal, run_id)).deliveries] == [0, 2]


async def test_an_unclaimed_task_is_nobodys_to_finish(kit: Kit) -> None:
    """Promise 12: fence 0 is no holder's."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(await kit.open())
    await finished(journal, finish(task, FinishKind.RETURN))
    never = replace(finish(task), fence=0)
    assert (await finished(journal, never)).outcome is FinishOutcome.LOST
    assert len((await seen(journal, run_id)).tasks) == 1


async def test_a_cancelled_task_is_not_retried(kit: Kit) -> None:
    """Promise 12: a retry of what was asked to stop removes it; its outcome is still delivered when DONE."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1, 0), new_task(1, 1))})
    one, two = (await claimed_tasks(journal)).tasks
    await journal.commit([fused(await row(journal, run_id), await journal.now(), closed=(1,))])
    answers = await journal.finish([finish(one, FinishKind.RETRY), finish(two)])
    assert [answer.outcome for answer in answers] == [FinishOutcome.FINISHED] * 2
    inspection = await seen(journal, run_id)
    assert inspection.tasks == ()
    assert [delivery.slot for delivery in inspection.deliveries] == [1]


async def test_an_end_after_the_runs_end_is_told_gone(kit: Kit) -> None:
    """Promise 12: nothing is delivered to an ended run, and the row goes; a stranger is still LOST."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal)
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    stranger = replace(finish(task), fence=task.task.fence + 1)
    assert (await finished(journal, stranger)).outcome is FinishOutcome.LOST
    assert (await finished(journal, finish(task))).outcome is FinishOutcome.GONE
    inspection = await seen(journal, run_id)
    assert (inspection.deliveries, inspection.tasks, inspection.dead) == ((), (), ())


# --- ends with the next turn ---------------------------------------------------------------------------


async def test_an_end_may_carry_the_next_turn(kit: Kit) -> None:
    """Promise 12: outcome delivered and consumed, next task born claimed, in one verb."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    end = finish(await claimed_task(journal))
    assert end.delivery is not None
    born = new_task(2, lease=HOUR, claim_id=new_id())
    next_turn = fused(
        await row(journal, run_id), await journal.now(), (end.delivery.id,), tasks=(born,), closed=(1,)
    )
    answer = await finished(journal, replace(end, turn=next_turn))
    assert answer.outcome is FinishOutcome.FINISHED
    assert answer.committed is not None
    assert answer.committed.outcome is CommitOutcome.COMMITTED
    assert [claim.task.token for claim in answer.committed.tasks] == [2]
    inspection = await seen(journal, run_id)
    assert (inspection.run.version, inspection.deliveries) == (2, ())
    assert [task.token for task in inspection.tasks] == [2]
    (repeated,) = await journal.finish([replace(end, turn=next_turn)])
    assert repeated.outcome is FinishOutcome.GONE
    assert await seen(journal, run_id) == inspection


@pytest.mark.parametrize("why", ["due delivery", "lease", "version", "clock", "suspended"])
async def test_a_refused_turn_leaves_the_end_alone(kit: Kit, why: str) -> None:
    """Promise 12: then the finish stands, and its outcome waits to be claimed."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    end = finish(await claimed_task(journal))
    assert end.delivery is not None
    run = await row(journal, run_id)
    now = await journal.now()
    if why in ("due delivery", "lease"):
        await delivered(journal, signal(run_id))
    if why == "lease":
        await claimed_one(journal)
    if why == "version":
        await journal.commit([fused(run, now)])
    if why == "suspended":
        await ordered(journal, OrderKind.SUSPEND, run_id)
    next_turn = fused(run, now + (HOUR if why == "clock" else 0), (end.delivery.id,), (b"never;",))
    answer = await finished(journal, replace(end, turn=next_turn))
    assert answer.outcome is FinishOutcome.FINISHED
    assert answer.committed is not None
    assert answer.committed.outcome is CommitOutcome.REFUSED
    inspection = await seen(journal, run_id)
    assert b"never;" not in inspection.run.snapshot
    assert payloads(inspection.deliveries)[-1] == b"outcome"
    assert inspection.tasks == ()


async def test_a_turn_that_rides_on_two_ends_is_written_once(kit: Kit) -> None:
    """Promise 12: the outcome that comes with its repeat is delivered, and waits to be claimed."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1), new_task(2))})
    ends = [finish(claim) for claim in (await claimed_tasks(journal)).tasks]
    outcomes = [end.delivery for end in ends if end.delivery is not None]
    both = fused(await row(journal, run_id), await journal.now(), tuple(outcome.id for outcome in outcomes))
    told = await journal.finish([replace(end, turn=both) for end in ends])
    answers = [answer.committed for answer in told if answer.committed is not None]
    assert [answer.outcome for answer in answers] == [CommitOutcome.COMMITTED] * 2
    assert answers[1].more
    inspection = await seen(journal, run_id)
    assert (inspection.run.version, payloads(inspection.deliveries)) == (2, [b"outcome"])


async def test_an_outcome_that_was_delivered_already_is_consumed(kit: Kit) -> None:
    """Promise 12: whoever delivered it, the turn that rides along leaves nothing of it."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    end = finish(await claimed_task(journal))
    assert end.delivery is not None
    await delivered(journal, end.delivery)
    next_turn = fused(await row(journal, run_id), await journal.now(), (end.delivery.id,))
    answer = await finished(journal, replace(end, turn=next_turn))
    assert answer.committed is not None
    assert answer.committed.outcome is CommitOutcome.COMMITTED
    inspection = await seen(journal, run_id)
    assert (inspection.run.version, inspection.deliveries) == (2, ())


async def test_a_turn_may_end_the_run(kit: Kit) -> None:
    """Promise 12: a turn that rides along may be the last one."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    end = finish(await claimed_task(journal))
    assert end.delivery is not None
    last = fused(
        await row(journal, run_id),
        await journal.now(),
        (end.delivery.id,),
        status=RunStatus.COMPLETED,
        outcome=b"over",
    )
    await finished(journal, replace(end, turn=last))
    assert (await row(journal, run_id)).status is RunStatus.COMPLETED
    assert (await claimed(journal)).runs == ()


# --- keyed results -----------------------------------------------------------------------------------


async def test_a_keyed_result_is_run_once(kit: Kit) -> None:
    """Promise 12: reserved by one, busy for others, then done with its result for all."""
    journal = await kit.open()
    await waiting(journal, {"tasks": tuple(new_task(1, slot, key="key") for slot in range(2))})
    one, two = (await claimed_tasks(journal)).tasks
    first, second = await journal.reserve([reservation(one.task), reservation(two.task)])
    assert first.outcome is ReserveOutcome.RESERVED
    assert second.outcome is ReserveOutcome.BUSY
    assert second.until is not None
    assert second.until > await journal.now()
    (renewed,) = await journal.reserve([reservation(one.task)])
    assert renewed.outcome is ReserveOutcome.RESERVED
    await finished(journal, finish(one, result=b"result"))
    done, other = await journal.reserve([reservation(two.task), reservation(two.task, key="other")])
    assert (done.outcome, done.result) == (ReserveOutcome.DONE, b"result")
    assert other.outcome is ReserveOutcome.RESERVED


@pytest.mark.parametrize("kind", [FinishKind.FAILED, FinishKind.CANCELLED])
async def test_a_failure_frees_its_reservation(kit: Kit, kind: FinishKind) -> None:
    """Promise 12: a failure is nobody's result: the next may run the body."""
    journal = await kit.open()
    await waiting(journal, {"tasks": tuple(new_task(1, slot, key="key") for slot in range(2))})
    one, two = (await claimed_tasks(journal)).tasks
    await journal.reserve([reservation(one.task)])
    await finished(journal, finish(one, kind))
    (free,) = await journal.reserve([reservation(two.task)])
    assert free.outcome is ReserveOutcome.RESERVED


async def test_a_retry_keeps_its_reservation(kit: Kit) -> None:
    """Promise 12: the task will go on; others wait until the reservation expires."""
    journal = await kit.open()
    await waiting(journal, {"tasks": tuple(new_task(1, slot, key="key") for slot in range(2))})
    one, two = (await claimed_tasks(journal)).tasks
    await journal.reserve([reservation(one.task)])
    await finished(journal, finish(one, FinishKind.RETRY))
    (busy,) = await journal.reserve([reservation(two.task)])
    assert busy.outcome is ReserveOutcome.BUSY


async def test_a_reservation_expires(kit: Kit) -> None:
    """Promise 12: whoever reserved and died keeps nobody waiting; of two results the first stays."""
    journal = await kit.open()
    await waiting(journal, {"tasks": tuple(new_task(1, slot, key="key") for slot in range(3))})
    one, two, three = (await claimed_tasks(journal)).tasks
    await journal.reserve([reservation(one.task, lease=MOMENT)])
    await passed(journal, await journal.now() + MOMENT)
    (free,) = await journal.reserve([reservation(two.task)])
    assert free.outcome is ReserveOutcome.RESERVED
    await journal.finish([finish(two, result=b"two"), finish(one, result=b"one")])
    (known,) = await journal.reserve([reservation(three.task)])
    assert (known.outcome, known.result) == (ReserveOutcome.DONE, b"two")


async def test_a_failure_frees_nobody_elses_reservation(kit: Kit) -> None:
    """Promise 12: who came too late for its own reservation leaves the next one's alone."""
    journal = await kit.open()
    await waiting(journal, {"tasks": tuple(new_task(1, slot, key="key") for slot in range(3))})
    one, two, three = (await claimed_tasks(journal)).tasks
    await journal.reserve([reservation(one.task, lease=MOMENT)])
    await passed(journal, await journal.now() + MOMENT)
    await journal.reserve([reservation(two.task)])
    await finished(journal, finish(one, FinishKind.FAILED))
    (busy,) = await journal.reserve([reservation(three.task)])
    assert busy.outcome is ReserveOutcome.BUSY


async def test_an_attempt_that_went_back_settles_nothing(kit: Kit) -> None:
    """Promise 12: the first end of an attempt counts, also in one call: nothing of later ones is kept."""
    journal = await kit.open()
    await waiting(journal, {"tasks": (new_task(key="key"),)})
    task = await claimed_task(journal)
    ends = await journal.finish([finish(task, FinishKind.RETRY), finish(task), finish(task, result=b"late")])
    assert [end.outcome for end in ends] == [FinishOutcome.FINISHED, FinishOutcome.GONE, FinishOutcome.GONE]
    assert (await journal.prune(PrunePlan(before=FAR, limit=10))).expired == 0
    (answer,) = await journal.reserve([reservation(task.task, HOUR)])
    assert answer.outcome is ReserveOutcome.RESERVED


async def test_a_result_lasts_for_its_window(kit: Kit) -> None:
    """Promise 12: after the result window the body is run again."""
    journal = await kit.open(limits=Limits(result_window=MOMENT))
    await waiting(journal, {"tasks": tuple(new_task(1, slot, key="key") for slot in range(2))})
    one, two = (await claimed_tasks(journal)).tasks
    await journal.reserve([reservation(one.task)])
    await finished(journal, finish(one, result=b"result"))
    await passed(journal, await journal.now() + MOMENT)
    (again,) = await journal.reserve([reservation(two.task)])
    assert again.outcome is ReserveOutcome.RESERVED


async def test_a_result_of_an_ended_run_counts(kit: Kit) -> None:
    """Promise 12: the body was run, so its keyed result stands although its run is over."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1, key="key"),)})
    task = await claimed_task(journal)
    await journal.reserve([reservation(task.task)])
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    assert (await finished(journal, finish(task, result=b"late"))).outcome is FinishOutcome.GONE
    (known,) = await journal.reserve([replace(reservation(task.task), run_id=new_id())])
    assert (known.outcome, known.result) == (ReserveOutcome.DONE, b"late")
