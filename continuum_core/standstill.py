"""Tells who keeps a worker's event loop, on which async bodies, timers, guards and turns take their turns.

Rule: it only looks, from a thread beside the loop, and says it once for each function. A loop that answers a
knock is fine; where it does not, the thread's stack names the code that was called last by asyncio or the
engine: what it does there blocks everybody else.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from types import FrameType

__all__ = ["Standstill", "called"]

logger = logging.getLogger(__name__)

_PERIOD = 2.0
"""Seconds between two knocks."""

_PATIENCE = 1.0
"""Seconds that the loop may take to answer one."""

_OURS = frozenset({"asyncio", "continuum_core", "selectors", "uvloop"})
_MOST = 100  # functions that are remembered as told


class Standstill:
    """Watches one event loop from another.

    :param loop: the loop to watch.
    :param thread: the thread that runs it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        self._loop = loop
        self._thread = thread
        self._answered = False
        self._told: set[object] = set()

    async def watch(self) -> None:
        """Knock again and again, until the loop is closed."""
        while True:
            await asyncio.sleep(_PERIOD)
            self._answered = False
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:
                return  # it was closed
            await asyncio.sleep(_PATIENCE)
            if not self._answered:
                self._look()

    def _answer(self) -> None:
        self._answered = True

    def _look(self) -> None:
        # The one way to see it; the frame is looked at and let go, while its thread goes on.
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]
        frame = called(frames.get(self._thread))
        if frame is None or self._answered:
            return
        code = frame.f_code
        if code in self._told or len(self._told) >= _MOST:
            return
        self._told.add(code)
        logger.warning(
            "this worker's event loop has not turned for %g s: it is kept by %s (%s, line %d). Async bodies, "
            "timers and turns wait meanwhile: await what blocks there, or make the body a plain function, "
            "which runs on a thread",
            _PATIENCE,
            code.co_qualname,
            code.co_filename,
            frame.f_lineno,
        )


def called(frame: FrameType | None) -> FrameType | None:
    """The frame of what asyncio or the engine called last; None where the stack ends in their own code."""
    found = None
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
        found, frame = frame, frame.f_back
    return found
