"""Several worker processes on one PostgreSQL: work is shared, handed over when one leaves, and never lost."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest

from continuum_core import Client, Handle
from tests.crash.machines import TRACE, Nudge, Trip
from tests.crash.test_kill import check
from tests.workers.fleet import fleet, until
from tests.workers.machines import RELEASES, Held

ONE = RELEASES["one"]
HOUR = 3600.0
"""A lease that no test outlives: what is taken over within it was handed over."""


@pytest.fixture
def url(postgres_database: str) -> str:
    return f"{postgres_database}?schema=workers_{os.urandom(6).hex()}"


async def test_four_processes_share_a_backlog_evenly(url: str, tmp_path: Path) -> None:
    """As long as more waits than all slots together hold, each worker has its slots full: none starves.

    No body ends before all slots are full and counted, so each of the four gets exactly a quarter of every
    round, however quick one of them is.
    """
    slots, rounds = 3, 3
    names = [f"job-{number}" for number in range(4 * slots * rounds)]
    with fleet(url, tmp_path) as workers:
        async with Client(url, ONE) as client:
            runs = [await client.start(Held, name) for name in names]
            for _ in range(4):
                workers.hire(lease=HOUR, queues={"default": slots})
            counted: set[str] = set()
            for number in range(1, rounds + 1):
                await until(lambda: len(workers.begun()) >= 4 * slots * number, f"round {number} begun")  # noqa: B023 - awaited at once
                fresh = set(workers.begun()) - counted
                assert workers.shares(fresh) == {hand.pid: slots for hand in workers.hands}
                counted |= fresh
                for name in fresh:
                    workers.open(name)
            ended_by = Counter([await run.result(60) for run in runs])
        assert ended_by == {str(hand.pid): slots * rounds for hand in workers.hands}
        for hand in workers.hands:
            await hand.dismiss()


async def test_a_draining_worker_hands_over_at_once(url: str, tmp_path: Path) -> None:
    """What does not end in the grace is another's at once, though leases are of an hour; no loss counts."""
    names = [f"job-{number}" for number in range(6)]
    with fleet(url, tmp_path) as workers:
        first = await workers.hire(lease=HOUR, grace=0.0).ready()
        async with Client(url, ONE) as client:
            runs = [await client.start(Held, name) for name in names]
            await until(lambda: len(workers.begun()) == len(names), "all begun")
            second = await workers.hire(lease=HOUR).ready()
            await first.dismiss()
            await until(lambda: workers.shares(set(names)) == {second.pid: len(names)}, "all taken over")
            for run in runs:
                view = await client.view(run)
                assert [(task.losses, task.attempt) for task in view.tasks] == [(0, 0)]
            for name in names:
                workers.open(name)
            assert {await run.result(60) for run in runs} == {str(second.pid)}
            for run in runs:
                assert [step.event for step in await run.history()] == ["start", "done held"]
        await second.dismiss()


async def test_rolling_restarts_under_load_lose_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers are replaced one by one, twice, while runs start, wait, and go on all the time.

    With a lease of an hour nothing that was lost would come back within the test; and each activity was
    carried out once, for a worker that drains lets its bodies end.
    """
    trace = tmp_path / "trip"
    trace.touch()
    monkeypatch.setenv(TRACE, str(trace))
    with fleet(url, tmp_path) as workers:
        hands = [workers.hire("trip", lease=HOUR) for _ in range(2)]
        runs: list[Handle[str]] = []
        stop = asyncio.Event()
        async with Client(url, [Trip]) as client:
            loads = [asyncio.create_task(load(client, runs, stop)) for _ in range(4)]
            for hand in hands:
                await hand.ready()
            for _ in range(2):
                for place, old in enumerate(hands):
                    hands[place] = await workers.hire("trip", lease=HOUR).ready()
                    goal = len(runs) + 3
                    await until(lambda: len(runs) >= goal, "work goes on")  # noqa: B023 - awaited at once
                    await old.dismiss()
            stop.set()
            await asyncio.gather(*loads)
            for hand in hands:
                await hand.dismiss()
        lines = Counter(trace.read_text().splitlines())
        assert set(lines.values()) == {1}, "each activity was begun once and ended once"
        assert len(lines) == 4 * len(runs)
        await check(url, [run.id for run in runs], trace)


async def load(client: Client, runs: list[Handle[str]], stop: asyncio.Event) -> None:
    """One run after the other, until told to stop."""
    while not stop.is_set():
        number = len(runs)
        runs.append(await client.start(Trip, number))
        await runs[-1].send(Nudge())
        assert await runs[-1].result(60) == f"first-{number},second-{number}"
