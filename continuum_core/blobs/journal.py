"""The journal that keeps large payloads apart: every verb of the port, with references in what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from continuum_core.blobs import rows, weights
from continuum_core.blobs.carrier import BlobCarrier
from continuum_core.blobs.keeper import Keeper
from continuum_core.blobs.within import BlobWithin
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.blobs import keeping
from continuum_core.journal.carrying import Carrier, carrier_of
from continuum_core.journal.commit import (
    Claims,
    Commit,
    Committed,
    Delivered,
    Finished,
    Inspection,
    Member,
    NewRun,
    Order,
    Ordered,
    Page,
    Query,
    Started,
    TaskClaims,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.crews import crewed
from continuum_core.journal.declared import sibling_of
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.journal.records import Delivery, Record, Run
from continuum_core.journal.searching import Condition, Search, Searcher, searcher_of
from continuum_core.journal.transactions import Within

__all__ = ["with_blobs"]


def with_blobs(journal: Journal, limits: Limits | None = None) -> Journal:
    """The journal with its large payloads kept apart; itself where its backend keeps no blobs.

    :param limits: `limits.blobs` is the size that makes a payload large, for what is written through this
        handle. Blobs are read whatever it is.
    """
    keeps = keeping(journal)
    if keeps is None:
        return journal
    return cast(Journal, _BlobJournal(journal, Keeper(keeps, (limits or Limits()).blobs)))


class _BlobJournal:
    """Every verb as it is, but for the large payloads in it."""

    def __init__(self, inner: Journal, keeper: Keeper) -> None:
        self._inner = inner
        self._keeper = keeper

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)  # what the inner handle has not, this one has not either
        mine: dict[str, Any] = {
            "within": self._within,
            "searcher": self._searcher,
            "members": self._members,
            "carrier": self._carrier,
        }
        return mine.get(name, found)

    def sibling(self) -> Journal:
        return with_blobs(sibling_of(self._inner), Limits(blobs=self._keeper.large))

    # --- writing

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        if self._keeper.passes(runs, weights.new_run):
            return await self._inner.start(runs)
        put = self._keeper.put()
        stored = [rows.new_run(each, put) for each in runs]
        await self._keeper.keep(put)
        return await self._keeper.told(await self._inner.start(stored), rows.started, put)

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        put = self._keeper.put()
        stored = [rows.delivery(each, put) for each in deliveries]
        await self._keeper.keep(put)
        return await self._inner.deliver(stored)

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        if self._keeper.passes(commits, weights.commit):
            return await self._inner.commit(commits)
        put = self._keeper.put()
        stored = [rows.commit(each, put) for each in commits]
        await self._keeper.keep(put)
        return await self._keeper.told(await self._inner.commit(stored), rows.committed, put)

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        if self._keeper.passes(finishes, weights.finish):
            return await self._inner.finish(finishes)
        put = self._keeper.put()
        stored = [rows.finish(each, put) for each in finishes]
        await self._keeper.keep(put)
        return await self._keeper.told(await self._inner.finish(stored), rows.finished, put)

    async def heartbeat(self, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
        put = self._keeper.put()
        stored = [rows.hold(each, put) for each in tasks]
        await self._keeper.keep(put)
        return await self._inner.heartbeat(stored, lease)

    async def control(self, orders: Sequence[Order]) -> list[Ordered]:
        put = self._keeper.put()
        stored = [rows.order(each, put) for each in orders]
        await self._keeper.keep(put)
        return await self._inner.control(stored)

    # --- claiming

    async def claim_runs(self, *arguments: Any, **named: Any) -> Claims:
        claims = await self._inner.claim_runs(*arguments, **named)
        return (await self._keeper.opened([claims], rows.claims))[0][0]

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        claims = await self._inner.claim_tasks(claim_id, wants, lease)
        return (await self._keeper.opened([claims], rows.task_claims))[0][0]

    # --- reading

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        return await self._keeper.read(lambda: self._inner.load(runs), rows.maybe(rows.run))

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        return await self._keeper.read_one(lambda: self._inner.list(query, limit, cursor), rows.page)

    async def inspect(self, run: UUID) -> Inspection | None:
        return await self._keeper.read_one(lambda: self._inner.inspect(run), rows.maybe(rows.inspection))

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> Sequence[Record]:
        return await self._keeper.read(lambda: self._inner.history(run, after, limit), rows.record)

    async def _members(self, run: UUID, token: int, after: int = -1, limit: int = 1_000) -> Sequence[Member]:
        inner = crewed(self._inner)
        return await self._keeper.read(lambda: inner.members(run, token, after, limit), rows.member_of(run))

    def _searcher(self) -> Searcher:
        return _BlobSearcher(searcher_of(self._inner), self._keeper)

    def _carrier(self) -> Carrier:
        return BlobCarrier(carrier_of(self._inner), self._keeper)

    # --- transactions: a body's is the backend's own, and writes payloads whole

    async def _within(self, connection: object, patience: float, *, apart: bool = False) -> Within:
        inner: Any = self._inner
        return BlobWithin(await inner.within(connection, patience, apart=apart), self._keeper)


class _BlobSearcher:
    def __init__(self, inner: Searcher, keeper: Keeper) -> None:
        self._inner = inner
        self._keeper = keeper

    async def search(self, search: Search, limit: int = 100, cursor: str | None = None) -> Page:
        return await self._keeper.read_one(lambda: self._inner.search(search, limit, cursor), rows.page)

    async def count(self, where: Condition, most: int | None = None) -> int:
        return await self._inner.count(where, most)

    async def attributes(self, runs: Sequence[UUID]) -> list[tuple[Attribute, ...]]:
        return await self._inner.attributes(runs)
