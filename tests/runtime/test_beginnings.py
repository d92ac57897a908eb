"""Runs that begin later: at a time, after a delay, or once their starts have calmed down."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from continuum_core import AlreadyStarted, RunCancelled, RunStatus, UsageError
from continuum_core.testing import Engine
from tests.runtime.talks import Buy, Open, Shop

MINUTE = timedelta(minutes=1)


async def test_a_start_at_a_time_begins_then(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.client.start(Shop, 5, key="a", at=engine.now() + 10 * MINUTE)
        other = await engine.client.start(Shop, 6, after=20 * MINUTE)
        for each, due in ((run, 10), (other, 20)):
            view = await engine.view(each)
            assert (view.states, view.status) == ((), RunStatus.RUNNING)
            assert [(w.what, w.due) for w in view.waiting] == [("start", engine.now() + due * MINUTE)]
        await engine.advance(10 * MINUTE - timedelta(seconds=1))
        assert await engine.states(run) == set()
        await engine.crash()
        await engine.advance(timedelta(seconds=1))
        assert (await engine.states(run), await engine.states(other)) == ({"closed"}, set())
        assert (await engine.client.start(Shop, 5, key="a", after=MINUTE)).id == run.id, "it is there"
        past = await engine.client.start(Shop, 7, at=engine.now() - MINUTE)
        assert await engine.states(past) == {"closed"}
        await engine.advance(10 * MINUTE)
        assert await engine.states(other) == {"closed"}
        await engine.check(run)


async def test_events_for_a_run_that_has_not_begun_wait_for_it(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.client.start(Shop, 5, after=10 * MINUTE)
        await engine.send(run, Open())
        asks = asyncio.create_task(run.ask(Buy(2), id="b"))
        await engine.settle()
        view = await engine.view(run)
        assert (view.states, view.status) == ((), RunStatus.RUNNING)
        assert sorted(w.held for w in view.waiting) == ["", "deferred", "deferred"]
        await engine.advance(10 * MINUTE)
        assert await engine.states(run) == {"trading"}
        assert await asks == 3
        await engine.check(run)


async def test_a_run_is_cancelled_before_it_begins(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.client.start(Shop, 5, key="a", after=10 * MINUTE)
        await engine.send(run, Open())
        await run.cancel("changed my mind")
        with pytest.raises(RunCancelled, match="changed my mind"):
            await run.result()
        await engine.advance(20 * MINUTE)
        assert (await engine.view(run)).status is RunStatus.CANCELLED
        await engine.check(run)


async def test_debounced_starts_begin_one_run_with_the_last_input(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        for stock in (1, 2, 3):
            run = await engine.client.start(Shop, stock, key="a", debounce=MINUTE)
            await engine.advance(MINUTE - timedelta(seconds=1))
            assert await engine.states(run) == set()
        await engine.advance(timedelta(seconds=1))
        assert await engine.states(run) == {"closed"}
        assert await run.query(lambda c: c.left) == 3
        assert (await engine.client.start(Shop, 3, key="a", debounce=MINUTE)).id == run.id
        with pytest.raises(AlreadyStarted):
            await engine.client.start(Shop, 1, key="a", debounce=MINUTE)
        assert [step.event for step in await engine.history(run)] == ["postpone", "postpone", "start"]
        await engine.check(run)


async def test_a_debounced_start_is_put_off_so_long_at_most(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        for stock in range(4):
            await engine.client.start(
                Shop, stock, key="a", debounce=2 * MINUTE, debounce_max=timedelta(minutes=4, seconds=30)
            )
            await engine.advance(MINUTE)
        run = engine.client.get(Shop, "a")
        assert await engine.states(run) == set()
        await engine.advance(timedelta(seconds=30))
        assert await run.query(lambda c: c.left) == 3


async def test_starts_of_one_key_at_once_begin_one_run(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        same = [engine.client.start(Shop, 5, key="a") for _ in range(8)]
        assert len({run.id for run in await asyncio.gather(*same)}) == 1
        put_off = [engine.client.start(Shop, stock, key="b", debounce=MINUTE) for stock in range(8)]
        (name,) = {run.id for run in await asyncio.gather(*put_off)}
        differ = [engine.client.start(Shop, stock, key="c") for stock in range(8)]
        told = await asyncio.gather(*differ, return_exceptions=True)
        assert sum(isinstance(each, AlreadyStarted) for each in told) == 7
        await engine.advance(MINUTE)
        assert await engine.states(engine.client.handle(name)) == {"closed"}
        assert len([run async for run in engine.client.runs()]) == 3


async def test_times_that_contradict_are_refused() -> None:
    async with Engine([Shop]) as engine:
        start = engine.client.start
        for wrong in (
            start(Shop, 1, at=engine.now(), after=MINUTE),
            start(Shop, 1, key="a", after=MINUTE, debounce=MINUTE),
            start(Shop, 1, debounce=MINUTE),
            start(Shop, 1, key="a", debounce=MINUTE, debounce_max=timedelta(seconds=1)),
        ):
            with pytest.raises(UsageError):
                await wrong
