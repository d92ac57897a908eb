"""Starts and deliveries in a transaction of the caller's, on the caller's own connection.

Rule: before anything is written it is made sure that this is a connection to the journal's own tables, that a
transaction is open which only its owner ends, and that our rows can be written in it: a statement that
fails would take the caller's work with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakSet

import psycopg
from attrs import define, field, frozen
from psycopg import errors as states
from psycopg.pq import PipelineStatus, TransactionStatus

from continuum_core.errors import JournalUnavailable, UsageError
from continuum_core.journal.checking import check_start
from continuum_core.journal.commit import Delivered, NewRun, Started
from continuum_core.journal.records import Delivery, Run
from continuum_core.journal.undisturbed import undisturbed
from continuum_postgres import reading
from continuum_postgres.alchemy import driver_of, is_alchemy, is_awaited
from continuum_postgres.callers import Callers
from continuum_postgres.deliveries import deliver
from continuum_postgres.errors import UNFIT, port_error, retryable
from continuum_postgres.joined import Joined, Psycopg, drive, is_psycopg, run, tried
from continuum_postgres.session import Session, Space
from continuum_postgres.starts import start

__all__ = ["Doors", "PostgresWithin"]

Answer = TypeVar("Answer")
Member = TypeVar("Member")

# Which tables a connection sees: this server since it was started, this database, this table. And whether
# they may be used.
_IDENTITY = b"""
SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, d.oid::bigint, c.oid::bigint,
  has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
    AND has_table_privilege(c.oid, 'UPDATE')
    AND has_table_privilege(c.oid, 'INSERT'),
  current_user::text, current_database()::text
FROM pg_catalog.pg_database d
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1::text
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'runs'
WHERE d.datname = current_database()
"""


@frozen
class _Identity:
    server: int
    database: int
    table: int | None
    usable: bool | None = field(eq=False)
    role: str = field(eq=False)
    name: str = field(eq=False)


@define(eq=False)
class Doors:
    """What a handle knows of the connections that its callers hand in.

    :param look: asks a statement on a connection of the journal's own.
    """

    space: Space
    callers: Callers
    look: Callable[[Callable[[Session], Awaitable[_Identity]]], Awaitable[_Identity]]
    _own: _Identity | None = None
    _known: WeakSet[Psycopg] = field(factory=WeakSet[Psycopg])

    async def within(self, handed: object, patience: float, apart: bool) -> PostgresWithin:
        """The verbs on a connection. Raises UsageError, JournalUnavailable."""
        if apart and (isinstance(handed, psycopg.AsyncConnection) or is_awaited(handed)):
            raise UsageError(
                "connection=: a connection for asyncio belongs to its own event loop; hand SyncClient a "
                "plain one, or use Client on that loop"
            )
        connection: Psycopg
        if is_psycopg(handed):
            connection = handed
        elif is_alchemy(handed):
            connection = await driver_of(handed)
        else:
            raise UsageError(_unknown(handed))
        await _synced(connection)
        _check_state(connection)
        within = PostgresWithin(self.space, connection, patience, self.callers)
        if connection not in self._known:
            try:
                await self._check_identity(within)
            except (psycopg.Error, OSError) as error:
                raise port_error(error, False) from error
            self._known.add(connection)
        return within

    async def _check_identity(self, within: PostgresWithin) -> None:
        schema = self.space.place.schema
        theirs = await within.identity(schema)
        if theirs != self._own:  # the server may have been started anew since

            async def identity(session: Session) -> _Identity:
                return await _identity(await session.lend(), schema)

            self._own = await self.look(identity)
        place = self.space.place.shown
        if theirs != self._own:
            raise UsageError(
                f"connection=: this is a connection to database {theirs.name!r}, where the journal's tables "
                f"are not; the journal is {place}. Connect to the same database of the same server"
            )
        if not theirs.usable:
            raise UsageError(
                f"connection=: the role {theirs.role!r} may not write the journal's tables; grant it USAGE "
                f"on schema {schema}, and SELECT, INSERT, UPDATE, DELETE on its tables"
            )


async def _identity(connection: Psycopg, schema: str) -> _Identity:
    [[row]] = await run(connection, (_IDENTITY, (schema,)))
    return _Identity(*row)


def _unknown(handed: object) -> str:
    kind = type(handed)
    return (
        f"connection=: {kind.__module__}.{kind.__qualname__} cannot be joined. Hand over a Connection or "
        "AsyncConnection of psycopg 3, or a Connection, Session, AsyncConnection or AsyncSession of "
        "SQLAlchemy whose engine has postgresql+psycopg://"
    )


async def _synced(connection: Psycopg) -> None:
    """Where the caller has a pipeline open, learn what became of what is in it. Raises psycopg.Error: his."""
    if connection.closed or connection.pgconn.pipeline_status == PipelineStatus.OFF:
        return
    if isinstance(connection, psycopg.AsyncConnection):
        async with connection.pipeline():  # leaving an inner one waits for all that was sent
            pass
    else:
        with connection.pipeline():
            pass


def _check_state(connection: Psycopg) -> None:
    """Raise UsageError where no transaction is open, or none will be, that its owner ends."""
    if connection.closed:
        raise UsageError("connection=: it is closed")
    status = TransactionStatus(connection.pgconn.transaction_status)
    if status is TransactionStatus.IDLE and connection.autocommit:
        raise UsageError(
            "connection=: it commits every statement by itself (autocommit), and no transaction is open; "
            "call within `with connection.transaction():`, or leave connection= out"
        )
    if status is TransactionStatus.INERROR:
        raise UsageError("connection=: its transaction has failed already; roll it back and begin again")
    if status is TransactionStatus.ACTIVE:
        raise UsageError("connection=: it is busy with another statement; await that one first")
    if connection.info.encoding != "utf-8":
        raise UsageError(
            f"connection=: its client_encoding is {connection.info.encoding}; the journal's text is UTF8"
        )


@define(eq=False)
class PostgresWithin:
    """See `continuum_core.journal.transactions.Within`."""

    _space: Space
    _connection: Psycopg
    _patience: float
    _callers: Callers

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        for new in runs:
            check_start(new)
        answers = await self._carry_out(start, runs)
        self._callers.wrote(self._connection)
        return answers

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        answers = await self._carry_out(deliver, deliveries)
        self._callers.wrote(self._connection)
        return answers

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        return await self._carry_out(reading.load, runs)

    async def identity(self, schema: str) -> _Identity:
        """Which tables the connection sees. Raises psycopg.Error."""
        return await self._where_it_belongs(_identity(self._connection, schema))

    async def _carry_out(
        self,
        verb: Callable[[Session, Sequence[Member]], Awaitable[Sequence[Answer]]],
        members: Sequence[Member],
    ) -> list[Answer]:
        if not members:
            return []
        return list(await self._where_it_belongs(self._tried(verb, members)))

    async def _where_it_belongs(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Here, or on a thread: a plain connection that waits must not stop this loop."""
        if isinstance(self._connection, psycopg.Connection):
            return await undisturbed(asyncio.to_thread(drive, work))
        return await work

    async def _tried(
        self,
        verb: Callable[[Session, Sequence[Member]], Awaitable[Sequence[Answer]]],
        members: Sequence[Member],
    ) -> Sequence[Answer]:
        # A space of its own: this may be another thread, and what it hears is not committed.
        space = Space(
            self._space.place, self._space.namespace, self._space.limits, self._space.clock, self._space.ns
        )
        space.last = self._space.last
        session = Joined(space, to=self._connection, within=self._patience)
        try:
            return await tried(session, lambda: verb(session, members))
        except (psycopg.Error, OSError, *UNFIT) as error:
            if isinstance(error, states.ReadOnlySqlTransaction):
                read_only = "connection=: this transaction is read-only; begin one that may write"
                raise UsageError(read_only) from error
            raise (_outrun(error) if retryable(error) else port_error(error, False)) from error


def _outrun(error: BaseException) -> JournalUnavailable:
    """Trying again does not help: the transaction sees the journal as it was when it began."""
    if isinstance(error, (states.UniqueViolation, states.SerializationFailure)):
        return JournalUnavailable(
            "another transaction did the same since yours took its snapshot (it is REPEATABLE READ or "
            "SERIALIZABLE): roll back and try again"
        )
    told = port_error(error, False)
    assert isinstance(told, JournalUnavailable)
    return told
