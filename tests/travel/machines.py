"""Machines whose pasts the tests travel to."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, field, frozen

from continuum_core import AnyEvent, Machine, Message, Retry, activity, event, root


@frozen
class Leg:
    to: str
    price: int = 0


@frozen
class Journey:
    name: str
    total: int = 0
    legs: tuple[Leg, ...] = ()
    log: tuple[str, ...] = ()


@frozen
class Longer:
    """`Journey` after it gained a field."""

    name: str
    total: int = 0
    legs: tuple[Leg, ...] = ()
    log: tuple[str, ...] = ()
    class_: str = field(default="second")


@event
class Book:
    to: str
    price: int = 10


@event
class Board:
    pass


@event
class Wave:
    word: str = "bye"


@event
class Arrive:
    pass


BOUGHT: list[str] = []
"""What the activity bought, for tests that count."""


@activity(retry=Retry(attempts=3, first=timedelta(milliseconds=10), within=timedelta(hours=2)))
async def buy(journey: Journey) -> int:
    BOUGHT.append(journey.name)
    return sum(leg.price for leg in journey.legs)


class Travel(Machine[Journey, str, Journey], name="travel", version=1):
    """Books, buys, rides (with a timer, and what it defers), arrives; tells a diary."""

    s = root(Journey)
    booking = s.state(initial=True)
    buying = s.state()
    riding = s.state()
    home = s.final()
    lost = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Journey:
        return Journey(i)

    @staticmethod
    def result(c: Journey) -> Journey:
        return c

    booking.on(Book, assign=lambda c, e: evolve(c, legs=(*c.legs, Leg(e.to, e.price))))
    booking.on(Board, buying)
    buying.invoke(
        buy,
        lambda c: c,
        done=riding,
        assign=lambda c, paid: evolve(c, total=c.total + paid),
        error={Exception: lost},
    )
    buying.defer(Wave)
    riding.defer(Book)
    riding.on(
        Wave,
        assign=lambda c, e: evolve(c, log=(*c.log, e.word)),
        send=lambda c, e: Message(Wave(e.word), machine="diary", key="all"),
    )
    riding.after(timedelta(hours=1), lost)
    riding.on(Arrive, home)


class Further(Machine[Longer, str, Longer], name="travel", version=2):
    """The same after a release: it gained a state and a field."""

    s = root(Longer)
    resting = s.state()
    booking = s.state(initial=True)
    buying = s.state()
    riding = s.state()
    home = s.final()
    lost = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Longer:
        return Longer(i)

    @staticmethod
    def result(c: Longer) -> Longer:
        return c

    resting.on(Arrive, home)
    booking.on(Book, assign=lambda c, e: evolve(c, legs=(*c.legs, Leg(e.to, e.price))))
    booking.on(Board, buying)
    buying.invoke(
        buy,
        lambda c: Journey(c.name, c.total, c.legs, c.log),
        done=riding,
        assign=lambda c, paid: evolve(c, total=c.total + paid),
        error={Exception: lost},
    )
    buying.defer(Wave)
    riding.defer(Book)
    riding.on(
        Wave,
        assign=lambda c, e: evolve(c, log=(*c.log, f"{e.word}!")),
        send=lambda c, e: Message(Wave(e.word), machine="diary", key="all"),
    )
    riding.after(timedelta(hours=1), lost)
    riding.on(Arrive, resting)


class Stranded(Machine[Journey, str, Journey], name="travel", version=3):
    """A release that knows no trains any more."""

    s = root(Journey)
    booking = s.state(initial=True)
    home = s.final()

    @staticmethod
    def init(i: str) -> Journey:
        return Journey(i)

    @staticmethod
    def result(c: Journey) -> Journey:
        return c

    booking.on(Arrive, home)


@activity()
async def halve(number: int) -> int:
    return number // 2


class Torn(Machine[int, int, int], name="torn"):
    """It cannot take what its activity gives."""

    s = root(int)
    halving = s.state(initial=True)
    done = s.final()
    lost = s.final(ok=False)

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c

    halving.invoke(
        halve, lambda c: c, done=done, assign=lambda c, half: c // (half - 2), error={Exception: lost}
    )


class Diary(Machine[tuple[str, ...], None, None], name="diary"):
    """Keeps what it is told."""

    s = root(tuple[str, ...])
    open_ = s.state(initial=True)
    shut = s.final()

    @staticmethod
    def init(i: None) -> tuple[str, ...]:
        return ()

    @staticmethod
    def result(c: tuple[str, ...]) -> None:
        return None

    open_.on(Wave, assign=lambda c, e: (*c, e.word))
    open_.on(AnyEvent, shut)
