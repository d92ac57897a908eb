"""From coordinates within containers to those of the page."""

from __future__ import annotations

from continuum_core.definition.layout.graph import Link, Role, Vertex
from continuum_core.definition.layout.picture import Box, Label
from continuum_core.definition.layout.plan import Item, Shape, Wire
from continuum_core.definition.layout.wiring import child_in
from continuum_core.definition.layout.work import LOOP, SIDE, Artist, Work

__all__ = ["emit"]


def emit(artist: Artist, number: int, x: int, y: int, height: int) -> None:
    item, work = artist.plan.items[number], artist.work[number]
    if item.shape is Shape.PARALLEL:
        _emit_row(artist, item, x, y)
        return
    left = x + SIDE
    for child, vertex in work.of.items():
        _emit_item(artist, child, left + vertex.x, y + vertex.y, vertex.body, vertex.height)
    depth = len(artist.plan.above(number))
    for wire, at_tail, top in work.crossing:
        if child_in(artist.plan, number, wire.source if at_tail else wire.target) is None:
            point = (left + work.ports[wire.number, at_tail].x, y if top else y + height)
            artist.parts.setdefault(wire.number, []).append((-depth if at_tail else depth, [point]))
    for link in work.level.links:
        _emit_link(artist, work, link, left, y, depth)


def _emit_item(artist: Artist, number: int, x: int, y: int, width: int, height: int) -> None:
    item = artist.plan.items[number]
    if item.shape is Shape.CHOICE:
        width = item.width
    state = None if item.state is None else item.state.number
    box = Box(number, item.parent, item.shape, x, y, width, height, item.block, state, item.region)
    artist.boxes.append(box)
    if artist.plan.container(number):
        emit(artist, number, x, y, height)


def _emit_row(artist: Artist, item: Item, x: int, y: int) -> None:
    work = artist.work[item.number]
    box = artist.boxes[-1]
    for number, (left, top) in work.offset.items():
        last = number == item.children[-1]
        width = box.width - left if last else artist.work[number].width
        _emit_item(artist, number, x + left, y + top, width, box.height - top)


def _emit_link(artist: Artist, work: Work, link: Link, x: int, y: int, depth: int) -> None:
    wire = artist.plan.wires[link.wire]
    vertex = link.tail.vertex
    if vertex is link.head.vertex:
        _emit_loop(artist, wire, vertex, x, y)
        return
    points = [(x + px, y + py) for px, py in link.points]
    artist.parts.setdefault(wire.number, []).append((_turn(artist, work, link, wire, depth), points))
    caption = link.caption
    if caption is not None and wire.block is not None:
        artist.labels.append(Label(x + caption.x, y + caption.y, wire.block, wire.edges))


def _turn(artist: Artist, work: Work, link: Link, wire: Wire, depth: int) -> int:
    """The place of this part among the wire's parts: out of the source's boxes, across, into the target's."""
    if any(wire is one and at_tail for one, at_tail, _ in work.crossing):
        return -depth
    if any(wire is one for one, _, _ in work.crossing):
        return depth
    return 1 if link.tail.vertex.role is Role.TURN else 0


def _emit_loop(artist: Artist, wire: Wire, vertex: Vertex, x: int, y: int) -> None:
    right, middle = x + vertex.x + vertex.loop, y + vertex.y + min(vertex.height // 2, 40)
    half = 10
    out = right + LOOP - 5
    points = [(right, middle - half), (out, middle - half), (out, middle + half), (right, middle + half)]
    artist.parts.setdefault(wire.number, []).append((0, points))
    if wire.block is not None:
        top = max(y + vertex.y + 4, middle - wire.block.height // 2)
        artist.labels.append(Label(out, top, wire.block, wire.edges))
