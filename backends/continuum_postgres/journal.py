"""The journal on PostgreSQL: one method, one transaction (pruning: several bounded ones).

Rule: this module only hands verbs to the lane of their family. What a verb does is in the module of its
noun.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
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
from continuum_core.journal.undisturbed import undisturbed
from continuum_postgres import blobs, fused, reading, results
from continuum_postgres.capabilities import CAPABILITIES
from continuum_postgres.carrier import PostgresCarrier
from continuum_postgres.claims import ClaimRuns, release, renew
from continuum_postgres.commits import commit
from continuum_postgres.finishes import finish, finish_long
from continuum_postgres.gauges import gauges
from continuum_postgres.orders import control
from continuum_postgres.place import Place
from continuum_postgres.presence import presence
from continuum_postgres.retention import prune
from continuum_postgres.searching import PostgresSearcher
from continuum_postgres.store import Store, open_store
from continuum_postgres.tasks import ClaimTasks, heartbeat
from continuum_postgres.transaction import PostgresTransaction, check_kind
from continuum_postgres.waits import deliver_busy, start_busy
from continuum_postgres.within import PostgresWithin

__all__ = ["PostgresJournal"]

logger = logging.getLogger(__name__)


class PostgresJournal:
    """A handle on one schema of a database, for one namespace.

    :param clock: stands in for the server's clock, which tells the time otherwise; given by tests.
    """

    capabilities = CAPABILITIES

    def __init__(
        self, place: Place, namespace: str, limits: Limits, clock: Callable[[], Micros] | None = None
    ) -> None:
        self.namespace = namespace
        self._clock = clock
        self._place = place
        self._limits = limits
        self._store: Store | None = None
        self._changing = asyncio.Lock()  # two that open or close one handle at once do it once

    # --- the handle

    async def open(self) -> Opened:
        return await self._once(makes=True)

    async def look(self) -> Opened:
        return await self._once(makes=False)

    async def _once(self, *, makes: bool) -> Opened:
        async with self._changing:
            return await (self._open(makes) if self._store is None else self._opened().opened())

    async def _open(self, makes: bool) -> Opened:
        settings = self._place, self.namespace, self._limits, self._clock
        store = await open_store(*settings, makes=makes)
        try:
            opened = await store.opened()
        except BaseException:  # nobody closes what was not opened
            await undisturbed(store.close())
            raise
        if store.server.loses:
            logger.warning("%s: %s", self._place.shown, store.server.durability)
        self._store = store
        return opened

    async def close(self) -> None:
        async with self._changing:
            store, self._store = self._store, None
            if store is not None:
                await undisturbed(store.close())  # halfway, connections would stay that nobody knows of

    def sibling(self) -> PostgresJournal:
        return PostgresJournal(self._place, self.namespace, self._limits, self._clock)

    def _opened(self) -> Store:
        """The store, for this process and event loop. Raises UsageError."""
        if self._store is None:
            raise UsageError(f"the journal ({self._place.shown}) is not open")
        self._store.check_use()
        return self._store

    # --- runs

    async def now(self) -> Micros:
        return await self._opened().now()

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        for new in runs:
            check_start(new)
        store = self._opened()
        answers = await start_busy(store.busy, store.starting, runs)
        store.space.history.started(runs, answers)
        store.wakeups.wrote()
        return answers

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        store = self._opened()
        answers = await deliver_busy(store.busy, store.starting, deliveries)
        store.wakeups.wrote()
        return answers

    async def claim_runs(
        self,
        claim_id: UUID,
        limit: int,
        lease: int,
        takes: frozenset[str],
        after: DueEntry = FIRST_DUE,
        scan: int = 1_000,
    ) -> Claims:
        verb = ClaimRuns(claim_id, limit, lease, takes, after, scan)
        return await self._opened().claiming.ask(verb.carry_out)

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        for turn in commits:
            check_turn(turn)
        store = self._opened()
        answers = await store.turning.gather(commit, commits, prompt=True)
        store.space.history.committed(commits, answers)
        store.wakeups.wrote()
        return answers

    async def renew(self, runs: Sequence[RunHold], lease: int) -> list[bool]:
        if not runs:
            return []
        return await self._opened().claiming.ask(lambda session: renew(session, runs, lease))

    async def release(self, runs: Sequence[RunHold]) -> None:
        if runs:
            store = self._opened()
            await store.claiming.ask(lambda session: release(session, runs))
            store.wakeups.wrote()

    async def control(self, orders: Sequence[Order]) -> list[Ordered]:
        store = self._opened()
        answers = await store.turning.gather(control, orders)
        store.wakeups.wrote()
        return answers

    # --- tasks

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        verb = ClaimTasks(claim_id, wants, lease)
        return await self._opened().claiming.ask(verb.carry_out)

    async def heartbeat(self, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
        if not tasks:
            return []
        return await self._opened().claiming.ask(lambda session: heartbeat(session, tasks, lease))

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        for ending in finishes:
            check_finish(ending)
        store = self._opened()
        lane = store.turning
        if len(finishes) == 1 and lane.free and fused.fuses(finishes[0]):
            answers = [await lane.single(fused.finish_single, finish_long, finishes[0])]
        else:
            answers = await lane.gather(finish, finishes, prompt=True)
        store.space.history.finished(finishes, answers)
        store.wakeups.wrote()
        return answers

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        return await self._opened().claiming.gather(results.reserve, reservations)

    # --- what is looked at

    async def replies(self, asked: Sequence[Asked]) -> list[Replied]:
        if not asked:
            self._opened()
            return []
        return await self._opened().reading.gather(reading.replies, asked)

    async def keep_blobs(self, blobs_: Sequence[Blob]) -> None:
        if blobs_:
            await self._opened().turning.ask(lambda session: blobs.keep(session, blobs_))

    async def fetch_blobs(self, names: Sequence[BlobName]) -> list[bytes | None]:
        if not names:
            self._opened()
            return []
        return await self._opened().reading.ask(lambda session: blobs.fetch(session, names))

    async def define(self, definitions: Sequence[Definition]) -> None:
        if definitions:
            await self._opened().reading.ask(lambda session: reading.define(session, definitions))

    async def definitions(self) -> list[Definition]:
        return await self._opened().reading.ask(reading.definitions)

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        if not runs:
            self._opened()
            return []
        return await self._opened().reading.gather(reading.load, runs)

    async def inspect(self, run: UUID) -> Inspection | None:
        return await self._opened().reading.ask(lambda session: reading.inspect(session, run))

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        return await self._opened().reading.ask(lambda session: reading.history(session, run, after, limit))

    async def members(self, run: UUID, token: int, after: int = -1, limit: int = 1_000) -> list[Member]:
        ask = self._opened().reading.ask
        return await ask(lambda session: reading.members(session, run, token, after, limit))

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        after = position(self.namespace, query, cursor)
        return await self._opened().reading.ask(lambda session: reading.page(session, query, limit, after))

    async def gauges(self) -> Gauges:
        return await self._opened().reading.ask(gauges)

    async def present(self, worker: UUID, keys: Collection[str]) -> bool:
        store = self._opened()
        return await store.presence.present(worker, keys, store.wakeups.listen())

    async def presence(self, keys: Collection[str]) -> frozenset[str]:
        return await self._opened().reading.ask(lambda session: presence(session, keys))

    async def prune(self, plan: PrunePlan) -> Pruned:
        return await prune(self._opened().reading.ask, plan)

    def carrier(self) -> PostgresCarrier:
        store = self._opened()
        return PostgresCarrier(store.reading.ask, store.turning.ask, store.wakeups.wrote)

    async def wait(self, seconds: float) -> None:
        await self._opened().wakeups.wait(seconds)

    def searcher(self) -> PostgresSearcher:
        return PostgresSearcher(self.namespace, self._opened().reading.ask)

    # --- transactions that are shared with users

    async def within(self, connection: object, patience: float, *, apart: bool = False) -> PostgresWithin:
        return await self._opened().doors.within(connection, patience, apart)

    def check_kind(self, kind: object, plain: bool) -> None:
        check_kind(kind, plain)

    def transaction(self, kind: object) -> AbstractAsyncContextManager[PostgresTransaction]:
        return self._opened().transactions.open(kind)
