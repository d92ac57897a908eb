"""Parameters in PostgreSQL's binary wire format: arrays packed at once, and the types they state.

Rule: every parameter states its type, so that a statement's text has one prepared form. The driver's own
dumper of lists asks every element for its type; a batch of five hundred turns has twenty thousand.

Source of the format: array_recv and array_send of the server: dimensions, a flag for NULLs, the element's
type, length, lower bound; then each element with its length, -1 for NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import cast
from uuid import UUID

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

__all__ = [
    "Bigint",
    "bigints",
    "booleans",
    "byteas",
    "integers",
    "register",
    "smallints",
    "texts",
    "uuids",
]

_LARGEST = 1_000_000_000
"""Bytes of one parameter: the server allocates no more than 1 GiB for one value."""

_HEAD = Struct("!5i")
_EMPTY = Struct("!3i")
_INT2 = Struct("!ih").pack
_INT4 = Struct("!ii").pack
_INT8 = Struct("!iq").pack
_LENGTH = Struct("!i").pack
_NULL = _LENGTH(-1)
_UUID = _LENGTH(16)
_TRUE, _FALSE = b"\0\0\0\1\1", b"\0\0\0\1\0"


class _Packed(bytes):
    """A parameter that is packed already."""


class Bigints(_Packed): ...


class Integers(_Packed): ...


class Smallints(_Packed): ...


class Booleans(_Packed): ...


class Byteas(_Packed): ...


class Texts(_Packed): ...


class Uuids(_Packed): ...


class Bigint(int):
    """A bigint, however small its value is."""


def _array(oid: int, elements: Sequence[bytes]) -> bytes:
    return _joined(oid, len(elements), b"".join(elements))


def _joined(oid: int, count: int, elements: bytes) -> bytes:
    if not count:
        return _EMPTY.pack(0, 0, oid)
    packed = _HEAD.pack(1, 1, oid, count, 1) + elements
    if len(packed) > _LARGEST:  # the server would end the connection over it, with the verb's fate unknown
        raise OverflowError(f"{len(packed):,} bytes in one parameter; the server takes {_LARGEST:,}")
    return packed


def bigints(values: Sequence[int | None]) -> Bigints:
    return Bigints(_array(20, [_NULL if value is None else _INT8(8, value) for value in values]))


def integers(values: Sequence[int]) -> Integers:
    return Integers(_array(23, [_INT4(4, value) for value in values]))


def smallints(values: Sequence[int]) -> Smallints:
    return Smallints(_array(21, [_INT2(2, value) for value in values]))


def booleans(values: Sequence[bool]) -> Booleans:
    return Booleans(_array(16, [_TRUE if value else _FALSE for value in values]))


def byteas(values: Sequence[bytes | None]) -> Byteas:
    return Byteas(_array(17, [_NULL if value is None else _LENGTH(len(value)) + value for value in values]))


def texts(values: Sequence[str | None]) -> Texts:
    """Raises UnicodeEncodeError for text that is none (lone surrogates)."""
    known = set(values)
    if 2 * len(known) < len(values):  # names of queues, machines, activities: few, and each many times
        packed = {value: _NULL if value is None else _text(value) for value in known}
        return Texts(_array(25, [packed[value] for value in values]))
    return Texts(_array(25, [_NULL if value is None else _text(value) for value in values]))


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH(len(encoded)) + encoded


def uuids(values: Sequence[UUID | None]) -> Uuids:
    try:  # a third of what is sent is ids, and this is half the time
        known = _UUID.join([value.int.to_bytes(16, "big") for value in cast("Sequence[UUID]", values)])
        return Uuids(_joined(2950, len(values), _UUID + known))
    except AttributeError:  # None is among them
        pass
    if not any(values):
        return Uuids(_joined(2950, len(values), _NULL * len(values)))
    packed = [_NULL if value is None else _UUID + value.int.to_bytes(16, "big") for value in values]
    return Uuids(_array(2950, packed))


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


class _Bigints(_PackedDumper):
    oid = 1016


class _Integers(_PackedDumper):
    oid = 1007


class _Smallints(_PackedDumper):
    oid = 1005


class _Booleans(_PackedDumper):
    oid = 1000


class _Byteas(_PackedDumper):
    oid = 1001


class _Texts(_PackedDumper):
    oid = 1009


class _Uuids(_PackedDumper):
    oid = 2951


class _Bigint(Dumper):
    format = Format.BINARY
    oid = 20

    def dump(self, obj: int) -> bytes:
        return obj.to_bytes(8, "big", signed=True)


_DUMPERS: tuple[tuple[type, type[Dumper]], ...] = (
    (Bigints, _Bigints),
    (Integers, _Integers),
    (Smallints, _Smallints),
    (Booleans, _Booleans),
    (Byteas, _Byteas),
    (Texts, _Texts),
    (Uuids, _Uuids),
    (Bigint, _Bigint),
)


def register(context: AdaptContext) -> None:
    """Make a connection send what this module packs."""
    for packed, dumper in _DUMPERS:
        context.adapters.register_dumper(packed, dumper)
