"""Activities that write in the transaction of their outcome: the user's rows are there exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy
import sqlalchemy.exc
import sqlalchemy.orm
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from continuum_core import (
    Client,
    Handle,
    Machine,
    Retry,
    RunFailed,
    Transaction,
    UsageError,
    Worker,
    activity,
    current_attempt,
    root,
    to,
)
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from continuum_postgres import finishes, transaction
from continuum_postgres.joined import Joined, run
from continuum_postgres.source import Conninfo
from tests.postgres.bookings import ATTEMPTS, MOMENTS, POINTS, TABLE, Booking, booked, interrupt
from tests.postgres.handles import raw, soon

ROOT = Path(__file__).parents[2]
ONCE = [(1, "book"), (1, "confirm")]


async def make_tables(url: str) -> None:
    async with raw(url) as connection:
        await connection.execute("DROP TABLE IF EXISTS bookings")
        await connection.execute(TABLE)


async def whole(client: Client, handle: Handle[Any]) -> None:
    """The run's history is one, and nothing of it is left open."""
    await verify_run(client.journal, Registry([Booking]), handle.id)
    view = await client.view(handle.id)
    assert (view.version, view.tasks) == (3, ())


# --- crashes, at every point


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_killed_at_any_point_books_once(empty_url: str, tmp_path: Path, point: str) -> None:
    await make_tables(empty_url)
    mark = tmp_path / "died"
    command = [sys.executable, "-m", "tests.postgres.bookings", empty_url, point, str(mark)]
    async with Client(empty_url, [Booking], poll=0.1) as client:
        handle = await client.start(Booking, 1)
        doomed = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        assert await soon(doomed.wait()) == -signal.SIGKILL
        assert mark.exists()
        async with Worker(empty_url, [Booking], lease=1.0, poll=0.1):
            assert await soon(handle.result(20)) == 3
        await whole(client, handle)
    assert await booked(empty_url) == ONCE


@pytest.mark.parametrize("point", POINTS)
async def test_a_connection_cut_at_any_point_books_once(empty_url: str, point: str) -> None:
    await make_tables(empty_url)
    cuts = 0
    async with raw(empty_url) as killer:

        async def cut(connection: psycopg.AsyncConnection[Any]) -> None:
            nonlocal cuts
            if not cuts:
                cuts += 1
                await killer.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))

        with interrupt():
            MOMENTS[point] = cut
            async with Worker(empty_url, [Booking], lease=2.0, poll=0.1) as worker:
                handle = await worker.client.start(Booking, 1)
                assert await soon(handle.result(20)) == 3
                await whole(worker.client, handle)
            tries = [attempt.number for attempt in ATTEMPTS]
    assert cuts == 1
    if point in POINTS[2:]:  # the body has returned: the cut is no failure of its
        assert set(tries) == {1}
    assert await booked(empty_url) == ONCE


class Deaf:
    """A way to the server on which the answer to a COMMIT is lost, and the connection with it.

    :param heard: whether the server hears of the commit at all.
    """

    def __init__(self, url: str, heard: bool) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._heard = heard
        self.lost = 0
        self._streams: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Deaf:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for stream in self._streams:
            stream.close()
            with contextlib.suppress(OSError):
                await stream.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(*self._server)
        self._streams += [writer, forth]
        answers = asyncio.create_task(self._pass_on(back, writer))
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if b"COMMIT\0" in data and not self.lost:
                    self.lost += 1
                    answers.cancel()
                    await asyncio.wait([answers])  # two may not read one stream
                    if self._heard:
                        forth.write(data)
                        await forth.drain()
                        await back.read(65536)
                    break
                forth.write(data)
        answers.cancel()
        for stream in (forth, writer):
            stream.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(65536):
                writer.write(data)


@pytest.mark.parametrize("heard", [True, False])
async def test_a_commit_whose_answer_is_lost_books_once(
    empty_url: str, heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it stands is asked of the task: then its turn is known, too, and no body runs again."""
    await make_tables(empty_url)
    async with Deaf(empty_url, heard) as deaf:

        async def lend(source: Conninfo) -> psycopg.AsyncConnection[Any]:
            text = re.sub(r"port=\S+", f"port={deaf.port}", source.plain)
            return await psycopg.AsyncConnection.connect(text, sslmode="disable", gssencmode="disable")

        monkeypatch.setattr(Conninfo, "lend", lend)
        with interrupt():
            async with Worker(empty_url, [Booking], poll=0.1) as worker:
                handle = await worker.client.start(Booking, 1)
                assert await soon(handle.result(20)) == 3
                await whole(worker.client, handle)
            assert [attempt.number for attempt in ATTEMPTS] == [1] * (2 if heard else 3)
        assert deaf.lost == 1
    assert await booked(empty_url) == ONCE


async def test_a_cancel_that_comes_during_the_commit_is_too_late(empty_url: str) -> None:
    await make_tables(empty_url)

    async def cancel(_: Any) -> None:
        ATTEMPTS[-1].request_cancel()
        await asyncio.sleep(0.05)

    with interrupt():
        MOMENTS["before the commit"] = cancel
        async with Worker(empty_url, [Booking], poll=0.1) as worker:
            handle = await worker.client.start(Booking, 1)
            assert await soon(handle.result(20)) == 3
            await whole(worker.client, handle)
        assert len(ATTEMPTS) == 2
    assert await booked(empty_url) == ONCE


async def test_without_a_connection_the_task_waits_and_nothing_is_counted(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_tables(empty_url)
    lend, refused = Conninfo.lend, 0

    async def unlent(source: Conninfo) -> psycopg.AsyncConnection[Any]:
        nonlocal refused
        refused += 1
        if refused == 1:
            raise psycopg.OperationalError("too many clients already")
        return await lend(source)

    monkeypatch.setattr(Conninfo, "lend", unlent)
    with interrupt():
        async with Worker(empty_url, [Booking], poll=0.1) as worker:
            handle = await worker.client.start(Booking, 1)
            assert await soon(handle.result(20)) == 3
        assert [attempt.number for attempt in ATTEMPTS] == [1, 1]
    assert refused == 3


# --- what a body may do, and what becomes of it


def machine(body: Any, named: str) -> type[Machine[int, int, str]]:
    """One activity, and how it ended."""

    class One(Machine[int, int, str], name=named):
        s = root(int)
        at_it = s.state(initial=True)
        done = s.final()
        bad = s.final(ok=False)

        @staticmethod
        def init(i: int) -> int:
            return i

        @staticmethod
        def result(c: int) -> str:
            return "done"

        at_it.invoke(body, lambda c: c, done=done, error={Exception: to(bad)})

    return One


ONE_TRY = Retry(attempts=1)


async def outcome(url: str, body: Any, named: str, number: int = 1) -> str:
    """How a run of one such activity ended: "done", or its failure in words."""
    one = machine(body, named)
    async with Worker(url, [one], poll=0.1) as worker:
        handle = await worker.client.start(one, number)
        try:
            return await soon(handle.result(20))
        except RunFailed as failed:
            return str(failed.failure)


async def test_what_a_body_wrote_before_it_raised_is_gone(empty_url: str) -> None:
    await make_tables(empty_url)

    @activity(retry=ONE_TRY)
    async def fail(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        await connection.execute("INSERT INTO bookings VALUES (%s, 'fail')", (number,))
        raise LookupError("no seat")

    assert "no seat" in await outcome(empty_url, fail, "pg-fail")
    assert await booked(empty_url) == []


async def test_what_a_body_wrote_before_its_timeout_is_gone(empty_url: str) -> None:
    await make_tables(empty_url)

    @activity(retry=ONE_TRY, timeout=timedelta(milliseconds=200))
    async def hang(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        await connection.execute("INSERT INTO bookings VALUES (%s, 'hang')", (number,))
        await connection.execute("SELECT pg_sleep(60)")

    assert "exceeded its timeout" in await outcome(empty_url, hang, "pg-hang")
    assert await booked(empty_url) == []


async def test_a_thread_that_is_abandoned_writes_nothing_more(empty_url: str) -> None:
    """Its statement is cancelled, and its connection closed: the thread goes on, and cannot write."""
    await make_tables(empty_url)
    went_on: list[BaseException] = []
    ended = threading.Event()

    @activity(retry=ONE_TRY, timeout=timedelta(milliseconds=300))
    def hang(number: int, *, connection: Transaction[psycopg.Connection]) -> None:
        connection.execute("INSERT INTO bookings VALUES (%s, 'hang')", (number,))
        try:
            for _ in range(2):
                try:
                    connection.execute("SELECT pg_sleep(60)")
                except psycopg.Error as error:
                    went_on.append(error)
            connection.execute("INSERT INTO bookings VALUES (%s, 'again')", (number,))
        except psycopg.Error as error:
            went_on.append(error)
        finally:
            ended.set()

    assert "exceeded its timeout" in await outcome(empty_url, hang, "pg-abandoned")
    assert await asyncio.to_thread(ended.wait, 20)
    assert len(went_on) == 3
    assert await booked(empty_url) == []


async def test_a_thread_that_waits_on_the_connection_is_cut_off(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no statement to cancel: it listens, and would for ever."""
    await make_tables(empty_url)
    monkeypatch.setattr(transaction, "_CANCELLING", 0.2)
    ended = threading.Event()

    @activity(retry=ONE_TRY, timeout=timedelta(milliseconds=300))
    def listen(number: int, *, connection: Transaction[psycopg.Connection]) -> None:
        connection.execute("INSERT INTO bookings VALUES (%s, 'listen')", (number,))
        try:
            for _ in connection.notifies():
                pass
        finally:
            ended.set()

    assert "exceeded its timeout" in await outcome(empty_url, listen, "pg-listening")
    assert await asyncio.to_thread(ended.wait, 20)
    assert await booked(empty_url) == []


@pytest.mark.parametrize("word", ["commit", "rollback"])
async def test_a_body_that_ends_the_transaction_is_told_at_once(empty_url: str, word: str) -> None:
    await make_tables(empty_url)

    @activity(retry=ONE_TRY)
    async def end(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        await connection.execute("INSERT INTO bookings VALUES (%s, 'end')", (number,))
        await getattr(connection, word)()

    assert "forbidden" in await outcome(empty_url, end, f"pg-{word}")
    assert await booked(empty_url) == []


async def test_a_body_that_ends_it_behind_the_driver_is_told_too(empty_url: str) -> None:
    """What it committed by itself cannot be taken back; no outcome is stored, and it is not tried again."""
    await make_tables(empty_url)

    @activity(retry=Retry(attempts=5))
    async def end(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        await connection.execute("INSERT INTO bookings VALUES (%s, 'kept')", (number,))
        await connection.execute("COMMIT")
        await connection.execute("INSERT INTO bookings VALUES (%s, 'lost')", (number,))

    assert "commit and rollback are the engine's" in await outcome(empty_url, end, "pg-escape")
    assert await booked(empty_url) == [(1, "kept")]


async def test_a_body_that_swallows_a_failed_statement_is_told(empty_url: str) -> None:
    await make_tables(empty_url)

    @activity()
    async def swallow(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        await connection.execute("INSERT INTO bookings VALUES (%s, 'first')", (number,))
        with contextlib.suppress(psycopg.Error):
            await connection.execute("SELECT 1 / 0")

    assert "Let the error pass" in await outcome(empty_url, swallow, "pg-swallow")
    assert await booked(empty_url) == []


async def test_a_savepoint_of_the_body_is_its_own(empty_url: str) -> None:
    await make_tables(empty_url)

    @activity()
    async def tries(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        with contextlib.suppress(psycopg.Error):
            async with connection.transaction():
                await connection.execute("INSERT INTO bookings VALUES (%s, 'undone')", (number,))
                await connection.execute("SELECT 1 / 0")
        await connection.execute("INSERT INTO bookings VALUES (%s, 'kept')", (number,))

    assert await outcome(empty_url, tries, "pg-savepoint") == "done"
    assert await booked(empty_url) == [(1, "kept")]


async def test_a_constraint_that_is_checked_at_the_commit_is_the_bodys_failure(empty_url: str) -> None:
    await make_tables(empty_url)
    async with raw(empty_url) as connection:
        await connection.execute("DROP TABLE bookings")
        await connection.execute(
            "CREATE TABLE bookings (number integer UNIQUE DEFERRABLE INITIALLY DEFERRED, step text)"
        )

    @activity(retry=ONE_TRY)
    async def twice(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        for _ in range(2):
            await connection.execute("INSERT INTO bookings VALUES (%s, 'twice')", (number,))

    assert "UniqueViolation" in await outcome(empty_url, twice, "pg-deferred")
    assert await booked(empty_url) == []


async def test_a_trigger_that_is_fired_at_the_commit_is_the_bodys_failure(empty_url: str) -> None:
    await make_tables(empty_url)
    schema = empty_url.partition("schema=")[2]
    async with raw(empty_url) as connection:
        refuse = f"""
          CREATE SCHEMA IF NOT EXISTS "{schema}";
          CREATE FUNCTION "{schema}".refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'overbooked'; END $$;
          CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON bookings DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION "{schema}".refuse()
        """
        await connection.execute(refuse.encode())

    @activity(retry=ONE_TRY)
    async def overbook(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        await connection.execute("INSERT INTO bookings VALUES (%s, 'over')", (number,))

    assert "overbooked" in await outcome(empty_url, overbook, "pg-trigger")
    assert await booked(empty_url) == []
    async with raw(empty_url) as connection:
        await connection.execute("DROP TABLE bookings")


async def test_a_body_that_closes_its_connection_is_told(empty_url: str) -> None:
    await make_tables(empty_url)

    @activity()
    async def close(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        await connection.execute("INSERT INTO bookings VALUES (%s, 'closed')", (number,))
        await connection.close()

    assert "has closed the connection" in await outcome(empty_url, close, "pg-closing")
    assert await booked(empty_url) == []


async def test_a_transaction_that_the_server_allows_no_longer_is_the_bodys_failure(empty_url: str) -> None:
    await make_tables(empty_url)

    @activity(retry=ONE_TRY)
    async def idle(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
        look = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
        async with raw(empty_url) as looking:
            while await (await looking.execute(look, (connection.info.backend_pid,))).fetchall():
                await asyncio.sleep(0.01)

    assert "idle-in-transaction timeout" in await outcome(empty_url, idle, "pg-idling")


@pytest.mark.parametrize(("times", "ran"), [(2, 1), (4, 2)])
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
async def test_an_outcome_that_meets_another_transaction_is_written_again(
    empty_url: str, plain: bool, times: int, ran: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under its savepoint, and what the body wrote stays; in the end the body runs again, on the same try."""
    await make_tables(empty_url)
    met, numbers = 0, list[int]()
    deadlock = "DO $$ BEGIN RAISE EXCEPTION 'met another' USING ERRCODE = 'deadlock_detected'; END $$"

    async def meets(session: Joined, endings: Any) -> Any:
        nonlocal met
        await session.ask()  # the savepoint
        if met < times:
            met += 1
            await run(session.to, (deadlock.encode(), ()))
        return await finishes.finish(session, endings)

    @activity(retry=ONE_TRY)
    async def awaited(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        numbers.append(current_attempt().number)
        await connection.execute("INSERT INTO bookings VALUES (%s, 'met')", (number,))

    @activity(retry=ONE_TRY)
    def blocking(number: int, *, connection: Transaction[psycopg.Connection]) -> None:
        numbers.append(current_attempt().number)
        connection.execute("INSERT INTO bookings VALUES (%s, 'met')", (number,))

    monkeypatch.setattr(transaction, "finish", meets)
    body: Any = blocking if plain else awaited
    assert await outcome(empty_url, body, f"pg-meeting-{body.name}") == "done"
    assert await booked(empty_url) == [(1, "met")]
    assert (met, numbers) == (times, [1] * ran)


async def test_a_body_whose_task_was_taken_over_writes_nothing(empty_url: str) -> None:
    """The fence decides: the first one's rows go with its outcome."""
    await make_tables(empty_url)
    first, second = asyncio.Event(), asyncio.Event()

    @activity(retry=ONE_TRY)
    async def slow(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        losses = current_attempt().losses
        await connection.execute("INSERT INTO bookings VALUES (%s, %s)", (number, f"losses {losses}"))
        if losses == 0:
            first.set()
            await second.wait()

    one = machine(slow, "pg-taken")
    async with raw(empty_url) as meddling, Worker(empty_url, [one], lease=600, poll=0.1) as worker:
        handle = await worker.client.start(one, 1)
        await soon(first.wait())
        schema = empty_url.partition("schema=")[2]
        expire = f'UPDATE "{schema}".tasks SET lease_until = 1, wake = 1'
        await meddling.execute(expire.encode())
        assert await soon(handle.result(20)) == "done"
        second.set()
    assert await booked(empty_url) == [(1, "losses 1")]


async def test_nothing_of_the_journal_is_locked_while_the_body_runs(empty_url: str) -> None:
    """Its lease is renewed and the run is cancelled meanwhile; then the body is, and its writes are gone."""
    await make_tables(empty_url)
    began: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @activity()
    async def wait(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        await connection.execute("INSERT INTO bookings VALUES (%s, 'wait')", (number,))
        began.set_result(connection.info.backend_pid)
        await asyncio.Event().wait()

    one = machine(wait, "pg-unlocked")
    async with Worker(empty_url, [one], lease=1.0, poll=0.1) as worker:
        handle = await worker.client.start(one, 1)
        body = await soon(began)
        [before] = (await handle.view()).tasks
        async with raw(empty_url) as looking:
            held = "SELECT c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = %s"
            locked = {name for (name,) in await (await looking.execute(held, (body,))).fetchall()}
            assert "bookings" in locked
            assert locked & {"runs", "tasks", "deliveries", "seen", "records"} == set()
        assert before is not None
        await soon(handle.cancel("enough"))
        with pytest.raises(Exception, match="cancelled"):
            await soon(handle.result(20))
    assert await booked(empty_url) == []


# --- kinds of connections


INSERT = sqlalchemy.text("INSERT INTO bookings VALUES (:number, 'kind')")


class Base(sqlalchemy.orm.DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "bookings"
    number: sqlalchemy.orm.Mapped[int] = sqlalchemy.orm.mapped_column(primary_key=True)
    step: sqlalchemy.orm.Mapped[str]


@activity(retry=ONE_TRY)
def by_psycopg(number: int, *, connection: Transaction[psycopg.Connection]) -> None:
    connection.execute("INSERT INTO bookings VALUES (%s, 'kind')", (number,))


@activity(retry=ONE_TRY)
def by_connection(number: int, *, connection: Transaction[sqlalchemy.Connection]) -> None:
    connection.execute(INSERT, {"number": number})


@activity(retry=ONE_TRY)
def by_session(number: int, *, session: Transaction[sqlalchemy.orm.Session]) -> None:
    session.add(Row(number=number, step="kind"))  # written when the engine flushes


@activity(retry=ONE_TRY)
async def by_async_connection(number: int, *, connection: Transaction[AsyncConnection]) -> None:
    await connection.execute(INSERT, {"number": number})


@activity(retry=ONE_TRY)
async def by_async_session(number: int, *, session: Transaction[AsyncSession]) -> None:
    session.add(Row(number=number, step="kind"))


KINDS = [by_psycopg, by_connection, by_session, by_async_connection, by_async_session]


@pytest.mark.parametrize("body", KINDS, ids=lambda body: str(body.name))
async def test_every_kind_of_connection_writes_with_the_outcome(empty_url: str, body: Any) -> None:
    await make_tables(empty_url)
    one = machine(body, f"pg-{body.name.replace('_', '-')}")
    async with Worker(empty_url, [one], poll=0.1) as worker:
        handles = [await worker.client.start(one, number) for number in (1, 2, 3)]
        assert [await soon(handle.result(20)) for handle in handles] == ["done"] * 3
    assert await booked(empty_url) == [(1, "kind"), (2, "kind"), (3, "kind")]


@activity(retry=ONE_TRY)
def session_fails(number: int, *, session: Transaction[sqlalchemy.orm.Session]) -> None:
    session.add(Row(number=number, step="gone"))
    session.flush()
    raise LookupError("no seat")


@activity(retry=ONE_TRY)
async def connection_commits(number: int, *, connection: Transaction[AsyncConnection]) -> None:
    await connection.execute(INSERT, {"number": number})
    await connection.commit()


@activity(retry=ONE_TRY)
async def session_refused(number: int, *, session: Transaction[AsyncSession]) -> None:
    session.add(Row(number=number, step="gone"))
    await session.commit()  # ends at a savepoint
    await session.execute(sqlalchemy.text("SELECT 1 / 0"))


@pytest.mark.parametrize(
    ("body", "words"),
    [(session_fails, "no seat"), (connection_commits, "forbidden"), (session_refused, "DivisionByZero")],
    ids=lambda each: str(getattr(each, "name", "")),
)
async def test_sqlalchemy_leaves_nothing_of_a_failed_body(empty_url: str, body: Any, words: str) -> None:
    await make_tables(empty_url)
    assert words in await outcome(empty_url, body, f"pg-{body.name.replace('_', '-')}")
    assert await booked(empty_url) == []


async def test_a_session_may_undo_what_is_its_own(empty_url: str) -> None:
    """Its commit and rollback end at a savepoint; whether anything stays is the outcome's to say."""
    await make_tables(empty_url)

    @activity(retry=ONE_TRY)
    def second_thoughts(number: int, *, session: Transaction[sqlalchemy.orm.Session]) -> None:
        session.add(Row(number=number, step="kept"))
        session.commit()
        session.add(Row(number=number + 1, step="undone"))
        session.flush()
        session.rollback()

    assert await outcome(empty_url, second_thoughts, "pg-second-thoughts") == "done"
    assert await booked(empty_url) == [(1, "kept")]


async def test_a_flush_that_fails_is_the_bodys_failure(empty_url: str) -> None:
    await make_tables(empty_url)
    async with raw(empty_url) as connection:
        await connection.execute("ALTER TABLE bookings ADD UNIQUE (number)")
        await connection.execute("INSERT INTO bookings VALUES (1, 'there')")
    assert "UniqueViolation" in await outcome(empty_url, by_async_session, "pg-flush")
    assert await booked(empty_url) == [(1, "there")]


async def test_a_worker_refuses_a_kind_that_does_not_fit_the_body(empty_url: str) -> None:
    @activity()
    async def mixed(number: int, *, connection: Transaction[psycopg.Connection]) -> None: ...

    @activity()
    async def strange(number: int, *, connection: Transaction[dict[str, int]]) -> None: ...

    for body, words in (
        (mixed, "which is for the other kind of body"),
        (strange, "which this journal cannot"),
    ):
        with pytest.raises(UsageError, match=words):
            async with Worker(empty_url, [machine(body, f"pg-{body.name}")]):
                pass


async def test_transactions_at_once_are_bounded(empty_url: str) -> None:
    """Twenty bodies that all run want ten connections: the others wait, and are not late for it."""
    await make_tables(empty_url)
    running = most = 0

    @activity(timeout=timedelta(seconds=20))
    async def count(number: int, *, connection: Transaction[psycopg.AsyncConnection]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await connection.execute("INSERT INTO bookings VALUES (%s, 'count')", (number,))
        running -= 1

    one = machine(count, "pg-count")
    async with Worker(empty_url, [one]) as worker:
        handles = [await worker.client.start(one, number) for number in range(20)]
        for handle in handles:
            await soon(handle.result(20))
    assert len(await booked(empty_url)) == 20
    assert most <= 10
