"""The canonical form of a machine, and its name: a hash that only changes when the machine does.

`graph` writes a chart as JSON's own values: states and edges by path, functions by their normalised
source, types by their structure. Layout, comments, labels, places and the Python version leave no
trace in it; nor does an activity's policy (its retries, its queue with limits, its priority and fairness),
which is no part of what a machine does, nor do upgrades, which say how runs come to it.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from continuum_core.clock import span
from continuum_core.codec import describe
from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import Action, Chart, Crew, Edge, Function, Invoke, State, Timer
from continuum_core.definition.event import event_name, event_version, is_event, reply_type
from continuum_core.definition.naming import qualified_name

__all__ = ["FORMAT", "fingerprint", "graph", "print_of"]

FORMAT = 1
"""The version of the canonical form. Stored graphs of another format are not compared."""

_DIGEST = 16  # bytes

_prints: dict[int, tuple[weakref.ref[Chart], str]] = {}


def fingerprint(chart: Chart) -> str:
    """The machine's hash, 32 hexadecimal digits. Cached by the identity of the chart."""
    key = id(chart)
    known = _prints.get(key)
    if known is not None and known[0]() is chart:
        return known[1]
    print_ = print_of(graph(chart))
    # A later chart may be given the same id: the entry goes with the chart.
    _prints[key] = (weakref.ref(chart, lambda _: _prints.pop(key, None)), print_)
    return print_


def print_of(graph: Mapping[str, Any]) -> str:
    """The hash of a canonical form, perhaps one that was stored."""
    text = json.dumps(graph, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return blake2b(text.encode("ascii"), digest_size=_DIGEST).hexdigest()


def graph(chart: Chart) -> dict[str, Any]:
    """The canonical form of a chart, of JSON's own values.

    Raises CodecError for a type that cannot be carried.
    """
    found = {
        "format": FORMAT,
        "name": chart.name,
        "version": chart.version,
        "types": {
            "context": describe(chart.context_type),
            "input": describe(chart.input_type),
            "result": describe(chart.result_type),
            "verdict": None if chart.verdict is None else describe(chart.verdict_type),
        },
        "functions": {
            "init": _function(chart.init),
            "result": _function(chart.result),
            "verdict": None if chart.verdict is None else _function(chart.verdict),
        },
        "events": {name: _event(cls) for name, cls in sorted(chart.events.items())},
        "activities": {name: _activity(chart, each) for name, each in sorted(chart.activities.items())},
        "states": [_state(chart, state) for state in chart.states],
        **_found_by(chart),
    }
    # Without child runs the key is left out, so that machines that have none keep their hashes.
    if chart.machines:
        found["machines"] = {name: _machine(each) for name, each in sorted(chart.machines.items())}
    if chart.deadline is not None:  # nor does a machine without one
        found["deadline"] = _length(chart.deadline)
    return found


def _machine(chart: Chart) -> dict[str, Any]:
    """What a parent knows of its child runs: what goes in and what comes out."""
    return {"input": describe(chart.input_type), "result": describe(chart.result_type)}


def _found_by(chart: Chart) -> dict[str, Any]:
    """What runs are found by; nothing of a machine that declares nothing, so that it keeps its old hash."""
    found: dict[str, Any] = {}
    if chart.attributes:
        found["attributes"] = {
            each.name: {"kind": each.kind, "of": None if each.of is None else _function(each.of)}
            for each in sorted(chart.attributes, key=lambda each: each.name)
        }
    return {**found, "finds_states": True} if chart.finds_states else found


def _event(cls: type) -> dict[str, Any]:
    found = {"version": event_version(cls) if is_event(cls) else 1, "type": describe(cls)}
    reply = reply_type(cls)
    return found if reply is None else {**found, "reply": describe(reply)}


def _activity(chart: Chart, activity: Activity[Any, Any]) -> dict[str, Any]:
    found = {"input": describe(activity.input_type), "output": describe(activity.output_type)}
    undone = activity.undo is not None and chart.compensates
    return {**found, "undo": activity.undo.name} if undone and activity.undo is not None else found


def _state(chart: Chart, state: State) -> dict[str, Any]:
    parent = None if state.parent is None else chart.states[state.parent].path
    found: dict[str, Any] = {
        "path": state.path,
        "kind": state.kind.value,
        "parent": parent,
        "initial": _paths(chart, state.initial),
        "default": _paths(chart, state.default),
        "ok": state.ok,
        "entry": [_action(each) for each in state.entry],
        "exit": [_action(each) for each in state.exit],
        "edges": [_edge(chart, each) for each in state.edges],
        "timers": [_timer(each) for each in state.timers],
        "invokes": [_invoke(each) for each in state.invokes],
        "crews": [_crew(each) for each in state.crews],
        "deferred": sorted(_class(each) for each in state.deferred),
        "anew": None if state.anew is None else _function(state.anew),
        "compensation": None if state.compensation is None else {"parallel": state.compensation.parallel},
    }
    # What a state does not have says nothing, so that a form with more keys keeps old hashes.
    return {key: value for key, value in found.items() if not _says_nothing(key, value)}


def _says_nothing(key: str, value: Any) -> bool:
    return value is None or value == [] or (key == "ok" and bool(value))


def _paths(chart: Chart, numbers: tuple[int, ...]) -> list[str]:
    return [chart.states[number].path for number in numbers]


def _edge(chart: Chart, edge: Edge) -> dict[str, Any]:
    trigger = edge.trigger
    found: dict[str, Any] = {
        "on": trigger.kind.value,
        "event": None if trigger.event is None else _class(trigger.event),
        "slot": trigger.slot or None,
        "error": None if trigger.error is None else qualified_name(trigger.error),
        "to": _paths(chart, edge.targets) or None,
        "when": None if edge.guard is None else _function(edge.guard),
        "do": [_action(each) for each in edge.actions] or None,
        "internal": edge.internal or None,
        "within": None if edge.within is None else _length(edge.within),
    }
    return {key: value for key, value in found.items() if value is not None}


def _class(cls: type) -> str:
    return event_name(cls) if is_event(cls) else qualified_name(cls)


def _action(action: Action) -> list[str]:
    return [action.kind.value, _function(action.function)]


def _function(function: Function) -> str:
    # Without source there is only the name to go by: a changed body is then not seen.
    return function.source if function.source is not None else f"?{function.label}"


def _timer(timer: Timer) -> int | str:
    return _length(timer.delay)


def _length(length: timedelta | Function) -> int | str:
    return span(length) if isinstance(length, timedelta) else _function(length)


def _invoke(invoke: Invoke) -> dict[str, Any]:
    found = {"activity": invoke.activity.name, "input": _function(invoke.input)}
    return found if invoke.key is None else {**found, "key": _function(invoke.key)}


def _crew(crew: Crew) -> dict[str, Any]:
    found: dict[str, Any] = {"machine" if crew.runs else "activity": crew.work.name}
    found |= {"input": _function(crew.input), "word": crew.word}
    if crew.runs and crew.closing.value != "cancel":
        found["closing"] = crew.closing.value
    return found
