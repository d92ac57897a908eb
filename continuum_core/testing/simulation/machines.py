"""The machines that simulations run: small, and together they use all that a machine can ask of a journal.

`DETERMINISTIC` names those whose end follows from their input alone, whatever fails on the way: they
have no race between a timer, an activity and an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from attrs import evolve, frozen

from continuum_core.definition.activity import activity
from continuum_core.definition.declare import Machine, root
from continuum_core.definition.event import event
from continuum_core.definition.message import Message
from continuum_core.definition.queue import Queue, Rate
from continuum_core.definition.retry import Retry

__all__ = [
    "DETERMINISTIC",
    "MACHINES",
    "QUOTES",
    "SLOW",
    "Basket",
    "Boom",
    "Close",
    "Item",
    "Job",
    "Loop",
    "Nested",
    "Order",
    "Ping",
    "Pinged",
    "Pinger",
    "Race",
    "Reminder",
    "Shared",
    "Stop",
    "Told",
    "Trip",
    "began",
    "book",
    "charge",
    "failing",
    "label_of",
    "ponder",
    "reserve",
    "seen",
    "told",
    "with_output",
]


@frozen
class Job:
    """What every run is started with.

    :ivar label: names the run; activities decide by it how they end.
    :ivar peer: key of another run to send to, "" for none.
    """

    label: str
    size: int = 1
    peer: str = ""


@frozen
class Told:
    """The context of every machine: what it has seen so far, in order."""

    label: str
    size: int
    peer: str
    seen: tuple[str, ...] = ()

    def and_(self, what: str) -> Told:
        return evolve(self, seen=(*self.seen, what))


@event
class Item:
    sender: str
    number: int


@event
class Close:
    sender: str
    number: int


@event
class Stop:
    sender: str
    number: int


@event
class Ping:
    sender: str
    number: int


@event
class Boom:
    """Its reducer raises: the run parks on it."""

    sender: str
    number: int


_RETRY = Retry(attempts=3, first=timedelta(seconds=0.5), cap=timedelta(seconds=2))


@activity(retry=_RETRY, timeout=timedelta(seconds=4))
async def reserve(label: str) -> str:
    return label


@activity(retry=_RETRY, timeout=timedelta(seconds=4))
async def unbook(booking: str) -> str:
    return booking


@activity(retry=_RETRY, timeout=timedelta(seconds=4), undo=unbook)
async def book(what: str) -> str:
    return what


@activity(retry=_RETRY, timeout=timedelta(seconds=4))
async def charge(label: str) -> str:
    return label


def _whose(label: str) -> str:
    """Two tenants."""
    return "even" if len(label.strip("02468")) < len(label) else "odd"


SLOW = Queue("slow", limit=1)
QUOTES = Queue("quotes", rate=Rate(2, per=timedelta(seconds=1), burst=1))


@activity(
    retry=Retry(attempts=2, first=timedelta(seconds=0.5)),
    queue=SLOW,
    fairness=_whose,
    timeout=timedelta(seconds=9),
)
async def ponder(label: str) -> str:
    return label


@activity(retry=_RETRY, timeout=timedelta(seconds=4), queue=QUOTES)
async def quote(label: str) -> str:
    """Keyed: done once for all runs of one label's key."""
    return label


def began(job: Job) -> Told:
    return Told(job.label, job.size, job.peer)


def told(context: Told) -> str:
    return " ".join(context.seen)


def seen(context: Told, event: Any) -> Told:
    return context.and_(f"{type(event).__name__}:{event.sender}:{event.number}")


def with_output(context: Told, output: str) -> Told:
    return context.and_(output)


def label_of(context: Told) -> str:
    return context.label


def failing(_context: Told, _event: Boom) -> Told:
    raise ValueError("this reducer always raises")


class Order(Machine[Told, Job, str], name="sim.order"):
    """Activities in a row, with retries; both ends."""

    s = root(Told)
    reserving = s.state(initial=True)
    charging = s.state()
    done_ = s.final()
    refused = s.final(ok=False)

    reserving.invoke(reserve, label_of, done=charging, assign=with_output, error=refused)
    charging.invoke(charge, label_of, done=done_, assign=with_output, error=refused)
    s.on(Boom, assign=failing)

    init = staticmethod(began)
    result = staticmethod(told)


class Reminder(Machine[Told, Job, str], name="sim.reminder"):
    """A timer that starts again with every self-transition, and an event that resets it."""

    s = root(Told)
    waiting = s.state(initial=True)
    over = s.choice()
    end = s.final()

    waiting.after(lambda c: timedelta(seconds=1 + c.size), over, assign=lambda c: c.and_("tick"))
    waiting.on(Ping, waiting, assign=seen)
    over.always(end, when=lambda c: len(c.seen) >= 3)
    over.always(waiting)
    s.on(Boom, assign=failing)

    init = staticmethod(began)
    result = staticmethod(told)


class Nested(Machine[Told, Job, str], name="sim.nested"):
    """Regions that end on their own, compound states within, a timer and activities beside each other."""

    s = root(Told)
    both = s.parallel(initial=True)
    left = both.state()
    left_busy = left.state(initial=True)
    left_done = left.final()
    right = both.state()
    right_wait = right.state(initial=True)
    right_busy = right.state()
    right_done = right.final()
    end = s.final()

    left_busy.invoke(ponder, label_of, done=left_done, error=left_done)
    right_wait.after(timedelta(seconds=2), right_busy)
    right_busy.invoke(charge, label_of, done=right_done, error=right_done)
    both.done(end, assign=lambda c: c.and_("both"))
    both.on(Ping, assign=seen)

    init = staticmethod(began)
    result = staticmethod(told)


class Basket(Machine[Told, Job, str], name="sim.basket"):
    """Defers items while it is busy; they come in their order afterwards."""

    s = root(Told)
    busy = s.state(initial=True)
    open_ = s.state()
    sorting = s.state()
    end = s.final()

    busy.invoke(reserve, label_of, done=open_, error=open_)
    busy.defer(Item, Close)
    open_.on(Item, sorting, assign=seen)
    open_.on(Close, end, assign=seen)
    open_.after(timedelta(seconds=20), end)
    sorting.after(timedelta(seconds=0.5), open_)
    sorting.defer(Item, Close)

    init = staticmethod(began)
    result = staticmethod(told)


class Pinger(Machine[Told, Job, str], name="sim.pinger"):
    """Sends numbered events to a peer: two at once, then one after a timer, then one when it ends."""

    s = root(Told)
    first = s.state(initial=True)
    second = s.state()
    end = s.final()

    first.entry(
        send=lambda c: (
            Message(Ping(c.label, 1), machine="sim.pinged", key=c.peer),
            Message(Ping(c.label, 2), machine="sim.pinged", key=c.peer),
        )
    )
    first.after(timedelta(seconds=1), second)
    second.entry(send=lambda c: Message(Ping(c.label, 3), machine="sim.pinged", key=c.peer))
    second.invoke(reserve, label_of, done=end, error=end)
    second.exit(send=lambda c: Message(Ping(c.label, 4), machine="sim.pinged", key=c.peer))

    init = staticmethod(began)
    result = staticmethod(told)


class Pinged(Machine[Told, Job, str], name="sim.pinged"):
    """Counts what it is sent, and stops waiting at last."""

    s = root(Told)
    open_ = s.state(initial=True)
    check = s.choice()
    end = s.final()

    open_.on(Ping, check, assign=seen)
    open_.after(timedelta(seconds=25), end)
    check.always(end, when=lambda c: len(c.seen) >= 4)
    check.always(open_)

    init = staticmethod(began)
    result = staticmethod(told)


class Race(Machine[Told, Job, str], name="sim.race"):
    """An activity, a timer and an event race for one state; one of them wins."""

    s = root(Told)
    racing = s.state(initial=True)
    by_body = s.state()
    end = s.final()
    stopped = s.final(ok=False)

    racing.invoke(ponder, label_of, done=by_body, assign=with_output, error=end)
    racing.after(timedelta(seconds=3), end, assign=lambda c: c.and_("timer"))
    racing.on(Stop, stopped, assign=seen)
    racing.on(Ping, racing, assign=seen)  # all three begin again; what the first entry asked for is stale
    by_body.after(timedelta(seconds=1), end)

    init = staticmethod(began)
    result = staticmethod(told)


class Shared(Machine[Told, Job, str], name="sim.shared"):
    """A keyed activity: one execution for all runs with the same peer."""

    s = root(Told)
    quoting = s.state(initial=True)
    end = s.final()
    failed = s.final(ok=False)

    quoting.invoke(
        quote, lambda c: c.peer, done=end, assign=with_output, error=failed, key=lambda c: f"quote-{c.peer}"
    )

    init = staticmethod(began)
    result = staticmethod(told)


class Trip(Machine[Told, Job, str], name="sim.trip"):
    """Two bookings and a payment; a failure, an event or a cancel takes back what was booked."""

    s = root(Told)
    flight = s.state(initial=True)
    hotel = s.state()
    paying = s.state()
    undoing = s.state()
    end = s.final()
    given_up = s.final(ok=False)

    flight.invoke(book, lambda c: f"{c.label}-flight", done=hotel, assign=with_output, error=undoing)
    hotel.invoke(book, lambda c: f"{c.label}-hotel", done=paying, assign=with_output, error=undoing)
    paying.invoke(charge, label_of, done=end, assign=with_output, error=undoing)
    s.on(Stop, undoing, assign=seen)
    s.on_cancel(undoing)
    undoing.on(Stop, assign=seen)
    undoing.on_cancel()
    undoing.compensate(given_up)

    init = staticmethod(began)
    result = staticmethod(told)


class Loop(Machine[Told, Job, str], name="sim.loop"):
    """As many generations as the job is big, a booking in each; the last one takes all of them back."""

    s = root(Told)
    booking = s.state(initial=True)
    resting = s.state()
    more = s.choice()
    undoing = s.state()
    again = s.continue_as_new(lambda c: Job(c.label, c.size - 1, c.peer))
    end = s.final()

    booking.invoke(book, lambda c: f"{c.label}-{c.size}", done=resting, assign=with_output, error=undoing)
    resting.after(timedelta(seconds=0.2), more)
    more.always(again, when=lambda c: c.size > 1)
    more.always(undoing)
    undoing.compensate(end)
    s.on(Stop, assign=seen)
    s.on_cancel(undoing)
    undoing.on_cancel()

    init = staticmethod(began)
    result = staticmethod(told)


MACHINES: Mapping[str, type[Machine[Told, Job, str]]] = {
    machine.chart.name: machine
    for machine in (Order, Reminder, Nested, Basket, Pinger, Pinged, Race, Shared, Trip, Loop)
}

DETERMINISTIC = frozenset({"sim.order", "sim.nested", "sim.pinger", "sim.shared", "sim.fleet"})
