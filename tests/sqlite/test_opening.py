"""What a file must be to be opened: durable settings, our schema, of a version this code may use."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from attrs import evolve

from continuum_core.errors import IncompatibleJournal, JournalUnavailable
from continuum_core.journal.commit import PrunePlan
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import new_run
from continuum_sqlite import connection as connections
from continuum_sqlite.connection import open_reader, open_writer
from continuum_sqlite.errors import unusable
from continuum_sqlite.journal import SqliteJournal
from continuum_sqlite.migrations import MIGRATIONS, Migration
from continuum_sqlite.place import Place
from continuum_sqlite.schema import check_file, migrate, stated_version
from tests.sqlite.handles import opened

ENDED_RUN = """
INSERT INTO continuum_runs (namespace, run_id, machine, fingerprint, digest, generation, version, status,
  cause, fence, tries, created, updated, snapshot)
VALUES (1, ?, 'm', 'f', x'', 0, 1, 1, '', 1, 0, 0, ?, x'')
"""

LATER = MIGRATIONS[-1].version + 1


def raw(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, isolation_level=None))


def settings(connection: sqlite3.Connection, *names: str) -> list[object]:
    return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]


def test_what_durability_rests_on_is_set(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "x.db"))
    writer, version = open_writer(place, create=True)
    reader = open_reader(place)
    with closing(writer), closing(reader):
        assert version == MIGRATIONS[-1].version
        assert settings(writer, "journal_mode", "synchronous", "fullfsync", "checkpoint_fullfsync") == [
            "wal",
            2,
            1,
            1,
        ]
        assert settings(reader, "query_only") == [1]


async def test_a_filesystem_without_write_ahead_logging_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite answers with the mode it kept; a memory database, for one, has no log."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    monkeypatch.setattr(connections, "_connect", lambda place, mode: memory)
    with pytest.raises(IncompatibleJournal, match="write-ahead logging"):
        async with opened(tmp_path / "x.db"):
            pass


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is no database, and long enough to be told from an empty one" * 20)
    before = path.read_bytes()
    with pytest.raises(IncompatibleJournal, match="not an SQLite database"):
        async with opened(path):
            pass
    assert path.read_bytes() == before


async def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with raw(path) as other:
        other.execute("CREATE TABLE orders (id)")
    before = path.read_bytes()
    with pytest.raises(IncompatibleJournal, match=r"'orders'.*beside=yes"):
        async with opened(path):
            pass
    assert path.read_bytes() == before


async def test_tables_may_live_beside_others_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with raw(path) as other:
        other.execute("CREATE TABLE orders (id)")
        other.execute("INSERT INTO orders VALUES (1)")
    journal = SqliteJournal(Place(str(path), beside=True), "test", Limits())
    await journal.open()
    await journal.start([new_run()])
    await journal.close()
    with raw(path) as other:
        assert other.execute("SELECT id FROM orders").fetchall() == [(1,)]
        names = {row[0] for row in other.execute("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL")}
    assert all(name == "orders" or name.startswith("continuum_") for name in names)


async def test_a_schema_that_needs_later_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path):
        pass
    with raw(path) as other:
        other.execute("UPDATE continuum_schema SET version = ?, min_reader = ?", (LATER, LATER))
    with pytest.raises(IncompatibleJournal, match=f"schema {LATER}.*upgrade"):
        async with opened(path):
            pass


async def test_a_later_schema_that_we_may_use_is_used_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path):
        pass
    with raw(path) as other:
        other.execute("UPDATE continuum_schema SET version = ?", (LATER,))
    async with opened(path) as journal:
        assert (await journal.open()).schema == LATER
        await journal.start([new_run()])


def test_an_older_file_is_brought_up_to_date(tmp_path: Path) -> None:
    column = Migration(LATER, 1, ("ALTER TABLE continuum_runs ADD COLUMN colour TEXT DEFAULT 'red'",))
    known = (*MIGRATIONS, column)
    connection, _ = open_writer(Place(str(tmp_path / "x.db")), create=True)
    with closing(connection):
        assert migrate(connection, "x.db", known) == LATER
        assert stated_version(connection) == (LATER, 1)
        assert migrate(connection, "x.db", known) == LATER, "a second opener finds nothing to do"
        connection.execute("SELECT colour FROM continuum_runs")
        check_file(connection, "x.db", beside=False, known=MIGRATIONS)  # expanded: old code goes on
        migrate(
            connection, "x.db", (*known, evolve(column, version=LATER + 1, min_reader=LATER, statements=()))
        )
        with pytest.raises(IncompatibleJournal):
            check_file(connection, "x.db", beside=False, known=MIGRATIONS)


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
    assert all(migration.min_reader <= migration.version for migration in MIGRATIONS)


def test_many_openers_of_a_new_file_make_one_schema(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "x.db"))
    gate = threading.Barrier(8)
    versions: list[int] = []

    def open_at_once() -> None:
        gate.wait()
        connection, version = open_writer(place, create=True)
        connection.close()
        versions.append(version)

    threads = [threading.Thread(target=open_at_once) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions == [MIGRATIONS[-1].version] * 8
    with raw(Path(place.path)) as connection:
        assert connection.execute("SELECT count(*) FROM continuum_schema").fetchone() == (1,)


async def test_a_lock_that_is_not_given_up_is_told_as_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with raw(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalUnavailable, match="locked by others"):
            async with opened(path, busy_timeout=0.05):
                pass


def test_a_file_that_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with raw(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError) as failure,
    ):
        connection.execute("INSERT INTO t VALUES (1)")
    told = unusable(str(path), failure.value)
    assert isinstance(told, IncompatibleJournal)
    assert "write permission" in str(told)


def test_who_opens_while_another_mends_the_log_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(str(tmp_path / "x.db"))
    open_writer(place, create=True)[0].close()
    asked: list[bool] = []

    def held_up(connection: sqlite3.Connection) -> tuple[int, int] | None:
        asked.append(True)
        if len(asked) > 1:
            return stated_version(connection)
        with raw(tmp_path / "y.db") as one, raw(tmp_path / "y.db") as other:
            other.execute("PRAGMA busy_timeout = 0")
            one.execute("BEGIN EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
        raise AssertionError("the file is locked")

    monkeypatch.setattr(connections, "stated_version", held_up)
    open_writer(place, create=False)[0].close()
    assert len(asked) == 2


async def test_eternal_runs_of_an_older_file_are_set_apart(tmp_path: Path) -> None:
    """Version 8 marks them in their rows: they are counted, and passed by, as before."""
    path = tmp_path / "x.db"
    with raw(path) as old:
        migrate(old, "x.db", MIGRATIONS[:7])
        old.execute("INSERT INTO continuum_namespaces VALUES (1, 'test')")
        for number in range(3):
            old.execute(ENDED_RUN, (bytes([number] * 16), number))
        old.execute("INSERT INTO continuum_eternal VALUES (1, ?)", (bytes(16),))
    async with opened(path) as journal:
        pruned = await journal.prune(PrunePlan(before=2, limit=10))
        assert (pruned.runs, pruned.eternal) == (1, 1)
        assert [run is not None for run in await journal.load([UUID(int=0)])] == [True]
    with raw(path) as after:
        marked = after.execute("SELECT run_id, eternal FROM continuum_runs ORDER BY run_id").fetchall()
        assert marked == [(bytes(16), 1), (bytes([2] * 16), None)]


async def test_what_an_older_release_made_eternal_is_not_pruned(tmp_path: Path) -> None:
    """It writes the table alone, for it knows no column."""
    path = tmp_path / "x.db"
    async with opened(path):
        pass
    with raw(path) as old:
        for number in range(2):
            old.execute(ENDED_RUN, (bytes([number] * 16), number))
        old.execute("INSERT INTO continuum_eternal VALUES (1, ?)", (bytes(16),))
    async with opened(path) as journal:
        assert (await journal.prune(PrunePlan(before=10, limit=10))).runs == 1
        assert [run is not None for run in await journal.load([UUID(int=0)])] == [True]
