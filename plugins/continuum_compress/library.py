"""Zstandard from wherever it comes: the standard library from Python 3.14 on, a package before."""

from __future__ import annotations

import sys

from continuum_core.errors import PayloadLocked, UsageError

__all__ = ["compressed", "decompressed"]

_DAMAGED = "it is damaged: it cannot be decompressed"
_TOO_MUCH = "it would have more than {:,} bytes when decompressed"

if sys.version_info >= (3, 14):
    from compression import zstd

    def compressed(data: bytes, level: int) -> bytes:
        """The data as one frame."""
        return zstd.compress(data, level)

    def decompressed(data: bytes, limit: int) -> bytes:
        """What was compressed. Raises PayloadLocked: it is damaged, or more than `limit` bytes."""
        decompressor = zstd.ZstdDecompressor()
        try:
            made = decompressor.decompress(data, max_length=limit + 1)
        except zstd.ZstdError as error:
            raise PayloadLocked(_DAMAGED) from error
        if len(made) > limit:
            raise PayloadLocked(_TOO_MUCH.format(limit))
        if not decompressor.eof:
            raise PayloadLocked(_DAMAGED)
        return made

else:
    try:
        import zstandard
    except ImportError as missing:
        raise UsageError(
            'CONTINUUM_COMPRESS is set, and its library is missing: pip install "continuum-core[compress]"'
        ) from missing

    def compressed(data: bytes, level: int) -> bytes:
        """The data as one frame."""
        return zstandard.ZstdCompressor(level=level).compress(data)

    def decompressed(data: bytes, limit: int) -> bytes:
        """What was compressed. Raises PayloadLocked: it is damaged, or more than `limit` bytes."""
        try:
            # A frame that tells its size is given that much memory, whatever `max_output_size` says.
            if zstandard.frame_content_size(data) > limit:
                raise PayloadLocked(_TOO_MUCH.format(limit))
            return zstandard.ZstdDecompressor().decompress(data, max_output_size=limit)
        except zstandard.ZstdError as error:
            raise PayloadLocked(_DAMAGED) from error
