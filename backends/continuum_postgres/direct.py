"""A statement that is a transaction by itself, sent straight through libpq, without the driver's cursor.

Rule: values are dumped and loaded by the driver's own transformer, and its errors are raised; only the road
in between is ours. A cursor is made for whatever may come: it parses, keeps results to scroll in, and its
wait looks up ten times a second for what may have interrupted it. A statement that is prepared and answered
as a whole needs none of that, and a run alone waits for two of them, one after the other.

A connection belongs to one lane, so nobody else uses it while a statement is on its way. Who is interrupted
there closes it: what the answer would have been, nobody knows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import psycopg
from attrs import frozen
from psycopg import adapt, errors, generators
from psycopg.abc import Buffer
from psycopg.adapt import PyFormat
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from continuum_postgres.source import Connection, Row

__all__ = ["Answer", "Direct"]

_GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_PATIENCE = 5.0  # seconds, for telling the server that nobody waits for an answer any more


@frozen
class Answer:
    """What came of a statement.

    :ivar rows: empty where it returns none.
    :ivar changed: how many rows it changed or returned.
    """

    rows: list[Row]
    changed: int


@frozen
class _Asked:
    """A statement as it is sent: its parameters packed, with their types and formats."""

    text: bytes
    types: tuple[int, ...]
    values: Sequence[Buffer | None]
    formats: Sequence[Format]


class Direct:
    """The statements that one connection has prepared here, and what packs and reads their values.

    The driver makes the server forget all statements where a transaction was rolled back, these as well. Then
    nothing has been done yet, and the statement is prepared anew.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._transformer = adapt.Transformer(connection)
        self._names: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._prepared = 0

    async def ask(self, text: bytes, parameters: tuple[object, ...], prepare: bool) -> Answer:
        """Carry the statement out, and return what came of it; the driver packs its parameters.

        The connection is not in a transaction. Raises psycopg.Error, OSError.

        :param prepare: whether the server keeps the statement for the next time.
        """
        values = self._transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        types, formats = self._transformer.types or (), self._transformer.formats or ()
        return await self._ask(_Asked(text, types, values, formats), prepare)

    async def send(
        self, text: bytes, types: tuple[int, ...], values: Sequence[Buffer | None], prepare: bool
    ) -> Answer:
        """The same where the parameters are packed already, in the binary formats of their types."""
        return await self._ask(_Asked(text, types, values, [Format.BINARY] * len(values)), prepare)

    async def _ask(self, asked: _Asked, prepare: bool) -> Answer:
        if not prepare:
            self.connection.pgconn.send_query_params(
                asked.text, asked.values, asked.types, asked.formats, Format.BINARY
            )
            return self._read(await self._result())
        try:
            return await self._execute(asked)
        except errors.InvalidSqlStatementName:
            self._names.clear()
            return await self._execute(asked)

    async def _execute(self, asked: _Asked) -> Answer:
        """The prepared statement, prepared first where it is new."""
        pgconn, key = self.connection.pgconn, (asked.text, asked.types)
        name = self._names.get(key)
        if name is None:
            name = b"continuum_%d" % self._prepared
            self._prepared += 1
            pgconn.send_prepare(name, asked.text, asked.types)
            await self._result()
            self._names[key] = name
        pgconn.send_query_prepared(name, asked.values, asked.formats, Format.BINARY)
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
                results: list[PGresult] = await self.connection.wait(generators.execute(pgconn))
            else:
                results = await _results(pgconn)
        except (psycopg.Error, OSError):
            raise
        except BaseException:
            await self._abandon()
            raise
        [result] = results
        if result.status not in _GOOD:
            raise errors.error_from_result(result, self.connection.info.encoding)
        return result

    async def _abandon(self) -> None:
        """End what the server is doing for nobody, so that it keeps no locks, and the connection."""
        try:
            with contextlib.suppress(psycopg.Error, OSError):
                await self.connection.cancel_safe(timeout=_PATIENCE)
        finally:
            await self.connection.close()


async def _results(pgconn: PGconn) -> list[PGresult]:
    """What the server answers to what has been sent. Raises psycopg.Error where the connection is lost."""
    results: list[PGresult] = []
    while True:
        try:
            while pgconn.is_busy():
                await _readable(pgconn.socket)
                pgconn.consume_input()
        except psycopg.Error:
            if results:  # why the server hung up: it says so before it does
                return results
            raise
        result = pgconn.get_result()
        if result is None:
            return results
        results.append(result)


async def _readable(socket: int) -> None:
    """Return when something has come."""
    loop = asyncio.get_running_loop()
    come = loop.create_future()
    loop.add_reader(socket, _come, come)
    try:
        await come
    finally:
        loop.remove_reader(socket)


def _come(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
