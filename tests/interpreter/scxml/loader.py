"""An SCXML document as a `Chart` and a `Dialect`.

Every event of SCXML is one event class here; descriptors and conditions are guards; a block of
executable content is one raising action. So the algorithm under test is the product's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import (
    Action,
    ActionKind,
    Chart,
    Edge,
    Function,
    Invoke,
    Kind,
    State,
    Trigger,
    TriggerKind,
)
from continuum_core.interpreter.dialect import Dialect
from continuum_core.interpreter.program import Program, compile_chart
from continuum_scxml.document import Node, parse
from continuum_scxml.words import STATES, fits, kind_of
from tests.interpreter.scxml.datamodel import DataError, ScxmlEvent
from tests.interpreter.scxml.session import (
    Session,
    block,
    failure,
    initialise,
    parameters,
    payload,
)

_INVOKED = ("scxml", "http://www.w3.org/TR/scxml/", "http://www.w3.org/TR/scxml")


@frozen(eq=False)
class Invited:
    """What an <invoke> asks for: a session of this document."""

    id: str
    document: Node
    given: dict[str, Any]
    forward: bool
    finalize: Callable[[Session, Any, int], Any] | None


@frozen(eq=False)
class Document:
    """A loaded document."""

    root: Node
    program: Program
    numbers: dict[str, int]
    ids: dict[int, str]
    finals: dict[int, Node]  # those with done data

    def done_data(self, session: Session, number: int) -> tuple[list[ScxmlEvent], Any]:
        """The data of a final state, and the errors of making it."""
        node = self.finals.get(number)
        if node is None:
            return [], None
        try:
            return [], payload(session, node)
        except DataError as error:
            return [failure(error, node)], None


def load(root: Node) -> Document:
    """The document of a parsed <scxml> element."""
    return _Loader(root).load()


@define(eq=False)
class _Loader:
    root: Node
    nodes: list[tuple[Node, int | None]] = field(factory=list)
    numbers: dict[int, int] = field(factory=dict)  # id() of a node → number
    names: dict[str, int] = field(factory=dict)
    edges: int = 0

    def load(self) -> Document:
        self._number(self.root, None)
        states = tuple(self._state(number) for number in range(len(self.nodes)))
        ids = {number: name for name, number in self.names.items()}
        finals = {
            number: data
            for number, (node, _) in enumerate(self.nodes)
            if (data := node.first("donedata")) is not None
        }
        chart = Chart(
            name=self.root.get("name") or "scxml",
            version=1,
            states=states,
            context_type=Session,
            input_type=Session,
            result_type=Any,
            verdict_type=None,
            init=Function(lambda session: session, 1),
            result=Function(lambda session: None, 1),
            events={"event": ScxmlEvent},
        )
        holder: list[Document] = []

        def done(session: Session, event: Any, state: int, final: int | None) -> Sequence[ScxmlEvent]:
            errors, data = holder[0].done_data(session, final) if final is not None else ([], None)
            return [*errors, ScxmlEvent(f"done.state.{ids[state]}", "internal", data)]

        dialect = Dialect(done, lambda session, error: failure(error))
        holder.append(Document(self.root, compile_chart(chart, dialect), self.names, ids, finals))
        return holder[0]

    def _number(self, node: Node, parent: int | None) -> None:
        number = len(self.nodes)
        self.nodes.append((node, parent))
        self.numbers[id(node)] = number
        self.names[node.get("id") or f"$generated.{number}"] = number
        for child in node.named(*STATES):
            self._number(child, number)

    def _state(self, number: int) -> State:
        node, parent = self.nodes[number]
        children = tuple(self.numbers[id(child)] for child in node.named(*STATES))
        kind = kind_of(node)
        state = State(
            number=number,
            name=node.get("id") or f"${number}",
            path="" if parent is None else node.get("id") or f"${number}",
            kind=kind,
            parent=parent,
            children=children,
            entry=tuple(_action(child.children) for child in node.named("onentry")),
            exit=tuple(_action(child.children) for child in node.named("onexit")),
            edges=() if node.tag == "history" else self._edges(node, number),
            invokes=tuple(
                Invoke(slot, _ACTIVITY, Function(_invitation(child, node), 3))
                for slot, child in enumerate(node.named("invoke"))
            ),
        )
        if parent is None:
            state = evolve(state, entry=(Action(ActionKind.RAISE, Function(self._birth, 3)),))
        elif self.root.get("binding") == "late" and node.first("datamodel") is not None:
            late = Action(ActionKind.RAISE, Function(_late(node, number), 3))
            state = evolve(state, entry=(late, *state.entry))
        return self._defaults(node, state)

    def _defaults(self, node: Node, state: State) -> State:
        """The default entry of a compound or a history."""
        if node.tag == "history":
            way = node.named("transition")[0]
            return evolve(state, default=self._targets(way.get("target")), opening=_content(way))
        if state.kind is not Kind.COMPOUND:
            return state
        initial = node.first("initial")
        if initial is not None:
            way = initial.named("transition")[0]
            return evolve(state, initial=self._targets(way.get("target")), opening=_content(way))
        named = self._targets(node.get("initial"))
        first = tuple(child for child in state.children if self.nodes[child][0].tag != "history")
        return evolve(state, initial=named or first[:1])

    def _targets(self, names: str | None) -> tuple[int, ...]:
        return tuple(self.names[name] for name in (names or "").split())

    def _edges(self, node: Node, number: int) -> tuple[Edge, ...]:
        edges = []
        for child in node.named("transition"):
            descriptors = (child.get("event") or "").split()
            trigger = Trigger(TriggerKind.EVENT, ScxmlEvent) if descriptors else Trigger(TriggerKind.ALWAYS)
            edges.append(
                Edge(
                    number=self.edges,
                    source=number,
                    trigger=trigger,
                    targets=self._targets(child.get("target")),
                    guard=_guard(descriptors, child.get("cond")),
                    actions=_content(child),
                    internal=child.get("type") == "internal",
                )
            )
            self.edges += 1
        return tuple(edges)

    def _birth(self, session: Session, event: Any, configuration: int) -> tuple[ScxmlEvent, ...]:
        """Bind the data, then run the document's scripts."""
        session.look(event, configuration)
        raised: list[ScxmlEvent] = []
        late = self.root.get("binding") == "late"
        top = self.root.first("datamodel")
        first = [] if top is None else top.named("data")
        for data in self.root.all("data"):
            _bind(session, data, raised, value=not late or data in first, given=data in first)
        for script in self.root.named("script"):
            raised += block([script])(session, event, configuration)
        return tuple(raised)


def _action(nodes: list[Node]) -> Action:
    return Action(ActionKind.RAISE, Function(block(nodes), 3))


def _content(node: Node) -> tuple[Action, ...]:
    return (_action(node.children),) if node.children else ()


def _guard(descriptors: list[str], condition: str | None) -> Function | None:
    if not descriptors and condition is None:
        return None

    def guard(session: Session, event: Any, configuration: int) -> bool:
        if descriptors and not any(fits(descriptor, event.name) for descriptor in descriptors):
            return False
        session.look(event, configuration)
        return condition is None or session.data.true(condition)

    return Function(guard, 3)


def _bind(session: Session, node: Node, raised: list[ScxmlEvent], *, value: bool, given: bool) -> None:
    name = node.attributes["id"]
    session.data.declare(name)
    try:
        if given and name in session.given:
            session.data.declare(name, session.given[name])
        elif value:
            session.data.declare(name, initialise(session, node))
    except (DataError, OSError) as error:
        raised.append(failure(error, node))


def _late(node: Node, number: int) -> Callable[[Session, Any, int], tuple[ScxmlEvent, ...]]:
    def bind(session: Session, event: Any, configuration: int) -> tuple[ScxmlEvent, ...]:
        raised: list[ScxmlEvent] = []
        if number not in session.entered:
            session.entered.add(number)
            for model in node.named("datamodel"):
                for data in model.named("data"):
                    _bind(session, data, raised, value=True, given=False)
        return tuple(raised)

    return bind


def _invitation(node: Node, state: Node) -> Callable[[Session, Any, int], Invited]:
    finalize = node.first("finalize")

    def invite(session: Session, event: Any, configuration: int) -> Invited:
        session.look(event, configuration)
        name = node.get("id") or session.fresh_id(state.get("id") or "invoke")
        if location := node.get("idlocation"):
            session.data.assign(location, name)
        kind = session.text(node, "type") or "scxml"
        if kind not in _INVOKED:
            raise DataError(f"cannot invoke a {kind!r}")
        return Invited(
            id=name,
            document=_document(session, node),
            given=parameters(session, node),
            forward=node.get("autoforward") == "true",
            finalize=None if finalize is None else block(finalize.children),
        )

    return invite


def _document(session: Session, node: Node) -> Node:
    source = session.text(node, "src")
    if source is not None:
        return parse((session.folder / source.removeprefix("file:")).read_text(encoding="utf-8"))
    content = node.first("content")
    if content is None:
        raise DataError("an invocation without src or content")
    expression = content.get("expr")
    value = session.data.value(expression) if expression else session.data.literal(content)
    if isinstance(value, str):
        value = parse(value)
    if not isinstance(value, Node):
        raise DataError("the invoked content is no document")
    return value


_ACTIVITY: Activity[Any, Any] = Activity(body=lambda _: None, name="scxml", input_type=Any, output_type=Any)
