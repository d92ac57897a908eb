"""What stands in a payload's place: a reference on its way in, what it means on its way out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from uuid import UUID

from continuum_core.journal.blobs import Blob, BlobName, blob_of, hash_in, length_in
from continuum_core.unopened import Unopened

__all__ = ["Meant", "Put", "Wanted"]


class Put:
    """Takes large payloads out, and leaves references.

    :param large: the size, in bytes, from which a payload is; None: none is.
    """

    __slots__ = ("_large", "blobs")

    def __init__(self, large: int | None) -> None:
        self._large = large
        self.blobs: dict[BlobName, Blob] = {}

    def __call__(self, run_id: UUID, data: bytes, snapshot: int = 0, /) -> bytes:
        if self._large is None or len(data) < self._large or hash_in(data) is not None:
            return data
        blob = blob_of(run_id, data, snapshot)
        name = BlobName(run_id, blob.hash)
        known = self.blobs.get(name)
        if known is None or known.snapshot:  # what is not a snapshot's alone stays so
            self.blobs[name] = blob
        return blob.reference

    def taken(self) -> list[Blob]:
        """What was taken out, in the order in which everybody puts."""
        return sorted(self.blobs.values(), key=lambda blob: (blob.run_id.int, blob.hash))


class Wanted:
    """Notes references, with the lengths of what they name, and swaps nothing."""

    __slots__ = ("lengths",)

    def __init__(self) -> None:
        self.lengths: dict[BlobName, int] = {}

    def __call__(self, run_id: UUID, data: bytes, snapshot: int = 0, /) -> bytes:
        found = hash_in(data)
        if found is not None and not isinstance(data, Unopened):
            self.lengths[BlobName(run_id, found)] = length_in(data)
        return data


class Meant:
    """Puts in what references mean, and checks that it is that.

    :param found: the bytes of blobs; None for one that is not there.
    """

    __slots__ = ("_found",)

    def __init__(self, found: Mapping[BlobName, bytes | None]) -> None:
        self._found = found

    def __call__(self, run_id: UUID, data: bytes, snapshot: int = 0, /) -> bytes:
        named = hash_in(data)
        if named is None or isinstance(data, Unopened):
            return data
        kept = self._found.get(BlobName(run_id, named))
        if kept is not None and hashlib.sha256(kept).digest() == named:
            return kept
        what = (
            "is not in the journal" if kept is None else "is damaged: its bytes are not those it is named by"
        )
        return Unopened(
            data, f"blob {named.hex()} of run {run_id} {what}; bring it back from a copy of the store"
        )
