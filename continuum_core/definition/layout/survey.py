"""Outside in: the vertices and links of each container, their ranks, and which border lines come through."""

from __future__ import annotations

from continuum_core.definition.layout.graph import BEND, Link, Port, Role, Vertex
from continuum_core.definition.layout.plan import Item, Shape, Wire
from continuum_core.definition.layout.rank import assign_ranks, orient
from continuum_core.definition.layout.wiring import child_in, outermost
from continuum_core.definition.layout.work import Artist, Work

__all__ = ["survey"]


def survey(artist: Artist, number: int) -> None:
    item = artist.plan.items[number]
    if item.shape is Shape.PARALLEL:
        for wire, tail, top in artist.work[number].crossing:
            region = child_in(artist.plan, number, wire.source if tail else wire.target)
            artist.work[item.children[0] if region is None else region].crossing.append((wire, tail, top))
        for child in item.children:
            survey(artist, child)
        return
    _fill(artist, item)
    work = artist.work[number]
    orient(work.level)
    assign_ranks(work.level)
    _hand_down(artist, work)
    for child in item.children:
        if artist.plan.container(child):
            survey(artist, child)


def _fill(artist: Artist, item: Item) -> None:
    work, plan = artist.work[item.number], artist.plan
    if item.shape in (Shape.COMPOUND, Shape.CELL):
        work.level.add(Vertex(Role.TITLE, item.block.width, item.block.height))
    for number in item.children:
        work.of[number] = work.level.add(_vertex(plan.items[number]))
    for wire in work.home:
        source, target = child_in(plan, item.number, wire.source), child_in(plan, item.number, wire.target)
        if source is not None and source == target:
            _add_loop(artist, work, wire, source)
            continue
        tail = _border(work, wire, True, True) if source is None else work.of[source]
        head = _border(work, wire, False, False) if target is None else work.of[target]
        _link(work, wire, tail, head, labelled=source in (None, outermost(plan, wire.source)))
    for wire, at_tail, top in work.crossing:
        port = _border(work, wire, at_tail, top)
        child = child_in(plan, item.number, wire.source if at_tail else wire.target)
        if child is None:  # the wire ends at this region itself: room at the border is all it needs
            continue
        inner = work.of[child]
        if at_tail:
            _link(work, wire, inner, port, labelled=child == outermost(plan, wire.source))
        else:
            _link(work, wire, port, inner, labelled=False)


def _vertex(item: Item) -> Vertex:
    match item.shape:
        case Shape.INITIAL:
            role = Role.START
        case Shape.FINAL | Shape.HISTORY:
            role = Role.DOT
        case Shape.CHOICE:
            return Vertex(Role.DIAMOND, item.width, item.height, item.number, body=34)
        case Shape.FORK:
            role = Role.BAR
        case _:
            role = Role.BOX
    return Vertex(role, item.width, item.height, item.number)


def _border(work: Work, wire: Wire, at_tail: bool, top: bool) -> Vertex:
    port = work.level.add(Vertex(Role.TOP if top else Role.BOTTOM, 0, 0))
    work.ports[wire.number, at_tail] = port
    return port


def _link(work: Work, wire: Wire, tail: Vertex, head: Vertex, *, labelled: bool) -> None:
    soft = (Role.TOP, Role.BOTTOM)
    link = Link(Port(tail, 0, tail.role in soft), Port(head, 0, head.role in soft), wire.number)
    if labelled and wire.block is not None:
        link.label = (wire.block.width, wire.block.height)
    link.weight = 3 if tail.role is Role.START else 1
    work.level.links.append(link)


def _add_loop(artist: Artist, work: Work, wire: Wire, child: int) -> None:
    """At the right side of a box; from one region to another, out at the bottom, a turn, and back."""
    vertex = work.of[child]
    if wire.source == wire.target == child:
        width, height = (wire.block.width, wire.block.height) if wire.block else (0, 0)
        link = Link(Port(vertex), Port(vertex), wire.number, (width, height))
        work.level.links.append(link)
        return
    turn = work.level.add(Vertex(Role.TURN, BEND, BEND, item=wire.number))
    there = Link(Port(vertex), Port(turn, 0, fixed=True), wire.number)
    if child == outermost(artist.plan, wire.source) and wire.block is not None:
        there.label = (wire.block.width, wire.block.height)
    back = Link(Port(turn, 0, fixed=True), Port(vertex), wire.number, reversed=True)
    work.level.links += [there, back]


def _hand_down(artist: Artist, work: Work) -> None:
    """Tell each child container which wires go on inside it, and through which border."""
    for link in work.level.links:
        wire = artist.plan.wires[link.wire]
        for port, at_tail, end in ((link.tail, True, wire.source), (link.head, False, wire.target)):
            number = port.vertex.item
            if port.vertex.role is Role.BOX and number != end and artist.plan.container(number):
                artist.work[number].crossing.append((wire, at_tail, port is not link.upper))
