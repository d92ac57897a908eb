"""Payloads compressed with Zstandard, before they are encrypted.

``CONTINUUM_COMPRESS`` takes it into use: ``zstd``, or ``zstd:LEVEL`` (1 to 19), or ``read`` to compress
nothing more and read what was compressed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from continuum_core.hooks import PayloadCodec, hookimpl

__all__ = ["HOOKS_VERSION", "Compress", "payload_codecs"]

HOOKS_VERSION = 2

_SETTING = "CONTINUUM_COMPRESS"
_LEVEL = 3
_LEVELS = range(1, 20)


class Compress:
    """The plugin, for programs that configure it themselves. Raises ValueError for a level that is none.

    :param level: of compression, 1 to 19.
    :param writes: False: only read what was compressed.
    :param least: payloads of fewer bytes are stored as they are.
    :param limit: bytes that a payload may have when it is decompressed.
    """

    HOOKS_VERSION = HOOKS_VERSION

    def __init__(
        self, level: int = _LEVEL, *, writes: bool = True, least: int = 256, limit: int = 64 << 20
    ) -> None:
        if level not in _LEVELS:
            raise ValueError(f"the level of Zstandard is 1 to 19, not {level}")
        self._level = level
        self._writes = writes
        self._least = least
        self._limit = limit

    @hookimpl
    def payload_codecs(self) -> Iterable[PayloadCodec]:
        """One codec."""
        from continuum_compress.zstd import Zstd  # noqa: PLC0415 (only where it is in use)

        return [Zstd(self._level, writes=self._writes, least=self._least, limit=self._limit)]


@hookimpl
def payload_codecs() -> Iterable[PayloadCodec]:
    """The codec that the environment asks for; none where it asks for none. Raises ValueError."""
    setting = os.environ.get(_SETTING, "").strip().lower()
    if not setting:
        return []
    if setting == "read":
        return Compress(writes=False).payload_codecs()
    name, _, level = setting.partition(":")
    if name != "zstd" or (level and not level.isdecimal()):
        raise ValueError(f"{_SETTING} should be zstd, zstd:LEVEL or read, not {setting!r}")
    return Compress(int(level or _LEVEL)).payload_codecs()
