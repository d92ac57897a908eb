"""Inside out: each container is arranged, its own children and their ports first."""

from __future__ import annotations

from itertools import pairwise

from continuum_core.definition.layout.graph import Role, Vertex
from continuum_core.definition.layout.order import arrange_ranks, assign_ports, chain_links
from continuum_core.definition.layout.place import place
from continuum_core.definition.layout.plan import Item, Shape
from continuum_core.definition.layout.work import LOOP, SIDE, Artist, Work

__all__ = ["settle"]

WIDEST_TURN = 96


def settle(artist: Artist, number: int, clear: int) -> None:
    """Arrange a container; `clear` pixels of its upper left are taken by a heading outside."""
    item, work = artist.plan.items[number], artist.work[number]
    if item.shape is Shape.PARALLEL:
        _settle_row(artist, item, clear)
        return
    for child in item.children:
        if artist.plan.container(child):
            settle(artist, child, 0)
            inner = artist.work[child]
            work.of[child].width = work.of[child].body = inner.width
            work.of[child].height = inner.height
            _mark_busy(artist, child, work.of[child])
    for vertex in work.level.vertices:
        if vertex.role is Role.TITLE:
            vertex.width = max(vertex.width - SIDE, clear - SIDE)
    _fix_ports(artist, work)
    _make_room(work)
    chain_links(work.level)
    arrange_ranks(work.level)
    assign_ports(work.level)
    place(work.level)
    least = item.block.width + 8
    work.width = max(work.level.width + 2 * SIDE, least)
    work.height = work.level.height + SIDE - 4


def _settle_row(artist: Artist, item: Item, clear: int) -> None:
    """The regions of a parallel state side by side, all of one height."""
    work, x = artist.work[item.number], 0
    top = item.block.height
    for number in item.children:
        settle(artist, number, max(item.block.width, clear) - x)
        inner = artist.work[number]
        work.offset[number] = (x, top)
        x += inner.width
        work.height = max(work.height, top + inner.height)
    work.width = max(x, item.block.width + 8)


def _mark_busy(artist: Artist, number: int, vertex: Vertex) -> None:
    inner = artist.work[number]
    for wire in inner.home:
        for at_tail, busy in ((True, vertex.busy_above), (False, vertex.busy_below)):
            if (wire.number, at_tail) in inner.ports:
                busy.append(SIDE + inner.ports[wire.number, at_tail].x)


def _fix_ports(artist: Artist, work: Work) -> None:
    """Lines that go on inside a child meet its border where the inside says."""
    for link in work.level.links:
        for port, at_tail in ((link.tail, True), (link.head, False)):
            number = port.vertex.item
            if port.vertex.role is not Role.BOX or not artist.plan.container(number):
                continue
            x = _port_x(artist, number, link.wire, at_tail)
            if x is not None:
                port.offset, port.fixed = x, True
    for there, back in pairwise(work.level.links):
        if there.head.vertex.role is Role.TURN:
            apart = there.tail.offset - back.head.offset
            turn = there.head.vertex
            turn.width = turn.body = max(WIDEST_TURN // 4, min(abs(apart), WIDEST_TURN))
            (there.head if apart > 0 else back.tail).offset = turn.width


def _port_x(artist: Artist, number: int, wire: int, at_tail: bool) -> int | None:
    work = artist.work[number]
    if artist.plan.items[number].shape is Shape.PARALLEL:
        for region, (x, _) in work.offset.items():
            inner = _port_x(artist, region, wire, at_tail)
            if inner is not None:
                return x + inner
        return None
    port = work.ports.get((wire, at_tail))
    return None if port is None else SIDE + port.x


def _make_room(work: Work) -> None:
    """Widen boxes for their lines and their loops."""
    sides: dict[tuple[int, bool], int] = {}
    for link in work.level.links:
        if link.tail.vertex is not link.head.vertex:
            for key in ((link.upper.vertex.index, True), (link.lower.vertex.index, False)):
                sides[key] = sides.get(key, 0) + 1
    for (index, _), count in sides.items():
        vertex = work.level.vertices[index]
        if vertex.role is Role.BOX:
            vertex.width = vertex.body = max(vertex.body, 18 * (count + 1))
    for link in work.level.links:
        vertex = link.tail.vertex
        if vertex is link.head.vertex and link.label is not None:
            vertex.loop = vertex.width
            vertex.width += LOOP + link.label[0]
            vertex.height = max(vertex.height, link.label[1] + 8, 34)
