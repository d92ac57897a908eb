"""Threads for plain activity bodies: kept for the next one, and never waited for at the end.

A thread cannot be stopped. So one whose body nobody waits for any more must hold up nobody else: it
does not count among those that are free to be used (`places` do), and the process may end under it;
`concurrent.futures` would let its pool run dry, and the interpreter wait for ever on its way out.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

__all__ = ["BodyThreads"]

Ended = tuple[Any, BaseException | None]
Work = tuple[Callable[[], Any], "asyncio.Future[Ended]"]


class BodyThreads:
    """Runs functions on threads of its own.

    :ivar places: bounds how many bodies run that somebody waits for; to be held around `run`.
    """

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self._idle: list[SimpleQueue[Work | None]] = []
        self._closed = False
        self._made = 0

    def run(self, body: Callable[[], Any]) -> asyncio.Future[Ended]:
        """Begin to run a function; the future gets what it returned, and what it raised or None."""
        future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        inbox = self._idle.pop() if self._idle else self._make()
        inbox.put((body, future))
        return future

    def close(self) -> None:
        """End the threads that are idle; the others end after their body."""
        self._closed = True
        while self._idle:
            self._idle.pop().put(None)

    def _make(self) -> SimpleQueue[Work | None]:
        inbox: SimpleQueue[Work | None] = SimpleQueue()
        self._made += 1
        name = f"continuum-activity_{self._made}"
        # Daemons, on purpose: see above.
        threading.Thread(target=self._serve, args=(inbox,), name=name, daemon=True).start()
        return inbox

    def _serve(self, inbox: SimpleQueue[Work | None]) -> None:
        while (work := inbox.get()) is not None:
            body, future = work
            result: Any = None
            error: BaseException | None = None
            try:
                result = body()
            except BaseException as raised:  # a body's sys.exit() is the body's end, not the worker's
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(self._ended, inbox, future, result, error)
            del body, future, work, result, error  # an idle thread keeps nothing of its last body alive

    def _ended(
        self,
        inbox: SimpleQueue[Work | None],
        future: asyncio.Future[Ended],
        result: Any,
        error: BaseException | None,
    ) -> None:
        if self._closed:
            inbox.put(None)
        else:
            self._idle.append(inbox)
        if not future.cancelled():
            # As values: asyncio gives a meaning of its own to a future's StopIteration and SystemExit.
            future.set_result((result, error))
