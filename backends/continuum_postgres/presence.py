"""Workers that this handle vouches for: rows that count while a session holds a lock.

Rule: the session is the listening connection's, which lasts as long as its process, and one lock stands for
all workers and keys of a handle, for the server has room for few. Nothing is renewed: the lock goes with the
session, and the server ends that when the process does. It is shared, so that a new connection has it at once
where the server has not noticed the end of the one before.

A proxy may keep a session that its client has left. Nothing is locked through one: then workers announce
themselves as they do on journals without presence. Nor do they lack anything on a server that has no such
locks, or shows none: a row is written only where the lock is seen by the statement that writes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from uuid import UUID

import psycopg
from attrs import define, field

from continuum_postgres import arrays
from continuum_postgres.arrays import Bigint
from continuum_postgres.session import Connection, Session
from continuum_postgres.statements.presence import GONE, KEYS, PRESENT, WITHDRAWN

__all__ = ["Presence", "presence"]

logger = logging.getLogger(__name__)

_FIRST = 2.0  # seconds that the first word of a worker waits for the listener, which begins beside it

# With the lock the server is told to look after the connection of a host that went without a word; what it
# does so by itself sooner stays.
_TAKE = """
SELECT pg_catalog.pg_try_advisory_lock_shared($1::bigint),
  pg_catalog.set_config('tcp_keepalives_idle', k.idle, false),
  pg_catalog.set_config('tcp_keepalives_interval', k.interval, false),
  pg_catalog.set_config('tcp_keepalives_count', k.count, false)
FROM (SELECT
  least(pg_catalog.current_setting('tcp_keepalives_idle')::integer, 30)::text AS idle,
  least(pg_catalog.current_setting('tcp_keepalives_interval')::integer, 10)::text AS interval,
  least(pg_catalog.current_setting('tcp_keepalives_count')::integer, 3)::text AS count) k
"""


def _number() -> int:
    """Of a lock: nobody else's by chance."""
    return int.from_bytes(secrets.token_bytes(8), "big", signed=True)


async def presence(session: Session, keys: Collection[str]) -> frozenset[str]:
    """The verb: those that some present worker has."""
    (rows,) = await session.ask((KEYS, (arrays.texts(sorted(set(keys))),)))
    return frozenset(key for (key,) in rows)


@define(eq=False)
class Presence:
    """What one handle says of its workers, and whether it can.

    :param ask: carries a verb out.
    :ivar lock: the number of the handle's lock.
    """

    ask: Callable[[Callable[[Session], Awaitable[Any]]], Awaitable[Any]]
    lock: int = field(factory=_number)
    _turn: asyncio.Lock = field(factory=asyncio.Lock)
    _decided: asyncio.Event = field(factory=asyncio.Event)  # there was a listener, or there will be none
    _holds: bool = False
    _session: int = 0  # the how many-th that may hold the lock
    _said: dict[UUID, tuple[int, frozenset[str]]] = field(factory=dict[UUID, "tuple[int, frozenset[str]]"])

    # --- the listening connection

    async def take(self, connection: Connection) -> bool:
        """Whether this connection has the lock now; it must lead to the server itself."""
        try:
            row = await (await connection.execute(_TAKE.encode(), (Bigint(self.lock),))).fetchone()
        except psycopg.Error as error:
            if connection.closed:
                raise
            logger.debug("no lock to vouch for workers with: %s", error)
            return False
        return row is not None and bool(row[0])

    def stand(self, holds: bool) -> None:
        """The connection listens; it has the lock, or not."""
        self._holds = holds
        self._decided.set()

    def fall(self) -> None:
        """The connection is lost, or there was none to be had. What was said is to be said again."""
        self._holds = False
        self._session += 1
        self._decided.set()

    # --- the verb

    async def present(self, worker: UUID, keys: Collection[str], listens: bool) -> bool:
        """From now on, a live worker has these keys.

        :param listens: there is a listening connection, or one is being made.
        """
        async with self._turn:
            if not keys:
                await self._withdraw(worker)
                return True
            if not listens or not await self._stands():
                return False
            wanted, session = frozenset(keys), self._session
            if self._said.get(worker) != (session, wanted):
                self._said[worker] = -1, wanted  # whatever comes of it: there may be a row
                if not await self._say(worker, wanted):
                    return False
                self._said[worker] = session, wanted
            return self._holds and self._session == session

    async def _stands(self) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._decided.wait(), _FIRST)
        return self._holds

    async def _say(self, worker: UUID, keys: frozenset[str]) -> bool:
        async def say(session: Session) -> bool:
            values = worker, Bigint(self.lock), arrays.texts(sorted(keys))
            _, said = await session.write((GONE, ()), (PRESENT, values))
            return bool(said)

        return bool(await self.ask(say))

    async def _withdraw(self, worker: UUID) -> None:
        if worker not in self._said:
            return

        async def withdraw(session: Session) -> None:
            await session.change((WITHDRAWN, (worker, Bigint(self.lock))))

        await self.ask(withdraw)
        del self._said[worker]

    async def close(self) -> None:
        """Take back what was said, where the lock does not do so by itself at once."""
        if not self._holds:
            return
        for worker in list(self._said):
            try:
                await self.present(worker, (), listens=True)
            except Exception as error:  # the lock goes with its connection, whatever the rows say
                logger.debug("a worker was not withdrawn: %s", error)
                return
