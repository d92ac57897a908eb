"""Hints that another store carries: `?wakeups=redis://…` on SQLite and PostgreSQL, with a real server.

Whoever waits here waits far longer than a test may take: an early return is a hint that arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote
from uuid import uuid4

import pytest

from continuum_core.errors import IncompatibleJournal, UnknownBackend
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.testing.conformance.given import new_run, signal
from continuum_core.testing.conformance.kit import claimed, waiting
from continuum_core.testing.redis_server import Redis
from continuum_redis.driver import Wire
from continuum_redis.driver import connect as connected
from continuum_redis.place import Place
from continuum_redis.transport import Transport

LONG = 30.0  # seconds; the suite's own limit is shorter than two of them


@pytest.fixture(params=["sqlite", "postgres"])
def plain(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh journal on a SQL backend."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path')}/journal.db"
    return f"{request.getfixturevalue('postgres_database')}?schema=wakeups_{uuid4().hex[:12]}"


def hinted(plain: str, carrier: str) -> str:
    return f"{plain}{'&' if '?' in plain else '?'}wakeups={quote(carrier, safe='')}"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Journal]:
    journal = connect(url, "shop")
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def woken(journal: Journal, write: Callable[[], object]) -> bool:
    """Whether `write`, done while the journal waits, ends the wait."""
    await journal.wait(LONG)  # ended by the listener that has begun to listen
    waiter = asyncio.create_task(journal.wait(LONG))
    for _ in range(300):
        write()
        done, _ = await asyncio.wait([waiter], timeout=0.1)
        if done:
            return True
    waiter.cancel()
    return False


def _hints(journal: Journal) -> Transport:
    """What carries the handle's hints."""
    hints = journal._store.wakeups.hints  # type: ignore[attr-defined]  # of the two SQL backends
    assert isinstance(hints, Transport)
    return hints


@asynccontextmanager
async def beside(journal: Journal) -> AsyncIterator[Transport]:
    """Another process's end of the handle's carrier: it shares nothing else with the handle."""
    hints = _hints(journal)
    stranger = Transport(hints.place, hints.channel)
    try:
        yield stranger
    finally:
        await stranger.close()


async def test_another_process_wakes_a_handle(plain: str, redis_server: str) -> None:
    async with opened(hinted(plain, redis_server)) as journal, beside(journal) as stranger:
        assert await woken(journal, stranger.wrote)


async def test_a_write_is_told(plain: str, redis_server: str) -> None:
    """To others, and not to the handle itself."""
    async with opened(hinted(plain, redis_server)) as journal, beside(journal) as stranger:
        heard: list[int] = []
        stranger.listen(lambda: heard.append(len(heard)))
        while not heard:  # that it listens
            await asyncio.sleep(0)
        await journal.start([new_run()])
        while len(heard) < 2:
            await asyncio.sleep(0)


async def test_namespaces_and_journals_do_not_wake_one_another(plain: str, redis_server: str) -> None:
    url = hinted(plain, redis_server)
    channels: set[bytes] = set()
    for namespace in ("shop", "bank"):
        journal = connect(url, namespace)
        await journal.open()
        channels.add(_hints(journal).channel)
        await journal.close()
    assert len(channels) == 2


async def test_a_carrier_that_dies_delays_and_strands_nothing(plain: str) -> None:
    """Killed: verbs go on, waits end by themselves, the loss is counted. Back: hints arrive again."""
    with Redis() as server:
        url = hinted(plain, server.url())
        async with opened(url) as journal, opened(url) as other, beside(journal) as stranger:
            run_id = await waiting(other)
            assert await woken(journal, stranger.wrote)
            server.kill()
            await other.deliver([signal(run_id)])
            await journal.wait(0.01)  # deaf, perhaps: it ends by itself
            assert [claim.run_id for claim in (await claimed(journal)).runs] == [run_id]
            while not _hints(journal).lost:  # noticed by the listener before long
                await journal.wait(0.01)
            server.start()
            assert await woken(journal, stranger.wrote)


async def test_a_listener_that_fails_in_any_way_listens_again(
    plain: str, redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [RuntimeError("a fault")]

    async def connects(place: Place) -> Wire:
        if failures:
            raise failures.pop()
        return await connected(place)

    monkeypatch.setattr("continuum_redis.transport.connect", connects)
    async with opened(hinted(plain, redis_server)) as journal, beside(journal) as stranger:
        while not _hints(journal).lost:
            await journal.wait(0.01)
        assert await woken(journal, stranger.wrote)
        assert _hints(journal).lost == 1


async def test_one_that_was_never_there_is_no_reason_not_to_open(plain: str) -> None:
    with Redis() as server:
        url = hinted(plain, server.url())
        server.kill()
        async with opened(url) as journal:
            run_id = await waiting(journal)
            await journal.deliver([signal(run_id)])
            while not _hints(journal).lost:
                await journal.wait(0.01)


def test_a_wrong_carrier_is_refused_at_once(plain: str) -> None:
    with pytest.raises(UnknownBackend, match=r"carries no hints of others.*redis://host:6379/0"):
        connect(hinted(plain, "memory://"), "shop")
    with pytest.raises(UnknownBackend, match="no installed backend serves 'nats'"):
        connect(hinted(plain, "nats://host"), "shop")
    with pytest.raises(IncompatibleJournal, match="not a plain name"):
        connect(hinted(plain, "redis://host?prefix=a:b"), "shop")


def test_a_password_is_never_shown(tmp_path: object) -> None:
    with pytest.raises(IncompatibleJournal) as told:
        connect(f"sqlite:///{tmp_path}/x.db?wakeups=redis://:secret@host/0&bussy=1", "shop")
    assert "secret" not in str(told.value)
