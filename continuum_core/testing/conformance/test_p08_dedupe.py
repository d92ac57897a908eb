"""Promise 8: a dedupe id is accepted once within its window, which begins at consumption, and asked first."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from continuum_core.journal.commit import DeliverOutcome, OrderKind
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.journal.records import Delivery, Held, RunStatus
from continuum_core.testing.conformance.given import MOMENT, fused, new_id, new_run, signal, turn
from continuum_core.testing.conformance.kit import (
    Kit,
    apart,
    claimed_one,
    committed,
    delivered,
    ordered,
    passed,
    row,
    seen,
    started,
    waiting,
)

ACCEPTED, DUPLICATE = DeliverOutcome.ACCEPTED, DeliverOutcome.DUPLICATE


async def _told(journal: Journal, *deliveries: Delivery) -> list[DeliverOutcome]:
    return [answer.outcome for answer in await journal.deliver(deliveries)]


async def test_a_dedupe_id_is_accepted_once(kit: Kit) -> None:
    """Promise 8: per run, while pending and after it was consumed; other runs and other ids are free."""
    journal = await kit.open()
    other, run_id = await waiting(journal), await waiting(journal)
    first = signal(run_id, b"first", dedupe="a")
    answers = await _told(
        journal,
        first,
        signal(run_id, dedupe="a"),
        signal(run_id, dedupe="b"),
        signal(other, dedupe="a"),
        signal(run_id),
    )
    assert answers == [ACCEPTED, DUPLICATE, ACCEPTED, ACCEPTED, ACCEPTED]
    run = await row(journal, run_id)
    pending = tuple(delivery.id for delivery in (await seen(journal, run_id)).deliveries)
    await committed(journal, fused(run, await journal.now(), pending))
    assert await _told(journal, signal(run_id, dedupe="a"), signal(run_id, dedupe="c")) == [
        DUPLICATE,
        ACCEPTED,
    ]


async def test_the_window_begins_at_consumption(kit: Kit) -> None:
    """Promise 8: while it is pending or held a dedupe id never expires; then its window runs."""
    journal = await kit.open(limits=Limits(dedupe_window=MOMENT))
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id, dedupe="a"))
    await passed(journal, await journal.now() + 10 * MOMENT)
    assert await _told(journal, signal(run_id, dedupe="a")) == [DUPLICATE]
    claim, now = await claimed_one(journal)
    held = tuple((delivery.id, Held.DEFERRED) for delivery in claim.deliveries)
    await committed(journal, turn(claim, now, consumed=(), hold=held))
    assert await _told(journal, signal(run_id, dedupe="a")) == [DUPLICATE]
    await committed(journal, fused(await row(journal, run_id), await journal.now(), (held[0][0],)))
    await passed(journal, await journal.now() + MOMENT)
    assert await _told(journal, signal(run_id, dedupe="a")) == [ACCEPTED]


async def test_dedupe_is_asked_before_the_status(kit: Kit) -> None:
    """Promise 8: the retry of an accepted delivery is told DUPLICATE, not that the run is over or full."""
    journal = await kit.open(limits=Limits(pending=1))
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id, dedupe="a"))
    full = await _told(journal, signal(run_id, dedupe="a"), signal(run_id, dedupe="b"))
    assert full == [DUPLICATE, DeliverOutcome.FULL]
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    over = await _told(journal, signal(run_id, dedupe="a"), signal(run_id, dedupe="b"))
    assert over == [DUPLICATE, DeliverOutcome.RUN_OVER]


async def test_a_refused_delivery_leaves_its_dedupe_id_free(kit: Kit) -> None:
    """Promise 8: what was not accepted may be tried again under the same id."""
    journal = await kit.open(limits=Limits(pending=1))
    run_id = new_id()
    assert await _told(journal, signal(run_id, dedupe="a")) == [DeliverOutcome.UNKNOWN_RUN]
    new = new_run(run_id)
    await journal.start([new])
    assert await _told(journal, signal(run_id, dedupe="a")) == [DeliverOutcome.FULL]
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now))
    assert await _told(journal, signal(run_id, dedupe="a")) == [ACCEPTED]


async def test_a_start_notes_its_dedupe_id(kit: Kit) -> None:
    """Promise 8: a first delivery with a dedupe id counts like any other."""
    journal = await kit.open()
    run_id = new_id()
    await started(journal, run_id=run_id, delivery=signal(run_id, b"start", dedupe="a"))
    assert await _told(journal, signal(run_id, dedupe="a")) == [DUPLICATE]


@pytest.mark.parametrize("consumed", [False, True], ids=["pending", "consumed"])
async def test_a_message_of_a_commit_is_known_to_deliver(kit: Kit, consumed: bool) -> None:
    """Promise 8: dedupe ids are shared by what commits send and what clients deliver."""
    journal = await kit.open()
    target = await waiting(journal)
    await started(journal)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, deliveries=(signal(target, dedupe="a"),)))
    if consumed:
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now))
    assert await _told(journal, signal(target, dedupe="a")) == [DUPLICATE]


async def test_one_of_many_senders_is_accepted(kit: Kit) -> None:
    """Promise 8: of racing deliveries under one dedupe id exactly one is accepted."""
    journal = await kit.open()
    run_id = await waiting(journal)

    async def send(sibling: Journal) -> list[DeliverOutcome]:
        outcomes: list[DeliverOutcome] = []
        for number in range(10):
            outcomes += await _told(sibling, signal(run_id, dedupe=str(number)))
        return outcomes

    answers = apart(journal, [send] * 4)
    for number in range(10):
        assert [outcomes[number] for outcomes in answers].count(ACCEPTED) == 1
    assert len((await seen(journal, run_id)).deliveries) == 10
    assert (await row(journal, run_id)).status is RunStatus.RUNNING


async def test_what_reaches_nobody_uses_up_no_id(kit: Kit) -> None:
    """Promise 8: what a run sends to itself as it ends is not accepted; another's message is no repeat."""
    journal = await kit.open()
    run_id, other = await waiting(journal), await waiting(journal)
    own = signal(run_id, b"own", dedupe="once")
    turned = fused(await row(journal, run_id), await journal.now(), deliveries=(own,))
    await committed(journal, replace(turned, status=RunStatus.COMPLETED, outcome=b"over"))
    message = signal(run_id, b"another's", dedupe="once")
    await committed(journal, fused(await row(journal, other), await journal.now(), deliveries=(message,)))
    dead = (await seen(journal, run_id)).dead
    assert {letter.delivery.payload for letter in dead} == {b"own", b"another's"}
