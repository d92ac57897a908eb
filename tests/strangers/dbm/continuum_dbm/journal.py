"""The port on a `Store`: one method is one transaction.

No verb awaits anything but `wait`, so a verb is done or not begun, whatever is cancelled. What the verbs mean
is in the modules of the same nouns.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.errors import UsageError
from continuum_core.journal.commit import (
    FIRST_DUE,
    Claims,
    Commit,
    Committed,
    Delivered,
    DueEntry,
    Finished,
    Inspection,
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
from continuum_core.journal.protocol import Limits, Opened
from continuum_core.journal.records import Definition, Delivery, Record, Run
from continuum_dbm import claims, deliveries, orders, reading, tasks, turns
from continuum_dbm.rows import Space
from continuum_dbm.store import Store, acquire

__all__ = ["DbmJournal"]

_DURABILITY = (
    "what was acknowledged survives the process; a loss of power may take the last of it (nothing is synced)"
)
_SCHEMA = 1


class DbmJournal:
    """A handle on the store at `path`, for one namespace."""

    def __init__(self, path: Path, namespace: str, limits: Limits, clock: Callable[[], Micros]) -> None:
        self.namespace = namespace
        self._path = path
        self._limits = limits
        self._clock = clock
        self._store: Store | None = None
        self._noticed = 0

    async def open(self) -> Opened:
        if self._store is None:
            self._store = acquire(self._path, self._clock)
        with self._verb() as (_, now):
            return Opened(now=now, backend="dbm", durability=_DURABILITY, schema=_SCHEMA)

    async def close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.release()

    def sibling(self) -> DbmJournal:
        return DbmJournal(self._path, self.namespace, self._limits, self._clock)

    async def now(self) -> Micros:
        with self._verb() as (_, now):
            return now

    # --- runs

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        with self._verb() as (space, now):
            return turns.start(space, self._limits, now, runs)

    async def deliver(self, deliveries_: Sequence[Delivery]) -> list[Delivered]:
        with self._verb() as (space, now):
            return deliveries.deliver(space, self._limits, now, deliveries_)

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
        with self._verb() as (space, now):
            return turns.commit(space, self._limits, now, commits)

    async def renew(self, runs: Sequence[RunHold], lease: int) -> list[bool]:
        with self._verb() as (space, now):
            return claims.renew(space, now, runs, lease)

    async def release(self, runs: Sequence[RunHold]) -> None:
        with self._verb() as (space, _):
            claims.release(space, runs)

    # --- tasks

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        with self._verb() as (space, now):
            return tasks.claim_tasks(space, self._limits, now, claim_id, wants, lease)

    async def heartbeat(self, tasks_: Sequence[TaskHold], lease: int) -> list[bool | None]:
        with self._verb() as (space, now):
            return tasks.heartbeat(space, now, tasks_, lease)

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        with self._verb() as (space, now):
            return tasks.finish(space, self._limits, now, finishes)

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        with self._verb() as (space, now):
            return tasks.reserve(space, now, reservations)

    # --- operators

    async def control(self, orders_: Sequence[Order]) -> list[Ordered]:
        with self._verb() as (space, now):
            return orders.control(space, self._limits, now, orders_)

    async def prune(self, plan: PrunePlan) -> Pruned:
        with self._verb() as (space, now):
            return reading.prune(space, self._limits, now, plan)

    # --- reading

    async def define(self, definitions: Sequence[Definition]) -> None:
        with self._verb() as (space, _):
            reading.define(space, definitions)

    async def definitions(self) -> list[Definition]:
        with self._verb() as (space, _):
            return reading.definitions(space)

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        with self._verb() as (space, _):
            return [space.runs.get(run_id) for run_id in runs]

    async def inspect(self, run: UUID) -> Inspection | None:
        with self._verb() as (space, now):
            return reading.inspect(space, now, run)

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        with self._verb() as (space, _):
            return reading.history(space, run, after, limit)

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        with self._verb() as (space, _):
            return reading.page(space, query, limit, cursor)

    # --- waiting

    async def wait(self, seconds: float) -> None:
        """Return at the next write in the namespace, at once if there was one since the last wait."""
        store = self._opened()
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits there any more
                loop.call_soon_threadsafe(changed.set)

        store.enter(self.namespace, wake)
        try:
            if store.writes(self.namespace) == self._noticed:
                # Not wait_for: on 3.11 it swallows a cancellation that meets a wake-up.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await changed.wait()
        finally:
            store.leave(self.namespace, wake)
            self._noticed = store.writes(self.namespace)

    # --- transactions

    def _opened(self) -> Store:
        if self._store is None:
            raise UsageError("the journal is not open; open() it, or use `async with` on what owns it")
        return self._store

    def _verb(self) -> AbstractContextManager[tuple[Space, Micros]]:
        return self._opened().verb(self.namespace)
