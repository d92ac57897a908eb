"""Long lines become chains of bends, labels get a rank, and each rank an order with few crossings.

Source: Sugiyama, Tagawa, Toda, "Methods for visual understanding of hierarchical system structures",
1981 (barycentre sweeps); the exchange of neighbours is from Gansner et al., 1993.
"""

from __future__ import annotations

from itertools import pairwise

from continuum_core.definition.layout.graph import Level, Link, Port, Role, Vertex

__all__ = ["arrange_ranks", "assign_ports", "chain_links"]

SWEEPS = 16
PORT_GAP = 18


def chain_links(level: Level) -> None:
    """Give every link its chain of bends and, on one of its odd ranks, its label."""
    size = max((vertex.rank for vertex in level.vertices), default=0) + 1
    level.ranks = [[] for _ in range(size)]
    for vertex in level.vertices:
        level.ranks[vertex.rank].append(vertex)
    spent = [0] * size
    for link in sorted(level.links, key=lambda one: one.lower.vertex.rank - one.upper.vertex.rank):
        if link.tail.vertex is not link.head.vertex:
            _chain(level, link, spent)


def _chain(level: Level, link: Link, spent: list[int]) -> None:
    first, last = link.upper.vertex.rank, link.lower.vertex.rank
    place = -1
    if link.label is not None:
        # Near the source, unless that rank is already much wider: a reader looks for labels there.
        odd = [rank for rank in range(first + 1, last) if rank % 2]
        odd = odd[::-1] if link.reversed else odd
        place = min(odd, key=lambda rank: (spent[rank] // 400 + odd.index(rank), odd.index(rank)))
        spent[place] += link.label[0]
    above = link.upper
    for rank in range(first + 1, last):
        if rank == place and link.label is not None:
            vertex = Vertex(Role.LABEL, *link.label, item=link.wire)
            link.caption = vertex
        else:
            vertex = Vertex(Role.BEND, 0, 0, item=link.wire)
        vertex.rank = rank
        level.add(vertex)
        level.ranks[rank].append(vertex)
        below = Port(vertex, 0, fixed=True)
        link.chain.append((above, below))
        above = Port(vertex, 0, fixed=True)
    link.chain.append((above, link.lower))


def arrange_ranks(level: Level) -> None:
    """Order each rank: the best of the sweeps, by crossings, then by the length of what is not straight."""
    segments = [pair for link in level.links for pair in link.chain]
    down: dict[int, list[tuple[Port, Port]]] = {vertex.index: [] for vertex in level.vertices}
    up: dict[int, list[tuple[Port, Port]]] = {vertex.index: [] for vertex in level.vertices}
    for upper, lower in segments:
        down[upper.vertex.index].append((upper, lower))
        up[lower.vertex.index].append((lower, upper))
    _first_order(level, down)
    best = [list(rank) for rank in level.ranks]
    fewest = _total(level, down)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        downwards = sweep % 2 == 0
        ranks = level.ranks if downwards else level.ranks[::-1]
        for rank in ranks:
            _by_barycentre(rank, up if downwards else down, sweep)
        _exchange(level, up, down)
        crossings = _total(level, down)
        if crossings < fewest:
            fewest, best = crossings, [list(rank) for rank in level.ranks]
    level.ranks = best
    for rank in level.ranks:
        _number(rank)


def _number(rank: list[Vertex]) -> None:
    for order, vertex in enumerate(rank):
        vertex.order = order


def _first_order(level: Level, down: dict[int, list[tuple[Port, Port]]]) -> None:
    """Depth first from the top, in document order: chains of neighbours start out side by side."""
    seen: set[int] = set()
    ranks: list[list[Vertex]] = [[] for _ in level.ranks]
    starts = sorted(level.vertices, key=lambda v: (v.role is not Role.TITLE, v.rank, v.index))
    for start in starts:
        stack = [start]
        while stack:
            vertex = stack.pop()
            if vertex.index in seen:
                continue
            seen.add(vertex.index)
            ranks[vertex.rank].append(vertex)
            stack += [lower.vertex for _, lower in reversed(down[vertex.index])]
    level.ranks = ranks
    for rank in ranks:
        _number(rank)


def _spot(port: Port) -> float:
    """A place along the rank: the vertex's order plus where on its width the port is."""
    width = max(port.vertex.width, 1)
    return port.vertex.order + (0.8 * port.offset / width if port.fixed and port.vertex.width else 0.4)


def _by_barycentre(rank: list[Vertex], around: dict[int, list[tuple[Port, Port]]], sweep: int) -> None:
    keys: dict[int, float] = {}
    for vertex in rank:
        # A vertex without neighbours on that side keeps its place among the others.
        spots = [_spot(far) - (_spot(near) - vertex.order - 0.4) for near, far in around[vertex.index]]
        keys[vertex.index] = sum(spots) / len(spots) if spots else float(vertex.order)
    later = -1 if sweep % 4 > 1 else 1
    rank.sort(key=lambda v: (v.role is not Role.TITLE, keys[v.index], later * v.order))
    _number(rank)


def _crossings(pairs: list[tuple[float, float]]) -> int:
    pairs.sort()
    return sum(
        pairs[left][1] > pairs[right][1] and pairs[left][0] < pairs[right][0]
        for left in range(len(pairs))
        for right in range(left + 1, len(pairs))
    )


def _total(level: Level, down: dict[int, list[tuple[Port, Port]]]) -> int:
    return sum(
        _crossings([(_spot(near), _spot(far)) for v in rank for near, far in down[v.index]])
        for rank in level.ranks
    )


def _exchange(
    level: Level, up: dict[int, list[tuple[Port, Port]]], down: dict[int, list[tuple[Port, Port]]]
) -> None:
    """Swap neighbours while that lowers the number of crossings."""
    better = True
    rounds = 0
    while better and rounds < 8:
        better = False
        rounds += 1
        for rank in level.ranks:
            for left, right in pairwise(range(len(rank))):
                if rank[left].role is Role.TITLE:
                    continue
                before = _between(rank[left], rank[right], up) + _between(rank[left], rank[right], down)
                after = _between(rank[right], rank[left], up) + _between(rank[right], rank[left], down)
                if after < before:
                    rank[left], rank[right] = rank[right], rank[left]
                    _number(rank)
                    better = True


def _between(left: Vertex, right: Vertex, around: dict[int, list[tuple[Port, Port]]]) -> int:
    return sum(
        _spot(mine) > _spot(other) for _, mine in around[left.index] for _, other in around[right.index]
    )


def assign_ports(level: Level) -> None:
    """Spread the lines of each vertex along its two borders, in the order of their far ends."""
    above: dict[int, list[tuple[Port, Port]]] = {}
    below: dict[int, list[tuple[Port, Port]]] = {}
    for link in level.links:
        for upper, lower in link.chain:
            below.setdefault(upper.vertex.index, []).append((upper, lower))
            above.setdefault(lower.vertex.index, []).append((lower, upper))
    for vertex in level.vertices:
        _spread(vertex, above.get(vertex.index, []), vertex.busy_above)
        _spread(vertex, below.get(vertex.index, []), vertex.busy_below)


def _spread(vertex: Vertex, pairs: list[tuple[Port, Port]], busy: list[int]) -> None:
    free = sorted((pair for pair in pairs if not pair[0].fixed), key=lambda pair: _spot(pair[1]))
    if vertex.role in (Role.DOT, Role.START):
        for port, _ in free:
            port.offset = vertex.body // 2
        return
    taken = [*busy, *(port.offset for port, _ in pairs if port.fixed)]
    spots = _spots(vertex.body, len(free), taken)
    for (port, _), offset in zip(free, spots, strict=True):
        port.offset = offset


def _spots(width: int, count: int, taken: list[int]) -> list[int]:
    """`count` offsets spread over `width`, in order, keeping clear of those taken."""
    if not count:
        return []
    gap = max(2, min(PORT_GAP * 2, width // (count + 1)))
    first = (width - gap * (count - 1)) // 2
    spots = [first + gap * number for number in range(count)]
    if all(abs(spot - other) >= 8 for spot in spots for other in taken):
        return spots
    clear = [x for x in range(10, width - 9, 2) if all(abs(x - other) >= 10 for other in taken)]
    if len(clear) < count:
        return spots
    step = len(clear) / count
    return [clear[int(step * (number + 0.5))] for number in range(count)]
