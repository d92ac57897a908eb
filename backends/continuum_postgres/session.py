"""A connection of one lane: opened when it is needed, given up when it broke, and never shared.

Rule: a verb asks in as few round trips as it can: what is asked together is sent together (libpq's
pipeline). The journal's time of a verb is read once, by its first statement, and handed to all others.
"""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
from attrs import define, field
from psycopg.pq import TransactionStatus

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Limits
from continuum_postgres.arrays import register
from continuum_postgres.place import Place
from continuum_postgres.statements import query

__all__ = ["Ask", "Connection", "Row", "Session", "Space", "connect"]

Row = tuple[Any, ...]
"""What the server returns; the columns' types are those of the schema."""

Connection = psycopg.AsyncConnection[Row]

Ask = tuple[str, tuple[object, ...]]
"""A statement and its parameters after the namespace."""

_PLAIN = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"})


async def connect(conninfo: str) -> Connection:
    """A connection that commits each statement, and any transaction only when told. Raises psycopg.Error."""
    connection = await psycopg.AsyncConnection.connect(
        conninfo, autocommit=True, prepare_threshold=None, cursor_factory=psycopg.AsyncRawCursor
    )
    register(connection)
    return connection


@define(eq=False)
class Space:
    """What all lanes of a handle share.

    :ivar ns: number of the namespace.
    :ivar last: the latest time that a verb of this handle had.
    """

    place: Place
    namespace: str
    limits: Limits
    ns: int = 0
    last: Micros = 0

    def at(self, clock: Micros) -> Micros:
        """The time of a verb that read `clock`: the server's may be set back, a verb's is not."""
        self.last = max(self.last, clock)
        return self.last


@define(eq=False)
class Session:
    """A lane's connection, with what a verb needs of it.

    :ivar committing: what was sent may have been committed, whether or not an answer comes.
    :ivar opened: connections made so far.
    """

    space: Space
    committing: bool = False
    opened: int = 0
    _connection: Connection | None = field(default=None)

    @property
    def limits(self) -> Limits:
        return self.space.limits

    async def ready(self) -> Connection:
        """The connection, a new one where there is none. Raises psycopg.Error."""
        if self._connection is not None and self._connection.closed:
            await self.drop()
        if self._connection is None:
            self._connection = await connect(self.space.place.conninfo)
            self.opened += 1
        return self._connection

    def adopt(self, connection: Connection) -> None:
        self._connection = connection
        self.opened += 1

    async def drop(self) -> None:
        """Give the connection up; the server ends what it was in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()

    async def recover(self) -> None:
        """Leave no transaction behind after an error."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                await connection.rollback()
        except (psycopg.Error, OSError):
            await self.drop()

    # --- asking

    async def ask(self, *asks: Ask) -> list[list[Row]]:
        """The rows of each statement; they are sent together, and the first that fails ends the others."""
        connection = await self.ready()
        if len(asks) == 1:
            cursor = await self._execute(connection, *asks[0])
            return [await self._rows(cursor)]
        async with connection.pipeline():
            cursors = [await self._execute(connection, *ask) for ask in asks]
        return [await self._rows(cursor) for cursor in cursors]

    async def write(self, *asks: Ask) -> list[list[Row]]:
        """Like `ask`, where the last statement commits, or each does by itself."""
        await self.ready()
        self.committing = True
        answers = await self.ask(*asks)
        self.committing = False
        return answers

    async def notify(self, sql: str, to: str, sender: str) -> None:
        """Send a hint, in a transaction of its own."""
        await (await self.ready()).execute(sql.encode(), (to, sender))

    async def change(self, ask: Ask) -> int:
        """How many rows a statement changed that commits by itself."""
        connection = await self.ready()
        self.committing = True
        cursor = await self._execute(connection, *ask)
        self.committing = False
        return cursor.rowcount

    async def _execute(
        self, connection: Connection, sql: str, parameters: tuple[object, ...]
    ) -> psycopg.AsyncCursor[Row]:
        if sql in _PLAIN:
            return await connection.execute(sql.encode())
        space = self.space
        return await connection.execute(
            query(sql, space.place.schema),
            (space.ns, *parameters),
            prepare=not space.place.pooled,
            binary=True,
        )

    async def _rows(self, cursor: psycopg.AsyncCursor[Row]) -> list[Row]:
        return [] if cursor.description is None else await cursor.fetchall()
