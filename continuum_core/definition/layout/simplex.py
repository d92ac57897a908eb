"""Network simplex: integers for vertices that keep every arc its length and the weighted sum least.

It serves twice: for ranks (arcs are transitions) and for x coordinates (arcs are separations).
Source: Gansner, Koutsofios, North, Vo, "A technique for drawing directed graphs", 1993.
"""

from __future__ import annotations

from attrs import define, frozen

__all__ = ["Arc", "solve"]


@frozen
class Arc:
    """``value[head] - value[tail] >= length``, and each unit beyond costs `weight`."""

    tail: int
    head: int
    length: int
    weight: int


@define
class _Tree:
    """A spanning tree of tight arcs, rooted at vertex 0 and numbered in pre-order.

    The vertices below one are a slice of `order`; so both halves of a cut are at hand without a search.
    """

    links: list[list[int]]  # per vertex, its arcs in the tree
    parent: list[int]
    arc: list[int]  # per vertex but the root, the arc to its parent
    order: list[int]
    low: list[int]  # per vertex, its place in `order`
    high: list[int]  # per vertex, the last place below it
    cut: list[int]  # per arc in the tree, what a unit of stretch would cost

    def below(self, vertex: int, top: int) -> bool:
        return self.low[top] <= self.low[vertex] <= self.high[top]

    def halves(self, top: int) -> tuple[list[int], list[int]]:
        """The vertices below `top`, itself included, and the others."""
        first, last = self.low[top], self.high[top] + 1
        return self.order[first:last], self.order[:first] + self.order[last:]


def solve(count: int, arcs: list[Arc]) -> list[int]:
    """Values for vertices 0..count-1, the least being 0.

    :param arcs: an acyclic and connected graph over all vertices.
    """
    if count <= 1:
        return [0] * count
    values = _longest_paths(count, arcs)
    around: list[list[int]] = [[] for _ in range(count)]
    for index, arc in enumerate(arcs):
        around[arc.tail].append(index)
        around[arc.head].append(index)
    tree = _rooted(count, arcs, _tight_tree(count, arcs, values))
    _set_cuts(arcs, tree, around)
    # The bound stops degenerate cycling; past it the values are legal, merely not the very best.
    for _ in range(60 * count):
        leaving = _leaving(tree)
        if leaving is None:
            break
        entering = _entering(arcs, values, tree, leaving, around)
        if entering is None:
            break
        _shift(arcs, values, tree, leaving, entering)
        _exchange(arcs, tree, leaving, entering)
    least = min(values)
    return [value - least for value in values]


def _longest_paths(count: int, arcs: list[Arc]) -> list[int]:
    after: list[list[Arc]] = [[] for _ in range(count)]
    waiting = [0] * count
    for arc in arcs:
        after[arc.tail].append(arc)
        waiting[arc.head] += 1
    values = [0] * count
    ready = [vertex for vertex in range(count) if not waiting[vertex]]
    for vertex in ready:  # grows while it is walked
        for arc in after[vertex]:
            values[arc.head] = max(values[arc.head], values[vertex] + arc.length)
            waiting[arc.head] -= 1
            if not waiting[arc.head]:
                ready.append(arc.head)
    return values


def _slack(arc: Arc, values: list[int]) -> int:
    return values[arc.head] - values[arc.tail] - arc.length


def _tight_tree(count: int, arcs: list[Arc], values: list[int]) -> set[int]:
    """Grow a tree of arcs without slack from vertex 0, moving the tree until it reaches the next vertex."""
    reached = [False] * count
    reached[0] = True
    inside: set[int] = set()
    left = count - 1
    while left:
        best: tuple[int, int] | None = None
        grown = False
        for index, arc in enumerate(arcs):
            if reached[arc.tail] == reached[arc.head]:
                continue
            slack = _slack(arc, values)
            if slack == 0:
                inside.add(index)
                reached[arc.tail] = reached[arc.head] = True
                left -= 1
                grown = True
            elif best is None or slack < best[0]:
                best = (slack, index)
        if grown or best is None:
            if best is None and not grown:
                raise ValueError("the graph is not connected")
            continue
        slack, index = best
        shift = slack if reached[arcs[index].tail] else -slack
        values[:] = [value + shift if reached[vertex] else value for vertex, value in enumerate(values)]
    return inside


def _rooted(count: int, arcs: list[Arc], inside: set[int]) -> _Tree:
    links: list[list[int]] = [[] for _ in range(count)]
    for index in sorted(inside):
        links[arcs[index].tail].append(index)
        links[arcs[index].head].append(index)
    zeros = [0] * count
    tree = _Tree(links, [-1] * count, [-1] * count, zeros[:], zeros[:], zeros[:], [0] * len(arcs))
    _number(arcs, tree, 0, 0)
    return tree


def _number(arcs: list[Arc], tree: _Tree, top: int, first: int) -> None:
    """Walk the tree below `top` in pre-order, numbering from `first`."""
    stack = [top]
    place = first
    while stack:
        vertex = stack.pop()
        tree.low[vertex] = tree.high[vertex] = place
        tree.order[place] = vertex
        place += 1
        for index in tree.links[vertex]:
            if index != tree.arc[vertex]:
                other = arcs[index].head if arcs[index].tail == vertex else arcs[index].tail
                tree.parent[other] = vertex
                tree.arc[other] = index
                stack.append(other)
    for vertex in reversed(tree.order[first + 1 : place]):
        parent = tree.parent[vertex]
        tree.high[parent] = max(tree.high[parent], tree.high[vertex])


def _set_cuts(arcs: list[Arc], tree: _Tree, around: list[list[int]]) -> None:
    """The cut value of each tree arc: the weights across the cut in its direction, less those against it."""
    flow = [0] * len(tree.parent)  # weight out of the vertices below, minus weight into them
    for vertex in reversed(tree.order):
        for index in around[vertex]:
            flow[vertex] += arcs[index].weight if arcs[index].tail == vertex else -arcs[index].weight
        parent, index = tree.parent[vertex], tree.arc[vertex]
        if parent >= 0:
            flow[parent] += flow[vertex]
            tree.cut[index] = flow[vertex] if arcs[index].tail == vertex else -flow[vertex]


def _leaving(tree: _Tree) -> int | None:
    """The vertex whose arc to its parent costs least when stretched, if that is less than nothing."""
    best, least = None, 0
    for vertex, index in enumerate(tree.arc):
        if index >= 0 and tree.cut[index] < least:
            best, least = vertex, tree.cut[index]
    return best


def _entering(
    arcs: list[Arc], values: list[int], tree: _Tree, leaving: int, around: list[list[int]]
) -> int | None:
    """The arc of least slack that joins the two halves against the direction of the leaving one."""
    upwards = arcs[tree.arc[leaving]].tail == leaving
    best: tuple[int, int] | None = None
    for vertex in min(tree.halves(leaving), key=len):
        for index in around[vertex]:
            arc = arcs[index]
            tail, head = tree.below(arc.tail, leaving), tree.below(arc.head, leaving)
            if tail not in (head, upwards):
                found = (_slack(arc, values), index)
                best = found if best is None else min(best, found)
    return None if best is None else best[1]


def _shift(arcs: list[Arc], values: list[int], tree: _Tree, leaving: int, entering: int) -> None:
    """Move one half, the smaller one, until the entering arc is tight."""
    slack = _slack(arcs[entering], values)
    if not slack:
        return
    below, others = tree.halves(leaving)
    shift = -slack if tree.below(arcs[entering].head, leaving) else slack
    for vertex in below if len(below) <= len(others) else others:
        values[vertex] += shift if len(below) <= len(others) else -shift


def _exchange(arcs: list[Arc], tree: _Tree, leaving: int, entering: int) -> None:
    """Put the entering arc in the leaving one's place; only what is below their common ancestor changes."""
    old, new = tree.arc[leaving], arcs[entering]
    cut = tree.cut[old]
    _climb(arcs, tree, new.tail, new.head, cut)
    top = _climb(arcs, tree, new.head, new.tail, -cut)
    tree.cut[entering], tree.cut[old] = -cut, 0
    for end in (arcs[old].tail, arcs[old].head):
        tree.links[end].remove(old)
    for end in (new.tail, new.head):
        tree.links[end].append(entering)
    _number(arcs, tree, top, tree.low[top])


def _climb(arcs: list[Arc], tree: _Tree, vertex: int, other: int, cut: int) -> int:
    """From `vertex` up to the common ancestor with `other`, correct the cut values passed; that ancestor."""
    while not tree.below(other, vertex):
        index = tree.arc[vertex]
        tree.cut[index] += cut if arcs[index].tail == vertex else -cut
        vertex = tree.parent[vertex]
    return vertex
