"""Waiting for a change of the file: told by handles of this process, noticed of other processes.

Rule: a wakeup is a hint. It may come too often, and a lost one costs no more than the caller's own
patience. Other processes are noticed by `PRAGMA data_version`, asked only while somebody waits, or tell
by themselves where the URL names what carries their hints.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar

from continuum_core.journal.wakeups import Wakeups as Hints
from continuum_sqlite.hub import Hand, Hub

__all__ = ["Wakeups"]

_SHORTEST, _LONGEST = 0.002, 0.05  # seconds between two looks at what other processes did

_Acted = MutableMapping["Wakeups", int]

_acted: ContextVar[_Acted | None] = ContextVar("continuum_sqlite_acted", default=None)
"""Of each loop that claims and waits: the last change it has acted upon. Kept by context, not by handle,
for two loops share a handle, and what woke one of them must not be hidden from the other."""


class Wakeups:
    """The waiting of one handle.

    :param hand: the handle, whose own changes wake nobody here.
    :param look: asks the reading connection whether another one has committed since it was last asked.
    :param ask_writer: has the writing connection tell whether it was others who did, some time soon.
    :ivar hints: what other processes tell by; then nobody looks.
    """

    def __init__(
        self,
        hub: Hub,
        hand: Hand,
        look: Callable[[], Awaitable[bool]],
        ask_writer: Callable[[], None],
        hints: Hints | None = None,
    ) -> None:
        self.hints = hints
        self._hub = hub
        self._hand = hand
        self._look = look
        self._ask_writer = ask_writer
        self._own = 0  # this handle's commits that had ended before the last look
        self._looking = False
        self._next_look = 0.0
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False

    async def close(self) -> None:
        """Let everybody go who waits: the handle is about to close."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        if self.hints is not None:
            await self.hints.close()

    def wrote(self) -> None:
        """A verb of this handle has written; the writer told the others of this process already."""
        if self.hints is not None:
            self.hints.wrote()

    def acting(self) -> None:
        """The caller is about to look for work: what changed until now need not wake it again."""
        acted = _acted.get()
        if acted is None:
            acted = weakref.WeakKeyDictionary["Wakeups", int]()
            _acted.set(acted)
        acted[self] = self._hub.others(self._hand)

    async def wait(self, seconds: float) -> None:
        if self.hints is not None:
            self.hints.listen(self._hub.changed)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        acted = _acted.get()
        now = self._hub.others(self._hand)
        known = now if acted is None else acted.get(self, now)
        woken: asyncio.Future[None] = loop.create_future()
        if not self._hub.add((loop, woken), self._hand, known):
            self.acting()
            return
        pause = _SHORTEST
        self._waiting.add(woken)
        try:
            while (left := deadline - loop.time()) > 0 and not woken.done():
                if self.hints is not None:
                    await asyncio.wait([woken], timeout=left)
                    break
                await self._notice(loop, pause)
                await asyncio.wait([woken], timeout=min(pause, left))
                pause = min(pause * 1.5, _LONGEST)
        finally:
            self._waiting.discard(woken)
            self._hub.discard((loop, woken))
            self.acting()

    async def _notice(self, loop: asyncio.AbstractEventLoop, pause: float) -> None:
        """Look what other processes did; of all who wait on a handle, one looks for all."""
        if self._looking or self._closed or loop.time() < self._next_look:
            return
        self._next_look = loop.time() + pause / 2
        self._looking = True
        try:
            ended = self._hand.ended  # before the look: what ends meanwhile the next one may see first
            seen, own = await self._look(), self._own
            self._own = ended
            if seen and own == self._hand.begun:
                self._hub.changed()
            elif seen:  # by whom, only the connection knows that does not count its own
                self._ask_writer()
        finally:
            self._looking = False
