"""Handles on a server for tests, closed when the test is through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from continuum_core.journal.protocol import Limits
from continuum_redis.driver import Wire, command, connect
from continuum_redis.journal import RedisJournal
from continuum_redis.place import parse

__all__ = ["asked", "opened", "raw"]


@asynccontextmanager
async def opened(url: str, namespace: str, limits: Limits | None = None) -> AsyncIterator[RedisJournal]:
    """An opened handle."""
    journal = RedisJournal(parse(url), namespace, limits or Limits())
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[Wire]:
    """A connection of the test's own."""
    wire = await connect(parse(url))
    try:
        yield wire
    finally:
        await wire.close()


async def asked(wire: Wire, *parts: bytes) -> object:
    """The reply to one command. Raises what the server refused."""
    [reply] = await wire.exchange([command(*parts)])
    if isinstance(reply, Exception):
        raise reply
    return reply
