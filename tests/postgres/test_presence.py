"""Workers that are there are known by a lock: they write nothing while they wait, and are missed at once."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from continuum_core import Client, Worker
from continuum_core.journal.protocol import Journal
from continuum_core.runtime import announcing
from continuum_core.taking import announce, taken, wanted, withdraw
from continuum_postgres import presence
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.migrations import MIGRATIONS
from continuum_postgres.place import parse
from continuum_postgres.presence import Presence
from continuum_postgres.schema import migration_sql
from continuum_postgres.source import connect
from tests.postgres.handles import opened, raw, soon
from tests.postgres.machines import Steps
from tests.postgres.pooling import pooling

MINUTE = 60_000_000
LANE = ("default", "act")


async def say(journal: Journal, *prints: str) -> None:
    await announce(journal, uuid4(), prints, [LANE], MINUTE)


async def until(asked: Callable[[], Awaitable[bool]]) -> None:
    """Return when it is so."""

    async def asking() -> None:
        while not await asked():
            await asyncio.sleep(0.005)

    await soon(asking())


def presence_of(journal: PostgresJournal) -> Presence:
    store = journal._store
    assert store is not None
    return store.presence


async def rows(url: str, table: str) -> list[Any]:
    """Where each row of a table is, and the transaction that wrote it."""
    async with raw(url) as looking:
        schema = parse(url).schema
        found = await looking.execute(f'SELECT ctid::text, xmin::text FROM "{schema}".{table}'.encode())
        return sorted(await found.fetchall())


async def everything(url: str) -> dict[str, list[Any]]:
    async with raw(url) as looking:
        asked = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
        names = await (await looking.execute(asked, (parse(url).schema,))).fetchall()
    return {name: await rows(url, name) for (name,) in names}


async def lose_listener(url: str, journal: PostgresJournal) -> None:
    """End the session that listens, and wait until another one does."""
    store = journal._store
    assert store is not None
    lost = store.wakeups.lost
    async with raw(url) as other:
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
            "AND (classid::bigint << 32) | objid::bigint = %s",
            (store.presence.lock,),
        )

    async def again() -> bool:
        return store.wakeups.lost > lost and store.presence._holds

    await until(again)


# --- nothing is written


async def test_a_worker_that_waits_writes_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it looks at what it takes: no table of the journal has a new row, or a changed one."""
    rounds, enough = 0, asyncio.Event()

    async def counted(journal: Journal, *said: Any) -> None:
        nonlocal rounds
        await announce(journal, *said)
        rounds += 1
        if rounds > 30:
            enough.set()

    monkeypatch.setattr(announcing, "announce", counted)
    async with Worker(empty_url, [Steps], poll=0.01) as worker:
        await (await worker.client.start(Steps, 1)).result(20)

        async def there() -> bool:
            return bool(await rows(empty_url, "workers"))

        await until(there)
        before = await everything(empty_url)
        rounds = 0
        enough.clear()
        await soon(enough.wait())
        assert await everything(empty_url) == before
        assert len(before["workers"]) == 1


async def test_it_writes_when_what_it_takes_changes(empty_url: str, namespace: str) -> None:
    worker = uuid4()
    async with opened(empty_url, namespace) as journal:
        for prints in (["a"], ["a"], ["a", "b"], ["b", "a"], ["a", "b"]):
            await announce(journal, worker, prints, [LANE], MINUTE)
            assert await taken(journal, prints) == set(prints)
            if prints == ["a"]:
                first = await rows(empty_url, "workers")
        second = await rows(empty_url, "workers")
        assert len(first) == len(second) == 1
        assert first != second
        assert await rows(empty_url, "results") == [], "nor does who asks for what is there reserve"
        await announce(journal, worker, ["a", "b"], [LANE], MINUTE)
        assert await rows(empty_url, "workers") == second
        assert await wanted(journal, [LANE, ("default", "other")]) == {LANE}
        await withdraw(journal, worker)
        assert await rows(empty_url, "workers") == []


# --- it is missed


async def test_a_worker_that_was_killed_is_missed_at_once(empty_url: str) -> None:
    """Not after a lease, which would be half a minute: as soon as the server has noticed."""
    command = [sys.executable, "-m", "continuum_core", "worker", "--app", "tests.postgres.machines:Steps"]
    async with Client(empty_url, [Steps]) as client:
        journal = client.journal
        process = await asyncio.create_subprocess_exec(
            *command, "--journal", empty_url, stderr=asyncio.subprocess.DEVNULL
        )
        try:

            async def takes() -> bool:
                stored = [each.fingerprint for each in await journal.definitions()]
                return bool(stored) and await taken(journal, stored) == set(stored)

            await until(takes)
            (print_,) = [each.fingerprint for each in await journal.definitions()]
        finally:
            process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        assert len(await rows(empty_url, "workers")) == 1, "it left its row"

        async def missed() -> bool:
            return not await taken(journal, [print_])

        await until(missed)


async def test_a_worker_that_drains_is_not_there_any_more(empty_url: str) -> None:
    async with Client(empty_url) as client, Worker(empty_url, [Steps], poll=0.1) as worker:
        takes = worker.registry.takes()

        async def there() -> bool:
            return await taken(client.journal, takes) == takes

        async def gone() -> bool:
            return not await taken(client.journal, takes)

        await until(there)
        await worker.drain()
        await until(gone)
        assert await rows(empty_url, "workers") == []


async def test_a_handle_that_is_closed_takes_back_what_it_said(empty_url: str, namespace: str) -> None:
    """By itself, and before its lock goes: no row is left for others to tidy up."""
    async with opened(empty_url, namespace) as journal:
        await say(journal, "a")
        await say(journal, "b")
        assert len(await rows(empty_url, "workers")) == 2
    assert await rows(empty_url, "workers") == []


async def test_rows_of_the_dead_go_when_another_is_written(empty_url: str, namespace: str) -> None:
    """Those of an hour ago, and never one whose lock is held, however old it is."""
    async with opened(empty_url, namespace) as journal, opened(empty_url, namespace) as living:
        await say(living, "living")
        schema = parse(empty_url).schema
        async with raw(empty_url) as other:
            await other.execute(f'UPDATE "{schema}".workers SET at = 0'.encode())
            for key, age in (("old", 3_601), ("young", 3_500)):
                await other.execute(
                    f'INSERT INTO "{schema}".workers (ns, lock, at, worker, keys) SELECT ns, 12345, '
                    "((extract(epoch FROM clock_timestamp()) - %s) * 1000000)::bigint, "
                    f'gen_random_uuid(), ARRAY[%s] FROM "{schema}".workers LIMIT 1'.encode(),
                    (age, key),
                )
            assert await journal.presence(["old", "young"]) == set(), "nobody holds their lock"
            await say(journal, "new")
            told = await other.execute(f'SELECT keys[1] FROM "{schema}".workers'.encode())
            left = {str(key).rpartition(" ")[2] for (key,) in await told.fetchall()}
        assert left == {"living", "young", "new"}
        assert await taken(journal, ["living", "new", "old", "young"]) == {"living", "new"}


# --- the session that vouches


@pytest.mark.parametrize("lock", [0, -1, 1, 1 << 31, (1 << 32) - 1, -(1 << 63), (1 << 63) - 1])
async def test_whatever_number_the_lock_has(postgres_url: str, namespace: str, lock: int) -> None:
    """The server shows it as two halves without a sign."""
    async with opened(postgres_url, namespace) as journal, opened(postgres_url, namespace) as other:
        presence_of(journal).lock = lock
        await say(journal, "a")
        assert await other.presence(["continuum.taking a"]) == {"continuum.taking a"}


async def test_numbers_differ() -> None:
    numbers = {presence._number() for _ in range(1_000)}
    assert len(numbers) == 1_000
    assert min(numbers) < 0 < max(numbers)
    assert all(-(1 << 63) <= number < 1 << 63 for number in numbers)


async def test_a_listener_that_was_lost_is_there_again_by_itself(empty_url: str, namespace: str) -> None:
    """Its lock is the same, so its rows count as soon as it listens; they are written once more."""
    worker = uuid4()
    async with opened(empty_url, namespace) as journal, opened(empty_url, namespace) as other:
        await announce(journal, worker, ["a"], [], MINUTE)
        before = await rows(empty_url, "workers")
        await lose_listener(empty_url, journal)
        assert await other.presence(["continuum.taking a"]) == {"continuum.taking a"}
        assert await rows(empty_url, "workers") == before
        async with raw(empty_url) as cleaner:  # whoever thought it dead for an hour
            await cleaner.execute(f'DELETE FROM "{parse(empty_url).schema}".workers'.encode())
        for _ in range(2):
            await announce(journal, worker, ["a"], [], MINUTE)
            assert await other.presence(["continuum.taking a"]) == {"continuum.taking a"}
        assert await rows(empty_url, "results") == []


async def test_a_session_that_the_server_believes_in_keeps_nobody_out(
    postgres_url: str, namespace: str
) -> None:
    """Its host is gone, which the server has not noticed: the next session has the lock beside it."""
    async with opened(postgres_url, namespace) as journal, opened(postgres_url, namespace) as other:
        async with raw(postgres_url) as before:
            await before.execute("SELECT pg_advisory_lock_shared(%s)", (presence_of(journal).lock,))
            assert await journal.present(uuid4(), ["a"])
        assert await other.presence(["a"]) == {"a"}


async def test_while_no_session_listens_the_worker_reserves(
    empty_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody believes it gone; and it vouches again once a session listens."""
    worker = uuid4()
    async with opened(empty_url, namespace) as journal, opened(empty_url, namespace) as other:
        await announce(journal, worker, ["a"], [], MINUTE)
        present = presence_of(journal)
        with monkeypatch.context() as patched:

            async def refused(_: object) -> bool:
                raise psycopg.OperationalError("no session to be had")

            patched.setattr(Presence, "take", lambda self, connection: refused(connection))
            async with raw(empty_url) as ending:
                await ending.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                    "AND (classid::bigint << 32) | objid::bigint = %s",
                    (present.lock,),
                )

            async def fallen() -> bool:
                return not present._holds

            await until(fallen)
            assert not await journal.present(worker, ["continuum.taking a"])
            await announce(journal, worker, ["a"], [], MINUTE)
            assert await other.presence(["continuum.taking a"]) == set()
            assert await taken(other, ["a"]) == {"a"}

        async def stands() -> bool:
            return present._holds

        await until(stands)
        await announce(journal, worker, ["a"], [], MINUTE)
        assert await other.presence(["continuum.taking a"]) == {"continuum.taking a"}


async def test_workers_of_both_ways_are_seen_side_by_side(empty_url: str, namespace: str) -> None:
    """The release before reserves, and so do those that reach the server through a proxy alone."""
    reserving = f"{empty_url}&pgbouncer=yes"
    async with (
        opened(empty_url, namespace) as one,
        opened(reserving, namespace) as two,
        opened(empty_url, namespace) as other,
    ):
        await say(one, "a", "b")
        await say(two, "b", "c")
        for looking in (one, two, other):
            assert await taken(looking, ["a", "b", "c", "d"]) == {"a", "b", "c"}
            assert await wanted(looking, [LANE]) == {LANE}
        assert len(await rows(empty_url, "workers")) == 1
        await one.close()
        assert await taken(other, ["a", "b", "c", "d"]) == {"b", "c"}


@pytest.mark.parametrize("pools", ["transactions", "sessions"])
async def test_nothing_is_locked_through_a_proxy(
    postgres_url: str, namespace: str, pools: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may keep a session whose client is gone; then a worker would be there for ever."""
    async with (
        pooling(postgres_url, size=50, tolerant=True) as (through, proxy),
        opened(postgres_url, namespace) as other,
    ):
        if pools == "sessions":
            monkeypatch.setattr(proxy, "_give_back", lambda _server: None)
        url = f"{through}?pgbouncer=yes&listen={through}"
        async with opened(url, namespace) as journal:
            await say(journal, "a")
            assert await other.presence(["continuum.taking a"]) == set()
            assert await taken(other, ["a"]) == {"a"}, "it reserved"
            async with raw(postgres_url) as looking:
                told = await looking.execute(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
                    "AND (classid::bigint << 32) | objid::bigint = %s",
                    (presence_of(journal).lock,),
                )
                assert await told.fetchone() == (0,)


async def test_past_a_proxy_it_vouches(postgres_url: str, namespace: str) -> None:
    async with (
        pooling(postgres_url, size=3) as (through, _),
        opened(f"{through}?pgbouncer=yes&listen={postgres_url}", namespace) as journal,
        opened(postgres_url, namespace) as other,
    ):
        await say(journal, "a")
        assert await other.presence(["continuum.taking a"]) == {"continuum.taking a"}
        assert await journal.presence(["continuum.taking a"]) == {"continuum.taking a"}


async def test_a_lock_in_another_database_vouches_for_nobody(postgres_url: str, namespace: str) -> None:
    """`listen=` that leads elsewhere: those who look would not see it, so nothing is said."""
    elsewhere = f"{postgres_url.rpartition('/')[0]}/postgres"
    async with opened(f"{postgres_url}?listen={elsewhere}", namespace) as journal:
        assert not await journal.present(uuid4(), ["a"])
        assert presence_of(journal)._holds
        await say(journal, "a")
        assert await taken(journal, ["a"]) == {"a"}


async def test_a_server_without_such_locks_is_listened_to_all_the_same(
    postgres_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "_TAKE", "SELECT no_such_function($1::bigint)")
    async with opened(postgres_url, namespace) as journal, opened(postgres_url, namespace) as writer:
        assert not await journal.present(uuid4(), ["a"])
        await say(journal, "a")
        assert await taken(journal, ["a"]) == {"a"}
        await soon(journal.wait(20))
        await soon(journal.wait(0))
        pending = asyncio.create_task(journal.wait(60))
        await writer.define([])
        store = writer._store
        assert store is not None
        store.wakeups.wrote()
        await soon(pending)


@pytest.mark.parametrize(("before", "after"), [(None, 30), (7200, 30), (20, 20)])
async def test_the_server_looks_after_a_host_that_went_without_a_word(
    postgres_url: str, before: int | None, after: int
) -> None:
    """Else it would believe in it for two hours; what is looked after more closely stays so."""

    async def never(_: object) -> None:
        raise AssertionError("nothing is asked of the journal")

    connection = await connect(parse(postgres_url).conninfo)
    try:
        if before is not None:
            await connection.execute(f"SET tcp_keepalives_idle = {before}".encode())
        assert await Presence(never).take(connection)
        for name, value in (("idle", after), ("interval", 10), ("count", 3)):
            told = await connection.execute(f"SELECT current_setting('tcp_keepalives_{name}')".encode())
            assert await told.fetchone() == (str(value),)
    finally:
        await connection.close()


# --- releases


async def test_the_release_before_goes_on(empty_url: str, namespace: str) -> None:
    """Its schema is a step behind, and brought forward: what it reserved is still taken."""
    schema = parse(empty_url).schema
    async with raw(empty_url) as other:
        await other.execute(migration_sql(schema, MIGRATIONS[:11]).encode())
        assert MIGRATIONS[11].min_reader == 1
    async with opened(empty_url, namespace) as journal:
        await say(journal, "a")
        assert await taken(journal, ["a"]) == {"a"}
