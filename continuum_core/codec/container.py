"""Lists, tuples, sets and dicts.

Sets are written in the order of their members' bytes, so that one value has one encoding in every
process; digests and drift checks compare bytes. Dicts keep the order of insertion, which code sees.
"""

from __future__ import annotations

from typing import Any

import msgspec

from continuum_core.codec.node import Node, Refusal, class_of, convert, mismatch, refuse_depth
from continuum_core.codec.scalar import Enumeration

__all__ = ["Pairs", "Series", "Tuple", "expect"]

_KIND_NAMES = {dict: "object", list: "array", str: "str", bool: "bool", int: "int", type(None): "null"}


def expect(found: Any, cls: type) -> None:
    """Refuse parsed JSON that is not an array (`list`) or object (`dict`)."""
    if type(found) is not cls:
        got = _KIND_NAMES.get(class_of(found), "float")
        raise Refusal(f"Expected `{_KIND_NAMES[cls]}`, got `{got}`")


class Series(Node):
    """list, tuple[T, ...], set or frozenset of one item type."""

    def __init__(self, tp: Any, cls: Any, item: Node) -> None:
        super().__init__(tp, cls.__name__, (cls,), frozenset({"array"}))
        self.cls: Any = cls
        self.item = item
        self.unordered = issubclass(cls, (set, frozenset))
        self.lowers = self.unordered
        self.hashable = cls is frozenset or (cls is tuple and item.hashable)

    def parts(self) -> tuple[Node, ...]:
        return (self.item,)

    def check(self, value: Any, left: int) -> None:
        cls = class_of(value)
        if cls is not self.cls:
            raise mismatch(self.name, value)
        if left <= 0:
            raise refuse_depth()
        item = self.item
        if item.settled and set(map(type, value)) <= set(item.types):
            return
        check, left = item.check, left - 1
        for index, member in enumerate(value):
            try:
                check(member, left)
            except Refusal as refusal:
                raise refusal.at(f"[{index}]") from refusal.__cause__

    def lower(self, value: Any) -> Any:
        item = self.item
        lowered = list(value) if item.whole_writes else [item.lower(member) for member in value]
        if self.unordered:
            lowered.sort(key=msgspec.json.encode)
        return lowered

    def lift(self, found: Any, strict: bool) -> Any:
        if self.whole_reads and not strict:
            return convert(found, self.tp)
        expect(found, list)
        lift = self.item.lift
        lifted: list[Any] = []
        for index, member in enumerate(found):
            try:
                lifted.append(lift(member, strict))
            except Refusal as refusal:
                raise refusal.at(f"[{index}]") from refusal.__cause__
        return self.cls(lifted)


class Tuple(Node):
    """A tuple of fixed length."""

    def __init__(self, tp: Any, items: tuple[Node, ...]) -> None:
        super().__init__(tp, "tuple", (tuple,), frozenset({"array"}))
        self.items = items
        self.hashable = all(item.hashable for item in items)

    def parts(self) -> tuple[Node, ...]:
        return self.items

    def check(self, value: Any, left: int) -> None:
        if class_of(value) is not tuple:
            raise mismatch("tuple", value)
        if left <= 0:
            raise refuse_depth()
        self._fits(len(value))
        for index, (item, member) in enumerate(zip(self.items, value, strict=True)):
            try:
                item.check(member, left - 1)
            except Refusal as refusal:
                raise refusal.at(f"[{index}]") from refusal.__cause__

    def lower(self, value: Any) -> Any:
        return [item.lower(member) for item, member in zip(self.items, value, strict=True)]

    def lift(self, found: Any, strict: bool) -> Any:
        if self.whole_reads and not strict:
            return convert(found, self.tp)
        expect(found, list)
        self._fits(len(found))
        lifted: list[Any] = []
        for index, (item, member) in enumerate(zip(self.items, found, strict=True)):
            try:
                lifted.append(item.lift(member, strict))
            except Refusal as refusal:
                raise refusal.at(f"[{index}]") from refusal.__cause__
        return tuple(lifted)

    def _fits(self, length: int) -> None:
        if length != len(self.items):
            raise Refusal(f"expected {len(self.items)} items, got {length}")


class Pairs(Node):
    """A dict; JSON writes its keys as text, so only keys that text names exactly are planned."""

    hashable = False

    def __init__(self, tp: Any, key: Node, value: Node) -> None:
        super().__init__(tp, "dict", (dict,), frozenset({"object"}))
        self.key = key
        self.value = value
        # msgspec before 0.20 refuses to write members of an enum of str as keys.
        self.lowers = isinstance(key, Enumeration)
        self._keys = dict[key.tp, None]  # type: ignore[name-defined]  # built at run time, for `convert` alone

    def parts(self) -> tuple[Node, ...]:
        return (self.key, self.value)

    def check(self, value: Any, left: int) -> None:
        if class_of(value) is not dict:
            raise mismatch("dict", value)
        if left <= 0:
            raise refuse_depth()
        left -= 1
        for key, member in value.items():
            try:
                self.key.check(key, 0)
            except Refusal as refusal:
                raise Refusal(f"its key {key!r}: {refusal.reason}") from refusal.__cause__
            try:
                self.value.check(member, left)
            except Refusal as refusal:
                raise refusal.at(f"[{key!r}]") from refusal.__cause__

    def lower(self, value: Any) -> Any:
        return {self.key.lower(key): self.value.lower(member) for key, member in value.items()}

    def lift(self, found: Any, strict: bool) -> Any:
        if self.whole_reads and not strict:
            return convert(found, self.tp)
        expect(found, dict)
        keys = list(convert(dict.fromkeys(found), self._keys))
        if len(keys) != len(found):
            raise Refusal("two of its keys are the same value written differently")
        lifted: dict[Any, Any] = {}
        for key, (text, member) in zip(keys, found.items(), strict=True):
            try:
                lifted[key] = self.value.lift(member, strict)
            except Refusal as refusal:
                raise refusal.at(f"[{text!r}]") from refusal.__cause__
        return lifted
