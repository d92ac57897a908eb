"""How long a drain takes while the journal is away: the grace and some seconds, whatever a lease lasts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import pytest

from continuum_core import Worker
from continuum_core.errors import JournalUnavailable
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.runtime.draining import Draining
from continuum_core.testing.clock import VirtualClock, VirtualHost
from continuum_core.testing.hinted import Hints, hinted
from tests.runtime.machines import Go, Waits

GRACE = 20.0
MORE = 15.0  # as the manual says
VERBS = frozenset({"claim_runs", "claim_tasks", "commit", "finish", "heartbeat", "release", "start"})


class Away:
    """A journal some of whose verbs fail, or never answer."""

    def __init__(self, inner: Any, host: VirtualHost) -> None:
        self._inner = inner
        self._host = host
        self.away: set[str] = set()
        self.silent: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._inner, name)
        if name not in VERBS:
            return verb

        async def asked(*arguments: Any) -> Any:  # whoever took the verb before it went is asked too
            if name in self.silent:
                await self._host.flag().wait()
            if name in self.away:
                raise JournalUnavailable("the cable is out")
            return await verb(*arguments)

        return asked

    def sibling(self) -> Away:
        return self

    def back_after(self, seconds: float) -> None:
        async def back() -> None:
            await self._host.sleep(seconds)
            self.away.clear()

        self._host.spawn(back(), "back")


@asynccontextmanager
async def drained(**of: set[str]) -> AsyncIterator[tuple[VirtualClock, Worker, Away]]:
    """A worker with a turn under way on a journal that has just gone. :param of: as in `Away`."""
    clock = VirtualClock()
    host = VirtualHost(clock)
    journal = Away(connect("memory://", clock=clock.now), host)
    told = hinted(cast(Journal, journal), host, Hints())
    worker = Worker(told, [Waits], host=host, lease=3600.0, grace=GRACE, stall=86_400.0)
    await worker.open()
    try:
        run = await worker.client.start(Waits, "a")
        journal.away, journal.silent = of.get("away", set()), of.get("silent", set())
        await worker.client.send(run, Go())
        await clock.quiet()
        yield clock, worker, journal
    finally:
        await worker.close()


@pytest.mark.parametrize(
    "of",
    [
        {"away": {"commit", "release"}},
        {"away": {"commit", "claim_runs", "claim_tasks", "finish", "release"}},
        {"silent": {"commit"}},
        {"silent": {"claim_runs", "claim_tasks"}},
        {"away": {"commit"}, "silent": {"release"}},
    ],
)
async def test_a_drain_waits_for_no_journal_longer_than_its_grace(of: dict[str, set[str]]) -> None:
    async with drained(**of) as (clock, worker, _):
        began = clock.now()
        await worker.drain()
        assert (clock.now() - began) / 1e6 <= GRACE + MORE


async def test_nor_for_a_start_that_is_under_way() -> None:
    async with drained(away={"start"}) as (clock, worker, _):
        starting = asyncio.create_task(worker.client.start(Waits, "b"))
        await asyncio.sleep(0)
        began = clock.now()
        await worker.drain()
        assert (clock.now() - began) / 1e6 <= GRACE + MORE
        starting.cancel()


async def test_a_second_signal_is_heard_while_the_journal_is_away() -> None:
    async with drained(away={"commit", "release"}) as (clock, worker, _):
        draining = asyncio.create_task(worker.drain())
        await asyncio.sleep(0)
        began = clock.now()
        worker._hurry()
        await draining
        assert (clock.now() - began) / 1e6 <= MORE


async def test_a_journal_that_is_back_in_time_gets_what_was_under_way() -> None:
    async with drained(away={"commit"}) as (clock, worker, journal):
        [run] = [run async for run in worker.client.runs()]
        began = clock.now()
        journal.back_after(7.0)
        await worker.drain()
        assert 7.0 <= (clock.now() - began) / 1e6 < GRACE
        assert (await worker.client.view(run.id)).states == ("ready",)


async def test_what_is_waited_for_no_longer_is_not_gone_on_with() -> None:
    """Nothing of a worker that has drained asks the journal any more, once it answers again."""
    clock = VirtualClock()
    host = VirtualHost(clock)
    ended: list[str] = []

    async def never() -> None:
        try:
            await host.flag().wait()
        finally:
            ended.append("stopped")

    waiting = asyncio.ensure_future(Draining(host).wait_for(never(), host.monotonic() + GRACE))
    await clock.advance(timedelta(seconds=GRACE + 1))
    await waiting
    await clock.quiet()
    assert ended == ["stopped"]


@pytest.mark.parametrize(
    ("of", "word"),
    [({"away": {"commit", "release"}}, "drained without the journal"), ({}, "drained")],
    ids=["journal away", "journal there"],
)
async def test_what_could_not_be_handed_over_is_said(
    of: dict[str, set[str]], word: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with drained(**of) as (_, worker, _):
        await worker.drain()
    told = [one.getMessage() for one in caplog.records if one.name == "continuum_core.worker"]
    [last] = [line for line in told if line.startswith("drained")]
    assert last.partition(":")[0] == word
