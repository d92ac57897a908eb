"""Verbs that wait share one transaction; failures, cancellations and closing leave nothing behind."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from continuum_core.errors import JournalUnavailable, PayloadRefused, UsageError
from continuum_core.journal.commit import CommitOutcome, Query, StartOutcome, TaskFinish
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import (
    HOUR,
    TAKES,
    finish,
    fused,
    new_id,
    new_run,
    new_task,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import claimed_task, finished, row, seen, waiting
from continuum_sqlite import writer as writers
from continuum_sqlite.connection import open_writer
from continuum_sqlite.journal import SqliteJournal
from continuum_sqlite.place import Place
from continuum_sqlite.transaction import Transaction
from tests.sqlite.handles import claim, opened


def lock(path: Path) -> closing[sqlite3.Connection]:
    """Another program that holds the write lock until it is closed."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return closing(other)


class Trace:
    """Counts the transactions that a handle's writer commits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits = 0
        opening = open_writer

        def traced(place: Place, create: bool, *, makes: bool) -> tuple[sqlite3.Connection, int]:
            connection, version = opening(place, create, makes=makes)
            connection.set_trace_callback(self.note)
            return connection, version

        monkeypatch.setattr(writers, "open_writer", traced)

    def note(self, statement: str) -> None:
        self.commits += statement == "COMMIT"


async def test_verbs_that_wait_share_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    trace = Trace(monkeypatch)
    async with opened(path) as journal:
        before = trace.commits
        with lock(path):
            verbs = [asyncio.ensure_future(journal.start([new_run()])) for _ in range(200)]
            await asyncio.sleep(0)
        answers = await asyncio.gather(*verbs)
        assert all(answer[0].outcome is StartOutcome.STARTED for answer in answers)
        assert trace.commits - before <= 2, "one that was begun alone, and one for all that waited for it"


async def test_one_that_fails_harms_none_of_its_transaction(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as journal:
        good = [new_run() for _ in range(5)]
        bad = new_run(machine="\ud800")
        with lock(path):
            verbs = [asyncio.ensure_future(journal.start([run])) for run in (*good[:3], bad, *good[3:])]
            await asyncio.sleep(0)
        answers = await asyncio.gather(*verbs, return_exceptions=True)
        assert isinstance(answers[3], PayloadRefused)
        assert all(await journal.load([run.run_id for run in good]))
        assert await journal.load([bad.run_id]) == [None]


async def test_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as journal:
        run = new_run()
        with pytest.raises(PayloadRefused):
            await journal.start([run, new_run(delivery=signal(run.run_id, due=2**63))])
        assert await journal.load([run.run_id]) == [None]


async def test_a_cancelled_caller_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as journal:
        with lock(path):
            first = asyncio.ensure_future(journal.start([new_run()]))
            await asyncio.sleep(0.01)  # whether it is waiting for the lock by now makes no difference
            late = new_run()
            second = asyncio.ensure_future(journal.start([late]))
            await asyncio.sleep(0)
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
        await first
        await journal.start([new_run()])
        assert await journal.load([late.run_id]) == [None]


async def test_closing_lets_what_was_asked_finish_and_ends_the_threads(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    before = set(threading.enumerate())
    journal = SqliteJournal(Place(str(path)), "test", Limits())
    await journal.open()
    runs = [new_run() for _ in range(20)]
    verbs = [asyncio.ensure_future(journal.start([run])) for run in runs]
    await asyncio.sleep(0)
    await asyncio.gather(journal.close(), journal.close())
    await asyncio.gather(*verbs)
    assert set(threading.enumerate()) <= before
    assert {file.name for file in path.parent.iterdir()} == {"x.db"}, "the last to close takes the log away"
    with pytest.raises(UsageError, match="not open"):
        await journal.now()
    await journal.open()
    assert all(await journal.load([run.run_id for run in runs]))
    await journal.close()


async def test_a_close_that_is_cancelled_still_ends_the_threads(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    journal = SqliteJournal(Place(str(tmp_path / "x.db")), "test", Limits())
    await journal.open()
    closing_ = asyncio.ensure_future(journal.close())
    await asyncio.sleep(0)
    closing_.cancel()
    await asyncio.gather(closing_, return_exceptions=True)
    await journal.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
        assert not thread.is_alive()


async def test_an_outcome_that_its_turn_consumes_is_never_stored(tmp_path: Path) -> None:
    """Where the turn does not stand, it is."""
    path = tmp_path / "x.db"
    async with opened(path) as journal:
        ends: list[TaskFinish] = []
        for _ in range(2):
            run_id = await waiting(journal, {"tasks": (new_task(1),)})
            end = finish(await claimed_task(journal))
            assert end.delivery is not None
            run = await row(journal, run_id)
            ends.append(replace(end, turn=fused(run, await journal.now(), (end.delivery.id,), closed=(1,))))
        with closing(sqlite3.connect(path)) as other:
            other.execute(
                "CREATE TRIGGER stored BEFORE INSERT ON continuum_deliveries "
                "BEGIN SELECT RAISE(ABORT, 'a delivery is stored'); END"
            )
            stands, outrun = ends
            answer = await finished(journal, stands)
            assert answer.committed is not None
            assert answer.committed.outcome is CommitOutcome.COMMITTED
            assert outrun.turn is not None
            late = replace(outrun, turn=replace(outrun.turn, base=new_id()))
            with pytest.raises(JournalUnavailable, match="a delivery is stored"):
                await journal.finish([late])
            other.execute("DROP TRIGGER stored")
        answer = await finished(journal, late)
        assert answer.committed is not None
        assert answer.committed.outcome is CommitOutcome.REFUSED
        assert late.delivery is not None
        inspection = await seen(journal, late.run_id)
        assert [each.id for each in inspection.deliveries] == [late.delivery.id]


async def test_a_poll_that_finds_nothing_takes_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path, busy_timeout=0.05) as journal:
        await journal.start([new_run()])
        assert len(await claim(journal)) == 1
        with lock(path):
            assert await claim(journal) == ()
            assert not (await journal.claim_tasks(new_id(), [], HOUR)).tasks
            with pytest.raises(JournalUnavailable):
                await journal.start([new_run()])


async def test_reading_does_not_queue_behind_writing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as journal:
        run = new_run()
        await journal.start([run])
        with lock(path):
            writing = asyncio.ensure_future(journal.deliver([signal(run.run_id)]))
            await asyncio.sleep(0)
            assert (await journal.load([run.run_id]))[0] is not None
            assert len((await journal.list(Query())).runs) == 1
            assert not writing.done()
        await writing


async def test_locked_becomes_unavailable_after_the_bound_and_nothing_was_done(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path, busy_timeout=0.05) as journal:
        run = new_run()
        with lock(path), pytest.raises(JournalUnavailable, match="locked by others") as failure:
            await journal.start([run])
        assert not failure.value.ambiguous
        assert await journal.load([run.run_id]) == [None]
        assert (await journal.start([run]))[0].outcome is StartOutcome.STARTED


async def test_a_full_disk_is_told_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own limit of pages fails in the same place, with the same code, as a disk that is full."""
    opening = open_writer
    small = True

    def limited(place: Place, create: bool, *, makes: bool) -> tuple[sqlite3.Connection, int]:
        connection, version = opening(place, create, makes=makes)
        connection.execute(f"PRAGMA max_page_count = {80 if small else 1_000_000}")
        return connection, version

    monkeypatch.setattr(writers, "open_writer", limited)
    async with opened(tmp_path / "x.db") as journal:
        kept = new_run()
        await journal.start([kept])
        large = signal(kept.run_id, b"x" * 1_000_000)
        with pytest.raises(JournalUnavailable, match="disk is full") as failure:
            await journal.deliver([large])
        assert not failure.value.ambiguous
        small = False  # somebody made room; the connection is opened anew after the error
        assert (await journal.deliver([large]))[0].outcome.value == "accepted"
        assert len((await claim(journal))[0].deliveries) == 2


class FailingCommit:
    """A connection whose COMMIT fails, after or before it took effect."""

    def __init__(self, connection: sqlite3.Connection, done: bool) -> None:
        self._connection = connection
        self._done = done
        self.executemany = connection.executemany
        self.close = connection.close

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
        if sql == "COMMIT" and self._connection.in_transaction:
            self._connection.execute("COMMIT" if self._done else "ROLLBACK")
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._connection.execute(sql, parameters)


@pytest.mark.parametrize("done", [True, False])
async def test_a_commit_that_fails_is_ambiguous_and_the_retry_gives_one_copy(
    done: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "x.db") as journal:
        run = new_run()
        await journal.start([run])
        answer = await journal.claim_runs(new_id(), 1, HOUR, TAKES)
        commit = turn(answer.runs[0], answer.now)
        original = writers.Writer._connected
        failing = iter([True])

        def connected(self: writers.Writer) -> object:
            connection = original(self)
            return FailingCommit(connection, done) if next(failing, False) else connection

        monkeypatch.setattr(writers.Writer, "_connected", connected)
        with pytest.raises(JournalUnavailable, match="failed to read or write") as failure:
            await journal.commit([commit])
        assert failure.value.ambiguous
        assert isinstance(failure.value.__cause__, sqlite3.OperationalError)
        assert (await journal.commit([commit]))[0].outcome.value == "committed"
        assert len(await journal.history(run.run_id)) == 1


async def test_a_file_that_was_replaced_is_told_and_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as journal:
        await journal.start([new_run()])
        path.unlink()
        with pytest.raises(JournalUnavailable, match="removed or replaced"):
            await journal.start([new_run()])
        assert not path.exists()


async def test_an_error_of_the_code_reaches_its_caller_and_the_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(transaction: Transaction, deliveries: object) -> object:
        raise ZeroDivisionError

    async with opened(tmp_path / "x.db") as journal:
        monkeypatch.setattr("continuum_sqlite.journal.deliver", broken)
        with pytest.raises(ZeroDivisionError):
            await journal.deliver([])
        assert (await journal.start([new_run()]))[0].outcome is StartOutcome.STARTED
