"""Forks, on every backend: what they take over, what they do anew, where they come from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from continuum_core import (
    AlreadyStarted,
    Client,
    Handle,
    PayloadRefused,
    RunFailed,
    RunStatus,
    RunTerminated,
    UsageError,
    Worker,
)
from continuum_core.journal.records import RecordKind
from continuum_core.replay import verify_run
from continuum_core.testing import Engine
from tests.golden.release_0_1 import Jukebox, Pause, Player, Resume, Skip, Stop, Tune
from tests.travel.machines import (
    BOUGHT,
    Arrive,
    Board,
    Book,
    Diary,
    Further,
    Journey,
    Leg,
    Longer,
    Stranded,
    Travel,
    Wave,
    buy,
)


@pytest.fixture(autouse=True)
def nothing_bought() -> None:
    BOUGHT.clear()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(2_000):
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


async def riding(worker: Worker, name: str = "north") -> Handle[Journey]:
    """A run whose records are: start, Book, Board, done buy."""
    run = await worker.client.start(Travel, name, key=name)
    await run.send(Book("Oslo", 30))
    await run.send(Board())

    async def rides() -> bool:
        return (await run.view()).states == ("riding",)

    await until(rides)
    return run


async def states_of(run: Handle[Any]) -> tuple[str, ...]:
    return (await run.view()).states


# --- on every backend ----------------------------------------------------------------------------------


async def test_a_fork_goes_on_from_a_past_version_and_leaves_the_run_alone(journal: str) -> None:
    async with Worker(journal, [Travel]) as worker:
        run = await riding(worker)
        before = await run.history()
        fork = await run.fork(2, ctx=lambda c: evolve(c, legs=(*c.legs, Leg("Bodø", 5))), key="by Bodø")
        await fork.send(Board())
        await until(lambda: _is(fork, "riding"))
        await fork.send(Arrive())
        home = await fork.result(20)
        assert (home.total, [leg.to for leg in home.legs]) == (35, ["Oslo", "Bodø"])
        assert BOUGHT == ["north", "north"], "once for each run"
        assert await run.history() == before
        view = await fork.view()
        assert (view.parent, view.root, view.key) == (run.id, run.id, "by Bodø")
        first = (await fork.history())[0]
        assert (first.kind, first.event, first.states) == (RecordKind.FORK, "fork", ("booking",))
        assert first.data == {"run": str(run.id), "version": 2}
        await verify_run(worker.journal, worker.registry, fork.id)
        again = await fork.fork(1)
        assert (await again.view()).root == run.id, "the root is the first of them all"
        children, _ = await worker.client.list(parent=run)
        assert [each.id for each in children] == [fork.id]


async def test_what_was_open_is_asked_for_anew(journal: str) -> None:
    async with Worker(journal, [Travel]) as worker:
        run = await riding(worker)
        await run.send(Book("kept for later"))

        async def kept() -> bool:
            return (await run.view()).version == 5

        await until(kept)
        buying, home = await run.fork(3), await run.fork(5)
        # The activity was open at record 3: it is carried out for the fork, with what it was asked there.
        await until(lambda: _is(buying, "riding"))
        assert BOUGHT == ["north", "north"]
        # The timer was open at record 5, and an event deferred: both are there.
        view = await home.view()
        assert [each.what for each in view.waiting if not each.held] in (["timer"], ["Book", "timer"])
        await until(lambda: _held(home))
        [timer] = (await home.at((await home.view()).version)).timers
        left = timer.due - (await home.history())[0].at
        there = await run.at(5)
        assert abs(left - (there.timers[0].due - there.at)) < timedelta(milliseconds=1)
        await verify_run(worker.journal, worker.registry, home.id)


async def _is(run: Handle[Any], state: str) -> bool:
    return await states_of(run) == (state,)


async def _held(run: Handle[Any]) -> bool:
    return any(each.held == "deferred" and each.what == "Book" for each in (await run.view()).waiting)


async def test_a_worker_begins_a_fork_that_a_client_without_code_made(journal: str) -> None:
    async with Worker(journal, [Travel]) as worker:
        run = await riding(worker)
        async with Client(worker.journal.sibling()) as client:
            fork = await client.fork(run.id, 2, ctx=lambda c: {**c, "name": "south"})
            with pytest.raises(PayloadRefused, match="no such field"):
                await client.fork(run.id, 2, ctx=lambda c: {**c, "nam": "south"})
        fork = worker.client.handle(fork.id)
        await until(lambda: _is(fork, "booking"))
        assert (await fork.view()).context.name == "south"
        await fork.send(Board())
        await until(lambda: _is(fork, "riding"))
        assert BOUGHT == ["north", "south"]


async def test_a_key_makes_a_fork_once(journal: str) -> None:
    async with Worker(journal, [Travel]) as worker:
        run = await riding(worker)
        fork = await run.fork(2, key="again")
        assert (await run.fork(2, key="again")).id == fork.id
        for other in (run.fork(1, key="again"), run.fork(2, key="again", ctx=lambda c: evolve(c, total=1))):
            with pytest.raises(AlreadyStarted):
                await other
        with pytest.raises(AlreadyStarted):
            await worker.client.start(Travel, "again", key="again")


async def test_reset_forks_and_ends_the_original(journal: str) -> None:
    async with Worker(journal, [Travel]) as worker:
        run = await riding(worker)
        fork = await worker.client.reset(run, 2, key="second try", why="wrong train", who="ann")
        with pytest.raises(
            RunTerminated, match=f"wrong train; reset to record 2: it goes on as run {fork.id}"
        ):
            await run.result(20)
        assert (await fork.view()).status is RunStatus.RUNNING
        # The answer was lost, and it is asked again.
        assert (await worker.client.reset(run, 2, key="second try")).id == fork.id


async def test_newer_code_goes_on_from_an_older_past(journal: str) -> None:
    async with Worker(journal, [Travel]) as worker:
        run = await riding(worker)
        async with Worker(worker.journal.sibling(), [Travel, Further]) as newer:
            fork = await newer.client.fork(run.id, 4, machine=Further)
            await fork.send(Wave())
            await fork.send(Arrive())
            await until(lambda: _is(fork, "resting"))
            context = (await fork.view()).context
            assert isinstance(context, Longer)
            assert (context.total, context.log, context.class_) == (30, ("bye!",), "second")
            assert await states_of(run) == ("riding",)


# --- what is refused -----------------------------------------------------------------------------------


async def test_points_that_nothing_can_go_on_from() -> None:
    async with Engine([Travel, Stranded, Diary]) as engine:
        engine.stub(buy, returns=1)
        run = await engine.start(Travel, "north", key="n")
        for sent in (Board(), Arrive()):
            await engine.send(run, sent)
        for version, why in (
            (0, "no record 0"),
            (5, "no record 5; .* between 1 and 4"),
            (4, "was completed"),
        ):
            with pytest.raises(UsageError, match=why):
                await run.fork(version)
        with pytest.raises(UsageError, match=r"version 3 of travel cannot go on .* no state 'riding'"):
            await run.fork(3, machine=Stranded)
        with pytest.raises(UsageError, match="is one of machine 'travel', not of 'diary'"):
            await run.fork(3, machine=Diary)
        waiting = await engine.client.start("diary", None)
        await engine.client.terminate(waiting)
        with pytest.raises(UsageError, match="was terminated by record 2"):
            await waiting.fork(2)


async def test_a_run_that_had_not_begun() -> None:
    async with Engine([Travel]) as engine:
        await engine.start(Travel, "so that its definition is known")
        await engine.deploy([Diary])
        run = await engine.start("travel", "north")
        await engine.client.suspend(run)
        with pytest.raises(UsageError, match="had not begun at record 1"):
            await run.fork(1)


# --- histories, timers, ends ---------------------------------------------------------------------------


async def test_histories_and_deferred_events_come_along() -> None:
    async with Engine([Jukebox]) as engine:
        run = await engine.start(Jukebox, "intro")
        for sent in (Skip(), Tune(88), Pause(), Skip(), Tune(99), Skip()):
            await engine.send(run, sent)
        view = await engine.view(run)
        fork = await run.fork(view.version)
        for each in (run, fork):
            assert [w.what for w in (await engine.view(each)).waiting if w.held] == ["Skip", "Tune", "Skip"]
            await engine.send(each, Resume())
        assert await engine.states(fork) == await engine.states(run)
        assert (await engine.context(fork)) == (await engine.context(run)) == Player(("intro", "chorus"), 99)
        await engine.check(fork)


async def test_a_timer_has_the_time_it_had_left() -> None:
    async with Engine([Jukebox]) as engine:
        run = await engine.start(Jukebox, "intro")
        await engine.send(run, Pause())  # an hour until it goes off
        await engine.advance(timedelta(minutes=40))
        await engine.send(run, Tune(1))
        await engine.advance(timedelta(minutes=19))
        await engine.send(run, Resume())
        await engine.advance(timedelta(days=3))
        fork = await run.fork(3)
        await engine.advance(timedelta(minutes=19))
        assert await engine.states(fork) == {"paused"}
        await engine.advance(timedelta(minutes=2))
        assert (await engine.view(fork)).status is RunStatus.COMPLETED
        await engine.check(fork)


async def test_a_fork_of_a_run_that_failed_may_do_better() -> None:
    async with Engine([Travel]) as engine:
        engine.stub(buy, raises=OSError("the till is out of order"))
        run = await engine.start(Travel, "north")
        await engine.send(run, Board())
        await engine.advance(timedelta(minutes=1))
        with pytest.raises(RunFailed):
            await run.result()
        engine.stub(buy, returns=7)
        fork = await run.fork(2)
        await engine.settle()
        assert await engine.states(fork) == {"riding"}
        assert (await engine.context(fork)).total == 7


async def test_a_fork_is_cancelled_like_any_run() -> None:
    async with Engine([Jukebox]) as engine:
        run = await engine.start(Jukebox, "intro")
        fork = await run.fork(1)
        await fork.cancel("enough")
        await engine.settle()
        assert (await engine.view(fork)).status is RunStatus.CANCELLED
        await engine.send(run, Stop())
        assert (await engine.view(run)).status is RunStatus.COMPLETED


async def test_what_a_worker_cannot_take_over_parks_the_fork() -> None:
    async with Engine([Travel]) as engine:
        engine.stub(buy, hangs=True)
        run = await engine.start(Travel, "north")
        await engine.send(run, Board())
        async with Client(engine.client.journal.sibling()) as client:
            fork = await client.fork(run.id, 2, ctx=lambda c: {**c, "total": "a lot"})
        await engine.settle()
        view = await engine.client.view(fork.id)
        assert (view.status, view.version) == (RunStatus.PARKED, 1)
        assert view.cause.startswith("unreadable event")
