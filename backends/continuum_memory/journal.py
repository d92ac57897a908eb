"""The port on a `Store`: one method is one transaction, under the store's lock.

No verb awaits anything but `wait`, so a verb is done or not begun, whatever is cancelled. What the
verbs mean is in the modules of the same nouns.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Sequence
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.errors import UsageError
from continuum_core.journal.blobs import Blob, BlobName
from continuum_core.journal.commit import (
    FIRST_DUE,
    Claims,
    Commit,
    Committed,
    Delivered,
    DueEntry,
    Finished,
    Inspection,
    Member,
    NewRun,
    Order,
    Ordered,
    Page,
    Pruned,
    PrunePlan,
    Query,
    Reservation,
    Reserved,
    RunHold,
    Started,
    TaskClaims,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.gauges import Gauges
from continuum_core.journal.looking import missing
from continuum_core.journal.protocol import Limits, Opened
from continuum_core.journal.records import Definition, Delivery, Record, Run
from continuum_core.journal.replies import Asked, Replied
from continuum_memory import blobs, claims, deliveries, orders, reading, results, tasks, turns
from continuum_memory.capabilities import CAPABILITIES
from continuum_memory.carrier import MemoryCarrier
from continuum_memory.gauges import gauges
from continuum_memory.replies import replied
from continuum_memory.rows import Space
from continuum_memory.searching import MemorySearcher
from continuum_memory.store import Store

__all__ = ["MemoryJournal"]

_DURABILITY = "memory: nothing survives the process"


class MemoryJournal:
    """A handle on `store` for one namespace."""

    capabilities = CAPABILITIES

    def __init__(self, store: Store, namespace: str, limits: Limits) -> None:
        self.namespace = namespace
        self.store = store
        self.limits = limits
        self._open = False
        self._noticed = 0

    async def open(self) -> Opened:
        self._open = True
        with self._verb() as (_, now):
            return Opened(now=now, backend="memory", durability=_DURABILITY, schema=1)

    async def look(self) -> Opened:
        if not self.store.has(self.namespace):
            raise missing("this memory journal", self.namespace)
        return await self.open()

    async def close(self) -> None:
        self._open = False

    def sibling(self) -> MemoryJournal:
        return type(self)(self.store, self.namespace, self.limits)

    async def now(self) -> Micros:
        with self._verb() as (_, now):
            return now

    async def gauges(self) -> Gauges:
        with self._verb() as (space, now):
            return gauges(space, now)

    # --- runs

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        with self._write() as (space, now):
            return turns.start(space, self.limits, now, runs)

    async def deliver(self, deliveries_: Sequence[Delivery]) -> list[Delivered]:
        with self._write() as (space, now):
            return deliveries.deliver(space, self.limits, now, deliveries_)

    async def claim_runs(
        self,
        claim_id: UUID,
        limit: int,
        lease: int,
        takes: frozenset[str],
        after: DueEntry = FIRST_DUE,
        scan: int = 1_000,
    ) -> Claims:
        with self._verb() as (space, now):
            return claims.claim_runs(space, now, claim_id, limit, lease, takes, after, scan)

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        with self._write() as (space, now):
            return turns.commit(space, self.limits, now, commits)

    async def renew(self, runs: Sequence[RunHold], lease: int) -> list[bool]:
        with self._verb() as (space, now):
            return claims.renew(space, now, runs, lease)

    async def release(self, runs: Sequence[RunHold]) -> None:
        with self._write() as (space, _):
            claims.release(space, runs)

    # --- tasks

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        with self._verb() as (space, now):
            return tasks.claim_tasks(space, self.limits, now, claim_id, wants, lease)

    async def heartbeat(self, tasks_: Sequence[TaskHold], lease: int) -> list[bool | None]:
        with self._verb() as (space, now):
            return tasks.heartbeat(space, now, tasks_, lease)

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        with self._write() as (space, now):
            return tasks.finish(space, self.limits, now, finishes)

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        with self._verb() as (space, now):
            return results.reserve(space, now, reservations)

    async def replies(self, asked: Sequence[Asked]) -> list[Replied]:
        with self._verb() as (space, now):
            return [replied(space, self.limits, now, each) for each in asked]

    # --- payloads that are kept apart

    async def keep_blobs(self, blobs_: Sequence[Blob]) -> None:
        with self._verb() as (space, now):
            blobs.keep(space, now, blobs_)

    async def fetch_blobs(self, names: Sequence[BlobName]) -> list[bytes | None]:
        with self._verb() as (space, _):
            return blobs.fetch(space, names)

    # --- operators

    async def control(self, orders_: Sequence[Order]) -> list[Ordered]:
        with self._write() as (space, now):
            return orders.control(space, self.limits, now, orders_)

    async def prune(self, plan: PrunePlan) -> Pruned:
        with self._verb() as (space, now):
            return reading.prune(space, self.limits, now, plan)

    # --- whole runs

    def carrier(self) -> MemoryCarrier:
        return MemoryCarrier(self.limits, self._verb, self._write)

    # --- reading

    def searcher(self) -> MemorySearcher:
        return MemorySearcher(self._verb)

    async def define(self, definitions: Sequence[Definition]) -> None:
        with self._verb() as (space, _):
            reading.define(space, definitions)

    async def definitions(self) -> list[Definition]:
        with self._verb() as (space, _):
            return reading.definitions(space)

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        with self._verb() as (space, _):
            rows = [space.runs.get(run_id) for run_id in runs]
            return [None if row is None else row.value(self.namespace) for row in rows]

    async def inspect(self, run: UUID) -> Inspection | None:
        with self._verb() as (space, now):
            return reading.inspect(space, now, run)

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        with self._verb() as (space, _):
            return reading.history(space, run, after, limit)

    async def members(self, run: UUID, token: int, after: int = -1, limit: int = 1_000) -> list[Member]:
        with self._verb() as (space, _):
            return reading.members(space, run, token, after, limit)

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        with self._verb() as (space, _):
            return reading.page(space, query, limit, cursor)

    # --- waiting

    async def wait(self, seconds: float) -> None:
        """Return at the next write in the namespace, at once if there was one since the last wait."""
        self._check_open()
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits there any more
                loop.call_soon_threadsafe(changed.set)

        self.store.enter(self.namespace, wake)
        try:
            if self.store.writes(self.namespace) == self._noticed:
                # Not wait_for: on 3.11 it swallows a cancellation that meets a wake-up.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await changed.wait()
        finally:
            self.store.leave(self.namespace, wake)
            self._noticed = self.store.writes(self.namespace)

    # --- transactions

    def _check_open(self) -> None:
        if not self._open:
            raise UsageError("the journal is not open; open() it, or use `async with` on what owns it")

    @contextlib.contextmanager
    def _verb(self) -> Generator[tuple[Space, Micros], None, None]:
        self._check_open()
        with self.store.lock:
            yield self.store.space(self.namespace), self.store.now()

    @contextlib.contextmanager
    def _write(self) -> Generator[tuple[Space, Micros], None, None]:
        """A verb after which somebody may find work."""
        with self._verb() as opened:
            yield opened
            wakers = self.store.wrote(self.namespace)
        for wake in wakers:
            wake()
