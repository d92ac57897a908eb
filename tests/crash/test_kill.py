"""Workers are killed with SIGKILL at random moments, again and again: every run ends as if none had been.

The default suite kills a few; ``-m long`` kills two hundred over a thousand runs.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import IO
from uuid import UUID

import pytest

from continuum_core import Client, Handle
from continuum_core.journal.records import DeliveryKind, Record, RecordKind, RunStatus
from continuum_core.mapper import decode_step
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from tests.crash.machines import TRACE, Nudge, Trip

ROOT = Path(__file__).parents[2]
LEASE = 1.0
WORKERS = 3


class Fleet:
    """Worker processes on one journal."""

    def __init__(self, url: str, trace: Path) -> None:
        self._url = url
        self._environment = {**os.environ, TRACE: str(trace)}
        self._folder = trace.parent
        self.processes: list[subprocess.Popen[bytes]] = []
        self.hired: list[subprocess.Popen[bytes]] = []
        self.logs: list[IO[bytes]] = []

    def hire(self) -> None:
        command = [sys.executable, "-m", "tests.crash.worker_process", self._url, str(LEASE)]
        log = (self._folder / f"worker-{len(self.logs)}.log").open("w+b")
        self.logs.append(log)
        process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log)
        self.processes.append(process)
        self.hired.append(process)

    def ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it has begun to work: before, a signal meets Python's own start."""
        log = self.logs[self.hired.index(process)]
        return b"worker on" in Path(log.name).read_bytes()

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was alive until killed"
        self.processes.remove(process)

    async def dismiss(self) -> None:
        while not all(self.ready(process) for process in self.processes):
            await asyncio.sleep(0.02)
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(30) for process in self.processes]
        for log in self.logs:
            log.close()
        assert codes == [0] * len(self.processes), "workers drain and end well"


async def carry_out(url: str, trace: Path, runs: int, kills: int, seed: int) -> list[UUID]:
    """Start runs, kill workers all the while, and wait until every run has its result."""
    chance = random.Random(seed)
    fleet = Fleet(url, trace)
    for _ in range(WORKERS):
        fleet.hire()
    try:
        async with Client(url, [Trip]) as client:
            handles: list[Handle[str]] = []
            killed = 0
            for number in range(runs):
                handles.append(await client.start(Trip, number, key=f"trip-{number}"))
                await handles[-1].send(Nudge(), dedupe="once")
                while killed * runs < kills * number:
                    await asyncio.sleep(chance.uniform(0.05, 0.6))
                    fleet.kill(chance.choice(fleet.processes))
                    fleet.hire()
                    killed += 1
            for number, handle in enumerate(handles):
                assert await handle.result(120) == f"first-{number},second-{number}"
            assert killed >= kills - 1
            return [handle.id for handle in handles]
    finally:
        await fleet.dismiss()


async def check(url: str, runs: list[UUID], trace: Path) -> None:
    """Journals gap-free and folding to the snapshot; each outcome applied once, and really carried out."""
    registry = Registry([Trip])
    executed = Counter(line.split()[0] for line in trace.read_text().splitlines() if line.endswith(" end"))
    async with Client(url, registry=registry) as client:
        for run in runs:
            view = await client.view(run)
            assert view.status is RunStatus.COMPLETED
            assert view.tasks == ()
            records = await client.journal.history(run)
            assert [record.version for record in records] == list(range(1, view.version + 1))
            await verify_run(client.journal, registry, run)
            applied = Counter(key for record in records if (key := outcome_of(record)) is not None)
            assert len(applied) == 2
            assert set(applied.values()) == {1}
            for key in applied:
                assert executed[key] >= 1


def outcome_of(record: Record) -> str | None:
    """The idempotency key of the activity whose outcome this record applied."""
    if record.kind is not RecordKind.STEP:
        return None
    body = decode_step(record)
    if body.event.kind != DeliveryKind.OUTCOME or body.disposition != "taken":
        return None
    return f"{record.run_id}:{body.event.token}:{body.event.slot}"


async def scenario(url: str, folder: Path, runs: int, kills: int, seed: int) -> None:
    trace = folder / "trace"
    trace.touch()
    started = await carry_out(url, trace, runs, kills, seed)
    await check(url, started, trace)


async def test_a_few_kills(shared_journal: str, tmp_path: Path) -> None:
    await scenario(shared_journal, tmp_path, runs=60, kills=8, seed=1)


@pytest.mark.long
async def test_two_hundred_kills_over_a_thousand_runs(shared_journal: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("CONTINUUM_SEED", "7"))
    print(f"seed {seed}")
    await scenario(shared_journal, tmp_path, runs=1_000, kills=200, seed=seed)
