"""What the runs of a machine are stored by: the names of events and activities, and the queues of these.

One name stands for one thing in a machine, and a queue is the same to all that name it: what is stored tells
things apart by their names alone.
"""

from __future__ import annotations

from typing import Any

from continuum_core.definition.activity import Activity
from continuum_core.definition.bench import Bench, function
from continuum_core.definition.chart import State
from continuum_core.definition.event import AnyEvent, event_name, is_event
from continuum_core.definition.queue import Queue

__all__ = ["activities", "events"]


def events(bench: Bench, states: tuple[State, ...]) -> dict[str, type]:
    """The event classes of a machine, by name."""
    found: dict[str, type] = {}
    for state in states:
        for cls in (*(edge.trigger.event for edge in state.edges), *state.deferred):
            if cls is None or cls is AnyEvent or not is_event(cls):
                continue
            name = event_name(cls)
            if found.setdefault(name, cls) is not cls:
                what = f"{_full(cls)} and {_full(found[name])} are both stored as {name!r}"
                remedy = '@event(name="...") gives one of them another name'
                bench.fault("C405", state.name, what, remedy, state.place)
    return found


def activities(bench: Bench, states: tuple[State, ...]) -> dict[str, Activity[Any, Any]]:
    """The activities of a machine with their undos, by name."""
    found: dict[str, Activity[Any, Any]] = {}
    undoes = any(state.compensation is not None for state in states)
    for state in states:
        of_crews = [(c.work, c.place) for c in state.crews if isinstance(c.work, Activity)]
        for started, place in (*((i.activity, i.place) for i in state.invokes), *of_crews):
            undo = started.undo if undoes else None
            for activity in (started,) if undo is None else (started, undo):
                if found.setdefault(activity.name, activity) is not activity:
                    what = f"another activity is also stored as {activity.name!r}"
                    remedy = '@activity(name="...") gives one of them another name'
                    bench.fault("C406", state.name, what, remedy, place)
    _queues(bench, found)
    return found


def _queues(bench: Bench, activities: dict[str, Activity[Any, Any]]) -> None:
    """Queues are declared alike by all, and fairness is a function like those of the machine."""
    declared: dict[str, tuple[Queue, Activity[Any, Any]]] = {}
    for activity in activities.values():
        where = f"activity {activity.name}"
        place = activity.place or bench.header.place
        if activity.fairness is not None:
            function(bench, activity.fairness, f"{where} fairness=", place, (activity.input_type,))
        for queue in activity.declared:
            other, by = declared.setdefault(queue.name, (queue, activity))
            if other != queue:
                what = f"it declares {queue}, and activity {by.name} {other}"
                remedy = (
                    "Declare the queue once, as a constant, and give it to both; or give one only its name"
                )
                bench.fault("C410", where, what, remedy, place)


def _full(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
