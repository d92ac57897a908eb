"""A wait that ends before the run does: what is told of the run then, and who has to do something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from attrs import evolve

from continuum_core import Client, ResultTimeout, RunTerminated, Worker
from continuum_core.client.holding import held_up
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.testing import Engine
from continuum_core.view import TaskView
from tests.runtime.machines import Broken, Note, Steps, Waits
from tests.runtime.test_worker import Away


async def told(engine: Engine, run: object, timeout: float = 10) -> str:
    with pytest.raises(ResultTimeout) as caught:
        await engine.client.result(run, timeout)  # type: ignore[arg-type]
    return caught.value.known


async def test_a_parked_and_a_suspended_run_say_who_has_to_act(journal: str) -> None:
    async with Engine([Broken, Waits], journal=journal) as engine:
        parked = await engine.start(Broken, "a")
        await parked.send(Note("bad"))
        await engine.settle()
        known = await told(engine, parked)
        assert known.startswith("it is parked (fault: fragile: ")
        assert known.endswith("; mend what parked it, and unpark it")
        rests = await engine.start(Waits, "b")
        await rests.suspend("audit")
        assert await told(engine, rests) == "it is suspended (audit); resume it, and it goes on"
        await rests.resume()
        assert (await told(engine, rests)).startswith("it goes on, and waits in waiting until ")


async def test_a_run_that_begins_later_says_when(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        run = await engine.client.start(Waits, "a", after=timedelta(hours=1))
        begins = (await run.view()).begins
        assert begins is not None
        assert await told(engine, run) == f"it begins at {begins:%Y-%m-%d %H:%M:%S} UTC"


async def test_a_run_that_no_worker_takes_says_so(journal: str) -> None:
    async with Client(journal, [Waits]) as client:
        run = await client.start(Waits, "a")
        with pytest.raises(ResultTimeout, match="no live worker takes waits") as caught:
            await run.result(0.01)
        assert str(caught.value).startswith(f"run {run.id} has not ended within 0.01 s: ")


async def test_an_activity_that_no_worker_has_room_for_names_its_queue(journal: str) -> None:
    async with Worker(journal, [Steps], queues={"slow": 1}) as worker:
        run = await worker.client.start(Steps, "a")
        with pytest.raises(ResultTimeout, match="plain waits for a worker that takes queue 'default'"):
            await run.result(0.5)


async def test_a_run_that_is_over_by_then_is_no_timeout() -> None:
    async with Client("memory://", [Waits]) as client:
        run = await client.start(Waits, "a")
        await run.terminate("over")
        with pytest.raises(RunTerminated, match="over"):
            await run.result(0)


async def test_a_journal_that_is_away_is_no_other_error() -> None:
    away = Away(connect("memory://"))
    async with Client(cast(Journal, away), [Waits]) as client:
        run = await client.start(Waits, "a")
        away.away = True
        with pytest.raises(ResultTimeout, match="what keeps it cannot be told"):
            await run.result(0.01)
        away.away = False


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORK = TaskView("charge", "cards", NOW, 1, 0, claimed=False, cancel_requested=False)


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (WORK, "activity charge waits for a worker that takes queue 'cards' and has room"),
        (evolve(WORK, claimed=True), "activity charge is under way"),
        (
            evolve(WORK, due=NOW + timedelta(minutes=1), failure="Refused: no"),
            "activity charge failed (Refused: no) and is tried again at 12:01:00 UTC",
        ),
    ],
    ids=["unclaimed", "claimed", "failed"],
)
async def test_an_activity_is_told_by_what_it_waits_for(task: TaskView, told: str) -> None:
    async with Client("memory://", [Waits]) as client:
        view = await (await client.start(Waits, "a")).view()
    assert held_up(evolve(view, tasks=(task,)), NOW, taken=True) == f"it goes on: {told}"
