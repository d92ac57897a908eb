"""Sealed payloads as those see them who cannot open them: the head, and a word on why.

How they are sealed and opened is told in `hooks.sealing`.
"""

from __future__ import annotations

from msgspec import Struct

from continuum_core.errors import PayloadLocked

__all__ = ["FIXED", "FORMAT", "MARK", "Head", "Unopened", "is_sealed", "locked"]

MARK = 0x1F
"""The first byte, the unit separator: no JSON value begins with it."""

FORMAT = 1
"""The second byte."""

FIXED = 11
"""Bytes before the tags."""


class Unopened(bytes):
    """A sealed payload that could not be opened, as it is stored. `reason` is a sentence."""

    reason: str

    def __new__(cls, data: bytes, reason: str) -> Unopened:
        made = super().__new__(cls, data)
        made.reason = reason
        return made


class Head(Struct, frozen=True):
    """The head of a sealed payload: its bytes, what the payload is, its version, the tags of its codecs."""

    data: bytes
    kind: int
    version: int
    tags: tuple[str, ...]

    @staticmethod
    def read(data: bytes) -> Head:
        """The head of a sealed payload. Raises PayloadLocked."""
        end = data.find(b"\n", FIXED, FIXED + 256)
        if end < 0:
            raise PayloadLocked("a sealed payload has no whole head: it was damaged")
        if data[1] != FORMAT:
            raise PayloadLocked(
                f"a sealed payload has format {data[1]}; this release reads {FORMAT}: deploy the newer code"
            )
        tags = tuple(data[FIXED:end].decode("ascii", "replace").split(","))
        return Head(data[: end + 1], data[2], int.from_bytes(data[3:FIXED]), tags)


def is_sealed(data: bytes) -> bool:
    """Whether these bytes are a sealed payload."""
    return len(data) > 0 and data[0] == MARK


def locked(data: bytes) -> PayloadLocked | None:
    """The error of a payload that cannot be read because it is sealed; None for a plain one."""
    if isinstance(data, Unopened):
        return PayloadLocked(data.reason)
    if not is_sealed(data):
        return None
    try:
        chain = ", ".join(Head.read(data).tags)
    except PayloadLocked as error:
        return error
    return PayloadLocked(f"a stored payload is sealed by {chain}, and no payload codec is configured here")
