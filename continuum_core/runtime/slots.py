"""How many activities of each queue this worker runs at once, and who is running."""

from __future__ import annotations

from collections.abc import Mapping

from continuum_core.errors import UsageError

__all__ = ["Slots"]


class Slots:
    """Free places per queue. Only queues that are named here are worked."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        for queue, limit in limits.items():
            if limit < 1:
                raise UsageError(f"queue {queue!r} needs a concurrency of at least 1, not {limit}")
        self._limits = dict(limits)
        self._used = dict.fromkeys(limits, 0)

    def take(self, queue: str) -> bool:
        """Take one place; False where there is none."""
        if self._used.get(queue, 0) >= self._limits.get(queue, 0):
            return False
        self._used[queue] += 1
        return True

    def give(self, queue: str) -> None:
        self._used[queue] -= 1

    def free(self) -> dict[str, int]:
        """The free places of every queue that has some."""
        return {q: limit - self._used[q] for q, limit in self._limits.items() if limit > self._used[q]}

    def served(self) -> frozenset[str]:
        """The queues that have places, free or not."""
        return frozenset(self._limits)

    def busy(self) -> int:
        return sum(self._used.values())
