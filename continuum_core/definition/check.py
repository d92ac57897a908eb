"""Every fault of a definition, told at once.

`judge` adds what can be said of the whole chart to the faults that `build` found in its parts;
`settle` raises the errors together and shows the warnings. `CODES` lists every code.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import combinations
from types import NoneType
from typing import Any

from continuum_core.codec import unsupported
from continuum_core.definition.activity import Activity
from continuum_core.definition.bench import Bench
from continuum_core.definition.chart import Chart, Kind, Place, State
from continuum_core.definition.conflict import conflicts
from continuum_core.definition.event import event_name, reply_type
from continuum_core.definition.fault import CODES, DefinitionWarning, Fault, Severity
from continuum_core.definition.reach import ancestors, cycles, endless, inside, traps, unreachable
from continuum_core.definition.untimely import check_untimely
from continuum_core.definition.upgrading import check_upgrades
from continuum_core.errors import DefinitionError

__all__ = ["CODES", "DefinitionWarning", "Fault", "Severity", "judge", "listing", "settle"]

Found = list[tuple[str, tuple[Fault, ...]]]
"""Machines by name, each with its faults."""

_listing: ContextVar[Found | None] = ContextVar("continuum_core.definition.listing", default=None)


def judge(bench: Bench, chart: Chart) -> tuple[Fault, ...]:
    """All faults of a definition, in the order of their places."""
    conflicts(bench, chart)
    _types(bench, chart)
    if bench.whole:
        _graph(bench, chart)
        check_untimely(bench, chart)
        check_upgrades(bench, chart)
    if bench.unread:
        unread = ", ".join(sorted(bench.unread))
        what = f"the source of {unread} is not to be had, so that nothing was checked there"
        remedy = "Put the machine into a file, or ship sources beside the byte code"
        bench.fault("C515", f"class {bench.header.cls.__name__}", what, remedy)
    return tuple(sorted(bench.faults, key=_order))


def _order(fault: Fault) -> tuple[int, str]:
    return (fault.place.line if fault.place is not None else 0, fault.code)


@contextmanager
def listing() -> Generator[Found, None, None]:
    """Within it no definition is refused: what is found is listed, one import telling of all machines."""
    found: Found = []
    token = _listing.set(found)
    try:
        yield found
    finally:
        _listing.reset(token)


def settle(machine: str, faults: tuple[Fault, ...]) -> None:
    """Raise `DefinitionError` with all errors, or else show the warnings at the places they are about."""
    listed = _listing.get()
    if listed is not None:
        listed.append((machine, faults))
        return
    errors = [fault for fault in faults if fault.severity is Severity.ERROR]
    if errors:
        raise DefinitionError(machine, faults)
    for fault in faults:
        place = fault.place or Place("<unknown>", 0)
        warnings.warn_explicit(DefinitionWarning(machine, fault), DefinitionWarning, place.file, place.line)


def _graph(bench: Bench, chart: Chart) -> None:
    for state in unreachable(chart):
        what = "no edge leads to it, and it is nobody's initial child"
        bench.fault("C301", state.name, what, "Lead an edge to it, or remove it", state.place)
    caught = traps(chart)
    for state in caught:
        what, remedy = _caught(chart, state)
        bench.fault("C302", state.name, what, remedy, state.place)
    _undoing(bench, chart)
    _pointless(bench, chart)
    for edge in cycles(chart):
        what = "eventless edges lead back here and change nothing on the way: a run would go round for ever"
        remedy = "Give one of them an assign= that ends it, or let it wait with on() or after()"
        bench.fault("C304", bench.words[edge.number], what, remedy, edge.place)
    _ends(bench, chart, {state.number for state in caught})


def _pointless(bench: Bench, chart: Chart) -> None:
    """Checkpoints where no step is left out, or none is kept."""
    if any(state.memory == "selective" for state in chart.states):
        return
    what = "no state remembers selectively, so that a checkpoint changes nothing"
    remedy = 'Write s.remember("selective") for the machine or the state, or leave the checkpoint out'
    for state in chart.states:
        if state.checkpoint:
            bench.fault("C238", f"{state.name}.checkpoint()", what, remedy, state.place)
        for edge in state.edges:
            if edge.checkpoint:
                bench.fault("C238", bench.words[edge.number], what, remedy, edge.place)


def _undoing(bench: Bench, chart: Chart) -> None:
    undoing = [state for state in chart.states if state.compensation is not None]
    for first, second in combinations(undoing, 2):
        above = ancestors(chart, first.number)
        shared = next(each for each in above if inside(chart, second.number, each))
        if chart.states[shared].kind is Kind.PARALLEL or shared == first.number:
            what = f"{first.name} also undoes, and both can be active together"
            remedy = "Keep compensate() on one of them: it undoes all that the run has done"
            bench.fault("C225", second.name, what, remedy, second.place)
    pairs = [(s, "invoke", i.activity, i.place) for s in chart.states for i in s.invokes]
    pairs += [
        (s, "each", c.work, c.place) for s in chart.states for c in s.crews if isinstance(c.work, Activity)
    ]
    undoable = [each for each in pairs if each[2].undo is not None]
    if undoing and not undoable:
        what = "no activity of this machine declares an undo"
        remedy = "Write @activity(undo=...) on what is to be taken back, or lead the edge on at once"
        bench.fault("C226", undoing[0].name, what, remedy, undoing[0].place)
    for state, word, activity, place in undoable:
        where = f"{state.name}.{word}({activity.name})"
        if not undoing:
            remedy = "Add a state with compensate(), or use the activity without its undo"
            what = f"no state compensates, so that {activity.name} is never undone"
            bench.fault("C227", where, what, remedy, place)
        elif activity.timeout is None:
            what = f"{activity.name} has an undo and no timeout: undoing would wait for it for ever"
            bench.fault("C228", where, what, "Give the activity timeout=timedelta(...)", place)


def _caught(chart: Chart, state: State) -> tuple[str, str]:
    if state.kind is Kind.FINAL and state.parent is not None:
        parent = chart.states[state.parent].name
        return f"it completes {parent}, and no edge waits for that", f"Add {parent}.done(target)"
    return "once here, a run can never leave", f"Give {state.name} an edge, or make it final()"


def _ends(bench: Bench, chart: Chart, told: set[int]) -> None:
    finals = [child for child in chart.states[0].children if chart.states[child].kind is Kind.FINAL]
    remedy = "Lead a way to a final() of the root; a machine that is meant to run for ever may ignore this"
    if not finals:
        what = "the root has no final state, so that a run never ends and result is never called"
        bench.fault("C303", chart.states[0].name, what, remedy, chart.states[0].place)
        return
    for state in endless(chart):
        if state.number not in told:
            bench.fault(
                "C303", state.name, "no way from here leads to the end of the run", remedy, state.place
            )


def _types(bench: Bench, chart: Chart) -> None:
    if bench.header.typed:
        _carried(bench, "C401", "context", chart.context_type, None)
        for words, tp in (("input", chart.input_type), ("result", chart.result_type)):
            _carried(bench, "C402", words, tp, None)
    if chart.verdict_type not in (None, NoneType):
        _carried(bench, "C402", "verdict", chart.verdict_type, chart.verdict.place if chart.verdict else None)
    for cls in chart.events.values():
        _carried(bench, "C403", f"event {event_name(cls)}", cls, None)
        if (reply := reply_type(cls)) not in (None, NoneType):
            _carried(bench, "C403", f"reply of event {event_name(cls)}", reply, None)
    for activity in chart.activities.values():
        _carried(bench, "C404", f"activity {activity.name} input", activity.input_type, activity.place)
        if activity.output_type is not NoneType:
            _carried(bench, "C404", f"activity {activity.name} output", activity.output_type, activity.place)


def _carried(bench: Bench, code: str, where: str, tp: Any, place: Place | None) -> None:
    for error in unsupported(tp, getattr(tp, "__name__", str(tp))):
        what = f"{error.path} {error.reason}"
        remedy = "Use attrs classes, dataclasses, enums, datetimes, UUIDs, decimals, bytes, tuples and sets"
        bench.fault(code, where, what, remedy, place)
