"""Puts blobs before what refers to them, and fetches those that rows refer to, in bounded calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from attrs import frozen

from continuum_core.blobs.rows import Swap
from continuum_core.blobs.swaps import Meant, Put, Wanted
from continuum_core.journal.blobs import BlobKeeping, BlobName

__all__ = ["Keeper"]

_AT_ONCE = 4 * 1024 * 1024
"""Bytes that one call puts or fetches, unless a single blob has more: others are served in between."""

_LOOKS = 5
"""How often a reading verb is asked again because a run went on between its row and its blob."""

Row = TypeVar("Row")


@frozen
class Keeper:
    """The blobs of a handle.

    :ivar keeps: the backend's handle.
    :ivar large: the size, in bytes, from which a payload is kept apart; None: none is.
    """

    keeps: BlobKeeping
    large: int | None

    def passes(self, rows: Sequence[Row], weigh: Callable[[Row], int]) -> bool:
        """Whether no payload of these rows is large: nearly always, and told by adding up their lengths."""
        large = self.large
        return large is None or max(map(weigh, rows), default=0) < large

    def put(self) -> Put:
        return Put(self.large)

    async def keep(self, put: Put) -> None:
        """Store what was taken out of rows; they may be written then, and not before."""
        if not put.blobs:
            return
        blobs = put.taken()
        for first, end in _parts([len(blob.data) for blob in blobs]):
            await self.keeps.keep_blobs(blobs[first:end])

    async def told(self, answers: list[Row], whole: Callable[[Row, Swap], Row], put: Put) -> list[Row]:
        """Answers to what was written: what is in them comes back as it was handed in."""
        if not put.blobs:
            return answers
        known = {name: blob.data for name, blob in put.blobs.items()}
        return (await self.opened(answers, whole, known))[0]

    async def read_one(self, ask: Callable[[], Awaitable[Row]], whole: Callable[[Row, Swap], Row]) -> Row:
        """Like `read`, of a verb that gives one thing."""

        async def listed() -> list[Row]:
            return [await ask()]

        [found] = await self.read(listed, whole)
        return found

    async def read(
        self, ask: Callable[[], Awaitable[Sequence[Row]]], whole: Callable[[Row, Swap], Row]
    ) -> list[Row]:
        """What a verb that only reads tells, with its payloads in it.

        A run may go on between the reading of its row and of its blob, which goes with a later snapshot: so
        what is missing is asked for again, until the same is missing twice.
        """
        found, missing = await self.opened(await ask(), whole)
        for _ in range(_LOOKS):
            if not missing:
                break
            before = missing
            found, missing = await self.opened(await ask(), whole)
            if missing == before:
                break
        return found

    async def opened(
        self,
        rows: Sequence[Row],
        whole: Callable[[Row, Swap], Row],
        known: Mapping[BlobName, bytes] | None = None,
    ) -> tuple[list[Row], frozenset[BlobName]]:
        """Rows with what their references mean, and the names of the blobs that are not there.

        :param known: blobs that need not be fetched.
        """
        wanted = Wanted()
        for row in rows:
            whole(row, wanted)
        if not wanted.lengths:
            return list(rows), frozenset()
        found: dict[BlobName, bytes | None] = dict(known or {})
        names = [name for name in wanted.lengths if name not in found]
        for first, end in _parts([wanted.lengths[name] for name in names]):
            asked = names[first:end]
            found.update(zip(asked, await self.keeps.fetch_blobs(asked), strict=True))
        meant = Meant(found)
        missing = frozenset(name for name in wanted.lengths if found[name] is None)
        return [whole(row, meant) for row in rows], missing


def _parts(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and end of each part that one call carries."""
    first, total = 0, 0
    for place, size in enumerate(sizes):
        if place > first and total + size > _AT_ONCE:
            yield first, place
            first, total = place, 0
        total += size
    if first < len(sizes):
        yield first, len(sizes)
