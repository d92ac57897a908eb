"""A run as it was, as `show --at` prints it: head, drawing, context, what was open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import evolve, frozen

from continuum_core.cli.output import moment, pretty, print_json, safe, say, span_words
from continuum_core.cli.portrait import draw_run, print_drawing
from continuum_core.cli.times import stamp
from continuum_core.definition.chart import Chart
from continuum_core.journal.records import Definition
from continuum_core.past import Moment
from continuum_core.view import RunView

__all__ = ["Earlier", "draw_moment", "show_moment"]


@frozen
class Earlier:
    """A run as it is, as it was, and its machine drawn as it was."""

    view: RunView
    then: Moment
    drawing: str


def draw_moment(view: RunView, then: Moment, charts: Sequence[Chart], stored: Definition | None) -> str:
    """The run's machine as text, with the states that were active marked."""
    was = evolve(view, states=then.states, outcome=then.outcome, fingerprint=then.fingerprint)
    return draw_run(was, charts, stored)


def show_moment(earlier: Earlier, *, as_json: bool) -> None:
    """Print it."""
    view, then = earlier.view, earlier.then
    if as_json:
        print_json(_facts(view, then))
        return
    name = f"{view.machine}/{view.key}" if view.key is not None else view.machine
    say(f"{name}  {then.status.name.lower()} at record {then.version} of {view.version}", style="bold")
    say(f"run {then.run}, record of {moment(then.at)}" if then.version else "before its first record")
    if earlier.drawing:
        say("")
        print_drawing(earlier.drawing)
    _section("Context", pretty(then.context) if then.version else [])
    _section("Outcome", pretty(then.outcome) if then.outcome is not None else [])
    waits = [f"{each.what} of {each.state}  {each.when}" for each in _open(then)]
    _section("Was waiting for", [*waits, *(f"{name}  deferred" for name in then.deferred)])


@frozen
class _Open:
    what: str
    state: str
    when: str


def _open(then: Moment) -> list[_Open]:
    found = [
        _Open("timer", each.state, f"due {moment(each.due)} ({_left(each.due, then.at)})")
        for each in then.timers
    ]
    for what, due in (("deadline", then.deadline), ("stop deadline", then.stop_by)):
        if due is not None:
            found.append(_Open(what, "the run", f"due {moment(due)} ({_left(due, then.at)})"))
    for each in then.activities:
        until = "" if each.deadline is None else f", until {moment(each.deadline)}"
        found.append(_Open(each.activity, each.state, f"since {moment(each.since)}{until}"))
    return found


def _left(due: datetime, at: datetime) -> str:
    return f"in {span_words(due - at)}" if due > at else "due"


def _section(words: str, lines: Sequence[str]) -> None:
    if lines:
        say("")
        say(words, style="bold underline")
        for line in lines:
            say(safe(line))


def _facts(view: RunView, then: Moment) -> dict[str, Any]:
    """JSON values for programs. Keys are part of the interface: they are only added."""
    return {
        "run": str(then.run),
        "machine": view.machine,
        "key": view.key,
        "version": then.version,
        "at": stamp(then.at) if then.version else None,
        "status": then.status.name.lower(),
        "states": list(then.states),
        "context": then.context,
        "outcome": then.outcome,
        "definition": then.fingerprint or None,
        "timers": [{"state": each.state, "due": stamp(each.due)} for each in then.timers],
        "deadline": stamp(then.deadline),
        "stop_by": stamp(then.stop_by),
        "activities": [
            {
                "activity": each.activity,
                "state": each.state,
                "input": each.input,
                "key": each.key,
                "since": stamp(each.since),
                "deadline": stamp(each.deadline),
            }
            for each in then.activities
        ],
        "deferred": list(then.deferred),
    }
