"""Which node of a cluster serves which slot, as far as is known; one server serves them all.

Rule: the cluster is authoritative and says so in its answers (MOVED); what is kept here only spares asking.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field

__all__ = ["THE_SERVER", "Node", "Nodes", "told"]

Node = str
"""A node's `host:port`; `THE_SERVER` for the one that the URL names."""

THE_SERVER: Node = ""


def told(host: object, port: object, asked: Node, first: str) -> Node:
    """A node as another one names it; without a host it is that of the node `asked`.

    :param first: the URL's own host.
    """
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if not name or name == "?":
        name = asked.rpartition(":")[0] if asked else first
    return f"{name}:{port}"


@define(eq=False)
class Nodes:
    """Of one handle.

    :ivar clustered: the server is a node of a cluster.
    :ivar stale: somebody failed to reach a node, and the next one to ask should learn the slots anew.
    """

    host: str
    clustered: bool = False
    stale: bool = False
    _ranges: list[tuple[int, int, Node]] = field(factory=list[tuple[int, int, Node]])
    _moved: dict[int, Node] = field(factory=dict[int, Node])

    def of(self, slot: int) -> Node:
        if not self.clustered:
            return THE_SERVER
        if slot in self._moved:
            return self._moved[slot]
        for first, last, node in self._ranges:
            if first <= slot <= last:
                return node
        return THE_SERVER  # it will tell

    def all(self) -> list[Node]:
        """Every primary that is known, or the server that the URL names."""
        return sorted({*(node for _, _, node in self._ranges), *self._moved.values()}) or [THE_SERVER]

    def moved(self, slot: int, node: Node) -> None:
        self._moved[slot] = node

    def learn(self, reply: Iterable[Any], asked: Node) -> None:
        """Take the answer to CLUSTER SLOTS, given by the node `asked`."""
        self._ranges = [
            (first, last, told(primary[0], primary[1], asked, self.host))
            for first, last, primary, *_ in reply
        ]
        self._moved.clear()
        self.stale = False
