"""An estimate of the journal's clock that never runs ahead of it.

The journal said its time at some moment before its answer arrived; since then at least as much time
has passed as this process measured from the arrival. So the sum is at most the journal's time, and a
turn that uses it as its `now` is not from the future (and is refused by the journal if it were).
"""

from __future__ import annotations

from continuum_core.clock import Micros
from continuum_core.host import Host

__all__ = ["JournalClock"]


class JournalClock:
    """The last time a journal told, and when that was by this process's monotonic clock."""

    __slots__ = ("_at", "_host", "_now")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._now: Micros = 0
        self._at = 0.0

    def observe(self, now: Micros) -> None:
        """The journal has just told its time; an older answer that arrives late only costs precision."""
        if now != self._now:  # all answers of one batch tell the same
            self._now = now
            self._at = self._host.monotonic()

    def estimate_at(self, at: float) -> Micros:
        return self._now + int((at - self._at) * 1_000_000) if self._now else 0

    def estimate(self) -> Micros:
        """Microseconds; 0 while the journal has told nothing yet."""
        return self.estimate_at(self._host.monotonic())

    def known(self) -> bool:
        return self._now > 0
