"""Waiting for a change: PUBLISH by whoever wrote, SUBSCRIBE on a connection of its own.

Rule: a wakeup is a hint. It is sent after the write by a task that sends at most one in some milliseconds; a
lost one costs its receiver a poll. A listener that was lost listens again, and then wakes everybody once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from attrs import define, field
from redis import exceptions as raised

from continuum_redis.driver import Wire, command, connect
from continuum_redis.errors import LOST
from continuum_redis.link import Space

__all__ = ["Wakeups"]

logger = logging.getLogger(__name__)

_INTERVAL = 0.005  # seconds between two hints of one handle, at least
_SHORTEST, _LONGEST = 0.05, 5.0  # seconds before the listener connects again


@define(eq=False)
class Wakeups:
    """The hints of one handle, out and in.

    :param notify: sends a hint; called by one task, one at a time.
    :ivar lost: how often the listening connection was lost.
    """

    space: Space
    notify: Callable[[bytes], Awaitable[object]]
    lost: int = 0
    _name: bytes = field(factory=lambda: uuid4().hex.encode())
    _changes: int = 0
    _noticed: int = -1
    _noticed_by: MutableMapping[asyncio.Task[Any] | None, int] = field(
        factory=WeakKeyDictionary["asyncio.Task[Any] | None", int]
    )
    _waiting: set[asyncio.Future[None]] = field(factory=set["asyncio.Future[None]"])
    _listener: asyncio.Task[None] | None = None
    _teller: asyncio.Task[None] | None = None
    _closed: bool = False

    # --- out

    def wrote(self) -> None:
        """This handle wrote what others may wait for."""
        if self._teller is None and not self._closed:
            self._teller = asyncio.create_task(self._tell(), name="continuum-redis-hints")

    async def _tell(self) -> None:
        try:
            await asyncio.sleep(_INTERVAL)  # what is written meanwhile is told with it
        finally:
            self._teller = None  # what is written from here on is told anew
        try:
            await self.notify(self._name)
        except Exception as error:  # a hint: whoever waits for it looks by itself before long
            logger.debug("a hint was not sent: %s", error)

    # --- in

    async def wait(self, seconds: float) -> None:
        """Return when another handle wrote since the last wait returned, or after `seconds`."""
        if self._listener is None and not self._closed:
            self._listener = asyncio.create_task(self._listen(), name="continuum-redis-listener")
        # Kept by task: two loops share a handle, and what woke one of them must not be hidden from the other.
        task = asyncio.current_task()
        noticed = self._noticed_by.get(task, self._noticed)
        if self._changes == noticed or (noticed < 0 and not self._changes):
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(woken)
            try:
                await asyncio.wait([woken], timeout=max(seconds, 0))
            finally:
                self._waiting.discard(woken)
        self._noticed = self._noticed_by[task] = self._changes

    def _wake(self) -> None:
        self._changes += 1
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)

    async def _listen(self) -> None:
        pause = _SHORTEST
        while True:
            wire: Wire | None = None
            try:
                wire = await connect(self.space.place)
                await wire.send([command(b"SUBSCRIBE", self.space.place.channel(self.space.namespace))])
                while True:
                    told = await wire.read()
                    if isinstance(told, Exception):
                        raise told
                    pause = _SHORTEST
                    if told[0] == b"subscribe" or told[2] != self._name:
                        self._wake()
            except (raised.RedisError, *LOST) as error:
                self.lost += 1
                logger.warning("listening for hints: %s; polling goes on", str(error).strip() or type(error))
            finally:
                if wire is not None:
                    await wire.close()
            await asyncio.sleep(pause * (0.5 + random.random() / 2))
            pause = min(pause * 2, _LONGEST)

    async def close(self) -> None:
        """Let everybody go who waits, and end both tasks."""
        self._closed = True
        self._wake()
        for task in (self._listener, self._teller):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
        self._listener = None
