"""Hints between handles: PUBLISH by whoever wrote, SUBSCRIBE on a connection of its own.

Rule: a hint is sent after the write by a task that sends at most one in some milliseconds; a lost one costs
its receiver a poll. A listener that was lost listens again, and then tells its own handle once, for nobody
knows what it missed. A loss is told once, and so is a user that may not use the channel: without it
everything works, by polling. Serves this backend's journals, and those of others as `?wakeups=redis://…`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
from collections.abc import Callable
from uuid import uuid4

from attrs import define, field
from redis import exceptions as raised

from continuum_core.journal.losses import Losses
from continuum_redis.driver import Wire, command, connect
from continuum_redis.errors import LOST
from continuum_redis.place import Place

__all__ = ["Transport", "channel_of"]

logger = logging.getLogger(__name__)

_EXPECTED = (raised.RedisError, *LOST)
_INTERVAL = 0.005  # seconds between two hints of one handle, at least
_SHORTEST, _LONGEST = 0.05, 5.0  # seconds before the listener connects again

_FORBIDDEN = (
    "hints on %s are forbidden (%s): work is noticed by polling alone until the server's operator grants "
    'them: ACL SETUSER %s +subscribe +publish "&%s"'
)


def _now() -> float:
    return asyncio.get_running_loop().time()


def channel_of(place: Place, topic: str) -> bytes:
    """Where the hints of another backend's journal go: of whatever length its topic is."""
    return f"{place.prefix}:wakeups:{hashlib.sha256(topic.encode()).hexdigest()[:32]}".encode()


@define(eq=False)
class Transport:
    """The hints of one handle on one channel, out and in.

    :ivar lost: how often the connection was lost, to hear or to tell.
    """

    place: Place
    channel: bytes
    lost: int = 0
    _name: bytes = field(factory=lambda: uuid4().hex.encode())
    _listener: asyncio.Task[None] | None = None
    _teller: asyncio.Task[None] | None = None
    _tellers: set[asyncio.Task[None]] = field(factory=set["asyncio.Task[None]"])
    _telling: Wire | None = None
    _last: asyncio.Task[None] | None = None
    _closed: bool = False
    _losses: Losses = field(factory=Losses)
    _forbidden: bool = False

    # --- out

    def wrote(self) -> None:
        """This handle wrote what others may wait for."""
        if self._teller is None and not self._closed:
            self._teller = asyncio.create_task(self._tell(self._last), name="continuum-redis-hints")
            self._tellers.add(self._teller)
            self._teller.add_done_callback(self._tellers.discard)

    async def _tell(self, before: asyncio.Task[None] | None) -> None:
        try:
            await asyncio.sleep(_INTERVAL)  # what is written meanwhile is told with it
        finally:
            self._last, self._teller = self._teller, None  # what is written from here on is told anew
        if before is not None:  # one at a time on the connection
            await asyncio.wait([before])
        try:
            await self._publish()
        except Exception as error:  # whoever waits for it looks by itself before long
            logger.debug("a hint was not sent: %s", error)
            if isinstance(error, raised.NoPermissionError):
                self._forbid(error)
            if self._listener is None:  # else it is the listener that counts
                self._lose()
        else:
            if self._listener is None:
                self._losses.over(_now())

    async def _publish(self) -> None:
        wire = self._telling = self._telling or await connect(self.place)
        try:
            [told] = await wire.exchange([command(b"PUBLISH", self.channel, self._name)])
        except BaseException:
            self._telling = None
            await wire.close()
            raise
        if isinstance(told, raised.RedisError):
            raise told

    # --- in

    def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard` whenever another handle wrote, from now on."""
        if self._listener is None and not self._closed:
            self._listener = asyncio.create_task(self._listen(heard), name="continuum-redis-listener")

    async def _listen(self, heard: Callable[[], None]) -> None:
        pause = _SHORTEST
        while True:
            wire: Wire | None = None
            try:
                wire = await connect(self.place)
                await wire.send([command(b"SUBSCRIBE", self.channel)])
                while True:
                    told = await wire.read()
                    if isinstance(told, Exception):
                        raise told
                    if told[0] == b"subscribe":
                        self._listens()
                        pause = _SHORTEST
                    if told[0] == b"subscribe" or told[2] != self._name:
                        heard()
            except Exception as error:  # whatever it is: nobody begins to listen in this task's place
                self._note(error)
            finally:
                if wire is not None:
                    await wire.close()
            await asyncio.sleep(pause * (0.5 + random.random() / 2))
            pause = min(pause * 2, _LONGEST)

    def _listens(self) -> None:
        self._forbidden = False
        if over := self._losses.over(_now()):
            logger.info("listening for hints on %s again: %s", self.place.shown, over)

    def _note(self, error: Exception) -> None:
        begins = self._lose()
        if isinstance(error, raised.NoPermissionError):
            self._forbid(error)
        elif begins:
            logger.warning(
                "listening for hints on %s: %s; polling goes on, and so do tries to listen",
                self.place.shown,
                str(error).strip() or type(error).__name__,
                exc_info=None if isinstance(error, _EXPECTED) else error,
            )

    def _lose(self) -> bool:
        """Whether a loss begins with what failed."""
        begins = self._losses.failed(_now())
        self.lost = self._losses.count
        return begins

    def _forbid(self, error: Exception) -> None:
        """Tell once what the user lacks, whether it was to hear or to tell that it was refused."""
        if not self._forbidden:
            self._forbidden = True
            logger.warning(_FORBIDDEN, self.place.shown, error, self.place.user, self.channel.decode())

    async def close(self) -> None:
        """End all tasks, and give the connections back."""
        self._closed = True
        tasks = [*self._tellers, *([] if self._listener is None else [self._listener])]
        for task in tasks:
            task.cancel()
        if tasks:  # all of them: one that still connects would keep the connection that it makes
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(tasks)
        self._listener = self._teller = self._last = None
        wire, self._telling = self._telling, None
        if wire is not None:
            await wire.close()
