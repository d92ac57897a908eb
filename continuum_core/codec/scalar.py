"""Types that hold no other: numbers, text, times, identifiers, enums, literals and free JSON."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec

from continuum_core.codec.node import Node, Refusal, class_of, convert, mismatch, refuse_depth

__all__ = [
    "FREE_JSON",
    "SCALARS",
    "Constrained",
    "Enumeration",
    "FreeJson",
    "Json",
    "OneOf",
    "scalar",
]

FREE_JSON = "continuum_core: free JSON"

if TYPE_CHECKING:
    Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
else:
    Json = Annotated[Any, FREE_JSON]
"""Free JSON as a field type: None, bool, int, finite float, str, and lists and dicts of these."""


class Exact(Node):
    """A class whose every instance comes back equal: the class is all there is to check."""

    settled = True

    def lift(self, found: Any, strict: bool) -> Any:
        # What JSON has itself needs no reading.
        return found if type(found) is self.tp and self.tp in _JSON else convert(found, self.tp)


_JSON = frozenset({type(None), bool, int, str})


class Float(Node):
    """Finite floats; an int is taken where it is the same number."""

    def check(self, value: Any, left: int) -> None:
        if type(value) is float:
            if not isfinite(value):  # msgspec would write null
                raise Refusal(f"{value} is not finite and has no JSON form")
        elif type(value) is int:
            try:
                same = float(value) == value
            except OverflowError:
                same = False
            if not same:
                raise Refusal("this int has no equal float; declare int or Decimal")
        else:
            raise mismatch("float", value)


class Number(Node):
    """Finite Decimals, written as text with all their digits."""

    def check(self, value: Any, left: int) -> None:
        if class_of(value) is not Decimal:
            raise mismatch("Decimal", value)
        if not value.is_finite():
            raise Refusal(f"{value} is not finite; use None for a missing number")

    def lift(self, found: Any, strict: bool) -> Any:
        value = convert(found, self.tp)
        if not value.is_finite():
            raise Refusal(f"{value} is not finite; use null for a missing number")
        return value


class Moment(Node):
    """datetime and time: naive, or at a fixed offset of whole minutes.

    A zone with rules (ZoneInfo) is refused: it would come back as a bare offset, after which adding a
    day can give another answer. `fold` is not carried; equality does not see it either.
    """

    def check(self, value: Any, left: int) -> None:
        if type(value) not in self.types:
            raise mismatch(self.name, value)
        zone = value.tzinfo
        if zone is None:
            return
        if type(zone) is not timezone:
            raise Refusal(
                f"its time zone is {zone!r}, whose rules JSON cannot carry; "
                "convert with .astimezone(timezone.utc)"
            )
        if zone.utcoffset(None) % _MINUTE:
            raise Refusal("its offset from UTC is not whole minutes; convert with .astimezone(timezone.utc)")


_MINUTE = timedelta(minutes=1)


class Enumeration(Node):
    """An enum whose values are all str or all int."""

    settled = True

    def __init__(self, tp: type[enum.Enum]) -> None:
        values = [member.value for member in tp]
        kind = "str" if isinstance(values[0], str) else "int"
        super().__init__(tp, tp.__name__, (tp,), frozenset({kind}))
        self.members: Mapping[str, str | int] = {
            name: member.value for name, member in tp.__members__.items()
        }

    def lower(self, value: Any) -> Any:
        return value.value


class OneOf(Node):
    """A Literal of str, int and None values."""

    def __init__(self, tp: Any, values: tuple[str | int | None, ...]) -> None:
        types = tuple(dict.fromkeys(type(value) for value in values))
        kinds = frozenset({type(None): "null", int: "int", str: "str"}[cls] for cls in types)
        super().__init__(tp, f"one of {', '.join(map(repr, values))}", types, kinds)
        self.values = values

    def check(self, value: Any, left: int) -> None:
        # 1 == True: the class counts, too.
        if type(value) not in self.types or value not in self.values:
            raise Refusal(f"expected {self.name}, got {repr(value)[:60]}")


class FreeJson(Node):
    """A tree of JSON values without a declared shape."""

    hashable = False

    def __init__(self) -> None:
        kinds = frozenset({"null", "bool", "int", "float", "str", "array", "object"})
        types = (type(None), bool, int, float, str, list, dict)
        super().__init__(Any, "JSON", types, kinds)

    def check(self, value: Any, left: int) -> None:
        cls = class_of(value)
        if cls not in self.types:
            raise Refusal(f"{cls.__name__} is not JSON; it takes None, bool, int, float, str, list and dict")
        if cls is float and not isfinite(value):
            raise Refusal(f"{value} is not finite and has no JSON form")
        if cls is list or cls is dict:
            self._check_inside(value, left)

    def _check_inside(self, value: list[Any] | dict[Any, Any], left: int) -> None:
        if left <= 0:
            raise refuse_depth()
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict) and type(key) is not str:
                raise Refusal(f"a key is {type(key).__name__}; JSON's keys are str")
            try:
                self.check(item, left - 1)
            except Refusal as refusal:
                raise refusal.at(f"[{key!r}]") from refusal.__cause__

    def lift(self, found: Any, strict: bool) -> Any:
        cls = class_of(found)
        if cls is Decimal:
            return float(found)
        if cls is list:
            return [self.lift(item, strict) for item in found]
        if cls is dict:
            return {key: self.lift(item, strict) for key, item in found.items()}
        return found


class Constrained(Node):
    """A type with `msgspec.Meta` limits, which msgspec checks only when it reads.

    Written unchecked, a value outside them could never be read again.
    """

    def __init__(self, tp: Any, inner: Node) -> None:
        super().__init__(tp, inner.name, inner.types, inner.kinds)
        self.inner = inner
        self.hashable = inner.hashable

    def parts(self) -> tuple[Node, ...]:
        return (self.inner,)

    def check(self, value: Any, left: int) -> None:
        self.inner.check(value, left)
        self._within(value)

    def lower(self, value: Any) -> Any:
        return self.inner.lower(value)

    def lift(self, found: Any, strict: bool) -> Any:
        value = self.inner.lift(found, strict)
        self._within(value)
        return value

    def _within(self, value: Any) -> None:
        convert(msgspec.to_builtins(value, builtin_types=_BUILTIN), self.tp)


_BUILTIN = (bytes, datetime, date, time, timedelta, UUID, Decimal)

SCALARS: Mapping[type, tuple[type[Node], str]] = {
    type(None): (Exact, "null"),
    bool: (Exact, "bool"),
    int: (Exact, "int"),
    float: (Float, "float"),
    str: (Exact, "str"),
    bytes: (Exact, "str"),
    UUID: (Exact, "str"),
    date: (Exact, "str"),
    timedelta: (Exact, "str"),
    datetime: (Moment, "str"),
    time: (Moment, "str"),
    Decimal: (Number, "str"),
}
"""The classes carried as they are → their node and the JSON kind they are written as."""


def scalar(tp: type) -> Node:
    """The node of a class of `SCALARS`."""
    make, kind = SCALARS[tp]
    name = "None" if tp is type(None) else tp.__name__
    types = (float, int) if tp is float else (tp,)
    return make(tp, name, types, frozenset({kind}))
