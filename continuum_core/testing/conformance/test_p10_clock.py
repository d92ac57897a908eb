"""Promise 10: nothing is claimed before the journal's clock says that it is due."""

from __future__ import annotations

from continuum_core.journal.commit import CommitOutcome, FinishKind
from continuum_core.testing.conformance.given import FAR, HOUR, finish, fused, new_task, signal, timer
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed,
    claimed_one,
    claimed_task,
    claimed_tasks,
    committed,
    delivered,
    finished,
    passed,
    payloads,
    row,
    seen,
    started,
    waiting,
)

SOON = 20_000


async def test_a_timer_is_not_claimed_early(kit: Kit) -> None:
    """Promise 10: no claim has it before its due; one soon after has it."""
    journal = await kit.open()
    run_id = await waiting(journal)
    due = await journal.now() + SOON
    await delivered(journal, timer(run_id, due))
    while True:
        claims = await claimed(journal)
        if claims.runs:
            break
        assert claims.next_due in (due, None)
        assert (await seen(journal, run_id)).run.tries == 0
        await passed(journal, claims.now)
    assert claims.now >= due
    assert claims.runs[0].deliveries[0].due == due


async def test_a_claim_leaves_what_is_not_due(kit: Kit) -> None:
    """Promise 10: of a run with due and later deliveries the claim has only the due ones."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await journal.deliver([timer(run_id, FAR), signal(run_id, b"now"), signal(run_id, b"later", due=FAR)])
    claim, _ = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"now"]
    assert not claim.more


async def test_the_next_due_is_hinted(kit: Kit) -> None:
    """Promise 10: a claim tells when the earliest delivery that is not due yet will be."""
    journal = await kit.open()
    run_id = await waiting(journal)
    assert (await claimed(journal)).next_due is None
    await journal.deliver([timer(run_id, FAR + 1), timer(run_id, FAR)])
    assert (await claimed(journal)).next_due == FAR


async def test_a_fused_turn_may_pass_what_is_not_due(kit: Kit) -> None:
    """Promise 10: a timer that is not due is in no turn's way."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, timer(run_id, FAR))
    answer = await committed(journal, fused(await row(journal, run_id), await journal.now()))
    assert answer.outcome is CommitOutcome.COMMITTED
    assert (await row(journal, run_id)).version == 2


async def test_a_task_is_not_claimed_early(kit: Kit) -> None:
    """Promise 10: a retried task waits for its delay on the journal's clock."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    answer = await finished(journal, finish(await claimed_task(journal), FinishKind.RETRY, delay=SOON))
    (task,) = (await seen(journal, run_id)).tasks
    assert task.due == answer.now + SOON
    while not (claims := await claimed_tasks(journal)).tasks:
        await passed(journal, claims.now)
    assert claims.now >= task.due
    await finished(journal, finish(claims.tasks[0], FinishKind.RETURN, delay=HOUR))
    assert (await claimed_tasks(journal)).tasks == ()


async def test_the_clock_does_not_go_back(kit: Kit) -> None:
    """Promise 10: of two answers the later has no earlier time, on any handle."""
    journal, other = await kit.open(), await kit.open()
    times = [await (journal, other)[number % 2].now() for number in range(200)]
    await started(journal)
    times += [(await claimed(journal)).now, await other.now()]
    assert times == sorted(times)
