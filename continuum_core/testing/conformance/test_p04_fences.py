"""Promise 4: fences only grow, those of tasks too: max(last + 1, the journal's clock)."""

from __future__ import annotations

import pytest

from continuum_core.journal.commit import FinishKind, OrderKind
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import (
    HOUR,
    MOMENT,
    finish,
    hold_run,
    new_id,
    new_task,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    claimed_task,
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

_AFTER = 100
"""So many microseconds behind a grant, the last fence and one more are below the clock."""


async def test_fences_of_a_run_grow(kit: Kit) -> None:
    """Promise 4: every claim and every order grants a higher fence than all before."""
    journal = await kit.open()
    run_id = await started(journal)
    fences = [(await row(journal, run_id)).fence]
    claim, _ = await claimed_one(journal)
    fences.append(claim.fence)
    await journal.release([hold_run(claim)])
    claim, _ = await claimed_one(journal, lease=MOMENT)
    fences.append(claim.fence)
    await passed(journal, claim.lease_until)
    claim, now = await claimed_one(journal)
    fences.append(claim.fence)
    await committed(journal, turn(claim, now))
    for kind in (OrderKind.SUSPEND, OrderKind.RESUME, OrderKind.CANCEL, OrderKind.TERMINATE):
        await ordered(journal, kind, run_id, outcome=b"")
        fences.append((await row(journal, run_id)).fence)
    assert fences == sorted(set(fences))


async def test_a_first_fence_is_not_below_the_clock(kit: Kit) -> None:
    """Promise 4: fences start from the journal's time, so a store set back in time grants none twice."""
    journal = await kit.open()
    before = await journal.now()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    assert before <= claim.fence
    born = new_task(1, lease=HOUR, claim_id=new_id())
    answer = await committed(journal, turn(claim, now, tasks=(born, new_task(2))))
    assert before <= answer.tasks[0].task.fence
    task = await claimed_task(journal)
    assert before <= task.task.fence
    assert (await row(journal, run_id)).fence == claim.fence


@pytest.mark.parametrize("kind", [OrderKind.SUSPEND, OrderKind.CANCEL, OrderKind.TERMINATE, None])
async def test_no_fence_is_below_the_clock(kit: Kit, kind: OrderKind | None) -> None:
    """Promise 4: nor is one that an order or a parking grants: it may be the first behind a lost tail."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    claim, _ = await claimed_one(journal)
    await passed(journal, claim.fence + _AFTER)
    before = await journal.now()
    if kind is None:
        await committed(journal, turn(claim, before, status=RunStatus.PARKED, cause="c"))
    else:
        await ordered(journal, kind, run_id, outcome=b"over")
    assert before <= (await row(journal, run_id)).fence


async def test_fences_of_a_task_grow(kit: Kit) -> None:
    """Promise 4: a task's fence grows with every claim, over retries, returns and losses."""
    journal = await kit.open(limits=Limits(loss_backoff=MOMENT))
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    fences = [0]
    for kind in (FinishKind.RETRY, FinishKind.RETURN):
        task = await claimed_task(journal)
        fences.append(task.task.fence)
        await finished(journal, finish(task, kind))
        assert (await seen(journal, run_id)).tasks[0].fence >= task.task.fence
    lost = await claimed_task(journal, lease=MOMENT)
    await passed(journal, await journal.now() + MOMENT)
    fences += [lost.task.fence, (await task_after_loss(journal)).task.fence]
    assert fences == sorted(set(fences))


async def test_a_repeated_claim_keeps_its_fence(kit: Kit) -> None:
    """Promise 4: only a new grant bumps the fence: renewals, deliveries and repeats do not."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, _ = await claimed_one(journal)
    await journal.renew([hold_run(claim)], HOUR)
    await delivered(journal, signal(run_id))
    assert (await row(journal, run_id)).fence == claim.fence
