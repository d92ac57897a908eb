"""Workers are killed with SIGKILL while runs continue as new, again and again: each generation comes once."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from continuum_core import Client, Handle
from continuum_core.journal.records import DeliveryKind, RecordKind
from continuum_core.mapper import decode_step
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from tests.conftest import fresh_journal
from tests.crash.machines import NUDGES, Lap, Laps, Nudge
from tests.crash.test_kill import Fleet


async def carry_out(url: str, trace: Path, runs: int, generations: int, kills: int, seed: int) -> None:
    """Run runs of many generations, and kill workers all the while."""
    trace.touch()
    chance, fleet = random.Random(seed), Fleet(url, trace)
    for _ in range(2):
        fleet.hire()
    try:
        async with Client(url, [Laps], poll=0.2) as client:
            handles = [await client.start(Laps, Lap(generations), key=f"laps-{n}") for n in range(runs)]
            for number in range(NUDGES):
                for handle in handles:
                    for _ in range(2):  # the same event, twice
                        await handle.send(Nudge(), dedupe=f"nudge-{number}")
                if number * kills // NUDGES < (number + 1) * kills // NUDGES:
                    await _kill(fleet, chance)
            for handle in handles:
                assert await handle.result(120) == (generations, NUDGES)
            for handle in handles:
                await check(client, handle, generations)
    finally:
        await fleet.dismiss()


async def _kill(fleet: Fleet, chance: random.Random) -> None:
    """Kill a worker that works, at any moment of that, and hire another."""
    victim = chance.choice(fleet.processes)
    while not fleet.ready(victim):
        assert victim.poll() is None, "the worker died by itself"
        await asyncio.sleep(0.01)
    await asyncio.sleep(chance.uniform(0.0, 0.15))
    fleet.kill(victim)
    fleet.hire()


async def check(client: Client, run: Handle[tuple[int, int]], generations: int) -> None:
    """Each generation began once and applied one outcome; records without gaps, folding to what is stored."""
    [row] = await client.journal.load([run.id])
    assert row is not None
    assert row.generation == generations - 1
    records = await client.journal.history(run.id)
    assert [record.version for record in records] == list(range(1, row.version + 1))
    begun = [decode_step(r).generation for r in records if r.kind is RecordKind.GENERATION]
    assert begun == list(range(1, generations))
    bodies = [decode_step(r) for r in records if r.kind is not RecordKind.CONTROL]
    applied = Counter(
        (body.event.token, body.event.slot)
        for body in bodies
        if body.event.kind == DeliveryKind.OUTCOME and body.disposition == "taken"
    )
    assert len(applied) == generations
    assert set(applied.values()) == {1}
    await verify_run(client.journal, Registry([Laps]), run.id)


async def test_a_few_kills(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = fresh_journal("sqlite", request)
    await carry_out(url, tmp_path / "trace", runs=2, generations=25, kills=2, seed=5)


@pytest.mark.long
async def test_many_kills_over_many_generations(shared_journal: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("CONTINUUM_SEED", "11"))
    print(f"seed {seed}")
    await carry_out(shared_journal, tmp_path / "trace", runs=6, generations=300, kills=10, seed=seed)
