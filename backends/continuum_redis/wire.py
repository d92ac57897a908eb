"""Arguments of scripts as bytes: numbers as doubles, texts and bytes by length, lists by count.

Rule: what Lua cannot hold is refused here, before anything is sent: it has doubles, and no whole number
beyond 2**53 is safe in one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

__all__ = ["Writer"]

T = TypeVar("T")

_NUMBER = struct.Struct(">d").pack
_LENGTH = struct.Struct(">I").pack
_LARGEST = 2**53
_ABSENT, _PRESENT = b"\0", b"\1"


class Writer:
    """Bytes in the making. Raises OverflowError, UnicodeEncodeError for what cannot be sent."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def packed(self) -> bytes:
        return b"".join(self._parts)

    def number(self, value: int) -> None:
        if not -_LARGEST <= value <= _LARGEST:
            raise OverflowError(f"{value} is beyond 2**53")
        self._parts.append(_NUMBER(value))

    def bytes(self, value: bytes) -> None:
        self._parts += (_LENGTH(len(value)), value)

    def text(self, value: str) -> None:
        self.bytes(value.encode())

    def uuid(self, value: UUID) -> None:
        self.bytes(value.bytes)

    def flag(self, value: bool) -> None:
        self._parts.append(_PRESENT if value else _ABSENT)

    def maybe(self, write: Callable[[T], None], value: T | None) -> None:
        if value is None:
            self._parts.append(_ABSENT)
        else:
            self._parts.append(_PRESENT)
            write(value)

    def list(self, write: Callable[[T], None], values: Iterable[T]) -> None:
        listed = list(values)
        self.number(len(listed))
        for value in listed:
            write(value)
