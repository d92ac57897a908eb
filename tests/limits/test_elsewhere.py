"""Deadlines go along: into forks, other journals, newer definitions, files of other tools, drawings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from continuum_core import Machine, RunTimedOut, root
from continuum_core.asyncio_host import AsyncioHost
from continuum_core.carriage.asking import Copying
from continuum_core.carriage.copying import copy
from continuum_core.client import Client
from continuum_core.definition.chart import TriggerKind
from continuum_core.definition.compatibility import ChangeKind, compare
from continuum_core.definition.fingerprint import graph
from continuum_core.definition.wording import edge_caption, frame_title
from continuum_core.journal.connect import connect
from continuum_core.testing import Drive, Engine
from continuum_scxml import outline_of, skeleton
from tests.limits.machines import HOUR, MINUTE, Bare, Go, Held, Job, Note, Partial, Tidy, Turn, begun
from tests.scxml.carrying import CARRIERS, Carrier, imported


class Sooner(Machine[Held, Job, str], name="partial"):
    """A newer `Partial`, whose runs have to be over sooner."""

    s = root(Held)
    idle = s.state(initial=True)
    stubborn = s.state()
    done = s.final()

    @staticmethod
    def init(i: Job) -> Held:
        return begun(i)

    @staticmethod
    def result(c: Held) -> str:
        return "sooner"

    s.deadline(timedelta(minutes=5))
    s.on(Note)
    s.on_deadline(done)
    idle.on(Turn, stubborn)
    stubborn.on(Go, done)


async def test_a_fork_has_the_time_that_was_left(journal: str) -> None:
    async with Engine([Bare], journal=journal) as engine:
        run = await engine.start(Bare, Job("a", HOUR))
        await engine.advance(40 * MINUTE)
        await engine.send(run, Turn())
        fork = await run.fork(2)
        await engine.advance(20 * MINUTE)
        with pytest.raises(RunTimedOut):
            await run.result()
        with pytest.raises(RunTimedOut):
            await fork.result()
        late = await run.fork(1)
        await engine.advance(HOUR - MINUTE)
        assert await engine.states(late) == {"idle"}
        await engine.advance(MINUTE)
        with pytest.raises(RunTimedOut):
            await late.result()
        for each in (run, fork, late):
            await engine.check(each)


async def test_what_it_was_earlier_tells_its_deadline(journal: str) -> None:
    async with Engine([Bare], journal=journal) as engine:
        run = await engine.start(Bare, Job("a", HOUR))
        due = engine.now() + HOUR
        await engine.send(run, Turn())
        assert [(await run.at(version)).deadline for version in (1, 2)] == [due, due]
        await engine.advance(HOUR)
        assert (await run.at(3)).deadline is None
        assert [(link.version, link.event) for link in await run.why(3)] == [(3, "deadline"), (1, "start")]


async def test_a_run_keeps_the_deadline_it_began_with(journal: str) -> None:
    change = compare(graph(Partial.chart), graph(Sooner.chart))
    assert change.kind is ChangeKind.ADOPTABLE
    assert any("keep the deadline they began with" in str(each) for each in change.differences)
    async with Engine([Partial], journal=journal) as engine:
        old = await engine.start(Partial, Job("a"))
        await engine.deploy([Sooner])
        new = await engine.start(Sooner, Job("b"))
        await engine.advance(5 * MINUTE)
        assert await new.result() == "sooner"
        assert await engine.states(old) == {"idle"}
        await engine.advance(HOUR)
        assert await old.result() == "sooner"


async def test_a_copied_run_is_over_at_its_deadline() -> None:
    clock: list[Any] = []
    target = connect("memory://", clock=lambda: clock[0].now())
    async with Engine([Bare]) as engine:
        clock.append(engine.clock)
        run = await engine.start(Bare, Job("a", HOUR))
        await target.open()
        source = engine.client.journal
        done = await copy(source, target, Copying(host=AsyncioHost(), to="elsewhere", who="ada"))
        assert done.complete
    async with Client(target, [Bare]) as client:
        waiting = (await client.view(run.id)).waiting
        assert [(each.what, each.due) for each in waiting] == [("deadline", engine.now() + HOUR)]


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)
@pytest.mark.parametrize("machine", [Tidy, Partial], ids=lambda machine: machine.__name__)
def test_files_of_other_tools_carry_it(machine: Any, carrier: Carrier, tmp_path: Any) -> None:
    outline = outline_of(machine.chart)
    again = carrier.read(carrier.write(outline))
    assert (again, again.deadline) == (outline, 3_600_000_000)
    chart, _ = imported(skeleton(again, carrier.name), tmp_path)
    assert chart.deadline == timedelta(hours=1)

    def bounded(of: Any) -> list[Any]:
        kinds = (TriggerKind.CANCEL, TriggerKind.DEADLINE)
        edges = [edge for state in of.states for edge in state.edges if edge.trigger.kind in kinds]
        return sorted((edge.trigger.kind.value, str(edge.within), len(edge.targets)) for edge in edges)

    assert bounded(chart) == bounded(machine.chart)


def test_drawings_tell_it() -> None:
    assert frame_title(Tidy.chart).endswith(" · deadline 1 h")
    assert frame_title(Bare.chart).endswith(" · deadline c.term")
    told = {
        row.text: row.full
        for machine in (Partial, Tidy)
        for state in machine.chart.states
        for edge in state.edges
        for row in edge_caption(machine.chart, edge).rows
    }
    assert told["run overdue"] == "the run's deadline passes"
    assert told["run cancelled"].startswith(
        "somebody cancels the run; it is terminated if it is not over within"
    )


def test_a_drive_is_given_one_too() -> None:
    run = Drive(Bare, Job("a", HOUR), deadline=MINUTE)
    run.advance(MINUTE)
    with pytest.raises(RunTimedOut):
        run.result()
