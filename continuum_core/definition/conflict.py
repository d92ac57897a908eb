"""Edges that stand in each other's way: the same trigger twice, shadows, preemption, re-entry."""

from __future__ import annotations

from collections.abc import Iterator

from continuum_core.definition.bench import Bench
from continuum_core.definition.chart import Chart, Edge, Kind, State, Trigger, TriggerKind
from continuum_core.definition.reach import ancestors, inside

__all__ = ["conflicts"]

_RESTING = (Kind.ATOMIC, Kind.COMPOUND, Kind.PARALLEL)


def conflicts(bench: Bench, chart: Chart) -> None:
    """Note every fault between the edges of a chart."""
    for state in chart.states:
        _siblings(bench, chart, state)
        _default(bench, state)
        _deferred(bench, state)
        for edge in state.edges:
            _internal(bench, chart, edge)
            if bench.whole:
                _reentry(bench, chart, edge)
        if state.kind is Kind.PARALLEL and bench.whole:
            _preemption(bench, chart, state)


def _siblings(bench: Bench, chart: Chart, state: State) -> None:
    for index, later in enumerate(state.edges):
        for earlier in state.edges[:index]:
            if _pair(bench, chart, earlier, later):
                break  # one fault an edge is enough


def _pair(bench: Bench, chart: Chart, earlier: Edge, later: Edge) -> bool:
    if not _covers(earlier.trigger, later.trigger):
        return False
    where = bench.words[later.number]
    line = earlier.place.line if earlier.place else 0
    same = earlier.trigger == later.trigger
    same_guard = earlier.guard == later.guard and (earlier.guard is None or earlier.guard.source is not None)
    if same and same_guard and (earlier.targets, earlier.actions) == (later.targets, later.actions):
        remedy = "Remove one of the two"
        bench.fault("C209", where, f"the same edge is declared on line {line}", remedy, later.place)
    elif same and earlier.guard is None and later.guard is None:
        what = f"line {line} declares an edge for the same, and neither has a guard"
        bench.fault("C205", where, what, "Give the earlier one a guard (when=), or remove one", later.place)
    elif earlier.guard is None or (same and same_guard):
        what = f"it is never taken: the edge of line {line}, {bench.words[earlier.number]}, comes first"
        bench.fault("C206", where, what, "Put the guarded or more specific edge first", later.place)
    else:
        return False
    return True


def _covers(earlier: Trigger, later: Trigger) -> bool:
    """Whether all that enables the later trigger enables the earlier one."""
    if earlier.kind is TriggerKind.INVOKE_ERROR:
        return False  # told with the mapping
    wildcard = earlier.kind is TriggerKind.ANY and later.kind in (TriggerKind.EVENT, TriggerKind.ANY)
    return wildcard or (earlier == later and not (later.kind is TriggerKind.EVENT and later.event is None))


def _default(bench: Bench, state: State) -> None:
    if state.kind is Kind.CHOICE and all(edge.guard is not None or not edge.targets for edge in state.edges):
        what = "no edge of it is without a guard, so a run could be stuck in it"
        remedy = f"End it with {state.name}.always(target)"
        bench.fault("C210", state.name, what, remedy, state.place)


def _deferred(bench: Bench, state: State) -> None:
    for edge in state.edges:
        event = edge.trigger.event
        if event is not None and event in state.deferred:
            what = f"{event.__name__} is also deferred in this state"
            remedy = "Handle it or defer it; to defer it at times only, use two states"
            bench.fault("C211", bench.words[edge.number], what, remedy, edge.place)


def _internal(bench: Bench, chart: Chart, edge: Edge) -> None:
    if not edge.internal:
        return
    source = chart.states[edge.source]
    below = all(target != edge.source and inside(chart, target, edge.source) for target in edge.targets)
    if source.kind is not Kind.COMPOUND or not edge.targets or not below:
        what = "an edge is internal only from a compound state to states in it"
        bench.fault("C217", bench.words[edge.number], what, "Leave internal=True out", edge.place)


def _reentry(bench: Bench, chart: Chart, edge: Edge) -> None:
    """An event that, in the very target of an ancestor's edge, exits and enters it again."""
    if edge.trigger.kind is not TriggerKind.EVENT or edge.guard is not None or edge.trigger.event is None:
        return
    for target in edge.targets:
        state = chart.states[target]
        if target == edge.source or state.kind not in _RESTING or not inside(chart, target, edge.source):
            continue
        between = [chart.states[each] for each in ancestors(chart, target)]
        between = between[: next(i for i, each in enumerate(between) if each.number == edge.source)]
        event = edge.trigger.event
        if any(_minds(each, event) for each in between):
            continue
        name = state.name
        what = (
            f"{event.__name__} while in {name} leaves and enters {name} again, timers and activities included"
        )
        remedy = f"Write {state.name}.on({event.__name__}) to swallow it there"
        bench.fault("C222", bench.words[edge.number], what, remedy, edge.place)


def _minds(state: State, event: type) -> bool:
    handled = any(
        edge.trigger.kind is TriggerKind.ANY or edge.trigger.event is event
        for edge in state.edges
        if edge.guard is None
    )
    return handled or event in state.deferred


def _preemption(bench: Bench, chart: Chart, parallel: State) -> None:
    regions = [child for child in parallel.children if chart.states[child].kind in _RESTING]
    leaving = [list(_leaving(chart, region, parallel.number)) for region in regions]
    for index, first in enumerate(leaving):
        for second in (edge for later in leaving[index + 1 :] for edge in later):
            rival = next((edge for edge in first if _meet(edge.trigger, second.trigger)), None)
            if rival is not None:
                winner, loser = bench.words[rival.number], bench.words[second.number]
                what = f"{loser} leaves {parallel.name} on the same event; the earlier region wins"
                remedy = f"Move it to {parallel.name} itself, or give the two guards that exclude each other"
                bench.fault("C223", winner, what, remedy, second.place)
                return


def _leaving(chart: Chart, region: int, parallel: int) -> Iterator[Edge]:
    for state in chart.states:
        if inside(chart, state.number, region):
            for edge in state.edges:
                if edge.targets and not all(inside(chart, target, parallel) for target in edge.targets):
                    yield edge


def _meet(one: Trigger, other: Trigger) -> bool:
    kinds = (TriggerKind.EVENT, TriggerKind.ANY)
    if one.kind not in kinds or other.kind not in kinds:
        return False
    return TriggerKind.ANY in (one.kind, other.kind) or one.event is other.event
