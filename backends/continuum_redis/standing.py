"""Whether the server still has what it had: asked beside calls, on each new connection and now and then.

Rule: a server that was emptied, restored, or failed over to a replica that lacked the tail forgets without a
word, and whoever asks it is told that there is no such run. Fences and commits keep two histories apart; that
something was lost, somebody must say. The journal's clock tells it, for a write never sets it back, and so
does the layout's key, which nobody writes twice.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

from continuum_core.clock import Micros
from continuum_redis.driver import command
from continuum_redis.nodes import Node
from continuum_redis.place import Place
from continuum_redis.tags import HOME, Tags

__all__ = ["Look", "Standing"]

logger = logging.getLogger(__name__)

_AGAIN = 10.0
"""Seconds until a node is asked once more over a connection that lives."""

_SECOND = 1_000_000

_EMPTIED = (
    "%s: the journal of namespace %r is not the one that this process opened: the server was emptied, or "
    "other data put in its place. What was acknowledged before is lost, and its runs are unknown. If that "
    "was not meant, stop the workers and restore a backup; if it was, restart all processes of this journal"
)
_BACK = (
    "%s: the server forgot what it had acknowledged to namespace %r%s: it failed over to a replica, or was "
    "restarted, without its latest data. Runs go on from where they were before, and what clients were told "
    "of since then is lost"
)


@frozen
class Look:
    """A look at a node.

    :ivar known: its tags in the order of `asks`, each with what its clock had come to when they were sent:
        another connection may write meanwhile.
    """

    asks: list[bytes]
    known: dict[int, Micros]


@define(eq=False)
class Standing:
    """What one handle knows of its server's data.

    :ivar tags: where they are; None until the journal is open: before, there may be nothing.
    """

    place: Place
    namespace: str
    tags: Tags | None = None
    _layout: bytes = b""
    _clocks: dict[int, Micros] = field(factory=dict[int, Micros])
    _due: dict[Node, float] = field(factory=dict[Node, float])

    def opened(self, tags: Tags, layout: bytes) -> None:
        """From here on, what is there must stay.

        :param layout: as it is stored.
        """
        self.tags, self._layout = tags, layout
        self._clocks.clear()

    def wrote(self, tag: int, clock: Micros) -> None:
        """The server acknowledged something in a tag, whose clock it then had set."""
        self._clocks[tag] = max(clock, self._clocks.get(tag, 0))

    def due(self, node: Node, now: float, fresh: bool) -> bool:
        """Whether to ask a node, over a connection that is `fresh` or has served before.

        :param now: seconds, of a clock that never goes back.
        """
        if self.tags is None or (not fresh and now < self._due.get(node, 0.0)):
            return False
        self._due[node] = now + _AGAIN
        return True

    def look(self, served: Sequence[int]) -> Look:
        """What to ask a node, which serves these tags, and what must not be less in its answers."""
        assert self.tags is not None, "nothing is asked before the journal is open"
        prefixes = self.tags.prefixes
        asks = [command(b"GET", prefixes[tag] + (b"schema" if tag == HOME else b"clk")) for tag in served]
        return Look(asks, {tag: self._clocks.get(tag, 0) for tag in served})

    def told(self, look: Look, replies: Sequence[Any]) -> None:
        """Compare the replies with what was known. One that is an error tells nothing."""
        told = zip(look.known, replies, strict=True)
        found = {tag: reply for tag, reply in told if not isinstance(reply, Exception)}
        layout = found.pop(HOME, self._layout) or b""
        if layout != self._layout:
            if self._layout:  # else it is told already that nothing is there
                logger.warning(_EMPTIED, self.place.shown, self.namespace)
            self._layout = layout
            self._clocks.clear()
            return
        clocks = {tag: int(clock or 0) for tag, clock in found.items()}
        behind = {tag: clock for tag, clock in clocks.items() if clock < look.known[tag]}
        if behind:
            gone = max(look.known[tag] - clock for tag, clock in behind.items())
            since = f" within {gone / _SECOND:.1f} s" if all(behind.values()) else ""
            logger.warning(_BACK, self.place.shown, self.namespace, since)
        self._clocks |= clocks
