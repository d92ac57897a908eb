"""What can happen to a run, as values that can be done to a `Drive`, and which of them a situation offers.

A move is made of examples: of an event, of an activity's output, of its error. Whether it leads anywhere
is not asked of guards but tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from continuum_core.definition.chart import Chart, State, TriggerKind
from continuum_core.definition.event import event_name
from continuum_core.definition.failure import Failure
from continuum_core.definition.naming import qualified_name
from continuum_core.definition.wording import delay_words
from continuum_core.errors import UsageError
from continuum_core.testing.drive import Drive
from continuum_core.testing.examples import example_of
from continuum_core.testing.opened import work_name

__all__ = ["Advance", "Cancel", "Complete", "Examples", "Fail", "Move", "Send", "active", "gathered", "moves"]


@frozen
class Send:
    """The event arrives."""

    event: Any

    def __str__(self) -> str:
        return event_name(self.event.__class__)

    def do(self, run: Drive[Any, Any, Any]) -> None:
        """Do it to a run."""
        run.send(self.event)


@frozen
class Complete:
    """The activity, or child run, of this state succeeds; of several members that of this number."""

    activity: Any
    state: str
    output: Any
    number: int | None = None

    def __str__(self) -> str:
        return f"{_called(self.activity, self.number)} done"

    def do(self, run: Drive[Any, Any, Any]) -> None:
        """Do it to a run."""
        run.complete(self.activity, self.output, state=self.state, number=self.number)


@frozen
class Fail:
    """The activity, or child run, of this state fails for good; of several members that of this number."""

    activity: Any
    state: str
    error: Failure = field(repr=lambda error: f"{error.type}: {error.message}")
    number: int | None = None

    def __str__(self) -> str:
        return f"{_called(self.activity, self.number)} {self.error.type.rpartition('.')[2]}"

    def do(self, run: Drive[Any, Any, Any]) -> None:
        """Do it to a run."""
        run.fail(self.activity, self.error, state=self.state, number=self.number)


def _called(work: Any, number: int | None) -> str:
    return f"{work.name}" if number is None else f"{work.name} {number}"


@frozen
class Advance:
    """Time passes."""

    length: timedelta

    def __str__(self) -> str:
        return delay_words(self.length)

    def do(self, run: Drive[Any, Any, Any]) -> None:
        """Do it to a run."""
        run.advance(self.length)


@frozen
class Cancel:
    """Somebody cancels the run."""

    def __str__(self) -> str:
        return "cancel"

    def do(self, run: Drive[Any, Any, Any]) -> None:
        """Do it to a run."""
        run.cancel()


_FEW = 3
"""Of so many members each may be the next that ends."""

Move = Send | Complete | Fail | Advance | Cancel


@frozen
class Examples:
    """What moves are made of.

    :ivar events: by class; without an example where none can be made.
    :ivar missing: why there is no example, by what it would be one of.
    """

    events: Mapping[type, tuple[Any, ...]]
    outputs: Mapping[str, tuple[Any, ...]]
    errors: Mapping[str, tuple[Failure, ...]]
    missing: Mapping[str, str]


def gathered(
    chart: Chart,
    events: Iterable[Any],
    outputs: Mapping[Any, Iterable[Any]],
    errors: Mapping[Any, Iterable[Failure]],
) -> Examples:
    """The examples given, and generated ones for what nothing was given for."""
    missing: dict[str, str] = {}

    def made(name: str, tp: Any) -> tuple[Any, ...]:
        try:
            return (example_of(tp),)
        except UsageError as error:
            missing[name] = str(error)
            return ()

    given: dict[type, list[Any]] = {}
    for event in events:
        given.setdefault(event.__class__, []).append(event)
    known = {work_name(work): tuple(values) for work, values in outputs.items()}
    wrong = {work_name(work): tuple(values) for work, values in errors.items()}
    types = {name: each.output_type for name, each in chart.activities.items()}
    types |= {name: each.result_type for name, each in chart.machines.items()}
    return Examples(
        events={
            cls: tuple(given[cls]) if cls in given else made(name, cls) for name, cls in chart.events.items()
        },
        outputs={
            name: known[name] if name in known else made(name, output) for name, output in types.items()
        },
        errors={name: wrong[name] if name in wrong else _errors(chart, name) for name in types},
        missing=missing,
    )


def _errors(chart: Chart, work: str) -> tuple[Failure, ...]:
    """One failure for each class that some edge catches."""
    caught: dict[type[BaseException], None] = {}
    for state in chart.states:
        names = {(TriggerKind.INVOKE_ERROR, each.slot): each.activity.name for each in state.invokes}
        names |= {(TriggerKind.CREW_ERROR, each.slot): each.work.name for each in state.crews}
        for edge in state.edges:
            trigger = edge.trigger
            if names.get((trigger.kind, trigger.slot)) == work:
                caught[trigger.error or Exception] = None
    return tuple(
        Failure(
            type=qualified_name(cls),
            message="an example",
            bases=tuple(qualified_name(base) for base in cls.__mro__[1:] if issubclass(base, BaseException)),
        )
        for cls in caught
    )


def moves(run: Drive[Any, Any, Any], chart: Chart, examples: Examples) -> Iterator[Move]:
    """What can happen to a run now: outcomes, events that an active state knows, time, and a cancel."""
    works: dict[str, Any] = {**chart.activities, **chart.machines}
    groups: dict[tuple[str, str], list[int | None]] = {}
    for task in run.open:
        groups.setdefault((task.activity, task.state), []).append(task.number)
    for (name, state), numbers in groups.items():
        # Of many members the first and the last stand for all: the orders of their ends are without number.
        for number in dict.fromkeys(numbers if len(numbers) <= _FEW else (numbers[0], numbers[-1])):
            yield from (Complete(works[name], state, output, number) for output in examples.outputs[name])
            yield from (Fail(works[name], state, error, number) for error in examples.errors[name])
    wanted = set(_wanted(chart, run.states))
    for cls, values in examples.events.items():
        if cls in wanted or None in wanted:
            yield from (Send(value) for value in values)
    if run.timers:
        yield Advance(max(run.timers[0].due - run.now, timedelta()))
    edges = [edge for state in active(chart, run.states) for edge in state.edges]
    if any(edge.trigger.kind is TriggerKind.CANCEL for edge in edges):
        yield Cancel()  # where no active state says what it does, it ends the run and takes no edge


def _wanted(chart: Chart, leaves: Iterable[str]) -> Iterator[type | None]:
    """The event classes that an active state has an edge for or defers; None for any class."""
    for state in active(chart, leaves):
        yield from state.deferred
        for edge in state.edges:
            if edge.trigger.kind is TriggerKind.ANY:
                yield None
            elif edge.trigger.kind is TriggerKind.EVENT:
                yield edge.trigger.event


def active(chart: Chart, leaves: Iterable[str]) -> Iterator[State]:
    """The states of a configuration, given by its innermost ones; some of them more than once."""
    for path in leaves:
        number: int | None = chart.state(path).number
        while number is not None:
            yield chart.states[number]
            number = chart.states[number].parent
