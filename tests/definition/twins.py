"""Functions that are easily mistaken for one another, and one machine written in two layouts."""

from collections.abc import Callable

from attrs import evolve

from continuum_core.definition.declare import Machine, root
from tests.definition.machines import Count, Down, Up

PAIR = (lambda c: c.value > 1, lambda c: c.value > 2)
NESTED = (lambda c: (lambda d: d.value)(c), lambda c: c.value)  # fmt: skip
SAME = (lambda c: c.value, lambda c: c.value)
PARENTHESISED = (lambda c: (c.value), lambda c: ((c.value) + 1))  # fmt: skip
CONSTANT = (lambda c: True, lambda c: False)


def documented(c: Count) -> bool:
    """This says much."""
    # and so does this
    return c.value > 1  # and this


def limited(limit: int) -> Callable[[Count, object], bool]:
    return lambda c, e: c.value > limit


def helper(c: Count) -> int:
    return c.value + 1


def other_helper(c: Count) -> int:
    return c.value + 2


class Tidy(Machine[Count, int, int], name="twin"):
    s = root(Count)
    a = s.state(initial=True)
    z = s.final()

    @staticmethod
    def init(i: int) -> Count:
        return Count(i)

    @staticmethod
    def result(c: Count) -> int:
        return c.value

    a.on(Up, z, when=lambda c, e: c.value > 1)
    a.on(Down, assign=lambda c, e: evolve(c, value=helper(c)))


# fmt: off
class Untidy(Machine[Count, int, int], name="twin"):  # the same in another hand
    s = root(Count)
    a = s.state(initial = True)
    z = s.final()
    @staticmethod
    def init(i): return Count(i)  # type: ignore[no-untyped-def]  # annotations are layout, too
    @staticmethod
    def result(c: 'Count'):  # type: ignore[no-untyped-def]  # as above
        "Says what it is."
        return (c.value)
    a.on(Up, z,
         when=lambda c, e: (
             c.value   >   1   # more than one
         ))
    a.on(Down, assign=lambda c,e:evolve(c,value=helper(c)))
# fmt: on


class Changed(Machine[Count, int, int], name="twin"):
    s = root(Count)
    a = s.state(initial=True)
    z = s.final()

    @staticmethod
    def init(i: int) -> Count:
        return Count(i)

    @staticmethod
    def result(c: Count) -> int:
        return c.value

    a.on(Up, z, when=lambda c, e: c.value > 1)
    a.on(Down, assign=lambda c, e: evolve(c, value=other_helper(c)))
