"""A machine while it is being written: what the declaration has said so far, unjudged.

Drafts are the only mutable values of this package. They keep whatever they were given, right or
wrong, so that `build` can list every fault at once instead of stopping at the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from continuum_core.arguments import timed
from continuum_core.definition.chart import ActionKind, Kind, Place, TriggerKind
from continuum_core.definition.fault import Fault

__all__ = [
    "ActionDraft",
    "AttributeDraft",
    "CompensationDraft",
    "CrewDraft",
    "DeadlineDraft",
    "EdgeDraft",
    "InvokeDraft",
    "Node",
    "TimerDraft",
    "UpgradeDraft",
]


@define(eq=False)
class ActionDraft:
    """One `assign=`, `raise_=` or `send=`."""

    kind: ActionKind
    call: Any


@define(eq=False)
class EdgeDraft:
    """One edge. `targets` holds what was given, which need not be states."""

    kind: TriggerKind
    place: Place
    targets: tuple[Any, ...] = ()
    event: Any = None
    error: Any = None
    slot: int = 0
    when: Any = None
    actions: tuple[ActionDraft, ...] = ()
    internal: bool = False
    checkpoint: bool = False
    pair: bool = False  # whether its functions take a second argument
    within: object = field(default=None, converter=timed)


@define(eq=False)
class TimerDraft:
    slot: int
    delay: object = field(converter=timed)
    place: Place


@define(eq=False)
class InvokeDraft:
    slot: int
    activity: Any
    input: Any
    key: Any
    error: Any
    assign: Any
    place: Place


@define(eq=False)
class CrewDraft:
    """What `invoke` of a machine, `spawn`, `each` or `collect` was given."""

    slot: int
    word: str
    work: Any
    input: Any
    error: Any
    place: Place
    limit: Any = 1
    closing: Any = "cancel"
    key: Any = None


@define(eq=False)
class CompensationDraft:
    parallel: bool
    place: Place


@define(eq=False)
class DeadlineDraft:
    """One `deadline`."""

    length: object = field(converter=timed)
    place: Place


@define(eq=False)
class UpgradeDraft:
    """One `upgrade`. What `states` leads to is a node, a text, or something wrong."""

    version: Any
    states: Any
    context: Any
    to: Any
    place: Place


@define(eq=False)
class AttributeDraft:
    """One `attribute`."""

    name: Any
    type: Any
    of: Any
    place: Place


@define(eq=False)
class Node:
    """One state as it was declared. `kind` ATOMIC becomes COMPOUND when it gains children.

    :ivar faults: what was wrong already with what the state was made of.
    """

    kind: Kind
    place: Place
    parent: Node | None = None
    names: list[str] = field(factory=list[Any])
    owners: list[type] = field(factory=list[Any])
    children: list[Node] = field(factory=list[Any])
    initial: bool = False
    ok: bool = True
    default: tuple[Any, ...] = ()
    context_type: Any = None
    edges: list[EdgeDraft] = field(factory=list[Any])
    entry: list[ActionDraft] = field(factory=list[Any])
    exit: list[ActionDraft] = field(factory=list[Any])
    timers: list[TimerDraft] = field(factory=list[Any])
    invokes: list[InvokeDraft] = field(factory=list[Any])
    crews: list[CrewDraft] = field(factory=list[Any])
    deferred: list[Any] = field(factory=list[Any])
    compensations: list[CompensationDraft] = field(factory=list[Any])
    faults: list[Fault] = field(factory=list[Any])
    upgrades: list[UpgradeDraft] = field(factory=list[Any])
    anew: Any = None
    attributes: list[AttributeDraft] = field(factory=list[Any])
    finds_states: bool = False
    deadlines: list[DeadlineDraft] = field(factory=list[Any])
    memories: list[tuple[Any, Place]] = field(factory=list[Any])
    checkpoints: list[Place] = field(factory=list[Any])
    sealed: bool = False

    @property
    def name(self) -> str:
        return self.names[0] if self.names else ""

    @property
    def root(self) -> Node:
        node = self
        while node.parent is not None:
            node = node.parent
        return node

    @property
    def path(self) -> str:
        """The dotted path below the root; of the root itself, an empty text."""
        above = self.parent.path if self.parent is not None else ""
        if self.parent is None:
            return ""
        return f"{above}.{self.name}" if above else self.name

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()
