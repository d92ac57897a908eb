"""A statement sent without the driver's cursor answers, fails and is interrupted as one of the driver's."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg
import pytest
from psycopg import errors

from continuum_postgres.direct import Direct
from continuum_postgres.source import Connection, connect
from tests.postgres.handles import soon

_SLEEP = b"SELECT pg_sleep(60) /* direct */"
_ASLEEP = """
SELECT count(*) FROM pg_stat_activity
WHERE query LIKE '%/* direct */' AND state = 'active' AND datname = current_database()
  AND pid <> pg_backend_pid()
"""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Direct]:
    async with await connect(url) as connection:
        direct = Direct(connection)
        try:
            yield direct
        finally:
            direct.rest()


class Eager:
    """A connection whose libpq, while it sends, reads the answer: the socket has nothing more to tell."""

    def __init__(self, connection: Connection) -> None:
        self.pgconn = self
        self.info = connection.info
        self._real = connection.pgconn

    def flush(self) -> int:
        self._real.flush()
        while self._real.is_busy():
            self._real.consume_input()
        return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


async def _seen(watcher: psycopg.AsyncConnection[Any], asleep: int) -> None:
    """Return when so many sessions sleep."""
    while (await (await watcher.execute(_ASLEEP)).fetchone()) != (asleep,):
        await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def _prepared(direct: Direct) -> int:
    direct.rest()
    cursor = await direct.connection.execute(b"SELECT count(*) FROM pg_prepared_statements")
    [row] = await cursor.fetchall()
    count: int = row[0]
    return count


async def test_rows_and_changes_are_counted(postgres_url: str) -> None:
    async with opened(postgres_url) as direct:
        made = await direct.ask(b"CREATE TEMPORARY TABLE t (a integer, b text)", (), False)
        assert (made.rows, made.changed) == ([], 0)
        text = b"INSERT INTO t SELECT unnest($1::integer[]), $2::text"
        assert (await direct.ask(text, ([1, 2, 3], "x"), True)).changed == 3
        told = await direct.ask(b"SELECT a, b FROM t WHERE a > $1::bigint ORDER BY a", (1,), True)
        assert (told.rows, told.changed) == ([(2, "x"), (3, "x")], 2)


async def test_it_is_prepared_once_for_the_types_that_are_sent(postgres_url: str) -> None:
    async with opened(postgres_url) as direct:
        for value in (1, 2, 70_000):  # the driver sends the last one as a wider type
            assert (await direct.ask(b"SELECT $1::bigint", (value,), True)).rows == [(value,)]
        assert await _prepared(direct) == 2
        assert (await direct.ask(b"SELECT $1::integer", (1,), False)).rows == [(1,)]
        assert await _prepared(direct) == 2


async def test_what_the_server_forgot_is_prepared_anew(postgres_url: str) -> None:
    """So the driver has it do where a transaction with a prepared statement is rolled back."""
    async with opened(postgres_url) as direct:
        first, second = b"SELECT $1::integer + 1", b"SELECT $1::integer + 2"
        assert [(await direct.ask(text, (1,), True)).rows for text in (first, second)] == [[(2,)], [(3,)]]
        direct.rest()
        await direct.connection.execute(b"DEALLOCATE ALL")
        assert [(await direct.ask(text, (1,), True)).rows for text in (first, second)] == [[(2,)], [(3,)]]
        assert await _prepared(direct) == 2


async def test_what_libpq_has_read_already_is_an_answer(postgres_url: str) -> None:
    async with opened(postgres_url) as direct:
        direct.connection = cast("Connection", Eager(direct.connection))
        assert (await direct.ask(b"SELECT 7", (), False)).rows == [(7,)]


@pytest.mark.parametrize("prepare", [True, False])
async def test_what_is_larger_than_the_socket_takes_arrives(postgres_url: str, prepare: bool) -> None:
    async with opened(postgres_url) as direct:
        data = bytes(range(256)) * 200_000
        told = await soon(direct.ask(b"SELECT $1::bytea", (data,), prepare))
        assert told.rows[0][0] == data


@pytest.mark.parametrize("prepare", [True, False])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"SELECT 1 / $1::integer", errors.DivisionByZero),
        (b"SELECT $1::integer FROM nowhere", errors.UndefinedTable),
        (b"SELECT $1::integer, ''::integer", errors.InvalidTextRepresentation),
    ],
)
async def test_refusals_are_the_drivers_errors(
    postgres_url: str, text: bytes, error: type[psycopg.Error], prepare: bool
) -> None:
    async with opened(postgres_url) as direct:
        for _ in range(2):
            with pytest.raises(error) as refused:
                await direct.ask(text, (0,), prepare)
            assert refused.value.sqlstate == error.sqlstate
            assert refused.value.diag.message_primary
        assert (await direct.ask(b"SELECT $1::integer", (1,), prepare)).rows == [(1,)]


async def test_who_is_interrupted_ends_the_statement_and_the_connection(postgres_url: str) -> None:
    async with opened(postgres_url) as direct, watching(postgres_url) as other:
        asking = asyncio.create_task(direct.ask(_SLEEP, (), True))
        await soon(_seen(other, 1))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(asking)
        assert direct.connection.closed
        await soon(_seen(other, 0))


async def test_a_session_that_is_ended_meanwhile_is_lost(postgres_url: str) -> None:
    async with opened(postgres_url) as direct, watching(postgres_url) as other:
        asking = asyncio.create_task(direct.ask(_SLEEP, (), True))
        await soon(_seen(other, 1))
        await other.execute("SELECT pg_terminate_backend(%s)", (direct.connection.info.backend_pid,))
        with pytest.raises(errors.AdminShutdown):  # as the server says before it hangs up
            await soon(asking)
        assert direct.connection.closed
        with pytest.raises(psycopg.OperationalError):
            await direct.ask(b"SELECT 1", (), True)


async def test_the_driver_and_we_use_a_connection_in_turns(postgres_url: str) -> None:
    async with opened(postgres_url) as direct:
        for number in range(3):
            assert (await direct.ask(b"SELECT $1::integer", (number,), True)).rows == [(number,)]
            direct.rest()
            cursor = await direct.connection.execute(b"SELECT 7")
            assert await cursor.fetchall() == [(7,)]


async def test_a_statement_has_the_same_name_on_every_connection(postgres_url: str) -> None:
    """Whatever was prepared before it: a proxy that mixes clients up gives nobody another one's statement."""
    asked = b"SELECT name FROM pg_prepared_statements WHERE statement = 'SELECT 2'"
    names: list[object] = []
    for before in ((), (b"SELECT 1",)):
        async with opened(postgres_url) as direct:
            for text in (*before, b"SELECT 2"):
                await direct.ask(text, (), True)
            direct.rest()
            names += await (await direct.connection.execute(asked)).fetchall()
    assert len(names) == 2
    assert names[0] == names[1]


async def test_a_session_that_is_ended_while_nobody_asks_is_listened_to_no_more(postgres_url: str) -> None:
    """A socket at its end is readable for ever, and its number will be another connection's."""
    async with opened(postgres_url) as direct, watching(postgres_url) as other:
        await direct.ask(b"SELECT 1", (), True)
        socket, loop = direct.connection.pgconn.socket, asyncio.get_running_loop()
        await other.execute("SELECT pg_terminate_backend(%s)", (direct.connection.info.backend_pid,))
        await soon(_readable(socket))
        for _ in range(2):  # the loop looks once more
            await asyncio.sleep(0)
        assert not loop.remove_reader(socket)
        with pytest.raises(psycopg.OperationalError):
            await direct.ask(b"SELECT 1", (), True)
        assert not loop.remove_reader(socket)


async def _readable(socket: int) -> None:
    while not select.select([socket], [], [], 0)[0]:
        await asyncio.sleep(0.01)
