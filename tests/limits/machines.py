"""Machines whose runs have to be over in time, and what they do when they are not."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Machine, Retry, activity, event, root
from tests.runtime.sagas import Trip, book_car, book_flight, book_hotel

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ONCE = Retry(attempts=1)


@event
class Go:
    pass


@event
class Note:
    text: str


@event
class Turn:
    pass


@frozen
class Job:
    name: str
    term: timedelta = HOUR


@frozen
class Held:
    name: str
    term: timedelta
    notes: tuple[str, ...] = ()
    round: int = 0


def begun(job: Job) -> Held:
    return Held(job.name, job.term)


@activity(retry=ONCE)
async def tidy(name: str) -> None:
    raise AssertionError(f"stubbed: {name}")


@activity(retry=ONCE)
async def work(name: str) -> str:
    raise AssertionError(f"stubbed: {name}")


class Bare(Machine[Held, Job, str], name="bare"):
    """It declares a deadline and nothing for it; it may go on for ever."""

    s = root(Held)
    idle = s.state(initial=True)
    again = s.continue_as_new(lambda c: Job(f"{c.name}'", c.term))
    done = s.final()

    @staticmethod
    def init(i: Job) -> Held:
        return begun(i)

    @staticmethod
    def result(c: Held) -> str:
        return ",".join((c.name, *c.notes))

    s.deadline(lambda c: c.term)
    idle.on(Note, assign=lambda c, e: evolve(c, notes=(*c.notes, e.text)))
    idle.on(Go, done)
    idle.on(Turn, again)


class Open(Machine[Held, Job, str], name="open"):
    """It declares no deadline: whoever starts it may give one."""

    s = root(Held)
    idle = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: Job) -> Held:
        return begun(i)

    @staticmethod
    def result(c: Held) -> str:
        return c.name

    idle.invoke(work, lambda c: c.name, done=done, error=done)
    idle.on(Go, done)


class Tidy(Machine[Held, Job, str], name="tidy-up"):
    """Cancelled, or at its deadline, it tidies up, for ten minutes at most."""

    s = root(Held)
    idle = s.state(initial=True)
    tidying = s.state()
    again = s.continue_as_new(lambda c: Job(c.name, c.term))
    done = s.final()
    stopped = s.final(ok=False)

    @staticmethod
    def init(i: Job) -> Held:
        return begun(i)

    @staticmethod
    def result(c: Held) -> str:
        return c.name

    @staticmethod
    def verdict(c: Held) -> str:
        return f"{c.name} was tidied up"

    s.deadline(timedelta(hours=1))
    idle.on(Go, done)
    s.on_cancel(tidying, within=timedelta(minutes=10))
    tidying.on_cancel(within=timedelta(minutes=30))
    tidying.invoke(tidy, lambda c: c.name, done=stopped, error=stopped)
    tidying.on(Turn, again)
    tidying.on(Go, done)


class Partial(Machine[Held, Job, str], name="partial"):
    """At its deadline it gives what it has; in one of its states it goes on."""

    s = root(Held)
    idle = s.state(initial=True)
    stubborn = s.state()
    done = s.final()

    @staticmethod
    def init(i: Job) -> Held:
        return begun(i)

    @staticmethod
    def result(c: Held) -> str:
        return ",".join(c.notes)

    s.deadline(timedelta(hours=1))
    s.on(Note, assign=lambda c, e: evolve(c, notes=(*c.notes, e.text)))
    s.on_deadline(done, assign=lambda c: evolve(c, notes=(*c.notes, "partial")))
    idle.on(Turn, stubborn)
    stubborn.on_deadline(assign=lambda c: evolve(c, notes=(*c.notes, "late")))
    stubborn.on(Go, done)


def broken(c: Held) -> Held:
    raise KeyError(c.name)


class Broken(Machine[Held, Job, str], name="broken"):
    """Its own code fails at the deadline."""

    s = root(Held)
    idle = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: Job) -> Held:
        return begun(i)

    @staticmethod
    def result(c: Held) -> str:
        return c.name

    s.deadline(timedelta(hours=1))
    s.on_deadline(done, assign=broken)
    idle.on(Note, assign=lambda c, e: broken(c))
    idle.on(Go, done)


class Journey(Machine[Trip, str, str], name="journey"):
    """Cancelled, it takes back what it booked, for an hour at most."""

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

    flight.invoke(book_flight, lambda trip: trip.name, done=hotel, error=undoing)
    hotel.invoke(book_hotel, lambda trip: trip.name, done=car, error=undoing)
    car.invoke(book_car, lambda trip: trip.name, done=booked, error=undoing)
    s.on_cancel(undoing, within=timedelta(hours=1))
    undoing.on_cancel(within=timedelta(hours=1))
    undoing.compensate(given_up)


class Family(Machine[Held, Job, str], name="family"):
    """It waits for a child run of another machine; cancelled, it waits on, for ten minutes at most."""

    s = root(Held)
    waiting = s.state(initial=True)
    done = s.final()
    given_up = s.final(ok=False)

    @staticmethod
    def init(i: Job) -> Held:
        return begun(i)

    @staticmethod
    def result(c: Held) -> str:
        return c.name

    @staticmethod
    def verdict(c: Held) -> str:
        return ",".join(c.notes)

    waiting.invoke(
        Tidy,
        lambda c: Job(f"{c.name}-child", c.term),
        done=done,
        error=given_up,
        closing="cancel",
    )
    waiting.on_cancel(within=timedelta(minutes=10))
