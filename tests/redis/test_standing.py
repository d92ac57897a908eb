"""A server that forgot what it acknowledged: whoever was told it says so in the log, and nobody else does."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterator

import pytest

from continuum_core.testing.conformance.given import turn
from continuum_core.testing.conformance.kit import claimed_one, committed, started, waiting
from continuum_core.testing.redis_server import Redis
from continuum_redis import standing
from tests.redis.handles import asked, opened, raw


class Kept(logging.Handler):
    """What was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[logging.LogRecord]]:
    """What was warned of. Every call is time to look again."""
    monkeypatch.setattr(standing, "_AGAIN", 0.0)
    kept = Kept()
    standing.logger.addHandler(kept)
    yield kept.records
    standing.logger.removeHandler(kept)


@pytest.fixture
def server() -> Iterator[Redis]:
    with Redis() as one:
        yield one


@pytest.mark.parametrize("tags", [1, 4])
async def test_a_server_that_was_emptied_is_told_of_once(
    server: Redis, told: list[logging.LogRecord], tags: int
) -> None:
    """On connections that live, and also where another process has made the journal anew by then."""
    url = f"{server.url()}?tags={tags}"
    async with opened(url, "shop") as journal, opened(url, "shop") as late, raw(server.url()) as wire:
        for handle in (journal, late):
            await started(handle)
            assert await handle.gauges() is not None
        assert told == []
        await asked(wire, b"FLUSHALL")
        for _ in range(2):
            await started(journal)
            await journal.gauges()
        [once] = told
        assert "the journal of namespace 'shop' is not the one that" in once.getMessage()
        async with opened(url, "shop") as other:
            await started(other)
            await late.gauges()
            assert "the server was emptied" in told[1].getMessage()
            for handle in (journal, late, other):
                await started(handle)
                await handle.gauges()
        assert len(told) == 2, "each process tells what it was told"


@pytest.mark.parametrize("tags", [1, 4])
async def test_a_server_that_lacks_the_tail_is_told_of(
    server: Redis, told: list[logging.LogRecord], tags: int
) -> None:
    """Its files as they were earlier, put back: a restore, or a failover to a replica that was behind."""
    earlier = server.folder.parent / f"{server.folder.name}-earlier"
    try:
        async with opened(f"{server.url()}?tags={tags}", "shop") as journal:
            await started(journal)
            server.kill()
            await asyncio.to_thread(shutil.copytree, server.folder / "appendonlydir", earlier)
            server.start()
            made = turn(*await claimed_one(journal))
            await committed(journal, made)
            assert told == [], "a server that was restarted has all it had"
            server.kill()
            await asyncio.to_thread(shutil.rmtree, server.folder / "appendonlydir")
            await asyncio.to_thread(shutil.copytree, earlier, server.folder / "appendonlydir")
            server.start()
            for _ in range(2):
                [row] = await journal.load([made.run_id])
                assert row is not None
                assert row.version == made.version
        [one] = told
        assert "forgot what it had acknowledged to namespace 'shop' within " in one.getMessage()
    finally:
        await asyncio.to_thread(shutil.rmtree, earlier, ignore_errors=True)


async def test_whoever_writes_at_the_same_time_is_no_loss(
    server: Redis, told: list[logging.LogRecord]
) -> None:
    """Over several connections, each looking at every call."""
    async with opened(server.url(), "shop") as journal:
        await waiting(journal)
        await asyncio.gather(*(started(journal) for _ in range(50)), *(journal.gauges() for _ in range(50)))
    assert told == []
