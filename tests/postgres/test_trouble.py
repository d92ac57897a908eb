"""Trouble with the server: what the person who must act is told, and that work goes on once it is over."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import psycopg_pool
import pytest

from continuum_core import Worker
from continuum_core.errors import IncompatibleJournal, JournalUnavailable, PayloadRefused
from continuum_core.journal.commit import Commit, CommitOutcome
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.testing.conformance.given import signal, turn
from continuum_core.testing.conformance.kit import claimed_one, row, started, waiting
from continuum_core.testing.servers import Postgres
from continuum_postgres import arrays
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.place import parse
from continuum_postgres.schema import server_of
from continuum_postgres.shards import shard
from continuum_postgres.source import Connection, Pool, held
from tests.postgres.handles import Gate, opened, raw, soon, waits_for_lock
from tests.postgres.machines import Steps
from tests.postgres.roles import as_role, role


def _with(url: str, options: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{options}"


async def _open(url: str) -> None:
    journal = PostgresJournal(parse(url), "test", Limits())
    try:
        await journal.open()
    finally:
        await journal.close()


async def _turn(journal: Journal) -> Commit:
    """A turn that may be committed."""
    await started(journal)
    return turn(*await claimed_one(journal))


@pytest.fixture(scope="module")
def private() -> Iterator[Postgres]:
    """A server whose settings a test may change."""
    with Postgres(settings={"fsync": "off"}) as server:
        yield server


# --- it cannot be opened


async def test_an_unknown_database(postgres_url: str) -> None:
    with pytest.raises(IncompatibleJournal, match="no such database; create it first"):
        await _open(postgres_url.rpartition("/")[0] + "/nowhere")


async def test_an_unknown_role(postgres_url: str) -> None:
    with pytest.raises(IncompatibleJournal, match="no such role"):
        await _open(as_role(postgres_url, "nobody"))


async def test_wrong_passwords_and_strange_clients(private: Postgres) -> None:
    rules = private.folder / "data" / "pg_hba.conf"
    rest = rules.read_text()
    with role(private.url(), "PASSWORD 'right'") as known, role(private.url()) as strange:
        rules.write_text(
            f"host all {known} 127.0.0.1/32 scram-sha-256\nhost all {strange} 127.0.0.1/32 reject\n{rest}"
        )
        async with raw(private.url()) as other:
            await other.execute("SELECT pg_reload_conf()")
            while await _admitted(as_role(private.url(), strange)):
                pass
        with pytest.raises(IncompatibleJournal, match="refuses the password"):
            await _open(as_role(private.url(), known, "wrong"))
        with pytest.raises(IncompatibleJournal, match=r"wants a password.*PGPASSWORD"):
            await _open(as_role(private.url(), known) + "?passfile=/dev/null")
        with pytest.raises(IncompatibleJournal, match=r"admits no such client \(pg_hba.conf\)"):
            await _open(as_role(private.url(), strange))


async def _admitted(url: str) -> bool:
    try:
        async with await psycopg.AsyncConnection.connect(url):
            return True
    except psycopg.OperationalError:
        return False


async def test_an_encoding_that_cannot_hold_every_text(postgres_url: str) -> None:
    name = f"latin_{uuid4().hex[:12]}"
    async with raw(postgres_url) as other:
        await other.execute(
            f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0".encode()
        )
        try:
            with pytest.raises(IncompatibleJournal, match=r"encoding is LATIN1.*ENCODING 'UTF8'"):
                await _open(postgres_url.rpartition("/")[0] + f"/{name}")
        finally:
            await other.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


async def test_a_server_that_is_too_old() -> None:
    old = SimpleNamespace(info=SimpleNamespace(server_version=130_014))
    with pytest.raises(IncompatibleJournal, match="PostgreSQL 13; 14 or later"):
        await server_of(cast(Connection, old), "x on h")


async def test_settings_that_give_durability_up_are_warned_of(
    private: Postgres, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await _open(postgres_url)
    assert "synchronous_commit" not in caplog.text
    await _open(_with(postgres_url, "options=-c%20synchronous_commit%3Doff"))
    assert "THE LATEST MAY BE LOST" in caplog.text
    await _open(private.url())
    assert "fsync=off" in caplog.text


async def test_several_hosts_mean_the_primary() -> None:
    known = psycopg.conninfo.conninfo_to_dict(parse("postgresql://a,b/x").conninfo)
    assert known["target_session_attrs"] == "read-write"
    known = psycopg.conninfo.conninfo_to_dict(parse("postgresql://a,b/x?target_session_attrs=any").conninfo)
    assert known["target_session_attrs"] == "any"


# --- it is short of something


async def test_too_few_connections_for_the_role(empty_url: str) -> None:
    """It can be opened with one; the next lane has none, says so, and works once there is one."""
    await _open(empty_url)
    with role(empty_url, "SUPERUSER CONNECTION LIMIT 1") as name:
        async with raw(empty_url) as owner:
            await owner.execute(f"ALTER ROLE {name} NOSUPERUSER".encode())
            await owner.execute(f"GRANT ALL ON SCHEMA {parse(empty_url).schema} TO {name}".encode())
            every = f"GRANT ALL ON ALL TABLES IN SCHEMA {parse(empty_url).schema} TO {name}"
            await owner.execute(every.encode())
            async with opened(as_role(empty_url, name) + _query(empty_url), "test") as journal:
                with pytest.raises(JournalUnavailable, match="no connection left for this role") as told:
                    await started(journal)
                assert not told.value.ambiguous
                with pytest.raises(JournalUnavailable, match="no connection left for this role"):
                    await _open(as_role(empty_url, name) + _query(empty_url))
                await owner.execute(f"ALTER ROLE {name} CONNECTION LIMIT 20".encode())
                await started(journal)


def _query(url: str) -> str:
    return "" if "?" in as_role(url, "x") else f"?{url.partition('?')[2]}"


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 24 MB that everybody gets at."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    with tempfile.TemporaryDirectory(prefix="continuum-disk-") as folder:
        where = Path(folder) / "small"
        where.mkdir()
        where.parent.chmod(0o755)
        options = ("-t", "tmpfs", "-o", "size=24m", "none", str(where))
        if os.geteuid() or not mount or not umount or not _quietly(mount, *options):
            pytest.skip("a small file system cannot be mounted by this user")
        try:
            yield where
        finally:
            _quietly(umount, "-l", str(where))


def _quietly(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


async def test_a_full_disk(private: Postgres, small_disk: Path) -> None:
    """What does not fit is refused, nobody is harmed, and once there is room it goes on by itself."""
    place, filler = small_disk / "tables", small_disk / "filler"
    place.mkdir()
    if private._user is not None:
        shutil.chown(place, private._user)
    async with raw(private.url()) as owner:
        await owner.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
        url = f"{private.url()}?schema=crowded&options=-c%20default_tablespace%3Dsmall"
        async with opened(url, "test") as journal:
            run_id = await waiting(journal)
            with pytest.raises(OSError, match="No space left"):
                filler.write_bytes(bytes(100_000_000))
            many = [signal(run_id, os.urandom(20_000)) for _ in range(300)]
            with pytest.raises(JournalUnavailable, match="disk is full: give it room") as told:
                await journal.deliver(many)
            assert not told.value.ambiguous
            assert (await row(journal, run_id)).version == 1  # what is read can be read
            filler.unlink()
            await journal.deliver([signal(run_id, os.urandom(20_000))])
        await owner.execute("DROP SCHEMA crowded CASCADE")
        await owner.execute("DROP TABLESPACE small")


async def test_a_payload_beyond_what_a_value_may_be(
    postgres_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before it is sent: the server would end the connection over it."""
    monkeypatch.setattr(arrays, "_LARGEST", 100_000)
    async with opened(_with(postgres_url, "application_name=large"), namespace) as journal:
        run_id = await waiting(journal)
        with pytest.raises(PayloadRefused, match="bytes in one parameter"):
            await journal.deliver([signal(run_id, bytes(200_000))])
        before = await _pids(postgres_url, "large")
        await journal.deliver([signal(run_id, bytes(90_000))])
        assert await _pids(postgres_url, "large") == before


async def test_a_name_beyond_what_an_index_may_hold(postgres_url: str, namespace: str) -> None:
    async with opened(postgres_url, namespace) as journal:
        run_id = await waiting(journal)
        with pytest.raises(PayloadRefused, match="cannot store it"):
            await journal.deliver([signal(run_id, dedupe=os.urandom(40_000).hex())])
        await journal.deliver([signal(run_id)])


async def _pids(url: str, name: str) -> set[int]:
    async with raw(url) as looking:
        asked = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
        return {pid for (pid,) in await (await looking.execute(asked, (name,))).fetchall()}


async def test_a_server_that_was_demoted_is_left(postgres_url: str, namespace: str) -> None:
    """It takes no writes any more, though the connection lives: the next one may reach the primary."""
    async with opened(postgres_url, namespace) as journal:
        await started(journal)
        store = journal._store
        assert store is not None
        connection = await store.starting.session.ready()
        await connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(JournalUnavailable, match=r"takes no writes.*demoted"):
            await started(journal)
        assert connection.closed
        await started(journal)


# --- somebody is in the way


async def _hold(other: psycopg.AsyncConnection[Any], url: str, run_id: UUID) -> None:
    """Lock a run's row until the next COMMIT."""
    await other.execute("BEGIN")
    asked = f'SELECT FROM "{parse(url).schema}".runs WHERE run_id = %s FOR UPDATE'
    await other.execute(asked.encode(), (run_id,))


async def test_a_lock_that_is_not_given_up(postgres_url: str, namespace: str) -> None:
    url = _with(postgres_url, "options=-c%20lock_timeout%3D100ms")
    async with opened(url, namespace) as journal, raw(postgres_url) as other:
        made = await _turn(journal)
        await _hold(other, postgres_url, made.run_id)
        with pytest.raises(JournalUnavailable, match=r"stayed locked.*pg_stat_activity") as told:
            await soon(journal.commit([made]))
        assert not told.value.ambiguous
        await other.execute("COMMIT")
        assert (await journal.commit([made]))[0].outcome is CommitOutcome.COMMITTED


async def test_a_statement_that_an_operator_cancels(postgres_url: str, namespace: str) -> None:
    url = _with(postgres_url, "application_name=cancelled")
    async with opened(url, namespace) as journal, raw(postgres_url) as other, raw(postgres_url) as looking:
        made = await _turn(journal)
        before = await _pids(postgres_url, "cancelled")
        await _hold(other, postgres_url, made.run_id)
        committing = asyncio.create_task(journal.commit([made]))
        await soon(waits_for_lock(looking))
        await looking.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'cancelled' AND wait_event_type = 'Lock'"
        )
        with pytest.raises(JournalUnavailable, match="cancelled, by an operator") as told:
            await soon(committing)
        assert not told.value.ambiguous
        await other.execute("COMMIT")
        assert (await journal.commit([made]))[0].outcome is CommitOutcome.COMMITTED
        assert before <= await _pids(postgres_url, "cancelled")  # no connection was given up over it


async def test_a_process_that_stands_still_in_a_transaction(postgres_url: str, namespace: str) -> None:
    """The server frees what it locked, and the verb is told; nothing of it stands."""
    bound = "options=-c%20idle_in_transaction_session_timeout%3D50ms&application_name=still"
    async with opened(_with(postgres_url, bound), namespace) as journal:
        made = await _turn(journal)
        with Gate(journal, "turning", before=2) as gate:
            committing = asyncio.create_task(journal.commit([made]))
            await soon(gate.reached.wait())
            async with asyncio.timeout(20):
                while _turning(journal) in await _pids(postgres_url, "still"):
                    await asyncio.sleep(0.01)
            gate.go.set()
            with pytest.raises(JournalUnavailable):
                await soon(committing)
        assert (await row(journal, made.run_id)).version == 0
        assert (await journal.commit([made]))[0].outcome is CommitOutcome.COMMITTED


def _turning(journal: PostgresJournal) -> int:
    """The process that serves the lane of turns."""
    store = journal._store
    assert store is not None
    connection = store.turning.session._connection
    assert connection is not None
    return connection.info.backend_pid


async def test_a_deadlock_with_others_is_tried_again(postgres_url: str, namespace: str) -> None:
    """Somebody locks our rows in another order: ours is the victim, and nobody hears of it."""
    url = _with(postgres_url, "options=-c%20deadlock_timeout%3D100ms")
    async with opened(url, namespace) as journal, raw(postgres_url) as other, raw(postgres_url) as looking:
        turns = sorted([await _turn(journal), await _turn(journal)], key=_place)
        await other.execute("SET deadlock_timeout = '60s'")  # so that it is not the victim
        await _hold(other, postgres_url, turns[1].run_id)
        committing = asyncio.create_task(journal.commit(turns))
        await soon(waits_for_lock(looking))
        asked = f'SELECT FROM "{parse(postgres_url).schema}".runs WHERE run_id = %s FOR UPDATE'
        await soon(other.execute(asked.encode(), (turns[0].run_id,)))
        await other.execute("COMMIT")
        assert [told.outcome for told in await soon(committing)] == [CommitOutcome.COMMITTED] * 2


def _place(made: Commit) -> tuple[int, int]:
    """The order in which runs are locked."""
    return shard(made.run_id), made.run_id.int


# --- a worker lives through it


async def test_a_worker_lives_through_a_restart_of_the_server() -> None:
    """Ended at once and run again, twice, while runs go on: each ends with its result."""
    with Postgres() as server:
        async with Worker(_with(server.url(), "connect_timeout=2"), [Steps], poll=0.2) as worker:
            for _ in range(2):
                handles = [await worker.client.start(Steps, n) for n in range(20)]
                await asyncio.to_thread(server.crash)
                await asyncio.to_thread(server.run)
                results = [await asyncio.wait_for(handle.result(30), 40) for handle in handles]
                assert results == [n + 3 for n in range(20)]


async def test_an_idle_listener_is_counted_and_comes_back(
    postgres_url: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        opened(_with(postgres_url, "application_name=ears"), namespace) as journal,
        raw(postgres_url) as other,
    ):
        await soon(journal.wait(20))
        for count in (1, 2):
            await soon(journal.wait(0))
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'ears' AND query LIKE 'LISTEN%'"
            )
            await soon(journal.wait(20))
            assert re.search(f"lost {'once' if count == 1 else '2 times'} so far", caplog.text)
    assert re.search(r"listening for hints on .* again: gone for \d+\.\d s, lost 2 times so far", caplog.text)


# --- a role that somebody set up otherwise


@pytest.mark.parametrize(
    ("statement", "undone"),
    [
        ("ALTER ROLE {role} SET default_transaction_read_only = on", 'ALTER ROLE "{role}" RESET'),
        ("ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = on", "IN DATABASE"),
    ],
)
async def test_a_role_that_is_set_read_only_is_no_failover(
    postgres_url: str, statement: str, undone: str
) -> None:
    """Named at open; and where it is set under a handle, by whoever asks then, who may ask again."""
    with role(postgres_url, "SUPERUSER") as name:
        named = {"role": name, "database": postgres_url.rpartition("/")[2]}
        url = as_role(postgres_url, name)
        async with (
            opened(_with(url, "application_name=reads"), "test") as journal,
            raw(postgres_url) as other,
        ):
            await other.execute(statement.format(**named).encode())
            with pytest.raises(IncompatibleJournal, match="default_transaction_read_only is on") as told:
                await _open(url)
            assert undone.format(**named) in str(told.value)
            await other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reads'"
            )
            with pytest.raises(JournalUnavailable, match="default_transaction_read_only is on") as refused:
                await started(journal)
            assert "replica" not in str(refused.value)
            await other.execute(statement.format(**named).replace("= on", "= off").encode())
            await started(journal)


async def test_a_read_only_url_is_named(postgres_url: str) -> None:
    with pytest.raises(IncompatibleJournal, match="it is in the URL's options"):
        await _open(_with(postgres_url, "options=-c%20default_transaction_read_only%3Don"))


async def test_a_roles_idle_session_timeout_cuts_no_session_of_ours(postgres_url: str) -> None:
    """It is for sessions that somebody forgot: ours wait. A URL that says otherwise is heeded."""
    asked = b"SHOW idle_session_timeout"
    with role(postgres_url, "SUPERUSER") as name:
        url = as_role(postgres_url, name)
        async with raw(postgres_url) as other:
            await other.execute(f"ALTER ROLE {name} SET idle_session_timeout = '1h'".encode())
        for source, lasts in (
            (parse(url).source, "0"),
            (parse(_with(url, "options=-c%20idle_session_timeout%3D2h")).source, "2h"),
            (Pool(psycopg_pool.AsyncConnectionPool(url, open=False)), "0"),
        ):
            async with held(source, pooled=False) as connection:
                assert await (await connection.execute(asked)).fetchone() == (lasts,)
