"""The server itself is killed under load: workers and clients outlive it, and lose nothing acknowledged."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from continuum_core import Client, Handle
from continuum_core.testing.private_server import NoServer
from continuum_core.testing.servers import Postgres
from tests.crash.machines import TRACE, Nudge, Trip
from tests.crash.test_kill import check
from tests.workers.fleet import fleet, until


async def kill(server: Postgres) -> None:
    """`kill -9` of the server's main process; run again once its children have noticed."""
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    server.crash()  # only collects what is left of it
    while True:
        try:
            return await asyncio.to_thread(server.run)
        except NoServer:  # a child of the dead one still holds its shared memory
            server.crash()
            await asyncio.sleep(0.05)


async def test_a_killed_server_loses_nothing_that_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice `kill -9` in the middle: each acknowledged run ends, its events taken once, its history whole."""
    trace = tmp_path / "trip"
    trace.touch()
    monkeypatch.setenv(TRACE, str(trace))
    with Postgres() as server, fleet(server.url(), tmp_path) as workers:
        hands = [workers.hire("trip", lease=2.0) for _ in range(2)]
        runs: list[Handle[str]] = []
        stop = asyncio.Event()
        async with Client(server.url(), [Trip], patience=60.0) as client:
            loads = [asyncio.create_task(load(client, runs, stop)) for _ in range(4)]
            for hand in hands:
                await hand.ready()
            for _ in range(2):
                goal = len(runs) + 20
                await until(lambda: len(runs) >= goal, "work goes on")  # noqa: B023 - awaited at once
                await kill(server)
            stop.set()
            await asyncio.gather(*loads)
            for run in runs:
                await run.result(60)
        for hand in hands:
            await hand.dismiss()
        await check(server.url(), [run.id for run in runs], trace)


async def load(client: Client, runs: list[Handle[str]], stop: asyncio.Event) -> None:
    """Start runs, each with its event, until told to stop. What is in the list was acknowledged."""
    while not stop.is_set():
        run = await client.start(Trip, len(runs))
        await run.send(Nudge(), dedupe="once")
        runs.append(run)
        await asyncio.sleep(0.01)
