"""Types with named fields: attrs classes, dataclasses, Structs, TypedDicts and NamedTuples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from operator import attrgetter
from typing import Any

import attrs
import msgspec

from continuum_core.codec.container import expect
from continuum_core.codec.node import Node, Refusal, class_of, convert, mismatch, refuse_depth

__all__ = ["TAG", "Field", "Product", "Row", "Shape"]

TAG = "$type"
"""Where a union of classes writes which class it is; no Python field can have this name."""


@attrs.frozen
class Field:
    """One field: `name` in Python, `key` in JSON; `default` makes its value where it is missing."""

    name: str
    key: str
    node: Node
    required: bool = True
    default: Callable[[], Any] | None = None
    constant: tuple[Any, ...] = ()  # the default, where it is a plain value; else nothing


def _check_fields(fields: Sequence[Field], values: Sequence[Any], left: int) -> None:
    for field, value in zip(fields, values, strict=True):
        try:
            field.node.check(value, left)
        except Refusal as refusal:
            raise refusal.at(f".{field.name}") from refusal.__cause__


def _lift_fields(fields: Sequence[Field], found: dict[str, Any], strict: bool) -> dict[str, Any]:
    """Field name → value, for the fields that are there or have a default."""
    if strict:
        _refuse_unknown(found, [field.key for field in fields])
    lifted: dict[str, Any] = {}
    for field in fields:
        if field.key in found:
            try:
                lifted[field.name] = field.node.lift(found[field.key], strict)
            except Refusal as refusal:
                raise refusal.at(f".{field.key}") from refusal.__cause__
        elif field.required:
            raise Refusal(f"its field `{field.key}` is missing")
        elif field.default is not None:
            lifted[field.name] = field.default()
    return lifted


def _refuse_unknown(found: dict[str, Any], known: list[str]) -> None:
    for key in found:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
            raise Refusal(f"no field is called {key!r}; {hint}")


class Product(Node):
    """An attrs class, a dataclass or a Struct.

    :ivar tag: what a union of such classes writes to say that it is this one, and under which key;
        a Struct may bring its own.
    """

    def __init__(self, tp: Any, cls: Any, name: str, tag: tuple[str, str | int] | None) -> None:
        super().__init__(tp, name, (cls,), frozenset({"object"}))
        self.cls: Any = cls
        self.tag = tag
        self.fields: tuple[Field, ...] = ()
        self.hashable = cls.__hash__ is not None
        self._exact: tuple[type, ...] = ()
        self._settled: Callable[[Any], Any] | None = None
        self._others: tuple[Field, ...] = ()

    def define(self, fields: tuple[Field, ...], lowers: bool) -> None:
        """Give it its fields; apart from the constructor because a class may contain itself."""
        self.fields = fields
        self.lowers = lowers
        settled = [f for f in fields if f.node.settled]
        # One type comparison for all such fields: this is the engine's hot path. attrgetter of a
        # single name gives no tuple, so a lone field goes the general way.
        if len(settled) > 1:
            self._exact = tuple(f.node.types[0] for f in settled)
            self._settled = attrgetter(*(f.name for f in settled))
            self._others = tuple(f for f in fields if not f.node.settled)
        else:
            self._others = fields

    def parts(self) -> tuple[Node, ...]:
        return tuple(field.node for field in self.fields)

    def check(self, value: Any, left: int) -> None:
        if class_of(value) is not self.cls:
            raise mismatch(self.cls.__name__, value)
        if left <= 0:
            raise refuse_depth()
        fields = self._others
        if self._settled is not None and tuple(map(type, self._settled(value))) != self._exact:
            fields = self.fields
        left -= 1
        for field in fields:
            try:
                field.node.check(getattr(value, field.name), left)
            except Refusal as refusal:
                raise refusal.at(f".{field.name}") from refusal.__cause__

    def lower(self, value: Any) -> dict[str, Any]:
        lowered: dict[str, Any] = dict([self.tag]) if self.tag and self.tag[0] != TAG else {}
        for field in self.fields:
            member = getattr(value, field.name)
            lowered[field.key] = member if field.node.whole_writes else field.node.lower(member)
        return lowered

    def lift(self, found: Any, strict: bool) -> Any:
        if self.whole_reads and not strict:
            return convert(found, self.tp)
        expect(found, dict)
        if self.tag is not None and self.tag[0] in found:
            found = self._untagged(found, self.tag)
        return self._build(_lift_fields(self.fields, found, strict))

    def _untagged(self, found: dict[str, Any], tag: tuple[str, str | int]) -> dict[str, Any]:
        if found[tag[0]] != tag[1]:
            raise Refusal(f"`{tag[0]}` says {found[tag[0]]!r}, expected {tag[1]!r}")
        return {key: value for key, value in found.items() if key != tag[0]}

    def _build(self, values: dict[str, Any]) -> Any:
        """The instance, as msgspec builds one: fields set, no converter run, then the class's own checks."""
        if issubclass(self.cls, msgspec.Struct):
            return self.cls(**values)
        made = self.cls.__new__(self.cls)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        checked = attrs.has(self.cls)
        after = "__attrs_post_init__" if checked else "__post_init__"
        try:
            if checked:
                attrs.validate(made)
            if hasattr(made, after):
                getattr(made, after)()
        except (ValueError, TypeError) as error:
            raise Refusal(str(error)) from error
        return made


class Shape(Node):
    """A TypedDict."""

    hashable = False

    def __init__(self, tp: Any, name: str) -> None:
        super().__init__(tp, name, (dict,), frozenset({"object"}))
        self.fields: tuple[Field, ...] = ()

    def parts(self) -> tuple[Node, ...]:
        return tuple(field.node for field in self.fields)

    def check(self, value: Any, left: int) -> None:
        if class_of(value) is not dict:
            raise mismatch("dict", value)
        if left <= 0:
            raise refuse_depth()
        _refuse_unknown(value, [field.name for field in self.fields])
        present = [field for field in self.fields if field.required or field.name in value]
        for field in present:
            if field.name not in value:
                raise Refusal(f"its key {field.name!r} is missing")
        _check_fields(present, [value[field.name] for field in present], left - 1)

    def lower(self, value: Any) -> dict[str, Any]:
        nodes = {field.name: field.node for field in self.fields}
        return {key: nodes[key].lower(member) for key, member in value.items()}

    def lift(self, found: Any, strict: bool) -> Any:
        if self.whole_reads and not strict:
            return convert(found, self.tp)
        expect(found, dict)
        return _lift_fields(self.fields, found, strict)


class Row(Node):
    """A NamedTuple, written as an array."""

    def __init__(self, tp: Any, cls: Any, name: str) -> None:
        super().__init__(tp, name, (cls,), frozenset({"array"}))
        self.cls: Any = cls
        self.fields: tuple[Field, ...] = ()

    def parts(self) -> tuple[Node, ...]:
        return tuple(field.node for field in self.fields)

    def check(self, value: Any, left: int) -> None:
        if class_of(value) is not self.cls:
            raise mismatch(self.cls.__name__, value)
        if left <= 0:
            raise refuse_depth()
        _check_fields(self.fields, value, left - 1)

    def lower(self, value: Any) -> list[Any]:
        return [field.node.lower(member) for field, member in zip(self.fields, value, strict=True)]

    def lift(self, found: Any, strict: bool) -> Any:
        if self.whole_reads and not strict:
            return convert(found, self.tp)
        expect(found, list)
        required = sum(field.required for field in self.fields)
        if not required <= len(found) <= len(self.fields):
            raise Refusal(f"expected {required} to {len(self.fields)} items, got {len(found)}")
        lifted: list[Any] = []
        for index, member in enumerate(found):
            try:
                lifted.append(self.fields[index].node.lift(member, strict))
            except Refusal as refusal:
                raise refusal.at(f"[{index}]") from refusal.__cause__
        return self.cls(*lifted)
