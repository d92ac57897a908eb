"""Promise 8, of journals that keep replies: one is kept beside the dedupe id it was asked under, as long."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace

from continuum_core.journal.carrying import RestoreOutcome, carrier_of
from continuum_core.journal.commit import DeliverOutcome, OrderKind, PrunePlan, Reply
from continuum_core.journal.protocol import Capability, Journal, Limits
from continuum_core.journal.records import Held, RunStatus
from continuum_core.journal.replies import Asked, Replied, ReplyState, replying
from continuum_core.testing.conformance.carried import elsewhere, whole
from continuum_core.testing.conformance.given import (
    FAR,
    MOMENT,
    finish,
    first_turn,
    fused,
    new_run,
    new_task,
    outcome,
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
    waiting,
)

UNKNOWN, PENDING = Replied(ReplyState.UNKNOWN), Replied(ReplyState.PENDING)


async def _opened(kit: Kit, limits: Limits | None = None) -> Journal:
    kit.needs(Capability.REPLIES)
    return await kit.open(limits=limits)


async def _replied(journal: Journal, *asked: tuple[UUID, str]) -> list[Replied]:
    return await replying(journal).replies([Asked(*each) for each in asked])


async def _answered(journal: Journal, run_id: UUID, dedupe: str, body: bytes) -> None:
    """Ask the run, and have a turn consume and answer it."""
    await delivered(journal, signal(run_id, dedupe=dedupe))
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, replies=(Reply(dedupe, body),)))


async def test_a_reply_is_read_by_run_and_id(kit: Kit) -> None:
    """Promise 8: pending first, then the reply; other runs' and other ids' are apart; an empty one is one."""
    journal = await _opened(kit)
    run_id, other = await waiting(journal), await waiting(journal)
    for each in (signal(run_id, dedupe="a"), signal(other, dedupe="a"), signal(run_id, dedupe="b")):
        await delivered(journal, each)
    names = ((run_id, "a"), (other, "a"), (run_id, "b"), (run_id, "c"))
    assert await _replied(journal, *names) == [PENDING, PENDING, PENDING, UNKNOWN]
    pending = tuple(one.id for one in (await seen(journal, run_id)).deliveries)
    answers = (Reply("a", b"yes"), Reply("b", b""), Reply("never asked", b"no"))
    await committed(journal, fused(await row(journal, run_id), await journal.now(), pending, replies=answers))
    gone = [Replied(ReplyState.GONE, b"yes"), PENDING, Replied(ReplyState.GONE, b""), UNKNOWN]
    assert await _replied(journal, *names) == gone
    assert await _replied(journal, (run_id, "never asked")) == [UNKNOWN]
    assert await _replied(journal) == []


async def test_a_turn_that_does_not_stand_replies_nothing(kit: Kit) -> None:
    """Promises 2, 3 and 6: a reply is its turn's: a stale one leaves none, a repeated one the same."""
    journal = await _opened(kit)
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id, dedupe="a"))
    claim, now = await claimed_one(journal)
    stale = turn(claim, now, replies=(Reply("a", b"stale"),), fence=claim.fence - 1)
    (answer,) = await journal.commit([stale])
    assert answer.outcome.value == "lost"
    assert await _replied(journal, (run_id, "a")) == [PENDING]
    good = turn(claim, now, replies=(Reply("a", b"good"),))
    for _ in range(2):
        await committed(journal, good)
    assert await _replied(journal, (run_id, "a")) == [Replied(ReplyState.GONE, b"good")]


async def test_what_is_held_is_pending(kit: Kit) -> None:
    """Promise 8: a deferred question waits, until a later turn takes and answers it."""
    journal = await _opened(kit)
    run_id = await waiting(journal)
    asked = signal(run_id, dedupe="a")
    await delivered(journal, asked)
    claim, now = await claimed_one(journal)
    held = tuple((each.id, Held.DEFERRED) for each in claim.deliveries)
    await committed(journal, turn(claim, now, consumed=(), hold=held))
    assert await _replied(journal, (run_id, "a")) == [PENDING]
    run = await row(journal, run_id)
    taken = fused(run, await journal.now(), (asked.id,), replies=(Reply("a", b"late"),))
    await committed(journal, taken)
    assert await _replied(journal, (run_id, "a")) == [Replied(ReplyState.GONE, b"late")]


async def test_the_end_of_a_run_leaves_questions_without_reply(kit: Kit) -> None:
    """Promise 8: what was answered, also by the last turn, stays; what was not taken is gone."""
    journal = await _opened(kit)
    run_id = await waiting(journal)
    await _answered(journal, run_id, "a", b"first")
    for dedupe in ("b", "c"):
        await delivered(journal, signal(run_id, dedupe=dedupe))
    claim, now = await claimed_one(journal)
    [b] = [each.id for each in claim.deliveries if each.dedupe == "b"]
    last = turn(
        claim, now, consumed=(b,), status=RunStatus.COMPLETED, outcome=b"over", replies=(Reply("b", b"last"),)
    )
    await committed(journal, last)
    assert await _replied(journal, (run_id, "a"), (run_id, "b"), (run_id, "c")) == [
        Replied(ReplyState.GONE, b"first"),
        Replied(ReplyState.GONE, b"last"),
        Replied(ReplyState.GONE),
    ]
    await journal.prune(PrunePlan(before=FAR, limit=10))
    assert await row_gone(journal, run_id)
    assert await _replied(journal, (run_id, "a")) == [Replied(ReplyState.GONE, b"first")]


async def row_gone(journal: Journal, run_id: UUID) -> bool:
    return await journal.load([run_id]) == [None]


async def test_a_terminated_run_answers_nothing(kit: Kit) -> None:
    """Promise 8: an order that ends the run removes its questions."""
    journal = await _opened(kit)
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id, dedupe="a"))
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    assert await _replied(journal, (run_id, "a")) == [Replied(ReplyState.GONE)]


async def test_a_reply_goes_with_its_window(kit: Kit) -> None:
    """Promises 8 and 16: after its window the id is unknown; accepted anew, it has no reply yet."""
    journal = await _opened(kit, Limits(dedupe_window=MOMENT))
    run_id = await waiting(journal)
    await _answered(journal, run_id, "a", b"first")
    await passed(journal, await journal.now() + MOMENT)
    assert await _replied(journal, (run_id, "a")) == [UNKNOWN]
    (again,) = await journal.deliver([signal(run_id, dedupe="a")])
    assert again.outcome is DeliverOutcome.ACCEPTED
    assert await _replied(journal, (run_id, "a")) == [PENDING]
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now))
    told = await _replied(journal, (run_id, "a"))
    assert all(each.body is None for each in told), "the reply of the earlier life of the id"
    await passed(journal, await journal.now() + MOMENT)
    assert (await journal.prune(PrunePlan(before=0, limit=1))).expired >= 1
    assert await _replied(journal, (run_id, "a")) == [UNKNOWN]


async def test_replies_travel_with_their_run(kit: Kit) -> None:
    """Promise 23: a run's image has its replies, and what is restored answers like what was dumped."""
    kit.needs(Capability.CARRIES)
    journal = await _opened(kit)
    run_id = await waiting(journal)
    await _answered(journal, run_id, "a", b"kept")
    await delivered(journal, signal(run_id, dedupe="b"))
    image = await whole(journal, run_id)
    assert image.replies == (("a", b"kept"),)
    there, carrier = await elsewhere(kit)
    assert await carrier.restore([image]) == [RestoreOutcome.RESTORED]
    assert await _replied(there, (run_id, "a"), (run_id, "b")) == [
        Replied(ReplyState.GONE, b"kept"),
        PENDING,
    ]
    (dumped,) = await carrier_of(there).dump([run_id])
    assert dumped is not None
    assert dumped.image.replies == image.replies


async def test_namespaces_keep_their_replies(kit: Kit) -> None:
    """Promise 18: another namespace knows nothing of them."""
    journal = await _opened(kit)
    run_id = await waiting(journal)
    await _answered(journal, run_id, "a", b"mine")
    other = await kit.open(f"{kit.namespace}-other")
    assert await _replied(other, (run_id, "a")) == [UNKNOWN]


async def test_a_turn_replies_to_the_outcome_that_it_rides_on(kit: Kit) -> None:
    """Promise 8: also where the outcome is consumed without having been stored."""
    journal = await _opened(kit)
    run_id = await waiting(journal, {"tasks": (new_task(),)})
    task = await claimed_task(journal)
    told = replace(outcome(task.task), dedupe="a")
    answered = fused(
        await row(journal, run_id), await journal.now(), (told.id,), replies=(Reply("a", b"yes"),)
    )
    end = await finished(journal, replace(finish(task), delivery=told, turn=answered))
    assert end.committed is not None
    assert await _replied(journal, (run_id, "a")) == [Replied(ReplyState.GONE, b"yes")]


async def test_what_an_outcome_brings_is_seen_once(kit: Kit) -> None:
    """Promise 8: one that a turn rides on is dropped where another waits under its dedupe id."""
    journal = await _opened(kit)
    run_id = await waiting(journal, {"tasks": (new_task(),)})
    task = await claimed_task(journal)
    await delivered(journal, signal(run_id, due=FAR, dedupe="a"))
    told = replace(outcome(task.task), dedupe="a")
    end = replace(finish(task), delivery=told)
    riding = fused(await row(journal, run_id), await journal.now(), (told.id,))
    await finished(journal, replace(end, turn=riding))
    assert await _replied(journal, (run_id, "a")) == [PENDING]
    assert [each.due for each in (await seen(journal, run_id)).deliveries] == [FAR]


async def test_a_first_turn_replies_to_what_it_begins_with(kit: Kit) -> None:
    """Promise 8: also where the delivery that starts the run is consumed without having been stored."""
    journal = await _opened(kit)
    plain = new_run()
    new = replace(plain, delivery=replace(plain.delivery, dedupe="a"))
    begun = first_turn(new, await journal.now(), replies=(Reply("a", b"yes"),))
    (answer,) = await journal.start([replace(new, turn=begun)])
    assert answer.committed is not None
    assert await _replied(journal, (new.run_id, "a")) == [Replied(ReplyState.GONE, b"yes")]
