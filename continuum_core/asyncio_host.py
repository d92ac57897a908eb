"""The ports of `host` on asyncio: what production uses.

The only module of the core, with `runner`, that touches the event loop, threads, the wall clock's
monotonic sibling, chance and new ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Coroutine
from threading import get_ident
from typing import Any
from uuid import UUID, SafeUUID

from uuid_utils import uuid7

from continuum_core.errors import UsageError
from continuum_core.standstill import Standstill

__all__ = ["AsyncioHost", "AsyncioJob", "end"]

logger = logging.getLogger(__name__)

_blank = object.__new__
_assign = object.__setattr__  # a UUID refuses the ordinary way
_UNKNOWN = SafeUUID.unknown


class AsyncioFlag:
    """What `asyncio.Event` is, and may also be set from another thread.

    Spelled out, because flags are made, set and waited for several times a run: an Event asks for the
    running loop (in Python 3.11 a system call), and a wait with a time limit would cost a cancellation.
    """

    __slots__ = ("_loop", "_set", "_thread", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        self._loop = loop
        self._thread = thread
        self._set = False
        self._waiting: list[asyncio.Future[bool]] = []

    def set(self) -> None:
        # A flag is set from callbacks of this loop (cheap) and from renewing threads (must hand over).
        try:
            if get_ident() != self._thread:
                self._loop.call_soon_threadsafe(self.set)
                return
            self._set = True
            for waiter in self._waiting:
                if not waiter.done():  # it was cancelled, or told already
                    waiter.set_result(True)
        except RuntimeError:
            return  # the loop was closed meanwhile: nobody waits any more

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    async def wait(self, seconds: float | None = None) -> bool:
        if self._set:
            return True
        if seconds is not None and seconds <= 0:
            await asyncio.sleep(0)
            return self._set
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiting.append(waiter)
        timer = None if seconds is None else self._loop.call_later(seconds, _give_up, waiter)
        try:
            return await waiter
        finally:
            self._waiting.remove(waiter)
            if timer is not None:
                timer.cancel()


def _give_up(waiter: asyncio.Future[bool]) -> None:
    """Its time is over."""
    if not waiter.done():
        waiter.set_result(False)


class AsyncioJob:
    """A spawned task. What it raises is logged where it happens and kept for `failure`."""

    __slots__ = ("task",)

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], name: str) -> None:
        self.task = loop.create_task(work, name=name)

    def cancel(self) -> None:
        self.task.cancel()

    def done(self) -> bool:
        return self.task.done()

    async def join(self) -> None:
        await asyncio.wait([self.task])

    def failure(self) -> BaseException | None:
        """What it raised; None while it runs, or when it ended or was cancelled."""
        if not self.task.done() or self.task.cancelled():
            return None
        return self.task.exception()


def end(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop that has stopped, on the thread that ran it: what is left on it cleans up first.

    A task that never hears that its loop has ended keeps its connection open.
    """
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


class ThreadJob:
    """A coroutine on a thread with an event loop of its own.

    :param beside: runs along with it, for as long as it does.
    """

    def __init__(
        self,
        work: Callable[[], Coroutine[Any, Any, None]],
        name: str,
        beside: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._beside = beside
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._task = self._loop.create_task(work())
            aside = self._loop.create_task(self._beside())
            if self._cancelled:
                self._task.cancel()
            self._loop.run_until_complete(self._task)
            aside.cancel()
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._failure = error
            logger.exception("%s stopped by an error", self._thread.name)
        finally:
            end(self._loop)

    def cancel(self) -> None:
        self._cancelled = True
        task = self._task
        if task is not None:
            with contextlib.suppress(RuntimeError):  # it ended meanwhile
                self._loop.call_soon_threadsafe(task.cancel)

    def done(self) -> bool:
        return not self._thread.is_alive()

    async def join(self) -> None:
        # Joined in another thread: a renewal that hangs in its journal must not block this loop.
        await asyncio.to_thread(self._thread.join)

    def failure(self) -> BaseException | None:
        return self._failure


class AsyncioHost:
    """One per event loop: the one that runs when it is made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._process = os.getpid()

    def check(self) -> None:
        if os.getpid() != self._process:
            raise UsageError(
                "this client or worker was opened before a fork; open a new one in the child process"
            )
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is not self._loop:
            raise UsageError(
                "this client or worker belongs to another event loop; open one per loop, "
                "or use SyncClient, which may be called from any thread"
            )

    monotonic = staticmethod(time.monotonic)  # without a call of our own in between: a dozen times a run

    def random(self) -> float:
        return random.random()  # jitter, not secrets

    def new_id(self) -> UUID:
        # As `uuid_utils.compat.uuid7` does it, at half the price; UUID's own constructor takes longer still.
        made = _blank(UUID)
        _assign(made, "int", uuid7().int)
        _assign(made, "is_safe", _UNKNOWN)
        return made

    def flag(self) -> AsyncioFlag:
        return AsyncioFlag(self._loop, self._thread)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> AsyncioJob:
        return AsyncioJob(self._loop, work, name)

    def spawn_apart(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> ThreadJob:
        return ThreadJob(work, name, Standstill(self._loop, self._thread).watch)
