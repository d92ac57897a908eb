"""Parameters of a static statement, packed by the types that its own text states.

Rule: every parameter of a statement stands there with its type (`$7::bigint`, `$7::bigint[]`); an array takes
the values of many members, a plain type that of one. So a statement's text has one prepared form, whatever is
NULL in it, and the values of a member need only have the order of the text.

Source of the formats: the receive functions of the server's types; those of arrays are in `arrays`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from struct import Struct
from typing import Any

from continuum_postgres import arrays

__all__ = ["TEXT", "Packed", "Value", "packed", "types"]

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

_TYPES: dict[str, tuple[int, _Pack]] = {
    "smallint": (21, Struct("!h").pack),
    "integer": (23, Struct("!i").pack),
    "bigint": (20, Struct("!q").pack),
    "boolean": (16, _BOOLEANS.__getitem__),
    "bytea": (17, bytes),
    "text": (TEXT, str.encode),
    "uuid": (2950, attrgetter("bytes")),
    "smallint[]": (1005, arrays.smallints),
    "integer[]": (1007, arrays.integers),
    "bigint[]": (1016, arrays.bigints),
    "boolean[]": (1000, arrays.booleans),
    "bytea[]": (1001, arrays.byteas),
    "text[]": (1009, arrays.texts),
    "uuid[]": (2951, arrays.uuids),
}
"""By name: the server's number for it, and what packs a value that is not NULL."""


@cache
def _stated(statement: str) -> tuple[tuple[int, ...], tuple[_Pack, ...]]:
    """The types of a statement's parameters, from `$1` on."""
    stated = {int(number): name for number, name in _PARAMETER.findall(statement)}
    known = [_TYPES[stated[number]] for number in range(1, len(stated) + 1)]
    return tuple(number for number, _ in known), tuple(pack for _, pack in known)


def types(statement: str) -> tuple[int, ...]:
    """The server's numbers of the types of all parameters, the namespace's first."""
    return _stated(statement)[0]


def packed(statement: str, values: Iterable[object]) -> Packed:
    """The values of all parameters after the namespace's number, in their order.

    Raises UnicodeEncodeError, OverflowError, struct.error for what the server cannot hold.
    """
    packers = _stated(statement)[1][1:]
    paired = zip(packers, values, strict=True)
    return Packed([None if value is None else pack(value) for pack, value in paired])
