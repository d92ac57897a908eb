"""The side-by-side benchmark still runs: our own contender, briefly. How fast it is, no test asks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks import contestants, journals
from benchmarks.conditions import conditions
from benchmarks.envs import HERE, NotToBeHad
from benchmarks.load import each_in_tasks, in_threads
from benchmarks.measure import Stage, per_run
from benchmarks.parts import w1, w2, w3, w4, w5
from benchmarks.process import Broken, Contestant
from benchmarks.rounds import interleaved, spread
from benchmarks.server import Server
from benchmarks.tables import markdown


def test_our_steps_are_measured_with_what_they_cost() -> None:
    worker = Contestant("continuum_core", contestants.OURS, 4, "one worker")
    with Server() as server:
        said = conditions(server.settings(), 1, 0.2)
        figures = Stage(server).load(worker, "steps", 0.2)
    assert said["postgres"]["fsync"] == "on"
    told = per_run(figures)
    assert figures["runs"] > 0
    # A run of three steps: itself, four records and three tasks, however many are committed together.
    assert told["inserted"] == pytest.approx(8, abs=1.5)
    assert told["deleted"] == pytest.approx(3, abs=0.5)
    for sure in ("rate", "wal_kb", "writing"):
        assert (told[sure] or 0) > 0
    table = {"rows": {"continuum_core": [{**figures, "round": 0}]}, "failed": {}, "notes": {}, "seconds": 0.2}
    found = json.loads(json.dumps({"step-durable": table}))
    assert "| continuum_core | " in w1.tables(found)
    assert {aim.split(":")[0] for aim, _ in w1.targets(found)} == {
        "less than one writing transaction a run under load"
    }


def test_who_fails_is_left_out_by_name_and_the_others_go_on() -> None:
    order: list[str] = []

    def one(name: str) -> dict[str, Any]:
        order.append(name)
        if name == "absent":
            raise NotToBeHad("no such package")
        if name == "broken":
            raise Broken("a wrong result")
        return {"runs": 1}

    rows, failed = interleaved(["sound", "absent", "broken"], str, 3, one)
    assert failed == {"absent": "NotToBeHad: no such package", "broken": "Broken: a wrong result"}
    assert [row["round"] for row in rows["sound"]] == [0, 1, 2]
    assert order == ["sound", "absent", "broken", "sound", "sound"]
    told = markdown("T", {"failed": failed, "notes": {"sound": "well"}}, [], {"sound": [{}], "absent": []})
    assert "- sound: well" in told
    assert "- left out: absent: NotToBeHad: no such package" in told


def test_figures_are_told_with_their_spread() -> None:
    assert spread([3.0, 1.0, 2.0], ".0f") == "2 (1–3)"
    assert spread([2.5], ".1f") == "2.5"
    assert spread([None, None], ".1f") == "–"


def test_loads_raise_what_a_run_raised() -> None:
    def wrong(number: int) -> None:
        raise AssertionError(f"run {number}")

    with pytest.raises(AssertionError, match="run 0"):
        in_threads(wrong, 0.5, 1)


async def test_every_number_is_done_once() -> None:
    done: list[int] = []

    async def one(number: int) -> None:
        done.append(number)

    assert (await each_in_tasks(one, range(10), 3))["runs"] == 10
    assert sorted(done) == list(range(10))


def test_every_contestant_has_a_program_and_pinned_packages() -> None:
    entrants = [*contestants.steps(), *contestants.alone(), *contestants.macrostep(), *contestants.waiting()]
    entrants += [contestant for contestant, _ in contestants.latency()]
    for module in {entrant.module for entrant in entrants}:
        assert (HERE / "peers" / f"{module}.py").is_file()
        wanted = HERE / "requirements" / f"{module}.txt"
        assert wanted.is_file() != (module in (contestants.OURS, "bare"))
        if wanted.is_file():
            assert all("==" in line for line in wanted.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("name", ["w1", "w2", "w3", "w4", "w5"])
def test_kept_results_are_what_their_raw_figures_say(name: str) -> None:
    folder = HERE / "results"
    if not (folder / f"{name}.json").is_file():
        pytest.skip("no full run is kept")
    found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["found"]
    part = {"w1": w1, "w2": w2, "w3": w3, "w4": w4, "w5": w5}[name]
    assert (folder / f"{name}.md").read_text(encoding="utf-8").startswith(part.tables(found))


@pytest.mark.parametrize("part", journals.PARTS)
def test_ours_is_measured_on_other_journals(part: str) -> None:
    """Commits of the port, and the workloads, on a server that is no PostgreSQL."""
    found = json.loads(json.dumps(journals.measure(part, ["redis"], 1, 0.1)))
    assert found[part]["failed"] == {}
    [figures] = found[part]["rows"]["redis"]
    assert figures["runs"] > 0
    assert figures["rate"] > 0
    assert figures["server_us"] is not None
    assert "| redis | " in journals.tables(found)
    assert len(journals.targets(found)) == (part == "port")
