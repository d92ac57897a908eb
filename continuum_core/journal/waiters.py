"""Who waits on a handle for a change, and which change each of them has noticed.

Kept by task, for two loops share a handle: what woke one of them must not be hidden from the other. For
backends on asyncio; a change is a hint, and may be told too often.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["Waiters"]


class Waiters:
    """The waiting of one handle."""

    def __init__(self) -> None:
        self._changes = 0
        self._noticed = -1
        self._noticed_by: MutableMapping[asyncio.Task[Any] | None, int] = WeakKeyDictionary()
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self, seconds: float) -> None:
        """Return when there was a change since the task's last wait returned, or after `seconds`."""
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

    def wake(self) -> None:
        """There was a change: let everybody go who waits."""
        self._changes += 1
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)
