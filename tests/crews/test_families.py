"""Families whose members rest, are copied, or are closed while they rest."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest

from continuum_core import Handle, RunCancelled, Worker
from continuum_core.asyncio_host import AsyncioHost
from continuum_core.carriage.archives import Selection, archive, restore
from continuum_core.carriage.asking import Copying
from continuum_core.carriage.copying import copy
from continuum_core.client import Client
from continuum_core.hooks import Plugins
from continuum_core.journal.commit import Query
from continuum_core.journal.connect import connect
from continuum_core.journal.records import Run, RunStatus
from continuum_core.registry import Registry
from continuum_core.testing import Engine
from tests.conftest import fresh_journal
from tests.crews.machines import Ctx, Go, Leave, Mixed, Trusts, Waits

EVER = 2**62
PARCELS = ("wait-1", "b", "wait-2", "d")


async def child_of(engine: Engine, run: object) -> Run:
    [child] = (await engine.client.journal.list(Query(parent=engine.client.handle(str(run)).id))).runs
    return child


async def test_a_suspended_child_run_takes_the_cancel_of_its_parent_when_it_is_resumed(journal: str) -> None:
    async with Engine([Waits], journal=journal, paranoid=True) as engine:
        run = await engine.start(Waits, ("a",))
        child = await child_of(engine, run.id)
        await engine.client.suspend(child.run_id, "for a while")
        await engine.send(run, Leave())
        assert await run.result() == Ctx(("a",)), "the parent waits for nobody that it closes"
        assert (await child_of(engine, run.id)).status is RunStatus.SUSPENDED
        await engine.client.resume(child.run_id)
        await engine.settle()
        with pytest.raises(RunCancelled):
            await engine.client.handle(child.run_id).result()


async def test_a_suspended_child_run_is_ended_by_a_cancel_of_its_own(journal: str) -> None:
    async with Engine([Waits], journal=journal, paranoid=True) as engine:
        run = await engine.start(Waits, ("a",))
        child = await child_of(engine, run.id)
        await engine.client.suspend(child.run_id, "for a while")
        await engine.client.cancel(child.run_id, "enough")
        await engine.settle()
        assert (await engine.view(child.run_id)).status is RunStatus.CANCELLED


async def test_a_parked_child_run_takes_the_cancel_of_its_parent_when_it_is_unparked(journal: str) -> None:
    """Or an order of its own lifts the parking: `Client.cancel` of the child run."""
    async with Engine([Trusts], journal=journal) as engine:
        for order in ("unpark", "cancel"):
            run = await engine.start(Trusts, ("a",))
            child = await child_of(engine, run.id)
            await engine.send(engine.client.handle(child.run_id), Go())
            await engine.send(run, Leave())
            assert await run.result() == Ctx(("a",))
            assert (await child_of(engine, run.id)).status is RunStatus.PARKED
            await getattr(engine.client, order)(child.run_id)
            await engine.settle()
            assert (await child_of(engine, run.id)).status is RunStatus.CANCELLED


async def waiting(client: Client, run: Handle[Ctx]) -> list[UUID]:
    """The child runs that wait to be told, once the others have ended."""
    while True:
        family = (await client.journal.list(Query(parent=run.id))).runs
        going = [child.run_id for child in family if child.status is RunStatus.RUNNING]
        if len(family) == len(PARCELS) and len(going) == 2:
            return going
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(("one", "other"), [("memory", "redis"), ("sqlite", "postgres"), ("redis", "sqlite")])
async def test_a_parent_is_copied_in_the_middle_of_its_members(
    one: str, other: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """It goes on elsewhere with its child runs; then all of them are archived, and come back whole."""
    source_url, target_url = fresh_journal(one, request), fresh_journal(other, request)
    async with AsyncExitStack() as stack:
        source, target = connect(source_url), connect(target_url)
        for journal in (source, target):
            await journal.open()
            stack.push_async_callback(journal.close)
        async with Worker(source_url, [Mixed], poll=0.05, plugins=Plugins()) as worker:
            run = await worker.client.start(Mixed, PARCELS)
            going = await waiting(worker.client, run)
        copied = await copy(source, target, Copying(host=AsyncioHost(), to="elsewhere", who="ada"))
        assert (copied.complete, copied.moved) == (True, 3)
        async with Worker(target_url, [Mixed], poll=0.05, plugins=Plugins()) as worker:
            for child in going:
                await worker.client.send(child, Go())
            shipped = await worker.client.handle(run.id).result(60)
        assert shipped == Ctx(PARCELS, tuple(f"trk-{parcel}" for parcel in PARCELS))
        kept = await target.list(Query())
        registry = Registry([Mixed])
        done = await archive(target, Selection(EVER), tmp_path / "old.jsonl", prune=True)
        assert (done.pruned, (await target.list(Query())).runs) == (5, ())
        told = await restore(tmp_path / "old.jsonl", target, registry=registry)
        assert (told.runs, told.folded, told.conflicts) == (5, 5, [])
        assert (await target.list(Query())).runs == kept.runs
