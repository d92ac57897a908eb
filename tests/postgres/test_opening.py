"""Opening: URLs, races of openers, schemas of another time, settings that are told of."""

from __future__ import annotations

import asyncio
import os

import psycopg
import pytest

from continuum_core.errors import IncompatibleJournal, JournalUnavailable, UsageError
from continuum_core.journal.connect import capabilities, connect
from continuum_core.journal.protocol import Capability, Limits
from continuum_core.testing.private_server import free_port
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.migrations import MIGRATIONS, Migration
from continuum_postgres.place import parse
from continuum_postgres.schema import migrate, migration_sql, stated_version
from continuum_postgres.session import connect as connect_to
from continuum_postgres.source import Conninfo
from tests.postgres.handles import opened, raw


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_schemes(scheme: str) -> None:
    url = f"{scheme}://somebody@host/base"
    assert isinstance(connect(url, "test"), PostgresJournal)
    assert capabilities(url) >= {
        Capability.DURABLE,
        Capability.SHARED,
        Capability.WAKEUPS,
        Capability.CLOCK,
    }


def test_our_options_are_told_from_the_drivers() -> None:
    place = parse("postgresql://u:secret@h:5433/base?schema=other&sslmode=require&application_name=mine")
    known = psycopg.conninfo.conninfo_to_dict(place.conninfo)
    assert place.schema == "other"
    assert (known["sslmode"], known["application_name"], known["port"]) == ("require", "mine", "5433")
    assert "secret" not in place.shown
    assert "enable_seqscan=off" in str(known["options"])


def test_behind_a_pooling_proxy_nothing_is_set_for_a_session() -> None:
    place = parse("postgresql://u@h/base?pgbouncer=yes&listen=postgresql://u@direct/base")
    assert place.pooled
    assert "options" not in psycopg.conninfo.conninfo_to_dict(place.conninfo)
    assert isinstance(place.listen, Conninfo)
    assert psycopg.conninfo.conninfo_to_dict(place.listen.text)["host"] == "direct"
    assert place.pooled
    assert not place.prepares
    assert parse("postgresql://u@h/base?pgbouncer=yes").listen is None
    keeping = parse("postgresql://u@h/base?pgbouncer=prepared")
    assert (keeping.pooled, keeping.prepares, keeping.listen) == (True, True, None)
    plain = parse("postgresql://u@h/base?pgbouncer=no")
    assert (plain.pooled, plain.prepares) == (False, True)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/base?schema=No-Name",
        'postgresql://h/base?schema=a"b',
        "postgresql://h/base?pgbouncer=perhaps",
        "postgresql://h/base?nonsense=1",
        "mysql://h/base",
    ],
)
def test_wrong_urls_are_refused(url: str) -> None:
    with pytest.raises(IncompatibleJournal):
        parse(url)


async def test_openers_race_on_a_schema_that_is_not_there(empty_url: str, namespace: str) -> None:
    handles = [PostgresJournal(parse(empty_url), namespace, Limits()) for _ in range(8)]
    try:
        told = await asyncio.gather(*(handle.open() for handle in handles))
    finally:
        for handle in handles:
            await handle.close()
    assert {one.schema for one in told} == {MIGRATIONS[-1].version}


async def test_a_schema_that_is_too_new_is_refused(empty_url: str, namespace: str) -> None:
    async with opened(empty_url, namespace), raw(empty_url) as other:
        schema = parse(empty_url).schema
        await other.execute(f'UPDATE "{schema}".schema SET version = 99, min_reader = 98'.encode())
    with pytest.raises(IncompatibleJournal, match="98 or later"):
        await PostgresJournal(parse(empty_url), namespace, Limits()).open()


async def test_a_newer_schema_that_we_may_use_is_used(empty_url: str, namespace: str) -> None:
    """A rolling upgrade: the new release has expanded the schema, and this one goes on."""
    async with opened(empty_url, namespace), raw(empty_url) as other:
        schema = parse(empty_url).schema
        await other.execute(f'UPDATE "{schema}".schema SET version = 99, min_reader = 1'.encode())
    async with opened(empty_url, namespace) as journal:
        assert (await journal.open()).schema == 99


async def test_an_older_schema_is_migrated_by_all_who_race(empty_url: str) -> None:
    place = parse(empty_url)
    connections = [await connect_to(place.conninfo) for _ in range(4)]
    known = MIGRATIONS[-1].version
    later = Migration(known + 1, 1, ("ALTER TABLE continuum.runs ADD COLUMN later integer",))
    try:
        assert await migrate(connections[0], place) == known
        done = await asyncio.gather(*(migrate(one, place, (*MIGRATIONS, later)) for one in connections))
        assert set(done) == {known + 1}
        assert await stated_version(connections[0], place.schema) == (known + 1, 1)
    finally:
        for one in connections:
            await one.close()


async def test_a_failed_migration_leaves_nothing(empty_url: str) -> None:
    place = parse(empty_url)
    known = MIGRATIONS[-1].version
    broken = Migration(known + 1, 1, ("ALTER TABLE continuum.runs ADD COLUMN later integer", "SELECT 1/0"))
    async with await connect_to(place.conninfo) as connection:
        await migrate(connection, place)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await migrate(connection, place, (*MIGRATIONS, broken))
        assert await stated_version(connection, place.schema) == (known, 1)
        asked = (
            "SELECT count(*) FROM information_schema.columns "
            "WHERE table_schema = $1 AND column_name = 'later'"
        )
        row = await (await connection.execute(asked, (place.schema,))).fetchone()
        assert row == (0,)


async def test_the_script_makes_what_opening_makes(empty_url: str, namespace: str) -> None:
    place = parse(empty_url)
    async with raw(empty_url) as other:
        await other.execute(migration_sql(place.schema).encode())
    async with opened(empty_url, namespace) as journal:
        assert (await journal.open()).schema == MIGRATIONS[-1].version


async def test_settings_that_lose_data_are_told(empty_url: str, namespace: str) -> None:
    async with opened(f"{empty_url}&options=-c%20synchronous_commit%3Doff", namespace) as journal:
        assert "synchronous_commit=off" in (await journal.open()).durability
    async with opened(empty_url, namespace) as journal:
        assert "survives" in (await journal.open()).durability


async def test_a_server_that_is_away_is_unavailable(namespace: str) -> None:
    journal = PostgresJournal(parse(f"postgresql://u@127.0.0.1:{free_port()}/x"), namespace, Limits())
    with pytest.raises(JournalUnavailable) as told:
        await journal.open()
    assert not told.value.ambiguous


async def test_another_loop_is_told_so(postgres_url: str, namespace: str) -> None:
    async with opened(postgres_url, namespace) as journal:

        async def elsewhere() -> None:
            with pytest.raises(UsageError, match="sibling"):
                await journal.now()

        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))


async def test_a_fork_is_told_so(postgres_url: str, namespace: str) -> None:
    async with opened(postgres_url, namespace) as journal:
        store = journal._store
        assert store is not None
        store.process = os.getpid() + 1
        with pytest.raises(UsageError, match="fork"):
            await journal.now()
        store.process = os.getpid()
