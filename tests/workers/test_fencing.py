"""Worker processes that stand still: who is paused is fenced, who merely blocks its loop keeps what it holds.

The process stops itself at the line that matters, so the moment is exact; that another took over is read
from the journal, and the paused one goes on only then.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from continuum_core import Client, Handle
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from tests.workers.fleet import Fleet, fleet, until
from tests.workers.machines import RELEASES, Blocks, ChangedOne, Held, Nudge, OnAThread, Stops

ONE = RELEASES["one"]
HOUR = 3600.0
SHORT = 1.0
"""A lease, in seconds, that runs out while its holder is stopped. Nobody else holds one that matters."""


@pytest.fixture
def url(postgres_database: str) -> str:
    return f"{postgres_database}?schema=fencing_{os.urandom(6).hex()}"


async def records(client: Client, run: Handle[Any]) -> list[bytes]:
    """A run's history as it is stored; it has to fold to the run's snapshot."""
    await verify_run(client.journal, Registry(ONE), run.id)
    history = await client.journal.history(run.id)
    assert [record.version for record in history] == list(range(1, len(history) + 1))
    return [record.body for record in history]


async def alive(workers: Fleet, client: Client, name: str) -> int:
    """Which process carries out a fresh run: proof that one of those left still works."""
    workers.open(name)
    return int(await (await client.start(Held, name)).result(60))


async def test_a_worker_paused_with_a_turn_in_hand_is_fenced(url: str, tmp_path: Path) -> None:
    """It stops between claim and commit, is overtaken, goes on, and its commit is refused by the journal."""
    with fleet(url, tmp_path) as workers:
        paused = workers.hire(lease=SHORT, stop="commit")
        async with Client(url, ONE) as client:
            run = await client.start(ChangedOne, "a")
            await run.send(Nudge())
            await paused.stopped()
            assert (await client.view(run)).leased_until is not None
            other = workers.hire(lease=HOUR)
            assert await run.result(60) == "one"
            before = await records(client, run)
            await other.dismiss()
            paused.go_on()
            await until(lambda: workers.traced("told"), "the paused worker was answered")
            assert workers.traced("told", "COMMITTED") == []
            assert await records(client, run) == before
            assert await alive(workers, client, "after") == paused.pid
            assert [step.event for step in await run.history()] == ["start", "Nudge"]
            await paused.dismiss()


async def test_a_worker_paused_with_an_outcome_in_hand_is_fenced(url: str, tmp_path: Path) -> None:
    """Its body ended and it stops before the journal hears of it: what stands is another's outcome, once."""
    with fleet(url, tmp_path) as workers:
        paused = workers.hire(lease=SHORT, stop="finish")
        async with Client(url, ONE) as client:
            workers.open("a")
            run = await client.start(Held, "a")
            await paused.stopped()
            other = workers.hire(lease=HOUR)
            assert await run.result(60) == str(other.pid)
            before = await records(client, run)
            await other.dismiss()
            paused.go_on()
            await until(lambda: workers.traced("told"), "the paused worker was answered")
            assert workers.traced("told", "FINISHED") == []
            assert await records(client, run) == before
            assert [step.event for step in await run.history()] == ["start", "done held (1 lost)"]
            assert workers.traced("end", "a") == [paused.pid, other.pid], "both carried it out"
            assert await alive(workers, client, "after") == paused.pid
            await paused.dismiss()


async def test_a_worker_paused_in_a_body_is_fenced(url: str, tmp_path: Path) -> None:
    """Stopped in the middle of the body itself: another carries it out, and the end of the first is void."""
    with fleet(url, tmp_path) as workers:
        paused = workers.hire(lease=SHORT)
        async with Client(url, ONE) as client:
            run = await client.start(Stops, "a")
            await paused.stopped()
            other = workers.hire(lease=HOUR)
            assert await run.result(60) == str(other.pid)
            before = await records(client, run)
            await other.dismiss()
            paused.go_on()
            assert await alive(workers, client, "after") == paused.pid
            await paused.dismiss()
            assert workers.traced("end", "a") == [other.pid, paused.pid], "the paused body went on"
            assert await records(client, run) == before
            assert [step.event for step in await run.history()] == ["start", "done stops (1 lost)"]


async def test_a_blocked_loop_and_a_long_body_keep_their_leases(url: str, tmp_path: Path) -> None:
    """Renewal runs beside the worker's loop: bodies that hold up loop and threads are not taken away.

    They go on until both leases were seen to have been renewed; another worker waits for them all the time.
    """
    with fleet(url, tmp_path) as workers:
        busy = await workers.hire(lease=6.0).ready()
        async with Client(url, ONE) as client:
            runs = [await client.start(OnAThread, "thread"), await client.start(Blocks, "loop")]
            await until(lambda: len(workers.begun()) == 2, "both begun")
            other = await workers.hire(lease=HOUR).ready()
            for run in runs:
                granted = await leased_until(client, run)
                for _ in range(1_000_000):
                    if await leased_until(client, run) > granted:
                        break
            workers.open("thread")
            workers.open("loop")
            assert [await run.result(60) for run in runs] == [str(busy.pid)] * 2
            assert [len(workers.traced("begin", name)) for name in ("thread", "loop")] == [1, 1]
            for run in runs:
                assert "lost" not in (await run.history())[-1].event
        await busy.dismiss()
        await other.dismiss()


async def leased_until(client: Client, run: Handle[Any]) -> int:
    """Until when the run's only task is its holder's."""
    inspection = await client.journal.inspect(run.id)
    assert inspection is not None
    (task,) = inspection.tasks
    assert (task.losses, task.lease_until is None) == (0, False)
    return task.lease_until or 0


async def test_a_worker_that_hangs_renews_no_more(url: str, tmp_path: Path) -> None:
    """Its loop stands still beyond the bound: its task becomes another's, and its late outcome is void."""
    with fleet(url, tmp_path) as workers:
        hangs = await workers.hire(lease=SHORT, stall=0.5).ready()
        async with Client(url, ONE) as client:
            run = await client.start(Blocks, "hung")
            await until(lambda: workers.traced("begin", "hung"), "the loop is blocked")
            other = workers.hire(lease=HOUR, stall=HOUR)
            await until(lambda: workers.begun()["hung"] == other.pid, "another took it")
            workers.open("hung")
            assert await run.result(60) == str(other.pid)
            before = await records(client, run)
            await other.dismiss()
            assert await alive(workers, client, "after") == hangs.pid
            await hangs.dismiss()
            assert await records(client, run) == before
            assert [step.event for step in await run.history()] == ["start", "done blocks (1 lost)"]
