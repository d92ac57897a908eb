"""Promise 9: deliveries of a run are claimed in (due, id) order; one sender's keep their order."""

from __future__ import annotations

from functools import partial

from continuum_core.journal.commit import DeliverOutcome, OrderKind
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import DeliveryKind
from continuum_core.testing.conformance.given import FAR, HOUR, fused, new_id, signal, timer, turn
from continuum_core.testing.conformance.kit import (
    Kit,
    apart,
    claimed,
    claimed_one,
    committed,
    delivered,
    ordered,
    payloads,
    row,
    seen,
    started,
    waiting,
)


async def test_due_then_id(kit: Kit) -> None:
    """Promise 9: earlier due first, whenever it was inserted; among equals the lower id."""
    journal = await kit.open()
    run_id = await waiting(journal)
    low, high = signal(run_id, b"2", due=5), signal(run_id, b"3", due=5)
    batch = [signal(run_id, b"4", due=6), high, low, signal(run_id, b"1", due=4)]
    await journal.deliver(batch)
    await delivered(journal, signal(run_id, b"5"))
    claim, _ = await claimed_one(journal)
    assert payloads(claim.deliveries) == [b"1", b"2", b"3", b"4", b"5"]
    assert payloads((await seen(journal, run_id)).deliveries) == [b"1", b"2", b"3", b"4", b"5"]


async def test_a_claim_hands_over_sixty_four(kit: Kit) -> None:
    """Promise 9: a claim has the first 64 and says that there are more; the next has the rest, in order."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await journal.deliver([signal(run_id, str(number).encode()) for number in range(70)])
    claim, now = await claimed_one(journal)
    assert claim.more
    taken = payloads(claim.deliveries)
    answer = await committed(journal, turn(claim, now))
    assert answer.more
    claim, _ = await claimed_one(journal)
    assert not claim.more
    assert [int(payload) for payload in taken + payloads(claim.deliveries)] == list(range(70))
    assert len(taken) == 64


async def test_at_once_is_the_journals_time(kit: Kit) -> None:
    """Promise 9: due None is the journal's own time, and not before the floor; the answer tells it."""
    journal = await kit.open()
    run_id = await waiting(journal)
    before = await journal.now()
    plain = await delivered(journal, signal(run_id))
    floored = await delivered(journal, signal(run_id, floor=FAR))
    fixed = await delivered(journal, signal(run_id, due=7, floor=FAR))
    assert before <= plain.due <= await journal.now()
    assert (floored.due, fixed.due) == (FAR, 7)
    assert sorted(d.due or 0 for d in (await seen(journal, run_id)).deliveries) == [7, plain.due, FAR]
    assert {d.floor for d in (await seen(journal, run_id)).deliveries} == {0}


async def test_one_senders_order_is_kept(kit: Kit) -> None:
    """Promise 9: two senders on two threads, each passing on its last due, are each taken in order."""
    journal = await kit.open()
    run_id = await waiting(journal)

    async def send(name: bytes, sibling: Journal) -> None:
        floor = 0
        for number in range(20):
            message = signal(run_id, name + str(number).encode(), floor=floor)
            (answer,) = await sibling.deliver([message])
            assert answer.outcome is DeliverOutcome.ACCEPTED
            assert answer.due >= floor
            floor = answer.due

    apart(journal, [partial(send, b"a"), partial(send, b"b")])
    claim, _ = await claimed_one(journal)
    for name in (b"a", b"b"):
        numbers = [int(payload[1:]) for payload in payloads(claim.deliveries) if payload[:1] == name]
        assert numbers == list(range(20))


async def test_a_cancel_sorts_before_all_others(kit: Kit) -> None:
    """Promise 9: also before the start of a run that did not begin yet."""
    journal = await kit.open()
    run_id = await started(journal)
    await delivered(journal, signal(run_id, due=1))
    await ordered(journal, OrderKind.CANCEL, run_id)
    claim, _ = await claimed_one(journal)
    kinds = [delivery.kind for delivery in claim.deliveries]
    assert kinds == [DeliveryKind.CANCEL, DeliveryKind.SIGNAL, DeliveryKind.START]


async def test_runs_are_claimed_by_their_first_delivery(kit: Kit) -> None:
    """Promise 9: whose delivery has waited longest comes first."""
    journal = await kit.open()
    ids = [await waiting(journal) for _ in range(3)]
    await journal.deliver([signal(ids[0], due=30), signal(ids[1], due=10), signal(ids[2], due=20)])
    claims = await claimed(journal)
    assert [claim.run_id for claim in claims.runs] == [ids[1], ids[2], ids[0]]


async def test_what_is_delivered_is_stored_as_it_is(kit: Kit) -> None:
    """Promise 9: every field, from a sender and from a commit, is what a claim hands over and readers see."""
    journal = await kit.open()
    run_id, sender = await waiting(journal), await waiting(journal)
    sent, told = (
        signal(run_id, payload, due=number, token=7, slot=number, dedupe=f"d{number}", cause=new_id())
        for number, payload in enumerate((b"sent", b"told"), start=1)
    )
    await delivered(journal, sent)
    await committed(journal, fused(await row(journal, sender), await journal.now(), deliveries=(told,)))
    assert (await seen(journal, run_id)).deliveries == (sent, told)
    claim, _ = await claimed_one(journal)
    assert claim.deliveries == (sent, told)
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    assert {letter.delivery for letter in (await seen(journal, run_id)).dead} == {sent, told}


async def test_own_timers_keep_their_due(kit: Kit) -> None:
    """Promise 9: an absolute due is stored as it is, from deliver and from a commit."""
    journal = await kit.open()
    run_id = await waiting(journal)
    later = await journal.now() + HOUR
    mine = timer(run_id, later)
    await committed(journal, fused(await row(journal, run_id), later - HOUR, deliveries=(mine,)))
    assert [delivery.due for delivery in (await seen(journal, run_id)).deliveries] == [later]
