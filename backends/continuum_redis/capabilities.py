"""What this backend declares beyond the port."""

from __future__ import annotations

from continuum_core.journal.protocol import Capability

__all__ = ["CAPABILITIES"]

CAPABILITIES = frozenset(
    {
        Capability.BLOBS,
        Capability.CARRIES,
        Capability.CLOCK,
        Capability.DURABLE,
        Capability.FORGETS,
        Capability.GAUGES,
        Capability.LOOKS,
        Capability.CREWS,
        Capability.SEARCH,
        Capability.REPLIES,
        Capability.SHARED,
        Capability.WAKEUPS,
    }
)
