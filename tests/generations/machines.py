"""Machines that continue as new."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Machine, Retry, activity, event, root

MINUTE = timedelta(minutes=1)
ONCE = Retry(attempts=1)


@frozen
class Round:
    """The input: how many rounds are over, and what they counted."""

    number: int = 0
    total: int = 0


@frozen
class Counted:
    number: int
    total: int
    seen: int = 0


@event
class Add:
    amount: int = 1


@event
class Later:
    word: str = ""


@event
class Turn:
    pass


@event
class Stop:
    pass


@activity(retry=ONCE)
async def free(seat: str) -> None:
    raise AssertionError(f"stubbed: {seat}")


@activity(retry=ONCE, timeout=MINUTE, undo=free)
async def take(number: int) -> str:
    raise AssertionError(f"stubbed: {number}")


def begun(i: Round) -> Counted:
    return Counted(i.number, i.total)


def total_of(c: Counted) -> int:
    return c.total


class Counter(Machine[Counted, Round, int], name="counter"):
    """Counts what it is sent; continues as new when told, keeping the sum alone."""

    s = root(Counted)
    counting = s.state(initial=True)
    closed = s.state()
    more = s.continue_as_new(lambda c: Round(c.number + 1, c.total))
    end = s.final()

    counting.on(Add, assign=lambda c, e: evolve(c, total=c.total + e.amount, seen=c.seen + 1))
    counting.on(Turn, closed)
    counting.defer(Later)
    counting.after(timedelta(hours=1), more)
    closed.on(Later, assign=lambda c, e: evolve(c, total=c.total + 100))
    closed.on(Turn, more)
    s.on(Stop, end)

    init = staticmethod(begun)
    result = staticmethod(total_of)


class Seats(Machine[Counted, Round, int], name="seats"):
    """Takes a seat in each generation; when stopped or cancelled it frees all of them."""

    s = root(Counted)
    taking = s.state(initial=True)
    sitting = s.state()
    freeing = s.state()
    more = s.continue_as_new(lambda c: Round(c.number + 1, c.total))
    end = s.final()

    taking.invoke(take, lambda c: c.number, done=sitting, error={Exception: sitting})
    taking.on(Turn, more)
    sitting.on(Turn, more)
    s.on(Stop, freeing)
    s.on_cancel(freeing)
    freeing.on(Stop)
    freeing.on_cancel()
    freeing.compensate(end)

    init = staticmethod(begun)
    result = staticmethod(total_of)
