"""A verb in a transaction that somebody else began: on a caller's connection, or on one that a body has.

Rule: nothing lasting is done to the connection. Statements go through a cursor of our own, with our own
adapters, unprepared; settings that differ hold for the verb and are put back; and a savepoint stands for the
verb's own BEGIN and COMMIT, so that a refusal undoes what the verb did, releases its locks, and leaves the
transaction usable: what met another transaction is tried again under it. These are no statements of the
journal's: they talk to one server about one session.

A plain connection blocks: then nothing here truly awaits, and `drive` runs a verb to its end on a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeGuard, TypeVar

import psycopg
from attrs import define, field
from psycopg.adapt import AdaptersMap
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from continuum_postgres import arrays
from continuum_postgres.errors import UNFIT, retryable
from continuum_postgres.session import Ask, Row, Session
from continuum_postgres.statements.deliveries import SEND, SEND_UNLOCKED

__all__ = ["Joined", "Psycopg", "command", "drive", "is_psycopg", "run", "tried"]

Answer = TypeVar("Answer")

Psycopg = psycopg.AsyncConnection[Any] | psycopg.Connection[Any]

_TRIES = 3  # of a verb that met another transaction

_SAVEPOINT = "SAVEPOINT continuum"
_RELEASE = "RELEASE SAVEPOINT continuum"
_UNDO = "ROLLBACK TO SAVEPOINT continuum"

# A wait for another open transaction is bounded, and the planner kept from scanning what it thinks is small.
_ENTER = """
WITH was AS MATERIALIZED (
  SELECT current_setting('lock_timeout') AS patience, current_setting('enable_seqscan') AS scans
)
SELECT patience, scans, set_config('lock_timeout', $1::text, true), set_config('enable_seqscan', 'off', true)
FROM was
"""
_LEAVE = "SELECT set_config('lock_timeout', $1::text, true), set_config('enable_seqscan', $2::text, true)"

_OWN = frozenset({_SAVEPOINT, _RELEASE, _UNDO, _ENTER, _LEAVE})
_ENDS = frozenset({"BEGIN", "COMMIT"})


class _Adapters:
    """The driver's own adapters with ours, whatever the caller has registered on the connection."""

    context: AdaptersMap

    def __init__(self) -> None:
        self.context = AdaptersMap(psycopg.adapters)
        self.connection = None

    @property
    def adapters(self) -> AdaptersMap:
        return self.context


_ours = _Adapters()
arrays.register(_ours)


class _AsyncCursor(psycopg.AsyncRawCursor[Row]):
    @property
    def adapters(self) -> AdaptersMap:
        return _ours.context


class _PlainCursor(psycopg.RawCursor[Row]):
    @property
    def adapters(self) -> AdaptersMap:
        return _ours.context


async def run(connection: Psycopg, *asks: tuple[bytes, Sequence[object]]) -> list[list[Row]]:
    """The rows of statements that are sent together. Raises psycopg.Error."""
    if isinstance(connection, psycopg.Connection):
        return _plainly(connection, asks)
    cursors = [_AsyncCursor(connection, row_factory=tuple_row) for _ in asks]
    async with contextlib.AsyncExitStack() as stack:
        if _piped(connection, asks):
            await stack.enter_async_context(connection.pipeline())
        for cursor, (text, parameters) in zip(cursors, asks, strict=True):
            await cursor.execute(text, parameters or None, prepare=False, binary=True)
    return [[] if cursor.description is None else await cursor.fetchall() for cursor in cursors]


def _piped(connection: Psycopg, asks: Sequence[object]) -> bool:
    """Whether to open a pipeline: also in one of the caller's, for leaving the inner one fetches."""
    return len(asks) > 1 or connection.pgconn.pipeline_status != PipelineStatus.OFF


def _plainly(
    connection: psycopg.Connection[Any], asks: Sequence[tuple[bytes, Sequence[object]]]
) -> list[list[Row]]:
    cursors = [_PlainCursor(connection, row_factory=tuple_row) for _ in asks]
    with contextlib.ExitStack() as stack:
        if _piped(connection, asks):
            stack.enter_context(connection.pipeline())
        for cursor, (text, parameters) in zip(cursors, asks, strict=True):
            cursor.execute(text, parameters or None, prepare=False, binary=True)
    return [[] if cursor.description is None else cursor.fetchall() for cursor in cursors]


async def command(connection: Psycopg, text: bytes) -> str:
    """What the server says that it did. Raises psycopg.Error."""
    if isinstance(connection, psycopg.Connection):
        return (
            _PlainCursor(connection, row_factory=tuple_row).execute(text, prepare=False).statusmessage or ""
        )
    cursor = _AsyncCursor(connection, row_factory=tuple_row)
    return (await cursor.execute(text, prepare=False)).statusmessage or ""


def is_psycopg(handed: object) -> TypeGuard[Psycopg]:
    """Whether this is a connection of the driver's."""
    return isinstance(handed, (psycopg.AsyncConnection, psycopg.Connection))


def drive(work: Coroutine[Any, Any, Answer]) -> Answer:
    """What a coroutine returns that awaits nothing but plain work."""
    try:
        work.send(None)
    except StopIteration as ended:
        answer: Answer = ended.value
        return answer
    work.close()
    raise RuntimeError("a verb on a plain connection waited for something else")


@define(eq=False, kw_only=True)
class Joined(Session):
    """The session of one verb on `to`.

    :ivar within: seconds that the verb waits for another transaction.
    """

    to: Psycopg
    within: float
    _was: tuple[object, ...] | None = field(default=None)
    _inside: bool = field(default=False)  # the savepoint was sent

    @property
    def alone(self) -> bool:
        return False  # what fails here fails for the caller's transaction

    async def ask(self, *asks: Ask) -> list[list[Row]]:
        """The rows of each statement; what begins and ends a transaction is the caller's to send."""
        entering: tuple[Ask, ...] = ()
        if self._was is None:
            entering = ((_SAVEPOINT, ()), (_ENTER, (f"{max(1, int(self.within * 1000))}ms",)))
        leaving: tuple[Ask, ...] = ()
        if self.committing and asks[-1][0] == "COMMIT" and self._was is not None:
            leaving = ((_LEAVE, self._was), (_RELEASE, ()))
        sent = [*entering, *(ask for ask in asks if ask[0] not in _ENDS), *leaving]
        stated = [self._stated(ask) for ask in sent]
        self._inside = True
        told = await run(self.to, *stated)
        if entering:
            self._was = tuple(told[1][0][:2])
        if leaving:
            self._was, self._inside = None, False
        rows = iter(told[len(entering) :])
        return [[] if sql in _ENDS else next(rows) for sql, _ in asks]

    async def write(self, *asks: Ask) -> list[list[Row]]:
        """Like `ask`; the last of a verb's statements take the savepoint with them."""
        self.committing = True
        try:
            return await self.ask(*asks)
        finally:
            self.committing = False

    def _stated(self, ask: Ask) -> tuple[bytes, Sequence[object]]:
        sql, parameters = ask
        if sql in _OWN:
            return sql.encode(), parameters
        text, _ = self.space.text(SEND_UNLOCKED if sql == SEND else sql)
        return text, (self.space.ns, *parameters)

    async def leave(self) -> None:
        """The verb has answered: put back what is not yet."""
        if self._was is not None:
            await run(self.to, self._stated((_LEAVE, self._was)), self._stated((_RELEASE, ())))
            self._was, self._inside = None, False

    async def recover(self) -> None:
        """The verb was refused: undo it, and nothing else of the caller's."""
        inside, self._was, self._inside = self._inside, None, False
        status = TransactionStatus(self.to.pgconn.transaction_status)
        if inside and status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with contextlib.suppress(psycopg.Error, OSError):
                await run(self.to, self._stated((_UNDO, ())), self._stated((_RELEASE, ())))

    async def drop(self) -> None:
        """Nothing: the connection is not ours to close."""


async def tried(session: Joined, verb: Callable[[], Awaitable[Answer]]) -> Answer:
    """What a verb on the session answers. Whatever it raises at last, what it did is undone.

    There is no pause between two tries: a plain connection's must not wait for anything but its server.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            answer = await verb()
            await session.leave()
        except (psycopg.Error, OSError, *UNFIT) as error:
            await session.recover()
            if attempt == _TRIES or not retryable(error):
                raise
        except BaseException:
            await session.recover()
            raise
        else:
            return answer
    raise AssertionError("the last try answers or raises")
