"""A schedule: everything that follows from one seed, run and judged.

`run_seed(seed)` is the whole simulator as a function: the same seed gives the same schedule, to the
last interleaving, on every machine. A report can be replayed with some of its mishaps and actions left
out (`rerun`), which is how failures are shrunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from random import Random
from uuid import UUID

from attrs import evolve, field, frozen

from continuum_core.testing.faults import FaultKind
from continuum_core.testing.simulation.chaos import Mishap, mix_of
from continuum_core.testing.simulation.evidence import Evidence, Story
from continuum_core.testing.simulation.fleets import FLEET
from continuum_core.testing.simulation.invariants import judge, same_end
from continuum_core.testing.simulation.lates import LATE
from continuum_core.testing.simulation.rolling import ROLLING
from continuum_core.testing.simulation.scheduler import EPOCH
from continuum_core.testing.simulation.workload import Action, Scenario, plan
from continuum_core.testing.simulation.world import World

__all__ = [
    "Report",
    "fleet_scenario",
    "one_at_a_time",
    "rerun",
    "rolling_scenario",
    "run_fleets",
    "run_rolling",
    "run_scenario",
    "run_seed",
    "scenario_of",
]

_HASHED = 1_000
"""Every so many seeds the schedule is run twice, and both must be the same to the last step."""

_COMPARED = 8
"""Every so many seeds the ends are compared with those of the same plan without faults."""


@frozen
class Report:
    """What came of one schedule.

    :ivar violations: empty where everything held.
    :ivar mishaps: what went wrong in it, by its place (``w1 commit 3``).
    :ivar trace: (microseconds, process, verb, mishap) of every call, if asked for.
    :ivar digest: hash of all calls and of all that is stored at the end.
    """

    seed: int
    violations: tuple[str, ...]
    actions: tuple[Action, ...]
    mishaps: Mapping[str, Mishap]
    steps: int
    deaths: int
    seconds: float
    runs: int
    trace: tuple[tuple[int, str, str, str], ...] = field(default=(), repr=False)
    digest: str = ""


def scenario_of(seed: int) -> Scenario:
    """What a seed decides before anything runs."""
    chance = Random(seed)
    mix = mix_of(chance)
    return Scenario(
        actions=tuple(plan(chance)),
        mix=mix,
        workers=chance.choice((1, 2, 2, 2, 3)),
        horizon=chance.choice((5.0, 10.0, 20.0)),
        wild=chance.choice((0, 60, 160)),
    )


def rolling_scenario(seed: int) -> Scenario:
    """A scenario in which workers of several releases work side by side, on runs of all of them."""
    chance = Random(seed)
    mix = mix_of(chance)
    return Scenario(
        actions=tuple(plan(chance, kinds=(ROLLING,))),
        mix=mix,
        workers=chance.choice((2, 3, 4)),
        horizon=chance.choice((5.0, 10.0, 20.0)),
        wild=chance.choice((0, 60, 160)),
    )


def fleet_scenario(seed: int) -> Scenario:
    """A scenario of runs that have child runs."""
    chance = Random(seed)
    mix = mix_of(chance)
    return Scenario(
        actions=tuple(plan(chance, kinds=(FLEET,))),
        mix=mix,
        workers=chance.choice((1, 2, 3)),
        horizon=chance.choice((5.0, 10.0, 20.0)),
        wild=chance.choice((0, 60, 160)),
    )


def run_fleets(seed: int, *, traced: bool = False) -> Report:
    """Run the schedule of runs with child runs of a seed, and judge it."""
    return run_scenario(seed, fleet_scenario(seed), traced=traced)


def late_scenario(seed: int) -> Scenario:
    """A scenario of runs that have to be over by their deadlines."""
    chance = Random(seed)
    mix = mix_of(chance)
    return Scenario(
        actions=tuple(plan(chance, kinds=(LATE,))),
        mix=mix,
        workers=chance.choice((1, 2, 3)),
        horizon=chance.choice((5.0, 10.0)),
        wild=chance.choice((0, 60, 160)),
    )


def run_late(seed: int, *, traced: bool = False) -> Report:
    """Run the schedule of runs with deadlines of a seed, and judge it."""
    return run_scenario(seed, late_scenario(seed), traced=traced)


def run_rolling(seed: int, *, traced: bool = False) -> Report:
    """Run the rolling schedule of a seed and judge it."""
    return run_scenario(seed, rolling_scenario(seed), traced=traced)


def run_seed(seed: int, *, traced: bool = False) -> Report:
    """Run the schedule of a seed and judge it."""
    scenario = scenario_of(seed)
    report, evidence = _run(seed, scenario, None, traced)
    violations = list(report.violations)
    if seed % _HASHED == 0:
        violations += _differences(seed, scenario)
    if seed % _COMPARED == 0 and not violations:
        _, plain = _run(seed, scenario, {}, False)
        violations += [f"same_end: {what}" for what in same_end(evidence, plain)]
    return evolve(report, violations=tuple(violations))


def run_scenario(
    seed: int, scenario: Scenario, mishaps: Mapping[str, Mishap] | None = None, *, traced: bool = False
) -> Report:
    """Run a scenario with the interleavings of a seed.

    :param mishaps: exactly what goes wrong, by its place; None: what the seed draws from the mix.
    """
    return _run(seed, scenario, mishaps, traced)[0]


def one_at_a_time(
    seed: int, scenario: Scenario, mishaps: Mapping[str, Mishap]
) -> Iterator[tuple[str, list[str]]]:
    """Run a scenario once with each of these mishaps alone: its place, and what was wrong then.

    What ends otherwise than without any mishap is wrong, too.
    """
    _, plain = _run(seed, scenario, {}, False)
    for place, mishap in mishaps.items():
        report, evidence = _run(seed, scenario, {place: mishap}, False)
        yield place, [*report.violations, *same_end(evidence, plain)]


def rerun(
    seed: int, mishaps: Mapping[str, Mishap], actions: Sequence[Action], *, traced: bool = False
) -> Report:
    """The schedule of a seed with these mishaps and actions only."""
    return run_scenario(seed, evolve(scenario_of(seed), actions=tuple(actions)), mishaps, traced=traced)


def _differences(seed: int, scenario: Scenario) -> list[str]:
    first, second = (_run(seed, scenario, None, True)[0] for _ in range(2))
    if first.digest == second.digest:
        return []
    for one, other in zip(first.trace, second.trace, strict=False):
        if one != other:
            return [f"the same seed went two ways: {one} and {other}"]
    return ["the same seed stored two things"]


def _run(
    seed: int, scenario: Scenario, script: Mapping[str, Mishap] | None, traced: bool
) -> tuple[Report, Evidence]:
    world = World(seed=seed, scenario=scenario, script=script, traced=traced)
    world.run()
    stories = world.stories()
    evidence = Evidence(
        stories=stories,
        witness=world.witness,
        ledger=world.ledger,
        results=world.results,
        registry=world.registry,
        gentle=not world.deaths and all(_harmless(place, m) for place, m in world.chaos.drawn.items()),
    )
    report = Report(
        seed=seed,
        violations=tuple(world.violations) + tuple(judge(evidence)),
        actions=scenario.actions,
        mishaps=world.chaos.drawn,
        steps=world.scheduler.steps,
        deaths=world.deaths,
        seconds=(world.scheduler.now - EPOCH) / 1e6,
        runs=len(stories),
        trace=tuple(world.trace),
        digest=_digest(world, stories) if traced else "",
    )
    return report, evidence


_ANYWHERE = frozenset({FaultKind.NONE, FaultKind.NO_WAKEUP, FaultKind.TWICE})
_HARMLESS = frozenset(
    (verb, kind)
    for verb in ("claim_runs", "claim_tasks", "define", "load", "deliver", "control", "definitions")
    for kind in (FaultKind.REFUSED, FaultKind.LOST_REQUEST, FaultKind.LOST_REPLY)
)


def _harmless(place: str, mishap: Mishap) -> bool:
    """Whether no lease can have run out because of it."""
    fault = mishap.fault
    if mishap.freeze or (fault.before or 0.0) > 0.5 or (fault.after or 0.0) > 0.5:
        return False
    return fault.kind in _ANYWHERE or (place.split()[1], fault.kind) in _HARMLESS


def _digest(world: World, stories: Mapping[UUID, Story]) -> str:
    hashed = blake2b(repr(world.trace).encode(), digest_size=16)
    for story in stories.values():
        hashed.update(repr((story.found, list(story.records))).encode())
    return hashed.hexdigest()
