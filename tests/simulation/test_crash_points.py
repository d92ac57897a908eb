"""One scenario, and a worker that dies before and after every single call it makes, one at a time."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest

from continuum_core.testing.faults import Fault, FaultKind
from continuum_core.testing.simulation.chaos import Mishap
from continuum_core.testing.simulation.machines import Job
from continuum_core.testing.simulation.schedule import one_at_a_time, run_scenario
from continuum_core.testing.simulation.workload import Action, Doing, RunPlan, Scenario

_ORDER = RunPlan("sim.order", Job("a"))
_NESTED = RunPlan("sim.nested", Job("b"))
_PEER = RunPlan("sim.pinged", Job("p"))
_PINGER = RunPlan("sim.pinger", Job("c", 1, "p"))
_SHARED = (RunPlan("sim.shared", Job("d", 1, "q")), RunPlan("sim.shared", Job("e", 1, "q")))

SCENARIO = Scenario(
    actions=tuple(
        Action(0, Doing.START, run, gap)
        for run, gap in (
            (_PEER, 0.0),
            (_ORDER, 0.3),
            (_NESTED, 0.0),
            (_PINGER, 0.1),
            *((s, 0.0) for s in _SHARED),
        )
    ),
    workers=2,
    horizon=9.0,
    wild=120,
)
_SEED = 4

_TRIPS = Scenario(
    actions=tuple(
        Action(0, doing, RunPlan("sim.trip", Job(label)), gap, event)
        for label, doing, gap, event in (
            ("f", Doing.START, 0.0, ""),
            ("g", Doing.START, 0.1, ""),
            ("g", Doing.SEND, 0.2, "Stop"),
            ("h", Doing.START, 0.0, ""),
            ("h", Doing.CANCEL, 0.4, ""),
        )
    ),
    workers=2,
    horizon=9.0,
    wild=200,
)
"""Runs that take back what they did: after a failure, an event, a cancel."""


_LOOPS = Scenario(
    actions=tuple(
        Action(0, doing, RunPlan("sim.loop", Job(label, 3)), gap, event)
        for label, doing, gap, event in (
            ("i", Doing.START, 0.0, ""),
            ("i", Doing.SEND, 0.2, "Stop"),
            ("j", Doing.START, 0.0, ""),
            ("j", Doing.CANCEL, 0.6, ""),
        )
    ),
    workers=2,
    horizon=9.0,
    wild=200,
)
"""Runs that continue as new twice, and take back in the last generation what all of them did."""


_FLEETS = Scenario(
    actions=tuple(
        Action(0, doing, RunPlan("sim.fleet", Job(label, 3)), gap, event)
        for label, doing, gap, event in (
            ("k", Doing.START, 0.0, ""),
            ("l", Doing.START, 0.0, ""),
            ("l", Doing.CANCEL, 0.0, ""),
            ("m", Doing.START, 0.1, ""),
            ("m", Doing.SEND, 0.4, "Stop"),
        )
    ),
    workers=2,
    horizon=9.0,
    wild=120,
)
"""Runs with child runs: one that goes its way, one that is cancelled as it begins, one that is stopped."""


_LATES = Scenario(
    actions=tuple(
        Action(0, doing, RunPlan("sim.late", Job(label, 1)), gap, event)
        for label, doing, gap, event in (
            ("n", Doing.START, 0.0, ""),
            ("o", Doing.START, 0.1, ""),
            ("o", Doing.CANCEL, 0.3, ""),
            ("p", Doing.START, 0.0, ""),
            ("p", Doing.SEND, 0.2, "Boom"),
        )
    ),
    workers=2,
    horizon=9.0,
    wild=120,
)
"""Runs with a deadline: one that never ends by itself, one that is cancelled, one that is parked."""


_SCENARIOS = {"orders": SCENARIO, "trips": _TRIPS, "loops": _LOOPS, "fleets": _FLEETS, "lates": _LATES}


@lru_cache
def _calls(name: str) -> list[str]:
    """The place of every call that the workers make while faults may happen, ``wait`` left out."""
    numbers: Counter[tuple[str, str]] = Counter()
    places: list[str] = []
    for at, process, verb, _ in run_scenario(_SEED, _SCENARIOS[name], {}, traced=True).trace:
        if at < 1_700_000_009_000_000 and process.startswith("w") and verb != "wait":
            numbers[process, verb] += 1
            places.append(f"{process} {verb} {numbers[process, verb]}")
    return places


def _halves() -> Iterator[Any]:
    """Before every other call, and after all the others: death after a call is death before the next one."""
    for kind, half in itertools.product((FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER), (0, 1)):
        always = (kind is FaultKind.CRASH_AFTER) == bool(half)
        marks = () if always else pytest.mark.long
        yield pytest.param(kind, half, id=f"{kind.value}-{half}", marks=marks)


by_halves = pytest.mark.parametrize(("kind", "half"), [*_halves()])


def test_there_are_many_points() -> None:
    assert len(_calls("orders")) > 60
    assert {place.split()[1] for place in _calls("orders")} >= {
        "claim_runs",
        "claim_tasks",
        "commit",
        "finish",
        "reserve",
    }


@pytest.mark.parametrize("kind", [FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER], ids=lambda kind: kind.value)
@pytest.mark.parametrize("part", [0, 1, *(pytest.param(part, marks=pytest.mark.long) for part in (2, 3))])
def test_every_single_crash_point(part: int, kind: FaultKind) -> None:
    """Whatever the moment of the death, everything ends as if nobody had died."""
    died = Mishap(Fault(kind, before=0.0, after=0.0))
    found = one_at_a_time(_SEED, SCENARIO, dict.fromkeys(_calls("orders")[part::4], died))
    assert {place: wrong for place, wrong in found if wrong} == {}


@by_halves
def test_every_single_crash_point_while_taking_back(kind: FaultKind, half: int) -> None:
    """Whatever the moment of the death: what was done is undone, once, newest first."""
    assert len(_calls("trips")) > 30
    died = Mishap(Fault(kind, before=0.0, after=0.0))
    found = one_at_a_time(_SEED, _TRIPS, dict.fromkeys(_calls("trips")[half::2], died))
    assert {place: wrong for place, wrong in found if wrong} == {}


@by_halves
def test_every_single_crash_point_while_continuing_as_new(kind: FaultKind, half: int) -> None:
    """Whatever the moment of the death: each generation happens once, and all is taken back."""
    assert len(_calls("loops")) > 30
    died = Mishap(Fault(kind, before=0.0, after=0.0))
    found = one_at_a_time(_SEED, _LOOPS, dict.fromkeys(_calls("loops")[half::2], died))
    assert {place: wrong for place, wrong in found if wrong} == {}


@pytest.mark.parametrize("kind", [FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER], ids=lambda kind: kind.value)
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in range(1, 6))])
def test_every_single_crash_point_with_child_runs(part: int, kind: FaultKind) -> None:
    """Whatever the moment of the death: each child run begins once, tells its end once, and none is left."""
    assert len(_calls("fleets")) > 60
    died = Mishap(Fault(kind, before=0.0, after=0.0))
    found = one_at_a_time(_SEED, _FLEETS, dict.fromkeys(_calls("fleets")[part::6], died))
    assert {place: wrong for place, wrong in found if wrong} == {}


@pytest.mark.parametrize("kind", [FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER], ids=lambda kind: kind.value)
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in range(1, 4))])
def test_every_single_crash_point_of_runs_with_deadlines(part: int, kind: FaultKind) -> None:
    """Whatever the moment of the death: each is over by itself, and took back what it did, or tells it."""
    assert len(_calls("lates")) > 60
    died = Mishap(Fault(kind, before=0.0, after=0.0))
    found = one_at_a_time(_SEED, _LATES, dict.fromkeys(_calls("lates")[part::4], died))
    assert {place: wrong for place, wrong in found if wrong} == {}
