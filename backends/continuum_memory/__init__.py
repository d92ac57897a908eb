"""The memory journal: the port's semantics, and no durability.

It is the engine's test double, the simulator's store, and what the conformance kit compares other
backends with. ``memory://`` is a store of its own, ``memory://name`` one that every handle of this
process on that name shares.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from continuum_core.clock import Micros
from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.protocol import Limits
from continuum_memory.capabilities import CAPABILITIES
from continuum_memory.journal import MemoryJournal
from continuum_memory.store import Store

__all__ = ["CAPABILITIES", "PORT_VERSION", "MemoryJournal", "Store", "connect", "forget"]

PORT_VERSION = 1

_NAME = re.compile(r"memory://([A-Za-z0-9._~-]*)", re.ASCII)
_named: dict[str, Store] = {}
_guard = threading.Lock()


def _wall_clock() -> Micros:
    return time.time_ns() // 1_000


def connect(
    url: str, namespace: str, limits: Limits, *, clock: Callable[[], Micros] = _wall_clock
) -> MemoryJournal:
    """An unopened handle on the store that `url` names. Raises IncompatibleJournal for a wrong URL.

    :param clock: microseconds; a store that `url` names keeps the clock it was first opened with.
    """
    found = _NAME.fullmatch(url)
    if found is None:
        raise IncompatibleJournal(
            f"{url!r} names no memory journal: write memory:// or memory://name "
            "(letters, digits and . _ ~ - in the name)"
        )
    name = found[1]
    if not name:
        return MemoryJournal(Store(clock), namespace, limits)
    with _guard:
        store = _named.setdefault(name, Store(clock))
    return MemoryJournal(store, namespace, limits)


def forget(name: str) -> None:
    """Drop the store ``memory://name``; handles that are open on it keep it."""
    with _guard:
        _named.pop(name, None)
