"""Work that is cancelled at its first, second … last pause, to see what each leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any

__all__ = ["MOST", "Cut"]

MOST = 200
"""Pauses of the work of a test, at most."""


class Cut(Awaitable[bool]):
    """Work that is cancelled at its `at`-th pause, and at the one after that; False if it had fewer."""

    def __init__(self, work: Coroutine[Any, Any, None], at: int, again: bool) -> None:
        self._work = work
        self._cuts = {at, at + 1} if again else {at}
        self._at = at

    def __await__(self) -> Generator[Any, Any, bool]:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        pauses = 0
        thrown: BaseException | None = None
        try:
            while True:
                paused = self._work.send(None) if thrown is None else self._work.throw(thrown)
                thrown = None
                pauses += 1
                if pauses in self._cuts:
                    loop.call_soon(task.cancel)
                try:
                    yield paused
                except asyncio.CancelledError as error:
                    thrown = error
        except (StopIteration, asyncio.CancelledError):
            return pauses >= self._at
