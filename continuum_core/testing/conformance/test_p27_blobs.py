"""Promise 27: a blob is read back as it was put while a row of its run refers to it; then it goes.

The kit's rows refer to blobs as the engine's do: by references, which stand where the payload would.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from msgspec.structs import replace

from continuum_core.journal.blobs import (
    GRACE,
    Blob,
    BlobKeeping,
    BlobName,
    blob_of,
    hash_in,
    keeping,
    length_in,
)
from continuum_core.journal.carrying import Version, carrier_of
from continuum_core.journal.commit import Member, OrderKind, PrunePlan, RunClaim
from continuum_core.journal.protocol import Capability, Journal, Limits
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import FAR, finish, hold_task, new_id, new_task, signal, turn
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    claimed_tasks,
    committed,
    delivered,
    finished,
    ordered,
    passed,
    row,
    started,
    waiting,
)

ALL = PrunePlan(before=FAR, limit=1_000)


def kept_by(journal: Journal) -> BlobKeeping:
    keeps = keeping(journal)
    assert keeps is not None, "it declares blobs, and its handles have no `keep_blobs`"
    return keeps


async def put(journal: Journal, run_id: UUID, data: bytes, snapshot: int = 0) -> Blob:
    blob = blob_of(run_id, data, snapshot)
    await kept_by(journal).keep_blobs([blob])
    return blob


async def there(journal: Journal, *blobs: Blob) -> list[bool]:
    """Which of them can be fetched; what can is what was put."""
    found = await kept_by(journal).fetch_blobs([BlobName(blob.run_id, blob.hash) for blob in blobs])
    assert all(data in (None, blob.data) for data, blob in zip(found, blobs, strict=True))
    return [data is not None for data in found]


async def step(journal: Journal, claim: RunClaim, now: int, snapshot: Blob, **changes: Any) -> None:
    """A turn of one step whose snapshot is a blob that was put before."""
    await committed(journal, replace(turn(claim, now, (b"s;",), **changes), snapshot=snapshot.reference))


async def test_what_was_put_is_fetched(kit: Kit) -> None:
    """Promise 27: byte by byte, of runs that are not there yet; another run's are another's."""
    kit.needs(Capability.BLOBS)
    journal = await kit.open()
    run_id, other = new_id(), new_id()
    payloads = [b"", bytes(range(256)), b"\x00" * 70_000, bytes(reversed(range(256))) * 4_096]
    blobs = [blob_of(run_id, data) for data in payloads]
    assert all(hash_in(blob.reference) == blob.hash for blob in blobs)
    assert [length_in(blob.reference) for blob in blobs] == [len(data) for data in payloads]
    await kept_by(journal).keep_blobs([*blobs, blobs[1], blob_of(other, b"another")])
    await kept_by(journal).keep_blobs(blobs[:2])
    names = [BlobName(blob.run_id, blob.hash) for blob in blobs]
    asked = [names[3], BlobName(other, blobs[0].hash), names[0], names[3], *names]
    told = await kept_by(journal).fetch_blobs(asked)
    assert told == [payloads[3], None, payloads[0], payloads[3], *payloads]
    await kept_by(journal).keep_blobs([])
    assert await kept_by(journal).fetch_blobs([]) == []


async def test_namespaces_do_not_share_blobs(kit: Kit) -> None:
    """Promises 18 and 27: another namespace's blob of the same run and bytes is another one."""
    kit.needs(Capability.BLOBS)
    journal, other = await kit.open(), await kit.open(f"{kit.namespace}-other")
    blob = await put(journal, new_id(), b"mine")
    assert await there(other, blob) == [False]
    await kept_by(other).keep_blobs([blob])
    assert await there(other, blob) == [True]


async def test_the_same_bytes_are_kept_once(kit: Kit) -> None:
    """Promise 27: a run that refers to a blob twice takes its size once, and says so."""
    kit.needs(Capability.BLOBS, Capability.CARRIES)
    journal = await kit.open()
    run_id = await waiting(journal)

    async def size() -> int:
        return sum(each.bytes for each in await carrier_of(journal).tally())

    before = await size()
    blob = await put(journal, run_id, b"x" * 5_000)
    assert await size() == before + 5_000
    for _ in range(3):
        await put(journal, run_id, b"x" * 5_000)
        await delivered(journal, signal(run_id, blob.reference))
    assert await size() == before + 5_000 + 3 * len(blob.reference)


async def test_blobs_go_with_their_run(kit: Kit) -> None:
    """Promise 27: pruning takes those that were put before the run ended, and counts them; dry runs, too."""
    kit.needs(Capability.BLOBS)
    journal = await kit.open()
    run_id, living = await started(journal), new_id()
    claim, now = await claimed_one(journal)
    blobs = [await put(journal, run_id, b"one"), await put(journal, run_id, b"two", 1)]
    stays = await put(journal, living, b"one")
    await step(journal, claim, now, blobs[1], status=RunStatus.COMPLETED, outcome=blobs[0].reference)
    dry = await journal.prune(replace(ALL, dry_run=True))
    assert (dry.runs, dry.blobs) == (1, 2)
    assert await there(journal, *blobs, stays) == [True, True, True]
    assert await journal.prune(ALL) == dry
    assert await there(journal, *blobs, stays) == [False, False, True]


async def test_what_is_put_after_the_end_waits(kit: Kit) -> None:
    """Promise 27: it may be for the run that begins under this id when the other one is gone."""
    kit.needs(Capability.BLOBS)
    journal = await kit.open()
    run_id = await waiting(journal)
    first = await put(journal, run_id, b"old")
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    await passed(journal, (await row(journal, run_id)).updated)
    again, new = await put(journal, run_id, b"again"), await put(journal, run_id, b"new")
    assert (await journal.prune(ALL)).blobs == 1
    assert await there(journal, first, again, new) == [False, True, True]


async def test_erased_runs_take_their_blobs(kit: Kit) -> None:
    """Promise 27: erasing is like pruning."""
    kit.needs(Capability.BLOBS, Capability.CARRIES)
    journal = await kit.open()
    run_id = await waiting(journal)
    blob = await put(journal, run_id, b"body")
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=blob.reference)
    ended = await row(journal, run_id)
    assert await carrier_of(journal).erase([Version(run_id, ended.commit_id)]) == [True]
    assert await there(journal, blob) == [False]


async def test_a_run_keeps_few_snapshots(kit: Kit) -> None:
    """Promise 27: those of earlier versions go when another one is put; the present one never does."""
    kit.needs(Capability.BLOBS)
    journal = await kit.open()
    run_id = await started(journal)
    snapshots: list[Blob] = []
    for number in range(6):
        claim, now = await claimed_one(journal)
        snapshots.append(await put(journal, run_id, b"%d" % number, claim.version + 1))
        await step(journal, claim, now, snapshots[-1])
        assert (await row(journal, run_id)).snapshot == snapshots[-1].reference
        assert (await there(journal, *snapshots))[-2:] == [True, True][-len(snapshots) :]
        assert sum(await there(journal, *snapshots)) <= 2
        await delivered(journal, signal(run_id))


async def test_what_is_not_a_snapshots_alone_stays(kit: Kit) -> None:
    """Promise 27: whichever was put first, the snapshot or the other payload."""
    kit.needs(Capability.BLOBS)
    journal = await kit.open()
    run_id = await started(journal)
    first = await put(journal, run_id, b"first")  # and then it is a snapshot, too
    for data in (b"first", b"second", b"third", b"fourth"):
        claim, now = await claimed_one(journal)
        blob = await put(journal, run_id, data, claim.version + 1)
        await step(journal, claim, now, blob)
        if data == b"second":
            await put(journal, run_id, data)  # it was a snapshot first
        await delivered(journal, signal(run_id))
    assert await there(journal, first, blob_of(run_id, b"second")) == [True, True]


async def test_orders_leave_the_snapshot(kit: Kit) -> None:
    """Promise 27: they move the version; the snapshot of an earlier one is still the run's."""
    kit.needs(Capability.BLOBS)
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    present = await put(journal, run_id, b"present", claim.version + 1)
    await step(journal, claim, now, present)
    for kind in (OrderKind.SUSPEND, OrderKind.RESUME, OrderKind.SUSPEND, OrderKind.RESUME):
        await ordered(journal, kind, run_id)
    in_vain = await put(journal, run_id, b"of a commit that never came", 2)
    await put(journal, run_id, b"next", (await row(journal, run_id)).version + 1)
    assert await there(journal, present, in_vain) == [True, False]


async def test_a_stale_snapshot_harms_nobody(kit: Kit) -> None:
    """Promise 27: who is behind puts one, and takes away nothing that is still to be read."""
    kit.needs(Capability.BLOBS)
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    coming = await put(journal, run_id, b"coming", claim.version + 1)
    other = await put(journal, run_id, b"another worker's", claim.version + 1)
    assert await there(journal, coming, other) == [True, True]
    await step(journal, claim, now, coming)
    late = await put(journal, run_id, b"late", claim.version + 1)
    assert await there(journal, coming, late) == [True, True]
    assert (await row(journal, run_id)).snapshot == coming.reference


# --- what no row refers to any more: looked at a day later, on the kit's own clock


async def _a_day_on(kit: Kit) -> Journal:
    """A handle on a clock that the test moves."""
    kit.needs(Capability.BLOBS, Capability.CLOCK)
    journal = kit.clocked(kit.namespace, Limits())
    await journal.open()
    return journal


def _later(kit: Kit, micros: int) -> None:
    assert kit.clock is not None
    kit.clock.at += micros


async def test_orphans_go_after_a_day(kit: Kit) -> None:
    """Promise 27: a blob that was put for a row that never came, of a run or of none; not before its time."""
    journal = await _a_day_on(kit)
    run_id = await waiting(journal)
    orphans = [await put(journal, run_id, b"one"), await put(journal, new_id(), b"two")]
    _later(kit, GRACE - 1_000)
    assert (await journal.prune(ALL)).blobs == 0
    again = await put(journal, run_id, b"again")
    assert await there(journal, *orphans, again) == [True, True, True]
    _later(kit, 1_000)
    dry = await journal.prune(replace(ALL, dry_run=True))
    assert dry.blobs == 2
    assert (await journal.prune(ALL)).blobs == 2
    assert await there(journal, *orphans, again) == [False, False, True]


async def test_what_a_row_refers_to_stays(kit: Kit) -> None:
    """Promise 27: wherever in the run's rows it stands, and for as many days; then it goes."""
    journal = await _a_day_on(kit)
    run_id = await started(journal)
    claim, now = await claimed_one(journal)

    async def blob(what: str) -> Blob:
        return await put(journal, run_id, what.encode())

    snapshot = await put(journal, run_id, b"snapshot", 1)
    record, later, task, done, member = [
        await blob(what) for what in ("record", "later", "task", "done", "member")
    ]
    first = turn(claim, now, (record.reference,))
    crews = Capability.CREWS in kit.capabilities
    await committed(
        journal,
        replace(
            first,
            snapshot=snapshot.reference,
            tasks=(
                replace(new_task(1), payload=task.reference),
                replace(new_task(2), payload=done.reference),
            ),
            deliveries=(signal(run_id, later.reference, due=FAR),),
            members=(Member(3, 0, member.reference),) if crews else (),
        ),
    )
    under_way, ending = sorted(
        (await claimed_tasks(journal, lease=10 * GRACE)).tasks, key=lambda each: each.task.token
    )
    details = await blob("details")
    await journal.heartbeat([hold_task(under_way, details.reference)], 10 * GRACE)
    await finished(journal, finish(ending))
    kept = [snapshot, record, later, task, details, *([member] if crews else [])]
    for _ in range(3):
        _later(kit, GRACE)
        await journal.prune(ALL)
        assert await there(journal, *kept) == [True] * len(kept)
    assert await there(journal, done) == [False]
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    assert (await journal.prune(ALL)).blobs == len(kept)
    assert await there(journal, *kept) == [False] * len(kept)
