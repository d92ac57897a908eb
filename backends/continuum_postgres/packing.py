"""Parameters of a static statement, packed by the types that its own text states.

Rule: every parameter of a statement stands there with its type (`$7::bigint`, `$7::bigint[]`); an array takes
the values of many members, a plain type that of one. So a statement's text has one prepared form, whatever is
NULL in it, and the values of a member need only have the order of the text.

Source of the formats: the receive functions of the server's types; those of arrays are in `arrays`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import attrgetter
from struct import Struct
from typing import Any, NamedTuple

from continuum_postgres import arrays

__all__ = ["TEXT", "Packed", "Stated", "Value", "bigint", "pack", "packed", "stated"]

Value = bytes | None
"""As it is sent; None for NULL."""

_Pack = Callable[[Any], bytes]

TEXT = 25
"""The server's number of the type text."""

_PARAMETER = re.compile(r"\$(\d+)::(\w+(?:\[\])?)")


class Packed(tuple[Value, ...]):
    """The parameters of a statement after the namespace's number; it is a transaction by itself."""

    __slots__ = ()


_BOOLEANS = (b"\0", b"\1")
_UUID = attrgetter("bytes")

_TYPES: dict[str, tuple[int, _Pack]] = {
    "smallint": (21, Struct("!h").pack),
    "integer": (23, Struct("!i").pack),
    "bigint": (20, Struct("!q").pack),
    "boolean": (16, _BOOLEANS.__getitem__),
    "bytea": (17, bytes),
    "text": (TEXT, str.encode),
    "uuid": (2950, _UUID),
    "smallint[]": (1005, arrays.smallints),
    "integer[]": (1007, arrays.integers),
    "bigint[]": (1016, arrays.bigints),
    "boolean[]": (1000, arrays.booleans),
    "bytea[]": (1001, arrays.byteas),
    "text[]": (1009, arrays.texts),
    "uuid[]": (2951, arrays.uuids),
}
"""By name: the server's number for it, and what packs a value that is not NULL."""


_BIGINT = Struct("!q").unpack


def bigint(value: bytes | None) -> int:
    """A bigint of an answer, from its binary format, where it is not NULL."""
    number: int = _BIGINT(value or b"")[0]
    return number


class Stated(NamedTuple):
    """What a statement says of its parameters.

    :ivar types: the server's numbers of their types, the namespace's first.
    :ivar packers: what packs each, the namespace's left out.
    """

    types: tuple[int, ...]
    packers: tuple[_Pack, ...]


@cache
def stated(statement: str) -> Stated:
    """The parameters of a statement, from `$1` on."""
    names = {int(number): name for number, name in _PARAMETER.findall(statement)}
    known = [_TYPES[names[number]] for number in range(1, len(names) + 1)]
    return Stated(tuple(number for number, _ in known), tuple(pack for _, pack in known[1:]))


def pack(packers: Sequence[_Pack], values: Iterable[Any]) -> list[Value]:
    """The values of parameters, in their order.

    Raises UnicodeEncodeError, OverflowError, struct.error for what the server cannot hold.
    """
    return [
        # An id's number makes its bytes itself: that of each would cost a call of Python's otherwise.
        None if value is None else value.int.to_bytes(16) if pack is _UUID else pack(value)
        for pack, value in zip(packers, values, strict=True)
    ]


def packed(statement: str, values: Iterable[Any]) -> Packed:
    """The values of all parameters after the namespace's number. Raises as `pack` does."""
    return Packed(pack(stated(statement).packers, values))
