"""The data of one SCXML session: variables, system variables, and expressions over them."""

from __future__ import annotations

import builtins
import json
import keyword
import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from continuum_core.definition.event import event
from continuum_scxml.document import Node
from tests.interpreter.scxml import ecmascript

SYSTEM = ("_event", "_sessionid", "_name", "_ioprocessors", "In")
_BUILTINS = [
    "abs",
    "bool",
    "dict",
    "float",
    "int",
    "isinstance",
    "len",
    "list",
    "max",
    "min",
    "object",
    "str",
    "sum",
    "tuple",
    "type",
    "__build_class__",
]


@event
class ScxmlEvent:
    """What `_event` is."""

    name: str
    type: str = "external"
    data: Any = None
    sendid: str | None = None
    origin: str | None = None
    origintype: str | None = None
    invokeid: str | None = None


class DataError(Exception):
    """An expression, location or script cannot be used; becomes error.execution."""


class Datamodel:
    """Variables and the language of their expressions, `python` or `ecmascript`."""

    def __init__(self, language: str, system: dict[str, Any]) -> None:
        self.language = language
        self.system = dict(system)
        self.scope: dict[str, Any] = {}
        if language == "python":
            self.scope["__builtins__"] = {name: getattr(builtins, name) for name in _BUILTINS}
            self.scope["__name__"] = "scxml"
        self._bind()

    def event(self, event: ScxmlEvent | None) -> None:
        """Bind `_event`."""
        self.system["_event"] = event
        self.scope["_event"] = event

    def declare(self, name: str, value: Any = None) -> None:
        """Create a variable; one that the session was given a value for keeps it."""
        self.scope[name] = ecmascript.UNDEFINED if value is None and self.language != "python" else value

    def declared(self, name: str) -> bool:
        return name in self.scope and name not in self.system

    def true(self, source: str) -> bool:
        """Whether a condition holds."""
        value = self.value(source)
        return bool(value) if self.language == "python" else ecmascript.truthy(value)

    def value(self, source: str) -> Any:
        """The value of an expression. Raises whatever it raises, or DataError."""
        return self._guarded(self._evaluate, source.strip())

    def run(self, source: str) -> None:
        """Run a script."""
        self._guarded(self._execute, source)
        self._bind()

    def assign(self, location: str, value: Any) -> None:
        """Assign to an existing location. Raises DataError."""
        location = location.strip()
        root = re.match(r"[A-Za-z_$][\w$]*", location)
        if root is None or not self.declared(root.group()):
            raise DataError(f"no location {location!r}")
        if root.group() == location:
            self.scope[location] = value
        elif self.language == "python":
            self.scope["__value"] = value
            self._guarded(self._execute, f"{location} = __value")
            del self.scope["__value"]
        else:
            owner, _, member = location.rpartition(".")
            target = self.value(owner)
            if not isinstance(target, dict):
                raise DataError(f"no location {location!r}")
            target[member] = value

    def iterable(self, source: str) -> list[Any]:
        """A shallow copy of a collection."""
        value = self.value(source)
        if not isinstance(value, list | tuple):
            raise DataError(f"{source!r} is no array")
        return list(value)

    def name(self, text: str) -> str:
        """A variable's name, checked."""
        if not text.isidentifier() or keyword.iskeyword(text) or text in self.system:
            raise DataError(f"{text!r} is no variable name")
        return text

    def literal(self, node: Node) -> Any:
        """The value of the inline content of <data>, <content> or <assign>."""
        if node.children:
            child = node.children[0]
            return child if child.tag == "scxml" else element(child)
        return self.parsed(node.text)

    def parsed(self, text: str) -> Any:
        """Text as JSON where it is JSON, as normalised text otherwise."""
        try:
            return json.loads(text)
        except ValueError:
            return " ".join(text.split())

    def _bind(self) -> None:
        self.scope.update(self.system)

    def _guarded(self, function: Callable[[str], Any], source: str) -> Any:
        try:
            return function(source)
        except RecursionError:
            raise
        except Exception as error:
            raise DataError(f"{source!r}: {error}") from error

    def _evaluate(self, source: str) -> Any:
        if self.language == "python":
            # The suite's own expressions are Python; nothing else can say what they mean.
            return eval(compile(source, "scxml", "eval"), self.scope)  # noqa: S307
        return ecmascript.expression(source)(self.scope)

    def _execute(self, source: str) -> None:
        if self.language == "python":
            lines = source.strip("\n").rstrip()
            exec(compile(lines, "scxml", "exec"), self.scope)  # noqa: S102
        else:
            ecmascript.program(source)(self.scope)


def element(node: Node) -> ElementTree.Element:
    """A node as an ElementTree element, which is what XML data is in the Python datamodel."""
    made = ElementTree.Element(node.tag, node.attributes)
    made.text = node.text
    made.extend(element(child) for child in node.children)
    return made
