"""Promise 17: a lost wakeup delays and never strands: whatever is committed and due is found by a claim."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from continuum_core.journal.commit import DeliverOutcome, OrderKind, OrderOutcome
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Held, RunStatus
from continuum_core.testing.conformance.given import (
    HOUR,
    MOMENT,
    TAKES,
    hold_run,
    new_id,
    order,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    apart,
    claimed,
    claimed_one,
    committed,
    delivered,
    ordered,
    passed,
    payloads,
    row,
    seen,
    started,
    waiting,
)

_A_DAY = 86_400.0
_PATIENCE = 60
"""Seconds after which a hint does not come any more."""

_IDLE, _EARLY = 0.05, 200
"""Whoever ends so many waits in so many seconds, in which nothing happens, waits for nothing."""


async def test_a_delivery_during_a_turn_is_found_after_it(kit: Kit) -> None:
    """Promise 17: a commit overwrites no delivery that it did not see."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    await delivered(journal, signal(run_id, b"meanwhile"))
    answer = await committed(journal, turn(claim, now))
    assert answer.more
    assert payloads((await claimed_one(journal))[0].deliveries) == [b"meanwhile"]


async def test_deliveries_that_race_commits_are_all_taken(kit: Kit) -> None:
    """Promise 17: senders on one thread, workers on others, no wakeup at all: each delivery is taken once."""
    journal = await kit.open()
    run_id = await waiting(journal)
    count = 40

    async def send(sibling: Journal) -> list[bytes]:
        for number in range(count):
            (answer,) = await sibling.deliver([signal(run_id, str(number).encode())])
            assert answer.outcome is DeliverOutcome.ACCEPTED
        return []

    async def work(sibling: Journal) -> list[bytes]:
        taken: list[bytes] = []
        for _ in range(2 * count):
            claims = await sibling.claim_runs(new_id(), 1, HOUR, TAKES)
            for claim in claims.runs:
                await committed(sibling, turn(claim, claims.now))
                taken += payloads(claim.deliveries)
        return taken

    shares = apart(journal, [send, work, work])
    rest = [payload for claim in (await claimed(journal)).runs for payload in payloads(claim.deliveries)]
    taken = Counter(payload for share in shares for payload in share) + Counter(rest)
    assert taken == Counter(str(number).encode() for number in range(count))


async def test_released_runs_are_found_at_once(kit: Kit) -> None:
    """Promise 17: what a draining worker gives back is claimable, as if it had never been claimed."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, _ = await claimed_one(journal)
    await journal.release([hold_run(claim)])
    run = await row(journal, run_id)
    assert (run.lease_until, run.claim_id, run.tries) == (None, None, 0)
    again, _ = await claimed_one(journal)
    assert (again.run_id, again.tries) == (run_id, 1)


@pytest.mark.parametrize("met", [False, True], ids=["not met", "met by a claim"])
async def test_a_resumed_run_has_all_its_deliveries(kit: Kit, met: bool) -> None:
    """Promise 17: what came while the run was suspended is due at once when it is resumed, in its order."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await ordered(journal, OrderKind.SUSPEND, run_id, cause="maintenance")
    assert (await row(journal, run_id)).cause == "maintenance"
    await journal.deliver([signal(run_id, b"one"), signal(run_id, b"two")])
    if met:
        assert (await claimed(journal)).runs == ()
        assert {d.held for d in (await seen(journal, run_id)).deliveries} == {Held.PAUSED}
    answer = await ordered(journal, OrderKind.RESUME, run_id)
    assert (answer.outcome, answer.status) == (OrderOutcome.DONE, RunStatus.RUNNING)
    claim, _ = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"one", b"two"]
    assert (await row(journal, run_id)).cause == ""


async def test_an_unparked_run_has_all_its_deliveries(kit: Kit) -> None:
    """Promise 17: unpark frees the poison and what was paused; deferred ones stay the machine's."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await journal.deliver([signal(run_id, b"deferred"), signal(run_id, b"poison")])
    claim, now = await claimed_one(journal)
    deferred, poison = (delivery.id for delivery in claim.deliveries)
    hold = ((deferred, Held.DEFERRED), (poison, Held.POISON))
    await committed(journal, turn(claim, now, consumed=(), hold=hold, status=RunStatus.PARKED))
    await delivered(journal, signal(run_id, b"later"))
    assert (await claimed(journal)).runs == ()
    assert (await ordered(journal, OrderKind.RESUME, run_id)).outcome is OrderOutcome.UNCHANGED
    answer = await ordered(journal, OrderKind.UNPARK, run_id)
    assert (answer.outcome, answer.status) == (OrderOutcome.DONE, RunStatus.RUNNING)
    claim, _ = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"poison", b"later"]
    assert claim.has_deferred


async def test_a_cancel_reaches_a_parked_run(kit: Kit) -> None:
    """Promise 17: it lifts the parking and comes first; the poison stays held until the end."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await journal.deliver([signal(run_id, b"poison")])
    claim, now = await claimed_one(journal)
    hold = ((claim.deliveries[0].id, Held.POISON),)
    await committed(journal, turn(claim, now, consumed=(), hold=hold, status=RunStatus.PARKED))
    await delivered(journal, signal(run_id, b"later"))
    await claimed(journal)
    answer = await ordered(journal, OrderKind.CANCEL, run_id)
    assert (answer.outcome, answer.status) == (OrderOutcome.DONE, RunStatus.RUNNING)
    claim, now = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"cancel", b"later"]
    await committed(journal, turn(claim, now, status=RunStatus.CANCELLED, outcome=b""))
    dead = (await seen(journal, run_id)).dead
    assert [letter.delivery.payload for letter in dead] == [b"poison"]


async def test_a_cancel_reaches_suspended_and_leased_runs(kit: Kit) -> None:
    """Promise 17: whoever holds the run; a second cancel of a run that has one waiting changes nothing."""
    journal = await kit.open()
    suspended = await waiting(journal)
    await ordered(journal, OrderKind.SUSPEND, suspended)
    leased = await started(journal)
    await claimed_one(journal)
    for run_id in (suspended, leased):
        assert (await ordered(journal, OrderKind.CANCEL, run_id)).outcome is OrderOutcome.DONE
        assert (await ordered(journal, OrderKind.CANCEL, run_id)).outcome is OrderOutcome.UNCHANGED
    claims = await claimed(journal)
    first = {claim.run_id: claim.deliveries[0].payload for claim in claims.runs}
    assert first == {suspended: b"cancel", leased: b"cancel"}


async def test_orders_lower_the_tries(kit: Kit) -> None:
    """Promise 17: a run that was claimed too often comes back as a suspect, not as a lost cause."""
    journal = await kit.open()
    run_id = await started(journal)
    for _ in range(4):
        claim, _ = await claimed_one(journal, lease=MOMENT)
        await passed(journal, claim.lease_until)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, consumed=(), status=RunStatus.PARKED, cause="tries"))
    assert (await row(journal, run_id)).tries == 5
    await ordered(journal, OrderKind.UNPARK, run_id)
    assert (await row(journal, run_id)).tries == 2
    assert (await claimed_one(journal))[0].tries == 3


async def test_orders_are_answered_for_every_run(kit: Kit) -> None:
    """Promise 17: unknown and ended runs are told so; what is as wanted is UNCHANGED and not written."""
    journal = await kit.open()
    run_id = await waiting(journal)
    before = await seen(journal, run_id)
    for kind in (OrderKind.RESUME, OrderKind.UNPARK):
        assert (await ordered(journal, kind, run_id)).outcome is OrderOutcome.UNCHANGED
    assert await seen(journal, run_id) == before
    over = await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    assert (over.outcome, over.status) == (OrderOutcome.DONE, RunStatus.TERMINATED)
    assert (await row(journal, run_id)).outcome == b"over"
    for kind in OrderKind:
        told = await ordered(journal, kind, run_id)
        assert (told.outcome, told.status) == (OrderOutcome.RUN_OVER, RunStatus.TERMINATED)
        unknown = await ordered(journal, kind, new_id())
        assert (unknown.outcome, unknown.status) == (OrderOutcome.UNKNOWN_RUN, None)


async def test_an_order_leaves_a_record(kit: Kit) -> None:
    """Promise 17: with who and why, under the order's id, so that the history tells of it."""
    journal = await kit.open()
    run_id = await waiting(journal)
    suspend = order(OrderKind.SUSPEND, run_id, body=b"operator, reason")
    await journal.control([suspend])
    (record,) = await journal.history(run_id, after=1)
    assert (record.body, record.cause, record.commit_id) == (suspend.body, suspend.id, suspend.id)
    run = await row(journal, run_id)
    assert (run.version, run.commit_id, run.status) == (2, suspend.id, RunStatus.SUSPENDED)


async def test_another_handles_write_ends_a_wait(kit: Kit) -> None:
    """Promise 17: of the same process: one that comes during the wait, and one that came since the last."""
    journal, other = await kit.open(), await kit.open()
    async with asyncio.timeout(_PATIENCE):
        await started(other)
        await journal.wait(_A_DAY)
        waiter = asyncio.create_task(journal.wait(_A_DAY))
        for _ in range(10):
            await asyncio.sleep(0)
        while not waiter.done():  # a hint of what came before may end a wait early
            await started(other)
            await asyncio.wait([waiter], timeout=1)


async def test_nothing_ends_a_wait_for_ever(kit: Kit) -> None:
    """Promise 17: a wait may end early now and then; one that always does has workers turn in circles."""
    journal = await kit.open()
    await started(journal)

    async def wait_often() -> None:
        for _ in range(_EARLY):
            await journal.wait(_A_DAY)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait_often(), _IDLE)


async def test_wait_is_only_a_hint(kit: Kit) -> None:
    """Promise 17: it returns by itself, and from another thread's write, and is never needed for a claim."""
    journal = await kit.open()
    await journal.wait(0)
    await journal.wait(0.001)

    async def write(sibling: Journal) -> None:
        await started(sibling)

    waiter = asyncio.create_task(journal.wait(0.05))
    await asyncio.to_thread(apart, journal, [write])
    await waiter
    assert len((await claimed(journal)).runs) == 1
