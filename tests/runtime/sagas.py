"""A trip whose bookings are taken back, and variations of it."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Failure, Machine, Retry, activity, event, root

ONCE = Retry(attempts=1)
MINUTE = timedelta(minutes=1)


@frozen
class Trip:
    name: str
    flight: str = ""
    hotel: str = ""
    reason: str = ""


@event
class Abort:
    pass


class Full(Exception):
    """There is no room: nothing was booked."""


@activity(retry=ONCE)
async def cancel_flight(ticket: str) -> None:
    raise AssertionError(f"stubbed: {ticket}")


@activity(retry=ONCE)
async def cancel_hotel(room: str) -> None:
    raise AssertionError(f"stubbed: {room}")


@activity(retry=Retry(attempts=3, jitter=0.0), timeout=MINUTE, undo=cancel_flight)
async def book_flight(name: str) -> str:
    raise AssertionError(f"stubbed: {name}")


@activity(retry=Retry(attempts=2, jitter=0.0), timeout=MINUTE, undo=cancel_hotel)
async def book_hotel(name: str) -> str:
    raise AssertionError(f"stubbed: {name}")


@activity(retry=ONCE)
async def book_car(name: str) -> str:
    raise AssertionError(f"stubbed: {name}")


def failed(trip: Trip, failure: Failure) -> Trip:
    return evolve(trip, reason=failure.type.rpartition(".")[2])


class Booking(Machine[Trip, str, str], name="booking"):
    """Flight, hotel, car, one after the other; any failure, abort or cancel takes back what was booked."""

    s = root(Trip)
    flight = s.state(initial=True)
    hotel = s.state()
    car = s.state()
    undoing = s.state()
    booked = s.final()
    given_up = s.final(ok=False)

    @staticmethod
    def init(name: str) -> Trip:
        return Trip(name)

    @staticmethod
    def result(trip: Trip) -> str:
        return f"{trip.flight},{trip.hotel}"

    @staticmethod
    def verdict(trip: Trip) -> str:
        return trip.reason

    flight.invoke(
        book_flight,
        lambda trip: trip.name,
        done=hotel,
        assign=lambda trip, ticket: evolve(trip, flight=ticket),
        error=undoing,
    )
    hotel.invoke(
        book_hotel,
        lambda trip: trip.name,
        done=car,
        assign=lambda trip, room: evolve(trip, hotel=room),
        error=undoing,
    )
    car.invoke(book_car, lambda trip: trip.name, done=booked, error=undoing)
    s.on(Abort, undoing)
    s.on_cancel(undoing)
    undoing.on(Abort)
    undoing.on_cancel()
    undoing.compensate(given_up)


class AtOnce(Machine[Trip, str, str], name="booking-at-once"):
    """Flight and hotel side by side; taken back side by side."""

    s = root(Trip)
    both = s.parallel(initial=True)
    air = both.state()
    flying = air.state(initial=True)
    flown = air.final()
    room = both.state()
    sleeping = room.state(initial=True)
    slept = room.final()
    undoing = s.state()
    booked = s.final()
    given_up = s.final(ok=False)

    @staticmethod
    def init(name: str) -> Trip:
        return Trip(name)

    @staticmethod
    def result(trip: Trip) -> str:
        return trip.name

    flying.invoke(book_flight, lambda trip: trip.name, done=flown, error=undoing)
    sleeping.invoke(book_hotel, lambda trip: trip.name, done=slept, error=undoing)
    both.done(booked)
    s.on(Abort, undoing)
    undoing.on(Abort)
    undoing.compensate(given_up, parallel=True)
