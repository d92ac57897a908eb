"""States as edges lead to them, and what every declaration adds: edges, children, actions.

Rule: everything that is declared goes through `unsealed`, so that nothing is added to a complete machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeGuard, TypeVar

from attrs import frozen

from continuum_core.definition.chart import ActionKind, Kind, TriggerKind
from continuum_core.definition.draft import ActionDraft, EdgeDraft, Node
from continuum_core.definition.failure import Failure
from continuum_core.definition.message import Message
from continuum_core.definition.place import caller
from continuum_core.errors import UsageError

__all__ = [
    "Messages",
    "OfContext",
    "Target",
    "Targets",
    "To",
    "action_drafts",
    "add_child",
    "add_edge",
    "add_ends",
    "target_node",
    "target_nodes",
    "to",
    "unsealed",
]

C = TypeVar("C")  # the context
C_contra = TypeVar("C_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class OfContext(Protocol[C_contra, R_co]):
    """A named function that needs the context alone, given where the event is offered, too.

    A protocol and not a second `Callable`: with two of those, mypy would infer nothing for lambdas.
    """

    def __call__(self, context: C_contra, /) -> R_co: ...


Messages = Message | tuple[Message, ...] | None


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
    return To(target, when, action_drafts(assign, raise_, send))


# --- what a declaration adds


def unsealed(node: Node) -> Node:
    """The node itself, to add to. Raises UsageError where its machine is complete."""
    if node.sealed:
        raise UsageError(
            f"{node.owners[0].__name__} is complete; declare everything about {node.name!r} inside its class"
        )
    return node


def add_child(parent: Target[C], kind: Kind, **fields: Any) -> Node:
    """A new node below that of `parent`."""
    above = unsealed(parent.node)
    node = Node(kind, caller()[0], parent=above, **fields)
    above.children.append(node)
    return node


def action_drafts(assign: Any, raise_: Any, send: Any) -> tuple[ActionDraft, ...]:
    """What was given of the three, in the order in which it is done."""
    given = ((ActionKind.ASSIGN, assign), (ActionKind.RAISE, raise_), (ActionKind.SEND, send))
    return tuple(ActionDraft(kind, call) for kind, call in given if call is not None)


def add_edge(
    source: Target[Any],
    kind: TriggerKind,
    target: Any,
    when: Any,
    actions: tuple[ActionDraft, ...],
    **fields: Any,
) -> None:
    """An edge out of `source`; `fields` are those of `EdgeDraft`."""
    draft = EdgeDraft(kind, caller()[0], target_nodes(target), when=when, actions=actions, **fields)
    unsealed(source.node).edges.append(draft)


def add_ends(
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
        add_edge(source, done_kind, done, None, actions, slot=slot, pair=True)
    branches: Mapping[Any, Any] = {} if error is None else {Exception: error}
    if _is_mapping(error):
        branches = error
    for caught, branch in branches.items():
        way = branch if _is_way(branch) else To(branch)
        add_edge(source, error_kind, way.target, way.when, way.actions, error=caught, slot=slot, pair=True)


def _is_mapping(given: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(given, Mapping)


def _is_way(given: object) -> TypeGuard[To[Any]]:
    return isinstance(given, To)


# --- what was given as targets


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
