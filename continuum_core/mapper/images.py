"""A run at rest ⇄ the bytes of its snapshot."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw, Struct

from continuum_core.envelope import (
    FORMAT,
    BoundsBody,
    OriginBody,
    SnapshotBody,
    read,
    write,
)
from continuum_core.interpreter.bounds import Bounds
from continuum_core.interpreter.snapshot import Snapshot
from continuum_core.mapper.crews import decode_crews, encode_crews
from continuum_core.mapper.ledgers import decode_ledger, encode_ledger
from continuum_core.registry import Entry

__all__ = ["Image", "bounds_in", "decode_image", "encode_image", "imaged", "recorded_histories", "unborn"]

_NO_CONTEXT = b"null"


class Image(Struct, frozen=True, gc=False):
    """A snapshot together with the stored bytes of its context.

    The bytes tell cheaply which fields the next step changed, and save encoding what did not.

    :ivar unrecorded: how many steps there were since the last that left a record.
    :ivar eternal: the run is never pruned.
    :ivar origin: where a child run comes from; None for what a client started.
    """

    snapshot: Snapshot
    context: bytes
    unrecorded: int = 0
    eternal: bool = False
    origin: OriginBody | None = None

    def told(self) -> Image:
        """The run alone, without what is kept of it."""
        if not (self.unrecorded or self.eternal):
            return self
        return Image(self.snapshot, self.context, origin=self.origin)


def unborn(version: int = 0) -> Image:
    """A run before its first event; orders (suspend, resume, cancel) may have moved its version already."""
    return Image(Snapshot(version, 0, None, {}, {}, 0), b"")


def encode_image(entry: Entry, image: Image) -> bytes:
    snapshot = image.snapshot
    states = entry.chart.states
    body = SnapshotBody(
        v=FORMAT,
        states=entry.leaves(snapshot.configuration),
        now=snapshot.now,
        context=Raw(image.context),
        tokens={states[n].path: token for n, token in snapshot.tokens.items()},
    )
    if snapshot.history:
        body.history = {states[n].path: entry.paths(mask) for n, mask in snapshot.history.items()}
    body.cancelling = snapshot.cancelling
    if snapshot.patches:
        body.patches = dict(snapshot.patches)
    body.generation = snapshot.generation
    body.unrecorded = image.unrecorded
    body.eternal = image.eternal
    if snapshot.ledger is not None:
        encode_ledger(entry, snapshot.ledger, body)
    if snapshot.crews:
        encode_crews(entry, snapshot.crews, snapshot.context, body)
    if image.origin is not None:
        body.origin = image.origin
    if (bounds := snapshot.bounds) is not None:
        body.bounds = BoundsBody(bounds.deadline, bounds.passed, bounds.stop_by)
    return write(body)


def decode_image(entry: Entry, version: int, data: bytes) -> Image:
    """The run at rest. Raises UnknownVersion where states or context cannot be read by this code."""
    if not data:
        return unborn(version)
    body = read(SnapshotBody, data)
    numbers = entry.numbers
    context = bytes(body.context)
    # One that was cancelled before it began never had a context.
    value = entry.context.decode(context) if body.states or context != _NO_CONTEXT else None
    return Image(
        Snapshot(
            version=version,
            configuration=entry.configuration(body.states),
            context=value,
            history=recorded_histories(entry, body.history),
            tokens={numbers[path]: token for path, token in body.tokens.items() if path in numbers},
            now=body.now,
            ledger=decode_ledger(entry, body),
            cancelling=body.cancelling,
            patches=body.patches,
            generation=body.generation,
            crews=decode_crews(entry, body.crews, value) if body.crews else {},
            bounds=bounds_in(body),
        ),
        context,
        body.unrecorded,
        body.eternal,
        body.origin if isinstance(body.origin, OriginBody) else None,
    )


def bounds_in(body: SnapshotBody) -> Bounds | None:
    """When the run has to be over."""
    stored = body.bounds
    return Bounds(stored.deadline, stored.passed, stored.stop_by) if isinstance(stored, BoundsBody) else None


def recorded_histories(entry: Entry, stored: Mapping[str, tuple[str, ...]]) -> dict[int, int]:
    """What history states remember, from path → paths to number → mask."""
    numbers = entry.numbers
    history: dict[int, int] = {}
    for path, recorded in stored.items():
        mask = 0
        for name in recorded:
            if name in numbers:
                mask |= 1 << numbers[name]
        # A history that was removed, or whose states are gone, falls back to its default.
        if path in numbers and mask:
            history[numbers[path]] = mask
    return history


def imaged(entry: Entry, before: Image, snapshot: Snapshot) -> Image:
    """The image of a snapshot that a step made out of `before`."""
    kept = (before.unrecorded, before.eternal, before.origin)
    if snapshot.context is before.snapshot.context and before.context:
        return Image(snapshot, before.context, *kept)
    if snapshot.configuration == 0 and not before.context:
        return Image(snapshot, _NO_CONTEXT, *kept)  # cancelled before it began: there never was a context
    return Image(snapshot, entry.context.encode(snapshot.context), *kept)
