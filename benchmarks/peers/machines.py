"""The machines that ours runs in the benchmarks."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Machine, activity, event, root

__all__ = ["Go", "One", "Relay", "Steps", "Through", "Waits", "held"]

held = asyncio.Event()
"""Set when the activity of a `Relay` has begun in this process."""


@event
class Go:
    number: int


@activity()
async def noop(number: int) -> int:
    return number + 1


@activity()
async def hold(number: int) -> int:
    held.set()
    await asyncio.sleep(3600)
    return number


class Steps(Machine[int, int, int], name="bench-steps"):
    """Three activities in three states; each outcome is durable before the next one begins."""

    s = root(int)
    one = s.state(initial=True)
    two = s.state()
    three = s.state()
    done = s.final()
    bad = s.final(ok=False)

    @staticmethod
    def init(input: int) -> int:
        return input

    @staticmethod
    def result(context: int) -> int:
        return context

    one.invoke(noop, lambda n: n, done=two, assign=lambda _, n: n, error={Exception: bad})
    two.invoke(noop, lambda n: n, done=three, assign=lambda _, n: n, error={Exception: bad})
    three.invoke(noop, lambda n: n, done=done, assign=lambda _, n: n, error={Exception: bad})


class One(Machine[int, int, int], name="bench-one"):
    """One activity."""

    s = root(int)
    one = s.state(initial=True)
    done = s.final()
    bad = s.final(ok=False)

    @staticmethod
    def init(input: int) -> int:
        return input

    @staticmethod
    def result(context: int) -> int:
        return context

    one.invoke(noop, lambda n: n, done=done, assign=lambda _, n: n, error={Exception: bad})


class Through(Machine[int, int, int], name="bench-through"):
    """The same three transitions without activities: all in the first turn, one commit."""

    s = root(int)
    one = s.state(initial=True)
    two = s.state()
    three = s.state()
    done = s.final()

    @staticmethod
    def init(input: int) -> int:
        return input

    @staticmethod
    def result(context: int) -> int:
        return context

    one.always(two, assign=lambda n: n + 1)
    two.always(three, assign=lambda n: n + 1)
    three.always(done, assign=lambda n: n + 1)


class Waits(Machine[tuple[int, int], int, tuple[int, int]], name="bench-waits"):
    """Waits for an event, at most a day."""

    s = root(tuple[int, int])
    waiting = s.state(initial=True)
    done = s.final()
    late = s.final(ok=False)

    @staticmethod
    def init(input: int) -> tuple[int, int]:
        return (input, -1)

    @staticmethod
    def result(context: tuple[int, int]) -> tuple[int, int]:
        return context

    waiting.on(Go, done, assign=lambda c, e: (c[0], e.number))
    waiting.after(timedelta(days=1), late)


@frozen
class Ticks:
    wanted: int
    seen: int = 0


class Relay(Machine[Ticks, int, int], name="bench-relay"):
    """Counts events, each a record of its own; after the last one an activity holds it."""

    s = root(Ticks)
    counting = s.state(initial=True)
    holding = s.state()
    done = s.final()
    bad = s.final(ok=False)

    @staticmethod
    def init(input: int) -> Ticks:
        return Ticks(input)

    @staticmethod
    def result(context: Ticks) -> int:
        return context.seen

    counting.on(Go, assign=lambda c, _: evolve(c, seen=c.seen + 1))
    counting.always(holding, when=lambda c: c.seen >= c.wanted)
    holding.invoke(hold, lambda c: c.seen, done=done, error={Exception: bad})
