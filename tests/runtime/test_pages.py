"""A head of due events that a worker cannot take, longer than it reads in a second: who waits behind it, and
who at its very beginning, is found all the same, and nobody reads without pause."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from continuum_core import Machine, root
from continuum_core.journal.commit import (
    FIRST_DUE,
    Claims,
    DueEntry,
)
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.testing import Engine
from tests.runtime.machines import Ctx, Finish, Go, Waits

PAGE = timedelta(milliseconds=8)
POLL = 5.0
SOON = timedelta(seconds=30)


class Retired(Machine[Ctx, str, str], name="retired"):
    """A machine that no worker takes any more, and whose timers come due."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    done = s.final()
    init = staticmethod(lambda i: Ctx(i))
    result = staticmethod(lambda c: c.name)
    waiting.after(lambda c: SOON + int(c.name) * timedelta(milliseconds=10), done)


class Slow:
    """A journal whose pages of the due index are short, and take their time."""

    def __init__(self, inner: Any, scan: int, engines: list[Engine]) -> None:
        self._inner = inner
        self._scan = scan
        self._engines = engines
        self.slow = False
        self.pages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def sibling(self) -> Slow:
        return self

    async def claim_runs(
        self, claim_id: UUID, limit: int, lease: int, takes: frozenset[str], after: DueEntry = FIRST_DUE
    ) -> Claims:
        self.pages += 1
        if self.slow:
            await self._engines[0].sleep(PAGE)
        answer: Claims = await self._inner.claim_runs(claim_id, limit, lease, takes, after, self._scan)
        return answer


def on_slow(scan: int) -> tuple[Engine, Slow]:
    """An engine whose worker polls as in production."""
    engines: list[Engine] = []
    slow = Slow(connect("memory://", clock=lambda: engines[0].clock.now()), scan, engines)
    engine = Engine([Retired, Waits], journal=cast(Journal, slow), poll=POLL, lease=30.0)
    engines.append(engine)
    return engine, slow


async def retire(engine: Engine, slow: Slow, runs: int) -> None:
    """Runs whose timers are due, and whose code is gone."""
    await asyncio.gather(*(engine.client.start(Retired, str(n)) for n in range(runs)))
    await engine.deploy([Waits])
    slow.slow = True
    await engine.advance(2 * SOON)


@pytest.mark.parametrize("head", [20, 300])
async def test_who_waits_behind_a_long_head_is_found_at_once(head: int) -> None:
    """300 of them are 150 pages: a pass of 1.2 seconds at least."""
    engine, slow = on_slow(2)
    async with engine:
        run = await engine.client.start(Waits, "a")
        await retire(engine, slow, head)
        began, pages = engine.clock.now(), slow.pages
        await engine.client.send(run, Go())
        await engine.client.send(run, Finish())
        assert await run.result(60) == "go"
        assert (engine.clock.now() - began) / 1e6 < 0.2
        assert slow.pages - pages < 20


async def test_who_waits_behind_a_long_head_is_found_by_a_worker_that_begins() -> None:
    engine, slow = on_slow(2)
    async with engine:
        run = await engine.client.start(Waits, "a")
        await retire(engine, slow, 300)
        slow.slow = False
        await engine.crash()
        slow.slow = True
        began = engine.clock.now()
        await engine.client.send(run, Go())
        await engine.client.send(run, Finish())
        assert await run.result(60) == "go"
        assert (engine.clock.now() - began) / 1e6 < 4


async def test_an_event_of_long_ago_is_found_before_a_long_head() -> None:
    """One that was held back keeps its due time, so that it is older than all that the worker has passed."""
    engine, slow = on_slow(2)
    async with engine:
        run = await engine.client.start(Waits, "a")
        await engine.client.suspend(run)
        await engine.client.send(run, Go())
        await engine.client.send(run, Finish())
        await retire(engine, slow, 300)
        began = engine.clock.now()
        await engine.client.resume(run)
        assert await run.result(60) == "go"
        assert (engine.clock.now() - began) / 1e6 < 2 * POLL


async def test_a_worker_rests_from_a_head_that_it_cannot_take() -> None:
    engine, slow = on_slow(2)
    async with engine:
        await retire(engine, slow, 300)
        pages = slow.pages
        await engine.advance(timedelta(seconds=30))
        assert (slow.pages - pages) * PAGE < timedelta(seconds=15), "more than half of the time it reads"
        pages = slow.pages
        await engine.advance(timedelta(seconds=10))
        assert slow.pages - pages >= 150, "but it does look for leases that have ended"
