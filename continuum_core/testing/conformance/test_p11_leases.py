"""Promise 11: of two claimers one wins; a live lease is never claimed; an expired one is, and is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

from continuum_core.journal.commit import (
    DueEntry,
    FinishKind,
    FinishOutcome,
    OrderKind,
)
from continuum_core.journal.protocol import Capability, Journal, Limits
from continuum_core.testing.conformance.given import (
    HOUR,
    MOMENT,
    TAKES,
    finish,
    fused,
    hold_run,
    hold_task,
    new_id,
    new_run,
    new_task,
    signal,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    apart,
    child,
    claimed,
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
    task_after_loss,
    waiting,
)


async def test_a_live_lease_is_not_claimed(kit: Kit) -> None:
    """Promise 11: not even when more becomes due; after the commit it can be claimed again."""
    journal, other = await kit.open(), await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    assert claim.lease_until == now + HOUR
    await delivered(journal, signal(run_id))
    assert (await claimed(other)).runs == ()
    answer = await committed(journal, turn(claim, now))
    assert answer.more
    assert (await claimed_one(other))[0].run_id == run_id


async def test_an_expired_lease_is_claimed_and_counted(kit: Kit) -> None:
    """Promise 11: `tries` grows with every claim and is zeroed by a commit; a release takes one back."""
    journal = await kit.open()
    run_id = await started(journal)
    for tries in (1, 2, 3, 4):
        claim, _ = await claimed_one(journal, lease=MOMENT)
        assert claim.tries == tries
        await passed(journal, claim.lease_until)
    claim, _ = await claimed_one(journal)
    await journal.release([hold_run(claim)])
    assert (await row(journal, run_id)).tries == 4
    claim, now = await claimed_one(journal)
    assert claim.tries == 5
    await committed(journal, turn(claim, now))
    assert (await row(journal, run_id)).tries == 0


async def test_a_renewed_lease_lives_on(kit: Kit) -> None:
    """Promise 11: renewal counts from the journal's time and keeps the run from others."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, _ = await claimed_one(journal, lease=MOMENT)
    assert await journal.renew([hold_run(claim)], HOUR) == [True]
    assert ((await row(journal, run_id)).lease_until or 0) > claim.lease_until
    await passed(journal, claim.lease_until)
    assert (await claimed(journal)).runs == ()


async def test_a_suspect_is_claimed_alone(kit: Kit) -> None:
    """Promise 11: a run with two claims and no commit may be what kills its workers: it comes alone."""
    journal = await kit.open()
    suspect = await started(journal)
    for _ in range(2):
        claim, _ = await claimed_one(journal, lease=MOMENT)
        await passed(journal, claim.lease_until)
    innocent = await started(journal)
    first = await claimed(journal)
    assert [claim.run_id for claim in first.runs] == [suspect]
    second = await claimed(journal)
    assert [claim.run_id for claim in second.runs] == [innocent]


async def test_a_suspect_ends_the_batch_it_is_met_in(kit: Kit) -> None:
    """Promise 11: met behind others it is left for the next claim, which begins with it."""
    journal = await kit.open()
    innocent, suspect = await waiting(journal), await waiting(journal)
    last = await waiting(journal)
    found = signal(suspect, due=20)
    await delivered(journal, found)
    for _ in range(2):
        claim, _ = await claimed_one(journal, lease=MOMENT)
        await passed(journal, claim.lease_until)
    await journal.deliver([signal(innocent, due=10), signal(last, due=30)])
    first = await claimed(journal)
    assert [claim.run_id for claim in first.runs] == [innocent]
    behind = DueEntry(20, found.id)
    assert first.reached == behind
    second = await journal.claim_runs(new_id(), 100, HOUR, TAKES, after=behind)
    assert [claim.run_id for claim in second.runs] == [suspect]
    assert [claim.run_id for claim in (await claimed(journal)).runs] == [last]


async def test_of_racing_claimers_one_wins(kit: Kit) -> None:
    """Promise 11: threads that claim and commit at once take every delivery exactly once."""
    journal = await kit.open()
    ids = [new_id() for _ in range(12)]
    await journal.start([new_run(run_id) for run_id in ids])
    for number in range(5):
        await journal.deliver([signal(run_id, str(number).encode()) for run_id in ids])

    async def work(sibling: Journal) -> Counter[UUID]:
        taken: Counter[UUID] = Counter()
        for _ in range(200):
            claims = await sibling.claim_runs(new_id(), 3, HOUR, TAKES)
            if not claims.runs:
                break
            turns = [turn(c, claims.now, consumed=(c.deliveries[0].id,)) for c in claims.runs]
            answers = await sibling.commit(turns)
            assert {answer.outcome.value for answer in answers} == {"committed"}
            taken.update(claim.deliveries[0].id for claim in claims.runs)
        return taken

    taken: Counter[UUID] = Counter()
    for share in apart(journal, [work] * 4):
        taken += share
    assert set(taken.values()) == {1}
    while (claims := await claimed(journal)).runs:  # what a worker that went home early has left
        await journal.commit([turn(claim, claims.now) for claim in claims.runs])
    for run_id in ids:
        inspection = await seen(journal, run_id)
        assert inspection.deliveries == ()
        versions = [record.version for record in await journal.history(run_id)]
        assert versions == list(range(1, inspection.run.version + 1))


async def test_processes_share_the_work(kit: Kit) -> None:
    """Promise 11 (SHARED): two processes on one store never commit one version twice."""
    kit.needs(Capability.SHARED)
    journal = await kit.open()
    ids = [await started(journal) for _ in range(4)]
    told = await asyncio.gather(child(kit, 15), child(kit, 15))
    for run_id in ids:
        name = str(run_id)
        mine, yours = (share.get(name, []) for share in told)
        assert not set(mine) & set(yours)
        versions = [record.version for record in await journal.history(run_id)]
        assert versions == sorted(mine + yours)


# --- tasks -----------------------------------------------------------------------------------------


async def test_a_task_is_claimed_by_one(kit: Kit) -> None:
    """Promise 11: threads that claim at once share the tasks without overlap."""
    journal = await kit.open()
    await waiting(journal, {"tasks": tuple(new_task(1, slot) for slot in range(30))})

    async def work(sibling: Journal) -> list[int]:
        mine: list[int] = []
        for _ in range(10):
            claims = await sibling.claim_tasks(new_id(), [want(limit=2)], HOUR)
            mine += [claim.task.slot for claim in claims.tasks]
        return mine

    shares = apart(journal, [work] * 3)
    rest = await claimed_tasks(journal)
    everything = [slot for share in shares for slot in share] + [c.task.slot for c in rest.tasks]
    assert sorted(everything) == list(range(30))


async def test_a_lost_task_backs_off_and_is_counted(kit: Kit) -> None:
    """Promise 11: an expired lease counts a loss, waits `losses` times the back-off, and keeps `attempt`."""
    journal = await kit.open(limits=Limits(loss_backoff=HOUR))
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    await claimed_task(journal, lease=MOMENT)
    await passed(journal, await journal.now() + MOMENT)
    claims = await claimed_tasks(journal)
    assert claims.tasks == ()
    (task,) = (await seen(journal, run_id)).tasks
    assert (task.losses, task.attempt, task.claim_id, task.lease_until) == (1, 0, None, None)
    assert task.due == claims.now + HOUR


async def test_losses_grow_and_a_suspect_task_is_claimed_alone(kit: Kit) -> None:
    """Promise 11: a task that was lost twice comes alone."""
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    await waiting(journal, {"tasks": (new_task(1, priority=1),)})
    await claimed_task(journal, lease=MOMENT)
    for losses in (1, 2):
        await passed(journal, await journal.now() + MOMENT)
        lost = await task_after_loss(journal, lease=MOMENT)
        assert lost.task.losses == losses
    await passed(journal, await journal.now() + MOMENT)
    assert (await claimed_tasks(journal)).tasks == ()  # counts the third loss
    await waiting(journal, {"tasks": (new_task(1, priority=2), new_task(2, priority=0))})
    await passed(journal, await journal.now() + 10 * MOMENT)
    claims = [(await claimed_tasks(journal)).tasks for _ in range(4)]
    losses_and_priorities = [[(c.task.losses, c.task.priority) for c in one] for one in claims]
    assert losses_and_priorities == [[(0, 0)], [(3, 1)], [(0, 2)], []]


async def test_a_lost_task_may_still_be_finished_by_its_holder(kit: Kit) -> None:
    """Promise 11: while nobody claimed it again the work of the slow worker counts."""
    journal = await kit.open(limits=Limits(loss_backoff=HOUR))
    await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal, lease=MOMENT)
    await passed(journal, await journal.now() + MOMENT)
    await claimed_tasks(journal)
    assert await journal.heartbeat([hold_task(task)], HOUR) == [None]
    assert (await finished(journal, finish(task))).outcome is FinishOutcome.FINISHED


async def test_a_heartbeat_keeps_a_task(kit: Kit) -> None:
    """Promise 11: it extends the lease and keeps the details; others' tasks are told None."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal, lease=MOMENT)
    stranger = hold_task(task)
    stranger = type(stranger)(run_id=run_id, token=1, slot=0, fence=task.task.fence + 1, details=b"x")
    assert await journal.heartbeat([hold_task(task, b"half"), stranger], HOUR) == [True, None]
    await passed(journal, await journal.now() + MOMENT)
    assert (await claimed_tasks(journal)).tasks == ()
    assert await journal.heartbeat([hold_task(task)], HOUR) == [True]
    (stored,) = (await seen(journal, run_id)).tasks
    assert (stored.details, stored.losses) == (b"half", 0)


async def test_a_heartbeat_tells_of_a_cancel(kit: Kit) -> None:
    """Promise 11: False: still the holder's, but asked to stop."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal)
    await committed(journal, fused(await row(journal, run_id), await journal.now(), closed=(1,)))
    assert await journal.heartbeat([hold_task(task)], HOUR) == [False]
    assert (await finished(journal, finish(task, FinishKind.CANCELLED))).outcome is FinishOutcome.FINISHED
    assert await journal.heartbeat([hold_task(task)], HOUR) == [None]
    assert (await seen(journal, run_id)).deliveries == ()


async def test_a_cancelled_task_without_undo_is_not_claimed_again(kit: Kit) -> None:
    """Promise 11: its lease expired, nobody asks what became of it: the claim that meets it removes it."""
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    run_id = await waiting(journal, {"tasks": (new_task(1, 0), new_task(1, 1, undo=True))})
    await claimed_tasks(journal, lease=MOMENT)
    await committed(journal, fused(await row(journal, run_id), await journal.now(), closed=(1,)))
    await passed(journal, await journal.now() + MOMENT)
    known = await task_after_loss(journal)
    assert (known.task.slot, known.task.undo, known.task.cancel) == (1, True, True)
    assert [task.slot for task in (await seen(journal, run_id)).tasks] == [1]


async def test_an_undo_task_of_an_ended_run_stays_until_it_is_known(kit: Kit) -> None:
    """Promise 11: its outcome must become known, so it can be claimed after a loss, and finished."""
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    run_id = await waiting(journal, {"tasks": (new_task(1, undo=True),)})
    await claimed_task(journal, lease=MOMENT)
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    await passed(journal, await journal.now() + MOMENT)
    known = await task_after_loss(journal)
    assert known.task.cancel
    assert (await finished(journal, finish(known))).outcome is FinishOutcome.GONE
    assert (await seen(journal, run_id)).tasks == ()
