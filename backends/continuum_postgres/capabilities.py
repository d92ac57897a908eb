"""What this backend declares beyond the port."""

from __future__ import annotations

from continuum_core.journal.protocol import Capability

__all__ = ["CAPABILITIES"]

CAPABILITIES = frozenset(
    {
        Capability.BLOBS,
        Capability.CARRIES,
        Capability.REPLIES,
        Capability.DURABLE,
        Capability.CREWS,
        Capability.SEARCH,
        Capability.SHARED,
        Capability.WAKEUPS,
        Capability.CLOCK,
        Capability.TRANSACTIONS,
        Capability.MIGRATES,
        Capability.FORGETS,
        Capability.GAUGES,
        Capability.LOOKS,
        Capability.PRESENCE,
    }
)
