"""Waiting for ends in other processes: how late they are learnt, and what a journal that refuses means."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from continuum_core import Client
from continuum_core.errors import IncompatibleJournal, JournalUnavailable, PayloadLocked, UsageError
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.testing.clock import VirtualClock, VirtualHost
from continuum_core.waiting import Waiting
from tests.runtime.machines import Waits
from tests.runtime.talks import Buy, Shop

POLL = 5.0
RUN = UUID(int=7)


class Remote:
    """A journal whose runs end elsewhere, at a set second of the test.

    :ivar away: from when to when it cannot be reached; each try of it takes `patience` seconds.
    :ivar hints: seconds between two hints.
    """

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.host = VirtualHost(self.clock)
        self._began = self.clock.now()
        self.ends = 0.0
        self.away = (0.0, 0.0)
        self.patience = 0.0
        self.takes = 0.0
        self.hints = POLL
        self.refusal: Exception | None = None
        self.readings = 0

    def second(self) -> float:
        return (self.clock.now() - self._began) / 1e6

    async def wait(self, seconds: float) -> None:
        await self.host.sleep(min(seconds, self.hints))
        self._check()

    def _check(self) -> None:
        if self.away[0] <= self.second() < self.away[1]:
            raise JournalUnavailable("away")

    async def load(self, runs: Sequence[UUID]) -> list[Any]:
        self.readings += 1
        if self.away[0] <= self.second() < self.away[1]:
            await self.host.sleep(self.patience)
        self._check()
        if self.refusal is not None:
            raise self.refusal
        await self.host.sleep(self.takes)
        status = RunStatus.COMPLETED if self.second() - self.takes >= self.ends else RunStatus.RUNNING
        return [SimpleNamespace(status=status, outcome=b"") for _ in runs]

    async def late(self) -> float:
        """Seconds from the end of a run until who waits for it learns of it."""
        waiting = Waiting(self.host, cast(Journal, self), POLL)
        assert await waiting.end(RUN, None) is not None
        late = self.second() - self.ends
        await waiting.close()
        return late


@pytest.mark.parametrize("after", [0.0, 1.0, 4.0, 7.0, 11.0, 60.0])
async def test_an_outage_delays_no_end_that_comes_after_it(after: float) -> None:
    remote = Remote()
    remote.away, remote.patience = (2.0, 120.0), 13.0
    remote.ends = 133.0 + after  # the last try that failed began before second 120
    assert await remote.late() <= POLL


@pytest.mark.parametrize("takes", [0.01, 0.4, 3.0])
async def test_a_long_reading_rests_one_poll_at_most(takes: float) -> None:
    remote = Remote()
    remote.takes, remote.hints, remote.ends = takes, 0.05, 60.0
    assert await remote.late() <= POLL + 2 * takes
    assert remote.readings * takes <= remote.second() / 2, "it does not live on reading"


async def test_a_fault_in_reading_delays_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    remote = Remote()
    remote.refusal, remote.ends = RuntimeError("what should never be"), 20.0
    waiting = Waiting(remote.host, cast(Journal, remote), POLL)
    assert await waiting.end(RUN, 19.0) is None
    assert "what should never be" in caplog.text
    remote.refusal = None
    assert await waiting.end(RUN, 10.0) is not None
    await waiting.close()


class Refusing:
    """A journal whose readings of what is awaited raise what a test says, of all runs or of some."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.error: Exception | None = None
        self.of: UUID | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def load(self, runs: Sequence[UUID]) -> Any:
        if self.error is not None and (self.of is None or self.of in runs):
            raise self.error
        return await self._inner.load(runs)

    async def replies(self, questions: Sequence[Any]) -> Any:
        if self.error is not None:
            raise self.error
        return await self._inner.replies(questions)


@pytest.mark.parametrize("kind", [IncompatibleJournal, UsageError])
async def test_who_waits_learns_that_a_journal_refuses_for_good(kind: type[Exception]) -> None:
    journal = Refusing(connect("memory://refuses"))
    async with Client(cast(Journal, journal), [Shop]) as client:
        runs = [await client.start(Shop, 10) for _ in range(3)]
        waits = [asyncio.create_task(run.result()) for run in runs]
        asks = asyncio.create_task(runs[0].ask(Buy(1)))
        await asyncio.sleep(0)
        journal.error = kind("its history went backwards")
        for wait in (*waits, asks):
            with pytest.raises(kind, match="went backwards"):
                await wait
        journal.error = None
        with pytest.raises(TimeoutError):
            await runs[0].result(0.01)


async def test_one_run_that_cannot_be_read_is_nobody_elses_trouble() -> None:
    journal = Refusing(connect("memory://locked"))
    async with Client(cast(Journal, journal), [Waits]) as client:
        runs = [await client.start(Waits, f"r{n}") for n in range(5)]
        journal.error, journal.of = PayloadLocked("its key is not here"), runs[3].id
        waits = [asyncio.create_task(run.result(5)) for run in runs]
        with pytest.raises(PayloadLocked):
            await waits[3]
        for run in runs:
            await client.terminate(run)
        for wait in (*waits[:3], waits[4]):
            with pytest.raises(Exception, match="terminated"):
                await wait
