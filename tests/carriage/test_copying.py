"""Copying a journal into another: every run whole, living in one of them, whatever backends they are on."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, cast
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.carriage.asking import Copied, Copying
from continuum_core.carriage.copying import copy
from continuum_core.client import Client
from continuum_core.errors import RunOver
from continuum_core.journal.carrying import RestoreOutcome, carrier_of
from continuum_core.journal.commit import RunHold
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED, RunStatus
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from continuum_core.testing.conformance.given import new_id, signal
from continuum_core.worker import Worker
from continuum_memory.deliveries import bury
from tests.carriage.conftest import Fresh
from tests.carriage.crowd import ENDED_KEYS, LIVE_KEYS, crowd, images, live
from tests.carriage.interrupted import Passing
from tests.cli.shop import Order, Paid, PlaceOrder

BACKENDS = ("memory", "sqlite", "postgres", "redis")
FAR = 3_600_000_000


async def _both(stack: AsyncExitStack, source: str, target: str) -> tuple[Journal, Journal]:
    opened: list[Journal] = []
    for url in (source, target):
        journal = connect(url)
        await journal.open()
        stack.push_async_callback(journal.close)
        opened.append(journal)
    return opened[0], opened[1]


async def _copied(source: Journal, target: Journal, **changes: Any) -> Copied:
    asked = Copying(host=AsyncioHost(), to="elsewhere", who="ada", **changes)
    return await copy(source, target, asked)


@pytest.mark.parametrize("target_on", BACKENDS)
@pytest.mark.parametrize("source_on", BACKENDS)
async def test_a_journal_moves_to_any_other(fresh: Fresh, source_on: str, target_on: str) -> None:
    source_url, target_url = fresh(source_on), fresh(target_on)
    await crowd(source_url)
    async with AsyncExitStack() as stack:
        source, target = await _both(stack, source_url, target_url)
        before = await images(source)
        done = await _copied(source, target, registry=Registry([Order]))
        assert done.complete
        assert (done.finished, done.moved, done.folded) == (len(ENDED_KEYS), len(LIVE_KEYS), 6)
        assert await images(target) == before
        assert await live(source) == set()
        assert await target.definitions() == await source.definitions()
        again = await _copied(source, target)
        assert (again.finished, again.moved, again.present, again.complete) == (0, 0, 6, True)
        assert await images(target) == before
    await _goes_on(source_url, target_url)


async def _goes_on(source_url: str, target_url: str) -> None:
    """The living end in the target, exactly once; the source refuses them, and knows their keys."""
    async with Client(source_url, [Order]) as left:
        for key in LIVE_KEYS:
            with pytest.raises(RunOver):
                await left.send(left.get(Order, key), Paid(100))
        known = await left.start(Order, PlaceOrder("waiting", 100), key="waiting")
        assert (await left.view(known)).status is RunStatus.TERMINATED
    async with Worker(target_url, [Order], poll=0.05) as worker:
        client = worker.client
        assert await client.result(client.get(Order, "signalled"), 30.0) == "ch-signalled"
        await client.resume(client.get(Order, "asleep"))
        for key in ("waiting", "asleep"):
            await client.send(client.get(Order, key), Paid(100))
            assert await client.result(client.get(Order, key), 30.0) == f"ch-{key}"
        for key in (*ENDED_KEYS, *LIVE_KEYS):
            await verify_run(worker.journal, Registry([Order]), client.get(Order, key).id)


async def test_a_dry_run_tells_and_writes_nothing(fresh: Fresh) -> None:
    source_url, target_url = fresh("sqlite"), fresh("sqlite")
    await crowd(source_url)
    async with AsyncExitStack() as stack:
        source, target = await _both(stack, source_url, target_url)
        before = await images(source)
        told = await _copied(source, target, dry_run=True)
        assert (told.finished, told.moved, told.complete) == (3, 3, True)
        assert (await images(source), await images(target)) == (before, {})
        assert await target.definitions() == []


async def test_what_a_worker_has_stays(fresh: Fresh) -> None:
    """And is moved by the next copy, or by this one if it waits until the lease is given back."""
    source_url, target_url = fresh("sqlite"), fresh("memory")
    await crowd(source_url)
    async with AsyncExitStack() as stack:
        source, target = await _both(stack, source_url, target_url)
        takes = frozenset(one.fingerprint for one in await source.definitions())
        claims = await source.claim_runs(new_id(), 10, FAR, takes)
        held = {claim.run_id for claim in claims.runs}
        assert len(held) == 1
        done = await _copied(source, target)
        assert (done.complete, set(done.busy), done.moved) == (False, held, 2)
        assert await live(source) == held
        assert held.isdisjoint(await live(target))

        class Returns(AsyncioHost):
            """The worker gives its runs back while the copy waits."""

            async def sleep(self, seconds: float) -> None:
                await source.release([RunHold(claim.run_id, claim.fence) for claim in claims.runs])

        again = await copy(source, target, Copying(host=Returns(), to="elsewhere", wait=60.0))
        assert (again.complete, again.moved) == (True, 1)
        assert (await live(source), held <= await live(target)) == (set(), True)


async def test_late_deliveries_are_sent_on_once(fresh: Fresh) -> None:
    """What is sent to a run while it leaves reaches it where it is, and a repeated copy sends it no more."""
    source_url, target_url = fresh("memory"), fresh("sqlite")
    await crowd(source_url)
    async with AsyncExitStack() as stack:
        source, target = await _both(stack, source_url, target_url)
        [resting] = [run_id for run_id, image in (await images(source)).items() if image.run.key == "waiting"]
        await _copied(source, target)
        space = source.store.space(source.namespace)  # type: ignore[attr-defined]  # the memory journal's own
        late = replace(signal(resting, b"late"), due=1)
        bury(space, late, "run over", 1)
        for forwarded in (1, 0):
            done = await _copied(source, target)
            assert (done.forwarded, done.complete) == (forwarded, True)
        found = await target.inspect(resting)
        assert found is not None
        assert [one.payload for one in found.deliveries if one.id == late.id] == [b"late"]
        left = await source.inspect(resting)
        assert left is not None
        assert left.dead == ()


async def test_no_run_of_the_target_is_overwritten(fresh: Fresh) -> None:
    """A run that the target has under the same id stays, and so does the source's, which goes on there."""
    source_url, target_url = fresh("sqlite"), fresh("sqlite")
    await crowd(source_url)
    async with Worker(target_url, [Order]) as worker:
        other = await worker.client.start(Order, PlaceOrder("another", 7), key="waiting")
        ended = await worker.client.start(Order, PlaceOrder("another", 7), key="done")
    async with AsyncExitStack() as stack:
        source, target = await _both(stack, source_url, target_url)
        before = await images(target)
        done = await _copied(source, target)
        assert {trouble.run for trouble in done.troubles} == {other.id, ended.id}
        assert (done.complete, done.moved, done.finished) == (False, 2, 2)
        assert {
            run_id: image for run_id, image in (await images(target)).items() if run_id in before
        } == before
        assert await live(source) == {other.id}


async def test_a_run_that_does_not_fold_is_left(fresh: Fresh) -> None:
    source_url, target_url = fresh("memory"), fresh("memory")
    await crowd(source_url)
    async with AsyncExitStack() as stack:
        source, target = await _both(stack, source_url, target_url)
        [run_id] = [one for one, image in (await images(source)).items() if image.run.key == "waiting"]
        row = source.store.space(source.namespace).runs[run_id]  # type: ignore[attr-defined]  # memory's own
        row.snapshot = row.snapshot.replace(b'"total":100', b'"total":1')
        done = await _copied(source, target, registry=Registry([Order]))
        [trouble] = done.troubles
        assert (trouble.run, "drifted" in trouble.why) == (run_id, True)
        assert (await live(source), done.moved) == ({run_id}, 2)


async def test_a_run_ends_while_it_is_looked_at(fresh: Fresh) -> None:
    """It is then copied as the ended run that it is."""
    source_url, target_url = fresh("sqlite"), fresh("sqlite")
    await crowd(source_url)
    async with AsyncExitStack() as stack:
        source, target = await _both(stack, source_url, target_url)

        ended: list[UUID] = []

        async def around(name: str, verb: Any, arguments: tuple[Any, ...]) -> Any:
            if name == "rehearse" and not ended:  # between the dump and the departure
                ended.append(arguments[0][0].run.run_id)
                async with Client(source_url, [Order]) as client:
                    await client.terminate(ended[0], "meanwhile")
            return await verb(*arguments)

        done = await _copied(source, cast(Journal, Passing(target, around)))
        assert (done.complete, done.finished, done.moved) == (True, 4, 2)
        [row] = await target.load(ended)
        assert row is not None
        assert row.status in ENDED
        there = (await images(source))[ended[0]]
        assert await carrier_of(target).restore([there]) == [RestoreOutcome.EXISTS]
