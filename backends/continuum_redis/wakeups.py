"""Waiting for a change: what came of hints, told to each of the loops that share a handle.

Rule: a wakeup is a hint; `transport` carries it.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

from attrs import define, field

from continuum_redis.transport import Transport

__all__ = ["Wakeups"]


@define(eq=False)
class Wakeups:
    """The waiting of one handle."""

    transport: Transport
    _changes: int = 0
    _noticed: int = -1
    _noticed_by: MutableMapping[asyncio.Task[Any] | None, int] = field(
        factory=WeakKeyDictionary["asyncio.Task[Any] | None", int]
    )
    _waiting: set[asyncio.Future[None]] = field(factory=set["asyncio.Future[None]"])

    @property
    def lost(self) -> int:
        """How often a connection for hints was lost."""
        return self.transport.lost

    def wrote(self) -> None:
        """This handle wrote what others may wait for."""
        self.transport.wrote()

    async def wait(self, seconds: float) -> None:
        """Return when another handle wrote since the last wait returned, or after `seconds`."""
        self.transport.listen(self._wake)
        # Kept by task: two loops share a handle, and what woke one of them must not be hidden from the other.
        task = asyncio.current_task()
        noticed = self._noticed_by.get(task, self._noticed)
        if self._changes == noticed or (noticed < 0 and not self._changes):
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(woken)
            try:
                await asyncio.wait([woken], timeout=max(seconds, 0))
            finally:
                self._waiting.discard(woken)
        self._noticed = self._noticed_by[task] = self._changes

    def _wake(self) -> None:
        self._changes += 1
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)

    async def close(self) -> None:
        """Let everybody go who waits, and end the hints."""
        self._wake()
        await self.transport.close()
