"""Waiting for a change: what came of hints, told to each of the loops that share a handle.

Rule: a wakeup is a hint; `transport` carries it.
"""

from __future__ import annotations

from attrs import define, field

from continuum_core.journal.waiters import Waiters
from continuum_redis.transport import Transport

__all__ = ["Wakeups"]


@define(eq=False)
class Wakeups:
    """The waiting of one handle."""

    transport: Transport
    waiters: Waiters = field(factory=Waiters)

    @property
    def lost(self) -> int:
        """How often a connection for hints was lost."""
        return self.transport.lost

    def wrote(self) -> None:
        """This handle wrote what others may wait for."""
        self.transport.wrote()

    async def wait(self, seconds: float) -> None:
        """Return when another handle wrote since the last wait returned, or after `seconds`."""
        self.transport.listen(self.waiters.wake)
        await self.waiters.wait(seconds)

    async def close(self) -> None:
        """Let everybody go who waits, and end the hints."""
        self.waiters.wake()
        await self.transport.close()
