"""The journal's clock: the host's time, which never goes back for one handle.

Rule: every time that is stored comes from here. Processes on one file share a host, hence a clock;
`Limits`, leases and due times are counted on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from continuum_core.clock import Micros

__all__ = ["HostClock", "host_time"]


def host_time() -> Micros:
    """The host's wall clock in microseconds since the Unix epoch."""
    return time.time_ns() // 1000


class HostClock:
    """A source of time made monotonic: a host clock that is set back stands still until it caught up."""

    def __init__(self, source: Callable[[], Micros] = host_time) -> None:
        self.source = source
        self._last = 0
        self._lock = Lock()

    def now(self) -> Micros:
        with self._lock:
            self._last = max(self._last, self.source())
            return self._last
