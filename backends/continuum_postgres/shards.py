"""Which shard a run is in: the leading column of everything that belongs to one run.

Frozen: stored rows are found by it for ever. A store that outgrows one server is divided by it.
"""

from __future__ import annotations

from uuid import UUID
from zlib import crc32

__all__ = ["SHARDS", "shard"]

SHARDS = 1024


def shard(run_id: UUID) -> int:
    """CRC-32 (ISO 3309) of the id's sixteen bytes, modulo 1024."""
    return crc32(run_id.bytes) % SHARDS
