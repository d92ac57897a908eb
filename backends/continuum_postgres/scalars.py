"""The columns of one member: each is a value by itself, where `arrays` packs those of many.

Rule: what `arrays` packs for a statement about many members, the function of the same name here packs for the
statement about one, which has the type in the place of the array (`statements.fused.alone`). A value that is
NULL states its type as well: without it the driver would prepare the text once more for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import ClassVar
from uuid import UUID

from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

__all__ = ["bigints", "booleans", "byteas", "integers", "register", "smallints", "texts", "uuids"]

_INT2 = Struct("!h").pack
_INT4 = Struct("!i").pack
_INT8 = Struct("!q").pack
_TRUE, _FALSE = b"\1", b"\0"


class _Value:
    """A value that is packed already; None for NULL."""

    __slots__ = ("packed",)
    oid: ClassVar[int]

    def __init__(self, packed: bytes | None) -> None:
        self.packed = packed


class _Bigint(_Value):
    oid = 20


class _Integer(_Value):
    oid = 23


class _Smallint(_Value):
    oid = 21


class _Boolean(_Value):
    oid = 16


class _Bytea(_Value):
    oid = 17


class _Text(_Value):
    oid = 25


class _Uuid(_Value):
    oid = 2950


def bigints(values: Sequence[int | None]) -> _Bigint:
    [value] = values
    return _Bigint(None if value is None else _INT8(value))


def integers(values: Sequence[int]) -> _Integer:
    [value] = values
    return _Integer(_INT4(value))


def smallints(values: Sequence[int]) -> _Smallint:
    [value] = values
    return _Smallint(_INT2(value))


def booleans(values: Sequence[bool]) -> _Boolean:
    [value] = values
    return _Boolean(_TRUE if value else _FALSE)


def byteas(values: Sequence[bytes | None]) -> _Bytea:
    return _Bytea(values[0])


def texts(values: Sequence[str | None]) -> _Text:
    """Raises UnicodeEncodeError for text that is none (lone surrogates)."""
    [value] = values
    return _Text(None if value is None else value.encode())


def uuids(values: Sequence[UUID | None]) -> _Uuid:
    [value] = values
    return _Uuid(None if value is None else value.bytes)


class _ValueDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: _Value) -> Buffer | None:
        return obj.packed


def _dumper(kind: type[_Value]) -> type[Dumper]:
    return type(f"{kind.__name__}Dumper", (_ValueDumper,), {"oid": kind.oid})


_DUMPERS = {kind: _dumper(kind) for kind in (_Bigint, _Integer, _Smallint, _Boolean, _Bytea, _Text, _Uuid)}


def register(context: AdaptContext) -> None:
    """Make a connection send what this module packs."""
    for kind, dumper in _DUMPERS.items():
        context.adapters.register_dumper(kind, dumper)
