"""How long: the timers of states, the deadline of a run, and what an edge stays within.

A length is a time span, or a function of the context that gives one. One that never passes, or is over as it
begins, is a fault.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from continuum_core.definition.bench import Bench, function, shown
from continuum_core.definition.chart import Function, Place, Timer
from continuum_core.definition.draft import Node, TimerDraft

__all__ = ["deadline", "length", "timers"]

_NO_DELAY = timedelta(microseconds=1)


def timers(bench: Bench, node: Node) -> tuple[Timer, ...]:
    """The timers of a state."""
    return tuple(_timer(bench, node, draft) for draft in node.timers)


def _timer(bench: Bench, node: Node, draft: TimerDraft) -> Timer:
    given = draft.delay
    where = f"{shown(node)}.after({'...' if callable(given) else repr(given)})"
    if isinstance(given, timedelta) and given <= timedelta():
        remedy = "Give a delay longer than zero, or use always() to go on at once"
        bench.fault("C212", where, f"a delay of {given} never passes", remedy, draft.place)
        return Timer(draft.slot, _NO_DELAY)
    return Timer(draft.slot, _span(bench, given, where, draft.place))


def deadline(bench: Bench, top: Node) -> timedelta | Function | None:
    """How long a run may take."""
    for extra in top.deadlines[1:]:
        what = f"it was said before: {top.deadlines[0].length!r}"
        bench.fault("C233", f"{shown(top)}.deadline()", what, "Keep one of the two", extra.place)
    draft = next(iter(top.deadlines), None)
    return None if draft is None else length(bench, draft.length, f"{shown(top)}.deadline()", draft.place)


def length(bench: Bench, given: Any, where: str, place: Place) -> timedelta | Function | None:
    """How long something may take; None where nothing was given."""
    if isinstance(given, timedelta) and given <= timedelta():
        remedy = "Give a length longer than zero; for no time at all, leave the state at once"
        bench.fault("C212", where, f"{given} is over as soon as it begins", remedy, place)
        return _NO_DELAY
    return None if given is None else _span(bench, given, where, place)


def _span(bench: Bench, given: Any, where: str, place: Place) -> timedelta | Function:
    """A length of time, or the function that gives it."""
    if isinstance(given, timedelta):
        return given
    if not callable(given):
        remedy = "Give a timedelta, such as timedelta(minutes=30), seconds, or a function of the context"
        bench.fault("C212", where, f"{given!r} is not a length of time", remedy, place)
        return _NO_DELAY
    return function(bench, given, where, place, (bench.header.context_type,)) or _NO_DELAY
