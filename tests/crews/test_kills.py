"""A wide fan-out over real processes, one of which is killed again and again: every child run ends once."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from continuum_core import Client, Machine
from continuum_core.journal.commit import Query
from continuum_core.journal.records import RunStatus
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from tests.crews.machines import Armada, Convoy, Ctx
from tests.workers.fleet import PATIENCE, Fleet, fleet

LEASE = 2.0
"""Seconds: what a dead worker held is taken up after them."""

_PAGE = 1_000


async def ended(client: Client, run: Query) -> int:
    """How many child runs have ended."""
    count, cursor = 0, None
    while True:
        page = await client.journal.list(run, _PAGE, cursor)
        count += sum(child.status is RunStatus.COMPLETED for child in page.runs)
        cursor = page.cursor
        if cursor is None:
            return count


async def killed_at(workers: Fleet, client: Client, children: Query, goal: int) -> None:
    """Kill the worker that is there longest once so many child runs have ended, and hire another."""
    deadline = asyncio.get_running_loop().time() + 2 * PATIENCE
    while True:
        count = await ended(client, children)
        if count >= goal:
            break
        assert asyncio.get_running_loop().time() < deadline, f"{goal} child runs never ended"
        await asyncio.sleep(0.05 + count / 5_000)  # counting many takes its share of what they need
    victim = workers.hands.pop(0)
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait()
    workers.hire("convoy", lease=LEASE)


async def shipped(
    url: str, folder: Path, machine: type[Machine[Ctx, tuple[str, ...], Ctx]], members: int, kills: int
) -> None:
    """Every child run ends once, in order, though `kills` workers die on the way."""
    parcels = tuple(f"p{number}" for number in range(members))
    with fleet(url, folder) as workers:
        async with Client(url, [machine], patience=PATIENCE) as client:
            run = await client.start(machine, parcels)
            children = Query(parent=run.id)
            for _ in range(2):
                workers.hire("convoy", lease=LEASE)
            for kill in range(1, kills + 1):
                await killed_at(workers, client, children, kill * members // (kills + 1))
            assert await run.result(PATIENCE * 10) == Ctx(parcels, tuple(f"trk-{each}" for each in parcels))
            assert await ended(client, children) == members
            await verify_run(client.journal, Registry([machine]), run.id)


@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
async def test_two_hundred_child_runs_survive_the_deaths_of_their_workers(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    if backend == "postgres":
        url = f"{request.getfixturevalue('postgres_database')}?schema=convoy_{os.urandom(6).hex()}"
    await shipped(url, tmp_path, Convoy, members=200, kills=3)


@pytest.mark.long
async def test_so_do_ten_thousand(postgres_database: str, tmp_path: Path) -> None:
    url = f"{postgres_database}?schema=convoy_{os.urandom(6).hex()}"
    await shipped(url, tmp_path, Armada, members=10_000, kills=20)
