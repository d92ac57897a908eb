"""What users write: states made by their parent, edges as one call each, a class that is the machine.

The classes here only record what was said, with its place; `build` turns it into a `Chart` and
`check` judges it. The types are the other half of the work: the context type flows from `root(Ctx)`
into every function of every edge, the event's class into the functions of `on`, the activity's types
into `invoke`, so that type checkers see what a machine does.

What a kind of state cannot have (edges of a final state, timers of a choice) is absent from its
static type. At run time the call is recorded all the same, and reported with all other faults.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeGuard, TypeVar

from attrs import frozen

from continuum_core.definition.activity import Activity
from continuum_core.definition.bench import Bench, Header
from continuum_core.definition.build import build
from continuum_core.definition.chart import ActionKind, Chart, Kind, TriggerKind
from continuum_core.definition.check import judge, settle
from continuum_core.definition.crews import is_machine
from continuum_core.definition.draft import (
    ActionDraft,
    AttributeDraft,
    CompensationDraft,
    CrewDraft,
    EdgeDraft,
    InvokeDraft,
    Node,
    TimerDraft,
    UpgradeDraft,
)
from continuum_core.definition.failure import Failure
from continuum_core.definition.memory import Word
from continuum_core.definition.message import Message
from continuum_core.definition.place import caller
from continuum_core.errors import UsageError

__all__ = ["Choice", "Final", "History", "Machine", "Parallel", "Root", "State", "Target", "To", "root", "to"]

C = TypeVar("C")  # the context
E = TypeVar("E")  # the event
I = TypeVar("I")  # noqa: E741  # the input of a run
O = TypeVar("O")  # noqa: E741  # its result
A = TypeVar("A")  # the input of an activity
B = TypeVar("B")  # its output
V = TypeVar("V")  # the value of an attribute
C_contra = TypeVar("C_contra", contravariant=True)
R = TypeVar("R")  # what a question is answered with
E_co = TypeVar("E_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)


class OfContext(Protocol[C_contra, R_co]):
    """A named function that needs the context alone, given where the event is offered, too.

    A protocol and not a second `Callable`: with two of those, mypy would infer nothing for lambdas.
    """

    def __call__(self, context: C_contra, /) -> R_co: ...


class Asked(Protocol[E_co, R]):
    """A question, as type checkers see it: of its own class, and of what it is answered with."""

    def __question__(self, reply: R) -> tuple[E_co, R]: ...


Messages = Message | tuple[Message, ...] | None

Close = Literal["cancel", "terminate", "abandon"]
"""What becomes of child runs when the state that started them is left, or the run ends: see `Closing`."""


class Target(Generic[C]):
    """A state of a machine with context `C`: what edges lead to."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    def __set_name__(self, owner: type, name: str) -> None:
        self.node.names.append(name)
        self.node.owners.append(owner)

    @property
    def path(self) -> str:
        """The dotted name, as in `Chart.state`: ancestors first, without the root."""
        return self.node.path

    def __repr__(self) -> str:
        owner = self.node.owners[0].__name__ if self.node.owners else "?"
        return f"<state {owner}.{self.node.name or '?'}>"


Targets = Target[C] | tuple[Target[C], ...] | None


@frozen
class To(Generic[C]):
    """A target of `error=` with a guard and actions of its own. Made by `to`."""

    target: Targets[C]
    when: Any = None
    actions: tuple[ActionDraft, ...] = ()


def to(
    target: Targets[C],
    *,
    when: Callable[[C, Failure], bool] | OfContext[C, bool] | None = None,
    assign: Callable[[C, Failure], C] | OfContext[C, C] | None = None,
    raise_: Callable[[C, Failure], object] | OfContext[C, object] | None = None,
    send: Callable[[C, Failure], Messages] | OfContext[C, Messages] | None = None,
) -> To[C]:
    """Where an activity's error leads, with a guard and actions that are given the `Failure`.

    When the guard does not hold, the next fitting class of the mapping is tried.
    """
    return To(target, when, _actions(assign, raise_, send))


class _Acting(Target[C]):
    """What has entry and exit actions."""

    __slots__ = ()

    def entry(
        self,
        assign: Callable[[C], C] | None = None,
        *,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
    ) -> None:
        """Run these whenever the state is entered, before its children are."""
        _open(self.node).entry.extend(_actions(assign, raise_, send))

    def exit(
        self,
        assign: Callable[[C], C] | None = None,
        *,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
    ) -> None:
        """Run these whenever the state is exited, after its children were."""
        _open(self.node).exit.extend(_actions(assign, raise_, send))


class _Leaving(Target[C]):
    """What has eventless edges."""

    __slots__ = ()

    def always(
        self,
        target: Targets[C] = None,
        *,
        when: Callable[[C], bool] | None = None,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        checkpoint: bool = False,
    ) -> None:
        """Take this edge as soon as the state is active and the guard holds; no event is needed.

        :param checkpoint: see `on`.
        """
        actions = _actions(assign, raise_, send)
        _edge(self, TriggerKind.ALWAYS, target, when, actions, checkpoint=checkpoint)


class _Borrowing:
    """Lets a state record calls that its kind does not have, so that they become faults, not crashes."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            method = getattr(State, name, None) if not name.startswith("_") else None
            if method is None:
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
            return method.__get__(self)


class Final(_Borrowing, _Acting[C]):
    """A final state: its parent is complete; of the root's children, it ends the run."""

    __slots__ = ()


class Choice(_Borrowing, _Leaving[C]):
    """A branch: entered and left in one microstep, by the first `always` edge whose guard holds."""

    __slots__ = ()


class History(_Borrowing, Target[C]):
    """A target that stands for where its parent was when it was last left."""

    __slots__ = ()


class _Active(_Acting[C], _Leaving[C]):
    """What a run can be in: states that wait for events, timers and activities."""

    __slots__ = ()

    def on(
        self,
        event: type[E],
        target: Targets[C] = None,
        *,
        when: Callable[[C, E], bool] | OfContext[C, bool] | None = None,
        assign: Callable[[C, E], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, E], object] | OfContext[C, object] | None = None,
        send: Callable[[C, E], Messages] | OfContext[C, Messages] | None = None,
        internal: bool = False,
        checkpoint: bool = False,
    ) -> None:
        """Take this edge when an event of this class arrives and the guard holds.

        :param event: a class marked with `@event`, or `AnyEvent` for every class.
        :param target: the state to enter, several in different regions, or None to stay.
        :param when: the guard, of context and event.
        :param assign: the reducer: gives the next context.
        :param raise_: gives an event (or several) for this machine itself, taken before any other.
        :param send: gives a `Message` (or several) for other runs.
        :param internal: do not exit a compound source whose own descendant is the target.
        :param checkpoint: a step that takes it leaves a record where states remember selectively.
        """
        actions = _actions(assign, raise_, send)
        how: dict[str, Any] = {"internal": internal, "checkpoint": checkpoint, "pair": True}
        _edge(self, TriggerKind.EVENT, target, when, actions, event=event, **how)

    def answer(
        self,
        event: type[Asked[E, R]],
        reply: Callable[[C, E], R] | OfContext[C, R],
        target: Targets[C] = None,
        *,
        when: Callable[[C, E], bool] | OfContext[C, bool] | None = None,
        assign: Callable[[C, E], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, E], object] | OfContext[C, object] | None = None,
        send: Callable[[C, E], Messages] | OfContext[C, Messages] | None = None,
        internal: bool = False,
    ) -> None:
        """Take this edge when a question arrives and the guard holds, and tell whoever asked the reply.

        :param event: an event class that is a `Question`.
        :param reply: gives the reply, of the context as `assign` left it, and of the event.

        The rest is as for `on`.
        """
        actions = (*_actions(assign, raise_, send), ActionDraft(ActionKind.REPLY, reply))
        _edge(self, TriggerKind.EVENT, target, when, actions, event=event, internal=internal, pair=True)

    def after(
        self,
        delay: timedelta | Callable[[C], timedelta],
        target: Targets[C] = None,
        *,
        when: Callable[[C], bool] | None = None,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        checkpoint: bool = False,
    ) -> None:
        """Take this edge when the state was active for so long.

        :param delay: a length of time, or a function of the context evaluated on entry.
        :param checkpoint: see `on`.
        """
        node = _open(self.node)
        slot = len(node.timers)
        node.timers.append(TimerDraft(slot, delay, caller()[0]))
        actions = _actions(assign, raise_, send)
        _edge(self, TriggerKind.AFTER, target, when, actions, slot=slot, checkpoint=checkpoint)

    def done(
        self,
        target: Targets[C] = None,
        *,
        when: Callable[[C], bool] | None = None,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        checkpoint: bool = False,
    ) -> None:
        """Take this edge when a final child was entered; of a parallel state, in every region.

        :param checkpoint: see `on`.
        """
        _edge(self, TriggerKind.DONE, target, when, _actions(assign, raise_, send), checkpoint=checkpoint)

    def invoke(
        self,
        work: Activity[A, B] | type[Machine[Any, A, B]],
        input: Callable[[C], A],
        *,
        done: Targets[C] = None,
        assign: Callable[[C, B], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, B], object] | OfContext[C, object] | None = None,
        send: Callable[[C, B], Messages] | OfContext[C, Messages] | None = None,
        error: Mapping[type[BaseException], Target[C] | To[C]] | Target[C] | To[C] | None = None,
        key: Callable[[C], str] | None = None,
        closing: Close = "cancel",
    ) -> None:
        """Run an activity, or a child run, while the state is active; leaving the state cancels it.

        :param work: the activity, or the machine of the child run.
        :param input: gives its input.
        :param done: where its success leads; None to stay.
        :param assign: the reducer of context and output; `raise_` and `send` likewise.
        :param error: where its failure leads, by exception class, first fitting class first; a state
            alone stands for every class. Must handle `Exception`.
        :param key: gives a key under which an activity is done once over all runs.
        :param closing: what leaving the state, or the end of the run, does to a child run that goes on:
            ``"cancel"`` asks it to stop, ``"terminate"`` ends it, ``"abandon"`` lets it be.
        """
        node, place = _open(self.node), caller()[0]
        actions = _actions(assign, raise_, send)
        if is_machine(work):
            draft = CrewDraft(len(node.crews), "invoke", work, input, error, place, closing=closing, key=key)
            node.crews.append(draft)
            _ends(self, TriggerKind.CREW_DONE, TriggerKind.CREW_ERROR, draft.slot, done, actions, error)
            return
        slot = len(node.invokes)
        node.invokes.append(InvokeDraft(slot, work, input, key, error, assign, place))
        _ends(self, TriggerKind.INVOKE_DONE, TriggerKind.INVOKE_ERROR, slot, done, actions, error)

    def spawn(
        self,
        machine: type[Machine[Any, A, Any]],
        input: Callable[[C], A],
        *,
        closing: Close = "abandon",
    ) -> None:
        """Start a child run when the state is entered, and forget it: its end is told to nobody.

        :param closing: as `invoke` has it; by default the child run goes on whatever becomes of this one.
        """
        node = _open(self.node)
        slot, place = len(node.crews), caller()[0]
        node.crews.append(CrewDraft(slot, "spawn", machine, input, None, place, closing=closing))

    def each(
        self,
        work: Activity[A, B] | type[Machine[Any, A, B]],
        members: Callable[[C], Sequence[A]],
        *,
        limit: int = 100,
        done: Targets[C] = None,
        assign: Callable[[C, tuple[B, ...]], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, tuple[B, ...]], object] | OfContext[C, object] | None = None,
        send: Callable[[C, tuple[B, ...]], Messages] | OfContext[C, Messages] | None = None,
        error: Mapping[type[BaseException], Target[C] | To[C]] | Target[C] | To[C] | None = None,
        closing: Close = "cancel",
    ) -> None:
        """Run an activity, or a child run, for each member of a collection while the state is active.

        :param members: gives the inputs, at most 100,000 of them. It is asked once, and again, with the
            context as it was then, when members that waited are to be started.
        :param limit: how many are under way at once, 1,000 at most; the others wait.
        :param done: where it leads when all have ended; at once where there are none.
        :param assign: the reducer of context and outputs, in the order of `members`; `raise_` and `send`
            likewise.
        :param error: where the first failure leads, as with `invoke`; the other members are cancelled.
        :param closing: what becomes of child runs under way, as with `invoke`.
        """
        self._crew("each", work, members, limit, done, _actions(assign, raise_, send), error, closing)

    def collect(
        self,
        work: Activity[A, B] | type[Machine[Any, A, B]],
        members: Callable[[C], Sequence[A]],
        *,
        limit: int = 100,
        done: Targets[C] = None,
        assign: Callable[[C, tuple[B | Failure, ...]], C] | OfContext[C, C] | None = None,
        raise_: Callable[[C, tuple[B | Failure, ...]], object] | OfContext[C, object] | None = None,
        send: Callable[[C, tuple[B | Failure, ...]], Messages] | OfContext[C, Messages] | None = None,
        closing: Close = "cancel",
    ) -> None:
        """Like `each`, but all end, whatever fails: a `Failure` stands in the place of each that did."""
        self._crew("collect", work, members, limit, done, _actions(assign, raise_, send), None, closing)

    def _crew(
        self,
        word: str,
        work: Any,
        members: Any,
        limit: int,
        done: Any,
        actions: tuple[ActionDraft, ...],
        error: Any,
        closing: Close,
    ) -> None:
        node = _open(self.node)
        slot, place = len(node.crews), caller()[0]
        node.crews.append(CrewDraft(slot, word, work, members, error, place, limit, closing))
        _ends(self, TriggerKind.CREW_DONE, TriggerKind.CREW_ERROR, slot, done, actions, error)

    def compensate(
        self,
        done: Targets[C],
        *,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
        parallel: bool = False,
    ) -> None:
        """While the state is active, undo what the run has done: every activity with an `undo=`.

        First it waits until the outcome of each such activity that was started is known; then their undos
        run, newest first, each an ordinary activity that is given what the one it undoes returned. One that
        fails for good parks the run, and unparking tries it again; the rest is never skipped.

        :param done: where to go when nothing is left to undo, which may be at once.
        :param parallel: run the undos all at once.
        """
        node = _open(self.node)
        node.compensations.append(CompensationDraft(parallel, caller()[0]))
        _edge(self, TriggerKind.COMPENSATED, done, None, _actions(assign, raise_, send))

    def on_cancel(
        self,
        target: Targets[C] = None,
        *,
        assign: Callable[[C], C] | None = None,
        raise_: Callable[[C], object] | None = None,
        send: Callable[[C], Messages] | None = None,
    ) -> None:
        """Take this edge when somebody cancels the run; without any, the run ends cancelled at once.

        A run that goes to a state so and then reaches a final state with ``ok=False`` ends *cancelled*; with
        ``ok=True`` it ends completed. Without a target the run stays where it is, and the cancel is over.
        """
        _edge(self, TriggerKind.CANCEL, target, None, _actions(assign, raise_, send))

    def remember(self, memory: Word) -> None:
        """Say which steps leave a record while this state is active; what is inside may say otherwise.

        What a run is now is as durable whatever is said. The innermost active state that says something
        decides, in parallel regions the one that keeps most; a step is judged by the states before and after.

        :param memory: ``"ephemeral"``: none. ``"selective"``: the first step, checkpoints and the last.
            ``"all"``, as it is where nothing is said: every step, until it is pruned. ``"eternal"``: every
            step, and a run that was ever in this state is never pruned.
        """
        _open(self.node).memories.append((memory, caller()[0]))

    def checkpoint(self) -> None:
        """Let each step that enters this state leave a record where states remember selectively."""
        _open(self.node).checkpoints.append(caller()[0])

    def defer(self, *events: type[Any]) -> None:
        """Keep events of these classes for later while this state is active."""
        _open(self.node).deferred.extend(events)


class Parallel(_Borrowing, _Active[C]):
    """A state whose children, the regions, are all active together."""

    __slots__ = ()

    def state(self) -> State[C]:
        """A region."""
        return State(_child(self, Kind.ATOMIC))

    def parallel(self) -> Parallel[C]:
        """A region that is itself parallel."""
        return Parallel(_child(self, Kind.PARALLEL))

    def history(self, *, deep: bool = False, default: Targets[C] = None) -> History[C]:
        """Where the regions were when they were last left; `default` before that, else their own."""
        return _history(self, deep, default, False)


class State(_Active[C]):
    """A state; with children, a compound state, of which exactly one is active."""

    __slots__ = ()

    def state(self, *, initial: bool = False) -> State[C]:
        """A child. `initial`: it is entered when its parent is."""
        return State(_child(self, Kind.ATOMIC, initial=initial))

    def parallel(self, *, initial: bool = False) -> Parallel[C]:
        """A child whose own children are all active together."""
        return Parallel(_child(self, Kind.PARALLEL, initial=initial))

    def choice(self, *, initial: bool = False) -> Choice[C]:
        """A branch with `always` edges only."""
        return Choice(_child(self, Kind.CHOICE, initial=initial))

    def final(self, *, ok: bool = True) -> Final[C]:
        """A final child. `ok=False`, below the root: the run ends as failed, with the verdict."""
        return Final(_child(self, Kind.FINAL, ok=ok))

    def history(self, *, deep: bool = False, default: Targets[C] = None, initial: bool = False) -> History[C]:
        """Where this state was when it was last left.

        :param deep: remember the innermost states, not only the child.
        :param default: the target as long as there is nothing to remember; else the initial child.
        """
        return _history(self, deep, default, initial)


class Root(State[C]):
    """The whole machine; its edges hold in every state."""

    __slots__ = ()

    def upgrade(
        self,
        from_version: int,
        states: Mapping[str, Target[C] | str] | None = None,
        *,
        ctx: Callable[[Any], Any] | None = None,
        to: int | None = None,
    ) -> None:
        """Let runs of an older version go on here, from their next turn on.

        :param from_version: the older version, as its `version=` was.
        :param states: dotted paths of its states, each with the state that its runs are in from then on. A
            state's children go with it, under their names; what is not named stays where it is.
        :param ctx: a pure function that makes the new context of the old one, both as JSON values; without
            it the new context type must read what the old one wrote.
        :param to: a version between, whose names `states` uses then; the upgrade from it goes on from there.
        """
        draft = UpgradeDraft(from_version, states or {}, ctx, to, caller()[0])
        _open(self.node).upgrades.append(draft)

    def continue_as_new(self, input: Callable[[C], object]) -> Final[C]:
        """A final state after which the run does not end: it continues as new, with a new input.

        In one step everything is exited, and the run begins again as if it had been started with that input:
        a new *generation* of the same run. Its id, handles, deliveries and dedupe ids stay, and so does what
        there may be to undo; context, histories and open timers and activities do not. Records of past
        generations can be pruned while the run lives. A run that is being cancelled ends cancelled here.

        :param input: a pure function that makes the next generation's input, of the machine's input type.
        """
        return Final(_child(self, Kind.FINAL, anew=input))

    def attribute(self, name: str, type: type[V], of: Callable[[C], V | None] | None = None) -> None:
        """Let runs be found by a value: it is kept beside each run, typed, in an index of the journal.

        :param name: what queries call it.
        :param type: str, int, float, Decimal, bool, datetime, or an Enum of texts or whole numbers.
        :param of: a pure function of the context, asked after each turn; None: the run has no such value.
            Without it clients set the value, at the start or later.
        """
        _open(self.node).attributes.append(AttributeDraft(name, type, of, caller()[0]))

    def index_states(self) -> None:
        """Let runs be found by the states they are in (``state = "paying"``): names and dotted paths.

        What it costs: a turn that changes the states writes an entry for each state entered and left.
        """
        _open(self.node).finds_states = True


def root(context: type[C]) -> Root[C]:
    """The root of a machine whose context is of this class."""
    return Root(Node(Kind.COMPOUND, caller()[0], context_type=context))


class Machine(Generic[C, I, O]):
    """A machine with context `C`, started with an `I`, ending with an `O`. Never instantiated.

    The class attributes are the states; `init` makes the context from the input and `result` the
    result from the context. `verdict`, optional, makes the typed reason of an ``ok=False`` end. The
    names `chart`, `init`, `result` and `verdict` are therefore not for states.

    Class keywords: `name` and `version` are stored with every run. `trusted_modules` names modules
    whose functions are taken to be pure; `strict` makes an error of a call that nobody vouches for.

    Raises `DefinitionError` at the end of the class body, with every fault.
    """

    chart: ClassVar[Chart]

    @staticmethod
    def init(input: I, /) -> C:
        """The first context of a run."""
        raise NotImplementedError

    @staticmethod
    def result(context: C, /) -> O:
        """The result of a run that reached an ok final state."""
        raise NotImplementedError

    def __init_subclass__(
        cls, *, name: str = "", version: int = 1, trusted_modules: tuple[str, ...] = (), strict: bool = False
    ) -> None:
        super().__init_subclass__()
        types = next((typing.get_args(base) for base in getattr(cls, "__orig_bases__", ())), ())
        members = frozenset(vars(cls))
        header = Header(cls, name, version, types, trusted_modules, strict, caller()[0], members)
        bench = Bench(header)
        if _heirs(bench):
            settle(name or cls.__name__, tuple(bench.faults))
            return
        roots = [target_node(value) for value in vars(cls).values() if isinstance(value, Root)]
        chart = build(bench, roots)
        for node in (node for top in roots for node in top.walk()):
            node.sealed = True
        settle(name or cls.__name__, judge(bench, chart))
        cls.chart = chart

    if not TYPE_CHECKING:  # mypy takes a class whose __new__ never returns for a function

        def __new__(cls, *_: Any, **__: Any) -> Any:
            raise UsageError(
                f"{cls.__name__} is a machine, not something to instantiate; start a run of it with "
                f"client.start({cls.__name__}, ...)"
            )


def _heirs(bench: Bench) -> bool:
    """States belong to one class: a machine that inherits another's would share them."""
    for base in bench.header.cls.__mro__[1:]:
        if base is not Machine and issubclass(base, Machine):
            what = f"it inherits from the machine {base.__name__}"
            remedy = "Inherit from Machine[...] alone; share functions and activities through the module"
            bench.fault("C121", f"class {bench.header.cls.__name__}", what, remedy)
            return True
    return False


def target_node(value: Any) -> Any:
    """The node of a state; anything else as it is, for `build` to refuse."""
    return value.node if isinstance(value, Target) else value


def target_nodes(value: Any) -> tuple[Any, ...]:
    """What was given as targets: one state, several, none, or something wrong."""
    if value is None:
        return ()
    given = value if _is_tuple(value) else (value,)
    return tuple(target_node(each) for each in given)


def _is_tuple(value: Any) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def _open(node: Node) -> Node:
    if node.sealed:
        raise UsageError(
            f"{node.owners[0].__name__} is complete; declare everything about {node.name!r} inside its class"
        )
    return node


def _child(parent: Target[C], kind: Kind, **fields: Any) -> Node:
    above = _open(parent.node)
    node = Node(kind, caller()[0], parent=above, **fields)
    above.children.append(node)
    return node


def _history(parent: Target[C], deep: bool, default: Targets[C], initial: bool) -> History[C]:
    kind = Kind.DEEP_HISTORY if deep else Kind.SHALLOW_HISTORY
    return History(_child(parent, kind, default=target_nodes(default), initial=initial))


def _actions(assign: Any, raise_: Any, send: Any) -> tuple[ActionDraft, ...]:
    given = ((ActionKind.ASSIGN, assign), (ActionKind.RAISE, raise_), (ActionKind.SEND, send))
    return tuple(ActionDraft(kind, call) for kind, call in given if call is not None)


def _is_mapping(given: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(given, Mapping)


def _is_way(given: object) -> TypeGuard[To[Any]]:
    return isinstance(given, To)


def _ends(
    source: Target[Any],
    done_kind: TriggerKind,
    error_kind: TriggerKind,
    slot: int,
    done: Any,
    actions: tuple[ActionDraft, ...],
    error: Any,
) -> None:
    """The edges that the success and the failure of an activity or a crew take."""
    if done is not None or actions:
        _edge(source, done_kind, done, None, actions, slot=slot, pair=True)
    branches: Mapping[Any, Any] = {} if error is None else {Exception: error}
    if _is_mapping(error):
        branches = error
    for caught, branch in branches.items():
        way = branch if _is_way(branch) else To(branch)
        _edge(source, error_kind, way.target, way.when, way.actions, error=caught, slot=slot, pair=True)


def _edge(
    source: Target[Any],
    kind: TriggerKind,
    target: Any,
    when: Any,
    actions: tuple[ActionDraft, ...],
    **fields: Any,
) -> None:
    draft = EdgeDraft(kind, caller()[0], target_nodes(target), when=when, actions=actions, **fields)
    _open(source.node).edges.append(draft)
