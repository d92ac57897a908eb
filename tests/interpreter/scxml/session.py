"""One SCXML session as the context of a run, and its executable content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from attrs import define, field, frozen

from continuum_scxml.document import Node, parse
from continuum_scxml.words import micros
from tests.interpreter.scxml.datamodel import DataError, Datamodel, ScxmlEvent, element

PROCESSOR = "http://www.w3.org/TR/scxml/#SCXMLEventProcessor"
_SCXML_TYPES = (None, "scxml", "http://www.w3.org/TR/scxml/", "http://www.w3.org/TR/scxml", PROCESSOR)


class Network(Protocol):
    """What a session can ask about the other sessions."""

    def reachable(self, session: Session, target: str) -> bool: ...


@frozen
class Sent:
    """A message on its way out."""

    event: ScxmlEvent
    target: str | None
    delay: int  # microseconds


@frozen
class Cancelled:
    sendid: str


class CommunicationError(DataError):
    """The target cannot be reached."""


class SendError(DataError):
    """A <send> went wrong after it had its id."""

    def __init__(self, kind: str, sendid: str | None, cause: str) -> None:
        super().__init__(cause)
        self.kind = kind
        self.sendid = sendid


@define(eq=False)
class Session:
    """Mutable, unlike a real run's context: SCXML's executable content assigns in place."""

    data: Datamodel
    sessionid: str
    folder: Path
    network: Network
    given: dict[str, Any]  # what the inviter passed
    numbers: dict[str, int]  # state id → number
    configuration: int = 0
    outbox: list[Sent | Cancelled] = field(factory=list)
    entered: set[int] = field(factory=set)  # for late binding
    made: int = 0

    def look(self, payload: Any, configuration: int) -> None:
        """Show the expressions the event and the configuration of this moment."""
        self.configuration = configuration
        if isinstance(payload, ScxmlEvent):
            self.data.event(payload)

    def contains(self, state: str) -> bool:
        """SCXML's In()."""
        return bool(self.configuration >> self.numbers[state] & 1)

    def fresh_id(self, prefix: str) -> str:
        """An id that nobody has."""
        self.made += 1
        return f"{prefix}.{self.sessionid}.{self.made}"

    def text(self, node: Node, name: str) -> str | None:
        """An attribute, or the value of its expression twin (`target` and `targetexpr`)."""
        source = node.get(f"{name}expr")
        return str(self.data.value(source)) if source else node.get(name)


def failure(error: Exception, node: Node | None = None) -> ScxmlEvent:
    """The event of an error, with data as SCION gives it."""
    data = None
    if node is not None:
        data = {"tagname": node.tag, "line": node.line, "column": node.column, "reason": str(error)}
    if isinstance(error, SendError):
        return ScxmlEvent(error.kind, "platform", data, error.sendid)
    return ScxmlEvent("error.execution", "platform", data)


def block(nodes: list[Node]) -> Callable[[Session, Any, int], tuple[ScxmlEvent, ...]]:
    """A block of executable content as an action: what it raises, and where it stops, its error."""

    def run(session: Session, payload: Any, configuration: int) -> tuple[ScxmlEvent, ...]:
        session.look(payload, configuration)
        raised: list[ScxmlEvent] = []
        for node in nodes:
            try:
                _EXECUTE[node.tag](session, node, raised)
            except _Stopped:
                break
            except DataError as error:
                raised.append(failure(error, node))
                break
        return tuple(raised)

    return run


class _Stopped(Exception):
    """An inner error that was told already."""


def _nested(session: Session, nodes: list[Node], raised: list[ScxmlEvent]) -> None:
    for node in nodes:
        try:
            _EXECUTE[node.tag](session, node, raised)
        except DataError as error:
            raised.append(failure(error, node))
            raise _Stopped from error


def _raise(session: Session, node: Node, raised: list[ScxmlEvent]) -> None:
    raised.append(ScxmlEvent(node.attributes["event"], "internal"))


def _assign(session: Session, node: Node, raised: list[ScxmlEvent]) -> None:
    source = node.get("expr")
    value = session.data.value(source) if source else session.data.literal(node)
    session.data.assign(node.attributes["location"], value)


def _log(session: Session, node: Node, raised: list[ScxmlEvent]) -> None:
    if source := node.get("expr"):
        session.data.value(source)


def _script(session: Session, node: Node, raised: list[ScxmlEvent]) -> None:
    session.data.run(node.text)


def _if(session: Session, node: Node, raised: list[ScxmlEvent]) -> None:
    branches: list[tuple[str | None, list[Node]]] = [(node.get("cond"), [])]
    for child in node.children:
        if child.tag in ("elseif", "else"):
            branches.append((child.get("cond") or "", []))
        else:
            branches[-1][1].append(child)
    for condition, nodes in branches:
        try:
            holds = not condition or session.data.true(condition)
        except DataError as error:
            raised.append(failure(error, node))
            continue
        if holds:
            _nested(session, nodes, raised)
            return


def _foreach(session: Session, node: Node, raised: list[ScxmlEvent]) -> None:
    data = session.data
    values = data.iterable(node.attributes["array"])
    item = data.name(node.attributes["item"])
    index = node.get("index") and data.name(node.attributes["index"])
    for name in (item, index):
        if name and not data.declared(name):
            data.declare(name)
    for number, value in enumerate(values):
        data.scope[item] = value
        if index:
            data.scope[index] = number
        _nested(session, node.children, raised)


def _cancel(session: Session, node: Node, raised: list[ScxmlEvent]) -> None:
    session.outbox.append(Cancelled(session.text(node, "sendid") or ""))


def _send(session: Session, node: Node, raised: list[ScxmlEvent]) -> None:
    sendid = node.get("id")
    if location := node.get("idlocation"):
        sendid = session.fresh_id("send")
        session.data.assign(location, sendid)
    try:
        sent = _message(session, node, sendid)
    except CommunicationError as error:
        raise SendError("error.communication", sendid, str(error)) from error
    except DataError as error:
        raise SendError("error.execution", sendid, str(error)) from error
    if sent.target == "#_internal":
        raised.append(ScxmlEvent(sent.event.name, "internal", sent.event.data, sendid))
    else:
        session.outbox.append(sent)


def _message(session: Session, node: Node, sendid: str | None) -> Sent:
    kind, target = session.text(node, "type"), session.text(node, "target")
    name = session.text(node, "event") or ""
    if kind not in _SCXML_TYPES:
        raise DataError(f"no event processor {kind!r}")
    if target is not None and not target.startswith("#_"):
        raise DataError(f"malformed target {target!r}")
    delay = duration(session.text(node, "delay") or "0s")
    data = payload(session, node)
    if target not in (None, "#_internal") and not session.network.reachable(session, target or ""):
        raise CommunicationError(f"nobody at {target!r}")
    origin = f"#_scxml_{session.sessionid}"
    return Sent(ScxmlEvent(name, "external", data, sendid, origin, "scxml"), target, delay)


def payload(session: Session, node: Node) -> Any:
    """The data of <send> or <donedata>: parameters, or content."""
    content = node.first("content")
    if content is not None:
        source = content.get("expr")
        return session.data.value(source) if source else session.data.literal(content)
    return parameters(session, node) or None


def parameters(session: Session, node: Node) -> dict[str, Any]:
    """The values of <param> and namelist."""
    values = {}
    for name in (node.get("namelist") or "").split():
        values[name] = session.data.value(name)
    for param in node.named("param"):
        source = param.get("expr") or param.get("location") or ""
        values[param.attributes["name"]] = session.data.value(source)
    return values


def duration(text: str) -> int:
    """A CSS2 time in microseconds."""
    length = micros(text)
    if length is None:
        raise DataError(f"{text!r} is no delay")
    return length


def initialise(session: Session, node: Node) -> Any:
    """The value of a <data>, from `expr`, `src` or its content."""
    if source := node.get("expr"):
        return session.data.value(source)
    if source := node.get("src"):
        text = (session.folder / source.removeprefix("file:")).read_text(encoding="utf-8")
        return element(parse(text)) if text.lstrip().startswith("<") else session.data.parsed(text)
    if node.children or node.text.strip():
        return session.data.literal(node)
    return None


_EXECUTE: dict[str, Callable[[Session, Node, list[ScxmlEvent]], None]] = {
    "raise": _raise,
    "assign": _assign,
    "log": _log,
    "script": _script,
    "if": _if,
    "foreach": _foreach,
    "cancel": _cancel,
    "send": _send,
}
