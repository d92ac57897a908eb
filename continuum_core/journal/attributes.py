"""Search attributes: names with values, as keys whose bytes sort as the values do.

A value is a text, a number, a truth value or a moment. All of these become bytes here, once, so that every
store compares, ranges and sorts alike by comparing bytes, whatever its own numbers and collations are:

- the first byte is the kind, so that values of two kinds are never equal and never within one range;
- a number is its sign, its power of ten and its digits, exact whether it was a whole number, a decimal or a
  floating one (by its shortest form): 0.1, Decimal("0.10") and 1e-1 are one key;
- a text is its UTF-8, its first 512 bytes; what is longer is compared by these;
- no key is the beginning of another followed by the byte 0: a store may put 0 and more behind a key.

Keys are stored in clear, also by a journal that is sealed: a sealed key could not be ranged over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Context, Decimal

from msgspec import Struct

from continuum_core.clock import from_datetime, to_datetime

__all__ = [
    "LONGEST_NAME",
    "LONGEST_TEXT",
    "STATE",
    "Attribute",
    "Value",
    "changes",
    "key_of",
    "kind_range",
    "name_of_kind",
    "sorted_keys",
    "value_of",
]

STATE = "state"
"""The attribute of a run's active states, by their names and their dotted paths. Reserved."""

LONGEST_NAME = 100
LONGEST_TEXT = 512  # bytes of UTF-8 by which texts are compared

Value = str | int | float | Decimal | bool | datetime
"""What a key is made of."""

_FLAG, _NUMBER, _TEXT, _TIME = b"b", b"n", b"s", b"t"
_NAMES = {_FLAG: "flag", _NUMBER: "number", _TEXT: "text", _TIME: "time"}

_NEGATIVE, _ZERO, _POSITIVE = b"\x01", b"\x02", b"\x03"
_DIGITS = Context(prec=64)
_POWERS = 2**15
_MIDDLE = 2**63
_FLIPPED = bytes(255 - byte for byte in range(256))


class Attribute(Struct, frozen=True, gc=False):
    """One attribute of a run, by name, and its keys: sorted, each once; none: the run has it no more."""

    name: str
    keys: tuple[bytes, ...]


def changes(
    before: Mapping[str, tuple[bytes, ...]], after: Mapping[str, tuple[bytes, ...]]
) -> tuple[Attribute, ...]:
    """What has to be written so that a run which had the one has the other."""
    return tuple(
        Attribute(name, after.get(name, ()))
        for name in sorted({**before, **after})
        if before.get(name, ()) != after.get(name, ())
    )


# --- keys


def key_of(value: object) -> bytes | None:
    """The key of a value; None for a number that is none (NaN, an infinity).

    Raises ValueError for a number beyond 10 to the power of 32767 and for a time without a zone; TypeError
    for another type.
    """
    if isinstance(value, bool):
        return _FLAG + (b"\x01" if value else b"\x00")
    if isinstance(value, str):
        return _TEXT + _text(value)
    if isinstance(value, datetime):
        return _TIME + (from_datetime(value) + _MIDDLE).to_bytes(8, "big")
    if isinstance(value, (int, float, Decimal)):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        return _NUMBER + _number(number) if number.is_finite() else None
    raise TypeError(f"{type(value).__name__} is no type of attributes: text, number, truth value or time")


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    if len(data) > LONGEST_TEXT:
        data = data[:LONGEST_TEXT].decode("utf-8", "ignore").encode()
    # So that the byte 0 stays free for what a store puts behind a key; the order is kept.
    return data.replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01")


def _number(value: Decimal) -> bytes:
    number = _DIGITS.plus(value)
    if not number:
        return _ZERO
    sign, digits, _ = number.as_tuple()
    power = number.adjusted()
    if not -_POWERS < power < _POWERS:
        raise ValueError(f"a number of the order of 1e{power} is out of the range of attributes")
    told = "".join(map(str, digits)).rstrip("0")
    size = (power + _POWERS).to_bytes(2, "big") + told.encode("ascii") + b"\x00"
    return _NEGATIVE + size.translate(_FLIPPED) if sign else _POSITIVE + size


def value_of(key: bytes) -> Value:
    """The value of a key. Numbers come back as int where they are whole, else as Decimal."""
    kind, rest = key[:1], key[1:]
    if kind == _FLAG:
        return rest == b"\x01"
    if kind == _TEXT:
        data = rest.replace(b"\x01\x01", b"\x00").replace(b"\x01\x02", b"\x01")
        return data.decode("utf-8", "surrogatepass")
    if kind == _TIME:
        return to_datetime(int.from_bytes(rest, "big") - _MIDDLE)
    return _value_of_number(rest)


def _value_of_number(rest: bytes) -> int | Decimal:
    if rest == _ZERO:
        return 0
    size = rest[1:].translate(_FLIPPED) if rest[:1] == _NEGATIVE else rest[1:]
    power = int.from_bytes(size[:2], "big") - _POWERS
    digits = size[2:-1].decode("ascii")
    sign = int(rest[:1] == _NEGATIVE)
    number = Decimal((sign, tuple(map(int, digits)), power - len(digits) + 1))
    return int(number) if 0 <= power < 64 and number == number.to_integral_value() else number


def kind_range(key: bytes) -> tuple[bytes, bytes]:
    """The lowest and the highest that keys of this one's kind can be."""
    return key[:1], bytes((key[0] + 1,))


def name_of_kind(key: bytes) -> str:
    """text, number, flag or time."""
    return _NAMES[key[:1]]


def sorted_keys(values: Iterable[Value]) -> tuple[bytes, ...]:
    """The keys of values, as `Attribute` has them."""
    return tuple(sorted({key for value in values if (key := key_of(value)) is not None}))
