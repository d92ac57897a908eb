"""Where a machine can get to, over the whole graph: unreachable states, traps, ends, eventless cycles.

All answers are about shape: guards are taken to be able to hold, events to be able to come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from continuum_core.definition.chart import ROOT, ActionKind, Chart, Edge, Kind, State, TriggerKind

__all__ = ["ancestors", "cycles", "endless", "entered", "inside", "traps", "unreachable"]

_PSEUDO = (Kind.CHOICE, Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)


def ancestors(chart: Chart, number: int) -> Iterator[int]:
    """A state and all it is in, innermost first."""
    at: int | None = number
    while at is not None:
        yield at
        at = chart.states[at].parent


def inside(chart: Chart, number: int, outer: int) -> bool:
    """Whether a state is `outer` or lies in it."""
    return outer in ancestors(chart, number)


def entered(chart: Chart, targets: Iterable[int]) -> set[int]:
    """All states that may be entered with these targets, by default entry, ancestors included."""
    found: set[int] = set()
    waiting = list(targets)
    while waiting:
        number = waiting.pop()
        if number in found:
            continue
        found.add(number)
        state = chart.states[number]
        waiting.extend((*state.initial, *state.default))
        if state.kind is Kind.PARALLEL:
            waiting.extend(child for child in state.children if chart.states[child].kind not in _PSEUDO)
        for above in ancestors(chart, number):
            if above not in found and chart.states[above].kind is Kind.PARALLEL:
                waiting.append(above)
            elif above != number and above not in found:
                # Only as the place entered states are in: its own initial child is not entered.
                found.add(above)
    return found


def _closure(start: Iterable[int], step: Callable[[int], Iterable[int]]) -> set[int]:
    found: set[int] = set()
    waiting = list(start)
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting.extend(step(number))
    return found


def reachable(chart: Chart) -> set[int]:
    """All states a run may ever enter."""

    def onward(number: int) -> Iterator[int]:
        for edge in chart.states[number].edges:
            yield from entered(chart, edge.targets)

    return _closure({ROOT, *entered(chart, chart.states[ROOT].initial)}, onward)


def unreachable(chart: Chart) -> list[State]:
    """Outermost states that no run enters."""
    found = reachable(chart)
    return [
        state
        for state in chart.states
        if state.number not in found and (state.parent is None or state.parent in found)
    ]


def _ways(chart: Chart, number: int) -> Iterator[Edge]:
    """Edges that may take a run out of a resting state: its own, its ancestors', its neighbours'."""
    previous = number
    for above in ancestors(chart, number):
        state = chart.states[above]
        for edge in state.edges:
            if edge.trigger.kind is not TriggerKind.DONE or above == number:
                yield edge
        if state.kind is Kind.PARALLEL:
            for other in chart.states:
                if inside(chart, other.number, above) and not inside(chart, other.number, previous):
                    yield from (
                        edge for edge in other.edges if edge.source != above and _leaves(chart, edge, above)
                    )
        previous = above


def _leaves(chart: Chart, edge: Edge, outer: int) -> bool:
    return any(not inside(chart, target, outer) for target in edge.targets)


def _completions(chart: Chart, number: int) -> Iterator[Edge]:
    """The done edges that entering a final state may take, its parent's and of what that completes."""
    at = chart.states[number].parent
    while at is not None:
        state = chart.states[at]
        yield from (edge for edge in state.edges if edge.trigger.kind is TriggerKind.DONE)
        above = state.parent
        at = above if above is not None and chart.states[above].kind is Kind.PARALLEL else None


def _exits(chart: Chart, number: int) -> Iterator[Edge]:
    """All edges that may take a run out of a resting state, completion included."""
    yield from _ways(chart, number)
    if chart.states[number].kind is Kind.FINAL:
        yield from _completions(chart, number)


def traps(chart: Chart) -> list[State]:
    """States that a run rests in and cannot leave."""
    found = reachable(chart)
    caught: list[State] = []
    for state in chart.states:
        nested = state.kind is Kind.FINAL and state.parent != ROOT
        if state.number not in found or not (nested or state.kind is Kind.ATOMIC):
            continue
        if not any(_elsewhere(chart, edge, state.number) for edge in _exits(chart, state.number)):
            caught.append(state)
    return caught


def _elsewhere(chart: Chart, edge: Edge, number: int) -> bool:
    return any(target != number for target in edge.targets)


def endless(chart: Chart) -> list[State]:
    """Resting states from which no way leads to a final state of the root."""
    ends = {child for child in chart.states[ROOT].children if chart.states[child].kind is Kind.FINAL}

    def onward(number: int) -> Iterator[int]:
        # Innermost states only: what an outer one may do counts for those it can be done from.
        for edge in _exits(chart, number):
            for each in entered(chart, edge.targets):
                if not chart.states[each].children:
                    yield each

    found = reachable(chart)
    resting = (state for state in chart.states if state.number in found and state.kind is Kind.ATOMIC)
    return [state for state in resting if not ends & _closure({state.number}, onward)]


def cycles(chart: Chart) -> list[Edge]:
    """Eventless edges, one a cycle, that lead back to where they came from without an assign."""
    found: list[Edge] = []
    told: set[int] = set()
    for state in chart.states:
        for edge in state.edges:
            if state.number in told or not _idle(chart, edge):
                continue
            seen = _closure(_rests(chart, edge), lambda number: _onward(chart, number))
            if state.number in seen:
                told |= seen
                found.append(edge)
    return found


def _onward(chart: Chart, number: int) -> Iterator[int]:
    for edge in chart.states[number].edges:
        if _idle(chart, edge):
            yield from _rests(chart, edge)


def _rests(chart: Chart, edge: Edge) -> set[int]:
    """The states that are active after an edge and whose eventless edges are looked at next."""
    return entered(chart, edge.targets) if edge.targets else {edge.source}


def _idle(chart: Chart, edge: Edge) -> bool:
    """Whether an edge needs no event and leaves the context as it was."""
    if edge.trigger.kind is not TriggerKind.ALWAYS:
        return False
    touched = entered(chart, edge.targets) - set(ancestors(chart, edge.source))
    actions = [*edge.actions, *(action for number in touched for action in chart.states[number].entry)]
    return not any(action.kind is ActionKind.ASSIGN for action in actions)
