"""What an open handle holds: three lanes with a connection each, and the hints, for one event loop.

Rule: a connection is opened when its lane is first used. A handle has at most five: turns, starts and
deliveries, claims and reading, one that tells hints, and one that listens once somebody waits.
"""

from __future__ import annotations

import asyncio
import os

from attrs import define
from redis import exceptions as raised

from continuum_core.errors import IncompatibleJournal, UsageError
from continuum_redis import durability
from continuum_redis.arguments import Arguments
from continuum_redis.errors import LOST, unusable
from continuum_redis.lane import Lane
from continuum_redis.link import Link, Space
from continuum_redis.transport import Transport
from continuum_redis.wakeups import Wakeups

__all__ = ["LAYOUT", "Store", "open_store"]

LAYOUT = 1
"""The version of the layout that this release writes, and the newest it can read."""

_OLDEST_SERVER = (7, 0)


@define(eq=False)
class Store:
    """An opened namespace.

    :ivar loop: on which it was opened, in process `process`.
    """

    space: Space
    layout: int
    durability: str
    starting: Lane
    turning: Lane
    reading: Lane
    wakeups: Wakeups
    loop: asyncio.AbstractEventLoop
    process: int

    def check_use(self) -> None:
        """Raise UsageError where this store cannot serve."""
        shown = self.space.place.shown
        if self.process != os.getpid():
            raise UsageError(
                f"the journal ({shown}) was opened in process {self.process}, not in this fork of it; "
                "open journals after forking"
            )
        if self.loop is not asyncio.get_running_loop():
            raise UsageError(
                f"the journal ({shown}) was opened on another event loop; use its sibling() on this one"
            )

    async def close(self) -> None:
        """Carry out what was asked, and give every connection back."""
        if self.process != os.getpid() or self.loop is not asyncio.get_running_loop():
            return  # its tasks ended with their loop, or are another process's
        await self.wakeups.close()
        for lane in (self.starting, self.turning, self.reading):
            await lane.stop()


async def open_store(space: Space) -> Store:
    """Connect, check the server and its settings, check the layout. Raises as the port's `open` does."""
    link = Link(space)
    try:
        await _check_server(link)
        told = await durability.check(link, space.place)
        layout = await _layout(link)
    except (raised.RedisError, *LOST) as error:
        await link.drop()
        raise unusable(space.place.shown, error) from error
    except BaseException:
        await link.drop()
        raise
    return Store(
        space,
        layout,
        told,
        starting=Lane("continuum-redis-starting", Link(space)),
        turning=Lane("continuum-redis-turning", Link(space)),
        reading=Lane("continuum-redis-reading", link),
        wakeups=Wakeups(Transport(space.place, space.place.channel(space.namespace))),
        loop=asyncio.get_running_loop(),
        process=os.getpid(),
    )


async def _check_server(link: Link) -> None:
    told = await link.command(b"INFO", b"server")
    facts = dict(line.split(":", 1) for line in told.decode().splitlines() if ":" in line)
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_SERVER:
        raise IncompatibleJournal(
            f"{link.space.place.shown}: the server is Redis {version}; 7.0 or later (or Valkey) is needed"
        )


async def _layout(link: Link) -> int:
    known = Arguments()
    known.number(LAYOUT)
    known.number(1)
    [(version, min_reader)] = await link.ask([(b"open", known.packed())])
    if min_reader > LAYOUT:
        raise IncompatibleJournal(
            f"{link.space.place.shown}: has layout {version}, which needs a release that knows {min_reader} "
            f"or later; this one knows {LAYOUT}; upgrade continuum-core"
        )
    stated: int = version
    return stated
