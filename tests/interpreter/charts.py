"""Charts by hand, for tests of the interpreter alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from attrs import define, field

from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import (
    Action,
    ActionKind,
    Chart,
    Edge,
    Function,
    Invoke,
    Kind,
    Place,
    State,
    Timer,
    Trigger,
    TriggerKind,
)
from continuum_core.definition.event import event
from continuum_core.interpreter.events import Event, Signal, Start
from continuum_core.interpreter.macrostep import step, unborn
from continuum_core.interpreter.program import ascending
from continuum_core.interpreter.snapshot import Snapshot, Step


@event
class Go:
    """An event."""

    number: int = 0


@event
class Stop:
    """Another."""


@event
class Other:
    """One that few charts know."""


WORK: Activity[Any, Any] = Activity(body=lambda value: value, name="work", input_type=Any, output_type=Any)


def function(call: Callable[..., Any], line: int = 1) -> Function:
    """A user's function."""
    return Function(call, len(inspect.signature(call).parameters), place=Place("machine.py", line))


def assign(*calls: Callable[..., Any]) -> tuple[Action, ...]:
    return tuple(Action(ActionKind.ASSIGN, function(call)) for call in calls)


def raises(call: Callable[..., Any]) -> tuple[Action, ...]:
    return (Action(ActionKind.RAISE, function(call)),)


def sends(call: Callable[..., Any]) -> tuple[Action, ...]:
    return (Action(ActionKind.SEND, function(call)),)


def note(text: str) -> tuple[Action, ...]:
    """A reducer over a tuple of notes."""
    return assign(lambda notes: (*notes, text))


@define(eq=False)
class Draft:
    """A state to be; children and edges are added in document order."""

    name: str
    kind: Kind
    parent: Draft | None = None
    options: dict[str, Any] = field(factory=dict)
    children: list[Draft] = field(factory=list)
    edges: list[dict[str, Any]] = field(factory=list)
    timers: list[timedelta | Function] = field(factory=list)
    invokes: list[dict[str, Any]] = field(factory=list)
    initial: tuple[Draft, ...] = ()
    default: tuple[Draft, ...] = ()

    def state(self, name: str, kind: Kind = Kind.ATOMIC, **options: Any) -> Draft:
        """A child; the first child of a compound is its initial one unless `initial` says otherwise."""
        if self.kind is Kind.ATOMIC:
            self.kind = Kind.COMPOUND
        child = Draft(name, kind, self, options)
        self.children.append(child)
        return child

    def parallel(self, name: str, **options: Any) -> Draft:
        return self.state(name, Kind.PARALLEL, **options)

    def choice(self, name: str, **options: Any) -> Draft:
        return self.state(name, Kind.CHOICE, **options)

    def final(self, name: str, **options: Any) -> Draft:
        return self.state(name, Kind.FINAL, **options)

    def history(self, name: str, *default: Draft, deep: bool = False, **options: Any) -> Draft:
        child = self.state(name, Kind.DEEP_HISTORY if deep else Kind.SHALLOW_HISTORY, **options)
        child.default = default
        return child

    def edge(self, trigger: Trigger, *targets: Draft, **options: Any) -> None:
        self.edges.append({"trigger": trigger, "targets": targets, **options})

    def on(self, cls: type[Any], *targets: Draft, **options: Any) -> None:
        self.edge(Trigger(TriggerKind.EVENT, cls), *targets, **options)

    def any(self, *targets: Draft, **options: Any) -> None:
        self.edge(Trigger(TriggerKind.ANY), *targets, **options)

    def always(self, *targets: Draft, **options: Any) -> None:
        self.edge(Trigger(TriggerKind.ALWAYS), *targets, **options)

    def done(self, *targets: Draft, **options: Any) -> None:
        self.edge(Trigger(TriggerKind.DONE), *targets, **options)

    def after(self, delay: timedelta | Function, *targets: Draft, **options: Any) -> None:
        self.edge(Trigger(TriggerKind.AFTER, slot=len(self.timers)), *targets, **options)
        self.timers.append(delay)

    def invoke(
        self,
        call: Callable[..., Any],
        *done: Draft,
        errors: tuple[tuple[type[BaseException], Draft], ...] = (),
        key: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        slot = len(self.invokes)
        self.invokes.append({"input": function(call), "key": key and function(key)})
        if done:
            self.edge(Trigger(TriggerKind.INVOKE_DONE, slot=slot), *done, **options)
        for error, target in errors:
            self.edge(Trigger(TriggerKind.INVOKE_ERROR, slot=slot, error=error), target)


def root(**options: Any) -> Draft:
    """The root of a chart to be."""
    return Draft("", Kind.COMPOUND, None, options)


def chart(
    top: Draft,
    init: Callable[..., Any] = lambda _: (),
    result: Callable[..., Any] = lambda context: context,
    verdict: Callable[..., Any] | None = None,
) -> Chart:
    """The finished chart."""
    drafts = _preorder(top)
    numbers = {id(draft): number for number, draft in enumerate(drafts)}
    states: list[State] = []
    edge = 0
    for draft in drafts:
        states.append(_state(draft, numbers, edge))
        edge += len(draft.edges)
    return Chart(
        name="sample",
        version=1,
        states=tuple(states),
        context_type=Any,
        input_type=Any,
        result_type=Any,
        verdict_type=None,
        init=function(init),
        result=function(result),
        verdict=None if verdict is None else function(verdict),
    )


def _preorder(draft: Draft) -> list[Draft]:
    return [draft, *(below for child in draft.children for below in _preorder(child))]


def _state(draft: Draft, numbers: dict[int, int], edge: int) -> State:
    real = [c for c in draft.children if c.kind not in (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)]
    initial = draft.initial or (tuple(real[:1]) if draft.kind is Kind.COMPOUND else ())
    names, above = [draft.name], draft.parent
    while above is not None and above.parent is not None:
        names.insert(0, above.name)
        above = above.parent
    return State(
        number=numbers[id(draft)],
        name=draft.name,
        path=".".join(names),
        kind=draft.kind,
        parent=None if draft.parent is None else numbers[id(draft.parent)],
        children=tuple(numbers[id(child)] for child in draft.children),
        initial=tuple(numbers[id(child)] for child in initial),
        default=tuple(numbers[id(target)] for target in draft.default),
        edges=tuple(
            _edge(edge + offset, numbers[id(draft)], options, numbers)
            for offset, options in enumerate(draft.edges)
        ),
        timers=tuple(Timer(slot, delay) for slot, delay in enumerate(draft.timers)),
        invokes=tuple(Invoke(slot, WORK, **options) for slot, options in enumerate(draft.invokes)),
        **draft.options,
    )


def _edge(number: int, source: int, options: dict[str, Any], numbers: dict[int, int]) -> Edge:
    guard = options.get("guard")
    return Edge(
        number=number,
        source=source,
        trigger=options["trigger"],
        targets=tuple(numbers[id(target)] for target in options["targets"]),
        guard=None if guard is None else function(guard, line=number),
        actions=options.get("actions", ()),
        internal=options.get("internal", False),
        place=Place("machine.py", number),
    )


@define
class Drive:
    """A run that is driven by hand, one event after the other."""

    chart: Chart
    snapshot: Snapshot
    last: Step

    @staticmethod
    def start(made: Chart, value: Any = None, now: int = 0) -> Drive:
        taken = step(made, unborn(made), Start(value), now)
        return Drive(made, taken.snapshot, taken)

    def take(self, what: Event, now: int = 0) -> Step:
        """One event of any kind."""
        self.last = step(self.chart, self.snapshot, what, now)
        self.snapshot = self.last.snapshot
        return self.last

    def send(self, *events: object) -> Step:
        """Signals."""
        for each in events:
            self.take(Signal(each))
        return self.last

    @property
    def active(self) -> list[str]:
        """The paths of the active states, without the root, in document order."""
        return [self.chart.states[n].path for n in ascending(self.snapshot.configuration) if n]

    @property
    def context(self) -> Any:
        return self.snapshot.context

    def token(self, path: str) -> int:
        return self.snapshot.tokens[self.chart.state(path).number]
