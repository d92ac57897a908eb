"""A machine whose version 1 is locked beside this file: faults of upgrades are shown on its version 2."""

from __future__ import annotations

from continuum_core.definition.declare import Machine, root
from tests.definition.machines import Count, Down, Next, Reset, Up


class Locked(Machine[Count, int, int], name="locked", version=1):
    s = root(Count)
    a = s.state(initial=True)
    both = s.parallel()
    left = both.state()
    left_one = left.state(initial=True)
    left_end = left.final()
    right = both.state()
    z = s.final()

    @staticmethod
    def init(i: int) -> Count:
        return Count(i)

    @staticmethod
    def result(c: Count) -> int:
        return c.value

    a.on(Up, both)
    left_one.on(Next, left_end)
    both.on(Down, z)
    both.on(Reset, a)
