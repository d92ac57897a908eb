"""A connection of one lane: opened when it is needed, given up when it broke, and never shared.

Rule: a verb asks in as few round trips as it can: what is asked together is sent together (libpq's
pipeline). The journal's time of a verb is read once, by its first statement, and handed to all others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from struct import Struct

import psycopg
from attrs import define, field
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Limits
from continuum_postgres.direct import Answer, Direct
from continuum_postgres.history import History
from continuum_postgres.packing import TEXT, Packed, Stated, pack, stated
from continuum_postgres.place import Place
from continuum_postgres.source import Connection, Row, connect
from continuum_postgres.statements import Composed, patient, query, timed
from continuum_postgres.statements.reading import LOOK_REACHED, NOTIFY, NOTIFY_REACHED

__all__ = ["Ask", "Connection", "Row", "Session", "Space", "connect"]

Ask = tuple[str, tuple[object, ...]]
"""A statement and its parameters after the namespace: `Packed`, or for the driver to pack."""

_NS = Struct("!i").pack

_PLAIN = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"})


@define(eq=False)
class Space:
    """What all lanes of a handle share.

    :ivar clock: stands in for the server's clock in tests; None otherwise.
    :ivar ns: number of the namespace.
    :ivar last: the latest time that a verb of this handle had.
    :ivar history: what this handle was told, which every new connection is asked for.
    """

    place: Place
    namespace: str
    limits: Limits
    clock: Callable[[], Micros] | None = None
    ns: int = 0
    last: Micros = 0
    history: History = field(factory=History)

    def at(self, clock: Micros) -> Micros:
        """The time of a verb that read `clock`: the server's may be set back, a verb's is not."""
        self.last = max(self.last, clock)
        return self.last

    async def connect(self) -> Connection:
        """A new connection, to the history that this handle knows.

        Raises IncompatibleJournal, psycopg.Error.
        """
        connection = await self.place.source.connect(self.place.pooled)
        try:
            await self.history.check(connection, self.place, self.ns)
        except BaseException:
            await connection.close()
            raise
        return connection

    def text(self, sql: str) -> tuple[bytes, bool]:
        """A statement as the server is told it, and whether its text is the same each time."""
        stated = query(sql, self.place.schema)
        if self.clock is None:
            return stated, not isinstance(sql, Composed)
        return timed(stated, self.clock()), False  # another text each time


_ENDS = frozenset({"COMMIT", "ROLLBACK"})

_Known = tuple[bytes, bool, Stated]
"""A statement as it is sent, whether the server keeps it, and its parameters."""

_Pipeline = tuple[contextlib.AbstractAsyncContextManager[psycopg.AsyncPipeline], psycopg.AsyncPipeline]
"""An open one, and how to leave it."""


@define(eq=False)
class Session:
    """A lane's connection, with what a verb needs of it.

    :ivar committing: what was sent may have been committed, whether or not an answer comes.
    :ivar partly: members of the verb under way have been committed already, by themselves.
    :ivar opened: connections made so far.
    :ivar spare: tasks that a claim reads beyond its room: others were faster with some lately.
    :ivar patience: milliseconds that a statement waits for another transaction; None: as is set otherwise.
    """

    space: Space
    committing: bool = False
    partly: bool = False
    opened: int = 0
    spare: int = 0
    patience: int | None = None
    _connection: Connection | None = field(default=None)
    _direct: Direct | None = field(default=None)
    _pipeline: _Pipeline | None = field(default=None)
    _known: dict[str, _Known] = field(factory=dict[str, _Known])

    @property
    def limits(self) -> Limits:
        return self.space.limits

    @property
    def alone(self) -> bool:
        """Whether a statement is a transaction of its own, which fails without harm to another."""
        return True

    @property
    def connected(self) -> bool:
        """Whether there is a connection, which nothing is known to be wrong with."""
        return self._connection is not None and not self._connection.closed

    async def ready(self) -> Connection:
        """The connection, a new one where there is none. Raises psycopg.Error."""
        if self._connection is not None and self._connection.closed:
            await self.drop()
        if self._connection is None:
            self._connection = await self.space.connect()
            self.opened += 1
            if self.patience is not None and not self.space.place.pooled:
                await self._connection.execute(b"SET lock_timeout = %d" % self.patience)
        return self._connection

    async def lend(self) -> Connection:
        """The same for whoever asks the driver. Raises psycopg.Error."""
        connection = await self.ready()
        self._rest()
        return connection

    def adopt(self, connection: Connection) -> None:
        self._connection = connection
        self.opened += 1

    async def drop(self) -> None:
        """Give the connection up; the server ends what it was in."""
        try:
            await self._leave()
        finally:  # also of who is cancelled once more
            self._rest()
            connection, self._connection = self._connection, None
            if connection is not None:
                with contextlib.suppress(psycopg.Error, OSError):
                    await connection.close()

    async def recover(self) -> None:
        """Leave no transaction behind after an error."""
        await self._leave()
        connection = self._connection
        if connection is None:
            return
        self._rest()
        try:
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                await connection.rollback()
        except (psycopg.Error, OSError):
            await self.drop()

    # --- asking

    async def ask(self, *asks: Ask) -> list[list[Row]]:
        """The rows of each statement; they are sent together, and the first that fails ends the others."""
        connection = await self.ready()
        if not asks:
            return []
        if len(asks) == 1 and self._pipeline is None:
            return [(await self._lone(connection, *asks[0])).rows]
        return [await self._rows(cursor) for cursor in await self._together(connection, asks)]

    async def _together(self, connection: Connection, asks: Sequence[Ask]) -> list[psycopg.AsyncCursor[Row]]:
        """Send in one piece, and wait for what came of it.

        A transaction that goes on keeps the pipeline: the driver leaves one with a Flush behind its Sync, and
        that stops the server's watch for sessions idle in a transaction. A process that stands still there
        would keep its locks for as long as it does.
        """
        begun = self._pipeline is not None
        if self._pipeline is None:
            self._rest()
            context = connection.pipeline()
            self._pipeline = context, await context.__aenter__()
        try:
            cursors = [await self._execute(connection, *ask) for ask in asks]
            if (begun or asks[0][0].startswith("BEGIN")) and asks[-1][0] not in _ENDS:
                await self._pipeline[1].sync()
            else:
                (leaving, _), self._pipeline = self._pipeline, None
                await leaving.__aexit__(None, None, None)
        except BaseException:
            await self._leave()
            raise
        return cursors

    async def _leave(self) -> None:
        """Give a pipeline up in which something failed."""
        left, self._pipeline = self._pipeline, None
        if left is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await left[0].__aexit__(None, None, None)

    async def write(self, *asks: Ask) -> list[list[Row]]:
        """Like `ask`, where the last statement commits, or each does by itself."""
        await self.ready()
        self.committing = True
        answers = await self.ask(*asks)
        self.committing = False
        return answers

    async def tell(self, sql: str, values: Sequence[object]) -> PGresult:
        """What a statement answers about one member, in plain values: it commits by itself."""
        connection = self._connection or await self.ready()
        text, prepare, said = self._known.get(sql) or self._learned(sql)
        numbered = [_NS(self.space.ns), *pack(said.packers, values)]
        self.committing = True
        answer = await self._straight(connection).send(text, said.types, numbered, prepare)
        self.committing = False
        return answer

    def _learned(self, sql: str) -> _Known:
        """What such a statement is sent as; remembered where that is the same each time."""
        known = (*self._text(sql), stated(sql))
        if self.space.clock is None:
            self._known[sql] = known
        return known

    async def notify(self, to: str, sender: str) -> None:
        """Send a hint, in a transaction of its own, and learn how far the server's log has come by then."""
        direct = self._straight(await self.ready())
        sql = NOTIFY if self.space.history.identity is None else NOTIFY_REACHED
        values = (to.encode(), sender.encode())
        answer = await direct.ask_packed(sql.encode(), (TEXT, TEXT), values, self.space.place.prepares)
        if sql is NOTIFY_REACHED:
            self.space.history.reach(answer.rows[0][1])

    async def look(self) -> None:
        """Learn how far the server's log has come, where hints go another way."""
        direct = self._straight(await self.ready())
        if self.space.history.identity is not None:
            answer = await direct.ask(LOOK_REACHED.encode(), (0,), prepare=False)
            self.space.history.reach(answer.rows[0][0])

    async def change(self, ask: Ask) -> int:
        """How many rows a statement changed that commits by itself."""
        connection = await self.ready()
        self.committing = True
        answer = await self._lone(connection, *ask)
        self.committing = False
        return answer.changed

    async def _lone(self, connection: Connection, sql: str, parameters: tuple[object, ...]) -> Answer:
        """A statement with nothing before or behind it."""
        if sql in _PLAIN or connection.pgconn.transaction_status != TransactionStatus.IDLE:
            cursor = await self._execute(connection, sql, parameters)
            return Answer(await self._rows(cursor), cursor.rowcount)
        text, prepare = self._text(sql)
        if isinstance(parameters, Packed):
            numbered = (_NS(self.space.ns), *parameters)
            return await self._straight(connection).ask_packed(text, stated(sql).types, numbered, prepare)
        return await self._straight(connection).ask(text, (self.space.ns, *parameters), prepare)

    def _text(self, sql: str) -> tuple[bytes, bool]:
        """A statement that is a transaction by itself, and whether the server keeps it."""
        text, same = self.space.text(sql)
        if self.patience is not None and self.space.place.pooled:  # in a transaction BEGIN sets it
            text = patient(text, self.patience)
        return text, same and self.space.place.prepares

    def _rest(self) -> None:
        """Before the driver itself uses the connection."""
        if self._direct is not None:
            self._direct.rest()

    def _straight(self, connection: Connection) -> Direct:
        if self._direct is None or self._direct.connection is not connection:
            self._direct = Direct(connection)
        return self._direct

    async def _execute(
        self, connection: Connection, sql: str, parameters: tuple[object, ...]
    ) -> psycopg.AsyncCursor[Row]:
        self._rest()
        if sql in _PLAIN:
            begun = await connection.execute(sql.encode())
            if sql == "BEGIN" and self.patience is not None and self.space.place.pooled:
                await connection.execute(b"SET LOCAL lock_timeout = %d" % self.patience)
            return begun
        text, same = self.space.text(sql)
        prepare = same and not self.space.place.pooled  # the driver's names are the same in all clients
        return await connection.execute(text, (self.space.ns, *parameters), prepare=prepare, binary=True)

    async def _rows(self, cursor: psycopg.AsyncCursor[Row]) -> list[Row]:
        return [] if cursor.description is None else await cursor.fetchall()
