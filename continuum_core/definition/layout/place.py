"""Coordinates of one level: x so that lines are straight, y from the heights of ranks and their tracks.

x is the exact optimum of the weighted horizontal distances under the separations in each rank, found
by network simplex on the auxiliary graph of Gansner et al., 1993, section 4.2, ports included.
"""

from __future__ import annotations

from itertools import pairwise

from continuum_core.definition.layout.graph import Level, Port, Role, Vertex
from continuum_core.definition.layout.route import Piece, Tracks, assign_tracks
from continuum_core.definition.layout.simplex import Arc, solve

__all__ = ["place", "straighten"]

_GAPS = {Role.BEND: 8, Role.LABEL: 10, Role.TOP: 8, Role.BOTTOM: 8, Role.TITLE: 14}
_SPACE = 20
TRACK = 12
ARROW = 20
"""Pixels that the last straight part of a line needs for its arrow head."""


def place(level: Level) -> None:
    """Set x and y of every vertex, the points of every link, and the level's size."""
    _assign_x(level)
    _slide_ports(level)
    _assign_y(level)


def straighten(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """`points` without repetitions and without those in the middle of a straight line."""
    kept: list[tuple[int, int]] = []
    for point in points:
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and any(kept[-2][axis] == kept[-1][axis] == point[axis] for axis in (0, 1)):
            kept.pop()
        kept.append(point)
    return kept


def _assign_x(level: Level) -> None:
    arcs: list[Arc] = []
    for rank in level.ranks:
        for left, right in pairwise(rank):
            gap = _GAPS.get(left.role, _SPACE) + _GAPS.get(right.role, _SPACE)
            if left.role is Role.LABEL and right.role in (Role.LABEL, Role.BEND):
                gap += 4
            arcs.append(Arc(left.index, right.index, left.width + gap, 0))
    count = len(level.vertices)
    for link in level.links:
        for upper, lower in link.chain:
            # One more for the last part: of two equally short places for a bend, not one in between.
            weight = _weight(upper, lower) * link.weight + (lower is link.lower)
            base = max(upper.offset, lower.offset)
            arcs.append(Arc(count, upper.vertex.index, base - upper.offset, weight))
            arcs.append(Arc(count, lower.vertex.index, base - lower.offset, weight))
            count += 1
    border = count  # keeps the graph connected, and what is not tied to anything at the left
    arcs += [Arc(border, vertex.index, 0, 1 if vertex.role is Role.TITLE else 0) for vertex in level.vertices]
    values = solve(count + 1, arcs + _pulls(level, border))
    least = min((values[v.index] for v in level.vertices), default=0)
    for vertex in level.vertices:
        vertex.x = values[vertex.index] - least
        level.width = max(level.width, vertex.x + vertex.width)


def _pulls(level: Level, border: int) -> list[Arc]:
    """Vertices without a line are pulled to the left border, so that they stand together."""
    tied = {port.vertex.index for link in level.links for pair in link.chain for port in pair}
    return [Arc(border, vertex.index, 0, 1) for vertex in level.vertices if vertex.index not in tied]


def _weight(upper: Port, lower: Port) -> int:
    """Straight in the middle of a line, also through a border, matters more than at its ends."""
    return (1, 3, 8)[upper.fixed + lower.fixed] * 4


def _slide_ports(level: Level) -> None:
    """Move ports along their boxes to where their lines are straight, if that disturbs no other port."""
    sides: dict[tuple[int, bool], list[tuple[Port, Port]]] = {}
    for link in level.links:
        for upper, lower in link.chain:
            sides.setdefault((upper.vertex.index, True), []).append((upper, lower))
            sides.setdefault((lower.vertex.index, False), []).append((lower, upper))
    for pairs in sides.values():
        vertex = pairs[0][0].vertex
        if vertex.role not in (Role.BOX, Role.BAR):
            continue
        for near, far in sorted(pairs, key=lambda pair: abs(_lean(*pair))):
            others = [other.offset for other, _ in pairs if other is not near]
            others += vertex.busy_below if pairs[0][1].vertex.rank > vertex.rank else vertex.busy_above
            wish = near.offset - _lean(near, far)
            if not near.fixed and _fits(vertex, near.offset, wish, others):
                near.offset = wish


def _lean(near: Port, far: Port) -> int:
    return near.vertex.x + near.offset - far.vertex.x - far.offset


def _fits(vertex: Vertex, now: int, wish: int, others: list[int]) -> bool:
    room = 10 if vertex.role is Role.BOX else 3
    return room <= wish <= vertex.body - room and all(
        abs(wish - other) >= 12 and (other < now) == (other < wish) for other in others
    )


def _assign_y(level: Level) -> None:
    pieces: list[list[Piece]] = [[] for _ in level.ranks]
    for number, link in enumerate(level.links):
        for step, (upper, lower) in enumerate(link.chain):
            piece = Piece((number, step), upper.vertex.x + upper.offset, lower.vertex.x + lower.offset)
            pieces[upper.vertex.rank].append(piece)
    tracks = [assign_tracks(rank) for rank in pieces]
    heads = _rooms(level, tracks)
    y = 0
    begun = False
    channels: list[int] = []  # the y of each channel's first track
    for number, rank in enumerate(level.ranks):
        tall = max((vertex.height for vertex in rank), default=0)
        for vertex in rank:
            vertex.y = y if vertex.role is Role.TITLE else y + (tall - vertex.height) // 2
            if vertex.role in (Role.TOP, Role.TITLE):
                vertex.y = y
        y += tall
        before, after = heads[number]
        last = number == len(level.ranks) - 1
        channels.append(y + before)
        begun = begun or bool(rank)
        if begun and not last:
            y += before + max(0, tracks[number].count - 1) * TRACK + after
    level.height = y
    _draw(level, tracks, channels)


def _rooms(level: Level, tracks: list[Tracks]) -> list[tuple[int, int]]:
    """Per channel, the room above its first and below its last track; more where an arrow head needs it."""
    rooms: list[tuple[int, int]] = []
    size = len(level.ranks)
    up = {link.upper.vertex.rank for link in level.links if link.reversed}
    down = {link.lower.vertex.rank for link in level.links if not link.reversed}
    for number in range(size):
        below = level.ranks[number + 1] if number + 1 < size else []
        straight = not tracks[number].count
        before = ARROW if number in up else 10
        after = ARROW if number + 1 in down else 10
        # Next to a rank of bends little room is needed, but horizontals of two channels stay a track apart.
        least = 2 if straight else TRACK // 2
        if not _solid(level.ranks[number]) or (number == 0 and straight):
            before = least
        if all(vertex.role in (Role.BEND, Role.START, Role.BOTTOM) for vertex in below):
            after = least
        rooms.append((before, after))
    return rooms


def _solid(rank: list[Vertex]) -> bool:
    return any(vertex.role is not Role.BEND for vertex in rank)


def _draw(level: Level, tracks: list[Tracks], channels: list[int]) -> None:
    for number, link in enumerate(level.links):
        points: list[tuple[int, int]] = []
        for step, (upper, lower) in enumerate(link.chain):
            rank = upper.vertex.rank
            start, end = upper.vertex.x + upper.offset, lower.vertex.x + lower.offset
            points.append((start, _edge_of(upper, below=True)))
            track = tracks[rank].of.get((number, step))
            if track is not None:
                y = channels[rank] + track * TRACK
                points += [(start, y), (end, y)]
            points.append((end, _edge_of(lower, below=False)))
        points = straighten(points)
        link.points = points[::-1] if link.reversed else points


def _edge_of(port: Port, *, below: bool) -> int:
    """The y where a vertical line through the port meets the vertex's outline."""
    vertex = port.vertex
    top, bottom = vertex.y, vertex.y + vertex.height
    if vertex.role is Role.TOP:
        return top
    if vertex.role is Role.DIAMOND:
        half = vertex.body // 2
        cut = abs(port.offset - half) * (vertex.height // 2) // max(half, 1)
        return bottom - cut if below else top + cut
    return bottom if below else top
