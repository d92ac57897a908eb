"""Machines that choose what is remembered of their runs."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Machine, Retry, activity, event, root

ONCE = Retry(attempts=1)


@frozen
class Seen:
    count: int = 0
    sum: int = 0


@event
class Add:
    amount: int = 1


@event
class Mark:
    pass


@event
class Enter:
    pass


@event
class Leave:
    pass


@event
class Stop:
    pass


@activity(retry=ONCE)
async def double(value: int) -> int:
    return 2 * value


def begun(start: int) -> Seen:
    return Seen(0, start)


def sum_of(c: Seen) -> int:
    return c.sum


def added(c: Seen, e: Add) -> Seen:
    return evolve(c, count=c.count + 1, sum=c.sum + e.amount)


class Ephemeral(Machine[Seen, int, int], name="ephemeral"):
    s = root(Seen)
    counting = s.state(initial=True)
    working = s.state()
    end = s.final()
    s.remember("ephemeral")
    counting.on(Add, assign=added)
    counting.on(Mark, working)
    working.invoke(double, lambda c: c.sum, done=counting, assign=lambda c, v: evolve(c, sum=v), error=end)
    counting.after(timedelta(hours=1), end)
    s.on(Stop, end)
    init = staticmethod(begun)
    result = staticmethod(sum_of)


class Selective(Machine[Seen, int, int], name="selective"):
    s = root(Seen)
    counting = s.state(initial=True)
    marked = s.state()
    end = s.final()
    s.remember("selective")
    marked.checkpoint()
    counting.on(Add, assign=added)
    counting.on(Enter, counting, checkpoint=True)
    counting.on(Mark, marked)
    counting.after(timedelta(hours=1), end)
    marked.on(Leave, counting)
    s.on(Stop, end)
    init = staticmethod(begun)
    result = staticmethod(sum_of)


class Eternal(Machine[Seen, int, int], name="eternal"):
    """Only what happens in its vault is kept for ever; ephemeral elsewhere."""

    s = root(Seen)
    outside = s.state(initial=True)
    vault = s.state()
    end = s.final()
    s.remember("ephemeral")
    vault.remember("eternal")
    outside.on(Enter, vault)
    vault.on(Leave, outside)
    s.on(Add, assign=added)
    s.on(Stop, end)
    init = staticmethod(begun)
    result = staticmethod(sum_of)


class Plain(Machine[Seen, int, int], name="plain"):
    """Says nothing."""

    s = root(Seen)
    counting = s.state(initial=True)
    end = s.final()
    counting.on(Stop, end)
    init = staticmethod(begun)
    result = staticmethod(sum_of)


class Oversized(Machine[Seen, int, str], name="oversized"):
    """Ends with what cannot be stored, by an event or by its activity's outcome."""

    s = root(Seen)
    counting = s.state(initial=True)
    working = s.state()
    end = s.final()
    s.remember("ephemeral")
    counting.on(Mark, working)
    counting.on(Stop, end)
    working.invoke(double, lambda c: c.sum, done=end, error=end)
    init = staticmethod(begun)

    @staticmethod
    def result(c: Seen) -> str:
        return "x" * 2_000_000
