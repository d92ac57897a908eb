"""What comes too early or too late: events before the state that waits for them, timers after the run's end.

Rule: warnings, for an author may mean it; each can be answered in the declaration itself. An event is held
to come early only where nobody outside is told that the run goes on: by an activity or a child run that is
done, or by time. What is waited for after a failure answers that failure, and is not sent before. Where a
run cannot be unless it has taken such an event before, another one is a repeat, and no loss; nor is one that
moves no run. A list of steps has no word for keeping events, so that it is not told to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from continuum_core.definition.bench import Bench
from continuum_core.definition.chart import ROOT, ActionKind, Chart, Edge, Kind, State, TriggerKind
from continuum_core.definition.naming import LISTED
from continuum_core.definition.reach import ancestors, entered, inside

__all__ = ["check_untimely"]

_UNTOLD = (TriggerKind.AFTER, TriggerKind.INVOKE_DONE, TriggerKind.CREW_DONE)
_STOPS = (TriggerKind.CANCEL, TriggerKind.DEADLINE)
_SHOWN = 3


def check_untimely(bench: Bench, chart: Chart) -> None:
    """Note events that are lost where they come early, and timers that the run's deadline is before."""
    if LISTED not in bench.header.members:
        for edge, event in _awaited(chart):
            _early(bench, chart, edge, event)
    _late(bench, chart)


# --- too early -----------------------------------------------------------------------------------------


def _awaited(chart: Chart) -> Iterator[tuple[Edge, type]]:
    """The edges by which events from outside move a run on: of each state and event the first."""
    for state in chart.states:
        told: set[type] = set()
        for edge in state.edges:
            event = edge.trigger.event
            if event is not None and edge.targets and event not in told and not _raised(chart, event):
                told.add(event)
                yield edge, event


def _early(bench: Bench, chart: Chart, edge: Edge, event: type) -> None:
    waits = chart.states[edge.source]
    open_to = _before(chart, event)
    lost = [
        chart.states[number].name
        for number in sorted(_leading(chart, edge.source, event))
        if number in open_to and not _heard(chart, number, event)
    ]
    if not lost:
        return
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    name = event.__name__
    what = (
        f"the run comes to {waits.name} from {', '.join(lost[:_SHOWN])}{more} without being sent anything, "
        f"and {name} is lost where it arrives before"
    )
    remedy = f"Write {lost[0]}.defer({name}) to keep it until then, or {lost[0]}.on({name}) to let it go"
    bench.fault("C234", bench.words[edge.number], what, remedy, edge.place)


def _raised(chart: Chart, event: type) -> bool:
    """Whether the machine itself may raise such an event, which then comes when it should."""
    word = re.compile(rf"\b{re.escape(event.__name__)}\b")
    actions = [
        action
        for state in chart.states
        for action in (
            *state.opening,
            *state.entry,
            *state.exit,
            *(action for edge in state.edges for action in edge.actions),
        )
    ]
    return any(
        action.kind is ActionKind.RAISE and word.search(action.function.source or event.__name__)
        for action in actions
    )


def _before(chart: Chart, event: type) -> set[int]:
    """The states that a run may be in without having taken such an event."""
    found: set[int] = set()
    waiting = {ROOT, *entered(chart, chart.states[ROOT].initial)}
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            for edge in chart.states[number].edges:
                if edge.trigger.event is not event:
                    waiting |= entered(chart, edge.targets)
    return found


def _leading(chart: Chart, target: int, event: type) -> set[int]:
    """The states from which a run comes to `target` by outcomes and time alone, and which lie outside of it.

    On the way it may be where the event is kept for later, but nowhere where it is taken.
    """
    found: set[int] = set()
    wanted = [target]
    while wanted:
        at = wanted.pop()
        for state in chart.states:
            number = state.number
            if number in found or inside(chart, number, target) or inside(chart, target, number):
                continue
            if any(_goes(chart, edge, at) for edge in state.edges):
                found.add(number)
                if _kept(chart, number, event) or not _heard(chart, number, event):
                    wanted.append(number)
    return found


def _goes(chart: Chart, edge: Edge, target: int) -> bool:
    """Whether the edge leads there without an event, be it through states that nobody waits in."""
    if edge.trigger.kind not in _UNTOLD:
        return False
    reached: set[int] = set()
    waiting = entered(chart, edge.targets)
    while waiting:
        number = waiting.pop()
        if number not in reached:
            reached.add(number)
            for onward in chart.states[number].edges:
                if onward.trigger.kind is TriggerKind.ALWAYS:
                    waiting |= entered(chart, onward.targets)
    return target in reached


def _kept(chart: Chart, number: int, event: type) -> bool:
    return any(event in chart.states[each].deferred for each in ancestors(chart, number))


def _heard(chart: Chart, number: int, event: type) -> bool:
    """Whether something may take or keep the event while a state is active: it, or what is active with it."""
    beside = {number, *ancestors(chart, number)}
    for above in ancestors(chart, number):
        if above == number or chart.states[above].kind is Kind.PARALLEL:
            beside |= {each.number for each in chart.states if inside(chart, each.number, above)}
    return any(_minds(chart.states[each], event) for each in beside)


def _minds(state: State, event: type) -> bool:
    return event in state.deferred or any(
        edge.trigger.kind is TriggerKind.ANY or edge.trigger.event is event for edge in state.edges
    )


# --- too late ------------------------------------------------------------------------------------------


def _late(bench: Bench, chart: Chart) -> None:
    """Timers that the run's deadline is before, however soon their state is entered."""
    deadline = chart.deadline
    if not isinstance(deadline, timedelta):
        return
    stopping = _stopping(chart)
    for state in chart.states:
        for edge in state.edges:
            if edge.trigger.kind is not TriggerKind.AFTER or state.number in stopping:
                continue
            delay = next(timer.delay for timer in state.timers if timer.slot == edge.trigger.slot)
            if isinstance(delay, timedelta) and delay > deadline:
                what = f"the run is over after {deadline}, by its deadline, so that {delay} never pass"
                remedy = "Give the timer a shorter delay, or the run a longer deadline"
                bench.fault("C235", bench.words[edge.number], what, remedy, edge.place)


def _stopping(chart: Chart) -> set[int]:
    """The states that a run may be in when it was asked to stop: its deadline is behind it there."""
    found: set[int] = set()
    stops = (edge for state in chart.states for edge in state.edges if edge.trigger.kind in _STOPS)
    waiting = {number for edge in stops for number in entered(chart, edge.targets)} - {ROOT}
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            for edge in chart.states[number].edges:
                waiting |= entered(chart, edge.targets)
    return found
