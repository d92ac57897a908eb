"""Whoever is cancelled while a handle is opened, used or closed leaves no connection open, wherever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio.connection import AbstractConnection

from continuum_core.journal.connect import connect
from continuum_core.testing.conformance.kit import started
from continuum_redis import driver
from continuum_redis.journal import RedisJournal
from tests.cut import MOST, Cut


@pytest.fixture
def url(redis_server: str) -> str:
    return f"{redis_server}?prefix=fresh_{uuid4().hex[:12]}"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every connection of the driver's, from here on."""
    found: list[Any] = []
    init = AbstractConnection.__init__

    def recorded(self: Any, *args: Any, **named: Any) -> None:
        init(self, *args, **named)
        found.append(self)

    monkeypatch.setattr(AbstractConnection, "__init__", recorded)
    yield found
    for connection in left(found):
        connection._writer = None  # its loop is closed: nothing of it can be closed any more


def left(made: list[Any]) -> list[Any]:
    return [connection for connection in made if connection.is_connected]


async def handle(url: str, kept: list[object]) -> None:
    journal = connect(url)
    kept.append(journal)
    await journal.open()
    try:
        await started(journal)
        await journal.wait(0.005)
    finally:
        await journal.close()


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_whoever_is_cancelled_leaves_no_connection_open(url: str, made: list[Any], again: bool) -> None:
    asyncio.run(handle(url, []))
    for at in range(1, MOST):
        made.clear()
        kept: list[object] = []

        async def carried_out(at: int = at, kept: list[object] = kept) -> bool:
            cut = await Cut(handle(url, kept), at, again)
            if not again:  # who is cancelled twice goes at once, and what closes goes on by itself
                assert left(made) == [], f"cancelled at pause {at}"
            return cut

        cut = asyncio.run(carried_out())
        assert left(made) == [], f"cancelled at pause {at}, after the loop"
        if not cut:
            assert made, "it has connected"
            return
    raise AssertionError(f"it has more than {MOST} pauses")


async def test_hints_on_their_way_keep_no_connection(
    url: str, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of them still connects when the second is due, and the handle is closed."""
    connecting, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*where: Any) -> driver.Wire:
        connecting.set()
        await go_on.wait()
        return await driver.connect(*where)

    journal = connect(url)
    assert isinstance(journal, RedisJournal)
    await journal.open()
    monkeypatch.setattr("continuum_redis.transport.connect", slowly)
    await started(journal)
    await connecting.wait()
    await started(journal)
    hints = [task for task in asyncio.all_tasks() if task.get_name() == "continuum-redis-hints"]
    assert len(hints) == 2
    while journal._opened().store.wakeups.transport._teller is not None:  # until it waits for the first
        await asyncio.sleep(0.001)
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    await asyncio.wait(hints)
    assert left(made) == []
