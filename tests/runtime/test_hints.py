"""A worker without a single hint: what it and its own client write it knows of, and waits for no poll."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from continuum_core import Client, Machine, Queue, Rate, RunCancelled, Worker, activity, root
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from tests.runtime.machines import Ctx, Finish, Go, Waits, noted

POLL = 3600.0
"""Seconds; no test lives to see a poll."""

SOON = timedelta(milliseconds=20)


class Deaf:
    """A journal that never hints."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def sibling(self) -> Deaf:
        return Deaf(self._inner.sibling())

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@activity()
async def echo(name: str) -> str:
    return name


class Timed(Machine[Ctx, str, str], name="timed"):
    """A timer of the first turn, an activity, and a timer of the turn that its outcome takes."""

    s = root(Ctx)
    first = s.state(initial=True)
    working = s.state()
    second = s.state()
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    first.after(SOON, working)
    working.invoke(
        echo, lambda c: c.name, done=second, assign=lambda c, o: noted(c, o), error={Exception: failed}
    )
    second.after(SOON, done)


def deaf_worker(url: str, *machines: Any) -> Worker:
    return Worker(cast(Journal, Deaf(connect(url))), machines, poll=POLL)


async def test_timers_of_own_turns_are_not_waited_for_by_polling(journal: str) -> None:
    async with deaf_worker(journal, Timed) as worker:
        run = await worker.client.start(Timed, "a")
        assert await run.result(20) == "a"


async def test_what_its_own_client_sends_and_orders_is_taken_at_once(journal: str) -> None:
    async with deaf_worker(journal, Waits) as worker:
        run = await worker.client.start(Waits, "a")
        await run.send(Go())
        await run.send(Finish())
        assert await run.result(20) == "go"
        other = await worker.client.start(Waits, "b")
        await other.cancel("enough")
        with pytest.raises(RunCancelled):
            await other.result(20)
        third = await worker.client.start(Waits, "c")
        await worker.client.suspend(third)
        await third.send(Go())
        await third.send(Finish())
        await worker.client.resume(third)
        assert await third.result(20) == "go"


async def test_a_delayed_event_of_its_own_client_is_not_waited_for_by_polling(journal: str) -> None:
    async with deaf_worker(journal, Waits) as worker:
        run = await worker.client.start(Waits, "a")
        await run.send(Go(), delay=SOON)
        await run.send(Finish(), delay=2 * SOON)
        assert await run.result(20) == "go"


@activity(queue=Queue("one", limit=1, rate=Rate(1, per=SOON, burst=1)))
async def alone(name: str) -> str:
    await asyncio.sleep(0)
    return name


class Alone(Machine[Ctx, str, str], name="alone"):
    """An activity whose queue lets one through."""

    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    init = staticmethod(lambda i: Ctx(i))
    result = staticmethod(lambda c: c.name)
    working.invoke(alone, lambda c: c.name, done=done, error=done)


async def test_a_place_and_a_token_of_a_limited_queue_are_not_waited_for_by_polling(journal: str) -> None:
    """Its tasks are never born in a worker's hands, and the next may begin only when one is reported."""
    async with deaf_worker(journal, Alone) as worker:
        runs = [await worker.client.start(Alone, f"r{n}") for n in range(4)]
        assert [await run.result(20) for run in runs] == ["r0", "r1", "r2", "r3"]


async def test_another_client_needs_a_hint_or_a_poll(shared_journal: str) -> None:
    """The counterpart: these tests would see a worker that polls."""
    async with deaf_worker(shared_journal, Waits), Client(shared_journal, [Waits]) as client:
        run = await client.start(Waits, "a")
        await run.send(Go())
        with pytest.raises(TimeoutError):
            await run.result(0.3)
