"""What the command line tells of families, and of runs that have not begun."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from uuid import UUID

import pytest

from continuum_core import Client
from continuum_core.cli.kin import crew_words
from continuum_core.journal.records import RunStatus
from continuum_core.members import CrewView, UnderWay
from continuum_core.testing import Engine
from tests.cli.conftest import Command
from tests.crews.machines import Mixed, Waits

HOUR = timedelta(hours=1)


@pytest.fixture
def child(url: str) -> str:
    """Of a run with five members, `crew-mixed/m`: the id of number 1, which waits."""

    async def lived() -> str:
        async with Engine([Mixed], journal=url) as engine:
            run = await engine.start(Mixed, ("a", "wait-1", "wait-2", "wait-3", "wait-4"), key="m")
            [crew] = await run.crews()
            await engine.client.suspend(crew.under_way[2].run or "", "by hand")
            return str(crew.under_way[0].run)

    return asyncio.run(lived())


def test_show_tells_who_is_under_way_those_in_trouble_first(continuum: Command, child: str) -> None:
    shown = continuum("show", "crew-mixed/m").out
    assert "1 of 5 ended, 3 under way (1 suspended), 1 to begin" in shown
    numbers = [line.split()[1] for line in shown.splitlines() if line.strip().startswith("number ")]
    assert numbers == ["3:", "1:", "2:", "0:"]
    assert 'number 0: gave "trk-a"' in shown
    facts = continuum("show", "crew-mixed/m", "--json").json()
    [crew] = facts["crews"]
    assert (crew["state"], crew["work"], crew["total"], crew["waiting"]) == ("shipping", "crew-patient", 5, 1)
    assert [each["status"] for each in crew["under_way"]] == ["running", "running", "suspended"]
    assert crew["results"] == [{"number": 0, "result": "trk-a", "failure": None}]
    assert facts["parent_run"] is None


def test_show_tells_whose_child_it_is(continuum: Command, child: str) -> None:
    shown = continuum("show", child).out
    assert "child run of crew-mixed/m, number 1 of shipping, started at record 1: `continuum graph" in shown
    parent = continuum("show", child, "--json").json()["parent_run"]
    assert (parent["name"], parent["kind"], parent["number"]) == ("crew-mixed/m", "child", 1)


def test_graph_and_why_go_through_the_family(continuum: Command, child: str) -> None:
    drawn = continuum("graph", child).out
    assert drawn.startswith("crew-mixed/m  records 1–2, running, in shipping\n")
    assert f"child at 1: ● crew-patient {child}  records 1–1, running, in waiting" in drawn
    few = continuum("graph", "crew-mixed/m", "--most", "0").out
    assert "child at 1" in few, "of so few each stands for itself"
    why = continuum("why", child).out
    assert "a child run that was started by\n  crew-mixed/m:1" in why
    forward = continuum("why", "crew-mixed/m:1", "--forward").out
    assert forward.count("crew-patient") >= 4


def test_a_run_that_has_not_begun_is_not_called_running(continuum: Command, url: str) -> None:
    async def started() -> UUID:
        async with Client(url, [Waits]) as client:
            await client.start(Waits, ("a",), key="now")
            await client.start(Waits, ("a",), key="later", after=30 * HOUR)
            held = await client.start(Waits, ("a",), key="held", after=HOUR)
            await client.suspend(held)
            await client.start(Waits, ("a",), key="calm", debounce=50 * HOUR)
            return held.id

    asyncio.run(started())
    rows = {row.split()[0]: row for row in continuum("list").out.splitlines() if row.startswith("crew-waits")}
    assert "running" in rows["crew-waits/now"]
    assert re.search("not begun +begins in 1d", rows["crew-waits/later"])
    assert re.search("not begun +begins in 2d", rows["crew-waits/calm"])
    assert "suspended" in rows["crew-waits/held"]
    assert re.match("crew-waits/later  not begun\nbegins in 1d", continuum("show", "crew-waits/later").out)
    facts = {each["key"]: each for each in continuum("list", "--json").jsons()}
    assert [facts[key]["begun"] for key in ("now", "later", "held", "calm")] == [True, False, False, False]
    assert "begins" in facts["later"]
    assert "begins" not in facts["now"]
    assert "not begun" in continuum("graph", "crew-waits/later").out


def test_failures_beyond_what_is_counted_are_said_to_be_so() -> None:
    stuck = UnderWay(7, UUID(int=1), RunStatus.PARKED)
    crew = CrewView("s", "w", True, 20_000, 15_000, 4_999, failed=3, under_way=(stuck,))
    assert crew_words(crew) == "15,000 of 20,000 ended (3+ failed), 1 under way (1 parked), 4,999 to begin"
