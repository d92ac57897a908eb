"""The outline of a chart: what of a machine can be written to a file of another tool."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from attrs import define, field

from continuum_core.clock import span
from continuum_core.definition import chart as charts
from continuum_core.definition.chart import ROOT, Chart, Kind, TriggerKind
from continuum_core.definition.event import event_name, is_event
from continuum_core.definition.naming import qualified_name
from continuum_scxml.outline import Action, Edge, Invoke, Outline, Part, parents, settled

__all__ = ["outline_of"]

_CREWS = {
    TriggerKind.CREW_DONE: TriggerKind.INVOKE_DONE,
    TriggerKind.CREW_ERROR: TriggerKind.INVOKE_ERROR,
}
"""The ends of crews, as the ends of invokes that they are to other tools."""


def outline_of(chart: Chart) -> Outline:
    """The outline of a machine's chart. States are called by name, or by path where names repeat."""
    reading = _Reading(chart)
    root = reading.part(ROOT)
    deadline = None if chart.deadline is None else _length(chart.deadline)
    return Outline(chart.name, chart.version, settled(root, parents(root)), deadline=deadline)


@define
class _Reading:
    chart: Chart
    ids: dict[int, str] = field(factory=dict[int, str])
    errors: dict[type[BaseException], str] = field(factory=dict[type[BaseException], str])

    def __attrs_post_init__(self) -> None:
        states = self.chart.states
        often = Counter(state.name for state in states)
        self.ids = {s.number: s.name if often[s.name] == 1 and s.name else s.path for s in states}
        top = states[ROOT].name or "root"
        while top in [name for number, name in self.ids.items() if number != ROOT]:
            top += "_"
        self.ids[ROOT] = top
        caught = {edge.trigger.error for state in states for edge in state.edges} - {None}
        named = Counter(cls.__name__ for cls in caught if cls is not None)
        for cls in caught:
            if cls is not None:
                self.errors[cls] = cls.__name__ if named[cls.__name__] == 1 else qualified_name(cls)

    def part(self, number: int) -> Part:
        state = self.chart.states[number]
        return Part(
            id=self.ids[number],
            name=state.name or self.ids[number],
            kind=state.kind,
            ok=state.ok,
            initial=self._named(state.initial) if state.kind is Kind.COMPOUND else (),
            default=self._named(state.default),
            opening=_actions(state.opening),
            entry=_actions(state.entry),
            exit=_actions(state.exit),
            edges=tuple(self._edge(state, edge) for edge in state.edges),
            invokes=(
                *(_invoke(each, self.chart.compensates) for each in state.invokes),
                *(_crew(each, self.chart.compensates) for each in state.crews),
            ),
            deferred=tuple(_event(cls) for cls in state.deferred),
            compensation=state.compensation,
            anew=None if state.anew is None else state.anew.label,
            children=tuple(self.part(child) for child in state.children),
        )

    def _named(self, numbers: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(self.ids[number] for number in numbers)

    def _edge(self, state: charts.State, edge: charts.Edge) -> Edge:
        trigger = edge.trigger
        slots = [(False, invoke.slot) for invoke in state.invokes]
        slots += [(True, crew.slot) for crew in state.crews]
        delay: int | str = 0
        if trigger.kind is TriggerKind.AFTER:
            (length,) = (timer.delay for timer in state.timers if timer.slot == trigger.slot)
            delay = _length(length)
        kind = _CREWS.get(trigger.kind, trigger.kind)
        of_invoke = kind in (TriggerKind.INVOKE_DONE, TriggerKind.INVOKE_ERROR)
        return Edge(
            trigger=kind,
            targets=self._named(edge.targets),
            event="" if trigger.event is None else _event(trigger.event),
            error="" if trigger.error is None else self.errors[trigger.error],
            invoke=slots.index((trigger.kind in _CREWS, trigger.slot)) if of_invoke else 0,
            delay=delay,
            guard=None if edge.guard is None else edge.guard.label,
            actions=_actions(edge.actions),
            internal=edge.internal,
            within=None if edge.within is None else _length(edge.within),
        )


def _length(length: charts.Function | timedelta) -> int | str:
    """Microseconds, or the label of the function that gives the length."""
    return length.label if isinstance(length, charts.Function) else span(length)


def _event(cls: type) -> str:
    return event_name(cls) if is_event(cls) else cls.__name__


def _actions(actions: tuple[charts.Action, ...]) -> tuple[Action, ...]:
    return tuple(Action(action.kind, action.function.label) for action in actions)


def _invoke(invoke: charts.Invoke, compensates: bool) -> Invoke:
    """An invoke; its undo is part of the machine only where some state asks for undos."""
    key = None if invoke.key is None else invoke.key.label
    undo = invoke.activity.undo if compensates else None
    return Invoke(invoke.activity.name, invoke.input.label, key, None if undo is None else undo.name)


def _crew(crew: charts.Crew, compensates: bool) -> Invoke:
    """Child runs, or members of a collection."""
    undo = None if isinstance(crew.work, Chart) or not compensates else crew.work.undo
    return Invoke(
        crew.work.name,
        crew.input.label,
        undo=None if undo is None else undo.name,
        machine=crew.runs,
        how=crew.word,
        limit=crew.limit if crew.each else 0,
        closing=crew.closing.value,
    )
