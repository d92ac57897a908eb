"""Failover and restore: a server that forgot what it acknowledged is refused by those who remember."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from attrs import evolve

from continuum_core import Worker
from continuum_core.errors import IncompatibleJournal, JournalUnavailable
from continuum_core.journal.commit import Commit, CommitOutcome
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import turn
from continuum_core.testing.conformance.kit import claimed_one, row, started, waiting
from continuum_core.testing.private_server import NoServer
from continuum_core.testing.servers import Postgres
from continuum_postgres import wakeups
from continuum_postgres.history import History
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.place import parse
from tests.postgres.handles import opened, raw, soon
from tests.postgres.machines import Steps


@pytest.fixture
def primary() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Postgres]:
    try:
        other = primary.standby()
    except NoServer as error:
        pytest.skip(str(error))
    try:
        other.run()
        yield other
    finally:
        other.stop()


def _catch_up(standby: Postgres, primary: Postgres) -> None:
    """Return once the standby has all that the primary has by now."""
    with (
        psycopg.connect(primary.url(), autocommit=True) as there,
        psycopg.connect(standby.url(), autocommit=True) as here,
    ):
        position = there.execute("SELECT pg_current_wal_lsn()").fetchone()
        assert position is not None
        while here.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", position).fetchone() != (True,):
            pass


async def _until(journal: Journal) -> None:
    """Ask until the journal is there again."""
    while True:
        try:
            await journal.now()
            return
        except JournalUnavailable:
            await asyncio.sleep(0.02)


def _fail_over(primary: Postgres, standby: Postgres) -> None:
    primary.kill()
    standby.take_over(primary.port)


# --- a real standby


async def test_a_standby_that_lacks_the_tail_is_refused(primary: Postgres, standby: Postgres) -> None:
    """Runs went on after the standby stopped receiving. The worker that knows of them ends, and says why."""
    worker = Worker(f"{primary.url()}?connect_timeout=2", [Steps], poll=0.2)
    working = asyncio.create_task(worker.run())
    while worker._supervisor is None:
        await asyncio.sleep(0.01)
    first = await soon(worker.client.start(Steps, 1))
    assert await soon(first.result(20)) == 4
    _catch_up(standby, primary)
    standby.crash()
    lost = await soon(worker.client.start(Steps, 2))
    assert await soon(lost.result(20)) == 5
    await asyncio.to_thread(_fail_over, primary, standby)
    with pytest.raises(IncompatibleJournal) as told:
        await asyncio.wait_for(working, 60)
    said = str(told.value)
    assert "history went backwards" in said
    assert str(lost.id) in said
    assert "timeline 1 before" in said
    assert "timeline 2 now" in said
    assert "?history=accept" in said
    # A process that starts afresh folds nothing: it takes the history it finds.
    async with Worker(primary.url(), [Steps], poll=0.2) as fresh:
        assert await soon((await fresh.client.start(Steps, 5)).result(20)) == 8


async def test_a_standby_that_has_everything_is_gone_on_with(
    primary: Postgres, standby: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="continuum_postgres")
    async with Worker(f"{primary.url()}?connect_timeout=2", [Steps], poll=0.2) as worker:
        assert await soon((await worker.client.start(Steps, 1)).result(20)) == 4
        _catch_up(standby, primary)
        with pytest.raises(IncompatibleJournal, match="replica and takes no writes; name the primary"):
            await connect(standby.url()).open()
        await asyncio.to_thread(_fail_over, primary, standby)
        await asyncio.wait_for(_until(worker.journal), 60)
        handle = await asyncio.wait_for(worker.client.start(Steps, 2), 30)
        assert await asyncio.wait_for(handle.result(30), 40) == 5
    assert "timeline 1 before" in caplog.text
    assert "knows all that was acknowledged last" in caplog.text


async def test_an_operator_may_accept_it(
    primary: Postgres, standby: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(f"{primary.url()}?history=accept&connect_timeout=2", "test") as journal:
        _catch_up(standby, primary)
        standby.crash()
        lost = await started(journal)
        await asyncio.to_thread(_fail_over, primary, standby)
        await asyncio.wait_for(_until(journal), 60)
        assert await journal.load([lost]) == [None]
        assert (await row(journal, await waiting(journal))).version == 1
    assert "as history=accept says" in caplog.text


# --- a snapshot of the data that is put back: the same cluster, the same timeline


def _copied(server: Postgres, source: str, target: str) -> None:
    """The data directory, while the server does not run."""
    shutil.rmtree(server.folder / target, ignore_errors=True)
    subprocess.run(["cp", "-a", server.folder / source, server.folder / target], check=True)


async def test_a_snapshot_that_is_put_back_is_refused(primary: Postgres) -> None:
    """Copied cold, and put back when runs had gone on: the worker that knows of them ends, and says why."""
    worker = Worker(f"{primary.url()}?connect_timeout=2", [Steps], poll=0.2)
    working = asyncio.create_task(worker.run())
    while worker._supervisor is None:
        await asyncio.sleep(0.01)
    first = await soon(worker.client.start(Steps, 1))
    assert await soon(first.result(20)) == 4
    await asyncio.to_thread(primary.crash)
    await asyncio.to_thread(_copied, primary, "data", "snapshot")
    await asyncio.to_thread(primary.run)
    await asyncio.wait_for(_until(worker.journal), 60)
    lost = await asyncio.wait_for(worker.client.start(Steps, 2), 30)
    assert await asyncio.wait_for(lost.result(30), 40) == 5
    await asyncio.to_thread(primary.crash)
    await asyncio.to_thread(_copied, primary, "snapshot", "data")
    await asyncio.to_thread(primary.run)
    with pytest.raises(IncompatibleJournal) as told:
        await asyncio.wait_for(working, 60)
    said = str(told.value)
    assert str(lost.id) in said
    assert re.search(r"timeline 1, whose log had come to 0/\w+ before and to 0/\w+ now", said)
    async with Worker(primary.url(), [Steps], poll=0.2) as fresh:
        assert await soon((await fresh.client.start(Steps, 5)).result(20)) == 8


async def test_a_crash_alone_puts_nothing_back(primary: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    """Work that nobody acknowledged may have gone with it."""
    caplog.set_level(logging.WARNING, logger="continuum_postgres.history")
    async with opened(f"{primary.url()}?connect_timeout=2", "test") as journal, raw(primary.url()) as other:
        history = _history(journal)
        await other.execute(b"CREATE TABLE large (text text)")
        for _ in range(3):
            stood = [await started(journal) for _ in range(3)]
            writing = asyncio.create_task(_write_until_it_dies(primary.url()))
            reached = history.reached
            while history.reached == reached:
                await started(journal)
            await asyncio.to_thread(primary.crash)
            await writing
            await asyncio.to_thread(primary.run)
            await asyncio.wait_for(_until(journal), 60)
            assert None not in await journal.load(stood)
    assert caplog.text == ""


async def _write_until_it_dies(url: str) -> None:
    """In a transaction that is never committed."""
    with contextlib.suppress(psycopg.OperationalError):
        async with raw(url) as other:
            await other.execute(b"BEGIN")
            while True:
                await other.execute(
                    b"INSERT INTO large SELECT repeat(md5(n::text), 20) FROM generate_series(1, 50) n"
                )


async def test_a_log_that_ends_earlier_is_gone_on_with_where_all_is_there(
    empty_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was lost was others': this handle knows of nothing that is missing."""
    async with opened(f"{empty_url}&application_name=mine", "test") as journal:
        await _commit(journal)
        await _put_back(journal, empty_url)
        await journal.now()
        assert "is another or was put back" in caplog.text
        caplog.clear()
        await _cut(empty_url)
        await journal.now()
        assert caplog.text == "", "from here on the log is measured anew"


async def test_what_is_missing_from_a_log_that_ends_earlier_is_refused(empty_url: str) -> None:
    async with opened(f"{empty_url}&application_name=mine", "test") as journal:
        run_id = await started(journal)
        await _put_back(journal, empty_url, f"DELETE FROM SCHEMA.runs WHERE run_id = '{run_id}'")
        with pytest.raises(IncompatibleJournal, match=f"acknowledged run {run_id}.*whose log had come to"):
            await journal.now()


async def test_how_far_the_log_has_come_is_learnt_also_where_hints_go_another_way(
    empty_url: str, redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "_LOOKS", 0.0)
    for url in (empty_url, f"{empty_url}&wakeups={quote(redis_server, safe='')}"):
        async with opened(url, "test") as journal:
            history = _history(journal)
            for _ in range(2):
                before = history.reached
                assert before > 0
                await started(journal)
                while history.reached == before:
                    await asyncio.sleep(0)


# --- what is evidence


def _history(journal: PostgresJournal) -> History:
    store = journal._store
    assert store is not None
    return store.space.history


async def _elsewhere(journal: PostgresJournal, url: str, *statements: str) -> None:
    """The next connection leads to another timeline, in which these were carried out."""
    history = _history(journal)
    assert history.identity is not None
    history.identity = evolve(history.identity, timeline="000000FF")
    await _cut(url, *statements)


async def _put_back(journal: PostgresJournal, url: str, *statements: str) -> None:
    """The next connection leads to a log that ends earlier, in which these were carried out."""
    _history(journal).reach(2**60)
    await _cut(url, *statements)


async def _cut(url: str, *statements: str) -> None:
    schema = parse(url).schema
    async with raw(url) as other:
        for statement in statements:
            await other.execute(statement.replace("SCHEMA", f'"{schema}"').encode())
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'mine'"
        )


async def _commit(journal: Journal) -> Commit:
    """A turn that stood."""
    await started(journal)
    made = turn(*await claimed_one(journal))
    (told,) = await journal.commit([made])
    assert told.outcome is CommitOutcome.COMMITTED
    return made


async def test_a_turn_that_is_gone_is_missed_for_ever(empty_url: str) -> None:
    async with opened(f"{empty_url}&application_name=mine", "test") as journal:
        made = await _commit(journal)
        await _elsewhere(
            journal, empty_url, f"DELETE FROM SCHEMA.records WHERE commit_id = '{made.commit_id}'"
        )
        with pytest.raises(IncompatibleJournal, match=f"version {made.version + 1} of run {made.run_id}"):
            await journal.now()
        with pytest.raises(IncompatibleJournal, match="went backwards"):
            await journal.load([made.run_id])


async def test_another_turn_in_its_place_is_noticed(empty_url: str) -> None:
    async with opened(f"{empty_url}&application_name=mine", "test") as journal:
        made = await _commit(journal)
        other = f"UPDATE SCHEMA.records SET commit_id = '{uuid4()}' WHERE commit_id = '{made.commit_id}'"
        await _elsewhere(journal, empty_url, other)
        with pytest.raises(IncompatibleJournal, match="went backwards"):
            await journal.now()


async def test_a_start_that_is_gone_is_noticed(empty_url: str) -> None:
    async with opened(f"{empty_url}&application_name=mine", "test") as journal:
        run_id = await started(journal)
        await _elsewhere(journal, empty_url, f"DELETE FROM SCHEMA.runs WHERE run_id = '{run_id}'")
        with pytest.raises(IncompatibleJournal, match=f"acknowledged run {run_id}"):
            await journal.now()


async def test_what_may_have_been_pruned_is_not_missed(empty_url: str) -> None:
    """A run that had ended when its last turn stood."""
    async with opened(f"{empty_url}&application_name=mine", "test") as journal:
        await started(journal)
        made = turn(*await claimed_one(journal), status=RunStatus.COMPLETED)
        await journal.commit([made])
        store = journal._store
        assert store is not None
        store.space.history._stood.popleft()  # its start
        await _elsewhere(journal, empty_url, "DELETE FROM SCHEMA.runs", "DELETE FROM SCHEMA.records")
        await journal.now()


async def test_the_same_server_is_not_questioned(empty_url: str) -> None:
    async with opened(f"{empty_url}&application_name=mine", "test") as journal:
        await _commit(journal)
        store = journal._store
        assert store is not None
        known = store.space.history.identity
        await _elsewhere(journal, empty_url, "DELETE FROM SCHEMA.runs", "DELETE FROM SCHEMA.records")
        store.space.history.identity = known
        await journal.now()
