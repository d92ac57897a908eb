"""Child runs in what people look at: the graph, causes both ways, who is under way, who started whom."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from continuum_core import Handle, Machine, root
from continuum_core.archive import Archive
from continuum_core.causes import Link
from continuum_core.cli.family import lineage_mermaid, lineage_svg, lineage_text
from continuum_core.journal.records import Record, RunStatus
from continuum_core.lineage import Lineage
from continuum_core.members import Ended, Parent
from continuum_core.testing import Engine
from tests.crews.machines import (
    Broken,
    Ctx,
    Fleet,
    Go,
    Kept,
    Labels,
    Leave,
    Mixed,
    One,
    Slow,
    Trusts,
    Waits,
    begun_with,
    label,
    whole,
)
from tests.travel.test_lineage import severed


def told(links: Any) -> list[tuple[str, int, str, str]]:
    return [(link.name.partition(" ")[0], link.version, link.event, link.how) for link in links]


async def children(engine: Engine, run: Handle[Any]) -> list[UUID]:
    page, _ = await engine.client.list(parent=run, limit=1_000)
    return [each.id for each in reversed(page)]


def kinds(graph: Lineage) -> Counter[str]:
    return Counter(tie.kind for tie in graph.ties)


class Crowd(Machine[Ctx, tuple[str, ...], Ctx], name="travel-crowd"):
    """Waits for very many child runs at once."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    done = s.final()

    init = staticmethod(begun_with)
    result = staticmethod(whole)

    waiting.collect(Slow, lambda c: c.parcels, limit=1_000, done=done)


# --- why -----------------------------------------------------------------------------------------------


async def test_the_way_back_goes_through_the_child_run_and_forward_through_it_on_every_backend(
    journal: str,
) -> None:
    async with Engine([One], journal=journal) as engine:
        run = await engine.start(One, ("a",), key="o-1")
        await run.result()
        assert told(await run.why()) == [
            ("crew-one/o-1", 2, "done crew-parcel", "ended"),
            ("crew-parcel", 2, "done label", "activity"),
            ("crew-parcel", 1, "start", "child"),
            ("crew-one/o-1", 1, "start", "client"),
        ]
        forward, more = await engine.client.followed(run, 1)
        assert (told(forward), more) == (
            [
                ("crew-one/o-1", 1, "start", "client"),
                ("crew-parcel", 1, "start", "child"),
                ("crew-parcel", 2, "done label", "activity"),
                ("crew-one/o-1", 2, "done crew-parcel", "ended"),
            ],
            False,
        )


async def test_a_member_that_waited_comes_from_the_end_that_let_it_begin() -> None:
    async with Engine([Fleet]) as engine:
        run = await engine.start(Fleet, ("a", "b", "c", "d"), key="f")
        await run.result()
        graph = await run.lineage()
        [last] = [graph.stretches[tie.target].run for tie in graph.ties if tie.version > 1]
        way = await engine.client.why(last)
        assert [link.how for link in way] == ["activity", "child", "ended", "activity", "child", "client"]
        assert way[2].name == "crew-fleet/f"


async def test_a_child_run_that_is_closed_comes_from_what_its_parent_did() -> None:
    async with Engine([Kept]) as engine:
        run = await engine.start(Kept, (), key="k")
        await engine.send(run, Leave())
        closed = [each for each in await children(engine, run) if (await engine.client.view(each)).outcome]
        assert len(closed) == 3
        for child in closed:
            back = told(await engine.client.why(child))
            assert [back[0][3], *back[1:]] == ["closed", ("crew-kept/k", 2, "Leave", "client")]
        forward, _ = await engine.client.followed(run, 2)
        assert {link.run for link in forward if link.how == "closed"} == set(closed)


async def test_so_does_one_whose_parent_is_terminated() -> None:
    async with Engine([Waits]) as engine:
        run = await engine.start(Waits, ("a",), key="w")
        await engine.client.terminate(run, "enough", who="ann")
        await engine.settle()
        [child] = await children(engine, run)
        way = await engine.client.why(child)
        assert [(link.how, link.event, link.who) for link in way] == [
            ("closed", "cancel", ""),
            ("order", "terminate", "ann"),
        ]
        forward, _ = await engine.client.followed(run, way[1].version)
        assert [link.run for link in forward] == [run.id, child]


async def test_where_the_child_run_was_pruned_the_way_goes_by_who_started_it() -> None:
    async with Engine([Trusts]) as engine:
        run = await engine.start(Trusts, ("a",), key="t")
        [child] = await children(engine, run)
        await engine.client.terminate(child)
        await engine.settle()
        await engine.advance(timedelta(hours=2))
        assert (await engine.client.prune(timedelta(hours=1), machine=Broken.chart.name)).runs == 1
        way: list[Link] = list(await run.why())
        assert [(link.how, link.run, link.version) for link in way] == [
            ("ended", run.id, 2),
            ("client", run.id, 1),
        ]


# --- graph ---------------------------------------------------------------------------------------------


async def test_children_hang_at_the_record_that_started_them_on_every_backend(journal: str) -> None:
    async with Engine([Fleet, One], journal=journal) as engine:
        run = await engine.start(Fleet, ("a", "b", "c", "d"), key="f")
        await run.result()
        graph = await run.lineage()
        assert not severed(graph)
        assert kinds(graph) == {"child": 4}
        versions = sorted(tie.version for tie in graph.ties)
        assert versions[:3] == [1, 1, 1]
        assert versions[3] > 1, "the fourth began when one had ended"
        child = (await children(engine, run))[0]
        assert (await engine.client.lineage(child)).ties == graph.ties


async def test_a_crowd_is_summed_up_but_for_whom_was_asked_and_the_few_in_trouble() -> None:
    async with Engine([Mixed]) as engine:
        parcels = tuple(f"p{n}" for n in range(40))
        run = await engine.start(Mixed, (*parcels, "wait-1", "wait-2"), key="m")
        everyone = await children(engine, run)
        assert len(everyone) == 42
        graph = await run.lineage()
        assert not severed(graph)
        assert kinds(graph) == {"children": 1, "child": 2}
        [many] = [each for each in graph.stretches if each.runs > 1]
        assert (many.name, many.runs, many.status) == ("crew-patient", 40, RunStatus.COMPLETED)
        asked = await engine.client.lineage(everyone[7])
        assert not severed(asked)
        assert [each.runs for each in asked.stretches if each.runs > 1] == [39]
        assert everyone[7] in {each.run for each in asked.stretches}
        assert kinds(await run.lineage(most=100)) == {"child": 42}
        text = lineage_text(graph, run.id)
        assert "children from 1 on: crew-patient  40 runs, completed" in text
        assert "40 runs" in lineage_mermaid(graph, run.id)
        assert "40 runs" in " ".join(ET.fromstring(lineage_svg(graph, run.id)).itertext())


async def test_forks_of_children_and_children_of_forks_are_one_graph() -> None:
    async with Engine([Waits]) as engine:
        run = await engine.start(Waits, ("a",), key="w")
        [child] = await children(engine, run)
        await engine.client.fork(child, 1)
        await engine.settle()
        graph = await run.lineage()
        assert not severed(graph)
        assert [(tie.source, tie.target, tie.kind, tie.version) for tie in graph.ties] == [
            (0, 1, "child", 1),
            (1, 2, "fork", 1),
        ]


async def test_a_child_that_has_not_begun_is_told_as_such() -> None:
    async with Engine([Waits]) as engine:
        await engine.deploy([Waits])
        run = await engine.client.start(Waits, ("a",), key="w", after=timedelta(hours=1))
        graph = await run.lineage()
        assert lineage_text(graph, run.id) == "● crew-waits/w  not begun"


# --- crews and parents ---------------------------------------------------------------------------------


async def test_who_is_under_way_and_what_came_of_others_on_every_backend(journal: str) -> None:
    async with Engine([Mixed], journal=journal) as engine:
        run = await engine.start(Mixed, ("a", "wait-1", "wait-2", "wait-3", "wait-4"), key="m")
        [crew] = await run.crews()
        assert (crew.state, crew.work, crew.runs) == ("shipping", "crew-patient", True)
        assert (crew.total, crew.ended, crew.failed, crew.waiting) == (5, 1, 0, 1)
        assert crew.results == (Ended(0, "trk-a"),)
        assert [(each.number, each.status, each.states) for each in crew.under_way] == [
            (number, RunStatus.RUNNING, ("waiting",)) for number in (1, 2, 3)
        ]
        second = crew.under_way[1].run
        assert second is not None
        assert await engine.client.parent(second) == Parent(run.id, "crew-mixed/m", "child", 1, "shipping", 2)
        assert await run.parent() is None


async def test_activities_are_members_too_and_failures_are_counted() -> None:
    async with Engine([Labels]) as engine:
        engine.stub(label, holds=True)
        run = await engine.start(Labels, ("a", "lost-b", "c", "d"))
        held = engine.stub(label, calls=_label)
        [crew] = await run.crews()
        assert (crew.work, crew.runs, len(crew.under_way), crew.waiting) == ("label", False, 2, 2)
        assert held.calls == []


def _label(parcel: str) -> str:
    return parcel


async def test_a_fork_says_what_it_was_forked_from() -> None:
    async with Engine([Waits]) as engine:
        run = await engine.start(Waits, ("a",), key="w")
        [child] = await children(engine, run)
        fork = await engine.client.fork(child, 1)
        parent = await fork.parent()
        assert parent is not None
        assert (parent.run, parent.kind, parent.version) == (child, "fork", 1)
        await engine.client.send(child, Go())
        await engine.settle()
        assert not await run.crews()


async def test_of_a_crowd_no_records_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """So ten thousand child runs cost the pages of their rows, and three boxes."""
    read: set[UUID] = set()
    records = Archive.records

    async def watched(self: Archive, run_id: UUID) -> list[Record]:
        read.add(run_id)
        return await records(self, run_id)

    async with Engine([Crowd]) as engine:
        run = await engine.start(Crowd, ("w",) * 300)
        everyone = await children(engine, run)
        assert len(everyone) == 300
        monkeypatch.setattr(Archive, "records", watched)
        graph = await engine.client.lineage(everyone[0])
        assert read == {run.id, everyone[0]}
        assert [each.runs for each in graph.stretches] == [1, 1, 299]
        assert [each.runs for each in (await run.lineage()).stretches] == [1, 300]
