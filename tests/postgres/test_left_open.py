"""Whoever is cancelled while a handle is opened, used or closed leaves no connection open, wherever it was.

Each operation is carried out again and again, and cancelled at its first, second … last pause. What is left
to the collector would be a warning in somebody else's test, and a session of the server's until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from continuum_core import Client
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_postgres import schema_of
from tests.cut import MOST, Cut
from tests.postgres.machines import Steps

Operation = Callable[[str, list[object]], Awaitable[None]]
"""Done on a URL; what it makes it puts into the list, so that no collector tidies up."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every connection of the driver's, from here on."""
    found: list[Any] = []
    for kind in (psycopg.AsyncConnection, psycopg.Connection):
        init = kind.__init__

        def recorded(self: Any, *args: Any, _init: Any = init, **named: Any) -> None:
            _init(self, *args, **named)
            found.append(self)

        monkeypatch.setattr(kind, "__init__", recorded)
    yield found
    for connection in left(found):
        connection.pgconn.finish()


def left(made: list[Any]) -> list[Any]:
    """Those that are open. One whose session another object took over has none of its own."""
    return [connection for connection in made if hasattr(connection, "pgconn") and not connection.closed]


# --- operations


def _plain(url: str) -> str:
    return url.partition("?")[0]


def _alchemy(url: str) -> str:
    return _plain(url).replace("postgresql://", "postgresql+psycopg://")


async def handle(url: str, made: list[object]) -> None:
    journal = connect(url)
    made.append(journal)
    await journal.open()
    try:
        await journal.now()
    finally:
        await journal.close()


async def listener(url: str, made: list[object]) -> None:
    journal = connect(url)
    made.append(journal)
    await journal.open()
    try:
        await journal.wait(0.005)
    finally:
        await journal.close()


async def client(url: str, made: list[object]) -> None:
    calling = Client(url, [Steps])
    made.append(calling)
    async with calling:
        await calling.start(Steps, 1)


async def look(url: str, made: list[object]) -> None:
    await schema_of(url)


async def _opened(journal: Journal, made: list[object]) -> None:
    made.append(journal)
    await journal.open()
    await journal.close()


async def async_pool(url: str, made: list[object]) -> None:
    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("SET application_name = 'configured'")
        await connection.commit()

    pool = psycopg_pool.AsyncConnectionPool(
        _plain(url), min_size=0, max_size=1, open=False, configure=configure
    )
    await _opened(connect(pool), made)


async def plain_pool(url: str, made: list[object]) -> None:
    pool = psycopg_pool.ConnectionPool(_plain(url), min_size=0, max_size=1, open=False)
    await _opened(connect(pool), made)


async def async_engine(url: str, made: list[object]) -> None:
    await _opened(connect(create_async_engine(_alchemy(url))), made)


async def plain_engine(url: str, made: list[object]) -> None:
    await _opened(connect(sqlalchemy.create_engine(_alchemy(url))), made)


CASES = [
    *((operation, False) for operation in (handle, listener, client, look)),
    *((operation, False) for operation in (async_pool, plain_pool, async_engine, plain_engine)),
    *((operation, True) for operation in (handle, listener, client)),
]


@pytest.mark.parametrize(
    ("operation", "again"), CASES, ids=lambda value: getattr(value, "__name__", "twice" if value else "once")
)
def test_whoever_is_cancelled_leaves_no_connection_open(
    postgres_url: str, made: list[Any], operation: Any, again: bool
) -> None:
    asyncio.run(operation(postgres_url, []))  # the schema is there, and what is imported at first use
    for at in range(1, MOST):
        made.clear()
        kept: list[object] = []

        async def carried_out(at: int = at, kept: list[object] = kept) -> bool:
            cut = await Cut(operation(postgres_url, kept), at, again)
            if operation in (
                plain_pool,
                plain_engine,
            ):  # a thread goes on, and closes what it made
                await asyncio.get_running_loop().shutdown_default_executor()
            if not again:  # who is cancelled twice goes at once, and what closes goes on by itself
                assert left(made) == [], f"cancelled at pause {at}"
            return cut

        cut = asyncio.run(carried_out())
        assert left(made) == [], f"cancelled at pause {at}, after the loop"
        if not cut:
            assert made, "it has connected"
            return
    raise AssertionError(f"it has more than {MOST} pauses")
