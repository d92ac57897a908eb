"""What users write: states made by their parent, edges as one call each, a class that is the machine.

The classes here, and those in `active` that they inherit from, only record what was said, with its place;
`build` turns it into a `Chart` and `check` judges it, when the class of the machine (`machine`) is complete.

What a kind of state cannot have (edges of a final state, timers of a choice) is absent from its
static type. At run time the call is recorded all the same, and reported with all other faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from continuum_core.arguments import Length
from continuum_core.definition.active import Acting, Active, Leaving
from continuum_core.definition.chart import Kind
from continuum_core.definition.draft import AttributeDraft, DeadlineDraft, Node, UpgradeDraft
from continuum_core.definition.machine import Machine
from continuum_core.definition.place import caller
from continuum_core.definition.target import Target, Targets, To, add_child, target_nodes, to, unsealed

__all__ = ["Choice", "Final", "History", "Machine", "Parallel", "Root", "State", "Target", "To", "root", "to"]

C = TypeVar("C")  # the context
V = TypeVar("V")  # the value of an attribute


class _Borrowing:
    """Lets a state record calls that its kind does not have, so that they become faults, not crashes."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            method = getattr(State, name, None) if not name.startswith("_") else None
            if method is None:
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
            return method.__get__(self)


class Final(_Borrowing, Acting[C]):
    """A final state: its parent is complete; of the root's children, it ends the run."""

    __slots__ = ()


class Choice(_Borrowing, Leaving[C]):
    """A branch: entered and left in one microstep, by the first `always` edge whose guard holds."""

    __slots__ = ()


class History(_Borrowing, Target[C]):
    """A target that stands for where its parent was when it was last left."""

    __slots__ = ()


class Parallel(_Borrowing, Active[C]):
    """A state whose children, the regions, are all active together."""

    __slots__ = ()

    def state(self) -> State[C]:
        """A region."""
        return State(add_child(self, Kind.ATOMIC))

    def parallel(self) -> Parallel[C]:
        """A region that is itself parallel."""
        return Parallel(add_child(self, Kind.PARALLEL))

    def history(self, *, deep: bool = False, default: Targets[C] = None) -> History[C]:
        """Where the regions were when they were last left; `default` before that, else their own."""
        return _history(self, deep, default, False)


class State(Active[C]):
    """A state; with children, a compound state, of which exactly one is active."""

    __slots__ = ()

    def state(self, *, initial: bool = False) -> State[C]:
        """A child. `initial`: it is entered when its parent is."""
        return State(add_child(self, Kind.ATOMIC, initial=initial))

    def parallel(self, *, initial: bool = False) -> Parallel[C]:
        """A child whose own children are all active together."""
        return Parallel(add_child(self, Kind.PARALLEL, initial=initial))

    def choice(self, *, initial: bool = False) -> Choice[C]:
        """A branch with `always` edges only."""
        return Choice(add_child(self, Kind.CHOICE, initial=initial))

    def final(self, *, ok: bool = True) -> Final[C]:
        """A final child. `ok=False`, below the root: the run ends as failed, with the verdict."""
        return Final(add_child(self, Kind.FINAL, ok=ok))

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
        unsealed(self.node).upgrades.append(draft)

    def continue_as_new(self, input: Callable[[C], object]) -> Final[C]:
        """A final state after which the run does not end: it continues as new, with a new input.

        In one step everything is exited, and the run begins again as if it had been started with that input:
        a new *generation* of the same run. Its id, handles, deliveries and dedupe ids stay, and so does what
        there may be to undo; context, histories and open timers and activities do not. Records of past
        generations can be pruned while the run lives. A run that is being cancelled ends cancelled here.

        :param input: a pure function that makes the next generation's input, of the machine's input type.
        """
        return Final(add_child(self, Kind.FINAL, anew=input))

    def deadline(self, length: Length | Callable[[C], Length]) -> None:
        """Say how long a run may take, whatever it does and however many generations it has.

        It counts from when the run was to begin, whether a worker was there or not; whoever starts it may
        say otherwise. When it passes the run takes an `on_deadline`, else an `on_cancel`, else it is over at
        once; its result is then RunTimedOut.

        :param length: or a function of the context as `init` made it.
        """
        unsealed(self.node).deadlines.append(DeadlineDraft(length, caller()[0]))

    def attribute(self, name: str, type: type[V], of: Callable[[C], V | None] | None = None) -> None:
        """Let runs be found by a value: it is kept beside each run, typed, in an index of the journal.

        :param name: what queries call it.
        :param type: str, int, float, Decimal, bool, datetime, or an Enum of texts or whole numbers.
        :param of: a pure function of the context, asked after each turn; None: the run has no such value.
            Without it clients set the value, at the start or later.
        """
        unsealed(self.node).attributes.append(AttributeDraft(name, type, of, caller()[0]))

    def index_states(self) -> None:
        """Let runs be found by the states they are in (``state = "paying"``): names and dotted paths.

        What it costs: a turn that changes the states writes an entry for each state entered and left.
        """
        unsealed(self.node).finds_states = True


def root(context: type[C]) -> Root[C]:
    """The root of a machine whose context is of this class."""
    return Root(Node(Kind.COMPOUND, caller()[0], context_type=context))


def _history(parent: Target[C], deep: bool, default: Targets[C], initial: bool) -> History[C]:
    kind = Kind.DEEP_HISTORY if deep else Kind.SHALLOW_HISTORY
    return History(add_child(parent, kind, default=target_nodes(default), initial=initial))
