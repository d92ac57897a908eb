"""Promise 5: what was acknowledged is durable: also what a journal knows repeats by, and what bounds claims.

Each test opens a store, closes every handle, and asks one that is made from the URL alone. No reader shows
these rows: they are seen in what a repeat is told, and in what a claim does not get.
"""

from __future__ import annotations

from continuum_core.journal.blobs import BlobName, blob_of, keeping
from continuum_core.journal.commit import (
    DeliverOutcome,
    FinishKind,
    FinishOutcome,
    Member,
    OrderKind,
    PrunePlan,
    Reply,
    ReserveOutcome,
    StartOutcome,
)
from continuum_core.journal.crews import crewed
from continuum_core.journal.protocol import Capability, Journal
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Definition
from continuum_core.journal.replies import Asked, replying
from continuum_core.journal.searching import searcher_of
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    TAKES,
    finish,
    fused,
    new_id,
    new_run,
    new_task,
    order,
    reservation,
    signal,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    claimed_tasks,
    committed,
    delivered,
    finished,
    row,
    seen,
    started,
    waiting,
)
from continuum_core.testing.conformance.searches import attribute


async def _later(kit: Kit) -> Journal:
    """The store as another program finds it."""
    await kit.close_all()
    later = kit.stranger()
    await later.open()
    return later


async def test_repeats_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE): starts, messages that were consumed or wait, and turns that stand."""
    kit.needs(Capability.DURABLE)
    journal = await kit.open()
    new = new_run()
    await journal.start([new])
    consumed, waits = signal(new.run_id, dedupe="consumed"), signal(new.run_id, dedupe="waits")
    await delivered(journal, consumed)
    claim, now = await claimed_one(journal)
    stands = turn(claim, now)
    await committed(journal, stands)
    await delivered(journal, waits)
    before = await seen(journal, new.run_id)
    later = await _later(kit)
    answers = await later.deliver([consumed, waits])
    assert [answer.outcome for answer in answers] == [DeliverOutcome.DUPLICATE] * 2
    (again,) = await later.start([new])
    assert again.outcome is StartOutcome.EXISTS
    await committed(later, stands)
    assert await seen(later, new.run_id) == before


async def test_orders_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE): one that is repeated is answered as before, whatever the run is by then."""
    kit.needs(Capability.DURABLE)
    journal = await kit.open()
    run_id = await waiting(journal)
    given = [order(kind, run_id) for kind in (OrderKind.UNPARK, OrderKind.SUSPEND, OrderKind.RESUME)]
    first = await journal.control(given)
    before = await seen(journal, run_id)
    later = await _later(kit)
    assert await later.control(given) == first
    assert await seen(later, run_id) == before


async def test_claims_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE): a claim's id still holds its runs and its tasks, and nobody else gets them."""
    kit.needs(Capability.DURABLE)
    journal = await kit.open()
    await waiting(journal, {"tasks": (new_task(1),)})
    await started(journal)
    of_runs, of_tasks = new_id(), new_id()
    runs = (await journal.claim_runs(of_runs, 5, HOUR, TAKES)).runs
    tasks = (await claimed_tasks(journal, claim_id=of_tasks)).tasks
    assert (len(runs), len(tasks)) == (1, 1)
    later = await _later(kit)
    assert (await later.claim_runs(new_id(), 5, HOUR, TAKES)).runs == ()
    assert (await claimed_tasks(later)).tasks == ()
    assert (await later.claim_runs(of_runs, 5, HOUR, TAKES)).runs == runs
    assert (await claimed_tasks(later, claim_id=of_tasks)).tasks == tasks


async def test_ends_of_tasks_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE): a repeated RETRY is GONE, a keyed result is DONE, and a reservation is BUSY."""
    kit.needs(Capability.DURABLE)
    journal = await kit.open()
    await waiting(journal, {"tasks": (new_task(1, key="done"), new_task(2))})
    first, second = (await claimed_tasks(journal)).tasks
    retry = finish(second, FinishKind.RETRY)
    await journal.finish([finish(first, result=b"result"), retry])
    await journal.reserve([reservation(second.task, key="busy")])
    later = await _later(kit)
    assert (await finished(later, retry)).outcome is FinishOutcome.GONE
    done, busy = await later.reserve(
        [reservation(second.task, key="done"), reservation(first.task, key="busy")]
    )
    assert (done.outcome, done.result) == (ReserveOutcome.DONE, b"result")
    assert busy.outcome is ReserveOutcome.BUSY


async def test_queues_are_limited_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE): tokens that were taken are gone, and the next fairness key has its turn."""
    kit.needs(Capability.DURABLE)
    journal = await kit.open()
    fair = tuple(new_task(1, slot, fairness="aab"[slot], queue="fair") for slot in range(3))
    await waiting(journal, {"tasks": (*fair, new_task(2, 0), new_task(2, 1))})
    limited, dealt = want(2, rate=Rate(1, HOUR, 1)), want(1, "fair")
    assert len((await claimed_tasks(journal, limited)).tasks) == 1
    assert [claim.task.fairness for claim in (await claimed_tasks(journal, dealt)).tasks] == ["a"]
    later = await _later(kit)
    assert (await claimed_tasks(later, limited)).tasks == ()
    assert [claim.task.fairness for claim in (await claimed_tasks(later, dealt)).tasks] == ["b"]


async def test_letters_and_definitions_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE): what reached nobody, and the definitions that runs are of."""
    kit.needs(Capability.DURABLE)
    journal = await kit.open()
    defined = [Definition(fingerprint=name, machine="m", version=1, body=name.encode()) for name in "ab"]
    await journal.define(defined)
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id, b"too late"))
    await journal.control([order(OrderKind.TERMINATE, run_id, outcome=b"over")])
    before = await seen(journal, run_id)
    assert [letter.delivery.payload for letter in before.dead] == [b"too late"]
    later = await _later(kit)
    assert await seen(later, run_id) == before
    assert await later.definitions() == defined


# --- what only some journals keep -----------------------------------------------------------------------


async def test_replies_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE, REPLIES): what a turn answered can still be asked for."""
    kit.needs(Capability.DURABLE, Capability.REPLIES)
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id, dedupe="a"))
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, replies=(Reply("a", b"yes"),)))
    later = await _later(kit)
    assert [answer.body for answer in await replying(later).replies([Asked(run_id, "a")])] == [b"yes"]


async def test_attributes_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE, SEARCH): a run has the attributes that its turns gave it."""
    kit.needs(Capability.DURABLE, Capability.SEARCH)
    journal = await kit.open()
    given = (attribute("made", 7),)
    run_id = await waiting(journal, {"attributes": given})
    later = await _later(kit)
    assert await searcher_of(later).attributes([run_id]) == [given]


async def test_members_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE, CREWS): what came of members of crews."""
    kit.needs(Capability.DURABLE, Capability.CREWS)
    journal = await kit.open()
    came = Member(1, 0, b"came")
    run_id = await waiting(journal, {"members": (came,)})
    later = await _later(kit)
    assert await crewed(later).members(run_id, 1) == [came]


async def test_blobs_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE, BLOBS): what was put is fetched."""
    kit.needs(Capability.DURABLE, Capability.BLOBS)
    keeps = keeping(await kit.open())
    assert keeps is not None
    blob = blob_of(new_id(), b"large")
    await keeps.keep_blobs([blob])
    later = keeping(await _later(kit))
    assert later is not None
    assert await later.fetch_blobs([BlobName(blob.run_id, blob.hash)]) == [b"large"]


async def test_past_generations_are_known_after_closing(kit: Kit) -> None:
    """Promise 5 (DURABLE, FORGETS): pruning finds the records of a generation that is over."""
    kit.needs(Capability.DURABLE, Capability.FORGETS)
    journal = await kit.open()
    run_id = await waiting(journal)
    await committed(journal, fused(await row(journal, run_id), await journal.now(), begins=2))
    later = await _later(kit)
    pruned = await later.prune(PrunePlan(before=FAR, limit=10, generations=True))
    assert (pruned.runs, pruned.generations, pruned.records) == (0, 1, 1)
    assert [record.version for record in await later.history(run_id)] == [2]
