"""How the tests carry a machine out and back: both formats, and code that is really imported."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import evolve, frozen
from hypothesis import strategies as st

from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import (
    Chart,
    Closing,
    Compensation,
    Crew,
    Edge,
    Invoke,
    Kind,
    State,
    Trigger,
    TriggerKind,
)
from continuum_core.definition.check import Found, listing
from continuum_core.definition.declare import Machine
from continuum_scxml import Outline, read_scxml, read_xstate
from continuum_scxml.outline import Part, bare
from continuum_scxml.scxml_writer import scxml_text
from continuum_scxml.xstate_writer import xstate_text
from tests.crews.machines import Slow
from tests.interpreter.charts import WORK, Go, Other, function
from tests.interpreter.test_properties import charts

_NUMBERS = itertools.count()

CHILD = Slow.chart
"""The machine of child runs."""

UNDOABLE = evolve(WORK, name="reserve", undo=evolve(WORK, name="release"))


@frozen
class Carrier:
    """A format: how a machine is written in it, and read."""

    name: str
    write: Callable[[Outline], str]
    read: Callable[[str | bytes], Outline]


CARRIERS = (Carrier("SCXML", scxml_text, read_scxml), Carrier("XState", xstate_text, read_xstate))


def imported(code: str, folder: Path) -> tuple[Chart, Found]:
    """The chart of the machine that the code declares, and the faults that its import tells."""
    file = folder / f"generated_{next(_NUMBERS)}.py"
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # the annotations of activities are looked up there
    try:
        with listing() as found:
            spec.loader.exec_module(module)
    finally:
        del sys.modules[file.stem]
    return _machine(module).chart, found


def _machine(module: ModuleType) -> type[Machine[object, object, object]]:
    """The machine of the document: those of its child runs stand before it."""
    machines = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Machine) and value is not Machine
    ]
    return machines[-1]


def shape(root: Part) -> Part:
    """What of a machine code can keep: no labels; the root by no name, for code calls it as it likes."""
    plain = bare(root)
    return evolve(plain, id="", name="")


@st.composite
def rich_charts(draw: st.DrawFn) -> Chart:
    """Random charts with invokes, undoing, cancels, deferred events and ends that are not well."""
    made = draw(charts())
    numbers = [s.number for s in made.states if s.kind not in (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)][1:]
    return evolve(made, states=tuple(_richer(draw, state, numbers) for state in made.states))


def _crew(draw: st.DrawFn, slot: int) -> Crew:
    word = draw(st.sampled_from(["invoke", "spawn", "each", "collect"]))
    each = word in ("each", "collect")
    works: list[Chart | Activity[Any, Any]] = [WORK, CHILD] if each else [CHILD]
    return Crew(
        slot,
        draw(st.sampled_from(works)),
        function(lambda c: c),
        each=each,
        limit=draw(st.sampled_from([1, 7, 100])) if each else 1,
        collect=word == "collect",
        closing=draw(st.sampled_from(Closing)),
        awaited=word != "spawn",
    )


def _richer(draw: st.DrawFn, state: State, numbers: list[int]) -> State:
    if state.kind is Kind.FINAL:
        return evolve(state, ok=draw(st.booleans()))
    if state.kind not in (Kind.ATOMIC, Kind.COMPOUND, Kind.PARALLEL) or state.parent is None:
        return state
    count = draw(st.sampled_from([0, 0, 1, 2]))
    targets = st.sampled_from(numbers)
    edges: list[Edge] = []
    for slot in range(count):
        done = Trigger(TriggerKind.INVOKE_DONE, slot=slot)
        edges.append(Edge(0, state.number, done, (draw(targets),)))
        for error in draw(
            st.sampled_from([(Exception,), (ValueError, Exception), (KeyError, OSError, Exception)])
        ):
            failed = Trigger(TriggerKind.INVOKE_ERROR, slot=slot, error=error)
            edges.append(Edge(0, state.number, failed, (draw(targets),)))
    keys = st.sampled_from([None, function(lambda c: "k")])
    activities = st.sampled_from([WORK, UNDOABLE])
    invokes = tuple(
        Invoke(slot, draw(activities), function(lambda c: c), draw(keys)) for slot in range(count)
    )
    crews = tuple(_crew(draw, slot) for slot in range(draw(st.sampled_from([0, 0, 1, 2]))))
    for crew in crews:
        if crew.awaited:
            done = Trigger(TriggerKind.CREW_DONE, slot=crew.slot)
            edges.append(Edge(0, state.number, done, (draw(targets),)))
        if crew.awaited and not crew.collect:
            failed = Trigger(TriggerKind.CREW_ERROR, slot=crew.slot, error=Exception)
            edges.append(Edge(0, state.number, failed, (draw(targets),)))
    compensation = draw(st.sampled_from([None, None, Compensation(), Compensation(parallel=True)]))
    if compensation is not None:
        edges.append(Edge(0, state.number, Trigger(TriggerKind.COMPENSATED), (draw(targets),)))
    if draw(st.booleans()):
        led = tuple(draw(st.lists(targets, max_size=1)))
        edges.insert(0, Edge(0, state.number, Trigger(TriggerKind.CANCEL), led))
    deferred = draw(st.sampled_from([(), (), (Go,), (Go, Other)]))
    return evolve(
        state,
        edges=(*edges, *state.edges),
        invokes=invokes,
        crews=tuple(sorted(crews, key=lambda crew: not crew.awaited)),
        deferred=deferred,
        compensation=compensation,
    )
