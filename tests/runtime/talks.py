"""A machine that is asked."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import AnyEvent, Machine, Question, activity, event, root

DAY = timedelta(days=1)


@frozen
class Price:
    amount: int
    sold: int


@event
class Quote(Question[Price]):
    count: int


@event
class Buy(Question[int]):
    count: int


@event
class Nudge(Question[None]):
    pass


@event
class Open:
    pass


@event
class Close(Question[str]):
    pass


@frozen
class Stock:
    left: int
    sold: int = 0


@activity()
async def count_till(sold: int) -> int:
    return sold


def revenue(c: Stock) -> int:
    return c.sold * 3


class Shop(Machine[Stock, int, int], name="shop"):
    """Closed at first, when it keeps orders for later."""

    s = root(Stock)
    closed = s.state(initial=True)
    trading = s.state()
    counting = s.state()
    done = s.final()

    @staticmethod
    def init(i: int) -> Stock:
        return Stock(i)

    @staticmethod
    def result(c: Stock) -> int:
        return c.sold

    closed.defer(Buy)
    closed.on(Open, trading)
    trading.answer(Quote, lambda c, e: Price(e.count * 3, c.sold), when=lambda c, e: e.count <= c.left)
    trading.answer(
        Buy,
        lambda c, _: c.left,
        when=lambda c, e: e.count <= c.left,
        assign=lambda c, e: evolve(c, left=c.left - e.count, sold=c.sold + e.count),
    )
    trading.on(Nudge)
    trading.answer(Close, lambda c, _: f"sold {c.sold}", counting)
    trading.after(DAY, counting)
    counting.invoke(count_till, lambda c: c.sold, done=done, error=done)
    counting.on(AnyEvent)
