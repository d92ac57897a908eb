"""Arguments of scripts as bytes: numbers as doubles, texts and bytes by length, lists by count.

Rule: what Lua cannot hold is refused here, before anything is sent: it has doubles, and no whole number
beyond 2**53 is safe in one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from typing import TypeVar
from uuid import UUID

__all__ = ["Writer", "whole"]

T = TypeVar("T")

_NUMBER = struct.Struct(">d").pack
_LENGTH = struct.Struct(">I").pack
_LARGEST = 2**53
_ABSENT, _PRESENT = b"\0", b"\1"
_NAME = _LENGTH(16)  # before the bytes of an id
_NONE = _NUMBER(0)  # a list of nothing: most lists of most turns


def whole(value: int) -> int:
    """The number, where it is safe in a double. Raises OverflowError."""
    if not -_LARGEST <= value <= _LARGEST:
        raise OverflowError(f"{value} is beyond 2**53")
    return value


class Writer:
    """Bytes in the making. Raises OverflowError, UnicodeEncodeError for what cannot be sent."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def packed(self) -> bytes:
        return b"".join(self._parts)

    def raw(self, *parts: bytes) -> None:
        """What the caller packed as this class would."""
        self._parts += parts

    def texts(self, head: bytes, *texts: bytes) -> None:
        """What the caller packed, and texts behind it."""
        parts = self._parts
        parts.append(head)
        for text in texts:
            parts += (_LENGTH(len(text)), text)

    def number(self, value: int) -> None:
        self._parts.append(_NUMBER(whole(value)))

    def bytes(self, value: bytes) -> None:
        self._parts += (_LENGTH(len(value)), value)

    def text(self, value: str) -> None:
        self.bytes(value.encode())

    def uuid(self, value: UUID) -> None:
        self._parts.append(_NAME + value.bytes)

    def flag(self, value: bool) -> None:
        self._parts.append(_PRESENT if value else _ABSENT)

    def maybe(self, write: Callable[[T], None], value: T | None) -> None:
        if value is None:
            self._parts.append(_ABSENT)
        else:
            self._parts.append(_PRESENT)
            write(value)

    def list(self, write: Callable[[T], None], values: Collection[T]) -> None:
        if not values:
            self._parts.append(_NONE)
            return
        self._parts.append(_NUMBER(len(values)))
        for value in values:
            write(value)
