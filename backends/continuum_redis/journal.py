"""The port on Redis: one method, one call of the script (large batches: one for each 256 members).

Rule: this module only hands verbs to a lane. What a verb does is in the script of its noun.
"""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.errors import UsageError
from continuum_core.journal import cursor as cursors
from continuum_core.journal.checking import check_finish, check_start, check_turn
from continuum_core.journal.commit import (
    Claims,
    Commit,
    Committed,
    Delivered,
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
from continuum_core.journal.dealing import PLACES
from continuum_core.journal.protocol import Limits, Opened
from continuum_core.journal.records import Definition, Delivery, Record, Run
from continuum_redis import answers
from continuum_redis.arguments import Arguments
from continuum_redis.carrier import RedisCarrier
from continuum_redis.errors import UNFIT, port_error
from continuum_redis.lane import Lane
from continuum_redis.link import Space
from continuum_redis.place import Place
from continuum_redis.store import Store, open_store

__all__ = ["RedisJournal"]

M = TypeVar("M")

_READ_AT_ONCE = 2_000
"""Entries of an index that one call of a page reads: nobody else is served meanwhile."""


class RedisJournal:
    """A handle on one server, for one namespace.

    :param clock: stands in for the server's clock, in tests; microseconds since the Unix epoch.
    """

    def __init__(
        self, place: Place, namespace: str, limits: Limits, clock: Callable[[], Micros] | None = None
    ) -> None:
        self.namespace = namespace
        self._space = Space(place, namespace, limits, clock)
        self._store: Store | None = None
        self._changing = asyncio.Lock()  # two that open or close one handle at once do it once

    # --- the handle

    async def open(self) -> Opened:
        async with self._changing:
            if self._store is None:
                self._store = await open_store(self._space)
        store = self._opened()
        return Opened(await self.now(), "redis", store.durability, store.layout)

    async def close(self) -> None:
        async with self._changing:
            store, self._store = self._store, None
            if store is not None:
                await store.close()

    def sibling(self) -> RedisJournal:
        space = self._space
        return RedisJournal(space.place, self.namespace, space.limits, space.clock)

    def _opened(self) -> Store:
        """The store, for this process and event loop. Raises UsageError."""
        if self._store is None:
            raise UsageError(f"the journal ({self._space.place.shown}) is not open")
        self._store.check_use()
        return self._store

    async def now(self) -> Micros:
        told: int = await self._opened().reading.ask("now")
        return told

    # --- runs

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        for new in runs:
            check_start(new)
        return [
            answers.started(told) for told in await self._batch(_starting, "start", Arguments.start, runs)
        ]

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        told = await self._batch(_starting, "deliver", Arguments.delivery, deliveries)
        return [answers.delivered(each) for each in told]

    async def claim_runs(
        self,
        claim_id: UUID,
        limit: int,
        lease: int,
        takes: frozenset[str],
        after: Micros = 0,
        scan: int = 1_000,
    ) -> Claims:
        def write(to: Arguments) -> None:
            to.uuid(claim_id)
            to.number(limit)
            to.number(lease)
            to.number(after)
            to.number(max(scan, 1))
            to.list(to.text, takes)

        return answers.claims(await self._opened().reading.ask("claim_runs", _packed(write)))

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        for turn in commits:
            check_turn(turn)
        told = await self._batch(_turning, "commit", Arguments.turn, commits)
        return [answers.committed(each) for each in told]

    async def renew(self, runs: Sequence[RunHold], lease: int) -> list[bool]:
        told = await self._batch(_turning, "renew", Arguments.run_hold, runs, lease, tells=False)
        return [bool(each) for each in told]

    async def release(self, runs: Sequence[RunHold]) -> None:
        await self._batch(_turning, "release", Arguments.run_hold, runs)

    async def control(self, orders: Sequence[Order]) -> list[Ordered]:
        told = await self._batch(_turning, "control", Arguments.order, orders)
        return [answers.ordered(each) for each in told]

    # --- tasks

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        def write(to: Arguments) -> None:
            to.uuid(claim_id)
            to.number(lease)
            to.list(to.want, wants)

        return answers.task_claims(await self._opened().reading.ask("claim_tasks", _packed(write)))

    async def heartbeat(self, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
        told = await self._batch(_turning, "heartbeat", Arguments.task_hold, tasks, lease, tells=False)
        return [{0: None, 1: True, 2: False}[each] for each in told]

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        for ending in finishes:
            check_finish(ending)
        told = await self._batch(_turning, "finish", Arguments.finish, finishes)
        return [answers.finished(each) for each in told]

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        told = await self._batch(_turning, "reserve", Arguments.reservation, reservations, tells=False)
        return [answers.reserved(each) for each in told]

    # --- what is looked at

    async def define(self, definitions: Sequence[Definition]) -> None:
        await self._batch(_starting, "define", Arguments.definition, definitions)

    async def definitions(self) -> list[Definition]:
        found = map(answers.definition, await self._opened().reading.ask("definitions"))
        return sorted(found, key=lambda each: (each.machine, each.version, each.fingerprint))

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        told = await self._batch(_reading, "load", Arguments.uuid, runs, tells=False)
        return [None if each is None else answers.run(each, self.namespace) for each in told]

    async def inspect(self, run: UUID) -> Inspection | None:
        def write(to: Arguments) -> None:
            to.uuid(run)
            to.number(PLACES)

        told = await self._opened().reading.ask("inspect", _packed(write))
        return None if told is None else answers.inspection(told, self.namespace)

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        def write(to: Arguments) -> None:
            to.uuid(run)
            to.number(max(after, 0))
            to.number(max(limit, 0))

        told = await self._opened().reading.ask("history", _packed(write))
        return [answers.record(each, run) for each in told]

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        position = cursors.position(self.namespace, query, cursor)
        lane, limit = self._opened().reading, max(limit, 0)
        found: list[Run] = []
        while True:
            # One more than is shown tells whether there is another page.
            asked = _page(query, position, limit + 1 - len(found))
            told, last, more = await lane.ask("page", _packed(asked))
            found += [answers.run(each, self.namespace) for each in told]
            if more != _GOES_ON:
                break
            position = (last[0], last[1])
        shown = tuple(found[:limit])
        return Page(shown, cursors.write(query, shown[-1]) if len(found) > limit > 0 else None)

    async def prune(self, plan: PrunePlan) -> Pruned:
        return answers.pruned(
            await self._opened().turning.ask("prune", _packed(lambda to: Arguments.plan(to, plan)))
        )

    def carrier(self) -> RedisCarrier:
        async def ask(verb: str, write: Callable[[Arguments], None]) -> Any:
            return await self._opened().reading.ask(verb, _packed(write))

        return RedisCarrier(self.namespace, self._batch, ask)

    async def wait(self, seconds: float) -> None:
        await self._opened().wakeups.wait(seconds)

    # --- asking

    async def _batch(
        self,
        lane: Callable[[Store], Lane],
        verb: str,
        write: Callable[[Arguments, M], None],
        members: Sequence[M],
        lease: int | None = None,
        *,
        tells: bool = True,
    ) -> Sequence[Any]:
        """The reply for each member. `tells`: others may wait for what it writes."""

        def pack(member: M) -> bytes:
            return _packed(lambda to: write(to, member))

        packed = [pack(member) for member in members]
        head = b"" if lease is None else _packed(lambda to: to.number(lease))
        store = self._opened()  # which somebody may close while its answer is awaited
        told = await lane(store).gather(verb, packed, head)
        if tells:
            store.wakeups.wrote()
        return told


_starting = operator.attrgetter("starting")
_turning = operator.attrgetter("turning")
_reading = operator.attrgetter("reading")

_GOES_ON = 2
"""A page's answer: it stopped in the middle, so that others are served."""


def _page(query: Query, position: tuple[Micros, bytes] | None, limit: int) -> Callable[[Arguments], None]:
    def write(to: Arguments) -> None:
        to.maybe(to.text, query.machine)
        to.maybe(to.number, None if query.status is None else int(query.status))
        to.maybe(to.uuid, query.parent)
        to.maybe(to.number, query.created_from)
        to.maybe(to.number, query.created_to)
        to.maybe(to.number, None if position is None else position[0])
        to.maybe(to.bytes, None if position is None else position[1])
        to.number(limit)
        to.number(_READ_AT_ONCE)

    return write


def _packed(write: Callable[[Arguments], None]) -> bytes:
    """Arguments of a call. Raises PayloadRefused for what the scripts cannot hold."""
    to = Arguments()
    try:
        write(to)
    except UNFIT as error:
        raise port_error(error) from error
    return to.packed()
