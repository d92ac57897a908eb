"""A connection of redis-py, by what we need of it, with types that it does not state."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, cast

from redis import exceptions as raised
from redis.asyncio.connection import AbstractConnection

from continuum_redis.options import KIND, options_of
from continuum_redis.place import Place

__all__ = ["Wire", "command", "connect"]

_DEFAULTS: dict[str, Any] = {
    "socket_connect_timeout": 10.0,  # seconds
    "client_name": "continuum",
}

_SILENCE = 30.0
"""Seconds without an answer after which a connection is given up; `socket_timeout` in the URL is another."""


def command(*parts: bytes) -> bytes:
    """One command in the server's protocol."""
    framed = [b"*%d\r\n" % len(parts)]
    framed += [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"".join(framed)


class Wire:
    """An open connection: commands go out together, replies come in order.

    The driver is given no time limit of its own for them: on Python 3.11 it would lose a cancellation that
    comes at the moment at which it is done with sending.
    """

    def __init__(self, connection: AbstractConnection, silence: float) -> None:
        self._connection = connection
        self._silence = silence

    async def exchange(self, commands: Sequence[bytes]) -> list[Any]:
        """The replies to commands. Raises what the driver raises, and OSError (TimeoutError is one)."""
        async with asyncio.timeout(self._silence):
            await self.send(commands)
            return [await self.read() for _ in commands]

    async def send(self, commands: Sequence[bytes]) -> None:
        await self._connection.send_packed_command(commands, check_health=False)

    async def read(self) -> Any:
        """The next reply: bytes, whole numbers, None, lists of these; what the server refused, as a value."""
        try:
            return await cast("Any", self._connection).read_response(disable_decoding=True)
        except raised.ResponseError as error:
            return error

    async def close(self) -> None:
        with contextlib.suppress(raised.RedisError, OSError):
            await self._connection.disconnect()


async def connect(place: Place, node: str = "") -> Wire:
    """A connection to the server, or to another node of its cluster (`host:port`) by the same settings.

    Raises what the driver raises, and OSError.
    """
    options: dict[str, Any] = {**_DEFAULTS, **options_of(place.url)}
    if node:
        host, _, port = node.rpartition(":")
        options.update(host=host, port=int(port))
    silence = options.pop("socket_timeout", None) or _SILENCE
    kind: type[AbstractConnection] = options.pop(KIND)
    connection = kind(**options, socket_timeout=None, protocol=2)
    wire = Wire(connection, silence)
    try:
        async with asyncio.timeout(silence):  # a server that hangs still takes connections, and greets none
            await cast("Any", connection).connect()
    except BaseException:  # half open, also where the caller was cancelled
        await wire.close()
        raise
    return wire
