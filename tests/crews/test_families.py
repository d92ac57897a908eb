"""Families whose members rest, are copied, or are closed while they rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core import Handle, Machine, RunCancelled, Worker, root
from continuum_core.asyncio_host import AsyncioHost
from continuum_core.carriage.archives import Selection, archive, restore
from continuum_core.carriage.asking import Copying
from continuum_core.carriage.copying import copy
from continuum_core.client import Client
from continuum_core.hooks import Plugins
from continuum_core.journal.commit import Query, RunHold
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Run, RunStatus
from continuum_core.registry import Registry
from continuum_core.testing import Engine
from continuum_core.testing.conformance.given import new_id, signal
from tests.conftest import fresh_journal
from tests.crews.machines import Ctx, Go, Leave, Mixed, Slow, Trusts, Waits, same

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


@asynccontextmanager
async def both(source_url: str, target_url: str) -> AsyncGenerator[tuple[Journal, Journal], None]:
    """Two opened journals."""
    async with AsyncExitStack() as stack:
        source, target = connect(source_url), connect(target_url)
        for journal in (source, target):
            await journal.open()
            stack.push_async_callback(journal.close)
        yield source, target


@pytest.mark.parametrize(("one", "other"), [("memory", "redis"), ("sqlite", "postgres"), ("redis", "sqlite")])
async def test_a_parent_is_copied_in_the_middle_of_its_members(
    one: str, other: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """It goes on elsewhere with its child runs; then all of them are archived, and come back whole."""
    source_url, target_url = fresh_journal(one, request), fresh_journal(other, request)
    async with both(source_url, target_url) as (source, target):
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


@pytest.mark.parametrize(("one", "other"), [("memory", "sqlite"), ("postgres", "redis")])
@pytest.mark.parametrize("ends_in", ["source", "target"])
async def test_a_child_run_that_ends_in_another_journal_than_its_parents_is_told(
    one: str, other: str, ends_in: str, request: pytest.FixtureRequest
) -> None:
    """One of the two is in hand while the other moves; the next copy brings them together again."""
    source_url, target_url = fresh_journal(one, request), fresh_journal(other, request)
    async with both(source_url, target_url) as (source, target):
        asked = Copying(host=AsyncioHost(), to="elsewhere", who="ada")
        async with Worker(source_url, [Waits], poll=0.05, plugins=Plugins()) as worker:
            run = await worker.client.start(Waits, ("a",))
            while not (family := (await source.list(Query(parent=run.id))).runs):
                await asyncio.sleep(0.02)
        [child] = family
        stays, url = (child.run_id, source_url) if ends_in == "source" else (run.id, target_url)
        holds = await held(source, stays)
        assert set((await copy(source, target, asked)).busy) == {stays}
        await source.release(holds)
        async with Worker(url, [Slow], poll=0.05, plugins=Plugins()) as worker:
            await worker.client.send(child.run_id, Go())
            assert await worker.client.handle(child.run_id).result(60) == "slow-a"
        for _ in range(2):
            assert (await copy(source, target, asked)).complete
        async with Worker(target_url, [Waits], poll=0.05, plugins=Plugins()) as worker:
            assert await worker.client.handle(run.id).result(60) == Ctx(("a",), ("slow-a",))
            events = [step.event for step in await worker.client.history(run.id)]
        assert events[-1].startswith("done crew-slow")
        assert len([event for event in events if event.startswith("done")]) == 1


@pytest.mark.parametrize(("one", "other"), [("memory", "sqlite"), ("postgres", "redis")])
@pytest.mark.parametrize("by", ["event", "order"])
async def test_a_child_run_whose_parent_leaves_it_in_another_journal_is_closed(
    one: str, other: str, by: str, request: pytest.FixtureRequest
) -> None:
    """It is in hand while its parent moves and goes on without it; the next copy tells it, once."""
    source_url, target_url = fresh_journal(one, request), fresh_journal(other, request)
    async with both(source_url, target_url) as (source, target):
        asked = Copying(host=AsyncioHost(), to="elsewhere", who="ada")
        async with Worker(source_url, [Waits], poll=0.05, plugins=Plugins()) as worker:
            run, other_run = [await worker.client.start(Waits, (each,)) for each in ("a", "b")]
            child, _ = [await begun(source, each.id) for each in (run, other_run)]
        holds = await held(source, child)
        assert set((await copy(source, target, asked)).busy) == {child}
        async with Worker(target_url, [Waits], poll=0.05, plugins=Plugins()) as worker:
            if by == "event":
                await worker.client.send(run.id, Leave())
                await worker.client.handle(run.id).result(60)
            else:
                await worker.client.terminate(run.id, "enough")
        await source.release(holds)
        for _ in range(2):
            assert (await copy(source, target, asked)).complete
        async with Worker(target_url, [Slow], poll=0.05, plugins=Plugins()) as worker:
            with pytest.raises(RunCancelled, match="its parent went on without it"):
                await worker.client.handle(child).result(60)
            assert (await copy(source, target, asked)).complete
            events = [step.event for step in await worker.client.history(child)]
        assert events.count("cancel") == 1
        [left] = (await target.list(Query(parent=other_run.id))).runs
        assert left.status is RunStatus.RUNNING, "whose parent waits is left alone"


class Careful(Machine[str, str, str], name="crew-careful"):
    """Cleans up when it is cancelled; a second cancel would end it in the middle of that."""

    s = root(str)
    waiting = s.state(initial=True)
    cleaning = s.state()
    clean = s.final(ok=False)

    init = staticmethod(same)
    result = staticmethod(same)

    waiting.on_cancel(cleaning)
    cleaning.on(Go, clean)


class Leaves(Machine[str, str, str], name="crew-leaves"):
    """Waits for one that cleans up, until it is told to leave."""

    s = root(str)
    working = s.state(initial=True)
    left = s.final()

    init = staticmethod(same)
    result = staticmethod(same)

    working.invoke(Careful, lambda c: c, done=left, error=left)
    working.on(Leave, left)


async def test_a_child_run_that_knows_is_not_told_again_by_a_copy() -> None:
    async with Engine([Leaves]) as engine, Engine([Leaves]) as elsewhere:
        run = await engine.start(Leaves, "a")
        child = await child_of(engine, run.id)
        await engine.send(run, Leave())
        assert await engine.states(child.run_id) == {"cleaning"}
        source, target = engine.client.journal, elsewhere.client.journal
        assert (await copy(source, target, Copying(host=AsyncioHost(), to="elsewhere"))).complete
        assert await elsewhere.states(child.run_id) == {"cleaning"}
        assert [step.event for step in await elsewhere.history(child.run_id)] == ["start", "cancel"]


async def begun(journal: Journal, parent: UUID) -> UUID:
    """The only child run, once it waits to be told."""
    while True:
        family = (await journal.list(Query(parent=parent))).runs
        if family and family[0].version:
            return family[0].run_id
        await asyncio.sleep(0.02)


async def held(journal: Journal, run_id: UUID) -> list[RunHold]:
    """Have a run in hand, as a worker has one."""
    [run] = await journal.load([run_id])
    assert run is not None
    await journal.deliver([replace(signal(run_id), payload=b'{"v":1,"type":"Pause","data":{}}')])
    claims = await journal.claim_runs(new_id(), 1, 3_600_000_000, frozenset({run.fingerprint}))
    return [RunHold(claim.run_id, claim.fence) for claim in claims.runs]
