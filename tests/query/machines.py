"""A machine whose runs are found by what they hold, for the tests of queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from attrs import evolve, frozen

from continuum_core import Machine, event, root

__all__ = ["Add", "Bad", "Broken", "Pay", "Plain", "Purchase", "Size", "Wanted", "purchase"]


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@frozen
class Wanted:
    total: Decimal
    size: Size = Size.SMALL
    promised: datetime | None = None


@frozen
class Bought:
    total: Decimal
    size: Size
    promised: datetime | None
    lines: int = 0
    paid: bool = False


@event
@frozen
class Add:
    price: Decimal


@event
@frozen
class Pay:
    pass


class Purchase(Machine[Bought, Wanted, Decimal], name="purchase"):
    s = root(Bought)
    s.attribute("total", Decimal, lambda c: c.total)
    s.attribute("lines", int, lambda c: c.lines or None)
    s.attribute("size", Size, lambda c: c.size)
    s.attribute("paid", bool, lambda c: c.paid)
    s.attribute("promised", datetime, lambda c: c.promised)
    s.attribute("region", str)
    s.attribute("checked", datetime)
    s.index_states()
    open = s.state(initial=True)
    choosing = open.state(initial=True)
    paying = open.state()
    bought = s.final()
    choosing.on(Add, assign=lambda c, e: evolve(c, total=c.total + e.price, lines=c.lines + 1))
    choosing.on(Pay, paying)
    paying.on(Pay, bought, assign=lambda c, e: evolve(c, paid=True))

    @staticmethod
    def init(wanted: Wanted) -> Bought:
        return Bought(wanted.total, wanted.size, wanted.promised)

    @staticmethod
    def result(context: Bought) -> Decimal:
        return context.total


class Plain(Machine[Bought, Wanted, Decimal], name="plain"):
    """Declares nothing that it could be found by."""

    s = root(Bought)
    open = s.state(initial=True)
    bought = s.final()
    open.on(Pay, bought)
    init = staticmethod(Purchase.init)
    result = staticmethod(Purchase.result)


def purchase(declare: Callable[[Any], None]) -> Any:
    """Another release of one machine: found by what `declare` says."""

    class Purchased(Machine[Bought, Wanted, Decimal], name="purchased"):
        s = root(Bought)
        open = s.state(initial=True)
        bought = s.final()
        open.on(Add, assign=lambda c, e: evolve(c, total=c.total + e.price))
        open.on(Pay, bought)
        declare(s)
        init = staticmethod(Purchase.init)
        result = staticmethod(Purchase.result)

    return Purchased


@event
@frozen
class Bad:
    pass


class Broken(Machine[Bought, Wanted, Decimal], name="broken"):
    """Its attribute fails once there are lines."""

    s = root(Bought)
    s.attribute("share", Decimal, lambda c: Decimal(1) / (1 - c.lines))
    open = s.state(initial=True)
    bought = s.final()
    open.on(Bad, assign=lambda c, e: evolve(c, lines=1))
    open.on(Pay, bought)
    init = staticmethod(Purchase.init)
    result = staticmethod(Purchase.result)


LONG_AGO = datetime(1999, 12, 31, tzinfo=UTC)
