"""Whole runs with their large payloads in them: what is dumped needs no blob, what is restored makes its own.

So an image is the same whatever its journal keeps apart; it goes into a file as it is, and into a journal
that keeps no blobs or calls others large.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from attrs import frozen

from continuum_core.blobs import rows
from continuum_core.blobs.keeper import Keeper
from continuum_core.journal.carrying import (
    Arrival,
    Carrier,
    DepartOutcome,
    Departure,
    Dumped,
    KeyedResult,
    RestoreOutcome,
    ResultPage,
    RunImage,
    Tally,
    Version,
)

__all__ = ["BlobCarrier"]


@frozen
class BlobCarrier:
    """See `continuum_core.journal.carrying.Carrier`."""

    inner: Carrier
    keeper: Keeper

    async def dump(self, runs: Sequence[UUID]) -> list[Dumped | None]:
        return await self.keeper.read(lambda: self.inner.dump(runs), rows.maybe(rows.dumped))

    async def depart(self, departures: Sequence[Departure]) -> list[DepartOutcome]:
        put = self.keeper.put()
        stored = [rows.departure(each, put) for each in departures]
        await self.keeper.keep(put)
        return await self.inner.depart(stored)

    async def restore(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        put = self.keeper.put()
        stored = [rows.image(each, put) for each in images]
        await self.keeper.keep(put)
        return await self.inner.restore(stored)

    async def rehearse(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        put = self.keeper.put()
        return await self.inner.rehearse([rows.image(each, put) for each in images])

    async def forget(self, departures: Sequence[Version]) -> None:
        await self.inner.forget(departures)

    async def settle(self, arrivals: Sequence[Arrival]) -> None:
        await self.inner.settle(arrivals)

    async def erase(self, runs: Sequence[Version]) -> list[bool]:
        return await self.inner.erase(runs)

    async def results(self, cursor: str | None = None, limit: int = 1_000) -> ResultPage:
        return await self.inner.results(cursor, limit)

    async def keep(self, results: Sequence[KeyedResult]) -> None:
        await self.inner.keep(results)

    async def tally(self) -> list[Tally]:
        return await self.inner.tally()
