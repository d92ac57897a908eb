"""Payloads that are kept apart: put, fetched, and thrown away with what referred to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal.blobs import GRACE, Blob, BlobName, hash_in
from continuum_memory.rows import BlobRow, RunRow, Space

__all__ = ["fetch", "keep", "of_ended", "sweep"]


def keep(space: Space, now: Micros, blobs: Sequence[Blob]) -> None:
    for blob in blobs:
        kept = space.blobs.setdefault(blob.run_id, {})
        known = kept.get(blob.hash)
        if known is None:
            kept[blob.hash] = BlobRow(blob.data, now, blob.snapshot)
        else:
            known.at = now
            known.snapshot = max(known.snapshot, blob.snapshot) if known.snapshot and blob.snapshot else 0
    for run_id in {blob.run_id for blob in blobs if blob.snapshot}:
        _drop_superseded(space, run_id)


def _drop_superseded(space: Space, run_id: UUID) -> None:
    """Drop what was put for the snapshots of earlier versions alone: nothing can refer to it any more."""
    run = space.runs.get(run_id)
    if run is None:
        return
    present = hash_in(run.snapshot)
    kept = space.blobs[run_id]
    for name in [name for name, row in kept.items() if 0 < row.snapshot < run.version and name != present]:
        del kept[name]


def fetch(space: Space, names: Sequence[BlobName]) -> list[bytes | None]:
    rows = [space.blobs.get(name.run_id, {}).get(name.hash) for name in names]
    return [None if row is None else row.data for row in rows]


def of_ended(space: Space, run: RunRow, *, dry: bool) -> int:
    """How many blobs go with a run that has ended, and, unless it is a dry run, their removal.

    What was put after its end is for a row that is still to come: of a run that begins anew, say.
    """
    kept = space.blobs.get(run.run_id, {})
    gone = [name for name, row in kept.items() if row.at <= run.updated]
    if not dry:
        _drop(space, run.run_id, gone)
    return len(gone)


def sweep(space: Space, now: Micros, *, dry: bool) -> int:
    """How many blobs no row refers to any more, of those it is time to look at; and their removal."""
    count = 0
    for run_id, kept in list(space.blobs.items()):
        old = {name: row for name, row in kept.items() if row.at + GRACE <= now}
        held = set(_named(space, run_id)) if old else set[bytes]()
        gone = [name for name in old if name not in held]
        count += len(gone)
        if not dry:
            for name in old:
                old[name].at = now
            _drop(space, run_id, gone)
    return count


def _drop(space: Space, run_id: UUID, names: Sequence[bytes]) -> None:
    kept = space.blobs.get(run_id, {})
    for name in names:
        del kept[name]
    if not kept:
        space.blobs.pop(run_id, None)


def _named(space: Space, run_id: UUID) -> Iterator[bytes]:
    """The hashes that rows of the run refer to."""
    for data in _payloads(space, run_id):
        found = None if data is None else hash_in(data)
        if found is not None:
            yield found


def _payloads(space: Space, run_id: UUID) -> Iterator[bytes | None]:
    for letter in space.dead.get(run_id, {}).values():
        yield letter.delivery.payload
    run = space.runs.get(run_id)
    if run is None:
        return
    yield from (run.snapshot, run.outcome)
    yield from (record.body for record in run.records)
    yield from (delivery.payload for delivery in run.deliveries.values())
    for row in run.tasks.values():
        yield from (row.task.payload, row.task.details, row.task.failure)
    yield from (body for crew in run.members.values() for body in crew.values())
