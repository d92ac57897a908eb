"""Whatever the moment of a worker's death: deadlines end runs once, and questions get their one reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from continuum_core import AskRejected, RunTerminated, RunTimedOut
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.mapper import ASK
from continuum_core.testing import Engine
from tests.crews.test_crashes import Dying
from tests.limits.machines import HOUR, Bare, Job, Journey, Note, Tidy, tidy
from tests.runtime.sagas import book_car, book_flight, book_hotel, cancel_flight, cancel_hotel
from tests.runtime.talks import Buy, Open, Quote, Shop

LEASES = timedelta(minutes=5)
"""Longer than the leases of what a dead worker had."""

Scenario = Callable[[Engine, Dying], Awaitable[None]]


async def died(url: str, at: int, after: bool, scenario: Scenario) -> bool:
    """Whether the scenario met its `at`-th write; it has ended as if nobody had died there."""
    clocks: list[Any] = []
    dying = Dying(connect(url, clock=lambda: clocks[0].now()), at, after)
    known = cast(Journal, dying)
    engine = Engine([Bare, Journey, Shop, Tidy], journal=known, lease=30.0, poll=60.0)
    clocks.append(engine.clock)
    dying.pause = engine.sleep
    async with engine:
        await scenario(engine, dying)
    return dying.died


async def lives_on(engine: Engine, dying: Dying, length: timedelta) -> None:
    """Let time pass, whoever dies meanwhile."""
    await engine.settle()
    await engine.advance(length)
    if dying.died:
        await engine.crash()
    await engine.advance(LEASES)


async def late(engine: Engine, dying: Dying) -> None:
    """At its deadline it tidies up, and is timed out then."""
    engine.stub(tidy)
    run = await engine.client.start(Tidy, Job("a"))
    await lives_on(engine, dying, HOUR)
    with pytest.raises(RunTimedOut) as caught:
        await run.result()
    assert caught.value.state == "stopped"
    events = [step.event.partition(" (")[0] for step in await engine.history(run)]
    assert events == ["start", "deadline", "done tidy"]
    await engine.check(run)


async def at_once(engine: Engine, dying: Dying) -> None:
    """It is suspended at its deadline, and nothing is declared for that."""
    run = await engine.client.start(Bare, Job("a", HOUR))
    await engine.client.send(run, Note("heard"))
    await engine.settle()
    await engine.client.suspend(run)
    await lives_on(engine, dying, HOUR)
    with pytest.raises(RunTimedOut):
        await run.result()
    events = [step.event for step in await engine.history(run)]
    assert events[-1] == "deadline"
    assert sorted(events) == ["Note", "deadline", "start", "suspend"]
    await engine.check(run)


async def stopped(engine: Engine, dying: Dying) -> None:
    """The undo of the hotel fails, and the run is parked until its time to stop is over."""
    engine.stub(book_flight, returns="f-1")
    engine.stub(book_hotel, returns="h-1")
    engine.stub(book_car, hangs=True)
    engine.stub(cancel_hotel, raises=RuntimeError("closed"))
    undone = engine.stub(cancel_flight)
    run = await engine.client.start(Journey, "a")
    await engine.settle()
    if dying.died:
        await engine.crash()
        await engine.advance(LEASES)
    await run.cancel("ill")
    await lives_on(engine, dying, HOUR)
    with pytest.raises(RunTerminated) as caught:
        await run.result()
    assert caught.value.left == ("book_flight", "book_hotel")
    assert undone.calls == []
    await engine.check(run)


async def asked(engine: Engine, dying: Dying) -> None:
    """Whoever asked is gone, and so is who took it: each question is taken once, and has the one reply."""
    run = await engine.client.start(Shop, 10)
    await engine.client.send(run, Open())
    questions = {f"b-{number}": Buy(2) for number in range(3)} | {"q": Quote(99)}
    for name, question in questions.items():
        await engine.client.send(run, question, dedupe=f"{ASK}{name}")
    await lives_on(engine, dying, timedelta(seconds=1))
    for _ in range(2):
        told = [await run.ask(Buy(2), id=f"b-{number}") for number in range(3)]
        assert told == [8, 6, 4]
        with pytest.raises(AskRejected, match="guard"):
            await run.ask(Quote(99), id="q")
    assert await run.query(lambda c: c.sold) == 6
    await engine.check(run)


SCENARIOS = [late, at_once, stopped, asked]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_write_may_be_the_last_of_a_worker(scenario: Scenario, after: bool) -> None:
    at = 1
    while await died("memory://", at, after, scenario):
        at += 1
    assert at > 1, "the scenario writes"


@pytest.mark.parametrize("scenario", [stopped, asked])
async def test_so_on_the_other_journals(real_journal: str, scenario: Scenario) -> None:
    assert await died(real_journal, 1, True, scenario)


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_write_of_a_worker_on_the_other_journals(
    fresh_real: Callable[[], str], scenario: Scenario, after: bool
) -> None:
    at = 1
    while await died(fresh_real(), at, after, scenario):
        at += 1
    assert at > 1, "the scenario writes"
