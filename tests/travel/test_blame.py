"""Which record set a field: in one run, in nested fields and lists, and through forks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from continuum_core import RunNotFound, UsageError
from continuum_core.blame import ABSENT
from continuum_core.testing import Engine
from tests.golden.release_0_1 import MACHINES
from tests.golden.write import ledger_terminated
from tests.travel.machines import Board, Book, Travel, buy


async def test_the_record_that_set_a_field() -> None:
    async with Engine([Travel]) as engine:
        engine.stub(buy, returns=30)
        run = await engine.start(Travel, "north")
        await engine.send(run, Book("Oslo", 30))
        await engine.send(run, Board())
        paid, began = await run.blame("total")
        assert (paid.version, paid.event, paid.before, paid.after) == (4, "done buy", 0, 30)
        assert (began.version, began.event, began.before, began.after) == (1, "start", ABSENT, 0)
        assert paid.cause == (await run.history())[3].cause
        [booked] = await run.blame("legs.0.to")
        assert (booked.version, booked.before, booked.after) == (2, ABSENT, "Oslo")
        assert [each.version for each in await run.blame("legs")] == [2, 1]
        assert [each.version for each in await run.blame("")] == [4, 2, 1]


async def test_through_the_runs_it_was_forked_from() -> None:
    async with Engine([Travel]) as engine:
        engine.stub(buy, returns=30)
        run = await engine.start(Travel, "north")
        await engine.send(run, Book("Oslo", 30))
        await engine.send(run, Book("Bodø", 5))
        fork = await run.fork(2, ctx=lambda c: evolve(c, name="south"))
        deeper = await fork.fork(1)
        await engine.settle()
        [legs] = await deeper.blame("legs.0.to")
        assert (legs.run, legs.version) == (run.id, 2)
        edited, began = await deeper.blame("name")
        assert (edited.run, edited.version, edited.event, edited.after) == (fork.id, 1, "fork", "south")
        assert (began.run, began.version, began.after) == (run.id, 1, "north")
        with pytest.raises(UsageError, match=r"never had a field 'legs\.1'"):
            await deeper.blame("legs.1")


async def test_a_fork_whose_origin_was_pruned_stands_for_itself() -> None:
    async with Engine([Travel]) as engine:
        engine.stub(buy, returns=30)
        run = await engine.start(Travel, "north")
        fork = await run.fork(1)
        await engine.settle()
        await engine.client.terminate(run)
        await engine.advance(timedelta(hours=2))
        await engine.client.prune(timedelta(hours=1))
        with pytest.raises(RunNotFound):
            await run.blame("name")
        [change] = await fork.blame("name")
        assert (change.run, change.version, change.before, change.after) == (fork.id, 1, ABSENT, "north")


async def test_a_field_that_never_was() -> None:
    async with Engine([Travel]) as engine:
        run = await engine.start(Travel, "north")
        with pytest.raises(UsageError, match="never had a field 'nam'; it has: legs, log, name, total"):
            await run.blame("nam")


async def test_a_context_that_is_no_object() -> None:
    async with Engine(MACHINES, queues={"default": 5, "papers": 5}) as engine:
        run = await ledger_terminated(engine)
        assert [each.after for each in await run.blame("")] == ["0+12.50+1", "0+12.50", "0"]
