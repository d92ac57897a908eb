"""Promises 1, 3, 6, 16, 23 of what is forgotten, steps without a record and past generations, or never."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.errors import UsageError
from continuum_core.journal.carrying import Arrival, RestoreOutcome, Version
from continuum_core.journal.commit import Commit, CommitOutcome, OrderKind, PrunePlan
from continuum_core.journal.protocol import Capability, Journal
from continuum_core.journal.records import Record, RunStatus
from continuum_core.testing.conformance.carried import elsewhere, left, opened, whole
from continuum_core.testing.conformance.given import FAR, MACHINE, first_turn, new_run, records, signal, turn
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    committed,
    delivered,
    ordered,
    passed,
    row,
    tried,
    waiting,
)

_PAST = PrunePlan(before=FAR, limit=10, generations=True)


async def _taken(journal: Journal, run_id: UUID, keep: tuple[int, ...], steps: int, **changes: Any) -> Commit:
    """A turn of so many steps, of which these (from 1) leave a record."""
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    made = turn(claim, now, [b"s;"] * steps, steps=steps, **changes)
    made = replace(made, records=tuple(made.records[each - 1] for each in keep))
    await committed(journal, made)
    return made


async def _renewed(journal: Journal, run_id: UUID, steps: int = 3) -> Commit:
    """A turn whose last step begins a generation."""
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    made = turn(claim, now, [b"s;"] * steps, begins=claim.version + steps)
    await committed(journal, made)
    await passed(journal, await journal.now())
    return made


async def _versions(journal: Journal, run_id: UUID, after: int = 0, limit: int = 1_000) -> list[int]:
    return [record.version for record in await journal.history(run_id, after, limit)]


async def test_steps_may_leave_no_record(kit: Kit) -> None:
    """Promise 1: versions count all steps; what is kept keeps its number; pages begin where told."""
    kit.needs(Capability.FORGETS)
    journal = await kit.open()
    run_id = await waiting(journal)
    await _taken(journal, run_id, (), 3)
    await _taken(journal, run_id, (2,), 2)
    await _taken(journal, run_id, (1, 3), 4)
    assert (await row(journal, run_id)).version == 10
    assert await _versions(journal, run_id) == [1, 6, 7, 9]
    assert await _versions(journal, run_id, after=1, limit=2) == [6, 7]
    assert await _versions(journal, run_id, after=7) == [9]
    assert await _versions(journal, run_id, after=9) == []
    await ordered(journal, OrderKind.SUSPEND, run_id)
    assert await _versions(journal, run_id) == [1, 6, 7, 9, 11]


async def test_a_run_may_begin_without_a_record(kit: Kit) -> None:
    """Promise 1: a first turn, too, and what follows it is numbered after it."""
    kit.needs(Capability.FORGETS)
    journal = await kit.open()
    new = new_run()
    first = first_turn(new, await journal.now(), records=(), steps=1)
    (answer,) = await journal.start([replace(new, turn=first)])
    assert answer.committed is not None
    assert answer.committed.outcome is CommitOutcome.COMMITTED
    assert (await row(journal, new.run_id)).version == 1
    assert await _versions(journal, new.run_id) == []
    (again,) = await journal.start([replace(new, turn=first)])
    assert again.committed is not None
    assert again.committed.outcome is CommitOutcome.COMMITTED
    await _taken(journal, new.run_id, (1,), 1)
    assert await _versions(journal, new.run_id) == [2]


async def test_a_repeat_is_known_without_a_record(kit: Kit) -> None:
    """Promise 6: as long as nothing follows; a later one changes nothing; a stale one is lost (promise 3)."""
    kit.needs(Capability.FORGETS)
    journal = await kit.open()
    run_id = await waiting(journal)
    silent = await _taken(journal, run_id, (), 2)
    before = await row(journal, run_id)
    assert await tried(journal, silent) is CommitOutcome.COMMITTED
    assert await tried(journal, replace(silent, commit_id=before.run_id)) is CommitOutcome.LOST
    assert await row(journal, run_id) == before
    told = await _taken(journal, run_id, (2,), 2)
    await _taken(journal, run_id, (), 1)
    before = await row(journal, run_id)
    assert await tried(journal, told) is CommitOutcome.COMMITTED
    assert await tried(journal, silent) is CommitOutcome.LOST
    assert await row(journal, run_id) == before


async def test_no_history_is_refused(kit: Kit) -> None:
    """Promise 2: records beyond the steps or twice, a generation begun elsewhere: nothing is written."""
    kit.needs(Capability.FORGETS)
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    sound = turn(claim, now, [b"s;"] * 2)
    beyond = records(run_id, claim.version + 2, sound.commit_id, [b"s;"], now)
    for wrong in (
        replace(sound, steps=2, records=(*sound.records[:1], *beyond)),
        replace(sound, steps=2, records=sound.records[::-1]),
        replace(sound, steps=3, records=sound.records[:1] * 2),
        replace(sound, begins=claim.version),
        replace(sound, begins=claim.version + 3),
        replace(sound, records=()),
    ):
        with pytest.raises(UsageError):
            await journal.commit([wrong])
    assert (await row(journal, run_id)).version == claim.version
    await committed(journal, sound)


async def test_past_generations_go_while_the_run_lives(kit: Kit) -> None:
    """Promise 16: oldest first, up to the limit, counted; the present one stays; a dry run only counts."""
    kit.needs(Capability.FORGETS)
    journal = await kit.open()
    run_id = await waiting(journal)
    for _ in range(3):  # records 1 to 3 | 4 to 6 | 7 to 9 | 10
        await _renewed(journal, run_id)
    assert (await row(journal, run_id)).generation == 3
    assert (await journal.prune(replace(_PAST, machine="other"))).generations == 0
    assert (await journal.prune(replace(_PAST, generations=False))).generations == 0
    assert (await journal.prune(replace(_PAST, before=1))).generations == 0
    dry = await journal.prune(replace(_PAST, machine=MACHINE, dry_run=True))
    assert (dry.generations, dry.records, dry.runs) == (3, 9, 0)
    assert await _versions(journal, run_id) == list(range(1, 11))
    one = await journal.prune(replace(_PAST, limit=1))
    assert (one.generations, one.records) == (1, 3)
    assert await _versions(journal, run_id) == list(range(4, 11))
    rest = await journal.prune(_PAST)
    assert (rest.generations, rest.records) == (2, 6)
    assert await _versions(journal, run_id) == [10]
    assert (await journal.prune(_PAST)).generations == 0
    await _renewed(journal, run_id)
    assert await _versions(journal, run_id) == [10, 11, 12, 13]
    assert (await journal.prune(_PAST)).records == 3
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    await passed(journal, await journal.now())
    gone = await journal.prune(_PAST)
    assert (gone.runs, gone.records, gone.generations) == (1, 2, 0)


async def test_a_pruned_record_is_still_a_repeat_of_nothing(kit: Kit) -> None:
    """Promise 3: a turn whose records were pruned with their generation changes nothing."""
    kit.needs(Capability.FORGETS)
    journal = await kit.open()
    run_id = await waiting(journal)
    early = await _renewed(journal, run_id)
    await _renewed(journal, run_id)
    await journal.prune(_PAST)
    before = await row(journal, run_id)
    assert await tried(journal, early) is CommitOutcome.LOST
    assert await row(journal, run_id) == before


async def test_what_is_eternal_is_never_pruned(kit: Kit) -> None:
    """Promise 16: neither the run nor its past generations; it is counted, and cannot be erased either."""
    kit.needs(Capability.FORGETS)
    journal = await kit.open()
    mortal = await waiting(journal)
    run_id = await waiting(journal)
    await _renewed(journal, run_id)
    await _taken(journal, run_id, (1,), 1, eternal=True)
    await _renewed(journal, run_id)
    assert (await journal.prune(_PAST)).generations == 0
    for each in (mortal, run_id):
        await ordered(journal, OrderKind.TERMINATE, each, outcome=b"over")
    await passed(journal, await journal.now())
    history: list[Record] = await journal.history(run_id)
    dry = await journal.prune(replace(_PAST, dry_run=True))
    assert (dry.runs, dry.eternal) == (1, 1)
    asked = replace(_PAST, machine=MACHINE, statuses=frozenset({RunStatus.TERMINATED}), dry_run=True)
    assert (await journal.prune(asked)).eternal == 1
    assert (await journal.prune(replace(asked, before=0))).eternal == 0
    assert (await journal.prune(replace(asked, limit=0))).eternal == 0
    assert (await journal.prune(replace(_PAST, machine="other"))).eternal == 0
    assert (await journal.prune(replace(_PAST, statuses=frozenset({RunStatus.FAILED})))).eternal == 0
    pruned = await journal.prune(_PAST)
    assert (pruned.runs, pruned.eternal) == (1, 1)
    assert await journal.load([mortal]) == [None]
    assert await journal.history(run_id) == history
    if Capability.CARRIES in kit.capabilities:
        _, carrier = await opened(kit)
        version = Version(run_id, (await row(journal, run_id)).commit_id)
        assert await carrier.erase([version]) == [False]


async def test_eternal_runs_hide_no_others(kit: Kit) -> None:
    """Promise 16: the oldest of those that may go are taken, however many that stay ended before them."""
    kit.needs(Capability.FORGETS)
    journal = await kit.open()
    runs = [await waiting(journal) for _ in range(5)]
    for run_id in runs[:3]:  # eternal with the turn that ends it
        await _taken(journal, run_id, (1,), 1, eternal=True, status=RunStatus.FAILED)
    for run_id in runs[3:]:
        await _taken(journal, run_id, (1,), 1, status=RunStatus.FAILED)
        await passed(journal, await journal.now())
    pruned = await journal.prune(replace(_PAST, limit=1))
    assert (pruned.runs, pruned.eternal) == (1, 1)
    assert await journal.load([runs[3]]) == [None]
    pruned = await journal.prune(_PAST)
    assert (pruned.runs, pruned.eternal) == (1, 3)
    assert [run is not None for run in await journal.load(runs)] == [True, True, True, False, False]


async def test_a_restored_run_is_as_eternal_as_it_was(kit: Kit) -> None:
    """Promise 23: one that is over already is passed by and counted; and one that ends here later."""
    kit.needs(Capability.FORGETS)
    journal, _ = await opened(kit)
    over, going = await waiting(journal), await waiting(journal)
    await _taken(journal, over, (1,), 1, eternal=True, status=RunStatus.COMPLETED, outcome=b"done")
    await _taken(journal, going, (1,), 1, eternal=True)
    images = [await whole(journal, run_id) for run_id in (over, going)]
    other, others = await elsewhere(kit)
    assert await others.restore(images) == [RestoreOutcome.RESTORED] * 2
    await passed(other, await other.now())
    pruned = await other.prune(_PAST)
    assert (pruned.runs, pruned.eternal) == (0, 1)
    await ordered(other, OrderKind.TERMINATE, going, outcome=b"over")
    await passed(other, await other.now())
    pruned = await other.prune(_PAST)
    assert (pruned.runs, pruned.eternal) == (0, 2)
    assert None not in await other.load([over, going])


async def test_gaps_and_generations_are_carried(kit: Kit) -> None:
    """Promise 23: what is kept, what is missing, which generations are past, and that a run is eternal."""
    kit.needs(Capability.FORGETS)
    journal, _ = await opened(kit)
    sparse, eternal = await waiting(journal), await waiting(journal)
    await _taken(journal, sparse, (2,), 3)
    await _renewed(journal, sparse)
    await _taken(journal, eternal, (), 1, eternal=True)
    images = [await whole(journal, run_id) for run_id in (sparse, eternal)]
    assert [(image.forgotten, image.eternal) for image in images] == [(2, False), (1, True)]
    assert [below for below, _ in images[0].generations] == [7]
    other, others = await elsewhere(kit)
    with pytest.raises(UsageError):
        await others.restore([replace(images[0], records=images[0].records[1:])])
    assert await others.restore(images) == [RestoreOutcome.RESTORED] * 2
    for image in images:
        run = replace(image.run, namespace=other.namespace)
        assert await whole(other, image.run.run_id) == replace(image, run=run)
    assert await others.restore(images) == [RestoreOutcome.EXISTS] * 2
    assert (await other.prune(_PAST)).generations == 1
    assert await _versions(other, sparse) == [7]


async def test_what_a_departed_run_leaves_is_prunable(kit: Kit) -> None:
    """Promise 23: eternity goes along with the run."""
    kit.needs(Capability.FORGETS)
    journal, carrier = await opened(kit)
    run_id = await waiting(journal)
    await _renewed(journal, run_id)
    await _taken(journal, run_id, (1,), 1, eternal=True)
    image = await left(journal, run_id)
    assert image.eternal
    run = await row(journal, run_id)
    await passed(journal, await journal.now())
    assert (await journal.prune(_PAST)).runs == 0
    moved = Version(run_id, run.commit_id)
    assert await carrier.erase([moved]) == [False]
    await carrier.settle([Arrival(run_id)])
    pruned = await journal.prune(_PAST)
    assert (pruned.runs, pruned.eternal) == (1, 0)
