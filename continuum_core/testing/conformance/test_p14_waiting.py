"""Promise 14: a run with nothing due costs no write and appears in no claim, however many there are."""

from __future__ import annotations

from continuum_core.journal.commit import OrderKind, Query
from continuum_core.journal.records import Held
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    TAKES,
    new_id,
    new_run,
    signal,
    timer,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed,
    claimed_tasks,
    delivered,
    ordered,
    seen,
    waiting,
)

WAITING = 300


async def test_waiting_runs_are_left_alone(kit: Kit) -> None:
    """Promise 14: among hundreds that wait for a timer, claims find the one due and touch no other."""
    journal = await kit.open()
    news = [new_run() for _ in range(WAITING)]
    await journal.start(news)
    while (claims := await claimed(journal)).runs:
        await journal.commit(
            [turn(claim, claims.now, deliveries=(timer(claim.run_id, FAR),)) for claim in claims.runs]
        )
    before = [await seen(journal, new.run_id) for new in news[:10]]
    due = news[WAITING // 2].run_id
    for _ in range(3):
        await delivered(journal, signal(due))
        claims = await claimed(journal)
        assert [claim.run_id for claim in claims.runs] == [due]
        assert claims.next_due == FAR
        await claimed_tasks(journal)
        await journal.commit([turn(claims.runs[0], claims.now)])
    assert [await seen(journal, new.run_id) for new in news[:10]] == before
    page = await journal.list(Query(), limit=WAITING)
    assert {run.version for run in page.runs if run.run_id != due} == {1}


async def test_a_small_scan_finds_what_is_due(kit: Kit) -> None:
    """Promise 14: what waits for later does not stand before what is due in the index that claims read."""
    journal = await kit.open()
    await journal.start([new_run() for _ in range(50)])
    claims = await claimed(journal)
    await journal.commit(
        [turn(claim, claims.now, deliveries=(timer(claim.run_id, FAR),)) for claim in claims.runs]
    )
    due = claims.runs[-1].run_id
    await delivered(journal, signal(due))
    found = await journal.claim_runs(new_id(), 5, HOUR, TAKES, scan=1)
    assert [claim.run_id for claim in found.runs] == [due]


async def test_held_deliveries_cost_claims_nothing(kit: Kit) -> None:
    """Promise 14: a delivery that was met on a suspended run is held, and is read by no later claim."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await ordered(journal, OrderKind.SUSPEND, run_id)
    await delivered(journal, signal(run_id))
    assert (await claimed(journal)).runs == ()
    before = await seen(journal, run_id)
    assert [delivery.held for delivery in before.deliveries] == [Held.PAUSED]
    page = await journal.claim_runs(new_id(), 5, HOUR, TAKES, scan=1)
    assert (page.runs, page.reached) == ((), None)
    assert await seen(journal, run_id) == before
