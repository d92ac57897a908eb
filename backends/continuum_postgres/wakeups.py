"""Waiting for a change: NOTIFY by whoever wrote, LISTEN on a connection of its own.

Rule: a wakeup is a hint. It is sent outside the transaction that wrote, by a timer, at most once in some
milliseconds; a lost one costs its receiver a poll. A listener that was lost listens again, and
then wakes everybody once, for nobody knows what it missed. A loss is told when it begins and when it is over.
Its session also vouches for the handle's workers (`presence`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable
from uuid import uuid4

import psycopg
from attrs import define, field

from continuum_core.errors import OperatorError
from continuum_core.journal.losses import Losses
from continuum_core.journal.waiters import Waiters
from continuum_core.journal.wakeups import Wakeups as Hints
from continuum_postgres.presence import Presence
from continuum_postgres.proxy import is_proxied
from continuum_postgres.session import Connection, Space
from continuum_postgres.source import Source, held

__all__ = ["Wakeups", "channel"]

logger = logging.getLogger(__name__)

_INTERVAL = 0.005  # seconds between two hints of one handle, at least
_LOOKS = 1.0  # the same between two looks, where hints go another way
_SHORTEST, _LONGEST = 0.05, 5.0  # seconds before the listener connects again
_HEARD = 5.0  # seconds in which a hint of our own must come back, where a proxy is in between


def channel(schema: str, ns: int) -> str:
    """The name under which a namespace's hints go: short enough for an identifier, whatever the schema's."""
    return f"continuum_{hashlib.sha256(schema.encode()).hexdigest()[:16]}_{ns}"


def _listen_to(space: Space) -> bytes:
    return f'LISTEN "{channel(space.place.schema, space.ns)}"'.encode()


_DEAF = (
    "listening for hints on %s: none arrives, for a proxy in between pools by transaction; name the server "
    "itself with ?listen=URL. Until then work is noticed by polling alone"
)


def _now() -> float:
    return asyncio.get_running_loop().time()


@define(eq=False)
class Wakeups:
    """The hints of one handle, out and in.

    :param notify: sends a hint.
    :param presence: is told whether there is a session that listens.
    :param look: has the handle learn what it learns with a hint, where hints go another way.
    :param hints: what carries hints in the place of NOTIFY.
    :ivar lost: how often the listening connection was lost.
    """

    space: Space
    notify: Callable[[str, str], Awaitable[object]]
    look: Callable[[], Awaitable[object]]
    presence: Presence
    hints: Hints | None = None
    _losses: Losses = field(factory=Losses)
    _name: str = field(factory=lambda: uuid4().hex)
    waiters: Waiters = field(factory=Waiters)
    _listener: asyncio.Task[None] | None = None
    _soon: asyncio.TimerHandle | None = None  # what is written until then is told with it
    _tellers: set[asyncio.Task[None]] = field(factory=set[asyncio.Task[None]])
    _closed: bool = False

    @property
    def lost(self) -> int:
        return self._losses.count

    # --- out

    def wrote(self) -> None:
        """This handle wrote what others may wait for."""
        if self.hints is not None:
            self.hints.wrote()
        if self._soon is None and not self._closed:
            interval = _INTERVAL if self.hints is None else _LOOKS
            self._soon = asyncio.get_running_loop().call_later(interval, self._tell_now)

    def _tell_now(self) -> None:
        self._soon = None  # what is written from here on is told anew
        telling = asyncio.create_task(self._tell(), name="continuum-postgres-hints")
        self._tellers.add(telling)
        telling.add_done_callback(self._tellers.discard)

    async def _tell(self) -> None:
        try:
            if self.hints is None:
                await self.notify(channel(self.space.place.schema, self.space.ns), self._name)
            else:
                await self.look()
        except Exception as error:  # a hint: whoever waits for it looks by itself before long
            logger.debug("a hint was not sent: %s", error)

    # --- in

    async def wait(self, seconds: float) -> None:
        """Return when another handle wrote since the last wait returned, or after `seconds`."""
        if self.hints is not None:
            self.hints.listen(self.waiters.wake)
        else:
            self.listen()
        await self.waiters.wait(seconds)

    def listen(self) -> bool:
        """Have a session that listens, where there can be one; whether there is, or is about to be."""
        source = self.space.place.listen
        if self.hints is not None or source is None or self._closed:
            return False
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(source), name="continuum-postgres-listener")
        return not self._listener.done()

    def stir(self) -> None:
        """What this handle's own waiters wait for may be there, though none of its verbs has written it."""
        self.waiters.wake()

    async def _listen(self, source: Source) -> None:
        pause = _SHORTEST
        while True:
            try:
                async with held(source, pooled=False) as connection:
                    proxied = await is_proxied(connection)
                    vouches = not proxied and await self.presence.take(connection)
                    await connection.execute(_listen_to(self.space))
                    self.presence.stand(vouches)
                    self.waiters.wake()
                    if proxied and not await self._hears(connection):
                        logger.warning(_DEAF, source.shown)
                        return
                    pause = _SHORTEST
                    if over := self._losses.over(_now()):
                        logger.info("listening for hints on %s again: %s", source.shown, over)
                    await self._receive(connection)
            except Exception as error:  # whatever it is: nobody begins to listen in this task's place
                self._note(source, error)
            finally:
                self.presence.fall()
            await asyncio.sleep(pause * (0.5 + random.random() / 2))
            pause = min(pause * 2, _LONGEST)

    def _note(self, source: Source, error: Exception) -> None:
        if not self._losses.failed(_now()):
            logger.debug("listening for hints on %s: %s", source.shown, error)
            return
        expected = isinstance(error, psycopg.Error | OSError | OperatorError)
        logger.warning(
            "listening for hints on %s: %s; polling goes on, and so do tries to listen",
            source.shown,
            str(error).strip() or type(error).__name__,
            exc_info=None if expected else error,
        )

    async def _hears(self, connection: Connection) -> bool:
        """Whether a hint that this handle sends to itself arrives."""
        token = uuid4().hex
        await self.notify(channel(self.space.place.schema, self.space.ns), token)
        async for hint in connection.notifies(timeout=_HEARD):
            if hint.payload == token:
                return True
            self.waiters.wake()
        return False

    async def _receive(self, connection: Connection) -> None:
        async for hint in connection.notifies():
            if hint.payload != self._name:
                self.waiters.wake()

    async def close(self) -> None:
        """Let everybody go who waits, and end all tasks."""
        self._closed = True
        self.waiters.wake()
        if self.hints is not None:
            await self.hints.close()
        if self._soon is not None:
            self._soon.cancel()
        for task in (self._listener, *self._tellers):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
        self._listener = None
