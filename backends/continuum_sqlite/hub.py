"""What handles of one process share: who waits for a change of a file, and which files a fork took along.

Rule: a change is a number that grows; what a handle changed itself is none to it. Telling others is a hint,
never needed for correctness.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from threading import Lock

from attrs import define, field

__all__ = ["Hand", "Hub", "Waiter", "enter", "forked", "leave"]

Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


@define(eq=False)
class Hand:
    """One handle, as its hub knows it.

    :ivar changes: those that it made itself.
    :ivar begun: its commits, whether or not they are changes to anybody, with the one under way.
    :ivar ended: without it.
    """

    changes: int = 0
    begun: int = 0
    ended: int = 0


@define(eq=False)
class Hub:
    """Handles of this process on one file."""

    handles: int = 0
    _changes: int = field(default=0, alias="changes")
    _waiters: dict[Waiter, Hand] = field(factory=dict[Waiter, Hand], alias="waiters")
    _lock: Lock = field(factory=Lock, alias="lock")

    def changed(self, by: Hand | None = None) -> None:
        """Wake whoever waits, but on the handle that did it. Called from any thread, after the commit.

        :param by: None: somebody else.
        """
        with self._lock:
            self._changes += 1
            if by is not None:
                by.changes += 1
            waiters = [waiter for waiter, hand in self._waiters.items() if hand is not by]
            for waiter in waiters:
                del self._waiters[waiter]
        for loop, future in waiters:
            with contextlib.suppress(RuntimeError):  # its loop was closed meanwhile: nobody waits there
                loop.call_soon_threadsafe(_wake, future)

    def others(self, hand: Hand) -> int:
        """How much others have changed so far."""
        with self._lock:
            return self._changes - hand.changes

    def add(self, waiter: Waiter, hand: Hand, known: int) -> bool:
        """Enter a waiter; False when others have changed something since `known`: waiting would miss it."""
        with self._lock:
            if self._changes - hand.changes != known:
                return False
            self._waiters[waiter] = hand
            return True

    def discard(self, waiter: Waiter) -> None:
        with self._lock:
            self._waiters.pop(waiter, None)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


_hubs: dict[str, Hub] = {}
_inherited: set[str] = set()
_lock = Lock()


def enter(path: str) -> Hub:
    """The hub of a file that a handle is about to open."""
    with _lock:
        hub = _hubs.setdefault(path, Hub())
        hub.handles += 1
        return hub


def leave(path: str, hub: Hub) -> None:
    """A handle has closed the file."""
    with _lock:
        hub.handles -= 1
        if hub.handles == 0 and _hubs.get(path) is hub:
            del _hubs[path]


def forked(path: str) -> bool:
    """Whether this process was forked while its parent had the file open.

    SQLite keeps its locks per process in memory, and a fork copies that memory but not the locks: any
    further use of the file in the child, through whatever connection, may corrupt it.
    """
    return path in _inherited


def _after_fork() -> None:
    global _lock
    _lock = Lock()  # the parent's may have been held by a thread that does not exist here
    _inherited.update(_hubs)
    _hubs.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
