"""What this backend declares beyond the port."""

from __future__ import annotations

from continuum_core.journal.protocol import Capability

__all__ = ["CAPABILITIES"]

CAPABILITIES = frozenset(
    {
        Capability.DURABLE,
        Capability.CREWS,
        Capability.SEARCH,
        Capability.SHARED,
        Capability.WAKEUPS,
        Capability.CLOCK,
        Capability.MIGRATES,
        Capability.FORGETS,
        Capability.GAUGES,
        Capability.LOOKS,
        Capability.BLOBS,
        Capability.CARRIES,
        Capability.REPLIES,
    }
)
