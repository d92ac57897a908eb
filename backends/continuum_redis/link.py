"""A connection, and the calls of the script that go over it: sent together, answered in order.

Rule: every reply that was asked for is read, errors too, or the connection is given up: the next caller must
not be told what was meant for another.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from redis import exceptions as raised

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Limits
from continuum_redis.driver import Wire, command, connect
from continuum_redis.place import Place
from continuum_redis.script import DIGEST, TEXT

__all__ = ["Call", "Link", "Space"]

Call = tuple[bytes, bytes]
"""A verb's name and its arguments."""

_NEVER = (b"never:1", b"never:2")
"""Keys that do not exist: see `scripts/00_frame.lua`."""


@define(eq=False)
class Space:
    """What all links of a handle share.

    :ivar clock: stands in for the server's clock, in tests.
    """

    place: Place
    namespace: str
    limits: Limits
    clock: Callable[[], Micros] | None = None
    keys: bytes = field(init=False)
    _limits: bytes = field(init=False)

    def __attrs_post_init__(self) -> None:
        limits = self.limits
        self.keys = self.place.keys(self.namespace)
        self._limits = struct.pack(
            ">dddd", limits.pending, limits.dedupe_window, limits.result_window, limits.loss_backoff
        )

    def call(self, call: Call) -> bytes:
        verb, arguments = call
        time = b"" if self.clock is None else b"%d" % self.clock()
        named = [self.keys + name for name in _NEVER]
        return command(b"EVALSHA", DIGEST, b"2", *named, self.keys, verb, time, self._limits, arguments)


def _unknown(reply: Any) -> bool:
    """The server does not know the script (any more): nothing was run."""
    return isinstance(reply, raised.NoScriptError)


@define(eq=False)
class Link:
    """A connection, opened when it is needed and given up when it broke.

    :ivar sent: something went out since somebody set this to False: it may have been carried out.
    """

    space: Space
    sent: bool = False
    _wire: Wire | None = None

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        """The reply of each call. Raises the driver's error of the first that failed."""
        replies = await self._exchange([self.space.call(call) for call in calls])
        if any(map(_unknown, replies)):
            await self.command(b"SCRIPT", b"LOAD", TEXT)
            missing = [call for call, reply in zip(calls, replies, strict=True) if _unknown(reply)]
            again = iter(await self._exchange([self.space.call(call) for call in missing]))
            replies = [next(again) if _unknown(reply) else reply for reply in replies]
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def command(self, *parts: bytes) -> Any:
        """The reply of one command. Raises the driver's error."""
        [reply] = await self._exchange([command(*parts)])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def _exchange(self, commands: Sequence[bytes]) -> list[Any]:
        if self._wire is None:
            self._wire = await connect(self.space.place)
        try:
            self.sent = True
            return await self._wire.exchange(commands)
        except BaseException:
            await self.drop()
            raise

    async def drop(self) -> None:
        """Give the connection up; what was asked over it is not waited for."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()
