"""What an open handle holds: three lanes a node with a connection each, and the hints, for one event loop.

Rule: a connection is opened when it is first used. On one server a handle has at most six: two for turns,
starts and deliveries, claims and reading, one that tells hints, and one that listens once somebody waits.
Nodes of a cluster have lanes of their own, so that one that is down holds up nobody else's calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from attrs import define, field
from redis import exceptions as raised

from continuum_core.errors import IncompatibleJournal, JournalUnavailable, UsageError
from continuum_core.journal.looking import missing
from continuum_redis import durability
from continuum_redis.arguments import Arguments, packed
from continuum_redis.errors import LOST, unusable
from continuum_redis.lane import Lane
from continuum_redis.link import Call, Link, Space
from continuum_redis.nodes import Node
from continuum_redis.tags import HOME, Tags
from continuum_redis.transport import Transport
from continuum_redis.wakeups import Wakeups

__all__ = ["LAYOUT", "READING", "STARTING", "TURNING", "Store", "open_store"]

M = TypeVar("M")

LAYOUT = 1
"""The version of the layout that this release writes, and the newest it can read."""

STARTING, TURNING, READING = "starting", "turning", "reading"
"""The lanes: of starts and deliveries, of turns and ends, of claims and reading."""

_WIDTH = {STARTING: 1, TURNING: 2, READING: 1}
"""Connections of a lane."""

_OLDEST_SERVER = (7, 0)
_TAGS_OF_A_CLUSTER = 64


@define(eq=False)
class Store:
    """An opened namespace.

    :ivar loop: on which it was opened, in process `process`.
    """

    space: Space
    layout: int
    durability: str
    wakeups: Wakeups
    loop: asyncio.AbstractEventLoop
    process: int
    _lanes: dict[tuple[str, Node], Lane] = field(factory=dict[tuple[str, Node], Lane])
    _closed: bool = False

    @property
    def tags(self) -> Tags:
        return self.space.tags

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

    # --- asking

    def lane(self, role: str, tag: int) -> Lane:
        """Raises UsageError once the store was closed."""
        node = self.space.node_of(tag)
        if (role, node) not in self._lanes:
            if self._closed:
                raise UsageError("the journal was closed")
            name = f"continuum-redis-{role}{f' {node}' if node else ''}"
            links = [Link(self.space) for _ in range(_WIDTH[role])]
            self._lanes[role, node] = Lane(name, *links)
        return self._lanes[role, node]

    async def ask(self, role: str, verb: str, arguments: bytes = b"", tag: int = 0) -> Any:
        """The reply of one call."""
        return await self.lane(role, tag).ask(verb, arguments, tag)

    async def ask_each(self, role: str, verb: str, asked: Sequence[tuple[int, bytes]]) -> list[Any]:
        """The reply of a call in each tag, with its arguments; all go out together."""
        calls = [Call(tag, verb.encode(), arguments) for tag, arguments in asked]
        return await self._by_lane(role, [call.tag for call in calls], calls, Lane.ask_all)

    async def look(self, verb: str, arguments: bytes) -> dict[int, Any]:
        """The reply of every tag whose node can be reached. Raises JournalUnavailable where none can."""
        tags = self.tags.all()
        calls = [Call(tag, verb.encode(), arguments) for tag in tags]

        async def reached(lane: Lane, mine: Sequence[Call]) -> list[Any]:
            try:
                return await lane.ask_all(mine)
            except JournalUnavailable as error:
                return [error] * len(mine)

        told = dict(zip(tags, await self._by_lane(READING, list(tags), calls, reached), strict=True))
        found = {tag: reply for tag, reply in told.items() if not isinstance(reply, Exception)}
        if not found:
            raise told[0]
        return found

    async def gather(
        self, role: str, verb: str, members: Sequence[tuple[int, bytes]], head: bytes = b""
    ) -> list[Any]:
        """The reply for each member of a batch, each in its tag."""

        async def gathered(lane: Lane, mine: Sequence[tuple[int, bytes]]) -> list[Any]:
            return await lane.gather(verb, mine, head)

        return await self._by_lane(role, [tag for tag, _ in members], members, gathered)

    async def _by_lane(
        self, role: str, tags: Sequence[int], members: Sequence[M], ask: Callable[[Lane, Sequence[M]], Any]
    ) -> list[Any]:
        lanes = [self.lane(role, tag) for tag in tags]
        different = list(dict.fromkeys(lanes))
        if len(different) == 1:
            only: list[Any] = await ask(different[0], members)
            return only
        replies: list[Any] = [None] * len(members)
        places = [[place for place, each in enumerate(lanes) if each is lane] for lane in different]
        works = [
            ask(lane, [members[place] for place in mine])
            for lane, mine in zip(different, places, strict=True)
        ]
        # All are waited for, whatever becomes of one: an error must leave nothing behind that still writes.
        for mine, told in zip(places, await asyncio.gather(*works, return_exceptions=True), strict=True):
            if isinstance(told, BaseException):
                raise told
            for place, reply in zip(mine, told, strict=True):
                replies[place] = reply
        return replies

    async def close(self, first: Callable[[], Awaitable[None]]) -> None:
        """Do `first`, carry out what was asked, and give every connection back."""
        if self.process != os.getpid() or self.loop is not asyncio.get_running_loop():
            return  # its tasks ended with their loop, or are another process's
        self._closed = True
        async with contextlib.AsyncExitStack() as last_first:  # each of them, whatever becomes of another
            for lane in self._lanes.values():
                last_first.push_async_callback(lane.stop)
            last_first.push_async_callback(self.wakeups.close)
            last_first.push_async_callback(first)


async def open_store(space: Space, *, makes: bool = True) -> Store:
    """Connect, check the server and its settings, check the layout. Raises as the port's `open` does.

    :param makes: a namespace that is not there is made. False: it is refused, with JournalMissing.
    """
    link = Link(space)
    try:
        await _check_server(link)
        told = await durability.check(link, space.place)
        layout = await _layout(link, makes)
    except (raised.RedisError, *LOST) as error:
        raise unusable(space.place.shown, error) from error
    finally:
        await link.drop()
    return Store(
        space,
        layout,
        told,
        wakeups=Wakeups(Transport(space.place, space.place.channel(space.namespace))),
        loop=asyncio.get_running_loop(),
        process=os.getpid(),
    )


async def _check_server(link: Link) -> None:
    facts: dict[str, str] = {}
    for section in (b"server", b"cluster"):
        told = await link.command(b"INFO", section)
        facts |= dict(line.split(":", 1) for line in told.decode().splitlines() if ":" in line)
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_SERVER:
        raise IncompatibleJournal(
            f"{link.space.place.shown}: the server is Redis {version}; 7.0 or later (or Valkey) is needed"
        )
    link.space.nodes.clustered = facts.get("cluster_enabled") == "1"
    if link.space.nodes.clustered:
        await link.learn()


async def _layout(link: Link, makes: bool) -> int:
    """The layout's version; the space learns its tags. Raises IncompatibleJournal."""
    space = link.space
    asked = space.place.tags
    wanted = asked or (_TAGS_OF_A_CLUSTER if space.nodes.clustered else 1)

    def write(to: Arguments) -> None:
        to.number(LAYOUT)
        to.number(1)
        to.number(wanted)

    [told] = await link.ask([Call(HOME, b"open" if makes else b"look", packed(write) if makes else b"")])
    if not told:
        raise missing(space.place.shown, space.namespace)
    version, min_reader, count, stored = told
    if min_reader > LAYOUT:
        raise IncompatibleJournal(
            f"{space.place.shown}: has layout {version}, which needs a release that knows {min_reader} "
            f"or later; this one knows {LAYOUT}; upgrade continuum-core"
        )
    if asked and asked != count:
        raise IncompatibleJournal(
            f"{space.place.shown}: the namespace {space.namespace!r} was created with tags={count}, and the "
            f"URL says tags={asked}; leave it out, or copy the journal into a new one"
        )
    space.tags = Tags(space.place.base(space.namespace), count)
    space.standing.opened(space.tags, stored)
    stated: int = version
    return stated
