"""An activity as a value: the only code with side effects, and the policy under which it runs.

`@activity()` turns an async or plain function of one argument into an `Activity[Input, Output]`.
The engine runs the body outside any transaction, at least once per state entry; its outcome is
applied once. Inside the body `current_attempt()` of the runtime gives the idempotency key, the
attempt number, heartbeat and cancellation (see `continuum_core.runtime.attempt`).

The decorator is the authority for what a body looks like; a body that does not fit is refused where
it is declared, with all its faults at once.
"""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from attrs import field, frozen

from continuum_core.arguments import Length, timed
from continuum_core.clock import span
from continuum_core.definition.chart import Place
from continuum_core.definition.fault import Fault
from continuum_core.definition.place import caller
from continuum_core.definition.queue import Queue, flaws, queue_name
from continuum_core.definition.retry import Retry
from continuum_core.definition.transaction import transaction_kind
from continuum_core.errors import DefinitionError, UsageError
from continuum_core.texts import LONGEST_WAIT, text_flaw

__all__ = ["Activity", "AsyncActivity", "Executor", "PlainActivity", "activity"]

I_contra = TypeVar("I_contra", contravariant=True)
O_co = TypeVar("O_co", covariant=True)
I = TypeVar("I")  # noqa: E741  # the input, as everywhere in this package
O = TypeVar("O")  # noqa: E741  # the output
U = TypeVar("U")  # what an undo takes
P = ParamSpec("P")

_PRIORITIES = range(10)


class Executor(enum.Enum):
    """Where a body runs."""

    LOOP = "loop"  # async bodies: on the worker's event loop
    THREAD = "thread"  # plain bodies: on a thread; a timeout abandons the thread's result
    PROCESS = "process"  # plain bodies: in a process of its own, which a timeout kills


@frozen
class Activity(Generic[I_contra, O_co]):
    """A named body with its types and its policy. Made by `@activity`.

    :param timeout: the longest an attempt may take; None for no limit.
    :param heartbeat: the longest silence of an attempt that beats; None when it need not beat.
    :param queue: which tasks are claimed together; workers choose queues and their concurrency.
    :param formerly: the queues that it was in before: tasks that wait there are taken as well.
    :param priority: 0 (first) to 9 (last) within its queue.
    :param losses: how many workers may die in the middle of it before it fails for good.
    :param resources: parameters beyond the input that the worker injects, name → resource type.
    :param transaction: the parameter that takes the connection of the outcome's transaction, and its class.
    :param declares: its queue with limits, where it was given one rather than a name.
    :param fairness: the fairness key of an input; None where all inputs are alike.
    """

    body: Callable[..., Any]
    name: str
    input_type: Any
    output_type: Any
    retry: Retry = field(factory=Retry)
    timeout: timedelta | None = None
    heartbeat: timedelta | None = None
    queue: str = "default"
    priority: int = 5
    losses: int = 5
    executor: Executor = Executor.LOOP
    undo: Activity[Any, Any] | None = None
    resources: tuple[tuple[str, Any], ...] = ()
    transaction: tuple[str, Any] | None = None
    place: Place | None = field(default=None, eq=False)
    declares: Queue | None = None
    fairness: Callable[[Any], str] | None = None
    formerly: tuple[str | Queue, ...] = ()

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of all queues in which tasks of it may wait; its own comes first."""
        return (self.queue, *map(queue_name, self.formerly))

    @property
    def declared(self) -> tuple[Queue, ...]:
        """Of these the ones that were given with their limits."""
        return tuple(each for each in (self.declares, *self.formerly) if isinstance(each, Queue))

    def __call__(self, value: I_contra, /, **resources: Any) -> Awaitable[O_co] | O_co:
        """Run the body here and now, without an engine: for unit tests of the body."""
        return self.body(value, **resources)  # type: ignore[no-any-return]


@frozen
class AsyncActivity(Activity[I_contra, O_co]):
    """An activity with an async body: calling it gives an awaitable."""

    def __call__(self, value: I_contra, /, **resources: Any) -> Awaitable[O_co]:
        """The body's coroutine, without an engine: for unit tests of the body."""
        return cast("Awaitable[O_co]", self.body(value, **resources))


@frozen
class PlainActivity(Activity[I_contra, O_co]):
    """An activity with a plain body: calling it gives the output."""

    def __call__(self, value: I_contra, /, **resources: Any) -> O_co:
        """Run the body here and now, without an engine: for unit tests of the body."""
        return cast("O_co", self.body(value, **resources))


class Decorator(Protocol):
    """What `activity(...)` returns: it takes the body."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is tried first, on purpose
        self, body: Callable[Concatenate[I, P], Awaitable[O]], /
    ) -> AsyncActivity[I, O]: ...
    @overload
    def __call__(self, body: Callable[Concatenate[I, P], O], /) -> PlainActivity[I, O]: ...


class UndoableDecorator(Protocol[U]):
    """What `activity(undo=...)` returns: the body's output must be what the undo takes."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is tried first, on purpose
        self, body: Callable[Concatenate[I, P], Awaitable[U]], /
    ) -> AsyncActivity[I, U]: ...
    @overload
    def __call__(self, body: Callable[Concatenate[I, P], U], /) -> PlainActivity[I, U]: ...


class FairDecorator(Protocol[I]):
    """What `activity(fairness=...)` returns: the body's input must be what the function takes."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is tried first, on purpose
        self, body: Callable[Concatenate[I, P], Awaitable[O]], /
    ) -> AsyncActivity[I, O]: ...
    @overload
    def __call__(self, body: Callable[Concatenate[I, P], O], /) -> PlainActivity[I, O]: ...


class FairUndoableDecorator(Protocol[I, U]):
    """What `activity(undo=..., fairness=...)` returns."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is tried first, on purpose
        self, body: Callable[Concatenate[I, P], Awaitable[U]], /
    ) -> AsyncActivity[I, U]: ...
    @overload
    def __call__(self, body: Callable[Concatenate[I, P], U], /) -> PlainActivity[I, U]: ...


class Policy(TypedDict, total=False):
    """The arguments of `activity` that change no types. What they mean is told there."""

    name: str | None
    retry: Retry | None
    timeout: Length | None
    heartbeat: Length | None
    queue: str | Queue
    formerly: str | Queue | Sequence[str | Queue]
    priority: int
    losses: int
    executor: Literal["thread", "process"] | None


@overload
def activity(**policy: Unpack[Policy]) -> Decorator: ...
@overload
def activity(*, undo: Activity[O, Any], **policy: Unpack[Policy]) -> UndoableDecorator[O]: ...
@overload
def activity(*, fairness: Callable[[I], str], **policy: Unpack[Policy]) -> FairDecorator[I]: ...
@overload
def activity(*, fairness: Callable[[Any], str], **policy: Unpack[Policy]) -> Decorator: ...  # pyright: ignore[reportOverlappingOverload]  # mypy takes lambdas here: they have no types of their own
@overload
def activity(
    *, undo: Activity[O, Any], fairness: Callable[[I], str], **policy: Unpack[Policy]
) -> FairUndoableDecorator[I, O]: ...
@overload
def activity(  # pyright: ignore[reportOverlappingOverload]  # as above
    *, undo: Activity[O, Any], fairness: Callable[[Any], str], **policy: Unpack[Policy]
) -> UndoableDecorator[O]: ...
def activity(
    *bare: Any,
    undo: Activity[Any, Any] | None = None,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: Length | None = None,
    heartbeat: Length | None = None,
    queue: str | Queue = "default",
    formerly: str | Queue | Sequence[str | Queue] = (),
    fairness: Callable[[Any], str] | None = None,
    priority: int = 5,
    losses: int = 5,
    executor: Literal["thread", "process"] | None = None,
) -> Any:
    """Make the decorated function an activity.

    The body takes its input as its one positional parameter; keyword-only parameters without a
    default are resources, injected by the worker by their annotation. One annotated `Transaction[...]` is
    a connection in an open transaction, in which the outcome is committed as well.

    :param name: the stored name; the function's name unless given. Give it before renaming.
    :param retry: when a failed attempt is repeated; `Retry()` unless given.
    :param timeout: the longest an attempt may take: a `timedelta`, or seconds.
    :param heartbeat: the longest silence of an attempt that beats.
    :param queue: the queue its tasks wait in: a name, or a `Queue` with limits over all workers. A name
        joins the queue that another activity declares under it.
    :param formerly: the queue, or queues, that it was in under earlier releases. Tasks keep the queue that
        they were put in: workers take them from there as well, and may be told to serve it.
    :param fairness: a pure function of the input that gives the key (of at most 200 characters) by which
        the queue is fair: a tenant's, for example. Tasks are dealt out key by key, so that one waits behind
        at most one of each other key, whatever their backlogs.
    :param priority: 0 (first) to 9 (last) within the queue.
    :param losses: how many workers may die in the middle of it before it fails for good.
    :param executor: for plain bodies: ``"thread"`` (the default) or ``"process"``, which a timeout can kill.
    :param undo: the activity that takes back what this one did; its input is this one's output.

    Raises `DefinitionError` with every fault of the body and the policy.
    """
    if bare:
        raise UsageError("write @activity() with parentheses, even where nothing stands in them")
    place, frame = caller()
    policy: dict[str, Any] = {
        "retry": retry or Retry(),
        "timeout": timed(timeout),
        "heartbeat": timed(heartbeat),
        "queue": queue,
        "formerly": (formerly,) if isinstance(formerly, (str, Queue)) else formerly,
        "fairness": fairness,
        "priority": priority,
        "losses": losses,
        "undo": undo,
    }

    def decorate(body: Callable[..., Any]) -> Activity[Any, Any]:
        return _made(body, name, policy, executor, place, frame.f_locals)

    return decorate


def _made(
    body: Callable[..., Any],
    name: str | None,
    policy: Mapping[str, Any],
    executor: str | None,
    place: Place,
    names: Mapping[str, Any],
) -> Activity[Any, Any]:
    """The activity of a body. `names` are the names at its place, for annotations that are texts."""
    known = str(name or getattr(body, "__name__", ""))
    faults: list[Fault] = []
    where = f"activity {known[:100]}"
    if flaw := text_flaw(known):
        faults.append(Fault("C409", where, f"its name {flaw}", "Give another with name=", place))
    hints = _hints(body, names, where, place, faults)
    parameter, asked = _form(body, hints, where, place, faults)
    transaction = _transaction(hints, parameter, asked, executor, where, place, faults)
    resources = tuple((name, kind) for name, kind in asked if transaction is None or name != transaction[0])
    coroutine = inspect.iscoroutinefunction(body)
    _policy(policy, executor, coroutine, where, place, faults)
    if faults:
        raise DefinitionError(where, faults)
    queue = policy["queue"]
    declares = queue if isinstance(queue, Queue) else None
    former = tuple(dict.fromkeys(policy["formerly"]))
    settled: dict[str, Any] = {**policy, "queue": queue_name(queue), "formerly": former}
    # Both classes have the same fields; only the static type of their call differs.
    make = AsyncActivity[Any, Any] if coroutine else PlainActivity[Any, Any]
    return make(
        body=body,
        name=known,
        input_type=hints[parameter],
        output_type=hints["return"],
        executor=Executor.LOOP if coroutine else Executor(executor or "thread"),
        resources=resources,
        transaction=transaction,
        place=place,
        **settled,
        declares=declares,
    )


def _hints(
    body: Callable[..., Any], names: Mapping[str, Any], where: str, place: Place, faults: list[Fault]
) -> dict[str, Any]:
    if not inspect.isfunction(body):
        what = f"{body!r} is not a function"
        faults.append(Fault("C408", where, what, "Put @activity() on a function defined with def", place))
        return {}
    try:
        return typing.get_type_hints(body, localns=dict(names), include_extras=True)
    except (NameError, TypeError) as problem:
        what = f"an annotation cannot be resolved ({problem})"
        remedy = "Define or import the annotated types above the activity, not only for type checkers"
        faults.append(Fault("C407", where, what, remedy, place))
        return {}


def _form(
    body: Callable[..., Any], hints: dict[str, Any], where: str, place: Place, faults: list[Fault]
) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """The name of the input parameter and the resources."""
    if not inspect.isfunction(body):
        return "", ()
    form = "Write it as (async) def body(input: In, *, pool: Pool) -> Out; several inputs go into one class"
    inputs: list[str] = []
    resources: list[tuple[str, Any]] = []
    for parameter in inspect.signature(body).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            resources.append((parameter.name, hints.get(parameter.name)))
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            faults.append(Fault("C408", where, f"its body takes {parameter}", form, place))
        else:
            inputs.append(parameter.name)
    if len(inputs) != 1:
        what = f"its body takes {len(inputs)} inputs, and must take exactly one"
        faults.append(Fault("C408", where, what, form, place))
    if inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body):
        faults.append(Fault("C408", where, "its body is a generator", "Return one value instead", place))
    bare = [name for name in (*inputs, *(name for name, _ in resources), "return") if name not in hints]
    if bare and not any(fault.code == "C407" for fault in faults):
        what = f"its body has no annotation for {', '.join(bare)}"
        remedy = "Annotate every parameter and the return type (-> None if it gives nothing)"
        faults.append(Fault("C407", where, what, remedy, place))
    return (inputs[0] if inputs else ""), tuple(resources)


def _transaction(
    hints: Mapping[str, Any],
    parameter: str,
    asked: tuple[tuple[str, Any], ...],
    executor: str | None,
    where: str,
    place: Place,
    faults: list[Fault],
) -> tuple[str, Any] | None:
    """The parameter that takes the connection of the outcome's transaction, and its class."""
    found = [(name, kind) for name, hint in asked if (kind := transaction_kind(hint)) is not None]
    if transaction_kind(hints.get(parameter)) is not None:
        remedy = "Write it behind a *: (input: In, *, connection: Transaction[...])"
        faults.append(Fault("C408", where, "its input is annotated as a Transaction", remedy, place))
    if len(found) > 1:
        what = f"it asks for {len(found)} transactions; its outcome is committed in one"
        faults.append(Fault("C408", where, what, "Keep one Transaction[...] parameter", place))
    if found and executor == "process":
        what = "a body in a process of its own cannot have the outcome's transaction"
        remedy = "Leave executor= out: it then runs on a thread of the worker"
        faults.append(Fault("C409", where, what, remedy, place))
    return found[0] if found else None


def _policy(
    policy: Mapping[str, Any],
    executor: str | None,
    coroutine: bool,
    where: str,
    place: Place,
    faults: list[Fault],
) -> None:
    def refuse(what: str, remedy: str) -> None:
        faults.append(Fault("C409", where, what, remedy, place))

    if coroutine and executor is not None:
        refuse(
            f"an async body cannot run in a {executor}",
            "Leave executor= out, or write the body as a plain function",
        )
    if executor is not None and executor not in ("thread", "process"):
        refuse(f"there is no executor {executor!r}", 'Use "thread" or "process"')
    for key in ("timeout", "heartbeat"):
        length = policy[key]
        if length is not None and (not isinstance(length, timedelta) or length <= timedelta()):
            refuse(
                f"{key}={length!r} is not a length of time",
                "Give a timedelta or seconds, more than none, or None",
            )
        elif length is not None and span(length) > LONGEST_WAIT:
            refuse(
                f"{key}={length!r} is too long to be reckoned with", "Give a hundred years at most, or None"
            )
    if policy["priority"] not in _PRIORITIES:
        remedy = "Give a whole number from 0 (first) to 9 (last)"
        refuse(f"priority={policy['priority']!r} is out of range", remedy)
    if not isinstance(policy["losses"], int) or policy["losses"] < 1:
        refuse(f"losses={policy['losses']!r} is out of range", "Give a whole number from 1")
    if not isinstance(policy["retry"], Retry):
        refuse(f"retry={policy['retry']!r} is not a Retry", "Write retry=Retry(attempts=...)")
    if policy["undo"] is not None and not isinstance(policy["undo"], Activity):
        refuse(f"undo={policy['undo']!r} is not an activity", "Put @activity() on the function that undoes")
    for what, remedy in flaws(policy["queue"]):
        refuse(what, remedy)
    _former(policy["queue"], policy["formerly"], refuse)
    if policy["fairness"] is not None and not callable(policy["fairness"]):
        refuse(f"fairness={policy['fairness']!r} is not a function", "Give a function of the input")


def _former(queue: Any, formerly: Any, refuse: Callable[[str, str], None]) -> None:
    named: Any = formerly
    if not isinstance(formerly, Sequence):
        refuse(f"formerly={formerly!r} names no queue", 'Give a name, as queue="cards" had, or several')
        return
    for each in named:
        for what, remedy in flaws(each, "formerly"):
            refuse(what, remedy)
        known = isinstance(each, (str, Queue)) and isinstance(queue, (str, Queue))
        if known and queue_name(each) == queue_name(queue):
            what = f"it is in queue {queue_name(queue)!r}, and formerly as well"
            refuse(what, "Name there what it has left")
