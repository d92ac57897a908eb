"""Ended runs into a file, and back.

Rule: nothing is deleted before the file is safe on the disk, and then only what is in it, at the version that
is in it. Nothing is restored before the whole file was read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from uuid import UUID

import msgspec
from attrs import define, field, frozen

from continuum_core.carriage.files import ArchiveHead, DamagedArchive, Found, NewFile, read_archive
from continuum_core.carriage.images import as_it_travels, drift, image_in, whole
from continuum_core.clock import Micros
from continuum_core.errors import PayloadRefused, UsageError
from continuum_core.journal.carrying import RestoreOutcome, RunImage, Version, carrier_of, is_moving
from continuum_core.journal.commit import Query
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED, Run, RunStatus
from continuum_core.registry import Registry

__all__ = ["Archived", "Restored", "Selection", "archive", "restore"]

_PAGE = 100
_encode = msgspec.json.Encoder().encode


@frozen
class Selection:
    """Which ended runs.

    :ivar before: last updated before this time of the journal's clock.
    :ivar statuses: ended ones; empty: all of these.
    :ivar chosen: of these runs only, in their order; None: of all, the newest first.
    """

    before: Micros
    machine: str | None = None
    statuses: frozenset[RunStatus] = frozenset()
    chosen: tuple[UUID, ...] | None = None

    def takes(self, run: Run) -> bool:
        wanted = self.statuses & ENDED if self.statuses else ENDED
        return (
            self.machine in (None, run.machine)
            and run.status in wanted
            and run.updated < self.before
            and not is_moving(run.status, run.cause)
        )


@define
class Archived:
    """What an archive did, or a dry run would do.

    :ivar bytes: of the file.
    :ivar pruned: runs that were deleted after the file was safe.
    """

    runs: int = 0
    records: int = 0
    bytes: int = 0
    pruned: int = 0


async def archive(
    journal: Journal,
    wanted: Selection,
    path: Path | None,
    *,
    prune: bool = False,
    told: Callable[[Archived], None] = lambda _: None,
) -> Archived:
    """Write the selected runs into a new file; with `prune`, delete them once it is safe on the disk.

    :param path: None: a dry run, which counts only.

    Raises UsageError for a file that is there already, or cannot be written.
    """
    done, written = Archived(), list[Version]()
    if path is None:
        async for image in _images(journal, wanted):
            _count(done, image, told)
        return done
    try:
        with NewFile(path) as file:
            file.line("archive", _encode(ArchiveHead(journal.namespace, await journal.now())))
            for definition in await journal.definitions():
                file.line("definition", _encode(definition))
            async for image in _images(journal, wanted):
                file.line("run", image_in(image))
                written.append(Version(image.run.run_id, image.run.commit_id))
                _count(done, image, told)
            file.line("end", _encode({"runs": done.runs}))
            file.keep()
            done.bytes = file.size
    except OSError as error:
        what = error.strerror or str(error)
        raise UsageError(f"{path} cannot be written: {what}; nothing was deleted") from error
    for at in range(0, len(written) if prune else 0, _PAGE):
        done.pruned += sum(await carrier_of(journal).erase(written[at : at + _PAGE]))
        told(done)
    return done


def _count(done: Archived, image: RunImage, told: Callable[[Archived], None]) -> None:
    done.runs += 1
    done.records += len(image.records)
    told(done)


async def _images(journal: Journal, wanted: Selection) -> AsyncIterator[RunImage]:
    """Whole images of the selected runs."""
    async for page in _pages(journal, wanted):
        taken = [run.run_id for run in page if wanted.takes(run)]
        for dumped in await carrier_of(journal).dump(taken):
            image = None if dumped is None else await whole(journal, dumped.image)
            if image is not None:
                yield as_it_travels(image)


async def _pages(journal: Journal, wanted: Selection) -> AsyncIterator[Sequence[Run]]:
    """The runs to select from."""
    if wanted.chosen is not None:
        for at in range(0, len(wanted.chosen), _PAGE):
            rows = await journal.load(wanted.chosen[at : at + _PAGE])
            yield [row for row in rows if row is not None]
        return
    cursor: str | None = None
    while True:
        page = await journal.list(Query(machine=wanted.machine), _PAGE, cursor)
        yield page.runs
        cursor = page.cursor
        if cursor is None:
            return


# --- back


@define
class Restored:
    """What was restored, or in a dry run would be.

    :ivar present: runs that were there already.
    :ivar folded: runs whose records were folded and gave their snapshot.
    :ivar conflicts: runs that the journal cannot hold, or under whose id it has another one, and why each
        was left out.
    :ivar damaged: lines that were left out, where that was asked for.
    """

    runs: int = 0
    present: int = 0
    folded: int = 0
    conflicts: list[str] = field(factory=list[str])
    damaged: list[DamagedArchive] = field(factory=list[DamagedArchive])


async def restore(
    path: Path,
    journal: Journal,
    *,
    registry: Registry | None = None,
    salvage: bool = False,
    dry_run: bool = False,
    told: Callable[[Restored], None] = lambda _: None,
) -> Restored:
    """Write the runs of an archive into a journal's namespace, which has to be the one they come from.

    :param registry: machines whose runs are proved by folding.
    :param salvage: leave damaged lines out, instead of refusing the file.

    Raises DamagedArchive, before anything is written; UsageError for another namespace, or no such file.
    """
    done = Restored()
    found = Found(path)
    for _ in read_archive(found):
        pass
    if found.damaged and not salvage:
        raise found.damaged[0]
    done.damaged = found.damaged
    if found.head is not None and found.head.namespace != journal.namespace:
        raise UsageError(
            f"{path} is of namespace {found.head.namespace!r}, and ids of runs with keys are its own: "
            f"restore it with --namespace {found.head.namespace}, not into {journal.namespace!r}"
        )
    if not dry_run:
        await journal.define(found.definitions)
    for line, image in read_archive(Found(path)):
        await _one(journal, image, line, registry or Registry(), dry_run, done)
        told(done)
    return done


async def _one(
    journal: Journal, image: RunImage, line: int, registry: Registry, dry_run: bool, done: Restored
) -> None:
    run = image.run
    proof = drift(registry, image)
    if proof:
        done.conflicts.append(f"line {line}, run {run.run_id}: it has drifted: {proof}")
        return
    done.folded += proof == ""
    try:
        carrier = carrier_of(journal)
        [outcome] = await (carrier.rehearse if dry_run else carrier.restore)([image])
    except PayloadRefused as error:
        done.conflicts.append(f"line {line}, run {run.run_id}: the journal cannot hold it: {error}")
        return
    if outcome is RestoreOutcome.CONFLICT:
        done.conflicts.append(f"line {line}, run {run.run_id}: the journal has another run under this id")
    elif outcome is RestoreOutcome.EXISTS:
        done.present += 1
    else:
        done.runs += 1
