"""A transaction for the body of one attempt, in which its outcome is committed as well.

Rule: every attempt has a connection of its own, made for it and closed after it, so that nothing that one
body does to its session meets another one. The fence decides, as for every finish; the body's rows go the
way of its outcome. A mark that lives as long as the transaction tells whether the body has ended it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar, get_origin
from uuid import uuid4

import psycopg
from attrs import define, field
from psycopg import errors as states
from psycopg.pq import TransactionStatus

from continuum_core.errors import JournalUnavailable, UsageError
from continuum_core.journal.checking import check_finish
from continuum_core.journal.commit import Finished, FinishOutcome, TaskFinish
from continuum_core.journal.undisturbed import undisturbed
from continuum_postgres.alchemy import Facade, Facades, kinds
from continuum_postgres.errors import UNFIT, lost, port_error
from continuum_postgres.finishes import finish
from continuum_postgres.joined import Joined, Psycopg, command, drive, run, tried
from continuum_postgres.session import Space

__all__ = ["PostgresTransaction", "Transactions", "check_kind"]

Answer = TypeVar("Answer")

_AT_ONCE = 10
"""Transactions of bodies that a handle has at once: each is a connection."""

_LOCKED = 30.0
"""Seconds that a finish waits for a row of the journal's which somebody else has locked."""

_CANCELLING = 5.0
"""Seconds that the server may take to cancel what an abandoned body has asked of it."""

_HELD_OPEN = (states.IdleInTransactionSessionTimeout, states.TransactionTimeout)
"""How a server ends a session whose transaction the body kept open for longer than it allows."""

_MARK = b"SELECT set_config('continuum.attempt', $1::text, true)"
_MARKED = b"SELECT current_setting('continuum.attempt', true)::text"

_ENDED = (
    "its body has ended the transaction that it was given: commit and rollback are the engine's. What it had "
    "committed by itself stays; the outcome is not stored"
)
_CLOSED = (
    "its body has closed the connection that it was given: that is the engine's. What it had written is "
    "rolled back; the outcome is not stored"
)
_FAILED = (
    "a statement in its transaction failed, and the body went on and returned: nothing can be committed any "
    "more. Let the error pass, or run what may fail in a savepoint (`connection.transaction()`)"
)


@define(eq=False)
class Transactions:
    """Makes the transactions of a handle.

    :param committed: called with what was written, once it is.
    """

    space: Space
    committed: Callable[[TaskFinish, Finished], None]
    _places: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(_AT_ONCE))
    _facades: Facades = field(factory=Facades)

    @asynccontextmanager
    async def open(self, kind: Any) -> AsyncGenerator[PostgresTransaction, None]:
        """A transaction that has begun; leaving it ends it. Raises JournalUnavailable."""
        async with self._places:
            transaction = PostgresTransaction(self.space, self.committed)
            try:
                try:
                    await self._begin(transaction, kind)
                except Exception as error:
                    cause = getattr(error, "orig", error)  # SQLAlchemy wraps the driver's
                    if isinstance(cause, (psycopg.Error, OSError)):
                        raise _told(cause, False) from error
                    raise
                yield transaction
            finally:
                await undisturbed(transaction.end())

    async def _begin(self, transaction: PostgresTransaction, kind: Any) -> None:
        lent = await self.space.place.source.lend()
        transaction.driver = lent
        if lent.info.transaction_status is not TransactionStatus.IDLE:
            await lent.commit()  # what somebody's event at connect has set for the session
        if self.space.place.pooled:
            lent.prepare_threshold = None  # the next transaction may meet another server process
        await lent.set_autocommit(False)
        await lent.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)  # a finish locks, then reads
        _, blocking = _kinds()
        if kind in blocking:
            plain = transaction.driver = _plainly(lent)
            if kind is not psycopg.Connection:
                transaction.facade = await asyncio.to_thread(self._facades.plain, kind, plain)
        elif kind is not psycopg.AsyncConnection:
            transaction.facade = await self._facades.awaited(kind, lent)
        await transaction.begin()


def check_kind(kind: Any, plain: bool) -> None:
    """Raise UsageError unless a body may have a connection of this kind."""
    awaited, blocking = _kinds()
    wanted, others = (blocking, awaited) if plain else (awaited, blocking)
    if (get_origin(kind) or kind) in wanted:
        return
    whose = "a plain body" if plain else "an async body"
    shown = f"{getattr(kind, '__module__', '?')}.{getattr(kind, '__qualname__', kind)}"
    why = "which is for the other kind of body" if kind in others else "which this journal cannot give"
    can = "psycopg.Connection, or SQLAlchemy's Connection or Session"
    if not plain:
        can = "psycopg.AsyncConnection, or SQLAlchemy's AsyncConnection or AsyncSession"
    raise UsageError(f"it asks for {shown}, {why}; {whose} can have {can}")


def _kinds() -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Classes of connections for async bodies, and for plain ones."""
    found = kinds()
    awaited = [kind for name, kind in found.items() if name.startswith("Async")]
    blocking = [kind for name, kind in found.items() if not name.startswith("Async")]
    return (psycopg.AsyncConnection, *awaited), (psycopg.Connection, *blocking)


def _plainly(made: psycopg.AsyncConnection[Any]) -> psycopg.Connection[Any]:
    """The same session for plain code. What is left of the other connection has nothing to close."""
    plain: psycopg.Connection[Any] = psycopg.Connection(made.pgconn)
    plain.isolation_level = made.isolation_level
    del made.pgconn
    return plain


def _at_fault(error: BaseException) -> bool:
    """Whether a commit failed by what the body wrote: a constraint or a trigger that is checked at the end.

    A server in trouble, and one that takes no writes any more, say nothing against it.
    """
    trouble = isinstance(error, psycopg.OperationalError) or lost(error)
    return isinstance(error, psycopg.Error) and not trouble


def _told(error: BaseException, ambiguous: bool) -> JournalUnavailable:
    told = port_error(error, ambiguous)
    return told if isinstance(told, JournalUnavailable) else JournalUnavailable(str(told), ambiguous)


@define(eq=False)
class PostgresTransaction:
    """See `continuum_core.journal.transactions.Transaction`."""

    _space: Space
    _committed: Callable[[TaskFinish, Finished], None]
    driver: Psycopg | None = None
    facade: Facade | None = None
    _mark: str = field(factory=lambda: uuid4().hex)

    @property
    def connection(self) -> Any:
        return self._driver if self.facade is None else self.facade.given

    @property
    def _driver(self) -> Psycopg:
        assert self.driver is not None
        return self.driver

    async def _where_it_belongs(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        if isinstance(self.driver, psycopg.Connection):
            return await asyncio.to_thread(drive, work)
        return await work

    async def begin(self) -> None:
        """Begin, and mark it. Raises psycopg.Error."""
        await self._where_it_belongs(self._begun())

    async def _begun(self) -> None:
        # A block of the driver's, which forbids commit() and rollback() to the body. It is never left: the
        # commit below is our own, and tells what the server has made of it.
        driver = self._driver
        if isinstance(driver, psycopg.Connection):
            psycopg.Transaction(driver).__enter__()
        else:
            await psycopg.AsyncTransaction(driver).__aenter__()
        await run(driver, (_MARK, (self._mark,)))

    # --- the outcome

    async def finish(self, ending: TaskFinish) -> Finished:
        check_finish(ending)
        answer = await undisturbed(self._where_it_belongs(self._finish(ending)))
        if answer.outcome is FinishOutcome.FINISHED:
            self._committed(ending, answer)
        return answer

    async def _finish(self, ending: TaskFinish) -> Finished:
        await self._flush()
        committing = False
        try:
            await self._check()
            session = Joined(self._space, to=self._driver, within=_LOCKED)
            [answer] = await tried(session, lambda: finish(session, [ending]))
            if answer.outcome is not FinishOutcome.FINISHED:
                return answer
            committing = True
            tag = await command(self._driver, b"COMMIT")
        except (psycopg.Error, OSError, *UNFIT) as error:
            if isinstance(error, _HELD_OPEN) or (committing and _at_fault(error)):
                raise  # the body is at fault: run again, it would do the same
            raise port_error(error, committing and lost(error)) from error
        if tag != "COMMIT":
            raise UsageError(_FAILED)
        return answer

    async def _flush(self) -> None:
        """What a session has gathered is the body's as well. Raises what its flush raises."""
        facade = self.facade
        if facade is None or facade.given is facade.connection:
            return
        if isinstance(self.driver, psycopg.Connection):
            facade.given.flush()
        else:
            await facade.given.flush()

    async def _check(self) -> None:
        """Raise UsageError where this is not the transaction that the body was given, or it has failed."""
        if self._driver.closed:
            if not self._driver.broken:
                raise UsageError(_CLOSED)
            raise psycopg.OperationalError("the connection was lost")
        status = TransactionStatus(self._driver.pgconn.transaction_status)
        if status is TransactionStatus.INERROR:
            raise UsageError(_FAILED)
        if status is not TransactionStatus.INTRANS:
            raise UsageError(_ENDED)
        [[row]] = await run(self._driver, (_MARKED, ()))
        if row[0] != self._mark:
            raise UsageError(_ENDED)

    # --- the end

    async def end(self) -> None:
        """Roll back what was not committed, and give the connection back."""
        driver = self.driver
        if isinstance(driver, psycopg.Connection):
            await asyncio.to_thread(self._end_plainly, driver)
        elif driver is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                if _open(driver):
                    await command(driver, b"ROLLBACK")
            await driver.close()
            if self.facade is not None:
                await self.facade.connection.invalidate()
                await self.facade.connection.close()

    def _end_plainly(self, driver: psycopg.Connection[Any]) -> None:
        """A body that nobody waits for any more may still be using the connection, on its own thread."""
        with contextlib.suppress(psycopg.Error, OSError):
            if driver.lock.locked():
                _interrupt(driver)
            elif _open(driver):
                drive(command(driver, b"ROLLBACK"))
        with driver.lock:  # closing is no method of the driver's that waits for others
            driver.close()
        if self.facade is not None:
            self.facade.connection.invalidate()
            self.facade.connection.close()


def _interrupt(driver: psycopg.Connection[Any]) -> None:
    """Have another thread that uses the connection let go of it. Nothing here touches what it uses."""
    driver.cancel_safe(timeout=_CANCELLING)
    if driver.lock.acquire(timeout=_CANCELLING):
        driver.lock.release()
        return
    with socket.socket(fileno=os.dup(driver.fileno())) as twin:  # it waits, and not for a statement
        twin.shutdown(socket.SHUT_RDWR)


def _open(driver: Psycopg) -> bool:
    status = TransactionStatus(driver.pgconn.transaction_status)
    return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
