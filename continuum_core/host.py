"""What the process offers the runtime: time, chance, ids, concurrency. All of it is injected.

The runtime's coroutines await nothing but the journal and these ports. So the same code runs on
asyncio in production, on a virtual clock in users' tests, and under a simulator that steps the
coroutines itself and chooses every interleaving from one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol
from uuid import UUID

__all__ = ["Flag", "Host", "Job"]


class Flag(Protocol):
    """Something to wait for. Setting it wakes every waiter; it stays set until cleared."""

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def is_set(self) -> bool: ...

    async def wait(self, seconds: float | None = None) -> bool:
        """True once it is set, False after `seconds` (None: no limit)."""
        ...


class Job(Protocol):
    """A coroutine that was spawned."""

    def cancel(self) -> None:
        """Ask it to stop; it ends at its next wait."""
        ...

    def done(self) -> bool: ...

    async def join(self) -> None:
        """Wait until it ended, however it ended."""
        ...

    def failure(self) -> BaseException | None:
        """What it raised; None while it runs, or when it ended well or was cancelled."""
        ...


class Host(Protocol):
    """The ports of one process."""

    def check(self) -> None:
        """Raise UsageError where the caller is in another process or event loop than this host."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def new_id(self) -> UUID:
        """A new id; ids made later by this process sort later."""
        ...

    def flag(self) -> Flag: ...

    async def sleep(self, seconds: float) -> None: ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> Job:
        """Run a coroutine beside the others. What it raises is its `failure`."""
        ...

    def spawn_apart(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> Job:
        """Run a coroutine where a blocked event loop cannot starve it (a thread with its own loop)."""
        ...
