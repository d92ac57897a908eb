"""Images of runs: read whole, proved, compared, and kept in the record of a run that left.

Rule: an image is trusted only when it is whole. Records are read page by page after the row; nothing rewrites
them, so what was read is of that row's moment. A run that is pruned meanwhile has no image.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from continuum_core.blobs import rows
from continuum_core.envelope import FORMAT, ControlBody, read, write
from continuum_core.errors import ContinuumError, PayloadLocked, UnknownVersion
from continuum_core.journal.carrying import RunImage, unleased
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED, Record, RecordKind, RunStatus
from continuum_core.mapper import decode_image, encode_image
from continuum_core.registry import Registry
from continuum_core.replay import fold
from continuum_core.unopened import Unopened

__all__ = [
    "MOVE",
    "as_it_travels",
    "departure_body",
    "drift",
    "first_records",
    "image_in",
    "left_with",
    "read_image",
    "whole",
]

MOVE = "move"
"""The order in the record of a run that left."""

_PAGE = 1_000
_decode = msgspec.json.Decoder(RunImage).decode
_encode = msgspec.json.Encoder().encode


async def whole(journal: Journal, image: RunImage) -> RunImage | None:
    """The image with its records; None where the run is gone meanwhile.

    Raises PayloadLocked where a payload that the journal kept apart is missing or damaged.
    """
    run = image.run
    records = await first_records(journal, run.run_id, run.version - image.forgotten)
    if records is None or (records and records[-1].version > run.version):
        return None  # where it went on, and some of what it had is gone, no moment has all of this
    return rows.image(replace(image, records=records), _present)


async def first_records(journal: Journal, run_id: UUID, count: int) -> tuple[Record, ...] | None:
    """So many records of a run, the oldest first; None where it has fewer."""
    records, at = list[Record](), 0
    while len(records) < count:
        page = await journal.history(run_id, after=at, limit=min(_PAGE, count - len(records)))
        if not page:
            return None
        records += page
        at = page[-1].version
    return tuple(records)


def _present(run_id: UUID, data: bytes, snapshot: int = 0, /) -> bytes:
    """The payload; a reference to a blob that is not there is no payload that could be carried."""
    if isinstance(data, Unopened):
        raise PayloadLocked(data.reason)
    return data


def as_it_travels(image: RunImage) -> RunImage:
    """What another journal is given: no leases, and of a run that ended no task that still stops."""
    if image.run.status in ENDED:
        image = replace(image, deliveries=(), tasks=(), reported=())
    return unleased(image)


# --- as bytes


def image_in(image: RunImage) -> bytes:
    """An image as JSON: payloads in base64, ids as text, times in microseconds."""
    return _encode(image)


def read_image(data: bytes) -> RunImage:
    """Raises UnknownVersion for bytes that are no image."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownVersion(f"this is no image of a run: {error}") from error


def departure_body(image: RunImage, who: str, why: str) -> bytes:
    """The record of a run that leaves: with all that it has open. Its records stay where they are."""
    kept = Raw(image_in(replace(image, records=())))
    return write(ControlBody(v=FORMAT, order=MOVE, who=who, why=why, image=kept))


async def left_with(journal: Journal, image: RunImage) -> RunImage | None:
    """Of a run that left: what it left with, but for records. None for one that ended in another way.

    Raises UnknownVersion.
    """
    run = image.run
    if run.status is not RunStatus.TERMINATED or run.version == 0:
        return None
    found = await journal.history(run.run_id, after=run.version - 1, limit=1)
    if not found or found[0].kind is not RecordKind.CONTROL:
        return None
    body = read(ControlBody, found[0].body)
    if body.order != MOVE or body.image is UNSET:
        return None
    return read_image(bytes(body.image))


# --- proof


def drift(registry: Registry, image: RunImage) -> str | None:
    """Why the records do not fold to the snapshot, where the run's definition is known here; "" if they do.

    None where it is not known: then nothing was folded.
    """
    run = image.run
    entry = registry.reader(run.fingerprint)
    if entry is None:
        return None
    try:
        folded, found = fold(entry, run.run_id, image.records, registry)
        if found is not None:
            return str(found)
        if run.snapshot:
            stored = encode_image(entry, decode_image(entry, run.version, run.snapshot))
            if stored != encode_image(entry, folded):
                return "its records fold to another snapshot than the stored one"
    except ContinuumError as error:
        return str(error)
    return ""
