"""The journal on SQLite: one method, one transaction (pruning: several bounded ones).

Rule: this module only hands verbs to the thread that writes or to the one that reads. What a verb does
is in the module of its noun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.errors import UsageError
from continuum_core.journal.blobs import Blob, BlobName
from continuum_core.journal.checking import check_finish, check_start, check_turn
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
from continuum_core.journal.cursor import position
from continuum_core.journal.gauges import Gauges
from continuum_core.journal.protocol import Limits, Opened
from continuum_core.journal.records import Definition, Delivery, Record, Run
from continuum_core.journal.replies import Asked, Replied
from continuum_sqlite import blobs, crews, reading
from continuum_sqlite.capabilities import CAPABILITIES
from continuum_sqlite.carrier import SqliteCarrier
from continuum_sqlite.claims import ClaimRuns, release, renew
from continuum_sqlite.clock import HostClock, host_time
from continuum_sqlite.commits import commit
from continuum_sqlite.deliveries import deliver
from continuum_sqlite.finishes import finish, reserve
from continuum_sqlite.gauges import gauges
from continuum_sqlite.orders import control
from continuum_sqlite.place import Place
from continuum_sqlite.retention import prune
from continuum_sqlite.searching import SqliteSearcher
from continuum_sqlite.starts import start
from continuum_sqlite.store import Store, open_store
from continuum_sqlite.tasks import ClaimTasks, heartbeat

__all__ = ["SqliteJournal"]

_DURABILITY = (
    "what was acknowledged survives the process, the system and a loss of power (write-ahead log, synced "
    "at every commit); it lies on one disk"
)


class SqliteJournal:
    """A handle on one file, for one namespace.

    :param clock: the host's time in microseconds since the Unix epoch; given by tests.
    """

    capabilities = CAPABILITIES

    def __init__(
        self, place: Place, namespace: str, limits: Limits, clock: Callable[[], Micros] = host_time
    ) -> None:
        self.namespace = namespace
        self._place = place
        self._limits = limits
        self._clock = HostClock(clock)
        self._store: Store | None = None
        self._changing = asyncio.Lock()  # two that open or close one handle at once do it once

    # --- the handle

    async def open(self) -> Opened:
        return await self._open(makes=True)

    async def look(self) -> Opened:
        return await self._open(makes=False)

    async def _open(self, *, makes: bool) -> Opened:
        async with self._changing:
            if self._store is None:
                settings = self._place, self.namespace, self._limits, self._clock
                self._store = await open_store(*settings, makes=makes)
        return Opened(self._clock.now(), "sqlite", _DURABILITY, self._opened().schema)

    async def close(self) -> None:
        async with self._changing:
            store, self._store = self._store, None
            if store is not None:
                await store.close()

    def sibling(self) -> SqliteJournal:
        return SqliteJournal(self._place, self.namespace, self._limits, self._clock.source)

    def _opened(self) -> Store:
        """The store, for this process and event loop. Raises UsageError."""
        if self._store is None:
            raise UsageError(f"the journal {self._place.path} is not open")
        self._store.check_use()
        return self._store

    # --- runs

    async def now(self) -> Micros:
        self._opened()
        return self._clock.now()

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        for new in runs:
            check_start(new)
        return await self._opened().write(lambda transaction: start(transaction, runs), tells=True)

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        return await self._opened().write(lambda transaction: deliver(transaction, deliveries), tells=True)

    async def claim_runs(
        self,
        claim_id: UUID,
        limit: int,
        lease: int,
        takes: frozenset[str],
        after: DueEntry = FIRST_DUE,
        scan: int = 1_000,
    ) -> Claims:
        self._opened().wakeups.acting()
        verb = ClaimRuns(claim_id, limit, lease, takes, after, scan)
        return await self._opened().write(verb.carry_out, verb.peek)

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        for turn in commits:
            check_turn(turn)
        return await self._opened().write(lambda transaction: commit(transaction, commits), tells=True)

    async def renew(self, runs: Sequence[RunHold], lease: int) -> list[bool]:
        held = [(hold.run_id.bytes, hold.fence) for hold in runs]
        return await self._opened().write(lambda transaction: renew(transaction, held, lease))

    async def release(self, runs: Sequence[RunHold]) -> None:
        held = [(hold.run_id.bytes, hold.fence) for hold in runs]
        await self._opened().write(lambda transaction: release(transaction, held), tells=True)

    async def control(self, orders: Sequence[Order]) -> list[Ordered]:
        return await self._opened().write(lambda transaction: control(transaction, orders), tells=True)

    # --- tasks

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        self._opened().wakeups.acting()
        verb = ClaimTasks(claim_id, wants, lease)
        return await self._opened().write(verb.carry_out, verb.peek)

    async def heartbeat(self, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
        return await self._opened().write(lambda transaction: heartbeat(transaction, tasks, lease))

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        for ending in finishes:
            check_finish(ending)
        return await self._opened().write(lambda transaction: finish(transaction, finishes), tells=True)

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        return await self._opened().write(lambda transaction: reserve(transaction, reservations))

    # --- what is looked at

    def searcher(self) -> SqliteSearcher:
        return SqliteSearcher(self.namespace, self._opened().read)

    async def replies(self, asked: Sequence[Asked]) -> list[Replied]:
        return await self._opened().read(lambda transaction: reading.replies(transaction, asked))

    async def keep_blobs(self, blobs_: Sequence[Blob]) -> None:
        if blobs_:
            await self._opened().write(lambda transaction: blobs.keep(transaction, blobs_))

    async def fetch_blobs(self, names: Sequence[BlobName]) -> list[bytes | None]:
        return await self._opened().read(lambda transaction: blobs.fetch(transaction, names))

    async def define(self, definitions: Sequence[Definition]) -> None:
        await self._opened().write(lambda transaction: reading.define(transaction, definitions))

    async def definitions(self) -> list[Definition]:
        return await self._opened().read(reading.definitions)

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        return await self._opened().read(lambda transaction: reading.load(transaction, runs))

    async def inspect(self, run: UUID) -> Inspection | None:
        return await self._opened().read(lambda transaction: reading.inspect(transaction, run))

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        return await self._opened().read(lambda transaction: reading.history(transaction, run, after, limit))

    async def members(self, run: UUID, token: int, after: int = -1, limit: int = 1_000) -> list[Member]:
        return await self._opened().read(
            lambda transaction: crews.members(transaction, run, token, after, limit)
        )

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        after = position(self.namespace, query, cursor)
        return await self._opened().read(lambda transaction: reading.page(transaction, query, limit, after))

    async def gauges(self) -> Gauges:
        return await self._opened().read(gauges)

    async def prune(self, plan: PrunePlan) -> Pruned:
        return await prune(self._opened().write, plan)

    def carrier(self) -> SqliteCarrier:
        return SqliteCarrier(self._opened().write, self._opened().read)

    async def wait(self, seconds: float) -> None:
        await self._opened().wakeups.wait(seconds)
