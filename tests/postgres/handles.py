"""Handles on a database for tests, closed when the test is through, and ways to stop one halfway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg

from continuum_core.journal.protocol import Limits
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.place import parse

__all__ = ["Gate", "opened", "raw", "soon", "waits_for_lock"]

Answer = TypeVar("Answer")


@asynccontextmanager
async def opened(url: str, namespace: str, limits: Limits | None = None) -> AsyncIterator[PostgresJournal]:
    """An opened handle."""
    journal = PostgresJournal(parse(url), namespace, limits or Limits())
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of the test's own, which commits each statement."""
    async with await psycopg.AsyncConnection.connect(parse(url).conninfo, autocommit=True) as connection:
        yield connection


async def waits_for_lock(looking: psycopg.AsyncConnection[Any], count: int = 1) -> None:
    """Return once so many sessions of this database wait for a lock that another holds."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while True:
        row = await (await looking.execute(asked)).fetchone()
        if row is not None and row[0] >= count:
            return
        await asyncio.sleep(0.002)


class Gate:
    """Stops a lane of a handle before its n-th round trip, until it is told to go on."""

    def __init__(self, journal: PostgresJournal, lane: str, before: int) -> None:
        store = journal._store
        assert store is not None
        self._session: Any = getattr(store, lane).session
        self._left = before
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    def __enter__(self) -> Gate:
        type(self._session).ask = self._gated(type(self._session).ask)
        return self

    def __exit__(self, *_: object) -> None:
        type(self._session).ask = self._whole
        self.go.set()  # a test that failed in between can close its handles

    def _gated(self, whole: Any) -> Any:
        self._whole = whole

        async def ask(session: Any, *asks: Any) -> Any:
            if session is self._session:
                self._left -= 1
                if self._left == 0:
                    self.reached.set()
                    await self.go.wait()
            return await whole(session, *asks)

        return ask


async def soon(work: Awaitable[Answer], seconds: float = 20) -> Answer:
    """The answer of what must not block; a failure where it does."""
    return await asyncio.wait_for(work, seconds)
