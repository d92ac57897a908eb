"""A machine as data: frozen values, numbered once, that everything else reads.

`Chart` is the authority for what a machine is. The declaration (`declare`) builds one, `check`
judges it, `fingerprint` names it, `diagram` draws it, the interpreter compiles it to bit masks.

States are numbered in document order (pre-order of declaration); the root is number 0. A set of
states is an ``int`` with one bit a state. Edges are numbered in document order, too, over the whole
chart. The words are those of SCXML (W3C Recommendation, 2015).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from continuum_core.definition.activity import Activity

__all__ = [
    "LARGEST_WINDOW",
    "MOST_MEMBERS",
    "ROOT",
    "Action",
    "ActionKind",
    "Chart",
    "Closing",
    "Compensation",
    "Crew",
    "Edge",
    "Function",
    "Invoke",
    "Kind",
    "Place",
    "SearchAttribute",
    "State",
    "Timer",
    "Trigger",
    "TriggerKind",
    "Upgrade",
]

ROOT = 0
"""The number of the root state."""

MOST_MEMBERS = 100_000
"""Of one crew. More are started by child runs, each for a part of them."""

LARGEST_WINDOW = 1_000
"""Members of a crew under way at once: one commit may have to start, or to close, them all."""


class Kind(enum.Enum):
    """What a state is. `CHOICE` and the two histories are never part of a configuration at rest."""

    ATOMIC = "atomic"
    COMPOUND = "compound"
    PARALLEL = "parallel"
    FINAL = "final"
    CHOICE = "choice"
    SHALLOW_HISTORY = "history"
    DEEP_HISTORY = "deep-history"


class TriggerKind(enum.Enum):
    """What an edge waits for."""

    EVENT = "event"  # an event of class `event`, from outside or raised
    ANY = "any"  # any event of a user's class
    ALWAYS = "always"  # nothing: taken as soon as its guard holds
    AFTER = "after"  # timer `slot` of the source state
    DONE = "done"  # the source state is complete (a final child, or all regions final)
    INVOKE_DONE = "invoke-done"  # activity `slot` of the source state succeeded
    INVOKE_ERROR = "invoke-error"  # activity `slot` failed for good with an error of class `error`
    CREW_DONE = "crew-done"  # all members of crew `slot` of the source state ended, and none in the way of it
    CREW_ERROR = "crew-error"  # a member of crew `slot` failed with an error of class `error`
    COMPENSATED = "compensated"  # the source state has undone all there was to undo
    CANCEL = "cancel"  # somebody asked the run to stop
    DEADLINE = "deadline"  # the run's deadline passed

    __hash__ = object.__hash__  # edges are looked up by it at every event; an Enum's own is a call in Python


@frozen
class Place:
    """Where something was declared."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@frozen
class Function:
    """A user's pure function: guard, reducer, input function, delay.

    `arity` is 1 when it takes the context alone, 2 when it also takes the event, the activity's
    output or its failure. `label` is its source shortened for drawings, `source` its normalised
    source for the fingerprint (None where source is not to be had).
    """

    call: Callable[..., Any] = field(eq=False)
    arity: int
    label: str = ""
    source: str | None = None
    place: Place | None = field(default=None, eq=False)


class ActionKind(enum.Enum):
    """What an action of an edge, an entry or an exit does. All are pure."""

    ASSIGN = "assign"  # returns the next context
    RAISE = "raise"  # returns an event (or a tuple of events, or None) for the internal queue
    SEND = "send"  # returns a `Message` (or a tuple of them, or None) for other runs
    REPLY = "reply"  # returns what whoever asked is told, if the event was asked


@frozen
class Action:
    kind: ActionKind
    function: Function


@frozen
class Trigger:
    """What an edge waits for; the fields beyond `kind` are set where that kind uses them."""

    kind: TriggerKind
    event: type | None = None  # EVENT: the event class
    slot: int = 0  # AFTER: timer number; INVOKE_*, CREW_*: invoke or crew number, within the source state
    error: type[BaseException] | None = None  # INVOKE_ERROR, CREW_ERROR: exception class it catches


@frozen
class Edge:
    """A transition: from `source`, on `trigger`, if `guard`, to `targets`.

    No targets means that no state is exited or entered (SCXML: targetless). `internal` edges of a
    compound source to its own descendants do not exit the source.
    """

    number: int
    source: int
    trigger: Trigger
    targets: tuple[int, ...] = ()
    guard: Function | None = None
    actions: tuple[Action, ...] = ()
    internal: bool = False
    checkpoint: bool = False  # a step that takes it leaves a record where not every one does
    within: timedelta | Function | None = None  # CANCEL, DEADLINE: the run is ended if it is not over by then
    place: Place | None = field(default=None, eq=False)


@frozen
class Timer:
    """A timer started when the state is entered; `delay` is a length or a function of the context."""

    slot: int
    delay: timedelta | Function


@frozen
class Invoke:
    """An activity started when the state was entered and the macrostep left it active."""

    slot: int
    activity: Activity[Any, Any]
    input: Function
    key: Function | None = None  # cross-run idempotency key, from the context; None: no sharing
    place: Place | None = field(default=None, eq=False)


class Closing(enum.Enum):
    """What becomes of child runs under way when the state that started them is left, or the run ends."""

    CANCEL = "cancel"
    TERMINATE = "terminate"
    ABANDON = "abandon"


@frozen
class Crew:
    """What a state starts together: child runs, or activities; its *members* are numbered from 0.

    :ivar work: the machine of the child runs, or the activity.
    :ivar input: gives the input of the only member, or, of `each`, the inputs of all, in order.
    :ivar limit: how many members are under way at once at most.
    :ivar collect: failures are results, and not the end of the crew.
    :ivar awaited: the state waits for the end of the members; if not, they are child runs and forgotten.
    """

    slot: int
    work: Chart | Activity[Any, Any]
    input: Function
    each: bool = False
    limit: int = 1
    collect: bool = False
    closing: Closing = Closing.CANCEL
    awaited: bool = True
    place: Place | None = field(default=None, eq=False)

    @property
    def runs(self) -> bool:
        """Whether its members are child runs."""
        return isinstance(self.work, Chart)

    @property
    def word(self) -> str:
        """How it was declared."""
        if self.each:
            return "collect" if self.collect else "each"
        return "invoke" if self.awaited else "spawn"


@frozen
class Compensation:
    """What a state undoes while it is active: all that the run has done and that declares an undo.

    `parallel`: all at once; otherwise one after the other, newest first.
    """

    parallel: bool = False


@frozen
class State:
    """One state of the chart. `path` is its name with its ancestors' names, dotted, without the root."""

    number: int
    name: str
    path: str
    kind: Kind
    parent: int | None  # None for the root
    children: tuple[int, ...] = ()
    initial: tuple[int, ...] = ()  # default entry: of a compound, its initial child (or descendants)
    ok: bool = True  # FINAL: False ends the run as failed, where the parent is the root
    default: tuple[int, ...] = ()  # histories: the targets when nothing was recorded
    opening: tuple[Action, ...] = ()  # run after the entry of the compound when `initial`, or of the
    # history's parent when `default`, was what chose the children
    entry: tuple[Action, ...] = ()
    exit: tuple[Action, ...] = ()
    edges: tuple[Edge, ...] = ()  # in document order
    timers: tuple[Timer, ...] = ()
    invokes: tuple[Invoke, ...] = ()
    crews: tuple[Crew, ...] = ()
    deferred: tuple[type, ...] = ()  # event classes kept for later while this state is active
    compensation: Compensation | None = None  # of a state that undoes
    memory: str | None = None  # which of its steps leave records, see `memory`; None: as its parent says
    checkpoint: bool = False  # a step that enters it leaves a record where not every one does
    anew: Function | None = None  # FINAL of the root: the run continues as new, with the input this makes
    place: Place | None = field(default=None, eq=False)


@frozen
class Upgrade:
    """How runs of an older version come to a newer one; see `upgrade.way`.

    :ivar version: the older version.
    :ivar states: dotted paths of its states → those of the newer version.
    :ivar context: makes the newer context of the older one, both as JSON values; None: it is read as it is.
    :ivar to: the newer version, from which another upgrade goes on; None: this machine's own.
    """

    version: int
    states: Mapping[str, str] = field(factory=dict[str, str])
    context: Function | None = None
    to: int | None = None
    place: Place | None = field(default=None, eq=False)


@frozen
class SearchAttribute:
    """What runs can be found by.

    :ivar kind: text, number, flag or time: what its type is kept as.
    :ivar of: makes the value of the context, or None where the run has none; None: clients set it.
    """

    name: str
    kind: str
    of: Function | None = None
    place: Place | None = field(default=None, eq=False)


@frozen
class Chart:
    """A whole machine.

    `init` makes the context from the input, `result` the result from the context in an ok final
    state, `verdict` the typed reason of a final state with ``ok=False``.

    `upgrades` say how runs come here from older versions, and are no part of what the machine does:
    its fingerprint does not know them. `patches` are the names that its functions ask `patched` for.

    `attributes` are what its runs can be found by; `finds_states` says that their states are kept for that.

    `deadline` is how long a run may take, from when it was to begin, if whoever starts it says nothing else.
    """

    name: str
    version: int
    states: tuple[State, ...]
    context_type: Any
    input_type: Any
    result_type: Any
    verdict_type: Any
    init: Function
    result: Function
    verdict: Function | None = None
    events: Mapping[str, type] = field(
        factory=dict[str, type]
    )  # event name → class, of all edges and deferrals
    activities: Mapping[str, Activity[Any, Any]] = field(factory=dict[str, Any])  # name → activity
    machines: Mapping[str, Chart] = field(factory=dict[str, Any])  # name → machine of child runs
    module: str = ""
    place: Place | None = field(default=None, eq=False)
    upgrades: tuple[Upgrade, ...] = ()
    patches: frozenset[str] = frozenset()
    attributes: tuple[SearchAttribute, ...] = ()
    finds_states: bool = False
    deadline: timedelta | Function | None = None

    @property
    def compensates(self) -> bool:
        """Whether any of its states undoes; if none does, no activity's undo is ever asked for."""
        return any(state.compensation is not None for state in self.states)

    @property
    def remembers(self) -> bool:
        """Whether any of its states says what is remembered; if none does, every step leaves a record."""
        return any(state.memory is not None for state in self.states)

    def state(self, path: str) -> State:
        """The state of this dotted path. Raises KeyError."""
        for state in self.states:
            if state.path == path:
                return state
        raise KeyError(path)
