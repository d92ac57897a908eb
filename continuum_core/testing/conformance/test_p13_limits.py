"""Promise 13: claims keep to their limits; lower `priority` first, then earlier due; queues are isolated."""

from __future__ import annotations

from uuid import UUID

import pytest

from continuum_core.journal.commit import (
    FIRST_DUE,
    DeliverOutcome,
    DueEntry,
    FinishKind,
    OrderKind,
)
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import Held
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    TAKES,
    finish,
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
    claimed_tasks,
    committed,
    delivered,
    finished,
    ordered,
    row,
    seen,
    started,
    waiting,
)


async def test_a_claim_has_no_more_than_its_limit(kit: Kit) -> None:
    """Promise 13: and what it left is in the next one."""
    journal = await kit.open()
    await journal.start([new_run() for _ in range(7)])
    sizes = [len((await claimed(journal, limit=3)).runs) for _ in range(4)]
    assert sizes == [3, 3, 1, 0]


async def test_a_sibling_keeps_to_the_same_limits(kit: Kit) -> None:
    """Promise 13: what bounds one handle of a store bounds those that were made from it."""
    journal = await kit.open(limits=Limits(pending=1))
    run_id = await waiting(journal)
    sibling = journal.sibling()
    await sibling.open()
    try:
        answers = await sibling.deliver([signal(run_id), signal(run_id)])
    finally:
        await sibling.close()
    assert [answer.outcome for answer in answers] == [DeliverOutcome.ACCEPTED, DeliverOutcome.FULL]


async def test_a_claim_tells_how_far_it_read(kit: Kit) -> None:
    """Promise 13: None when it read to the end; else the caller finds the rest from there."""
    journal = await kit.open()
    ids = [await waiting(journal) for _ in range(6)]
    found = [signal(run_id, due=10 * place) for place, run_id in enumerate(ids, start=1)]
    await journal.deliver(found)
    first = await claimed(journal, limit=2)
    assert first.reached is not None
    assert first.reached == DueEntry(30, found[2].id)
    second = await journal.claim_runs(new_id(), 10, HOUR, TAKES, after=first.reached)
    assert [claim.run_id for claim in second.runs] == ids[2:]
    assert second.reached is None
    assert (await claimed(journal)).reached is None


async def test_a_page_of_leased_runs_is_passed(kit: Kit) -> None:
    """Promise 13: a page reads `scan` entries at most, yet every due run is found by going on behind it."""
    journal = await kit.open()
    busy = [await waiting(journal) for _ in range(4)]
    await journal.deliver([signal(run_id, due=5) for run_id in busy])
    await claimed(journal)
    last = await waiting(journal)
    await journal.deliver([signal(run_id, due=6) for run_id in [*busy, last]])
    page = await journal.claim_runs(new_id(), 10, HOUR, TAKES, scan=2)
    after = FIRST_DUE
    while not page.runs:
        assert page.reached is not None, "read to the end without the run that is due"
        assert page.reached > after, "the next page would be the same one"
        after = page.reached
        page = await journal.claim_runs(new_id(), 10, HOUR, TAKES, after=after, scan=2)
    assert [claim.run_id for claim in page.runs] == [last]


async def test_deliveries_of_one_due_time_are_paged_like_all_others(kit: Kit) -> None:
    """Promise 13: a page ends among them as well, and the next one begins where it ended."""
    journal = await kit.open()
    busy = [await waiting(journal) for _ in range(7)]
    free, late = await waiting(journal), await waiting(journal)
    await journal.deliver([signal(run_id, due=5) for run_id in busy])
    assert len((await claimed(journal)).runs) == 7
    await journal.deliver([signal(run_id, due=5) for run_id in [*busy, free]])
    await journal.deliver([signal(late, due=6)])
    met: list[UUID] = []
    after, pages = FIRST_DUE, 0
    while len(met) < 2:
        page = await journal.claim_runs(new_id(), 10, HOUR, TAKES, after=after, scan=4)
        met += [claim.run_id for claim in page.runs]
        pages += 1
        if page.reached is None:
            break
        assert page.reached > after, "the next page would be the same one"
        after = page.reached
    assert met == [free, late]
    assert pages <= 6, "16 entries, 4 at a time, and at most one more page for each that was claimed"


async def test_runs_of_one_due_time_are_claimed_in_the_order_of_their_deliveries(kit: Kit) -> None:
    """Promise 13: however the claims divide them up, each comes once, and none is left."""
    journal = await kit.open()
    ids = [await waiting(journal) for _ in range(7)]
    found = [signal(run_id, due=5) for run_id in ids]
    await journal.deliver(found)
    pages = [await claimed(journal, limit=2) for _ in range(5)]
    order = [each.run_id for each in sorted(found, key=lambda each: each.id.int)]
    assert [claim.run_id for page in pages for claim in page.runs] == order
    by_id = sorted(each.id for each in found)
    assert [page.reached for page in pages] == [DueEntry(5, by_id[n]) for n in (2, 4, 6)] + [None, None]


async def test_priority_then_due(kit: Kit) -> None:
    """Promise 13: lower numbers first, negative ones too; among equals the earlier due."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1, 0, priority=1), new_task(1, 1, priority=-1))})
    later = fused(
        await row(journal, run_id),
        await journal.now(),
        tasks=(new_task(2, 0, priority=-1), new_task(2, 1, priority=0)),
    )
    await committed(journal, later)
    claims = [await claimed_tasks(journal, want(limit=limit)) for limit in (1, 2, 5)]
    names = [(claim.task.token, claim.task.slot) for page in claims for claim in page.tasks]
    assert [len(page.tasks) for page in claims] == [1, 2, 1]
    assert names == [(1, 1), (2, 0), (2, 1), (1, 0)]


async def test_an_urgent_task_that_is_not_due_hides_no_other(kit: Kit) -> None:
    """Promise 13: priority orders what is due, nothing else."""
    journal = await kit.open()
    await waiting(journal, {"tasks": (new_task(1, 0, priority=-9), new_task(1, 1, priority=9))})
    urgent = (await claimed_tasks(journal, want(limit=1))).tasks[0]
    await finished(journal, finish(urgent, FinishKind.RETRY, delay=HOUR))
    assert [c.task.slot for c in (await claimed_tasks(journal, want(limit=1))).tasks] == [1]


async def test_queues_are_isolated(kit: Kit) -> None:
    """Promise 13: each want is served from its own queue, up to its own limit."""
    journal = await kit.open()
    tasks = tuple(new_task(1, slot, queue="ab"[slot % 2]) for slot in range(8))
    await waiting(journal, {"tasks": tasks})
    claims = await claimed_tasks(journal, want(1, "a"), want(3, "b"), want(5, "c"))
    assert sorted((c.task.queue, c.task.slot) for c in claims.tasks) == [
        ("a", 0),
        ("b", 1),
        ("b", 3),
        ("b", 5),
    ]
    assert [c.task.queue for c in (await claimed_tasks(journal, want(9, "a"))).tasks] == ["a"] * 3


async def test_a_limit_of_nothing_claims_nothing(kit: Kit) -> None:
    """Promise 13: zero is a limit."""
    journal = await kit.open()
    await started(journal)
    assert (await claimed(journal, limit=0)).runs == ()
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, tasks=(new_task(1),)))
    assert (await claimed_tasks(journal, want(limit=0))).tasks == ()
    assert len((await claimed_tasks(journal)).tasks) == 1


async def test_pending_deliveries_have_a_cap(kit: Kit) -> None:
    """Promise 13: FULL at the cap, held and future ones counted; the engine itself is never refused."""
    journal = await kit.open(limits=Limits(pending=3))
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    (task,) = (await claimed_tasks(journal)).tasks
    await delivered(journal, timer(run_id, FAR))
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    held = ((claim.deliveries[0].id, Held.DEFERRED),)
    await committed(journal, turn(claim, now, consumed=(), hold=held))
    answers = await journal.deliver([signal(run_id), signal(run_id)])
    assert [answer.outcome for answer in answers] == [DeliverOutcome.ACCEPTED, DeliverOutcome.FULL]
    assert (await finished(journal, finish(task))).outcome.value == "finished"
    assert (await ordered(journal, OrderKind.CANCEL, run_id)).outcome.value == "done"
    assert len((await seen(journal, run_id)).deliveries) == 5
    (full,) = await journal.deliver([signal(run_id)])
    assert full.outcome is DeliverOutcome.FULL


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_cap_is_per_run(kit: Kit, limit: int) -> None:
    """Promise 13: one full run leaves the others theirs."""
    journal = await kit.open(limits=Limits(pending=limit))
    one, two = await waiting(journal), await waiting(journal)
    batch = [signal(one) for _ in range(limit + 1)] + [signal(two)]
    outcomes = [answer.outcome for answer in await journal.deliver(batch)]
    accepted, full = DeliverOutcome.ACCEPTED, DeliverOutcome.FULL
    assert outcomes == [accepted] * limit + [full, accepted]
