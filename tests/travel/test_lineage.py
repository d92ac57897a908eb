"""One graph of all that hangs together: every path leads back to the root, whatever branches or is pruned."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_core import Client, Handle, RunNotFound, Worker
from continuum_core.lineage import Lineage
from continuum_core.testing import Engine
from tests.golden.release_0_1 import Fragile, Mended
from tests.golden.write import fragile_mended
from tests.travel.machines import Book, Diary, Travel
from tests.travel.test_fork import riding


def severed(graph: Lineage) -> list[int]:
    """The stretches from which no path leads back to the root, or more than one."""
    above: dict[int, list[int]] = {}
    for tie in graph.ties:
        above.setdefault(tie.target, []).append(tie.source)
    bad: list[int] = []
    for number in range(len(graph.stretches)):
        seen, at = set[int](), number
        while at != 0 and at not in seen and len(above.get(at, [])) == 1:
            seen.add(at)
            at = above[at][0]
        if at != 0:
            bad.append(number)
    return bad


async def test_forks_of_forks_on_every_backend(journal: str) -> None:
    async with Worker(journal, [Travel]) as worker:
        run = await riding(worker)
        first = await run.fork(2, key="first")
        second = await first.fork(1, key="second")
        third = await run.fork(4, key="third")
        graphs = [await worker.client.lineage(each) for each in (run, first, second, third)]
        assert [stretch.name for stretch in graphs[0].stretches] == [
            "travel/north",
            "travel/first",
            "travel/third",
            "travel/second",
        ]
        told = {(tie.source, tie.target, tie.kind, tie.version) for tie in graphs[0].ties}
        assert told == {(0, 1, "fork", 2), (0, 2, "fork", 4), (1, 3, "fork", 1)}
        for graph in graphs:
            assert not severed(graph)
            assert {stretch.run for stretch in graph.stretches} == {run.id, first.id, second.id, third.id}


async def test_a_run_that_moved_to_another_definition_is_two_stretches() -> None:
    async with Engine([Fragile, Mended]) as engine:
        run = await fragile_mended(engine)
        graph = await engine.client.lineage(run)
        older, newer = graph.stretches
        assert (older.first, older.last, newer.first, newer.last) == (1, 4, 5, 7)
        assert older.fingerprint != newer.fingerprint
        [tie] = graph.ties
        assert (tie.source, tie.target, tie.kind, tie.version) == (0, 1, "moved", 4)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=12),
    st.sets(st.integers(0, 12)),
    st.integers(0, 100),
)
@settings(max_examples=25, deadline=None)
def test_it_branches_and_never_severs(forks: list[tuple[int, int]], pruned: set[int], asked: int) -> None:
    """Random trees of forks, random runs of them pruned: whoever is left finds the way to the root."""

    async def lived() -> None:
        async with Engine([Travel]) as engine:
            runs: list[Handle[Any]] = [await engine.start(Travel, "root")]
            await engine.send(runs[0], Book("a"))
            for parent, version in forks:
                source = runs[parent % len(runs)]
                runs.append(await source.fork(1 + version % (await source.view()).version))
                await engine.send(runs[-1], Book("b"))
            gone = [run for number, run in enumerate(runs) if number in pruned]
            left = [run for number, run in enumerate(runs) if number not in pruned]
            for run in gone:
                await engine.client.terminate(run)
            await engine.advance(timedelta(hours=2))
            await engine.client.prune(timedelta(hours=1))
            if not left:
                return
            run = left[asked % len(left)]
            graph = await engine.client.lineage(run)
            assert not severed(graph)
            shown = {stretch.run for stretch in graph.stretches}
            assert graph.stretches[0].run == runs[0].id, "the root is known even when it is gone"
            assert run.id in shown
            if not gone:
                assert shown == {each.id for each in runs}
            assert {s.run for s in graph.stretches if s.status is None} <= {each.id for each in gone}

    asyncio.run(lived())


@pytest.mark.parametrize("pruned", [(1,), (0, 1), (0,), (2,)], ids=str)
async def test_runs_that_were_pruned_stay_as_long_as_one_came_from_them(pruned: tuple[int, ...]) -> None:
    async with Engine([Travel]) as engine:
        runs: list[Handle[Any]] = [await engine.start(Travel, "root")]
        for _ in range(3):
            runs.append(await runs[-1].fork(1))
        await engine.settle()
        for number in pruned:
            await engine.client.terminate(runs[number])
        await engine.advance(timedelta(hours=2))
        assert (await engine.client.prune(timedelta(hours=1))).runs == len(pruned)
        graph = await engine.client.lineage(runs[3])
        assert not severed(graph)
        shown = {stretch.run: stretch.status for stretch in graph.stretches}
        gone = {run for run, status in shown.items() if status is None}
        assert gone == {runs[number].id for number in pruned}
        assert graph.stretches[0].run == runs[0].id
        # What lies between two pruned runs, or between the root and the first that is left, nobody kept.
        lost = [tie for tie in graph.ties if tie.kind == "lost"]
        assert len(lost) == (0 if pruned == (0,) else 1)


async def test_a_fork_that_no_worker_has_begun_is_one_already() -> None:
    async with Engine([Travel]) as engine:
        run = await engine.start(Travel, "north")
        await engine.deploy([Diary])
        async with Client(engine.client.journal.sibling()) as client:
            fork = await client.fork(run.id, 1)
            await client.suspend(fork)
            [tie] = (await client.lineage(run.id)).ties
        assert (tie.kind, tie.version) == ("fork", 1)


async def test_a_run_that_is_alone_and_one_that_is_not_there() -> None:
    async with Engine([Diary]) as engine:
        run = await engine.start(Diary, None)
        graph = await engine.client.lineage(run)
        assert (len(graph.stretches), graph.ties) == (1, ())
        await engine.client.terminate(run)
        await engine.advance(timedelta(hours=2))
        await engine.client.prune(timedelta(hours=1))
        with pytest.raises(RunNotFound):
            await engine.client.lineage(run)
