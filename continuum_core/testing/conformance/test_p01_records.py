"""Promise 1: records of a run are gap-free, unique and never rewritten; folding them yields the snapshot."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from continuum_core.errors import UsageError
from continuum_core.journal.commit import CommitOutcome, OrderKind
from continuum_core.journal.records import DeliveryKind, RecordKind
from continuum_core.testing.conformance.given import HOUR, folded, new_id, new_run, signal, turn
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    committed,
    delivered,
    ordered,
    row,
    started,
    tried,
    waiting,
)


async def test_versions_count_from_one_without_gaps(kit: Kit) -> None:
    """Promise 1: versions are 1, 2, 3 … over commits of one and of several steps, and over orders."""
    journal = await kit.open()
    run_id = await waiting(journal)
    for bodies in ((b"a;",), (b"b;", b"c;", b"d;"), (b"e;",)):
        await delivered(journal, signal(run_id))
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now, bodies))
    await ordered(journal, OrderKind.SUSPEND, run_id)
    history = await journal.history(run_id)
    assert [record.version for record in history] == [1, 2, 3, 4, 5, 6, 7]
    assert [record.kind for record in history[-2:]] == [RecordKind.STEP, RecordKind.CONTROL]
    assert (await row(journal, run_id)).version == 7


async def test_records_fold_to_the_snapshot(kit: Kit) -> None:
    """Promise 1: after every commit the fold of the records is the stored snapshot."""
    journal = await kit.open()
    run_id = await started(journal)
    for number in range(5):
        claim, now = await claimed_one(journal)
        bodies = [f"{number}.{step};".encode() for step in range(number + 1)]
        await committed(journal, turn(claim, now, bodies))
        run = await row(journal, run_id)
        assert folded(await journal.history(run_id)) == run.snapshot
        await delivered(journal, signal(run_id))
    claim, _ = await claimed_one(journal)
    assert claim.snapshot == folded(await journal.history(run_id))


async def test_records_are_never_rewritten(kit: Kit) -> None:
    """Promise 1: what was read once is read again, whatever came after, refused commits included."""
    journal = await kit.open()
    run_id = await waiting(journal)
    before = await journal.history(run_id)
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    stale = turn(claim, now, (b"other;", b"history;"), version=0, fence=claim.fence)
    stale = replace(stale, records=tuple(replace(r, version=r.version - 1) for r in stale.records))
    assert await tried(journal, stale) is CommitOutcome.LOST
    await committed(journal, turn(claim, now))
    assert (await journal.history(run_id))[: len(before)] == before


async def test_history_is_read_in_pages(kit: Kit) -> None:
    """Promise 1: `after` and `limit` cut the history without overlap or gap."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    written = turn(claim, now, [f"{number};".encode() for number in range(10)])
    await committed(journal, written)
    pages = [await journal.history(run_id, after, 4) for after in (0, 4, 8)]
    assert [record for page in pages for record in page] == list(written.records)
    assert [len(page) for page in pages] == [4, 4, 2]
    assert await journal.history(run_id, 10) == []
    assert await journal.history(new_id()) == []


async def test_times_of_records_do_not_go_back(kit: Kit) -> None:
    """Promise 1: an order's record is not earlier than the last one, even if that is ahead of the clock."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now + HOUR))
    await ordered(journal, OrderKind.SUSPEND, run_id)
    assert [record.at for record in await journal.history(run_id)] == [now + HOUR] * 2


@pytest.mark.parametrize("versions", [(), (2, 2), (3,), (2, 4), (1,)])
async def test_a_turn_with_gaps_is_refused(kit: Kit, versions: tuple[int, ...]) -> None:
    """Promise 1: a turn whose records do not continue the history is refused; nothing is written."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    commit = turn(claim, now)
    wrong = replace(commit, records=tuple(replace(commit.records[0], version=v) for v in versions))
    with pytest.raises(UsageError):
        await journal.commit([wrong])
    assert len(await journal.history(run_id)) == 1
    await committed(journal, commit)


@pytest.mark.parametrize("kind", list(RecordKind), ids=lambda kind: kind.name)
async def test_the_kind_of_a_record_is_kept(kit: Kit, kind: RecordKind) -> None:
    """Promise 1: a journal gives back the kind that it was given, and makes nothing of it."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    plain = turn(claim, now)
    told = replace(plain, records=tuple(replace(record, kind=kind) for record in plain.records))
    await committed(journal, told)
    assert [record.kind for record in await journal.history(run_id)] == [kind]


async def test_a_run_may_begin_with_a_fork(kit: Kit) -> None:
    """Promise 1: the first delivery of a run is a start or a fork; the turn that takes it names its kind."""
    journal = await kit.open()
    new = new_run()
    fork = replace(new.delivery, kind=DeliveryKind.FORK, payload=b"fork")
    await journal.start([replace(new, delivery=fork)])
    claim, _ = await claimed_one(journal)
    assert [(each.id, each.kind, each.payload) for each in claim.deliveries] == [
        (fork.id, DeliveryKind.FORK, b"fork")
    ]
