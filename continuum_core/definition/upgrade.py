"""How runs of an older definition come to a newer one: where an `upgrade` leads, and whether from everywhere.

The older definition is only known by its canonical form, stored in a journal or in a lock file. A `Way`
leads from that form to a chart and is complete: every state that a run may rest in, or remember, has its
place. Where it cannot be, the obstacles say why, in the words of faults; nothing is guessed.

A state that no upgrade names stays where it is, if the newer machine has one of that path and kind. What an
entry into a state has open (timers, activities) goes on where it means the same after the move: the same
activities in the same places, timers that lead to the same states. Otherwise it is closed and begun anew.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from attrs import frozen

from continuum_core.definition.chart import Chart, Function, Kind, State, Upgrade
from continuum_core.definition.fingerprint import FORMAT, graph, print_of
from continuum_core.definition.structure import breaks

__all__ = ["Graph", "Obstacle", "Way", "chain", "way"]

Graph = Mapping[str, Any]
"""A canonical form, as `fingerprint.graph` makes it."""

_HISTORIES = ("history", "deep-history")


@frozen
class Way:
    """From one older definition to a machine's.

    :ivar version: the older version, and `fingerprint` its definition.
    :ivar states: every older state that has a place in the newer machine → that place; by dotted path.
    :ivar begun: older states whose entries go on → how many timers and activities are open there.
    :ivar finals: older states that are final.
    :ivar contexts: what makes the newer context of the older one, applied in order.
    """

    fingerprint: str
    version: int
    states: Mapping[str, str]
    begun: Mapping[str, tuple[int, int]]
    finals: frozenset[str]
    contexts: tuple[Function, ...]


@frozen
class Obstacle:
    """Why there is no way: a fault's code, where, what, and what to do."""

    code: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def chain(chart: Chart, version: int) -> tuple[Upgrade, ...]:
    """The upgrades that lead from a version to this machine, one after another; empty: there is no way."""
    found: list[Upgrade] = []
    at = version
    while at != chart.version:
        step = next((each for each in chart.upgrades if each.version == at), None)
        if step is None or len(found) > len(chart.upgrades):
            return ()
        found.append(step)
        at = chart.version if step.to is None else step.to
    return tuple(found)


def way(old: Graph, chart: Chart) -> tuple[Way | None, tuple[Obstacle, ...]]:
    """The way from an older definition to this machine by its upgrades, or else what is missing.

    (None, ()) where no upgrade starts from that version. Raises nothing.
    """
    if old.get("format") != FORMAT:
        what = "it is stored in another format"
        return None, (
            Obstacle("C606", f"version {old.get('version')}", what, "Use the release that wrote it"),
        )
    steps = chain(chart, old["version"]) if old["name"] == chart.name else ()
    if not steps:
        return None, ()
    journey = _Journey(old, chart, steps)
    obstacles = tuple(journey.obstacles())
    if obstacles:
        return None, obstacles
    contexts = tuple(each.context for each in steps if each.context is not None)
    states = {path: place for path in journey.before if (place := journey.place(path)) is not None}
    begun = {path: open_ for path, open_ in journey.owners() if journey.goes_on(path)}
    finals = frozenset(path for path, state in journey.before.items() if state["kind"] == Kind.FINAL.value)
    return Way(print_of(old), old["version"], states, begun, finals, contexts), ()


class _Journey:
    """One older definition on its way to a chart."""

    def __init__(self, old: Graph, chart: Chart, steps: tuple[Upgrade, ...]) -> None:
        self.old = old
        self.steps = steps
        self.new = graph(chart)
        self.before: dict[str, Any] = {state["path"]: state for state in old["states"]}
        self.after: dict[str, State] = {state.path: state for state in chart.states}
        self.shapes: dict[str, Any] = {state["path"]: state for state in self.new["states"]}
        self.chart = chart

    # --- places ---

    def moved(self, path: str) -> tuple[str, bool]:
        """Where the upgrades lead a path, and whether one of them named that very state last."""
        named = False
        for step in self.steps:
            path, named = _moved(step.states, path)
        return path, named

    def place(self, path: str) -> str | None:
        """The newer state that stands for an older one; None where none does."""
        if not path:
            return ""
        moved, named = self.moved(path)
        there = self.after.get(moved)
        if there is None:
            return None
        # Named, it may lead anywhere. Otherwise what stands there must be what stood here.
        return moved if named or there.kind.value == self.before[path]["kind"] else None

    # --- what an entry has open ---

    def owners(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """The older states with timers or activities, and how many of each."""
        for path, state in self.before.items():
            open_ = len(state.get("timers", ())), len(state.get("invokes", ()))
            if open_ != (0, 0) or state.get("compensation") or state.get("crews"):
                yield path, open_

    def goes_on(self, path: str) -> bool:
        """Whether what an entry into this state has open means the same after the move."""
        place = self.place(path)
        if place is None:
            return False
        old, new = self.before[path], self.shapes[place]
        ways = [[self.place(to) for to in each] for each in _after(old)]
        timers = len(old.get("timers", ())) <= len(new.get("timers", ())) and ways == _after(new)[: len(ways)]
        names = [each["activity"] for each in old.get("invokes", ())]
        same = names == [each["activity"] for each in new.get("invokes", ())][: len(names)]
        undoes = not old.get("compensation") or bool(new.get("compensation"))
        crews = list(map(_crew, old.get("crews", ())))
        same = same and crews == list(map(_crew, new.get("crews", ())))
        names += [each["activity"] for each in old.get("crews", ()) if "activity" in each]
        return undoes and timers and same and not any(self._other(name) for name in names)

    def _other(self, activity: str) -> bool:
        """Whether an activity is given or gives something that the other version could not read."""
        old, new = self.old["activities"][activity], self.new["activities"][activity]
        return any(True for key in ("input", "output") for _ in breaks(old[key], new[key]))

    # --- what stands in the way ---

    def obstacles(self) -> Iterator[Obstacle]:
        yield from self._misnamed()
        yield from self._unmapped()
        yield from self._unreal()
        yield from self._excluding()
        yield from self._context()

    def _misnamed(self) -> Iterator[Obstacle]:
        step = self.steps[0]
        for path in step.states:
            if path not in self.before:
                near = difflib.get_close_matches(path, [each for each in self.before if each], 1)
                what = f"version {step.version} has no state {path!r}"
                remedy = f"Write {near[0]!r}" if near else "Remove it, or give its dotted path"
                yield Obstacle("C603", f"upgrade({step.version})", what, remedy)

    def _unmapped(self) -> Iterator[Obstacle]:
        for path, state in self.before.items():
            if not _resting(state) or self.place(path) is not None:
                continue
            moved, _ = self.moved(path)
            there = self.after.get(moved)
            what = f"runs of version {self.old['version']} may be in {path!r}, and "
            if there is None:
                what += (
                    f"version {self.chart.version} has no {'such state' if moved == path else repr(moved)}"
                )
            else:
                what += f"{moved!r} is {there.kind.value} now and was {state['kind']}"
            remedy = f"Say where they go: upgrade({self.steps[0].version}, {{{path!r}: ...}})"
            yield Obstacle("C602", f"upgrade({self.steps[0].version})", what, remedy)

    def _unreal(self) -> Iterator[Obstacle]:
        for path, state in self.before.items():
            place = self.place(path) if _resting(state) else None
            if place is not None and self.shapes[place]["kind"] in _HISTORIES:
                what = f"{path!r} leads to {place!r}, a history: it stands for states, and no run is in it"
                remedy = f"Name the state itself: upgrade({self.steps[0].version}, {{{path!r}: ...}})"
                yield Obstacle("C604", f"upgrade({self.steps[0].version})", what, remedy)

    def _excluding(self) -> Iterator[Obstacle]:
        """States that are active together must lead to states that can be."""
        resting = [path for path, state in self.before.items() if _resting(state)]
        for one, other in combinations(resting, 2):
            if self._shared(self.before, one, other) != "parallel":
                continue
            here, there = self.place(one), self.place(other)
            if here is None or there is None or _within(here, there) or _within(there, here):
                continue
            if self._shared(self.shapes, here, there) != "parallel":
                what = f"{one!r} and {other!r} are active together, and {here!r} and {there!r} cannot be"
                remedy = "Lead both to one state, or to different regions of one parallel state"
                yield Obstacle("C604", f"upgrade({self.steps[0].version})", what, remedy)

    @staticmethod
    def _shared(states: Mapping[str, Any], one: str, other: str) -> str:
        """The kind of the innermost state around both."""
        above = {*_ancestors(one)}
        return next(str(states[path]["kind"]) for path in _ancestors(other) if path in above)

    def _context(self) -> Iterator[Obstacle]:
        if any(step.context is not None for step in self.steps):
            return
        for what in breaks(self.old["types"]["context"], self.new["types"]["context"]):
            remedy = f"Make the new context of the old one: upgrade({self.steps[0].version}, ..., ctx=...)"
            yield Obstacle("C605", f"upgrade({self.steps[0].version})", f"of the context, {what}", remedy)


def _moved(states: Mapping[str, str], path: str) -> tuple[str, bool]:
    if path in states:
        return states[path], True
    for above in _ancestors(path):
        if above in states:
            return f"{states[above]}{path[len(above) :]}", False
    return path, False


def _ancestors(path: str) -> Iterator[str]:
    """The paths of the states around one, from the inside out; the last is the root's."""
    while path:
        path = path.rpartition(".")[0]
        yield path


def _within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}.")


def _resting(state: Mapping[str, Any]) -> bool:
    """Whether the innermost active state of a run at rest may be this one."""
    return state["kind"] == Kind.ATOMIC.value or (state["kind"] == Kind.FINAL.value and bool(state["parent"]))


def _crew(crew: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a crew is to its members: another one cannot take over what they tell."""
    return crew["word"], crew.get("machine"), crew.get("activity")


def _after(state: Mapping[str, Any]) -> list[list[str]]:
    """Where each timer's edges lead, timer by timer; one edge's targets after another's."""
    ways: list[list[str]] = [[] for _ in state.get("timers", ())]
    for edge in state.get("edges", ()):
        if edge["on"] == "after":
            ways[edge.get("slot", 0)] += edge.get("to", ())
    return ways
