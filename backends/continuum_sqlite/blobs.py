"""Payloads that are kept apart: put, fetched, and thrown away with what referred to them."""

from __future__ import annotations

from collections.abc import Sequence

from continuum_core.clock import Micros
from continuum_core.journal.blobs import GRACE, Blob, BlobName
from continuum_sqlite.statements import blobs as statements
from continuum_sqlite.transaction import Transaction

__all__ = ["START", "BlobPlace", "fetch", "keep", "sweep"]

BlobPlace = tuple[Micros, bytes, bytes]
"""(at, run id, hash): where in the order of blobs a pruning has come to."""

START: BlobPlace = (-(2**63), b"", b"")


def keep(transaction: Transaction, blobs: Sequence[Blob]) -> None:
    """The verb: blobs first, and then snapshots that they leave behind."""
    for blob in blobs:
        name = (transaction.ns, blob.run_id.bytes, blob.hash)
        transaction.execute(statements.KEEP_DATA, (*name, blob.data))
        transaction.execute(statements.KEEP_BLOB, (*name, transaction.now, blob.snapshot))
    for run_id in {blob.run_id for blob in blobs if blob.snapshot}:
        for statement in statements.DROP_SUPERSEDED:
            transaction.execute(statement, (transaction.ns, run_id.bytes))


def fetch(transaction: Transaction, names: Sequence[BlobName]) -> list[bytes | None]:
    """The verb."""
    found: list[bytes | None] = []
    for name in names:
        asked = (transaction.ns, name.run_id.bytes, name.hash)
        row = transaction.execute(statements.BLOB, asked).fetchone()
        found.append(None if row is None else row[0])
    return found


def sweep(transaction: Transaction, after: BlobPlace, limit: int, *, dry: bool) -> tuple[int, int, BlobPlace]:
    """Look at up to `limit` blobs whose time has come; (looked at, deleted, where to go on)."""
    until = transaction.now - GRACE
    asked = (transaction.ns, until, *after, limit)
    found: list[BlobPlace] = transaction.execute(statements.STALE, asked).fetchall()
    gone = 0
    for run_id in dict.fromkeys(run_id for _, run_id, _ in found):
        of_run = (transaction.ns, run_id)
        held = {name for (name,) in transaction.execute(statements.HELD, of_run)}
        for name in [name for _, owner, name in found if owner == run_id]:
            gone += name not in held
            if dry:
                continue
            if name in held:
                transaction.execute(statements.LOOKED, (*of_run, name, transaction.now))
                continue
            for statement in statements.DROP_BLOB:
                transaction.execute(statement, (*of_run, name))
    return len(found), gone, found[-1] if found else after
