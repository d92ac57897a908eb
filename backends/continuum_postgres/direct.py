"""A statement that is a transaction by itself, sent straight through libpq, without the driver's cursor.

Rule: values are dumped and loaded by the driver's own transformer, and its errors are raised; only the road
in between is ours. A cursor is made for whatever may come: it parses, keeps results to scroll in, and its
wait looks up ten times a second for what may have interrupted it. A statement that is prepared and answered
as a whole needs none of that, and a run alone waits for two of them, one after the other.

A connection belongs to one lane, so nobody else uses it while a statement is on its way. Who is interrupted
there closes it: what the answer would have been, nobody knows. The loop goes on listening to the socket when
an answer has come, for the next one will come there too; whoever lets the driver use the connection says
`rest` first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import psycopg
from psycopg import adapt, errors, generators
from psycopg.abc import Buffer
from psycopg.adapt import PyFormat
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from continuum_postgres.source import Connection, Row

__all__ = ["Answer", "Direct"]

_GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_PATIENCE = 5.0  # seconds, for telling the server that nobody waits for an answer any more


class Answer(NamedTuple):
    """What came of a statement.

    :ivar rows: empty where it returns none.
    :ivar changed: how many rows it changed or returned.
    """

    rows: list[Row]
    changed: int


class Direct:
    """The statements that one connection has prepared here, and what packs and reads their values.

    The driver makes the server forget all statements where a transaction was rolled back, these as well. Then
    nothing has been done yet, and the statement is prepared anew. Its name is made of its text: where a proxy
    mixes its clients up, what one finds prepared under a name is what it would prepare itself.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._transformer = adapt.Transformer(connection)
        self._names: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._listening: tuple[asyncio.AbstractEventLoop, int] | None = None  # which loop, to which socket
        self._reading: _Reading | None = None

    async def ask(self, text: bytes, parameters: tuple[object, ...], prepare: bool) -> Answer:
        """Carry the statement out, and return what came of it; the driver packs its parameters.

        The connection is not in a transaction. Raises psycopg.Error, OSError.

        :param prepare: whether the server keeps the statement for the next time.
        """
        values = self._transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        types, formats = self._transformer.types or (), self._transformer.formats or ()
        return await self._ask(text, types, values, formats, prepare)

    async def send(
        self, text: bytes, types: tuple[int, ...], values: Sequence[Buffer | None], prepare: bool
    ) -> Answer:
        """The same where the parameters are packed already, in the binary formats of their types."""
        return await self._ask(text, types, values, [Format.BINARY] * len(values), prepare)

    def rest(self) -> None:
        """Listen to the socket no more: the driver is going to, or it is about to be closed."""
        if self._listening is not None:
            loop, socket = self._listening
            self._listening = None
            loop.remove_reader(socket)

    async def _ask(
        self,
        text: bytes,
        types: tuple[int, ...],
        values: Sequence[Buffer | None],
        formats: Sequence[Format],
        prepare: bool,
    ) -> Answer:
        try:
            if not prepare:
                self.connection.pgconn.send_query_params(text, values, types, formats, Format.BINARY)
                return self._read(await self._result())
            name = self._names.get((text, types)) or await self._prepare(text, types)
            try:
                return await self._execute(name, values, formats)
            except errors.InvalidSqlStatementName:
                self._names.clear()
                return await self._execute(await self._prepare(text, types), values, formats)
        except BaseException:
            self.rest()  # at once: libpq closes the socket of a connection that it finds broken
            raise

    async def _prepare(self, text: bytes, types: tuple[int, ...]) -> bytes:
        """Have the server keep the statement, under the name that is answered."""
        name = f"continuum_{sha256(repr((text, types)).encode()).hexdigest()[:24]}".encode()
        self.connection.pgconn.send_prepare(name, text, types)
        await self._result()
        self._names[text, types] = name
        return name

    async def _execute(
        self, name: bytes, values: Sequence[Buffer | None], formats: Sequence[Format]
    ) -> Answer:
        self.connection.pgconn.send_query_prepared(name, values, formats, Format.BINARY)
        return self._read(await self._result())

    def _read(self, result: PGresult) -> Answer:
        transformer = self._transformer
        transformer.set_pgresult(result)
        try:
            rows: list[Row] = transformer.load_rows(0, result.ntuples, tuple)
        finally:
            transformer.set_pgresult(None)  # it may be large
        return Answer(rows, result.command_tuples or 0)

    async def _result(self) -> PGresult:
        """What the server answers to what was sent last. Raises what it refuses with."""
        pgconn = self.connection.pgconn
        try:
            if pgconn.flush():  # more than the socket takes at once
                self.rest()
                came: list[PGresult] = await self.connection.wait(generators.execute(pgconn))
            else:
                came = await self._results()
        except (psycopg.Error, OSError):
            raise
        except BaseException:
            await self._abandon()
            raise
        [result] = came
        if result.status not in _GOOD:
            raise errors.error_from_result(result, self.connection.info.encoding)
        return result

    async def _results(self) -> list[PGresult]:
        """What the server answers to what has been sent. Raises psycopg.Error."""
        loop = asyncio.get_running_loop()
        reading = _Reading(self.connection.pgconn, loop.create_future())
        reading.take()  # libpq reads where it cannot send: what it has already, the socket will not tell of
        if not reading.whole.done():
            if self._listening is None:
                self._listening = loop, self.connection.pgconn.socket
                loop.add_reader(self._listening[1], self._come)
            self._reading = reading
        try:
            return await reading.whole
        finally:
            self._reading = None

    def _come(self) -> None:
        """There is something on the socket."""
        if self._reading is None:
            self.rest()  # nobody waits for it, and it would be told again and again
        else:
            self._reading.come()

    async def _abandon(self) -> None:
        """End what the server is doing for nobody, so that it keeps no locks, and the connection."""
        self.rest()
        try:
            with contextlib.suppress(psycopg.Error, OSError):
                await self.connection.cancel_safe(timeout=_PATIENCE)
        finally:
            await self.connection.close()


class _Reading:
    """Takes an answer in as it comes. Whoever waits for it is woken once, when it is whole."""

    __slots__ = ("_pgconn", "_results", "whole")

    def __init__(self, pgconn: PGconn, whole: asyncio.Future[list[PGresult]]) -> None:
        self._pgconn = pgconn
        self._results: list[PGresult] = []
        self.whole = whole

    def come(self) -> None:
        """There is something on the socket."""
        if self.whole.done():
            return  # it is whole, or whoever waited was cancelled; he has not gone on yet
        try:
            self._pgconn.consume_input()
            self.take()
        except psycopg.Error as error:
            if self._results:  # why the server hung up: it says so before it does
                self.whole.set_result(self._results)
            else:
                self.whole.set_exception(error)

    def take(self) -> None:
        """Take what libpq has read. Raises psycopg.Error."""
        while not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is None:
                self.whole.set_result(self._results)
                return
            self._results.append(result)
