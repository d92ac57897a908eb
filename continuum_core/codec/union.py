"""Unions: told apart by the JSON kind of what is written, and classes among each other by their tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from continuum_core.codec.node import Node, Refusal, class_of, convert, mismatch
from continuum_core.codec.product import TAG, Product

__all__ = ["Union", "ambiguity"]

_KINDS: Mapping[type, str] = {
    type(None): "null", bool: "bool", int: "int", float: "float", Decimal: "float", str: "str",
    list: "array", dict: "object",
}  # fmt: skip


class Union(Node):
    """One of several types, no two of which are written alike.

    Classes are written with their tag: msgspec's own for Structs that all declare one, else the class
    name under `$type`, which only we write and read.
    """

    def __init__(self, tp: Any, members: tuple[Node, ...]) -> None:
        super().__init__(
            tp,
            " | ".join(member.name for member in members),
            tuple(dict.fromkeys(cls for member in members for cls in member.types)),
            frozenset(kind for member in members for kind in member.kinds),
        )
        self.members = members
        self.hashable = all(member.hashable for member in members)
        classes = [member for member in members if isinstance(member, Product)]
        self.tag = _tag_key(classes) if len(classes) > 1 else None
        self.lowers = self.lifts = self.tag == TAG
        self._tags: dict[str | int, Product] = {}
        if self.tag is not None:
            self._tags = {_tag_of(member, self.tag): member for member in classes}
        # Exact classes first: an int is a float's guest only where no int is declared.
        self._by_type: dict[type, Node] = {}
        for member in members:
            self._by_type.setdefault(member.types[0], member)
        for member in members:
            for cls in member.types:
                self._by_type.setdefault(cls, member)
        self._by_kind = {kind: member for member in members for kind in member.kinds}

    def parts(self) -> tuple[Node, ...]:
        return self.members

    def check(self, value: Any, left: int) -> None:
        cls = class_of(value)
        member = self._by_type.get(cls)
        if member is None:
            raise mismatch(self.name, value)
        member.check(value, left)

    def lower(self, value: Any) -> Any:
        member = self._by_type[type(value)]
        lowered = member.lower(value)
        if self.tag == TAG and isinstance(member, Product):
            return {TAG: _tag_of(member, TAG), **lowered}
        return lowered

    def lift(self, found: Any, strict: bool) -> Any:
        if self.whole_reads and not strict:
            return convert(found, self.tp)
        kind = _KINDS[class_of(found)]
        if kind == "object" and self.tag is not None:
            return self._lift_tagged(found, self.tag, strict)
        member = self._by_kind.get(kind)
        if member is None and kind in ("int", "float"):
            # JSON has one kind of number: 1 is a float's way to write 1.0, and a Decimal takes both.
            number = next((m for m in self.members if m.types[0] is Decimal), None)
            member = self._by_kind.get("float", number) if kind == "int" else number
        if member is None:
            raise Refusal(f"expected {self.name}, got JSON's {kind}")
        return member.lift(found, strict)

    def _lift_tagged(self, found: dict[str, Any], key: str, strict: bool) -> Any:
        known = ", ".join(map(str, self._tags))
        if key not in found:
            raise Refusal(f"`{key}` is missing; it says which class this is: {known}")
        tag = found[key]
        member = self._tags.get(tag) if isinstance(tag, str | int) else None
        if member is None:
            near = get_close_matches(str(tag), map(str, self._tags), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {known}"
            raise Refusal(f"`{key}` says {tag!r}, which is none of its classes; {hint}", version=True)
        if key == TAG:
            found = {name: value for name, value in found.items() if name != TAG}
        return member.lift(found, strict)


def _tag_key(classes: Sequence[Product]) -> str:
    """The key all these classes share for their tag; ours unless every one is a Struct with its own."""
    own = {member.tag[0] if member.tag else TAG for member in classes}
    return own.pop() if len(own) == 1 else TAG


def _tag_of(member: Product, key: str) -> str | int:
    return member.tag[1] if member.tag is not None and key != TAG else member.cls.__name__


def ambiguity(members: Sequence[Node]) -> str | None:
    """Why these types cannot be told apart when they are read, None if they can."""
    for index, one in enumerate(members):
        for other in members[index + 1 :]:
            shared = one.kinds & other.kinds
            if not shared:
                continue
            if not (isinstance(one, Product) and isinstance(other, Product)):
                return (
                    f"{one.name} and {other.name} are both written as JSON's {min(shared)} and could not be "
                    "told apart; declare one of them, or give each an attrs class of its own"
                )
            key = _tag_key([m for m in members if isinstance(m, Product)])
            if _tag_of(one, key) == _tag_of(other, key):
                return (
                    f"two of its classes are called {one.cls.__name__!r}, the name that tells them apart; "
                    "rename one"
                )
    return None
