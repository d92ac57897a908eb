"""A tour that takes its bookings back, in two versions, and a second that cannot. The lock lies beside."""

from __future__ import annotations

from attrs import evolve, frozen

from continuum_core import Machine, event, root
from tests.runtime.sagas import Abort, book_flight, book_hotel


@event
class Say:
    text: str


@event
class Leave:
    pass


@frozen
class Tour1:
    name: str
    paid: int = 0
    said: str = ""


@frozen
class Tour2:
    name: str
    cents: int
    said: str = ""


def in_cents(old: dict[str, object]) -> dict[str, object]:
    return {"name": old["name"], "cents": int(str(old["paid"])) * 100, "said": old["said"]}


class Touring1(Machine[Tour1, str, str], name="touring", version=1):
    s = root(Tour1)
    flight = s.state(initial=True)
    hotel = s.state()
    deciding = s.state()
    undoing = s.state()
    gone = s.final()
    given_up = s.final(ok=False)

    @staticmethod
    def init(name: str) -> Tour1:
        return Tour1(name)

    @staticmethod
    def result(tour: Tour1) -> str:
        return tour.said

    flight.invoke(
        book_flight, lambda c: c.name, done=hotel, assign=lambda c, _: evolve(c, paid=3), error=undoing
    )
    hotel.invoke(
        book_hotel, lambda c: c.name, done=deciding, assign=lambda c, _: evolve(c, paid=5), error=undoing
    )
    deciding.on(Leave, gone)
    s.on(Say, assign=lambda c, e: evolve(c, said=e.text))
    s.on(Abort, undoing)
    s.on_cancel(undoing)
    undoing.on(Abort)
    undoing.on_cancel()
    undoing.compensate(given_up)


class Touring2(Machine[Tour2, str, str], name="touring", version=2):
    s = root(Tour2)
    flying = s.state(initial=True)
    lodging = s.state()
    deciding = s.state()
    taking_back = s.state()
    gone = s.final()
    given_up = s.final(ok=False)

    @staticmethod
    def init(name: str) -> Tour2:
        return Tour2(name, 0)

    @staticmethod
    def result(tour: Tour2) -> str:
        return tour.said

    flying.invoke(
        book_flight,
        lambda c: c.name,
        done=lodging,
        assign=lambda c, _: evolve(c, cents=300),
        error=taking_back,
    )
    lodging.invoke(
        book_hotel,
        lambda c: c.name,
        done=deciding,
        assign=lambda c, _: evolve(c, cents=500),
        error=taking_back,
    )
    deciding.on(Leave, gone)
    s.on(Say, assign=lambda c, e: evolve(c, said=e.text))
    s.on(Abort, taking_back)
    s.on_cancel(taking_back)
    taking_back.on(Abort)
    taking_back.on_cancel()
    taking_back.compensate(given_up)

    s.upgrade(1, {"flight": flying, "hotel": lodging, "undoing": taking_back}, ctx=in_cents)


class Forgetful(Machine[Tour2, str, str], name="touring", version=2):
    """It books no flight, and does not know how to take one back."""

    s = root(Tour2)
    lodging = s.state(initial=True)
    deciding = s.state()
    taking_back = s.state()
    gone = s.final()
    given_up = s.final(ok=False)

    @staticmethod
    def init(name: str) -> Tour2:
        return Tour2(name, 0)

    @staticmethod
    def result(tour: Tour2) -> str:
        return tour.said

    lodging.invoke(book_hotel, lambda c: c.name, done=deciding, error=taking_back)
    deciding.on(Leave, gone)
    s.on(Say, assign=lambda c, e: evolve(c, said=e.text))
    s.on(Abort, taking_back)
    taking_back.on(Abort)
    taking_back.compensate(given_up)

    s.upgrade(1, {"flight": lodging, "hotel": lodging, "undoing": taking_back}, ctx=in_cents)
