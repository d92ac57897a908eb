"""Promise 23: a journal says beforehand what it cannot hold, and knows again whoever arrived in it."""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.errors import PayloadRefused, UsageError
from continuum_core.journal.carrying import Arrival, Carrier, RestoreOutcome, RunImage, Version
from continuum_core.journal.commit import OrderKind, PrunePlan, Query
from continuum_core.journal.protocol import Capability, Journal
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.carried import busy_run, elsewhere, left, opened, whole
from continuum_core.testing.conformance.given import FAR, new_id, signal, turn
from continuum_core.testing.conformance.kit import (
    Kit,
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

RESTORED, EXISTS, CONFLICT = RestoreOutcome.RESTORED, RestoreOutcome.EXISTS, RestoreOutcome.CONFLICT


async def _gone(journal: Journal) -> RunImage:
    """The image of a run that left, with how it did."""
    run_id = await waiting(journal)
    image = await left(journal, run_id)
    return replace(image, departure=(await row(journal, run_id)).commit_id)


def _named(image: RunImage) -> Version:
    return Version(image.run.run_id, image.departure)


async def _ended_and_pruned(journal: Journal, run_id: UUID) -> None:
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    assert (await journal.prune(PrunePlan(before=FAR, limit=10))).runs == 1


# --- asked beforehand


async def test_a_rehearsal_tells_and_leaves_no_trace(kit: Kit) -> None:
    """Promise 23: what a restore would answer; each image by itself, and nothing of it stays."""
    journal, _ = await opened(kit)
    moved = await _gone(journal)
    busy = await whole(journal, await busy_run(journal))
    other, others = await elsewhere(kit)
    await started(other)
    claim, now = await claimed_one(other)
    await committed(other, turn(claim, now, (b"s;",), deliveries=(signal(busy.run.run_id, b"early"),)))
    asked = [busy, busy, moved]
    for _ in range(2):
        assert await others.rehearse(asked) == [RESTORED] * 3
    assert len((await other.list(Query())).runs) == 1
    assert await others.dump([busy.run.run_id, moved.run.run_id]) == [None, None]
    assert await others.restore([busy, moved]) == [RESTORED] * 2  # the departure was not kept in mind
    assert b"early" in {each.payload for each in (await seen(other, busy.run.run_id)).deliveries}
    another = replace(busy, run=replace(busy.run, digest=b"another"))
    before = await whole(other, busy.run.run_id)
    assert await others.rehearse([busy, another, moved]) == [EXISTS, CONFLICT, EXISTS]
    assert await whole(other, busy.run.run_id) == before


async def test_half_a_run_is_refused_beforehand(kit: Kit) -> None:
    """Promise 23: as a restore refuses it."""
    journal, _ = await opened(kit)
    image = await whole(journal, await waiting(journal))
    _, others = await elsewhere(kit)
    with pytest.raises(UsageError, match="its records are not"):
        await others.rehearse([replace(image, records=())])


async def _answer(carrier: Carrier, verb: str, image: RunImage) -> RestoreOutcome | None:
    """None: it is refused."""
    try:
        [told] = await getattr(carrier, verb)([image])
    except PayloadRefused:
        return None
    return RestoreOutcome(told)


async def test_what_a_journal_cannot_hold_it_refuses_beforehand(kit: Kit) -> None:
    """Promise 23: texts and times that some stores have no room for. No run leaves for such a journal."""
    journal, _ = await opened(kit)
    images: list[RunImage] = []
    for run_id in [await waiting(journal) for _ in range(5)]:
        await delivered(journal, signal(run_id))
        images.append(await whole(journal, run_id))
    nul, long, far, key, letter = images
    far_away = tuple(replace(each, due=253_402_300_799_999_999) for each in far.deliveries)
    odd = [
        replace(nul, seen=(("a\0b", None),)),
        replace(long, seen=(("".join(chr(0x4E00 + at) for at in range(9_000)), None),)),
        replace(far, deliveries=far_away),
        replace(key, run=replace(key.run, key="a\0b")),
        replace(letter, deliveries=tuple(replace(each, dedupe="x" * 70_000) for each in letter.deliveries)),
    ]
    other, others = await elsewhere(kit)
    told = [await _answer(others, "rehearse", image) for image in odd]
    assert (await other.list(Query())).runs == ()
    assert [await _answer(others, "restore", image) for image in odd] == told
    held = {run.run_id for run in (await other.list(Query())).runs}
    assert held == {image.run.run_id for image, outcome in zip(odd, told, strict=True) if outcome}


# --- known again


async def test_whoever_arrived_is_known_by_the_departure(kit: Kit) -> None:
    """Promise 23: EXISTS though the run ended there, and was pruned, until the departure is forgotten."""
    journal, _ = await opened(kit)
    image, stays = await _gone(journal), await _gone(journal)
    other, others = await elsewhere(kit)
    assert await others.restore([image, image, stays]) == [RESTORED, EXISTS, RESTORED]
    assert await others.restore([image]) == [EXISTS]
    await _ended_and_pruned(other, image.run.run_id)
    assert await others.rehearse([image]) == [EXISTS]
    assert await others.restore([image, stays]) == [EXISTS, EXISTS]
    assert await other.load([image.run.run_id]) == [None]
    strangers = [Version(new_id(), image.departure), Version(image.run.run_id, new_id())]
    await others.forget([*strangers, Version(image.run.run_id, None)])
    assert await others.restore([image]) == [EXISTS]
    await others.forget([_named(image), _named(image)])
    await others.forget([])
    assert await others.restore([image, stays]) == [RESTORED, EXISTS]


async def test_another_departure_is_another_arrival(kit: Kit) -> None:
    """Promise 23: a run that came, went and comes once more, without a turn in between, is restored."""
    journal, _ = await opened(kit)
    image = await _gone(journal)
    other, others = await elsewhere(kit)
    await others.restore([image])
    run_id = image.run.run_id
    again = replace(await left(other, run_id), departure=new_id())
    await others.settle([Arrival(run_id)])
    assert await others.erase([Version(run_id, (await row(other, run_id)).commit_id)]) == [True]
    assert await others.restore([again, image]) == [RESTORED, EXISTS]


async def test_a_run_that_forgets_its_steps_is_known_again(kit: Kit) -> None:
    """Promise 23: after steps without a record, and when those of a past generation are gone."""
    kit.needs(Capability.FORGETS)
    journal, _ = await opened(kit)
    images = [await _gone(journal) for _ in range(2)]
    other, others = await elsewhere(kit)
    for image in images:
        await others.restore([image])
        run_id = image.run.run_id
        await delivered(other, signal(run_id))
        claim, now = await claimed_one(other)
        begins = {"begins": claim.version + 1} if image is images[1] else {}
        made = turn(claim, now, (b"s;",), **begins)
        await committed(other, made if begins else replace(made, records=(), steps=1))
    await passed(other, await other.now())
    await other.prune(PrunePlan(before=FAR, limit=10, generations=True))
    assert await others.restore(images) == [EXISTS, EXISTS]
    assert await others.rehearse(images) == [EXISTS, EXISTS]


async def test_a_conflict_keeps_nothing_in_mind(kit: Kit) -> None:
    """Promise 23: once the run in its way is gone, it can arrive."""
    journal, _ = await opened(kit)
    image = await _gone(journal)
    other, others = await elsewhere(kit)
    await started(other, run_id=image.run.run_id, digest=b"another")
    assert await others.restore([image]) == [CONFLICT]
    await _ended_and_pruned(other, image.run.run_id)
    assert await others.restore([image]) == [RESTORED]
    assert (await row(other, image.run.run_id)).status is RunStatus.RUNNING


async def test_namespaces_keep_apart_who_arrived(kit: Kit) -> None:
    """Promise 18: an arrival in one namespace is none in another, and is not forgotten there."""
    journal, carrier = await opened(kit)
    image = await _gone(journal)
    _, others = await elsewhere(kit)
    await others.restore([image])
    await carrier.forget([_named(image)])
    await carrier.settle([Arrival(image.run.run_id)])
    assert await carrier.erase([_named(image)]) == [True]
    assert await carrier.restore([image]) == [RESTORED]
    assert await others.restore([image]) == [EXISTS]


# --- settled


async def test_a_run_for_which_something_waits_is_not_settled(kit: Kit) -> None:
    """Promise 23: what was sent on is dropped, and the run is kept until all was."""
    journal, carrier = await opened(kit)
    run_id = await waiting(journal)
    await left(journal, run_id)
    await started(journal)
    claim, now = await claimed_one(journal)
    sent = (signal(run_id, b"one"), signal(run_id, b"two"))
    await committed(journal, turn(claim, now, deliveries=sent))
    await carrier.settle([Arrival(run_id, (sent[0].id,), waits=True)])
    assert [letter.delivery.payload for letter in (await seen(journal, run_id)).dead] == [b"two"]
    assert (await journal.prune(PrunePlan(before=FAR, limit=10))).runs == 0
    await carrier.settle([Arrival(run_id, (sent[1].id,))])
    assert (await journal.prune(PrunePlan(before=FAR, limit=10))).runs == 1
