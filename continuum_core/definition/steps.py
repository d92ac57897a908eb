"""The steps of a linear process, as frozen values: what `sequence` makes a machine of.

`steps(Context)` gives a `Steps[Context]`, and the context's type flows from it into the functions of every
step, as it does from `root(Context)` in a class. A step knows its place and nothing of its neighbours:
which one follows is decided where they are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeGuard, TypeVar

from attrs import field, frozen

from continuum_core.arguments import Length
from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import Place
from continuum_core.definition.failure import Failure
from continuum_core.definition.place import caller
from continuum_core.definition.target import Messages, OfContext

__all__ = [
    "Arm",
    "Branch",
    "Caught",
    "Do",
    "End",
    "Instead",
    "Pause",
    "Step",
    "Steps",
    "Wait",
    "Way",
    "steps",
]

C = TypeVar("C")  # the context
E = TypeVar("E")  # the event
A = TypeVar("A")  # the input of an activity
B = TypeVar("B")  # its output


@frozen(kw_only=True)
class Step(Generic[C]):
    """One step of a process with context `C`. Made by the methods of `Steps`.

    :ivar name: the name of its state; empty to derive it.
    :ivar context_type: the class given to `steps`.
    """

    name: str
    context_type: Any
    place: Place = field(eq=False)


@frozen(kw_only=True)
class Way(Generic[C]):
    """Where a step may lead: the steps to take, then on with what follows it."""

    then: tuple[Step[C], ...]
    place: Place = field(eq=False)
    when: Any = None
    assign: Any = None


class Caught(Way[C]):
    """After an error. Made by `Steps.to`."""

    __slots__ = ()


class Arm(Way[C]):
    """Of a branch. Made by `Steps.when`."""

    __slots__ = ()


@frozen(kw_only=True)
class Instead(Way[C]):
    """After another event. Made by `Steps.on`."""

    event: Any = None


Then = Step[C] | tuple[Step[C], ...]


@frozen(kw_only=True)
class Do(Step[C]):
    """An activity; its errors by class, first fitting class first."""

    activity: Any
    input: Any
    assign: Any
    send: Any
    key: Any
    error: tuple[tuple[Any, Way[C]], ...]


@frozen(kw_only=True)
class Wait(Step[C]):
    """An event, or others instead of it, or its being late."""

    event: Any
    when: Any
    assign: Any
    unless: tuple[Instead[C], ...]
    within: Any
    late: Way[C] | None


@frozen(kw_only=True)
class Pause(Step[C]):
    """A length of time."""

    length: Any
    assign: Any


@frozen(kw_only=True)
class Branch(Step[C]):
    """The first way whose guard holds, or else the last one, which has none."""

    ways: tuple[Way[C], ...]


@frozen(kw_only=True)
class End(Step[C]):
    """The end of the run."""

    ok: bool
    assign: Any


class Steps(Generic[C]):
    """Makes the steps of a process with context `C`. Made by `steps`.

    Every method takes `name`, the name of the step's state. It is stored with runs: give it before
    renaming an activity or an event, from which it is derived otherwise.
    """

    __slots__ = ("context_type",)

    def __init__(self, context_type: type[C]) -> None:
        self.context_type = context_type

    def do(
        self,
        activity: Activity[A, B],
        input: Callable[[C], A],
        *,
        assign: Callable[[C, B], C] | OfContext[C, C] | None = None,
        send: Callable[[C, B], Messages] | OfContext[C, Messages] | None = None,
        error: Mapping[type[BaseException], Then[C] | Caught[C]] | Then[C] | Caught[C] | None = None,
        key: Callable[[C], str] | None = None,
        name: str = "",
    ) -> Do[C]:
        """Run an activity, and go on when it has succeeded.

        :param input: gives the activity's input.
        :param assign: the reducer of context and output; `send` likewise gives messages.
        :param error: what to do when it failed for good, by exception class, or for every class. What is
            not named fails the run, as `fail()` does. An empty tuple goes on.
        :param key: gives a key under which the activity is done once over all runs.
        :param name: the activity's name, unless given.
        """
        place = caller()[0]
        caught: Mapping[Any, Any] = error if isinstance(error, Mapping) else {}
        if error is not None and not isinstance(error, Mapping):
            caught = {Exception: error}
        ways = tuple((each, _way(then, place)) for each, then in caught.items())
        return Do(
            name=name,
            context_type=self.context_type,
            place=place,
            activity=activity,
            input=input,
            assign=assign,
            send=send,
            key=key,
            error=ways,
        )

    def wait(
        self,
        event: type[E],
        *,
        when: Callable[[C, E], bool] | OfContext[C, bool] | None = None,
        assign: Callable[[C, E], C] | OfContext[C, C] | None = None,
        unless: Instead[C] | tuple[Instead[C], ...] = (),
        within: Length | Callable[[C], Length] | None = None,
        late: Then[C] | None = None,
        name: str = "",
    ) -> Wait[C]:
        """Wait for an event of this class.

        :param when: the guard, of context and event; while it does not hold, the wait goes on.
        :param assign: the reducer of context and event.
        :param unless: other events that end the wait, made by `on`.
        :param within: how long at most: a `timedelta`, or seconds, or a function of the context.
        :param late: what to do when it did not come within that time; `fail()` unless given.
        :param name: `awaiting_` and the event's name, unless given.
        """
        place = caller()[0]
        return Wait(
            name=name,
            context_type=self.context_type,
            place=place,
            event=event,
            when=when,
            assign=assign,
            unless=unless if isinstance(unless, tuple) else (unless,),
            within=within,
            late=None if late is None else _way(late, place),
        )

    def on(
        self,
        event: type[E],
        *then: Step[C],
        when: Callable[[C, E], bool] | OfContext[C, bool] | None = None,
        assign: Callable[[C, E], C] | OfContext[C, C] | None = None,
    ) -> Instead[C]:
        """Another event, for `unless=` and `anytime=`, and the steps to take when it came."""
        return Instead(then=then, place=caller()[0], event=event, when=when, assign=assign)

    def to(
        self,
        *then: Step[C],
        when: Callable[[C, Failure], bool] | OfContext[C, bool] | None = None,
        assign: Callable[[C, Failure], C] | OfContext[C, C] | None = None,
    ) -> Caught[C]:
        """The steps to take after an error, with a guard and a reducer that are given the `Failure`.

        When the guard does not hold, the next fitting class of the mapping is tried.
        """
        return Caught(then=then, place=caller()[0], when=when, assign=assign)

    def pause(
        self,
        name: str,
        length: Length | Callable[[C], Length],
        *,
        assign: Callable[[C], C] | None = None,
    ) -> Pause[C]:
        """Wait for so long: a `timedelta`, or seconds, or a function of the context."""
        place = caller()[0]
        return Pause(name=name, context_type=self.context_type, place=place, length=length, assign=assign)

    def branch(self, *ways: Arm[C], otherwise: Then[C] = (), name: str = "") -> Branch[C]:
        """Take the first way whose guard holds, else `otherwise`, and go on.

        :param ways: made by `when`.
        :param name: `choice`, and a number from the second on, unless given. No run ever rests there.
        """
        place = caller()[0]
        every = (*ways, _way(otherwise, place))
        return Branch(name=name, context_type=self.context_type, place=place, ways=every)

    def when(
        self, guard: Callable[[C], bool], *then: Step[C], assign: Callable[[C], C] | None = None
    ) -> Arm[C]:
        """One way of a `branch`, and its guard."""
        return Arm(then=then, place=caller()[0], when=guard, assign=assign)

    def end(self, name: str = "completed", *, assign: Callable[[C], C] | None = None) -> End[C]:
        """End the run well, here. The end of the list does so without being told."""
        place = caller()[0]
        return End(name=name, context_type=self.context_type, place=place, ok=True, assign=assign)

    def fail(self, name: str = "failed", *, assign: Callable[[C], C] | None = None) -> End[C]:
        """End the run as failed, with the verdict. Steps that name one end share it.

        :param assign: the last reducer: what the verdict is made of.
        """
        place = caller()[0]
        return End(name=name, context_type=self.context_type, place=place, ok=False, assign=assign)


def steps(context: type[C]) -> Steps[C]:
    """What makes the steps of a process whose context is of this class."""
    return Steps(context)


def _way(given: Any, place: Place) -> Way[Any]:
    """What was given as steps: one, several, a way already, or something wrong that `sequence` refuses."""
    if _is_way(given):
        return given
    return Way(then=given if _is_tuple(given) else (given,), place=place)


def _is_way(thing: Any) -> TypeGuard[Way[Any]]:
    return isinstance(thing, Way)


def _is_tuple(thing: Any) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(thing, tuple)
