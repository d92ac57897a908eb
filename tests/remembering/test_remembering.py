"""What is kept of a run: what it is now is as durable whatever is remembered of what it was."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from continuum_core import Machine, UsageError, root
from continuum_core.definition.fingerprint import fingerprint
from continuum_core.definition.memory import Memory, memory_of
from continuum_core.errors import DefinitionError
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Engine
from tests.remembering.machines import (
    Add,
    Enter,
    Ephemeral,
    Eternal,
    Leave,
    Mark,
    Oversized,
    Plain,
    Seen,
    Selective,
    Stop,
    added,
    begun,
    double,
    sum_of,
)

NOW = timedelta()


async def versions(engine: Engine, run: Any) -> list[int]:
    return [step.version for step in await engine.history(run)]


async def version(engine: Engine, run: Any) -> int:
    (row,) = await engine.client.journal.load([run.id])
    assert row is not None
    return row.version


async def test_ephemeral_keeps_the_present_alone(journal: str) -> None:
    async with Engine([Ephemeral], journal=journal, paranoid=True) as engine:
        run = await engine.start(Ephemeral, 1, key="k")
        for amount in range(5):
            await engine.send(run, Add(amount))
        assert await versions(engine, run) == []
        assert await version(engine, run) == 6
        assert await engine.context(run) == Seen(5, 11)
        await engine.send(run, Mark())
        assert (await engine.context(run)).sum == 22
        await run.cancel("an order is always recorded")
        await engine.settle()
        assert (await engine.view(run)).status is RunStatus.CANCELLED
        assert [step.event for step in await engine.history(run)] == ["cancel"]
        await engine.check(run)


async def test_the_present_survives_as_ever(journal: str) -> None:
    """A worker dies with a turn in hand; timers and activities go on; the result is the same."""
    async with Engine([Ephemeral], journal=journal) as engine:
        run = await engine.start(Ephemeral, 1)
        await run.send(Add(2), dedupe="once")
        await engine.crash()
        await run.send(Add(2), dedupe="once")
        await engine.advance(timedelta(minutes=11))
        assert await engine.context(run) == Seen(1, 3)
        hanging = engine.stub(double, hangs=True)
        await engine.send(run, Mark())
        assert len(hanging.calls) == 1
        await engine.crash()
        engine.stub(double, calls=lambda value: 2 * value)
        await engine.advance(timedelta(minutes=11))
        assert await engine.context(run) == Seen(1, 6)
        await engine.advance(timedelta(hours=1))
        assert await run.result() == 6
        assert await versions(engine, run) == []


@pytest.mark.parametrize("ending", [Stop(), Mark()], ids=["an event", "an outcome"])
async def test_a_result_that_cannot_be_stored_parks_its_run_alone(journal: str, ending: object) -> None:
    async with Engine([Oversized, Plain], journal=journal) as engine:
        worked = engine.stub(double, returns=0)
        run, other = await engine.start(Oversized, 1), await engine.start(Plain, 1)
        await engine.send(run, ending)
        view = await engine.view(run)
        assert view.status is RunStatus.PARKED
        assert view.cause.startswith("outcome cannot be stored: ")
        assert len(worked.calls) == isinstance(ending, Mark), "what the body did is not done again"
        assert view.tasks == ()
        await engine.send(other, Stop())
        assert await other.result() == 1, "the worker goes on"


async def test_selective_keeps_first_last_and_checkpoints(journal: str) -> None:
    async with Engine([Selective], journal=journal, paranoid=True) as engine:
        run = await engine.start(Selective, 0)
        for event in (Add(1), Add(2), Mark(), Leave(), Add(4), Enter(), Add(8), Stop()):
            await engine.send(run, event)
        steps = await engine.history(run)
        assert [(step.version, step.event, step.steps) for step in steps] == [
            (1, "start", 1),
            (4, "Mark", 3),
            (7, "Enter", 3),
            (9, "Stop", 2),
        ]
        assert await run.result() == 15
        moment = await run.at(4)
        assert (moment.context, moment.states, moment.vague) == (Seen(2, 3), ("marked",), True)
        assert (await run.at(1)).vague is False
        for lost in (2, 6):
            with pytest.raises(UsageError, match=f"step {lost} .* left no record"):
                await run.at(lost)
        assert [(each.version, each.steps, each.after) for each in await run.blame("sum")] == [
            (9, 2, 15),
            (7, 3, 7),
            (4, 3, 3),
            (1, 1, 0),
        ]
        assert [link.how for link in await run.why(7)] == ["client"]
        with pytest.raises(UsageError, match="left no record"):
            await run.fork(4)
        await engine.check(run)
        graph = await engine.client.lineage(run)
        assert [(each.first, each.last) for each in graph.stretches] == [(1, 9)]


async def test_a_run_that_rests_between_checkpoints_folds_as_far_as_it_is_told(journal: str) -> None:
    async with Engine([Selective], journal=journal) as engine:
        run = await engine.start(Selective, 0)
        for event in (Mark(), Leave(), Add(1)):
            await engine.send(run, event)
        await engine.client.suspend(run)
        await engine.client.resume(run)
        await engine.send(run, Add(1))
        assert await versions(engine, run) == [1, 2, 5, 6]
        await engine.check(run)
        await engine.send(run, Enter())
        assert [step.steps for step in await engine.history(run)][-1] == 4
        await engine.check(run)


async def test_eternal_is_of_the_state_and_for_ever(journal: str) -> None:
    async with Engine([Eternal], journal=journal, paranoid=True) as engine:
        run, other = [await engine.start(Eternal, 0, key=key) for key in ("a", "b")]
        for event in (Add(1), Enter(), Add(2), Add(4), Leave(), Add(8), Stop()):
            await engine.send(run, event)
        await engine.send(other, Stop())
        assert await versions(engine, run) == [3, 4, 5, 6]
        await engine.advance(timedelta(days=1))
        pruned = await engine.client.prune(NOW)
        assert (pruned.runs, pruned.eternal) == (1, 1)
        assert await versions(engine, run) == [3, 4, 5, 6]
        assert await run.result() == 15


async def test_the_most_that_regions_ask_for_counts() -> None:
    class Regions(Machine[Seen, int, int], name="regions"):
        s = root(Seen)
        both = s.parallel(initial=True)
        left = both.state()
        l1 = left.state(initial=True)
        l2 = left.state()
        right = both.state()
        r1 = right.state(initial=True)
        r2 = right.state()
        r2.on(Mark, r1)
        end = s.final()
        s.remember("ephemeral")
        l2.remember("all")
        l1.on(Enter, l2)
        l2.on(Leave, l1)
        s.on(Stop, end)
        s.on(Add, assign=lambda c, e: Seen(c.count, c.sum + e.amount))
        r1.on(Mark, r2)
        init = staticmethod(begun)
        result = staticmethod(sum_of)

    chart = Regions.chart
    assert memory_of(chart, 0) is Memory.EPHEMERAL
    async with Engine([Regions]) as engine:
        run = await engine.start(Regions, 0)
        for event in (Add(), Enter(), Add(), Leave(), Add()):
            await engine.send(run, event)
        assert await versions(engine, run) == [3, 4, 5]


async def test_a_machine_that_remembers_all_again_tells_what_was_not_told_once(tmp_path: Path) -> None:
    """What is remembered is no part of a machine: a run goes on under the same code without its word."""

    def counting(word: bool) -> type[Machine[Seen, int, int]]:
        class Counting(Machine[Seen, int, int], name="again"):
            s = root(Seen)
            open_ = s.state(initial=True)
            end = s.final()
            open_.on(Add, assign=added)
            s.on(Stop, end)
            if word:
                s.remember("ephemeral")
            init = staticmethod(begun)
            result = staticmethod(sum_of)

        return Counting

    url = f"sqlite:///{tmp_path}/journal.db"
    silent, telling = counting(True), counting(False)
    async with Engine([silent], journal=url) as engine:
        run = await engine.start(silent, 0)
        for amount in range(2):
            await engine.send(run, Add(amount))
    async with Engine([telling], journal=url) as engine:
        again = engine.client.handle(run.id)
        for amount in range(3):
            await engine.send(again, Add(amount))
        assert [step.steps for step in await engine.history(again)] == [4, 1, 1]
        await engine.check(again)


def test_what_is_remembered_is_no_part_of_what_a_machine_does() -> None:
    class One(Machine[Seen, int, int], name="same"):
        s = root(Seen)
        a = s.state(initial=True)
        end = s.final()
        a.on(Stop, end)
        init = staticmethod(begun)
        result = staticmethod(sum_of)

    plain = One.chart

    class Two(Machine[Seen, int, int], name="same"):
        s = root(Seen)
        a = s.state(initial=True)
        end = s.final()
        a.on(Stop, end)
        s.remember("selective")
        a.checkpoint()
        init = staticmethod(begun)
        result = staticmethod(sum_of)

    assert fingerprint(plain) == fingerprint(Two.chart)
    assert not plain.remembers
    assert Two.chart.remembers


@pytest.mark.parametrize("words", [("forever",), ("all", "ephemeral")])
def test_wrong_words_are_refused(words: tuple[Any, ...]) -> None:
    with pytest.raises(DefinitionError, match="C230"):

        class Wrong(Machine[Seen, int, int], name="wrong"):
            s = root(Seen)
            a = s.state(initial=True)
            end = s.final()
            a.on(Stop, end)
            for word in words:
                s.remember(word)
            init = staticmethod(begun)
            result = staticmethod(sum_of)
