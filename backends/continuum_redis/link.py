"""Connections to the nodes that serve a handle's tags, and calls over them: sent together, answered in order.

Rule: every reply that was asked for is read, errors too, or the connection is given up: the next caller must
not be told what was meant for another. Where a slot is elsewhere, or on its way, nothing was run: the call
follows it, or waits a little.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from typing import Any, cast

from attrs import define, field, frozen
from redis import exceptions as raised

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Limits
from continuum_redis.driver import Wire, command, connect
from continuum_redis.errors import LOST
from continuum_redis.nodes import THE_SERVER, Node, Nodes, told
from continuum_redis.place import Place
from continuum_redis.script import script_of
from continuum_redis.standing import Standing
from continuum_redis.tags import HOME, Tags

__all__ = ["Call", "Link", "Space"]

_NEVER = (b"never:1", b"never:2")
"""Keys that do not exist: see `scripts/00_frame.lua`."""

_PATIENCE = 10.0  # seconds a call follows a slot that moves, and waits for one on its way
_SHORTEST, _LONGEST = 0.002, 0.1  # seconds between two looks whether a slot has arrived

_ASKING = command(b"ASKING")


@frozen
class Call:
    """A call of the script.

    :ivar tag: in which it works.
    """

    tag: int
    verb: bytes
    arguments: bytes = b""


@define(eq=False)
class Space:
    """What all links of a handle share.

    :ivar clock: stands in for the server's clock, in tests.
    :ivar tags: one, until the journal's layout has told how many there are.
    :ivar standing: what this handle knows of the server's data.
    """

    place: Place
    namespace: str
    limits: Limits
    clock: Callable[[], Micros] | None = None
    tags: Tags = field(init=False)
    nodes: Nodes = field(init=False)
    standing: Standing = field(init=False)
    _limits: bytes = field(init=False)

    def __attrs_post_init__(self) -> None:
        limits = self.limits
        self.tags = Tags(self.place.base(self.namespace), 1)
        self.nodes = Nodes(self.place.host)
        self.standing = Standing(self.place, self.namespace)
        self._limits = struct.pack(
            ">dddd", limits.pending, limits.dedupe_window, limits.result_window, limits.loss_backoff
        )

    def node_of(self, tag: int) -> Node:
        return self.nodes.of(self.tags.slots[tag])

    def served(self, node: Node) -> list[int]:
        """The tags of a node, the home tag among them."""
        return [tag for tag in (HOME, *self.tags.all()) if self.node_of(tag) == node]

    def packed(self, call: Call) -> bytes:
        time = b"" if self.clock is None else b"%d" % self.clock()
        keys = self.tags.prefixes[call.tag]
        tags = (b"%d" % self.tags.count, b"%d" % max(call.tag, 0))
        if call.tag == HOME:
            tags = (b"1", b"0")
        named = [keys + name for name in _NEVER]
        digest = script_of(call.verb).digest
        return command(b"EVALSHA", digest, b"2", *named, keys, time, self._limits, call.arguments, *tags)


@define(eq=False)
class _Asked:
    """A call under way. `node`: whom to ask, and whether after ASKING."""

    call: Call
    place: int
    node: Node
    asking: bool = False


@define(eq=False)
class Link:
    """A connection to each node that was needed, given up when it broke.

    :ivar sent: something went out since somebody set this to False: it may have been carried out.
    """

    space: Space
    sent: bool = False
    _wires: dict[Node, Wire] = field(factory=dict[Node, Wire])

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        """The reply of each call. Raises the driver's error of the first that failed."""
        if self.space.nodes.stale:
            await self.learn()
        replies: list[Any] = [None] * len(calls)
        asked = [_Asked(call, place, self.space.node_of(call.tag)) for place, call in enumerate(calls)]
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + _PATIENCE, _SHORTEST
        while True:
            await self._round(asked, replies)
            again = [each for each in asked if self._goes_on(each, replies[each.place])]
            if not again or loop.time() > deadline:
                break
            if any(isinstance(replies[each.place], raised.TryAgainError) for each in again):
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST)
            asked = again
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _round(self, asked: Sequence[_Asked], replies: list[Any]) -> None:
        """Ask each node what is for it, all at once. Raises the first error of a connection, after all."""
        nodes = list(dict.fromkeys(each.node for each in asked))
        of_node = [[each for each in asked if each.node == node] for node in nodes]
        if len(nodes) == 1:
            outcomes: list[Any] = [await self._of_node(nodes[0], asked)]
        else:
            works = [self._of_node(node, mine) for node, mine in zip(nodes, of_node, strict=True)]
            outcomes = await asyncio.gather(*works, return_exceptions=True)
        for mine, outcome in zip(of_node, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            for each, reply in zip(mine, outcome, strict=True):
                replies[each.place] = reply

    async def _of_node(self, node: Node, asked: Sequence[_Asked]) -> list[Any]:
        replies = await self._calls(node, asked)
        missing = [each for each, reply in zip(asked, replies, strict=True) if _unknown(reply)]
        if missing:
            for verb in dict.fromkeys(each.call.verb for each in missing):
                await self.command(b"SCRIPT", b"LOAD", script_of(verb).text, node=node)
            again = iter(await self._calls(node, missing))
            replies = [next(again) if _unknown(reply) else reply for reply in replies]
        return replies

    async def _calls(self, node: Node, asked: Sequence[_Asked]) -> list[Any]:
        commands: list[bytes] = []
        for each in asked:
            commands += [_ASKING] if each.asking else []
            commands.append(self.space.packed(each.call))
        replies = iter(await self._exchange(node, commands))
        found: list[Any] = []
        for each in asked:
            if each.asking:
                next(replies)
            found.append(next(replies))
        return found

    def _goes_on(self, asked: _Asked, reply: Any) -> bool:
        """Whether a call is to be asked again, and then whom. ASK and MOVED are errors of one family."""
        if isinstance(reply, raised.TryAgainError):
            return True
        if not isinstance(reply, raised.AskError):
            return False
        where = cast("Any", reply)  # the driver does not state the types of what it read
        node = told(where.host, where.port, asked.node, self.space.nodes.host)
        moved = isinstance(reply, raised.MovedError)
        if moved:
            self.space.nodes.moved(reply.slot_id, node)
        asked.node, asked.asking = node, not moved
        return True

    async def learn(self) -> None:
        """Ask who serves which slot: whoever answers first of those that are known."""
        nodes = self.space.nodes
        failed: Exception | None = None
        for node in dict.fromkeys([*nodes.all(), THE_SERVER]):
            try:
                nodes.learn(await self.command(b"CLUSTER", b"SLOTS", node=node), node)
            except (raised.RedisError, *LOST) as error:
                failed = error
            else:
                return
        if failed is not None:
            raise failed

    async def command(self, *parts: bytes, node: Node = THE_SERVER) -> Any:
        """The reply of one command. Raises the driver's error."""
        [reply] = await self._exchange(node, [command(*parts)])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def _exchange(self, node: Node, commands: Sequence[bytes]) -> list[Any]:
        try:
            fresh = node not in self._wires
            if fresh:
                self._wires[node] = await connect(self.space.place, node)
            self.sent = True
            if self.space.standing.due(node, asyncio.get_running_loop().time(), fresh):
                return await self._exchange_and_look(node, commands)
            return await self._wires[node].exchange(commands)
        except BaseException:
            self.space.nodes.stale = self.space.nodes.clustered
            wire = self._wires.pop(node, None)
            if wire is not None:
                await wire.close()
            raise

    async def _exchange_and_look(self, node: Node, commands: Sequence[bytes]) -> list[Any]:
        """The same, after a look at what the node has: they go out together."""
        look = self.space.standing.look(self.space.served(node))
        count = len(look.asks)
        replies = await self._wires[node].exchange([*look.asks, *commands])
        self.space.standing.told(look, replies[:count])
        return replies[count:]

    async def drop(self) -> None:
        """Give all connections up; what was asked over them is not waited for."""
        wires, self._wires = list(self._wires.values()), {}
        for wire in wires:
            await wire.close()


def _unknown(reply: Any) -> bool:
    """The server does not know the script (any more): nothing was run."""
    return isinstance(reply, raised.NoScriptError)
