"""Which line points up, and on which rank each vertex stands.

Boxes stand on even ranks, labels on the odd ones between them; the ports of the container's borders
are first and last. Ranks do not depend on sizes, which lets a container learn through which border its
lines leave before its inside is arranged.
"""

from __future__ import annotations

from continuum_core.definition.layout.graph import Level, Link, Role, Vertex
from continuum_core.definition.layout.simplex import Arc, solve

__all__ = ["assign_ranks", "orient"]


def orient(level: Level) -> None:
    """Reverse the links that close a cycle, found depth first in document order (Tarjan's back edges)."""
    after: dict[int, list[Link]] = {vertex.index: [] for vertex in level.vertices}
    for link in level.links:
        if link.tail.vertex.role is Role.BOTTOM or link.head.vertex.role is Role.TOP:
            link.reversed = True
        elif link.tail.vertex is not link.head.vertex:
            after[link.tail.vertex.index].append(link)
    state = dict.fromkeys(after, 0)  # 0 new, 1 on the path, 2 finished
    for start in sorted(level.vertices, key=_first):
        if state[start.index]:
            continue
        state[start.index] = 1
        path = [(start.index, iter(after[start.index]))]
        while path:
            index, links = path[-1]
            step = next(links, None)
            if step is None:
                state[index] = 2
                path.pop()
                continue
            head = step.head.vertex.index
            if state[head] == 1:
                step.reversed = True
            elif not state[head]:
                state[head] = 1
                path.append((head, iter(after[head])))


def _first(vertex: Vertex) -> tuple[bool, int]:
    """Searches begin at the initial dot: what the machine does first is what the reader sees first."""
    return (vertex.role is not Role.START, vertex.index)


def assign_ranks(level: Level) -> None:
    """Set `rank` of each vertex so that lines are short and point down."""
    count = len(level.vertices)
    top, bottom = count, count + 1
    arcs = [Arc(top, bottom, 2, 0)]
    for vertex in level.vertices:
        if vertex.role in (Role.TOP, Role.TITLE):
            arcs += [Arc(top, vertex.index, 0, 1000), Arc(vertex.index, bottom, 2, 0)]
        elif vertex.role is Role.BOTTOM:
            arcs += [Arc(vertex.index, bottom, 0, 1000), Arc(top, vertex.index, 2, 0)]
        else:
            arcs += [Arc(top, vertex.index, 1, 1), Arc(vertex.index, bottom, 1, 0)]
    for link in level.links:
        upper, lower = link.upper.vertex, link.lower.vertex
        if upper is not lower:
            arcs.append(Arc(upper.index, lower.index, 1, 10 * link.weight))
    values = solve(count + 2, arcs)
    for vertex in level.vertices:
        vertex.rank = 2 * (values[vertex.index] - values[top])
