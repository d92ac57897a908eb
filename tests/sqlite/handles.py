"""Handles on a file for tests, closed when the test is through with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define

from continuum_core.journal.commit import RunClaim
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import HOUR, TAKES, new_id
from continuum_sqlite.clock import host_time
from continuum_sqlite.journal import SqliteJournal
from continuum_sqlite.place import Place

__all__ = ["Clock", "claim", "opened"]


@define
class Clock:
    """A clock that stands until it is told otherwise."""

    at: int = 1_000_000

    def __call__(self) -> int:
        return self.at


@asynccontextmanager
async def opened(
    path: Path,
    namespace: str = "test",
    limits: Limits | None = None,
    clock: Callable[[], int] = host_time,
    busy_timeout: float = 10.0,
) -> AsyncIterator[SqliteJournal]:
    """An opened handle."""
    journal = SqliteJournal(Place(str(path), busy_timeout), namespace, limits or Limits(), clock)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def claim(journal: SqliteJournal, limit: int = 1) -> tuple[RunClaim, ...]:
    return (await journal.claim_runs(new_id(), limit, HOUR, TAKES)).runs
