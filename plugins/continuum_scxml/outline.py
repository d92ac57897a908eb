"""What a document says of a machine, between charts, SCXML, XState JSON and Python code.

An outline has structure and no functions: guards, actions and delays that are computed are texts, as a
drawing would label them or as a document writes them. Nothing in one is ever evaluated. Two outlines are
equal where they describe the same chart; `notes`, for the reader of the generated code, do not count.

States are known by `id`, unique in the outline. `internal` is set only where it means something: on an edge
of a compound state whose targets all lie inside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import evolve, field, frozen

from continuum_core.definition.chart import ActionKind, Compensation, Kind, TriggerKind
from continuum_core.errors import UsageError

__all__ = [
    "EDGES",
    "HISTORIES",
    "STATES",
    "Action",
    "Edge",
    "FormatRefused",
    "Invoke",
    "Outline",
    "Part",
    "bare",
    "histories_last",
    "parents",
    "settled",
]

STATES = 5_000
"""How many states a document may have."""

EDGES = 10_000
"""How many edges a document may have: patterns multiply them."""

HISTORIES = (Kind.SHALLOW_HISTORY, Kind.DEEP_HISTORY)


class FormatRefused(UsageError):
    """A document that cannot be read as a machine, or a machine that cannot be written; the text says why."""


@frozen
class Action:
    """A pure function by its label. `event`: a raise of this one event, known by name."""

    kind: ActionKind
    label: str = ""
    event: str | None = None


@frozen
class Edge:
    """A transition; the fields beyond `trigger` are set where that kind of trigger uses them.

    :ivar event: EVENT: the event's name.
    :ivar error: INVOKE_ERROR: the name of the exception class it catches.
    :ivar invoke: INVOKE_*: the number of the invoke in its state; those of crews are told by them, too.
    :ivar delay: AFTER: microseconds, or the label of the function that gives the length.
    :ivar within: CANCEL, DEADLINE: how long what follows may take, likewise; None: nothing bounds it.
    """

    trigger: TriggerKind
    targets: tuple[str, ...] = ()
    event: str = ""
    error: str = ""
    invoke: int = 0
    delay: int | str = 0
    guard: str | None = None
    actions: tuple[Action, ...] = ()
    internal: bool = False
    within: int | str | None = None
    notes: tuple[str, ...] = field(default=(), eq=False)


@frozen
class Invoke:
    """An activity, or the machine of child runs, by name; `input` and `key` are labels.

    :ivar undo: the activity that takes this one back, in a machine that compensates.
    :ivar machine: it is a machine.
    :ivar how: the word it was declared with: ``invoke``, ``spawn``, ``each``, ``collect``.
    :ivar limit: of members: how many are under way at once; 0 where there are none.
    :ivar closing: what leaving the state does to child runs: ``cancel``, ``terminate``, ``abandon``.
    """

    activity: str
    input: str = ""
    key: str | None = None
    undo: str | None = None
    machine: bool = False
    how: str = "invoke"
    limit: int = 0
    closing: str = "cancel"
    notes: tuple[str, ...] = field(default=(), eq=False)


@frozen
class Part:
    """One state with all below it. `opening`: actions of the way from a compound to its initial states.

    :ivar anew: of a final state after which the run continues as new: what makes its next input, as a label.
    """

    id: str
    name: str
    kind: Kind
    ok: bool = True
    initial: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    opening: tuple[Action, ...] = ()
    entry: tuple[Action, ...] = ()
    exit: tuple[Action, ...] = ()
    edges: tuple[Edge, ...] = ()
    invokes: tuple[Invoke, ...] = ()  # activities first, then what is started together
    deferred: tuple[str, ...] = ()
    compensation: Compensation | None = None
    anew: str | None = None
    children: tuple[Part, ...] = ()
    notes: tuple[str, ...] = field(default=(), eq=False)

    def walk(self) -> Iterator[Part]:
        """This state and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


@frozen
class Outline:
    """A machine. `data`: names of a document's data with the texts of their first values.

    :ivar deadline: how long a run may take: microseconds, or the label of the function that gives the length.
    """

    name: str
    version: int
    root: Part
    data: tuple[tuple[str, str], ...] = field(default=(), eq=False)
    notes: tuple[str, ...] = field(default=(), eq=False)
    deadline: int | str | None = None


def parents(root: Part) -> dict[str, str | None]:
    """Every state's parent, by id."""
    found: dict[str, str | None] = {root.id: None}
    for part in root.walk():
        found.update((child.id, part.id) for child in part.children)
    return found


def settled(part: Part, above: Mapping[str, str | None]) -> Part:
    """The same tree with `internal` kept only on edges where it means something.

    :param above: what `parents` gives for the whole tree.
    """

    def inside(target: str, source: str) -> bool:
        up = above[target]
        while up is not None and up != source:
            up = above[up]
        return up is not None

    def means(edge: Edge) -> bool:
        compound = part.kind is Kind.COMPOUND and above[part.id] is not None
        return compound and bool(edge.targets) and all(inside(target, part.id) for target in edge.targets)

    edges = tuple(evolve(edge, internal=edge.internal and means(edge)) for edge in part.edges)
    return evolve(part, edges=edges, children=tuple(settled(child, above) for child in part.children))


def histories_last(part: Part) -> tuple[Part, ...]:
    """The children of a state, histories behind the others: their place means nothing."""
    return tuple(sorted(part.children, key=lambda child: child.kind in HISTORIES))


def bare(part: Part) -> Part:
    """The tree without what code cannot keep: the labels of functions, which become gaps.

    Of several actions of one kind in one place one is left, as code has one function for them; only edges
    that wait for an event can be internal; and histories come last, behind the states they may name.
    """

    def kinds(actions: tuple[Action, ...]) -> tuple[Action, ...]:
        found = {action.kind for action in actions}
        return tuple(Action(kind) for kind in ActionKind if kind in found)

    edges = tuple(
        evolve(
            edge,
            guard=None if edge.guard is None else "",
            delay="" if isinstance(edge.delay, str) else edge.delay,
            within="" if isinstance(edge.within, str) else edge.within,
            actions=kinds(edge.actions),
            internal=edge.internal and edge.trigger in (TriggerKind.EVENT, TriggerKind.ANY),
        )
        for edge in part.edges
    )
    return evolve(
        part,
        opening=kinds(part.opening),
        entry=kinds(part.entry),
        exit=kinds(part.exit),
        edges=edges,
        invokes=tuple(
            evolve(each, input="", key=None if each.key is None else "", notes=()) for each in part.invokes
        ),
        children=tuple(bare(child) for child in histories_last(part)),
    )
