"""One level of a drawing: the vertices and links inside one container, before and after arranging.

A level knows nothing of charts. Its links are drawn from the upper to the lower vertex; a link whose
arrow points up is `reversed`. After `order` each link is a chain of vertices in consecutive ranks.
"""

from __future__ import annotations

import enum

from attrs import define, field

__all__ = ["BEND", "Level", "Link", "Port", "Role", "Vertex"]


class Role(enum.Enum):
    """What a vertex stands for; it decides gaps and where lines may attach."""

    BOX = "box"
    DOT = "dot"  # final, history: lines meet in its middle
    START = "start"  # the initial pseudo-state
    DIAMOND = "diamond"
    BAR = "bar"
    LABEL = "label"
    BEND = "bend"
    TURN = "turn"  # the bottom of a line from one region of a box to another of the same box
    TOP = "top"  # where a line comes through the container's upper border
    BOTTOM = "bottom"
    TITLE = "title"  # the container's own heading: no line runs through it


BEND = 0
"""Width and height of a vertex that is only a corner of a line."""


@define(eq=False)
class Vertex:
    """A box of `width` by `height` pixels; `body` of the width is the shape, the rest its loop and label."""

    role: Role
    width: int
    height: int
    item: int = -1
    body: int = -1
    # Offsets where lines inside a container meet its border without coming through it.
    busy_above: list[int] = field(factory=list[int])
    busy_below: list[int] = field(factory=list[int])
    loop: int = 0  # where its loop begins, from its left edge
    rank: int = 0
    order: int = 0
    x: int = 0
    y: int = 0
    index: int = 0

    def __attrs_post_init__(self) -> None:
        if self.body < 0:
            self.body = self.width


@define(eq=False)
class Port:
    """Where a line meets a vertex: pixels from the vertex's left edge; fixed when the inside dictates it."""

    vertex: Vertex
    offset: int = 0
    fixed: bool = False


@define(eq=False)
class Link:
    """A line from `tail` to `head` (the arrow); `label` is its width and height, if it carries one."""

    tail: Port
    head: Port
    wire: int
    label: tuple[int, int] | None = None
    reversed: bool = False
    weight: int = 1
    # from the top down: (upper, lower) a rank
    chain: list[tuple[Port, Port]] = field(factory=list[tuple[Port, Port]])
    caption: Vertex | None = None
    points: list[tuple[int, int]] = field(factory=list[tuple[int, int]])  # from tail to head

    @property
    def upper(self) -> Port:
        return self.head if self.reversed else self.tail

    @property
    def lower(self) -> Port:
        return self.tail if self.reversed else self.head


@define(eq=False)
class Level:
    """The vertices and links of one container, and the size they came to take."""

    vertices: list[Vertex] = field(factory=list[Vertex])
    links: list[Link] = field(factory=list[Link])
    ranks: list[list[Vertex]] = field(factory=list[list[Vertex]])
    width: int = 0
    height: int = 0

    def add(self, vertex: Vertex) -> Vertex:
        vertex.index = len(self.vertices)
        self.vertices.append(vertex)
        return vertex
