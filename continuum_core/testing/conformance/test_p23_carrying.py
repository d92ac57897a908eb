"""Promise 23: a run that is carried is whole, and lives in one journal.

It leaves only as what was dumped and in one transaction, keeps an image of itself behind, and is written
elsewhere all or nothing. Keyed results travel, and what is stored is counted alike everywhere.
"""

from __future__ import annotations

from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.errors import UsageError
from continuum_core.journal.carrying import (
    DAY,
    KeyedResult,
    RestoreOutcome,
    RunImage,
)
from continuum_core.journal.commit import (
    DeliverOutcome,
    FinishOutcome,
    OrderKind,
    PrunePlan,
    Query,
    ReserveOutcome,
    StartOutcome,
)
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import Held, RunStatus
from continuum_core.testing.conformance.carried import busy_run, dump_of, elsewhere, left, opened, whole
from continuum_core.testing.conformance.given import (
    FAR,
    MACHINE,
    MOMENT,
    finish,
    new_id,
    new_run,
    new_task,
    reservation,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed,
    claimed_one,
    claimed_task,
    claimed_tasks,
    committed,
    delivered,
    finished,
    ordered,
    row,
    seen,
    started,
    task_after_loss,
    waiting,
)

# --- dumped and restored


async def test_an_image_holds_everything(kit: Kit) -> None:
    """Promise 23: row, deliveries with why they are held, tasks with what was reported, dedupe ids."""
    journal, _ = await opened(kit)
    run_id = await busy_run(journal)
    image, shown = (await dump_of(journal, run_id)).image, await seen(journal, run_id)
    assert (image.run, image.deliveries, image.tasks, image.dead) == (
        shown.run,
        shown.deliveries,
        shown.tasks,
        shown.dead,
    )
    assert [name for name, _ in image.seen] == ["d1", "d2", "d3"]
    assert [at is None for _, at in image.seen] == [True, False, True]
    assert image.reported == tuple(task.fence for task in image.tasks)
    assert [delivery.held for delivery in image.deliveries][:2] == [Held.DEFERRED, Held.NO]


async def test_who_is_not_there_has_no_image(kit: Kit) -> None:
    """Promise 23: None for an id of no run, and for a run of another namespace."""
    journal, carrier = await opened(kit)
    run_id = await started(journal)
    _, others = await elsewhere(kit)
    assert await others.dump([run_id]) == [None]
    found = await carrier.dump([new_id(), run_id])
    assert (found[0], found[1] is None) == (None, False)
    assert await carrier.dump([]) == []


async def test_what_is_restored_is_what_was_dumped(kit: Kit) -> None:
    """Promise 23: verbatim, records and all, and dumped again it is the same."""
    journal, _ = await opened(kit)
    run_id = await busy_run(journal)
    image = await whole(journal, run_id)
    other, others = await elsewhere(kit)
    assert await others.restore([image]) == [RestoreOutcome.RESTORED]
    here = replace(image.run, namespace=other.namespace)
    assert await whole(other, run_id) == replace(image, run=here)
    (listed,) = (await other.list(Query(machine=MACHINE))).runs
    assert listed == here


async def test_a_restored_run_goes_on(kit: Kit) -> None:
    """Promise 23: it is claimed, its held deliveries are freed, its tasks are claimed and finished."""
    journal, _ = await opened(kit)
    run_id = await busy_run(journal)
    image = await whole(journal, run_id)
    other, others = await elsewhere(kit)
    await others.restore([image])
    claim, now = await claimed_one(other)
    assert (claim.version, claim.base, claim.snapshot) == (3, image.run.commit_id, image.run.snapshot)
    assert claim.fence > image.run.fence
    assert [delivery.payload for delivery in claim.deliveries] == [b"free"]
    assert claim.has_deferred
    free = claim.deliveries[0]
    answer = await committed(other, turn(claim, now, (b"d;",), consumed=(free.id,), release=True))
    assert answer.more
    tasks = (await claimed_tasks(other)).tasks
    assert [(each.task.token, each.task.slot) for each in tasks] == [(1, 0), (2, 0)]
    assert all(each.task.fence > kept.fence for each, kept in zip(tasks, image.tasks[::2], strict=True))
    assert (await finished(other, finish(tasks[0]))).outcome is FinishOutcome.FINISHED
    assert [record.version for record in await other.history(run_id)] == [1, 2, 3, 4]


async def test_dedupe_ids_travel(kit: Kit) -> None:
    """Promise 23: a repeat is known where the run has gone; one that begins is new."""
    journal, _ = await opened(kit)
    run_id = await busy_run(journal)
    image = await left(journal, run_id)
    other, others = await elsewhere(kit)
    await others.restore([image])
    again = [signal(run_id, dedupe=name) for name in ("d1", "d2", "d3", "d4")]
    answers = [answer.outcome for answer in await other.deliver(again)]
    assert answers == [DeliverOutcome.DUPLICATE] * 3 + [DeliverOutcome.ACCEPTED]


async def test_repeats_of_a_restore_change_nothing(kit: Kit) -> None:
    """Promise 23: EXISTS, also once the run has gone further; the start's repeat is known, too."""
    journal, _ = await opened(kit)
    run_id = await busy_run(journal)
    image = await whole(journal, run_id)
    other, others = await elsewhere(kit)
    outcomes = await others.restore([image, image])
    assert outcomes == [RestoreOutcome.RESTORED, RestoreOutcome.EXISTS]
    claim, now = await claimed_one(other)
    await committed(other, turn(claim, now, (b"d;",)))
    before = await whole(other, run_id)
    assert await others.restore([image]) == [RestoreOutcome.EXISTS]
    assert await whole(other, run_id) == before
    (answer,) = await other.start([new_run(run_id=run_id, key="k")])
    assert answer.outcome is StartOutcome.EXISTS


async def test_no_other_run_is_overwritten(kit: Kit) -> None:
    """Promise 23: another digest, another life or a lower version is a conflict; the others stand."""
    journal, _ = await opened(kit)
    images: list[RunImage] = []
    for _ in range(4):
        run_id = await waiting(journal)
        await ordered(journal, OrderKind.SUSPEND, run_id)
        images.append(await whole(journal, run_id))
    other, others = await elsewhere(kit)
    await waiting(other, run_id=images[1].run.run_id)  # another life: other commits
    await started(other, run_id=images[0].run.run_id, digest=b"another")
    short = images[2]
    earlier = replace(short.run, version=1, commit_id=short.records[0].commit_id)
    await others.restore([replace(short, run=earlier, records=short.records[:1])])
    before = [await whole(other, image.run.run_id) for image in images[:3]]
    outcomes = await others.restore(images)
    assert outcomes == [RestoreOutcome.CONFLICT] * 3 + [RestoreOutcome.RESTORED]
    assert [await whole(other, image.run.run_id) for image in images[:3]] == before


async def test_half_a_run_is_refused(kit: Kit) -> None:
    """Promise 23: an image with a gap, or with what is another's, is an error and nothing is written."""
    journal, _ = await opened(kit)
    run_id = await busy_run(journal)
    image = await whole(journal, run_id)
    other, others = await elsewhere(kit)
    wrong = [
        replace(image, records=image.records[:-1]),
        replace(image, records=image.records[1:]),
        replace(image, run=replace(image.run, commit_id=new_id())),
        replace(image, reported=()),
        replace(image, deliveries=(signal(new_id(), due=0),)),
        replace(image, deliveries=(signal(run_id),)),
        replace(image, run=replace(image.run, status=RunStatus.COMPLETED)),
    ]
    for each in wrong:
        with pytest.raises(UsageError):
            await others.restore([image, each])
    assert await other.load([run_id]) == [None]


async def test_statuses_travel(kit: Kit) -> None:
    """Promise 23: suspended, parked, ended: each is found as such, and acts as such."""
    journal, _ = await opened(kit)
    suspended, parked, ended = [await waiting(journal) for _ in range(3)]
    await ordered(journal, OrderKind.SUSPEND, suspended, cause="why")
    await delivered(journal, signal(parked))
    claim, now = await claimed_one(journal)
    poison = ((claim.deliveries[0].id, Held.POISON),)
    await committed(journal, turn(claim, now, status=RunStatus.PARKED, cause="c", consumed=(), hold=poison))
    await delivered(journal, signal(ended, b"late"))
    await ordered(journal, OrderKind.TERMINATE, ended, outcome=b"over")
    images = [await whole(journal, run_id) for run_id in (suspended, parked, ended)]
    other, others = await elsewhere(kit)
    assert await others.restore(images) == [RestoreOutcome.RESTORED] * 3
    for image in images:
        here = replace(image.run, namespace=other.namespace)
        assert await whole(other, image.run.run_id) == replace(image, run=here)
        assert (await other.list(Query(status=image.run.status))).runs == (here,)
    assert [letter.delivery.payload for letter in images[2].dead] == [b"late"]
    assert (await claimed(other)).runs == ()
    await ordered(other, OrderKind.UNPARK, parked)
    assert [claim.run_id for claim in (await claimed(other)).runs] == [parked]
    assert (await other.prune(PrunePlan(before=FAR, limit=10))).runs == 1


async def test_leases_do_not_travel(kit: Kit) -> None:
    """Promise 23: a task that was held counts as lost once more; a run that was held is free."""
    limits = Limits(loss_backoff=MOMENT)
    journal, _ = await opened(kit, limits)
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    await claimed_task(journal)
    await delivered(journal, signal(run_id))
    claim, _ = await claimed_one(journal)
    image = await whole(journal, run_id)
    assert (image.run.claim_id is None, image.tasks[0].lease_until is None) == (False, False)
    other, others = await elsewhere(kit, limits)
    await others.restore([image])
    there = (await dump_of(other, run_id)).image
    assert (there.run.lease_until, there.run.claim_id, there.run.tries) == (None, None, claim.tries)
    (task,) = there.tasks
    assert (task.lease_until, task.claim_id, task.losses) == (None, None, image.tasks[0].losses + 1)
    assert (await claimed_one(other))[0].fence > claim.fence
    assert (await task_after_loss(other)).task.fence > image.tasks[0].fence


async def test_what_waited_for_a_run_finds_it(kit: Kit) -> None:
    """Promise 23: a message to a run that was not here yet is delivered when it arrives, once."""
    journal, _ = await opened(kit)
    run_id = await waiting(journal)
    image = await left(journal, run_id)
    other, others = await elsewhere(kit)
    await started(other)
    claim, now = await claimed_one(other)
    sent = (signal(run_id, b"early", dedupe="m"),)
    await committed(other, turn(claim, now, (b"s;",), deliveries=sent))
    await others.restore([image])
    there = (await dump_of(other, run_id)).image
    assert ([delivery.payload for delivery in there.deliveries], there.dead) == ([b"early"], ())
    assert there.seen == (("m", None),)
    (arrived, _now) = await claimed_one(other)
    assert arrived.run_id == run_id


async def test_letters_that_came_too_early_travel(kit: Kit) -> None:
    """Promise 23: what came before the run itself stays dead on the way, and is none that waits elsewhere."""
    journal, _ = await opened(kit)
    await started(journal)
    claim, now = await claimed_one(journal)
    late = new_run()
    sent = (signal(late.run_id, b"early"), signal(late.run_id, b"too", dedupe="m"))
    await committed(journal, turn(claim, now, (b"s;",), deliveries=sent))
    await journal.start([late])
    image = await left(journal, late.run_id)
    other, others = await elsewhere(kit)
    await others.restore([image])
    there = (await dump_of(other, late.run_id)).image
    assert (there.deliveries, there.dead) == (image.deliveries, image.dead)


# --- keyed results, and what is stored


async def test_keyed_results_travel(kit: Kit) -> None:
    """Promise 23: in pages, inside their window; where one is kept already, that one stays."""
    journal, carrier = await opened(kit)
    await waiting(journal, {"tasks": tuple(new_task(1, slot, key=f"k{slot}") for slot in range(5))})
    tasks = (await claimed_tasks(journal)).tasks
    for each in tasks:
        await journal.reserve([reservation(each.task, key=each.task.key or "")])
    for number, each in enumerate(tasks[:4]):
        await finished(journal, finish(each, result=b"%d" % number))
    found: dict[str, KeyedResult] = {}
    cursor: str | None = None
    for _ in range(20):
        page = await carrier.results(cursor, 2)
        found.update({each.key: each for each in page.results})
        cursor = page.cursor
        if cursor is None:
            break
    assert {key: each.result for key, each in found.items()} == {f"k{n}": b"%d" % n for n in range(4)}
    other, others = await elsewhere(kit)
    await others.keep([replace(found["k0"], result=b"first")])
    await others.keep([*found.values(), replace(found["k1"], key="past", until=1)])
    kept = [await other.reserve([reservation(each.task, key=each.task.key or "")]) for each in tasks]
    assert [answer.result for (answer,) in kept] == [b"first", b"1", b"2", b"3", None]
    (past,) = await other.reserve([reservation(tasks[0].task, key="past")])
    assert past.outcome is ReserveOutcome.RESERVED


async def test_what_is_stored_is_counted(kit: Kit) -> None:
    """Promise 23: runs, records and payload bytes by machine, status and day."""
    journal, carrier = await opened(kit)
    assert await carrier.tally() == []
    await elsewhere(kit)
    first = await busy_run(journal)
    ended = await started(journal, machine="other")
    for claim in (await claimed(journal)).runs:
        if claim.run_id == ended:
            done = turn(claim, await journal.now(), (b"s;",), status=RunStatus.COMPLETED, outcome=b"over")
            await committed(journal, done)
    size: dict[UUID, int] = {}
    for run_id in (first, ended):
        image = await whole(journal, run_id)
        payloads = [image.run.snapshot, image.run.outcome or b""]
        payloads += [record.body for record in image.records]
        payloads += [delivery.payload for delivery in image.deliveries]
        payloads += [task.payload for task in image.tasks]
        size[run_id] = sum(map(len, payloads))
    told = [(one.machine, one.status, one.runs, one.records, one.bytes) for one in await carrier.tally()]
    assert told == [
        (MACHINE, RunStatus.RUNNING, 1, 3, size[first]),
        ("other", RunStatus.COMPLETED, 1, 1, size[ended]),
    ]
    days = {one.day for one in await carrier.tally()}
    assert days == {(await row(journal, run_id)).created // DAY for run_id in (first, ended)}
