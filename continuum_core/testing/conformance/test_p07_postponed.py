"""Promise 7, of starts that wait: one that was not consumed can be replaced, and the run begins once."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import CommitOutcome, NewRun, Order, OrderKind, OrderOutcome, StartOutcome
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Delivery, DeliveryKind, RunStatus
from continuum_core.testing.conformance.given import FAR, HOUR, TAKES, new_id, new_run, order, signal, turn
from continuum_core.testing.conformance.kit import (
    Kit,
    apart,
    claimed,
    claimed_one,
    committed,
    delivered,
    ordered,
    row,
    seen,
)

DONE, UNCHANGED = OrderOutcome.DONE, OrderOutcome.UNCHANGED


def _later(due: Micros = FAR) -> NewRun:
    new = new_run()
    return replace(new, delivery=replace(new.delivery, due=due))


def _postpone(run_id: UUID, due: Micros, payload: bytes = b"other", digest: bytes = b"another") -> Order:
    start = Delivery(id=new_id(), run_id=run_id, kind=DeliveryKind.START, payload=payload, due=due)
    return order(OrderKind.POSTPONE, run_id, delivery=start, digest=digest)


async def _started(journal: Journal, new: NewRun) -> None:
    (answer,) = await journal.start([new])
    assert answer.outcome is StartOutcome.STARTED


async def _told(journal: Journal, *orders: Order) -> list[OrderOutcome]:
    return [answer.outcome for answer in await journal.control(orders)]


async def test_a_start_waits_for_its_time(kit: Kit) -> None:
    """Promises 7 and 10: the run is there, and nothing of it is claimed before its start is due."""
    journal = await kit.open()
    new = _later()
    await _started(journal, new)
    (again,) = await journal.start([new])
    assert again.outcome is StartOutcome.EXISTS
    assert (await claimed(journal)).runs == ()
    (waits,) = (await seen(journal, new.run_id)).deliveries
    assert (waits.kind, waits.due) == (DeliveryKind.START, FAR)


async def test_a_start_that_waits_is_replaced(kit: Kit) -> None:
    """Promise 7: the run has one start, the last one; the digest that tells a repeat is of that one."""
    journal = await kit.open()
    new = _later()
    await _started(journal, new)
    first, last = _postpone(new.run_id, FAR + 1), _postpone(new.run_id, FAR + 2, b"last", b"last digest")
    assert await _told(journal, first) == [DONE]
    assert await _told(journal, last) == [DONE]
    (waits,) = (await seen(journal, new.run_id)).deliveries
    assert (waits.id, waits.payload, waits.due) == (
        last.delivery.id if last.delivery else None,
        b"last",
        FAR + 2,
    )
    assert [each.outcome for each in await journal.start([new, replace(new, digest=b"last digest")])] == [
        StartOutcome.CONFLICT,
        StartOutcome.EXISTS,
    ]
    run = await row(journal, new.run_id)
    assert (run.version, run.status) == (2, RunStatus.RUNNING)
    assert await _told(journal, first) == [DONE], "the repeat of an order is told what it was"
    assert (await row(journal, new.run_id)).version == 2


async def test_what_has_begun_is_not_postponed(kit: Kit) -> None:
    """Promise 7: once its start was consumed an order to postpone changes nothing."""
    journal = await kit.open()
    new = new_run()
    await _started(journal, new)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now))
    assert await _told(journal, _postpone(new.run_id, FAR)) == [UNCHANGED]
    run = await row(journal, new.run_id)
    assert (run.version, run.digest) == (1, new.digest)
    assert (await seen(journal, new.run_id)).deliveries == ()


async def test_a_holder_of_the_earlier_start_commits_nothing(kit: Kit) -> None:
    """Promises 3 and 7: a claim or the order to postpone is first, and the run begins with one input."""
    journal = await kit.open()
    new = new_run()
    await _started(journal, new)
    claim, now = await claimed_one(journal)
    assert await _told(journal, _postpone(new.run_id, 1)) == [DONE]
    (answer,) = await journal.commit([turn(claim, now)])
    assert answer.outcome is CommitOutcome.LOST
    again, now = await claimed_one(journal)
    assert [each.payload for each in again.deliveries] == [b"other"]
    await committed(journal, turn(again, now))
    assert (await claimed(journal)).runs == ()


async def test_a_suspended_start_is_replaced_and_stays_suspended(kit: Kit) -> None:
    """Promise 7: status and cause stay; of a parked or ended run nothing is replaced."""
    journal = await kit.open()
    new = new_run()
    await _started(journal, new)
    await ordered(journal, OrderKind.SUSPEND, new.run_id, cause="later")
    assert (await claimed(journal)).runs == ()
    assert await _told(journal, _postpone(new.run_id, 1)) == [DONE]
    run = await row(journal, new.run_id)
    assert (run.status, run.cause) == (RunStatus.SUSPENDED, "later")
    await ordered(journal, OrderKind.RESUME, new.run_id)
    claim, _ = await claimed_one(journal)
    assert [each.payload for each in claim.deliveries] == [b"other"]
    await ordered(journal, OrderKind.TERMINATE, new.run_id, outcome=b"over")
    assert await _told(journal, _postpone(new.run_id, 1)) == [OrderOutcome.RUN_OVER]
    assert await _told(journal, _postpone(new_id(), 1)) == [OrderOutcome.UNKNOWN_RUN]


async def test_events_wait_beside_a_start_that_is_postponed(kit: Kit) -> None:
    """Promise 9: what came for the run meanwhile stays, and is due at its own time."""
    journal = await kit.open()
    new = _later()
    await _started(journal, new)
    event = signal(new.run_id, dedupe="a")
    await delivered(journal, event)
    assert await _told(journal, _postpone(new.run_id, FAR)) == [DONE]
    claim, _ = await claimed_one(journal)
    assert [each.id for each in claim.deliveries] == [event.id]


async def _postpones(run_id: UUID, journal: Journal) -> list[str]:
    return [outcome.value for outcome in await _told(journal, _postpone(run_id, 1))]


async def _begins(run_id: UUID, journal: Journal) -> list[str]:
    """Payloads of the starts that a claim's turn consumed."""
    stood: list[str] = []
    claims = await journal.claim_runs(new_id(), 1, HOUR, TAKES)
    for claim in claims.runs:
        (answer,) = await journal.commit([turn(claim, claims.now)])
        if claim.run_id == run_id and answer.outcome is CommitOutcome.COMMITTED:
            stood += [each.payload.decode() for each in claim.deliveries]
    return stood


async def test_starts_and_claims_that_race_begin_a_run_once(kit: Kit) -> None:
    """Promises 3 and 7: whoever wins, one turn stands, and it consumed the start that was there then."""
    journal = await kit.open()
    for _ in range(4):
        new = new_run()
        await _started(journal, new)

        told, stands = apart(journal, [partial(_postpones, new.run_id), partial(_begins, new.run_id)])
        run = await row(journal, new.run_id)
        waits = (await seen(journal, new.run_id)).deliveries
        if stands == ["start"]:
            assert (told, len(waits), run.digest) == (["unchanged"], 0, new.digest)
        else:
            assert (told, run.digest) == (["done"], b"another")
            assert len(waits) + len(stands) == 1, "the other start is consumed, or waits still"
        await ordered(journal, OrderKind.TERMINATE, new.run_id, outcome=b"over")
