"""Three versions roll forward under load, by workers of mixed versions in processes of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from continuum_core import Client, Handle, RunOver, RunStatus
from continuum_core.envelope import StepBody
from continuum_core.journal.records import Record, RecordKind
from continuum_core.mapper import decode_migration, decode_step
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from tests.evolution.orders import Go, Hold, Note, Order1, Order2, Order3, Paid, Picked
from tests.workers.fleet import Fleet, fleet

VERSIONS: tuple[Any, ...] = (Order1, Order2, Order3)
EACH = 2
"""Runs in each state of version 1 when the second release comes."""


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.long) for name in ("sqlite", "postgres")])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/journal.db"
    else:
        database = request.getfixturevalue("postgres_database")
        yield f"{database}?schema=rolling_{os.urandom(6).hex()}"


class Load:
    """Sends numbered notes to all runs, and remembers which were accepted."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.sent: dict[UUID, list[str]] = {}

    async def note(self, runs: list[Handle[Any]]) -> None:
        for run in runs:
            noted = self.sent.setdefault(run.id, [])
            text = f"note{len(noted)}"
            try:
                await self.client.send(run, Note(text), dedupe=text)
            except RunOver:
                continue
            noted.append(text)

    @asynccontextmanager
    async def going_on(self, runs: list[Handle[Any]]) -> AsyncGenerator[None]:
        over = asyncio.Event()

        async def send() -> None:
            while not over.is_set():
                await self.note(runs)
                await asyncio.sleep(0.2)  # enough to meet every moment of the roll, not to be it

        sending = asyncio.create_task(send())
        try:
            yield
        finally:
            over.set()
            await sending


async def begun(workers: Fleet, client: Client) -> dict[str, list[Handle[Any]]]:
    """Runs of version 1, some at rest in each of its states; two activities of them do not end."""
    runs: dict[str, list[Handle[Any]]] = {}
    for state in ("reserving", "awaiting_card", "picking", "packing", "held"):
        for number in range(EACH):
            label = f"slow-{state}-{number}"
            if state != "reserving":
                workers.open(label)  # what waits in packing is its second body
            runs.setdefault(state, []).append(await client.start(Order1, label, key=label))
    for state in ("awaiting_card", "picking", "packing", "held"):
        for run in runs[state]:
            await in_state(run, "working.awaiting_card")
            if state != "awaiting_card":
                await run.send(Paid(5))
    for run in runs["awaiting_card"]:
        await run.send(Picked("early"))  # deferred until the card is there
    for run in runs["packing"]:
        await run.send(Picked("b1"))
    for run in runs["held"]:
        await run.send(Hold())
    for state in ("picking", "packing", "held"):
        for run in runs[state]:
            await in_state(run, state if state == "held" else f"working.{state}")
    return runs


async def in_state(run: Handle[Any], state: str) -> None:
    async def there() -> bool:
        return state in (await run.view()).states

    for _ in range(6_000):
        if await there():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{run} never came to {state}: {(await run.view()).states}")


async def histories(client: Client, run: UUID) -> list[Record]:
    records: list[Record] = []
    while page := await client.journal.history(run, after=len(records)):
        records += page
    return records


def check_logic(records: list[Record], chosen: dict[str, int]) -> list[int]:
    """Records run under known definitions only, and change them by migrations only. The versions met."""
    versions: list[int] = []
    current = ""
    for record in records:
        if record.kind is RecordKind.MIGRATION:
            body = decode_migration(record)
            assert body.since == current, "it was moved from what it ran on"
            assert chosen[body.since] == body.since_version < body.version == chosen[body.fingerprint]
            current = body.fingerprint
        elif record.kind is RecordKind.STEP:
            step: StepBody = decode_step(record)
            assert step.fingerprint in chosen
            assert step.fingerprint == (current or step.fingerprint), "nothing but a migration changes it"
            current = step.fingerprint
        else:
            continue
        if not versions or versions[-1] != chosen[current]:
            versions.append(chosen[current])
    return versions


async def test_runs_in_every_state_roll_forward_under_load(url: str, tmp_path: Path) -> None:
    with fleet(url, tmp_path) as workers:
        async with Client(url, VERSIONS) as client:
            ones = [workers.hire("order 1"), workers.hire("order 1")]
            for each in ones:
                await each.ready()
            load = Load(client)
            runs = await begun(workers, client)
            everything = [run for group in runs.values() for run in group]
            async with load.going_on(everything):
                await roll(workers, ones, client, everything)
            await load.note(everything)
            await finish(workers, client, runs)
            registry = Registry(VERSIONS)
            chosen = {entry.fingerprint: entry.chart.version for entry in registry.entries()}
            newest = Registry([Order3])
            newest.learn(await client.journal.definitions())
            for run in everything:
                await judge(client, run, load.sent[run.id], registry, newest, chosen)


async def roll(workers: Fleet, ones: list[Any], client: Client, runs: list[Handle[Any]]) -> None:
    """Version 2 beside version 1, then alone; then version 3 beside it, then alone."""
    both = await workers.hire("order 1 and 2").ready()
    runs.append(await client.start(Order2, "born-in-2", key="born-in-2"))
    await ones[0].dismiss()
    two = await workers.hire("order 2").ready()
    await ones[1].dismiss()
    await both.dismiss()
    for run in list(runs):
        await moved_from(run, 1)
    runs.append(await client.start(Order3, "born-in-3", key="born-in-3"))
    three = await workers.hire("order 3").ready()
    await two.dismiss()
    for run in list(runs):
        await moved_from(run, 2)
    assert three.process.poll() is None


async def moved_from(run: Handle[Any], version: int) -> None:
    """Wait until the run has left a version, or has ended."""
    left = {entry.fingerprint for entry in Registry(VERSIONS[version:]).entries()}

    async def gone() -> bool:
        view = await run.view()
        return view.fingerprint in left or view.outcome is not None

    for _ in range(6_000):
        if await gone():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{run} was not moved: {await run.view()}")


async def finish(workers: Fleet, client: Client, runs: dict[str, list[Handle[Any]]]) -> None:
    """Let every run end."""
    for number in range(EACH):
        workers.open(f"slow-reserving-{number}")
    runs["born"] = [client.get(Order3, key) for key in ("born-in-2", "born-in-3")]
    for state in ("reserving", "awaiting_card", "born"):
        for run in runs[state]:
            await in_state(run, "working.billing")
            await run.send(Paid(7))
    for run in runs["held"]:
        await run.send(Go())
    for state in ("reserving", "picking", "held", "born"):
        for run in runs[state]:
            await run.send(Picked("b9"))


async def judge(
    client: Client,
    run: Handle[Any],
    sent: list[str],
    registry: Registry,
    newest: Registry,
    chosen: dict[str, int],
) -> None:
    """Nothing was lost, nothing ran under logic that was not chosen, and all of it folds."""
    result = await client.result(run, 60)
    view = await client.view(run)
    assert view.status is RunStatus.COMPLETED
    log = str(result).split(":")[3].split(",")
    notes = [word for word in log if word.startswith("note")]
    assert notes == sent[: len(notes)], "each note once, in order"
    assert view.dead == () or notes != sent, "what the run took is no dead letter"
    assert len(notes) + sum(each.what == "Note" for each in view.dead) == len(sent), "none was lost"
    versions = check_logic(await histories(client, run.id), chosen)
    assert versions == sorted(set(versions)), "never back"
    assert versions[-1] == int(str(result).split(":")[0])
    await verify_run(client.journal, registry, run.id)
    if versions[-1] == 3:
        await verify_run(client.journal, newest, run.id)
    assert any(word.startswith("parcel-") for word in log), "packed by what the newer version wraps with"
