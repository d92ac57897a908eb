"""The payload codec: one byte that says how, then the bytes.

Decompression is bounded: a few bytes that stand for gigabytes are refused before they fill the memory.
"""

from __future__ import annotations

from continuum_compress.library import compressed, decompressed
from continuum_core.errors import PayloadLocked

__all__ = ["Zstd"]

_PLAIN = 0
_ZSTD = 1


class Zstd:
    """The codec; see `Compress` for the parameters."""

    tag = "zstd"
    order = 100
    required = False

    def __init__(self, level: int, *, writes: bool, least: int, limit: int) -> None:
        self._level = level
        self.writes = writes
        self._least = least
        self._limit = limit

    def encode(self, data: bytes, bound: bytes) -> bytes:
        """Compress, unless it is too little or does not become less. `bound` is others' business."""
        if len(data) >= self._least:
            made = compressed(data, self._level)
            if len(made) < len(data):
                return bytes([_ZSTD]) + made
        return bytes([_PLAIN]) + data

    def decode(self, data: bytes, bound: bytes) -> bytes:
        """Decompress. Raises PayloadLocked: it is damaged, or more than may be."""
        how = data[0] if data else None
        if how == _PLAIN:
            return data[1:]
        if how != _ZSTD:
            raise PayloadLocked("it is damaged, or a newer release compressed it")
        return decompressed(data[1:], self._limit)

    def digest(self, data: bytes) -> None:
        """It has no key."""
