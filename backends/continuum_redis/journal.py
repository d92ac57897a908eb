"""The port on Redis: one method, one call of the script in each tag (large batches: one for 256 members).

Rule: this module only hands verbs to a lane. What a verb does is in the script of its noun; what goes over
several tags is in `spread`, `queues`, `ends`, `relay` and `listing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

from attrs import frozen

from continuum_core.clock import Micros
from continuum_core.errors import UsageError
from continuum_core.journal import cursor as cursors
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
    OrderKind,
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
from continuum_core.journal.dealing import PLACES
from continuum_core.journal.gauges import Gauges
from continuum_core.journal.protocol import Limits, Opened
from continuum_core.journal.records import Definition, Delivery, Record, Run
from continuum_core.journal.replies import Asked, Replied, ReplyState
from continuum_core.journal.undisturbed import undisturbed
from continuum_redis import answers, blobs
from continuum_redis.arguments import Arguments, packed, packed_member
from continuum_redis.capabilities import CAPABILITIES
from continuum_redis.carrier import RedisCarrier
from continuum_redis.ends import finish, heartbeat
from continuum_redis.gauges import gauges
from continuum_redis.link import Space
from continuum_redis.listing import page
from continuum_redis.place import Place
from continuum_redis.pruning import prune
from continuum_redis.queues import TaskSpread
from continuum_redis.relay import Relay
from continuum_redis.searching import RedisSearcher
from continuum_redis.spread import RunSpread, write_claim
from continuum_redis.store import READING, STARTING, TURNING, Store, open_store
from continuum_redis.tags import HOME, result_name

__all__ = ["RedisJournal"]

M = TypeVar("M")


@frozen
class _Opened:
    """A store, and what works over its tags."""

    store: Store
    relay: Relay
    runs: RunSpread
    tasks: TaskSpread


class RedisJournal:
    """A handle on one server, for one namespace.

    :param clock: stands in for the server's clock, in tests; microseconds since the Unix epoch.
    """

    capabilities = CAPABILITIES

    def __init__(
        self, place: Place, namespace: str, limits: Limits, clock: Callable[[], Micros] | None = None
    ) -> None:
        self.namespace = namespace
        self._space = Space(place, namespace, limits, clock)
        self._parts: _Opened | None = None
        self._changing = asyncio.Lock()  # two that open or close one handle at once do it once

    # --- the handle

    async def open(self) -> Opened:
        return await self._open(makes=True)

    async def look(self) -> Opened:
        return await self._open(makes=False)

    async def _open(self, *, makes: bool) -> Opened:
        async with self._changing:
            if self._parts is None:
                store = await open_store(self._space, makes=makes)
                relay = Relay(store)
                self._parts = _Opened(store, relay, RunSpread(store, relay), TaskSpread(store))
                try:
                    now = await self.now()
                except BaseException:  # nobody closes what was not opened
                    await self._close()
                    raise
            else:
                now = await self.now()
            store = self._opened().store
        return Opened(now, "redis", store.durability, store.layout)

    async def close(self) -> None:
        async with self._changing:
            await self._close()

    async def _close(self) -> None:
        parts, self._parts = self._parts, None
        if parts is not None:  # halfway, connections would stay that nobody knows of
            await undisturbed(parts.store.close(parts.relay.close))

    def sibling(self) -> RedisJournal:
        space = self._space
        return RedisJournal(space.place, self.namespace, space.limits, space.clock)

    def _opened(self) -> _Opened:
        """The store, for this process and event loop. Raises UsageError."""
        if self._parts is None:
            raise UsageError(f"the journal ({self._space.place.shown}) is not open")
        self._parts.store.check_use()
        return self._parts

    async def now(self) -> Micros:
        told: int = await self._opened().store.ask(READING, "now", tag=HOME)
        return told

    # --- runs

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        for new in runs:
            check_start(new)
        told = await self._batch(STARTING, "start", Arguments.start, runs, _run_of)
        await self._sent([new.turn for new in runs])
        if told:  # the last answer has the time at which all stand, in one tag
            self._wrote(runs[-1].run_id, told[-1][1])
        return [answers.started(each) for each in told]

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        told = await self._batch(STARTING, "deliver", Arguments.delivery, deliveries, _run_of)
        return [answers.delivered(each) for each in told]

    async def claim_runs(
        self,
        claim_id: UUID,
        limit: int,
        lease: int,
        takes: frozenset[str],
        after: DueEntry = FIRST_DUE,
        scan: int = 1_000,
    ) -> Claims:
        parts = self._opened()
        if parts.store.tags.count > 1:
            return await parts.runs.claim(claim_id, limit, lease, takes, after, scan)
        asked = packed(write_claim(claim_id, limit, lease, after, scan, takes))
        return answers.claims(await parts.store.ask(READING, "claim_runs", asked))

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        for turn in commits:
            check_turn(turn)
        told = await self._batch(TURNING, "commit", Arguments.turn, commits, _run_of)
        await self._sent(commits)
        committed = [answers.committed(each) for each in told]
        if committed:
            self._wrote(commits[-1].run_id, committed[-1].now)
        return committed

    async def renew(self, runs: Sequence[RunHold], lease: int) -> list[bool]:
        told = await self._batch(TURNING, "renew", Arguments.run_hold, runs, _run_of, lease, tells=False)
        return [bool(each) for each in told]

    async def release(self, runs: Sequence[RunHold]) -> None:
        await self._batch(TURNING, "release", Arguments.run_hold, runs, _run_of)

    async def control(self, orders: Sequence[Order]) -> list[Ordered]:
        ends = all(order.kind is OrderKind.TERMINATE for order in orders)
        told = await self._batch(
            TURNING, "terminate" if ends else "control", Arguments.order, orders, _run_of
        )
        tags = self._opened().store.tags
        if tags.count > 1:
            await self._opened().relay.sent(tags.of_run(each.run_id) for each in orders if each.sends)
        return [answers.ordered(each) for each in told]

    # --- tasks

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        parts = self._opened()
        if parts.store.tags.count > 1:
            return await parts.tasks.claim(claim_id, wants, lease)

        def write(to: Arguments) -> None:
            to.uuid(claim_id)
            to.number(lease)
            to.number(0)
            to.list(to.want, wants)

        return answers.task_claims(await parts.store.ask(READING, "claim_tasks", packed(write)))

    async def heartbeat(self, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
        parts = self._opened()
        told = await heartbeat(parts.store, parts.tasks, tasks, lease) if tasks else []
        return [{0: None, 1: True, 2: False}[each] for each in told]

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        for ending in finishes:
            check_finish(ending)
        parts = self._opened()
        if not finishes:
            return []
        told = await finish(parts.store, parts.tasks, finishes)
        parts.store.wakeups.wrote()
        await self._sent([ending.turn for ending in finishes])
        return [answers.finished(each) for each in told]

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        told = await self._batch(
            TURNING, "reserve", Arguments.reservation, reservations, _result_of, tells=False
        )
        return [answers.reserved(each) for each in told]

    # --- what is looked at

    async def replies(self, asked: Sequence[Asked]) -> list[Replied]:
        told = await self._batch(READING, "replies", Arguments.asked, asked, _run_of, tells=False)
        return [Replied(ReplyState(state.decode()), body) for state, body in told]

    async def keep_blobs(self, blobs_: Sequence[Blob]) -> None:
        await blobs.keep(self._opened().store, blobs_)

    async def fetch_blobs(self, names: Sequence[BlobName]) -> list[bytes | None]:
        return await blobs.fetch(self._opened().store, names)

    async def define(self, definitions: Sequence[Definition]) -> None:
        store = self._opened().store
        members = [(HOME, packed_member(Arguments.definition, each)) for each in definitions]
        if members:
            await store.gather(STARTING, "define", members)
            store.wakeups.wrote()

    async def definitions(self) -> list[Definition]:
        told = await self._opened().store.ask(READING, "definitions", tag=HOME)
        found = map(answers.definition, told)
        return sorted(found, key=lambda each: (each.machine, each.version, each.fingerprint))

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        told = await self._batch(READING, "load", Arguments.uuid, runs, _itself, tells=False)
        return [None if each is None else answers.run(each, self.namespace) for each in told]

    async def inspect(self, run: UUID) -> Inspection | None:
        def write(to: Arguments) -> None:
            to.uuid(run)
            to.number(PLACES)

        store = self._opened().store
        told = await store.ask(READING, "inspect", packed(write), store.tags.of_run(run))
        return None if told is None else answers.inspection(told, self.namespace)

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        def write(to: Arguments) -> None:
            to.uuid(run)
            to.number(max(after, 0))
            to.number(max(limit, 0))

        store = self._opened().store
        told = await store.ask(READING, "history", packed(write), store.tags.of_run(run))
        return [answers.record(each, run) for each in told]

    async def members(self, run: UUID, token: int, after: int = -1, limit: int = 1_000) -> list[Member]:
        def write(to: Arguments) -> None:
            to.uuid(run)
            to.number(token)
            to.number(after)
            to.number(max(limit, 0))

        store = self._opened().store
        told = await store.ask(READING, "members", packed(write), store.tags.of_run(run))
        return [answers.member(token, each) for each in told]

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        position = cursors.position(self.namespace, query, cursor)
        limit = max(limit, 0)
        # One more than is shown tells whether there is another page.
        found = await page(self._opened().store, query, limit + 1, position, self.namespace)
        shown = tuple(found[:limit])
        return Page(shown, cursors.write(query, shown[-1]) if len(found) > limit > 0 else None)

    async def gauges(self) -> Gauges:
        return await gauges(self._opened().store)

    async def prune(self, plan: PrunePlan) -> Pruned:
        return await prune(self._opened().store, plan)

    def carrier(self) -> RedisCarrier:
        return RedisCarrier(self.namespace, self._batch, lambda: self._opened().store)

    def searcher(self) -> RedisSearcher:
        return RedisSearcher(self.namespace, self._batch, lambda: self._opened().store)

    async def wait(self, seconds: float) -> None:
        await self._opened().store.wakeups.wait(seconds)

    # --- asking

    async def _batch(
        self,
        lane: str,
        verb: str,
        write: Callable[[Arguments, M], None],
        members: Sequence[M],
        named: Callable[[M], UUID | bytes],
        lease: int | None = None,
        *,
        tells: bool = True,
    ) -> Sequence[Any]:
        """The reply for each member. `named`: what its tag is told by. `tells`: others may wait for it."""
        store = self._opened().store  # which somebody may close while its answer is awaited
        if not members:
            return []
        told = await store.gather(
            lane,
            verb,
            [(_tag(store, named(member)), packed_member(write, member)) for member in members],
            b"" if lease is None else packed(lambda to: to.number(lease)),
        )
        if tells:
            store.wakeups.wrote()
        return told

    def _wrote(self, run: UUID, clock: Micros) -> None:
        if self._parts is not None:  # nobody closed it meanwhile
            space = self._parts.store.space
            space.standing.wrote(space.tags.of_run(run), clock)

    async def _sent(self, turns: Sequence[Commit | None]) -> None:
        """Let what turns sent to other tags arrive."""
        parts = self._opened()
        tags = parts.store.tags
        if tags.count == 1:
            return
        of = tags.of_run
        senders = {
            of(turn.run_id)
            for turn in turns
            if turn is not None
            if any(of(run) != of(turn.run_id) for run in _reached(turn))
        }
        if senders:
            await parts.relay.sent(senders)


def _tag(store: Store, name: UUID | bytes) -> int:
    if store.tags.count == 1:
        return 0
    return store.tags.of(name) if isinstance(name, bytes) else store.tags.of_run(name)


def _reached(turn: Commit) -> Iterator[UUID]:
    """The runs that a turn writes to."""
    yield from (delivery.run_id for delivery in turn.deliveries)
    yield from (new.run_id for new in turn.starts)


def _run_of(member: NewRun | Delivery | Commit | RunHold | Order | Asked) -> UUID:
    return member.run_id


def _result_of(asked: Reservation) -> bytes:
    return result_name(asked.activity, asked.key)


def _itself(run: UUID) -> UUID:
    return run
