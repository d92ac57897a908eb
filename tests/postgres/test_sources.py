"""A pool or an engine in the place of a URL: its settings count, and its connections are left alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import psycopg
import psycopg_pool
import pytest
import sqlalchemy
import sqlalchemy.event
import sqlalchemy.pool
from sqlalchemy.ext.asyncio import create_async_engine

import continuum_postgres
from continuum_core import Client, SyncClient, Worker
from continuum_core.errors import IncompatibleJournal, JournalUnavailable, UsageError
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal, Limits
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.place import parse
from continuum_postgres.source import Connection
from tests.postgres.handles import opened, raw, soon
from tests.postgres.machines import Steps
from tests.postgres.roles import as_role, role


def _sqlalchemy(url: str) -> str:
    return url.partition("?")[0].replace("postgresql://", "postgresql+psycopg://")


async def _sessions(url: str, name: str) -> int:
    """How many of this database's sessions go by an application's name."""
    async with raw(url) as looking:
        asked = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = %s"
        )
        row = await (await looking.execute(asked, (name,))).fetchone()
        assert row is not None
        return int(row[0])


def _made(target: object, url: str) -> Journal:
    made = continuum_postgres.adopt(target, "test", Limits(), schema=parse(url).schema)
    assert made is not None
    return made


async def _works(journal: Journal) -> None:
    async with Worker(journal, [Steps], poll=0.5) as worker:
        handles = [await worker.client.start(Steps, n) for n in range(4)]
        assert [await soon(handle.result(20)) for handle in handles] == [3, 4, 5, 6]


async def _manners(journal: Journal) -> dict[str, str]:
    """What a lane's session has set."""
    await journal.open()
    assert isinstance(journal, PostgresJournal)
    store = journal._store
    assert store is not None
    try:
        connection: Connection = await store.claiming.session.ready()
        rows = await (await connection.execute("SELECT name, setting FROM pg_settings")).fetchall()
        assert connection.autocommit
        return dict(rows)
    finally:
        await journal.close()


# --- pools


async def test_an_async_pool(empty_url: str) -> None:
    """Of two connections, both taken: the worker needs more, and takes none of them."""
    kwargs = {"application_name": "of-the-pool", "options": "-c lock_timeout=7s"}
    url = empty_url.partition("?")[0]
    async with psycopg_pool.AsyncConnectionPool(url, min_size=2, max_size=2, kwargs=kwargs) as pool:
        async with pool.connection(), pool.connection():
            await _works(_made(pool, empty_url))
            told = await _manners(_made(pool, empty_url))
        assert told["application_name"] == "of-the-pool"
        assert told["lock_timeout"] == "7000"  # the pool's own word stands
        assert told["enable_seqscan"] == "off"
        assert told["idle_in_transaction_session_timeout"] == "10000"


async def test_a_plain_pool(empty_url: str) -> None:
    """Its connections are plain ones; ours are made as it makes them, and then used asynchronously."""
    configured: list[object] = []

    def configure(connection: psycopg.Connection[Any]) -> None:
        connection.execute("SET application_name = 'configured'")
        connection.commit()
        configured.append(connection)

    url = empty_url.partition("?")[0]
    with psycopg_pool.ConnectionPool(url, min_size=0, max_size=1, open=False, configure=configure) as pool:
        await _works(_made(pool, empty_url))
        assert configured
        assert (await _manners(_made(pool, empty_url)))["application_name"] == "configured"
        assert pool.get_stats().get("connections_num", 0) == 0


async def test_passwords_that_rotate_are_asked_for_each_time(postgres_url: str, namespace: str) -> None:
    asked: list[int] = []

    async def arguments() -> dict[str, str]:
        asked.append(1)
        return {"application_name": f"try-{len(asked)}"}

    pool = psycopg_pool.AsyncConnectionPool(postgres_url, open=False, kwargs=arguments)
    journal = connect(pool, namespace)
    await journal.open()
    try:
        async with raw(postgres_url) as other:
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'try-%'"
            )
        await journal.now()
        assert len(asked) == 2
    finally:
        await journal.close()


async def test_a_token_that_cannot_be_fetched_is_a_journal_that_is_away(
    postgres_url: str, namespace: str
) -> None:
    async def arguments() -> dict[str, str]:
        raise LookupError("no token today")

    pool = psycopg_pool.AsyncConnectionPool(postgres_url, open=False, kwargs=arguments)
    with pytest.raises(JournalUnavailable, match="no token today"):
        await connect(pool, namespace).open()


# --- engines


async def test_an_engine_for_asyncio(empty_url: str) -> None:
    engine = create_async_engine(
        _sqlalchemy(empty_url),
        pool_size=1,
        max_overflow=0,
        connect_args={"application_name": "of-the-engine"},
    )
    try:
        async with engine.connect():  # its only one
            await _works(_made(engine, empty_url))
            told = await _manners(_made(engine, empty_url))
        assert (told["application_name"], told["enable_seqscan"]) == ("of-the-engine", "off")
    finally:
        await engine.dispose()
    assert await _sessions(empty_url, "of-the-engine") == 0


async def test_a_plain_engine_with_its_events(empty_url: str) -> None:
    """`do_connect` brings the password, `connect` sets the role: both are heard for every connection."""
    with role(empty_url, "PASSWORD 'secret'") as name:
        engine = sqlalchemy.create_engine(_sqlalchemy(as_role(empty_url, name)), pool_size=1, max_overflow=0)
        heard: list[str] = []

        @sqlalchemy.event.listens_for(engine, "do_connect")
        def bring_password(dialect: Any, record: Any, cargs: Any, cparams: dict[str, Any]) -> None:
            cparams["password"] = "secret"
            cparams["application_name"] = "token"
            heard.append("do_connect")

        @sqlalchemy.event.listens_for(engine, "connect")
        def set_limit(connection: Any, record: Any) -> None:
            connection.execute("SET statement_timeout = '17s'")
            heard.append("connect")

        with psycopg.connect(empty_url.partition("?")[0], autocommit=True) as owner:
            owner.execute(f"GRANT CREATE ON DATABASE {owner.info.dbname} TO {name}".encode())
        try:
            with engine.connect():
                await _works(_made(engine, empty_url))
                told = await _manners(_made(engine, empty_url))
            assert (told["application_name"], told["statement_timeout"]) == ("token", "17000")
            assert heard.count("do_connect") == heard.count("connect") > 5
        finally:
            engine.dispose()
        assert await _sessions(empty_url, "token") == 0


async def test_clients_take_an_engine_as_well(postgres_url: str, namespace: str) -> None:
    engine = create_async_engine(_sqlalchemy(postgres_url))
    async with Client(engine, [Steps], namespace=namespace) as client:
        handle = await client.start(Steps, 1)
        assert (await client.view(handle.id)).version == 1
    await engine.dispose()


def test_a_plain_client_takes_an_engine_as_well(postgres_url: str, namespace: str) -> None:
    engine = sqlalchemy.create_engine(_sqlalchemy(postgres_url))
    with SyncClient(engine, [Steps], namespace=namespace) as client:
        assert client.view(client.start(Steps, 1).id).version == 1
    engine.dispose()


async def test_an_engine_whose_password_is_wrong(postgres_url: str, namespace: str) -> None:
    engine = sqlalchemy.create_engine(_sqlalchemy(postgres_url).replace("postgres@", "nobody@"))
    with pytest.raises(IncompatibleJournal, match="no such role"):
        await connect(engine, namespace).open()
    engine.dispose()


# --- others


def test_nothing_is_imported_for_those_who_use_neither() -> None:
    program = (
        "import sys\nfrom continuum_core.errors import UsageError\n"
        "from continuum_core.journal.connect import connect\nconnect('postgresql://h/x')\n"
        "try:\n    connect(object())\nexcept UsageError:\n    pass\n"
        "print(sorted({'sqlalchemy', 'psycopg_pool'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(("name", "driver"), [("postgresql", "psycopg2"), ("postgresql", "asyncpg")])
def test_an_engine_on_another_driver_is_refused(name: str, driver: str) -> None:
    """An engine by its class's name and module, as an installed SQLAlchemy with that driver has it."""
    kind = type("Engine", (), {"__module__": "sqlalchemy.engine.base"})
    engine = kind()
    engine.dialect = SimpleNamespace(name=name, driver=driver)
    with pytest.raises(UsageError, match=rf"on postgresql\+{driver}; .*postgresql\+psycopg"):
        connect(engine)


def test_an_engine_of_another_database_is_refused() -> None:
    with pytest.raises(UsageError, match="on sqlite"):
        connect(sqlalchemy.create_engine("sqlite://"))


@pytest.mark.parametrize("target", [object(), 7, None, {"url": "x"}])
def test_unknown_objects_are_told_what_is_taken(target: object) -> None:
    with pytest.raises(UsageError, match=r"sqlite:///orders\.db.*psycopg_pool.*SQLAlchemy engine"):
        connect(target)


def test_options_are_checked(postgres_url: str) -> None:
    pool = psycopg_pool.AsyncConnectionPool(postgres_url, open=False)
    with pytest.raises(IncompatibleJournal, match="plain name"):
        continuum_postgres.adopt(pool, schema="No-Name")
    with pytest.raises(TypeError, match="shema"):
        continuum_postgres.adopt(pool, shema="x")
    assert continuum_postgres.adopt(object()) is None


def test_no_password_is_shown() -> None:
    pool = psycopg_pool.AsyncConnectionPool("postgresql://u:secret@h/base", open=False, kwargs={"port": 1})
    engine = sqlalchemy.create_engine("postgresql+psycopg://u:secret@h/base")
    for target in (pool, engine):
        place = continuum_postgres.adopt(target)._place  # type: ignore[union-attr]
        assert place.shown == "base on h, schema continuum"


async def test_nothing_else_of_the_handles_changes(postgres_url: str, namespace: str) -> None:
    """What one writes, a handle by URL reads."""
    engine = create_async_engine(_sqlalchemy(postgres_url), poolclass=sqlalchemy.pool.NullPool)
    journal = connect(engine, namespace)
    await journal.open()
    twin = journal.sibling()
    await asyncio.to_thread(lambda: asyncio.run(_opened_elsewhere(twin)))
    async with opened(postgres_url, namespace) as other:
        assert await other.definitions() == await journal.definitions()
    await journal.close()
    await engine.dispose()


async def _opened_elsewhere(journal: Journal) -> None:
    """On another event loop."""
    await journal.open()
    await journal.now()
    await journal.close()
