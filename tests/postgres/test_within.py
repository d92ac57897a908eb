"""Starts and sends in a transaction of the caller's: there with its rows, or not at all; and nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy
import sqlalchemy.orm
from attrs import frozen
from msgspec.structs import replace
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from continuum_core import (
    AlreadyStarted,
    Client,
    Handle,
    JournalUnavailable,
    Machine,
    RunNotFound,
    RunOver,
    RunStatus,
    SyncClient,
    UsageError,
    Worker,
    activity,
    event,
    root,
)
from continuum_core.journal.commit import DeliverOutcome, StartOutcome
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import first_turn, new_id, new_run, signal, turn
from continuum_core.testing.conformance.kit import claimed_one, committed, delivered, payloads, waiting
from continuum_postgres import callers
from continuum_postgres.joined import Joined
from continuum_postgres.place import parse
from continuum_postgres.session import Session
from continuum_postgres.source import Conninfo
from continuum_postgres.statements.fused import FUSE_START
from tests.postgres.handles import opened, raw, soon, waits_for_lock

ROWS = "CREATE TABLE IF NOT EXISTS rows_of_ours (number integer)"


@frozen
class Heap:
    stones: tuple[int, ...] = ()


@event
class Stone:
    weight: int


@event
class Enough:
    pass


@activity()
async def weigh(stones: tuple[int, ...]) -> int:
    return sum(stones)


class Pile(Machine[Heap, int, int], name="pg-pile"):
    """Takes stones, and says at the end what they weigh. Its first turn begins an activity."""

    s = root(Heap)
    first = s.state(initial=True)
    open_ = s.state()
    done = s.final()
    bad = s.final(ok=False)

    @staticmethod
    def init(i: int) -> Heap:
        return Heap((i,))

    @staticmethod
    def result(c: Heap) -> int:
        return sum(c.stones)

    first.invoke(weigh, lambda c: c.stones, done=open_, error={Exception: bad})
    first.defer(Stone)
    first.defer(Enough)
    open_.on(Stone, assign=lambda c, e: Heap((*c.stones, e.weight)))
    open_.on(Enough, done)


# --- the six kinds of connections, each behind the same few words


class Caller:
    """Somebody with rows of his own: writes one, and ends the transaction."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def write(self) -> None:
        text = "INSERT INTO rows_of_ours VALUES (1)"
        written = self.connection.execute(sqlalchemy.text(text) if _is_alchemy(self.connection) else text)
        if hasattr(written, "__await__"):
            await written

    async def end(self, how: str) -> None:
        ended = getattr(self.connection, how)()
        if ended is not None:
            await ended


def _is_alchemy(connection: Any) -> bool:
    return type(connection).__module__.startswith("sqlalchemy")


def alchemy(url: str) -> str:
    return url.partition("?")[0].replace("postgresql://", "postgresql+psycopg://")


@asynccontextmanager
async def psycopg_async(url: str) -> AsyncIterator[Any]:
    connection = await psycopg.AsyncConnection.connect(url.partition("?")[0])
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def psycopg_plain(url: str) -> AsyncIterator[Any]:
    connection = psycopg.connect(url.partition("?")[0])
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def engine(url: str) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(alchemy(url))
    try:
        yield made
    finally:
        made.dispose()


@asynccontextmanager
async def alchemy_connection(url: str) -> AsyncIterator[Any]:
    with engine(url) as made, made.connect() as connection:
        yield connection


@asynccontextmanager
async def alchemy_session(url: str) -> AsyncIterator[Any]:
    with engine(url) as made, sqlalchemy.orm.Session(made) as session:
        yield session


@asynccontextmanager
async def alchemy_async_connection(url: str) -> AsyncIterator[Any]:
    made = create_async_engine(alchemy(url))
    try:
        async with made.connect() as connection:
            yield connection
    finally:
        await made.dispose()


@asynccontextmanager
async def alchemy_async_session(url: str) -> AsyncIterator[Any]:
    made = create_async_engine(alchemy(url))
    try:
        async with AsyncSession(made) as session:
            yield session
    finally:
        await made.dispose()


PLAIN = (psycopg_plain, alchemy_connection, alchemy_session)
KINDS = (*PLAIN, psycopg_async, alchemy_async_connection, alchemy_async_session)

Kind = Callable[[str], contextlib.AbstractAsyncContextManager[Any]]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))


async def our_rows(url: str) -> int:
    async with raw(url) as connection:
        row = await (await connection.execute("SELECT count(*) FROM rows_of_ours")).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def url(empty_url: str) -> str:
    """A journal's URL; its database has a table of the caller's."""
    with psycopg.connect(empty_url.partition("?")[0], autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS rows_of_ours")
        connection.execute(ROWS)
    return empty_url


async def there(client: Client, handle: Handle[Any]) -> bool:
    try:
        await client.view(handle.id)
    except RunNotFound:
        return False
    return True


# --- with the caller's rows, or not at all


@kinds
@pytest.mark.parametrize("first", ["rows", "start"])
async def test_a_committed_start_is_there_with_the_rows(url: str, kind: Kind, first: str) -> None:
    async with Client(url, [Pile]) as client, kind(url) as connection:
        caller = Caller(connection)
        if first == "rows":
            await caller.write()
        handle = await soon(client.start(Pile, 5, key="k", connection=connection))
        await soon(handle.send(Stone(7), connection=connection))
        if first == "start":
            await caller.write()
        assert not await there(client, handle)
        await caller.end("commit")
        assert await our_rows(url) == 1
        async with Worker(url, [Pile], poll=0.1):
            await handle.send(Enough())
            assert await soon(handle.result(20)) == 12


@kinds
async def test_a_start_that_is_rolled_back_never_was(url: str, kind: Kind) -> None:
    async with Client(url, [Pile]) as client, kind(url) as connection:
        caller = Caller(connection)
        await caller.write()
        handle = await soon(client.start(Pile, 5, key="k", connection=connection))
        await soon(handle.send(Stone(7), dedupe="s", connection=connection))
        await caller.end("rollback")
        assert not await there(client, handle)
        assert await our_rows(url) == 0
        again = await client.start(Pile, 6, key="k")  # another input: nothing is left of the first
        await again.send(Stone(1), dedupe="s")
        await again.send(Enough())
        async with Worker(url, [Pile], poll=0.1):
            assert await soon(again.result(20)) == 7


@pytest.mark.parametrize("kind", PLAIN, ids=lambda kind: str(kind.__name__))
def test_the_plain_client_joins_plain_connections(url: str, kind: Kind) -> None:
    """From a program without an event loop: the connection is the caller's thread's, and stays it."""
    with asyncio.Runner() as runner, SyncClient(url, [Pile]) as client:
        opening = kind(url)
        connection = runner.run(opening.__aenter__())
        caller = Caller(connection)
        runner.run(caller.write())
        handle = client.start(Pile, 5, key="k", connection=connection)
        handle.send(Stone(7), connection=connection)
        client.send(handle, Enough(), connection=connection)
        with pytest.raises(RunNotFound):
            handle.view()
        runner.run(caller.end("commit"))
        assert handle.view().status is RunStatus.RUNNING
        runner.run(opening.__aexit__(None, None, None))


@pytest.mark.parametrize("kind", [psycopg_async, alchemy_async_session], ids=["psycopg", "sqlalchemy"])
def test_the_plain_client_refuses_what_belongs_to_a_loop(url: str, kind: Kind) -> None:
    with asyncio.Runner() as runner, SyncClient(url, [Pile]) as client:
        opening = kind(url)
        connection = runner.run(opening.__aenter__())
        with pytest.raises(UsageError, match="belongs to its own event loop"):
            client.start(Pile, 5, connection=connection)
        runner.run(opening.__aexit__(None, None, None))


async def test_a_savepoint_that_is_rolled_back_takes_its_start_with_it(url: str) -> None:
    async with Client(url, [Pile]) as client, psycopg_async(url) as connection:
        async with connection.transaction():
            kept = await client.start(Pile, 1, connection=connection)
            with contextlib.suppress(LookupError):
                async with connection.transaction():
                    gone = await client.start(Pile, 2, connection=connection)
                    await kept.send(Stone(9), connection=connection)
                    raise LookupError
            await kept.send(Enough(), connection=connection)
        assert await there(client, kept)
        assert not await there(client, gone)
        async with Worker(url, [Pile], poll=0.1):
            assert await soon(kept.result(20)) == 1


async def test_what_the_call_answers_is_what_it_answers_otherwise(url: str) -> None:
    """Refusals leave the transaction usable."""
    async with Client(url, [Pile]) as client, psycopg_async(url) as connection:
        stands = await client.start(Pile, 1, key="k")
        same = await client.start(Pile, 1, key="k", connection=connection)
        assert same.id == stands.id
        with pytest.raises(AlreadyStarted):
            await client.start(Pile, 2, key="k", connection=connection)
        with pytest.raises(RunNotFound):
            await client.send(uuid4(), Enough(), connection=connection)
        with pytest.raises(RunNotFound):
            await client.send(client.get(Pile, "other"), Enough(), connection=connection)
        with pytest.raises(UsageError, match="NUL"):
            await client.start(Pile, 3, key="nul\0", connection=connection)
        await client.terminate(stands)
        with pytest.raises(RunOver):
            await stands.send(Enough(), connection=connection)
        fresh = await client.start(Pile, 4, connection=connection)
        by_id = str(fresh.id)
        await client.send(by_id, Stone(1), dedupe="a", connection=connection)  # found in the transaction
        await client.send(by_id, Stone(1), dedupe="a", connection=connection)
        await connection.commit()
        assert await there(client, fresh)


async def test_the_connection_is_left_as_it_was(url: str) -> None:
    """Its rows, adapters, settings, prepared statements: nothing of ours stays, or disturbs us."""
    async with Client(url, [Pile]) as client, psycopg_async(url) as connection:
        connection.row_factory = dict_row
        connection.prepare_threshold = 0
        asked = (
            "SELECT current_setting('lock_timeout') AS patience, current_setting('enable_seqscan') AS scans, "
            "1 AS one"
        )

        class Shouting(Loader):
            def load(self, data: Any) -> Any:
                raise AssertionError("our numbers are not the caller's")

        class ShoutingToo(Shouting):
            format = Format.BINARY

        await connection.execute("SET lock_timeout = '7s'")
        connection.adapters.register_loader("int8", Shouting)
        connection.adapters.register_loader("int8", ShoutingToo)
        handle = await client.start(Pile, 1, connection=connection)
        await handle.send(Stone(1), connection=connection)
        found = await (await connection.execute(asked, prepare=False)).fetchone()
        assert found is not None
        assert (found["patience"], found["scans"]) == ("7s", "on")
        names = await (await connection.execute("SELECT statement FROM pg_prepared_statements")).fetchall()
        assert not [each for each in names if "deliveries" in each["statement"]]
        await connection.commit()


async def test_a_pipeline_of_the_callers_may_be_open(url: str) -> None:
    async with Client(url, [Pile]) as client, psycopg_async(url) as connection:
        async with connection.pipeline():
            await connection.execute("INSERT INTO rows_of_ours VALUES (1)")
            handle = await client.start(Pile, 1, connection=connection)
            await connection.execute("INSERT INTO rows_of_ours VALUES (2)")
        await connection.commit()
        assert await there(client, handle)
    assert await our_rows(url) == 2


async def test_a_cancelled_call_leaves_the_transaction_usable(url: str) -> None:
    """It waits for another open transaction, is cancelled there, and the caller goes on."""
    async with (
        Client(url, [Pile]) as client,
        psycopg_async(url) as holder,
        psycopg_async(url) as connection,
        psycopg_plain(url) as plain,
        raw(url) as looking,
    ):
        await client.start(Pile, 1, key="k", connection=holder)
        for blocked in (connection, plain):
            caller = Caller(blocked)
            await caller.write()
            starting = asyncio.create_task(client.start(Pile, 1, key="k", connection=blocked))
            await soon(waits_for_lock(looking))
            starting.cancel()
            if blocked is plain:  # what is asked of it goes on until it is answered: nothing is left halfway
                await holder.rollback()
            with pytest.raises(asyncio.CancelledError):
                await soon(starting)
            await caller.write()
            await caller.end("commit")
    assert await our_rows(url) == 4


# --- wakeups


@pytest.mark.parametrize("noticed", [True, False])
async def test_a_worker_is_told_soon_after_the_commit(
    url: str, noticed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here and in another process alike, and nobody polls within the hour; also where the end goes unseen."""
    if noticed:
        monkeypatch.setattr(callers, "_BESIDES", 3600.0)
    else:
        monkeypatch.setattr(callers, "_over", lambda _: False)
    async with (
        Worker(url, [Pile], poll=3600) as near,
        Client(url, [Pile], poll=3600) as client,
        psycopg_async(url) as connection,
    ):
        for starter in (near.client, client):
            handle = await starter.start(Pile, 1, connection=connection)
            await handle.send(Enough(), connection=connection)
            await connection.commit()
            assert await soon(handle.result(20)) == 1


# --- who cannot be joined


async def refused(client: Client, connection: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        await client.start(Pile, 1, connection=connection)


async def test_a_journal_that_joins_nothing_says_so() -> None:
    for journal in ("memory://", f"memory://{uuid4().hex}"):
        async with Client(journal, [Pile]) as client:
            await refused(client, object(), "cannot join a transaction of yours")


async def test_what_is_no_connection_of_ours_is_refused(url: str) -> None:
    async with Client(url, [Pile]) as client:
        await refused(client, object(), r"builtins\.object cannot be joined")
        await refused(client, "postgresql://", "cannot be joined")
        lite = sqlalchemy.create_engine("sqlite://")
        with lite.connect() as connection:
            await refused(client, connection, r"speaks sqlite\+pysqlite")
        lite.dispose()
        with engine(url) as made:
            await refused(client, made, "cannot be joined")  # an engine is no transaction


async def test_a_connection_in_no_state_to_be_joined_is_refused(url: str) -> None:
    target = url.partition("?")[0]
    async with Client(url, [Pile]) as client:
        async with await psycopg.AsyncConnection.connect(target, autocommit=True) as connection:
            await refused(client, connection, "autocommit")
            async with connection.transaction():
                handle = await client.start(Pile, 1, connection=connection)
            assert await there(client, handle)
            await connection.execute("BEGIN")
            with contextlib.suppress(psycopg.Error):
                await connection.execute("SELECT 1 / 0")
            await refused(client, connection, "has failed already")
            await connection.execute("ROLLBACK")
            await connection.execute("BEGIN READ ONLY")
            await refused(client, connection, "read-only")
        await refused(client, connection, "closed")
        async with await psycopg.AsyncConnection.connect(target, client_encoding="latin1") as connection:
            await refused(client, connection, "client_encoding")
        with engine(url) as made:
            automatic = made.execution_options(isolation_level="AUTOCOMMIT")
            with automatic.connect() as committing:
                await refused(client, committing, "autocommit")


async def test_a_connection_to_another_database_is_refused(url: str, postgres_server: str) -> None:
    other = f"other_{uuid4().hex[:12]}"
    async with raw(postgres_server) as connection:
        await connection.execute(f'CREATE DATABASE "{other}"'.encode())
    try:
        elsewhere = urlunsplit(urlsplit(postgres_server)._replace(path=f"/{other}"))
        async with Client(url, [Pile]) as client:
            async with psycopg_async(elsewhere) as connection:
                await refused(client, connection, f"database '{other}', where the journal's tables are not")
            async with opened(elsewhere + "?" + url.partition("?")[2], "n"):  # tables like ours, and not ours
                pass
            async with psycopg_async(elsewhere) as connection:
                await refused(client, connection, "where the journal's tables are not")
    finally:
        async with raw(postgres_server) as connection:
            await connection.execute(f'DROP DATABASE "{other}" WITH (FORCE)'.encode())


async def test_a_role_that_may_not_write_is_refused_before_it_fails(url: str) -> None:
    """Its transaction is worth something: no statement of ours may end it."""
    role = f"poor_{uuid4().hex[:12]}"
    async with raw(url) as owner:
        await owner.execute(f"CREATE ROLE {role} LOGIN; GRANT INSERT ON rows_of_ours TO {role}".encode())
        try:
            parts = urlsplit(url.partition("?")[0])
            poor = urlunsplit(parts._replace(netloc=parts.netloc.replace("postgres@", f"{role}@")))
            async with Client(url, [Pile]) as client, psycopg_async(poor) as connection:
                await Caller(connection).write()
                await refused(client, connection, f"'{role}' may not write the journal's tables")
                await connection.commit()
            assert await our_rows(url) == 1
        finally:
            await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


async def test_a_snapshot_that_is_too_old_is_told(url: str) -> None:
    """REPEATABLE READ does not see the run that is in its way: the caller begins again."""
    async with Client(url, [Pile]) as client, psycopg_async(url) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await Caller(connection).write()
        await client.start(Pile, 1, key="k")
        with pytest.raises(JournalUnavailable, match="roll back and try again"):
            await client.start(Pile, 1, key="k", connection=connection)
        await connection.rollback()
        await client.start(Pile, 1, key="k", connection=connection)
        await connection.commit()


# --- others do not wait


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_of_fifty_starts_one_waits_for_an_open_transaction(url: str, end: str) -> None:
    async with (
        Client(url, [Pile]) as holder,
        Client(url, [Pile]) as other,
        psycopg_async(url) as connection,
    ):
        await holder.start(Pile, 7, key="k-7", connection=connection)
        starts = {
            number: asyncio.create_task(other.start(Pile, number, key=f"k-{number}")) for number in range(50)
        }
        held = starts.pop(7)
        await soon(asyncio.gather(*starts.values()))
        assert not held.done()
        more = [asyncio.create_task(other.start(Pile, number)) for number in range(50)]
        await soon(asyncio.gather(*more))  # what is known to be held holds up nobody behind it either
        assert not held.done()
        await getattr(connection, end)()
        handle = await soon(held)
        assert await there(other, handle)


async def test_behind_a_pooling_proxy_nobody_else_waits_either(url: str) -> None:
    """There nothing is set for a session: the patience of a batch is said in its transaction."""
    pooled = f"{url}&pgbouncer=yes"
    async with Client(pooled, [Pile], poll=0.1) as client, psycopg_async(url) as connection:
        await client.start(Pile, 7, key="k-7", connection=connection)
        starts = {n: asyncio.create_task(client.start(Pile, n, key=f"k-{n}")) for n in range(20)}
        held = starts.pop(7)
        await soon(asyncio.gather(*starts.values()))
        assert not held.done()
        await connection.commit()
        handle = await soon(held)
        await handle.send(Enough())
        async with Worker(pooled, [Pile], poll=0.1):
            assert await soon(handle.result(20)) == 7


async def test_a_start_with_another_input_learns_of_it_after_the_commit(url: str) -> None:
    async with (
        Client(url, [Pile]) as holder,
        Client(url, [Pile]) as other,
        psycopg_async(url) as connection,
        raw(url) as looking,
    ):
        await holder.start(Pile, 1, key="k", connection=connection)
        held = asyncio.create_task(other.start(Pile, 2, key="k"))
        await soon(waits_for_lock(looking))
        await connection.commit()
        with pytest.raises(AlreadyStarted):
            await soon(held)


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_of_fifty_sends_one_waits_for_an_open_transaction(url: str, end: str) -> None:
    async with (
        Client(url, [Pile]) as holder,
        Client(url, [Pile]) as other,
        psycopg_async(url) as connection,
    ):
        handle = await holder.start(Pile, 0)
        await handle.send(Stone(1), dedupe="d-7", connection=connection)
        sends = {n: asyncio.create_task(other.send(handle, Stone(1), dedupe=f"d-{n}")) for n in range(50)}
        held = sends.pop(7)
        await soon(asyncio.gather(*sends.values()))
        assert not held.done()
        await getattr(connection, end)()
        await soon(held)
        await handle.send(Enough())
        async with Worker(url, [Pile], poll=0.1):
            assert await soon(handle.result(20)) == 50


async def test_who_waits_gives_up_at_the_end_of_its_patience(url: str) -> None:
    async with (
        Client(url, [Pile]) as holder,
        Client(url, [Pile], patience=0.3) as other,
        psycopg_async(url) as connection,
        psycopg_async(url) as second,
    ):
        handle = await holder.start(Pile, 1, key="k", connection=connection)
        run = await holder.start(Pile, 2)
        await run.send(Stone(1), dedupe="d", connection=connection)
        for late in (
            other.start(Pile, 1, key="k"),
            other.send(run, Stone(1), dedupe="d"),
            other.start(Pile, 1, key="k", connection=second),
        ):
            with pytest.raises(JournalUnavailable):
                await soon(late)
        await connection.commit()
        assert await there(other, handle)


async def test_an_open_transaction_stands_in_the_way_of_no_turn(url: str) -> None:
    """The run it sends to goes on, and what was sent under the same id before is consumed meanwhile."""
    async with Client(url, [Pile]) as client, psycopg_async(url) as connection:
        handle = await client.start(Pile, 1)
        await handle.send(Stone(2), dedupe="d")
        await handle.send(Stone(2), dedupe="d", connection=connection)  # a duplicate
        await handle.send(Stone(4), dedupe="e", connection=connection)
        async with Worker(url, [Pile], poll=0.1):
            await handle.send(Stone(8))
            await handle.send(Enough())
            assert await soon(handle.result(20)) == 11
        await connection.commit()  # what it sent has come too late for the run, and is found by whoever looks


async def test_an_id_that_is_forgotten_may_be_used_again(url: str, namespace: str) -> None:
    """Its window has ended: the same transaction takes it once more, and only once."""
    limits = Limits(dedupe_window=1)
    async with opened(url, namespace, limits) as journal, psycopg_async(url) as connection:
        run_id = await waiting(journal)
        await delivered(journal, signal(run_id, b"first", dedupe="d"))
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now))
        within = await journal.within(connection, 5)
        told = await within.deliver(
            [signal(run_id, b"again", dedupe="d"), signal(run_id, b"new", dedupe="e")]
        )
        assert [each.outcome for each in told] == [DeliverOutcome.ACCEPTED] * 2
        told = await within.deliver([signal(run_id, b"twice", dedupe="d")])
        assert [each.outcome for each in told] == [DeliverOutcome.DUPLICATE]
        await connection.commit()
        claim, _ = await claimed_one(journal)
        assert sorted(payloads(claim.deliveries)) == [b"again", b"new"]


async def test_two_open_transactions_that_start_one_run(url: str) -> None:
    """The second waits for the first, finds the run there, and goes on with its own rows."""
    async with (
        Client(url, [Pile]) as client,
        psycopg_async(url) as one,
        psycopg_plain(url) as other,
        raw(url) as looking,
    ):
        first = await client.start(Pile, 1, key="k", connection=one)
        await Caller(other).write()
        starting = asyncio.create_task(client.start(Pile, 1, key="k", connection=other))
        await soon(waits_for_lock(looking))
        await one.commit()
        assert (await soon(starting)).id == first.id
        await Caller(other).end("commit")
    assert await our_rows(url) == 1


async def test_a_send_that_lost_a_race_locks_nothing(
    url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another sender was faster: the commit that consumes its delivery does not wait for us."""
    async with opened(url, namespace) as journal, psycopg_async(url) as connection:
        run_id = await waiting(journal)
        within = await journal.within(connection, 5)
        write = Joined.write

        async def late(session: Joined, *asks: Any) -> Any:
            await delivered(journal, signal(run_id, b"theirs", dedupe="d"))
            return await write(session, *asks)

        monkeypatch.setattr(Joined, "write", late)
        [told] = await within.deliver([signal(run_id, b"ours", dedupe="d")])
        assert told.outcome is DeliverOutcome.DUPLICATE
        claim, now = await claimed_one(journal)
        assert payloads(claim.deliveries) == [b"theirs"]
        await soon(committed(journal, turn(claim, now)))
        await connection.commit()


async def test_the_port_tells_busy_and_writes_nothing(url: str, namespace: str) -> None:
    async with opened(url, namespace) as holder, opened(url, namespace) as other, psycopg_async(url) as held:
        within = await holder.within(held, 5)
        run, there_already = new_run(), new_run()
        await holder.start([there_already])
        to_it = signal(there_already.run_id, b"x", dedupe="d")
        assert [each.outcome for each in await within.start([run])] == [StartOutcome.STARTED]
        assert [each.outcome for each in await within.deliver([to_it])] == [DeliverOutcome.ACCEPTED]
        others = [new_run() for _ in range(5)]
        told = await soon(other.start([*others[:2], run, *others[2:]]))
        assert [each.outcome for each in told] == [
            StartOutcome.BUSY if number == 2 else StartOutcome.STARTED for number in range(6)
        ]
        again = signal(there_already.run_id, b"x", dedupe="d")
        told_too = await soon(other.deliver([again, signal(there_already.run_id, b"y", dedupe="f")]))
        assert [each.outcome for each in told_too] == [DeliverOutcome.BUSY, DeliverOutcome.ACCEPTED]
        waiting = asyncio.create_task(other.start([run]))  # alone, it waits a moment before it says so
        assert [each.outcome for each in await soon(waiting)] == [StartOutcome.BUSY]
        await held.commit()
        assert [each.outcome for each in await soon(other.start([run]))] == [StartOutcome.EXISTS]
        assert [each.outcome for each in await soon(other.deliver([again]))] == [DeliverOutcome.DUPLICATE]
        assert await other.load([new_id()]) == [None]


def test_the_url_of_a_body_has_none_of_our_settings() -> None:
    source = parse("postgresql://host/db?options=-c%20work_mem%3D1MB").source
    assert isinstance(source, Conninfo)
    assert "enable_seqscan" not in source.plain
    assert "work_mem" in source.plain


@pytest.mark.parametrize("kind", [psycopg_async, psycopg_plain], ids=["async", "plain"])
async def test_a_connection_that_is_cut_is_told(url: str, kind: Kind) -> None:
    async with Client(url, [Pile]) as client, kind(url) as connection, raw(url) as killer:
        handle = await client.start(Pile, 1, connection=connection)
        await killer.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        with pytest.raises(JournalUnavailable):
            await soon(handle.send(Stone(1), connection=connection))
        with pytest.raises(UsageError, match="closed"):
            await client.start(Pile, 2, connection=connection)
        assert not await there(client, handle)


async def test_a_lone_start_waits_once_before_it_says_busy(
    url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its first turn it is one statement; from then on it is asked for aside."""
    async with opened(url, namespace) as holder, opened(url, namespace) as other, psycopg_async(url) as held:
        await other.start([new_run()])  # its connection is there
        new = new_run()
        first = replace(new, turn=first_turn(new, await other.now()))
        within = await holder.within(held, 5)
        assert [each.outcome for each in await within.start([new])] == [StartOutcome.STARTED]
        sent: list[str] = []
        asked, told = Session.ask, Session.tell

        async def ask(session: Session, *asks: Any) -> Any:
            sent.extend(sql for sql, _ in asks)
            return await asked(session, *asks)

        async def tell(session: Session, sql: str, values: Any) -> Any:
            sent.append(sql)
            return await told(session, sql, values)

        monkeypatch.setattr(Session, "ask", ask)
        monkeypatch.setattr(Session, "tell", tell)
        assert [each.outcome for each in await soon(other.start([first]))] == [StartOutcome.BUSY]
        assert sent == [FUSE_START]
        monkeypatch.undo()
        assert [each.outcome for each in await soon(other.start([first]))] == [StartOutcome.BUSY]
        await held.commit()
        assert [each.outcome for each in await soon(other.start([first]))] == [StartOutcome.EXISTS]
