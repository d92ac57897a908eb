"""Payloads that are kept apart: put, fetched, and thrown away with what referred to them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal.blobs import GRACE, Blob, BlobName
from continuum_postgres import arrays
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch
from continuum_postgres.reading import now
from continuum_postgres.session import Ask, Session
from continuum_postgres.statements import blobs as statements
from continuum_postgres.writes import by_run

__all__ = ["START", "BlobPlace", "fetch", "keep", "sweep"]

BlobPlace = tuple[Micros, UUID, bytes]
"""(at, run id, hash): where in the order of blobs a pruning has come to."""

START: BlobPlace = (-(2**63), UUID(int=0), b"")


async def keep(session: Session, blobs: Sequence[Blob]) -> None:
    """The verb: blobs first, and then snapshots that they leave behind."""
    at = await now(session)
    once = {(blob.run_id, blob.hash): blob for blob in sorted(blobs, key=lambda blob: -blob.snapshot)}
    put = [once[name] for name in sorted(once, key=lambda name: (name[0].int, name[1]))]
    asks: list[Ask] = [(statements.KEEP_BLOBS, (*_arrays(put), Bigint(at)))]
    snapshots = dict.fromkeys(blob.run_id for blob in put if blob.snapshot)
    if snapshots:
        asks.append((statements.DROP_SUPERSEDED, by_run(snapshots)))
    await Batch(session, last=True).write(*asks)


def _arrays(blobs: Sequence[Blob]) -> tuple[object, ...]:
    return (
        *by_run(blob.run_id for blob in blobs),
        arrays.byteas([blob.hash for blob in blobs]),
        arrays.bigints([blob.snapshot for blob in blobs]),
        arrays.byteas([blob.data for blob in blobs]),
    )


async def fetch(session: Session, names: Sequence[BlobName]) -> list[bytes | None]:
    """The verb."""
    found: list[bytes | None] = [None] * len(names)
    asked = (*by_run(name.run_id for name in names), arrays.byteas([name.hash for name in names]))
    (told,) = await session.ask((statements.BLOBS, asked))
    for place, data in told:
        found[place - 1] = data
    return found


async def sweep(
    session: Session, at: Micros, after: BlobPlace, limit: int, *, dry: bool
) -> tuple[int, int, BlobPlace]:
    """Look at up to `limit` blobs whose time has come; (looked at, deleted, where to go on)."""
    until = Bigint(at - GRACE)
    asked = (until, Bigint(after[0]), *after[1:], Bigint(limit))
    (found,) = await session.ask((statements.STALE, asked))
    if not found:
        return 0, 0, after
    runs = list(dict.fromkeys((shard, run_id) for _, shard, run_id, _ in found))
    told = await session.ask(*((statements.HELD, run) for run in runs))
    held = {(run_id, name) for (_, run_id), rows in zip(runs, told, strict=True) for (name,) in rows}
    named = [(run_id, name) for _, _, run_id, name in found]
    gone = [each for each in named if each not in held]
    if not dry:
        asks = [
            (statement, (*by_run(run_id for run_id, _ in each), arrays.byteas([n for _, n in each]), *times))
            for statement, each, times in (
                (statements.DROP_BLOBS, gone, (until,)),
                (statements.LOOKED, [each for each in named if each in held], (until, Bigint(at))),
            )
            if each
        ]
        await Batch(session, last=True).write(*asks)
    return len(found), len(gone), (found[-1][0], found[-1][2], found[-1][3])
