"""Where a wire belongs: the one container in whose level its two ends are vertices of their own.

A parallel state has no level, only a row of regions; wires between its regions leave it and come back.
"""

from __future__ import annotations

from continuum_core.definition.layout.plan import Plan, Shape, Wire, outermost

__all__ = ["child_in", "home_of", "outermost"]


def home_of(plan: Plan, wire: Wire) -> int:
    """The container in whose level the wire's two ends are different vertices (or the same one, a loop)."""
    around, inside = plan.above(wire.target), plan.above(wire.source)
    if wire.source == wire.target:
        return plan.items[outermost(plan, wire.source)].parent
    if wire.source in around:
        return _region(plan, wire.source, around, wire.target)
    if wire.target in inside:
        return _region(plan, wire.target, inside, wire.source)
    home = next(number for number in inside if number in around)
    # Between two regions of one state the line leaves that state and comes back.
    return home if plan.items[home].shape is not Shape.PARALLEL else plan.items[outermost(plan, home)].parent


def _region(plan: Plan, ancestor: int, path: list[int], end: int) -> int:
    """`ancestor`, or its region on the way to `end` where it is parallel: a row of regions has no level."""
    if plan.items[ancestor].shape is not Shape.PARALLEL:
        return ancestor
    below = [end, *path]
    for number in reversed(below[1 : below.index(ancestor)]):
        if plan.items[number].shape is not Shape.PARALLEL:
            return number
    return plan.items[outermost(plan, ancestor)].parent


def child_in(plan: Plan, container: int, item: int) -> int | None:
    """The child of `container` that is or contains `item`; None if the item is not inside."""
    path = [item, *plan.above(item)]
    return path[path.index(container) - 1] if container in path[1:] else None
