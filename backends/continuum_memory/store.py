"""A store: the namespaces, the lock that makes a verb one transaction, the clock, and who waits.

A store may be shared by handles on any number of threads and event loops.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from continuum_core.clock import Micros
from continuum_memory.rows import Space

__all__ = ["Store"]


class Store:
    """All namespaces of one memory journal.

    :ivar lock: held for the whole of every verb.
    """

    def __init__(self, clock: Callable[[], Micros]) -> None:
        self.lock = threading.Lock()
        self._clock = clock
        self._last: Micros = 0
        self._spaces: dict[str, Space] = {}
        self._writes: dict[str, int] = {}
        self._wakers: dict[str, set[Callable[[], None]]] = {}

    def now(self) -> Micros:
        """The store's clock, which never goes back whatever the clock under it does. Needs the lock."""
        self._last = max(self._last, self._clock())
        return self._last

    def has(self, namespace: str) -> bool:
        """Whether anybody opened the namespace."""
        with self.lock:
            return namespace in self._spaces

    def space(self, namespace: str) -> Space:
        """The namespace's tables. Needs the lock."""
        if namespace not in self._spaces:
            self._spaces[namespace] = Space(namespace)
        return self._spaces[namespace]

    def writes(self, namespace: str) -> int:
        """How often something was written that a waiter may want to see."""
        with self.lock:
            return self._writes.get(namespace, 0)

    def wrote(self, namespace: str) -> tuple[Callable[[], None], ...]:
        """Count a write, and say whom to wake once the lock is given back. Needs the lock."""
        self._writes[namespace] = self._writes.get(namespace, 0) + 1
        return tuple(self._wakers.get(namespace, ()))

    def enter(self, namespace: str, wake: Callable[[], None]) -> None:
        """Have `wake`, which may be called from any thread, called at every change."""
        with self.lock:
            self._wakers.setdefault(namespace, set()).add(wake)

    def leave(self, namespace: str, wake: Callable[[], None]) -> None:
        with self.lock:
            self._wakers[namespace].discard(wake)
