"""Optional: a journal that keeps large payloads apart from its rows, named by what they hold.

A backend that declares `Capability.BLOBS` gives handles that are `BlobKeeping`. What is stored in the row is
a *reference*: the blob's length and the SHA-256 of its bytes, in 48 bytes of their own form. The backend
itself never follows one; it looks only for who still has which.

Rules:

- *Put before what refers to it.* A blob is its run's: of the run in whose row the reference will stand. The
  same bytes twice in a run are one blob.
- *A blob goes with its run*: pruning and `erase` delete those that were put before the run ended.
- *Of those that stay, `prune` looks at each that was put, or looked at, `GRACE` ago or earlier.* It deletes
  those that no row of their run refers to, whether the run is there or not, and looks at the others again
  when as long has passed. So what was put for a row that never came to be goes, and so does what belonged to
  consumed deliveries, finished tasks, past generations.
- *Of snapshots a run keeps few.* A blob that was put for the snapshot of an earlier version than the run has,
  and for nothing else, goes when another snapshot of the run is put, unless it is the one that the row has:
  no commit that would refer to it can stand any more.
- *Putting is idempotent*, and puts off the day on which a blob is looked at. A row that refers to a blob must
  be written within `GRACE` of that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol, cast
from uuid import UUID

from msgspec import Struct

from continuum_core.clock import Micros
from continuum_core.journal.declared import can
from continuum_core.journal.protocol import Capability

__all__ = [
    "GRACE",
    "HASH_AT",
    "LOOKED_AT",
    "REFERENCE",
    "Blob",
    "BlobKeeping",
    "BlobName",
    "blob_of",
    "hash_in",
    "keeping",
    "length_in",
]

GRACE: Micros = 24 * 3600 * 1_000_000
"""Microseconds in which what refers to a blob has to be written."""

LOOKED_AT = 100
"""Blobs that pruning looks at in one transaction, at most."""

REFERENCE = b"\x1f\x02\x00"
"""What references begin with, and nothing else that is stored: a sealed payload has 1 in the second byte."""

_TAG = b"blob\n"
_LENGTH_AT = len(REFERENCE)
_TAG_AT = _LENGTH_AT + 8

HASH_AT = _TAG_AT + len(_TAG)
"""Where in a reference the hash begins; it is the rest, 32 bytes."""

_WHOLE = HASH_AT + 32


class Blob(Struct, frozen=True, gc=False):
    """Bytes to be kept.

    :ivar hash: SHA-256 of `data`.
    :ivar snapshot: of the run at this version; 0 for any other payload.
    """

    run_id: UUID
    hash: bytes
    data: bytes
    snapshot: int = 0

    @property
    def reference(self) -> bytes:
        """What stands for it in a row."""
        return REFERENCE + len(self.data).to_bytes(8, "big") + _TAG + self.hash


class BlobName(Struct, frozen=True, gc=False):
    """A blob of a run, by its hash."""

    run_id: UUID
    hash: bytes


class BlobKeeping(Protocol):
    """What a handle has beside `Journal`, of a backend that declares `Capability.BLOBS`."""

    async def keep_blobs(self, blobs: Sequence[Blob]) -> None:
        """Store blobs, of runs that may not be there yet. Raises JournalUnavailable."""
        ...

    async def fetch_blobs(self, names: Sequence[BlobName]) -> list[bytes | None]:
        """The bytes of each, as they are stored; None for one that is not there."""
        ...


def keeping(journal: object) -> BlobKeeping | None:
    """A backend's handle as one that keeps blobs; None where it keeps none, or wraps one that does."""
    return cast(BlobKeeping, journal) if can(journal, Capability.BLOBS) else None


def blob_of(run_id: UUID, data: bytes, snapshot: int = 0) -> Blob:
    """The blob of these bytes."""
    return Blob(run_id, hashlib.sha256(data).digest(), bytes(data), snapshot)


def hash_in(data: bytes) -> bytes | None:
    """The hash of the blob that a stored payload refers to; None for a payload that is whole."""
    if len(data) != _WHOLE or data[:_LENGTH_AT] != REFERENCE or data[_TAG_AT:HASH_AT] != _TAG:
        return None
    return data[HASH_AT:]


def length_in(reference: bytes) -> int:
    """How many bytes the blob has that a reference names."""
    return int.from_bytes(reference[_LENGTH_AT:_TAG_AT], "big")
