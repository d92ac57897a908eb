"""What the transitions of an SCXML document wait for: events, timers, completions, the ends of invokes.

SCXML says all of it with names of events. Three kinds of names are recognised: ``done.state.X``, the ends
of invokes, and a timer, which is an event that a state sends itself with a delay when it is entered, and
that its own transitions alone wait for; in documents that this library wrote two more, ``compensated.X`` and
``cancel``. All other names are events. A descriptor matches by prefix; here a
class is one name, so that a descriptor becomes one edge for every event the document names that it matches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from attrs import define, evolve, field, frozen

from continuum_core.definition.chart import TriggerKind
from continuum_scxml.document import Node
from continuum_scxml.outline import EDGES, Edge, FormatRefused, Invoke
from continuum_scxml.scxml_content import actions_of, told
from continuum_scxml.scxml_writer import ACTIVITY, MACHINE, OWN
from continuum_scxml.words import CANCEL, DEADLINE, STATES, EventNames, crewed, length_of, micros, unquoted

__all__ = ["Events", "TimerSend", "deferred_of", "edges_of", "invokes_of", "timers_of"]

Targets = Callable[[Node, str | None], tuple[str, ...]]

_CENTURY = 100 * 366 * 86_400_000_000  # microseconds


@frozen(eq=False)
class TimerSend:
    """A <send> that is a timer of its state, and the <cancel> elements that end it."""

    event: str
    delay: int | str
    send: Node
    cancels: tuple[Node, ...]


@define(eq=False)
class Events:
    """What the whole document says of events.

    :ivar own: whether this library wrote it: then names are exact and quoted.
    :ivar waiting: event descriptor → the states whose transitions wait for it.
    """

    top: Node
    ids: dict[int, str]
    own: bool
    sent: Counter[str] = field(factory=Counter[str])  # how many <send> elements name an event
    waiting: dict[str, list[Node]] = field(factory=dict[str, list[Node]])
    names: EventNames = field(factory=EventNames)
    invokes: dict[str, Node] = field(factory=dict[str, Node])  # id of an <invoke> → its state
    count: int = 0

    def __attrs_post_init__(self) -> None:
        sends = [each for each in self.top.all("send") if each.get("event")]
        self.sent.update(each.attributes["event"] for each in sends)
        for state in _walk(self.top):
            for invoke in state.named("invoke"):
                if name := invoke.get("id"):
                    self.invokes[name] = state
            for way in state.named("transition"):
                for token in (way.get("event") or "").split():
                    self.waiting.setdefault(token, []).append(state)
        told = [*sends, *self.top.all("raise")]
        for name in [*self.waiting, *(each.get("event") or "" for each in told)]:
            plain = name.removesuffix(".*").removesuffix(".")
            if plain and "*" not in plain and not plain.startswith(("done.state", "done.invoke")):
                self.names.add(plain)

    def name(self, token: str) -> str:
        """The event's name that a token stands for."""
        return unquoted(token) if self.own else token

    def matching(self, descriptor: str) -> list[str]:
        """The names of events that a descriptor waits for, as far as the document names them."""
        if self.own:
            return [unquoted(descriptor)]
        return self.names.matching(descriptor)

    def counted(self, edges: tuple[Edge, ...]) -> tuple[Edge, ...]:
        """The same edges. Raises FormatRefused where patterns made too many of them."""
        self.count += len(edges)
        if self.count > EDGES:
            raise FormatRefused(
                f"the document has more than {EDGES:,} edges, counting each event of a pattern"
            )
        return edges


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.named(*STATES):
        yield from _walk(child)


def timers_of(node: Node, events: Events) -> tuple[TimerSend, ...]:
    """The timers of a state, in the order in which its transitions wait for them."""
    found: list[TimerSend] = []
    for send in (each for entry in node.named("onentry") for each in entry.named("send")):
        name, identity = send.get("event"), send.get("id")
        length = send.get("delay") or send.attributes.get("delayexpr")
        if name is None or length is None or send.get("target") or send.get("type") or send.children:
            continue
        waiting = events.waiting.get(name, [])
        if not waiting or events.sent[name] != 1 or any(each is not node for each in waiting):
            continue
        micro = micros(length) if send.get("delay") else None
        if send.get("delay") and micro is None:
            raise FormatRefused(f"line {send.line}: {length!r} is no length of time")
        if micro is not None and micro > _CENTURY:
            raise FormatRefused(f"line {send.line}: a delay of {length} is longer than a century")
        leaving = [each for out in node.named("onexit") for each in out.named("cancel")]
        cancels = tuple(each for each in leaving if identity and each.get("sendid") == identity)
        found.append(TimerSend(name, length if micro is None else max(micro, 1), send, cancels))
    return tuple(found)


def invokes_of(node: Node) -> tuple[Invoke, ...]:
    """The activities and machines that a state's <invoke> elements stand for, by name."""
    return tuple(_invoke(each) for each in node.named("invoke"))


def _invoke(node: Node) -> Invoke:
    param = node.first("param")
    if node.get("type") in (ACTIVITY, MACHINE):
        given = "" if param is None else param.get("expr") or ""
        key, undo = node.attributes.get(f"{OWN} key"), node.get(f"{OWN} undo")
        invoke = Invoke(node.get("src") or "", given, key, undo, machine=node.get("type") == MACHINE)
        how, limit, closing = (node.get(f"{OWN} {word}") for word in ("how", "limit", "closing"))
        return crewed(invoke, how, limit, closing, f"line {node.line}")
    name = node.get("src") or node.get("srcexpr") or node.get("id") or "invoked"
    notes = [f"line {node.line}: {told(_head(node))}"]
    if node.first("content") is not None:
        notes.append(f"line {node.line}: the document inside the <invoke> is not read; import it for itself")
    return Invoke(name, notes=tuple(notes))


def _head(node: Node) -> Node:
    """The element without what stands in it, for a note."""
    return Node(node.tag, node.attributes, node.line, node.column)


def deferred_of(node: Node) -> tuple[str, ...]:
    """The events a state keeps for later; a word of ours, not of SCXML."""
    return tuple(unquoted(token) for token in (node.get(f"{OWN} defer") or "").split())


def edges_of(node: Node, timers: tuple[TimerSend, ...], events: Events, targets: Targets) -> tuple[Edge, ...]:
    """The edges of a state, one for every event that its transitions name."""
    edges: list[Edge] = []
    ends = _Ends(tuple(each.get("id") or "" for each in node.named("invoke")), events.own)
    for way in node.named("transition"):
        shape = Edge(
            trigger=TriggerKind.ALWAYS,
            targets=targets(way, way.get("target")),
            guard=way.attributes.get("cond"),
            actions=actions_of(way, (), events),
            internal=way.get("type") == "internal",
            within=length_of(way.get(f"{OWN} within")),
        )
        descriptors = (way.get("event") or "").split()
        if not descriptors:
            edges.append(shape)
        for descriptor in dict.fromkeys(descriptors):
            edges += _waiting(node, way, descriptor, shape, timers, events, ends)
    return events.counted(tuple(edges))


def _waiting(
    node: Node,
    way: Node,
    descriptor: str,
    shape: Edge,
    timers: tuple[TimerSend, ...],
    events: Events,
    ends: _Ends,
) -> Iterator[Edge]:
    timer = next((each for each in timers if each.event == descriptor), None)
    if timer is not None:
        late = f"line {timer.send.line}: no <cancel> ends the delayed <send>; here leaving the state does"
        notes = () if timer.cancels else (late,)
        yield evolve(shape, trigger=TriggerKind.AFTER, delay=timer.delay, notes=notes)
    elif descriptor == "*":
        yield evolve(shape, trigger=TriggerKind.ANY)
    elif descriptor.startswith("done.state") and not events.own:
        yield _completed(node, way, descriptor, shape, events)
    elif descriptor.startswith("done.state."):
        yield evolve(shape, trigger=TriggerKind.DONE)
    elif events.own and descriptor == CANCEL:
        yield evolve(shape, trigger=TriggerKind.CANCEL)
    elif events.own and descriptor == DEADLINE:
        yield evolve(shape, trigger=TriggerKind.DEADLINE)
    elif events.own and descriptor.startswith("compensated."):
        yield evolve(shape, trigger=TriggerKind.COMPENSATED)
    elif (end := ends.named(descriptor)) is not None:
        kind, slot, error = end
        yield evolve(shape, trigger=kind, invoke=slot, error=error)
    else:
        for name in events.matching(descriptor):
            notes = (_platform(way, name),) if name.startswith("error.") or name == "error" else ()
            yield evolve(shape, trigger=TriggerKind.EVENT, event=name, notes=notes)


def _completed(node: Node, way: Node, descriptor: str, shape: Edge, events: Events) -> Edge:
    """An edge for a completion: of its own state it is `done`; of another it stays an event, with a note."""
    me = events.ids[id(node)]
    if descriptor in (f"done.state.{me}", "done.state", "done.state.*", f"done.state.{me}.*"):
        return evolve(shape, trigger=TriggerKind.DONE)
    note = f"line {way.line}: {descriptor!r} is raised by no class; put a done() on that state instead"
    return evolve(shape, trigger=TriggerKind.EVENT, event=descriptor, notes=(note,))


@frozen
class _Ends:
    """The ends of a state's own invokes, by their ids."""

    ids: tuple[str, ...]
    own: bool

    def named(self, descriptor: str) -> tuple[TriggerKind, int, str] | None:
        """Which end of which invoke a descriptor names, and for an error of which class."""
        if not descriptor.startswith(("done.invoke", "error.invoke")):
            return None
        if descriptor in ("done.invoke", "done.invoke.*") and len(self.ids) == 1:
            return TriggerKind.INVOKE_DONE, 0, ""
        for slot, name in enumerate(self.ids):
            if name and descriptor in (f"done.invoke.{name}", f"done.invoke.{name}.*"):
                return TriggerKind.INVOKE_DONE, slot, ""
            prefix = f"error.invoke.{name}"
            if name and descriptor == prefix:
                return TriggerKind.INVOKE_ERROR, slot, "Exception"
            if name and self.own and descriptor.startswith(f"{prefix}."):
                return TriggerKind.INVOKE_ERROR, slot, unquoted(descriptor.removeprefix(f"{prefix}."))
        return None


def _platform(way: Node, name: str) -> str:
    return f"line {way.line}: SCXML raises {name!r} by itself; here a fault parks the run instead"
