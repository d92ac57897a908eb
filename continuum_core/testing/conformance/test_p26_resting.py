"""Promise 26: a timer of the run itself ends a rest, and no rest holds it."""

from __future__ import annotations

import pytest

from continuum_core.journal.commit import OrderKind, OrderOutcome
from continuum_core.journal.records import Held, RunStatus
from continuum_core.testing.conformance.given import FAR, HOUR, MOMENT, TAKES, new_id, signal, timer, turn
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed,
    claimed_one,
    committed,
    delivered,
    ordered,
    payloads,
    row,
    seen,
    waiting,
)

OWN = 0
"""The token of a run's own timers."""


async def test_a_suspended_run_is_claimed_for_it(kit: Kit) -> None:
    """Promise 26: with all that was paused, in its order; the run is as if it had never rested."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await ordered(journal, OrderKind.SUSPEND, run_id, cause="why")
    await delivered(journal, signal(run_id, b"early", due=3))
    assert (await claimed(journal)).runs == ()
    before = await row(journal, run_id)
    await delivered(journal, timer(run_id, 5, OWN))
    await delivered(journal, signal(run_id, b"late", due=7))
    claim, now = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"early", b"timer", b"late"]
    after = await row(journal, run_id)
    assert (after.status, after.cause) == (RunStatus.RUNNING, "")
    assert (after.version, after.commit_id, after.updated) == (
        before.version,
        before.commit_id,
        before.updated,
    )
    assert after.fence > before.fence
    await committed(journal, turn(claim, now))
    assert (await ordered(journal, OrderKind.RESUME, run_id)).outcome is OrderOutcome.UNCHANGED


async def test_a_parked_run_is_claimed_for_it(kit: Kit) -> None:
    """Promise 26: what parked it stays held, and it is a suspect still, which has another try."""
    journal = await kit.open()
    run_id = await waiting(journal)
    poison = signal(run_id, b"poison", due=3)
    await delivered(journal, poison)
    claim, now = await claimed_one(journal, lease=MOMENT)
    for _ in range(3):
        claim, now = await claimed_one(journal, lease=MOMENT)
    park = turn(
        claim, now, status=RunStatus.PARKED, cause="fault", consumed=(), hold=((poison.id, Held.POISON),)
    )
    await committed(journal, park)
    assert (await row(journal, run_id)).tries == 4
    await delivered(journal, timer(run_id, 5, OWN))
    claim, now = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"timer"]
    assert claim.tries == 3
    assert (await row(journal, run_id)).status is RunStatus.RUNNING
    assert [(d.payload, d.held) for d in (await seen(journal, run_id)).deliveries] == [
        (b"poison", Held.POISON),
        (b"timer", Held.NO),
    ]
    await committed(journal, turn(claim, now, status=RunStatus.COMPLETED, outcome=b"over"))
    assert (await seen(journal, run_id)).deliveries == ()


@pytest.mark.parametrize("order", [OrderKind.SUSPEND, None])
async def test_who_does_not_take_the_run_leaves_it(kit: Kit, order: OrderKind | None) -> None:
    """Promise 26: nobody wakes a run that nobody then takes; nor does a timer of a state, or a later one."""
    journal = await kit.open()
    run_id = await waiting(journal)
    if order is None:
        await delivered(journal, signal(run_id, b"poison"))
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now, status=RunStatus.PARKED))
    else:
        await ordered(journal, order, run_id)
    await delivered(journal, timer(run_id, 5, OWN))
    await delivered(journal, timer(run_id, FAR, OWN, 1))
    strange = await journal.claim_runs(new_id(), 10, HOUR, frozenset({"another"}))
    assert strange.runs == ()
    assert (await row(journal, run_id)).status is not RunStatus.RUNNING
    held = [d.held for d in (await seen(journal, run_id)).deliveries]
    assert held == [Held.NO, Held.NO]
    mine = await journal.claim_runs(new_id(), 10, HOUR, TAKES)
    assert [claim.run_id for claim in mine.runs] == [run_id]
    assert len(mine.runs[0].deliveries) == 1


async def test_a_timer_of_a_state_is_held_by_a_rest(kit: Kit) -> None:
    """Promise 26: only a run's own timers end its rest."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await ordered(journal, OrderKind.SUSPEND, run_id)
    await delivered(journal, timer(run_id, 5, token=1))
    assert (await claimed(journal)).runs == ()
    assert [d.held for d in (await seen(journal, run_id)).deliveries] == [Held.PAUSED]
    assert (await row(journal, run_id)).status is RunStatus.SUSPENDED
