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

import psycopg
from msgspec import Struct
from psycopg import adapt, errors, generators
from psycopg.abc import Buffer
from psycopg.adapt import PyFormat
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

from continuum_postgres.source import Connection, Row

__all__ = ["Answer", "Direct"]

_GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_PATIENCE = 5.0  # seconds, for telling the server that nobody waits for an answer any more


class Answer(Struct, frozen=True, gc=False):
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
        self._came: list[PGresult] = []  # of the answer under way, as far as it is there
        self._whole: asyncio.Future[None] | None = None  # set once it is; None while nobody waits

    async def ask(self, text: bytes, parameters: tuple[object, ...], prepare: bool) -> Answer:
        """Carry the statement out, and return what came of it; the driver packs its parameters.

        The connection is not in a transaction. Raises psycopg.Error, OSError.

        :param prepare: whether the server keeps the statement for the next time.
        """
        values = self._transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
        types, formats = self._transformer.types or (), self._transformer.formats or ()
        return self._read(await self.send(text, types, values, prepare, formats))

    async def ask_packed(
        self, text: bytes, types: tuple[int, ...], values: Sequence[Buffer | None], prepare: bool
    ) -> Answer:
        """The same where the parameters are packed already, in the binary formats of their types."""
        return self._read(await self.send(text, types, values, prepare))

    async def send(
        self,
        text: bytes,
        types: tuple[int, ...],
        values: Sequence[Buffer | None],
        prepare: bool,
        formats: Sequence[Format] | None = None,
    ) -> PGresult:
        """The same, and the answer is left as it came, in binary formats.

        :param formats: of each value, where they are not binary.
        """
        pgconn = self.connection.pgconn
        if formats is None:
            formats = [Format.BINARY] * len(values)
        try:
            if not prepare:
                pgconn.send_query_params(text, values, types, formats, Format.BINARY)
                return await self._result()
            name = self._names.get((text, types)) or await self._prepare(text, types)
            pgconn.send_query_prepared(name, values, formats, Format.BINARY)
            try:
                return await self._result()
            except errors.InvalidSqlStatementName:
                self._names.clear()
                name = await self._prepare(text, types)
                pgconn.send_query_prepared(name, values, formats, Format.BINARY)
                return await self._result()
        except BaseException:
            self.rest()  # at once: libpq closes the socket of a connection that it finds broken
            raise

    def rest(self) -> None:
        """Listen to the socket no more: the driver is going to, or it is about to be closed."""
        if self._listening is not None:
            loop, socket = self._listening
            self._listening = None
            loop.remove_reader(socket)

    async def _prepare(self, text: bytes, types: tuple[int, ...]) -> bytes:
        """Have the server keep the statement, under the name that is answered."""
        name = f"continuum_{sha256(repr((text, types)).encode()).hexdigest()[:24]}".encode()
        self.connection.pgconn.send_prepare(name, text, types)
        await self._result()
        self._names[text, types] = name
        return name

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
        came = self._came = []
        try:
            if pgconn.flush():  # more than the socket takes at once
                self.rest()
                came = await self.connection.wait(generators.execute(pgconn))
            elif not self._take(pgconn):  # libpq reads where it cannot send: what it has, no socket will tell
                loop = asyncio.get_running_loop()
                if self._listening is None:
                    self._listening = loop, pgconn.socket
                    loop.add_reader(pgconn.socket, self._come)
                self._whole = loop.create_future()
                await self._whole
        except (psycopg.Error, OSError):
            raise
        except BaseException:
            await self._abandon()
            raise
        finally:
            self._whole = None
        [result] = came
        if result.status not in _GOOD:
            raise errors.error_from_result(result, self.connection.info.encoding)
        return result

    def _come(self) -> None:
        """There is something on the socket."""
        whole = self._whole
        if whole is None:
            self.rest()  # nobody waits for it, and it would be told again and again
        elif not whole.done():  # whoever waits may have been told, or cancelled, and not have gone on yet
            pgconn = self.connection.pgconn
            try:
                pgconn.consume_input()
                if self._take(pgconn):
                    whole.set_result(None)
            except psycopg.Error as error:
                if self._came:  # why the server hung up: it says so before it does
                    whole.set_result(None)
                else:
                    whole.set_exception(error)

    def _take(self, pgconn: PGconn) -> bool:
        """Take what libpq has read; True once the answer is whole. Raises psycopg.Error."""
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                return True
            self._came.append(result)
        return False

    async def _abandon(self) -> None:
        """End what the server is doing for nobody, so that it keeps no locks, and the connection."""
        self.rest()
        try:
            with contextlib.suppress(psycopg.Error, OSError):
                await self.connection.cancel_safe(timeout=_PATIENCE)
        finally:
            await self.connection.close()
