"""A run continues as new: the same run, with a new input and a history that need not grow."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from continuum_core import AlreadyStarted, Client, Machine, RunCancelled, UsageError, Worker, root
from continuum_core.errors import DefinitionError
from continuum_core.journal.carrying import carrier_of
from continuum_core.journal.records import RecordKind, RunStatus
from continuum_core.testing import Engine
from tests.generations.machines import (
    Add,
    Counted,
    Counter,
    Later,
    Round,
    Seats,
    Stop,
    Turn,
    begun,
    free,
    take,
    total_of,
)

HOUR = timedelta(hours=1)
NOW = timedelta()


async def versions(engine: Engine, run: Any) -> list[int]:
    return [step.version for step in await engine.history(run)]


async def test_the_run_goes_on_and_only_its_input_is_new(journal: str) -> None:
    async with Engine([Counter], journal=journal, paranoid=True) as engine:
        run = await engine.start(Counter, Round(), key="k")
        await engine.send(run, Add(3))
        await engine.send(run, Turn())
        await engine.send(run, Turn())
        view = await engine.view(run)
        assert (view.status, view.states) == (RunStatus.RUNNING, ("counting",))
        assert view.context == Counted(1, 3, 0)
        (row,) = await engine.client.journal.load([run.id])
        assert row is not None
        assert row.generation == 1
        steps = await engine.history(run)
        assert [step.kind for step in steps][-1] is RecordKind.GENERATION
        assert [step.version for step in steps] == [1, 2, 3, 4]
        await engine.send(run, Add(4))
        await engine.send(run, Stop())
        assert await run.result() == 7
        await engine.check(run)


async def test_the_same_key_and_dedupe_ids_hold_over_generations(journal: str) -> None:
    async with Engine([Counter], journal=journal) as engine:
        run = await engine.start(Counter, Round(), key="k")
        await run.send(Add(5), dedupe="once")
        for _ in range(2):
            await engine.send(run, Turn())
        await run.send(Add(5), dedupe="once")
        await engine.settle()
        assert (await engine.start(Counter, Round(), key="k")).id == run.id
        with pytest.raises(AlreadyStarted):
            await engine.start(Counter, Round(9), key="k")
        assert (await engine.context(run)).total == 5


async def test_what_was_deferred_is_taken_by_the_next_generation(journal: str) -> None:
    """A timer leads from counting to counting, so that the configuration is the same before and after."""
    async with Engine([Counter], journal=journal) as engine:
        run = await engine.start(Counter, Round())
        await engine.send(run, Later("kept"))
        await engine.advance(HOUR)
        assert (await engine.context(run)).number == 1
        await engine.send(run, Turn())
        assert (await engine.context(run)).total == 100
        await engine.check(run)


async def test_timers_begin_anew(journal: str) -> None:
    async with Engine([Counter], journal=journal) as engine:
        run = await engine.start(Counter, Round())
        await engine.advance(HOUR / 2)
        for _ in range(2):
            await engine.send(run, Turn())
        await engine.advance(HOUR / 2)
        assert (await engine.context(run)).number == 1
        await engine.advance(HOUR / 2)
        assert (await engine.context(run)).number == 2


async def test_what_is_to_be_undone_goes_along(journal: str) -> None:
    """Of every generation, newest first; also what was not known yet when its generation was over."""
    async with Engine([Seats], journal=journal) as engine:
        freed: list[str] = []
        engine.stub(take, calls=lambda number: f"seat {number}")
        engine.stub(free, calls=freed.append)
        run = await engine.start(Seats, Round())
        await engine.send(run, Turn())

        async def slow(number: int) -> str:
            await engine.sleep(timedelta(seconds=10 * number))
            return f"late {number}"

        engine.stub(take, calls=slow)
        for _ in range(3):  # generations 2 and 3 are over before their seats are known
            await engine.send(run, Turn())
        await engine.send(run, Stop())
        assert freed == []
        await engine.advance(HOUR)
        assert await run.result() == 0
        assert freed == ["late 4", "late 3", "late 2", "seat 1", "seat 0"]
        await engine.check(run)


async def test_a_cancel_reaches_every_generation(journal: str) -> None:
    async with Engine([Counter, Seats], journal=journal) as engine:
        run = await engine.start(Counter, Round())
        for _ in range(4):
            await engine.send(run, Turn())
        await run.cancel("enough")
        await engine.settle()
        with pytest.raises(RunCancelled):
            await run.result()


async def test_a_run_that_is_cancelled_does_not_begin_again() -> None:
    class Stubborn(Machine[Counted, Round, int], name="stubborn"):
        s = root(Counted)
        waiting = s.state(initial=True)
        tidying = s.state()
        more = s.continue_as_new(lambda c: Round(c.number + 1))
        waiting.on_cancel(tidying)
        tidying.on(Turn, more)
        tidying.on_cancel()
        init = staticmethod(begun)
        result = staticmethod(total_of)

    async with Engine([Stubborn]) as engine:
        run = await engine.start(Stubborn, Round())
        await run.cancel("enough")
        await engine.send(run, Turn())
        with pytest.raises(RunCancelled):
            await run.result()
        await engine.check(run)


async def test_many_generations_take_no_more_than_one(journal: str) -> None:
    """Pruned as they go, the stored size of the fiftieth is that of the second."""
    async with Engine([Counter], journal=journal) as engine:
        run = await engine.start(Counter, Round())
        sizes: list[int] = []
        for _ in range(25):
            await engine.send(run, Add(1))
            for _ in range(2):
                await engine.send(run, Turn())
            await engine.advance(timedelta(seconds=1))
            dry = await engine.client.prune(NOW, generations=True, dry_run=True)
            pruned = await engine.client.prune(NOW, generations=True)
            assert (pruned.generations, pruned.runs) == (dry.generations, 0) == (1, 0)
            (tally,) = await carrier_of(engine.client.journal).tally()
            assert tally.records == 1
            sizes.append(tally.bytes)
        assert max(sizes) < sizes[0] + 64  # numbers have grown by some digits
        assert (await engine.context(run)).total == 25
        await engine.check(run)
        await engine.send(run, Stop())
        assert await run.result() == 25


async def test_a_worker_prunes_past_generations_and_nothing_else(journal: str) -> None:
    """Once they were over for as long as it was told; what has ended is left to people."""
    async with Engine([Counter], journal=journal, generations=2 * HOUR) as engine:
        ended = await engine.start(Counter, Round())
        await engine.send(ended, Stop())
        run = await engine.start(Counter, Round())
        await engine.send(run, Add(3))
        await engine.send(run, Turn())
        await engine.send(run, Turn())
        everything = await versions(engine, run)
        await engine.advance(HOUR)
        assert (await versions(engine, run))[: len(everything)] == everything, "a timer has begun another one"
        await engine.advance(3 * HOUR)
        left = await versions(engine, run)
        assert left
        assert not set(left) & set(everything[:-1])
        assert (await engine.view(ended)).status is RunStatus.COMPLETED
        await engine.send(run, Add(4))
        await engine.send(run, Stop())
        assert await run.result() == 7


def test_a_worker_takes_no_negative_age() -> None:
    with pytest.raises(UsageError, match=r"generations=.* give a length of time no shorter than 0 s"):
        Worker("memory://", [Counter], generations=-HOUR)


async def test_looking_back_over_generations(journal: str) -> None:
    """Each version tells its own generation; one that was pruned is said to be."""
    async with Engine([Counter], journal=journal) as engine:
        run = await engine.start(Counter, Round(), key="k")
        await engine.send(run, Add(2))
        for _ in range(4):
            await engine.send(run, Turn())
        await engine.send(run, Add(3))  # 1 2 3 | 4 5 | 6 7
        moments = [await run.at(version) for version in range(1, 8)]
        assert [moment.generation for moment in moments] == [0, 0, 0, 1, 1, 2, 2]
        assert [moment.context.total for moment in moments] == [0, 2, 2, 2, 2, 2, 5]
        assert [len(moment.timers) for moment in moments] == [1, 1, 0, 1, 0, 1, 1]
        graph = await engine.client.lineage(run)
        assert [(tie.kind, tie.version) for tie in graph.ties] == [("renewed", 3), ("renewed", 5)]
        assert [(each.first, each.last, each.generation) for each in graph.stretches] == [
            (1, 3, 0),
            (4, 5, 1),
            (6, 7, 2),
        ]
        assert [(each.version, each.before) for each in await run.blame("total")][:2] == [(7, 2), (2, 0)]
        await engine.advance(timedelta(seconds=1))
        assert (await engine.client.prune(NOW, generations=True)).records == 5
        assert await versions(engine, run) == [6, 7]
        assert await run.at(7) == moments[6]
        for lost in (1, 5):
            with pytest.raises(UsageError, match="pruned"):
                await run.at(lost)
        with pytest.raises(UsageError, match="no record 8"):
            await run.at(8)
        assert [each.version for each in await run.blame("total")] == [7, 6]
        [kept] = (await engine.client.lineage(run)).stretches
        assert (kept.first, kept.last, kept.generation) == (6, 7, 2)
        assert [link.how for link in await run.why(7)] == ["client"]
        with pytest.raises(UsageError, match="pruned"):
            await run.why(3)
        await engine.check(run)
        with pytest.raises(UsageError, match="pruned"):
            await run.fork(2)
        fork = await run.fork(6)
        await engine.send(fork, Add(1))
        assert (await engine.context(fork)).total == 3
        (row,) = await engine.client.journal.load([fork.id])
        assert row is not None
        assert row.generation == 0


async def test_why_leads_back_to_what_a_pruned_generation_asked_for() -> None:
    """An outcome that a later generation learns of: what asked for it is gone, and is said to be."""
    async with Engine([Seats]) as engine:

        async def slow(number: int) -> str:
            await engine.sleep(timedelta(seconds=10 if number == 0 else 50))
            return str(number)

        engine.stub(take, calls=slow)
        run = await engine.start(Seats, Round())
        await engine.send(run, Turn())
        await engine.advance(timedelta(seconds=1))
        await engine.client.prune(NOW, generations=True)
        await engine.advance(timedelta(seconds=15))
        assert [link.how for link in await run.why()] == ["activity", "gone"]


async def test_a_generation_that_begins_at_once_begins_again_and_not_for_ever() -> None:
    class Restless(Machine[Counted, Round, int], name="restless"):
        s = root(Counted)
        first = s.choice(initial=True)
        resting = s.state()
        more = s.continue_as_new(lambda c: Round(c.number + 1))
        first.always(resting, when=lambda c: c.number == 20)
        first.always(more)
        resting.on(Turn, more)
        init = staticmethod(begun)
        result = staticmethod(total_of)

    async with Engine([Restless], paranoid=True) as engine:
        run = await engine.start(Restless, Round())
        assert (await engine.context(run)).number == 20
        (row,) = await engine.client.journal.load([run.id])
        assert row is not None
        assert (row.version, row.generation) == (1, 1)
        await engine.send(run, Turn())
        view = await engine.view(run)
        assert view.status is RunStatus.PARKED
        assert "runs in circles" in (view.cause or "")


async def test_a_worker_that_dies_in_the_middle_begins_no_generation_twice(shared_journal: str) -> None:
    """Two workers, one of which is lost with what it holds again and again."""
    async with Engine([Counter], journal=shared_journal) as engine:
        run = await engine.start(Counter, Round())
        for number in range(1, 4):
            await run.send(Add(number))
            await run.send(Turn())
            await run.send(Turn())
            await engine.crash()
            await engine.advance(timedelta(minutes=11))
        assert await engine.context(run) == Counted(3, 6, 0)
        await engine.check(run)


async def test_real_workers_carry_generations_on(shared_journal: str) -> None:
    async with Worker(shared_journal, [Counter]) as worker, Client(shared_journal, [Counter]) as client:
        run = await client.start(Counter, Round())
        waiter = asyncio.create_task(run.result())
        for number in range(10):
            await run.send(Add(number))
            await run.send(Turn())
            await run.send(Turn())
        await run.send(Stop())
        assert await waiter == 45
        (row,) = await worker.client.journal.load([UUID(str(run.id))])
        assert row is not None
        assert row.generation == 10


def test_an_input_of_another_type_is_refused_at_import() -> None:
    def wrong(c: Counted) -> Counted:
        return c

    with pytest.raises(DefinitionError, match="C229"):

        class Wrong(Machine[Counted, Round, int], name="wrong"):
            s = root(Counted)
            waiting = s.state(initial=True)
            more = s.continue_as_new(wrong)
            waiting.on(Turn, more)
            init = staticmethod(begun)
            result = staticmethod(total_of)


async def test_an_input_that_cannot_be_stored_parks_the_run() -> None:
    class Loose(Machine[Counted, Round, int], name="loose"):
        s = root(Counted)
        waiting = s.state(initial=True)
        more = s.continue_as_new(lambda c: Round(number="x"))  # type: ignore[arg-type]  # what is wrong here
        waiting.on(Turn, more)
        init = staticmethod(begun)
        result = staticmethod(total_of)

    async with Engine([Loose]) as engine:
        run = await engine.start(Loose, Round())
        await engine.send(run, Turn())
        assert (await engine.view(run)).status is RunStatus.PARKED
        assert len(await engine.history(run)) == 2
