"""Verbs in a transaction of the user's: they write payloads whole, and read what others kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from attrs import frozen

from continuum_core.blobs import rows
from continuum_core.blobs.keeper import Keeper
from continuum_core.journal.commit import Delivered, NewRun, Started
from continuum_core.journal.records import Delivery, Run
from continuum_core.journal.transactions import Within

__all__ = ["BlobWithin"]


@frozen
class BlobWithin:
    """See `continuum_core.journal.transactions.Within`."""

    inner: Within
    keeper: Keeper

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        return await self.inner.start(runs)

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        return await self.inner.deliver(deliveries)

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        return await self.keeper.read(lambda: self.inner.load(runs), rows.maybe(rows.run))
