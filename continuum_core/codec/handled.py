"""Classes that plugins teach the codec: a handler says how a value becomes JSON values and back.

The promise of the codec holds for them as well: a value that its handler does not give back equal is refused
when it is written. Handlers are asked for once in a process, when a class is met that nothing else knows; who
provides them is told by `provide`, because what finds plugins lies above this floor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

from continuum_core.codec.node import Node, Refusal, class_of, mismatch
from continuum_core.codec.scalar import FreeJson
from continuum_core.errors import CodecError

__all__ = ["Handled", "TypeHandler", "handled", "provide"]


@frozen
class TypeHandler:
    """Teaches the codec of typed values a class that it does not know.

    :ivar type: the class; subclasses are not meant.
    :ivar name: what stored definitions call it. Never change it, nor what `encode` makes.
    :ivar encode: a value to JSON values (None, bool, int, float, str, lists, dicts with text keys).
    :ivar decode: such values to an equal value; raises ValueError for others.
    """

    type: type
    name: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


_KINDS = frozenset({"bool", "int", "float", "str", "array", "object"})
_json = FreeJson()


class Handled(Node):
    """A class with a handler."""

    lowers = True
    lifts = True

    def __init__(self, handler: TypeHandler) -> None:
        super().__init__(handler.type, handler.name, (handler.type,), _KINDS)
        self._handler = handler
        self.hashable = handler.type.__hash__ is not None

    def check(self, value: Any, left: int) -> None:
        if class_of(value) not in self.types:
            raise mismatch(self.tp.__name__, value)
        try:
            made = self._handler.encode(value)
            same = class_of(back := self._handler.decode(made)) is self.tp and bool(back == value)
        except Exception as error:
            raise Refusal(f"the handler of {self.name} raised {type(error).__name__}: {error}") from error
        if made is None:
            raise Refusal(f"the handler of {self.name} made null of it, which stands for None")
        if not same:
            raise Refusal(f"the handler of {self.name} does not give it back equal")
        _json.check(made, left)

    def lower(self, value: Any) -> Any:
        return self._handler.encode(value)

    def lift(self, found: Any, strict: bool) -> Any:
        try:
            value = self._handler.decode(found)
        except Exception as error:
            raise Refusal(f"the handler of {self.name} raised {type(error).__name__}: {error}") from error
        if class_of(value) is not self.tp:
            raise Refusal(f"the handler of {self.name} gave {class_of(value).__name__}")
        return value


class _Handlers:
    """The handlers of this process, once somebody asks."""

    def __init__(self) -> None:
        self.source: Callable[[], Iterable[TypeHandler]] = tuple
        self.found: dict[type, TypeHandler] | None = None


_handlers = _Handlers()


def provide(source: Callable[[], Iterable[TypeHandler]]) -> None:
    """Say where handlers come from; what was asked before is forgotten."""
    _handlers.source = source
    _handlers.found = None


def handled(tp: object) -> Handled | None:
    """The node of a class that a plugin teaches; None where none does. Raises CodecError for two handlers."""
    if not isinstance(tp, type):
        return None
    if _handlers.found is None:
        found: dict[type, TypeHandler] = {}
        for handler in _handlers.source():
            if found.setdefault(handler.type, handler) is not handler:
                raise CodecError(handler.name, f"two plugins handle {handler.type.__name__}: use one of them")
        _handlers.found = found
    known = _handlers.found.get(tp)
    return None if known is None else Handled(known)
