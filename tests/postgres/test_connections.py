"""Connections that are lost, verbs that are cancelled, servers that crash: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from continuum_core.errors import IncompatibleJournal, JournalUnavailable, PayloadRefused
from continuum_core.journal.commit import StartOutcome
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.testing.conformance.given import FINGERPRINT, new_run, signal
from continuum_core.testing.conformance.kit import row, seen, started, waiting
from continuum_core.testing.servers import Postgres
from continuum_postgres import wakeups
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.place import parse
from continuum_postgres.wakeups import channel
from tests.postgres.handles import Gate, opened, raw, soon

MINE = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mine'"


async def test_a_connection_that_died_is_replaced(postgres_url: str, namespace: str) -> None:
    """Terminated while nobody used it: the next verb does not even fail."""
    async with (
        opened(f"{postgres_url}?application_name=mine", namespace) as journal,
        raw(postgres_url) as other,
    ):
        run_id = await waiting(journal)
        await other.execute(f"SELECT pg_terminate_backend(pid) FROM ({MINE}) a".encode())
        assert (await row(journal, run_id)).version == 1
        await journal.deliver([signal(run_id)])
        assert len((await seen(journal, run_id)).deliveries) == 1


@pytest.mark.parametrize(("before", "ambiguous"), [(1, False), (2, True)])
async def test_what_was_cut_says_whether_it_may_have_been_done(
    postgres_url: str, namespace: str, before: int, ambiguous: bool
) -> None:
    """Cut before the reading: tried again. Cut in the writing: the caller is told that it may stand."""
    async with (
        opened(f"{postgres_url}?application_name=mine", namespace) as journal,
        raw(postgres_url) as other,
    ):
        await started(journal)
        new = new_run()
        with Gate(journal, "starting", before=before) as gate:
            starting = asyncio.create_task(journal.start([new]))
            await soon(gate.reached.wait())
            await other.execute(f"SELECT pg_terminate_backend(pid) FROM ({MINE}) a".encode())
            gate.go.set()
            if ambiguous:
                with pytest.raises(JournalUnavailable) as told:
                    await soon(starting)
                assert told.value.ambiguous
            else:
                assert (await soon(starting))[0].outcome is StartOutcome.STARTED
        (again,) = await journal.start([new])
        assert again.outcome in (StartOutcome.STARTED, StartOutcome.EXISTS)


async def test_a_cancelled_verb_leaves_no_transaction(postgres_url: str, namespace: str) -> None:
    """Whenever it is cancelled: no session stands in a transaction afterwards, and none is left."""
    async with raw(postgres_url) as other:
        async with opened(f"{postgres_url}?application_name=mine", namespace) as journal:
            run_id = await waiting(journal)
            for steps in range(12):
                verb = asyncio.ensure_future(journal.deliver([signal(run_id)]))
                for _ in range(steps):
                    await asyncio.sleep(0)
                verb.cancel()
            await journal.deliver([signal(run_id)])
            asked = f"SELECT count(*) FROM ({MINE} AND state LIKE 'idle in%%') a".replace("%%", "%")
            assert await (await other.execute(asked.encode())).fetchone() == (0,)
        async with asyncio.timeout(20):
            asked = f"SELECT count(*) FROM ({MINE}) a"
            while await (await other.execute(asked.encode())).fetchone() != (0,):
                await asyncio.sleep(0.005)


async def test_one_bad_member_harms_no_other(postgres_url: str, namespace: str) -> None:
    """A NUL in a text, which the server refuses without saying where: only its own caller is refused."""
    async with opened(postgres_url, namespace) as journal:
        run_id = await waiting(journal)
        good = [journal.deliver([signal(run_id)]) for _ in range(3)]
        bad = [journal.deliver([signal(run_id, dedupe=text)]) for text in ("a\0b", "\ud800")]
        told = await asyncio.gather(*good, *bad, return_exceptions=True)
        assert [isinstance(one, PayloadRefused) for one in told] == [False] * 3 + [True] * 2
        assert len((await seen(journal, run_id)).deliveries) == 3


async def test_a_lost_listener_listens_again(postgres_url: str, namespace: str) -> None:
    """Terminated while somebody waits: polling goes on, the listener comes back, and hints arrive again."""
    async with (
        opened(postgres_url, namespace) as waiter,
        opened(postgres_url, namespace) as writer,
        raw(postgres_url) as other,
    ):
        await soon(waiter.wait(20))  # the first returns once it listens
        await soon(waiter.wait(0))
        store = waiter._store
        assert store is not None
        name = channel("continuum", store.space.ns)
        asked = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = %s"
        await other.execute(asked, (f'LISTEN "{name}"',))
        await soon(waiter.wait(20))  # back again, it wakes everybody: nobody knows what was missed
        assert store.wakeups.lost == 1
        pending = asyncio.create_task(waiter.wait(60))
        await started(writer)
        await soon(pending)


@pytest.mark.parametrize(
    "error", [JournalUnavailable("away"), IncompatibleJournal("went backwards"), RuntimeError("a fault")]
)
async def test_a_listener_that_fails_in_any_way_listens_again(
    postgres_url: str, namespace: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind what may be a proxy it tells itself something first, and that may fail as a verb does."""
    failures = [error]

    async def proxied(_: object) -> bool:
        return True

    monkeypatch.setattr(wakeups, "is_proxied", proxied)
    async with opened(postgres_url, namespace) as waiter, opened(postgres_url, namespace) as writer:
        store = waiter._store
        assert store is not None
        real = store.wakeups.notify

        async def notify(to: str, sender: str) -> object:
            if failures:
                raise failures.pop()
            return await real(to, sender)

        store.wakeups.notify = notify
        while not store.wakeups.lost:
            await soon(waiter.wait(20))
        await soon(waiter.wait(20))  # back again
        await soon(waiter.wait(0))
        assert (store.wakeups.lost, failures) == (1, [])
        pending = asyncio.create_task(waiter.wait(60))
        await started(writer)
        await soon(pending)


async def test_own_writes_wake_nobody_here_and_others_elsewhere(postgres_url: str, namespace: str) -> None:
    async with opened(postgres_url, namespace) as one, opened(postgres_url, namespace) as two:
        await soon(asyncio.gather(one.wait(20), two.wait(20)))
        await asyncio.gather(one.wait(0), two.wait(0))
        pending = asyncio.create_task(two.wait(60))
        await started(one)
        await soon(pending)


# --- a server that crashes


async def test_a_crash_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Ended at once in the middle of starts, twice, and run again: every acknowledged run is there."""
    with Postgres() as server:
        journal = PostgresJournal(parse(server.url()), "crash", Limits())
        await journal.open()
        try:
            acknowledged: set[UUID] = set()
            stop = asyncio.Event()
            workers = [asyncio.create_task(_start_until(journal, stop, acknowledged)) for _ in range(8)]
            for crash in range(2):
                goal = len(acknowledged) + 40
                while len(acknowledged) < goal:
                    await asyncio.sleep(0.002)
                server.crash()
                await asyncio.to_thread(server.run)
                goal = len(acknowledged) + 40
                while len(acknowledged) < goal:
                    assert crash < 2
                    await asyncio.sleep(0.002)
            stop.set()
            await soon(asyncio.gather(*workers))
            runs = await journal.load(list(acknowledged))
            assert all(run is not None and run.fingerprint == FINGERPRINT for run in runs)
        finally:
            await journal.close()


async def _start_until(journal: Journal, stop: asyncio.Event, acknowledged: set[UUID]) -> None:
    while not stop.is_set():
        new = new_run()
        while True:
            try:
                (answer,) = await journal.start([new])
            except JournalUnavailable:  # anything else ends the test
                await asyncio.sleep(0.01)
                continue
            assert answer.outcome in (StartOutcome.STARTED, StartOutcome.EXISTS)
            acknowledged.add(new.run_id)
            break
