"""What the workers of the crash tests run: activities that leave a trace outside the journal."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from attrs import evolve, frozen

from continuum_core import Machine, Retry, activity, current_attempt, event, root

TRACE = "CONTINUUM_CRASH_TRACE"
"""The environment variable that names the file to which every execution adds a line."""


NUDGES = 10
"""Events that a run of many generations is sent."""


@frozen
class Ctx:
    number: int
    log: tuple[str, ...] = ()


@event
class Nudge:
    pass


def trace(word: str) -> None:
    """One line, written at once: appends of this size do not mix, and survive the process."""
    path = Path(os.environ[TRACE])
    with path.open("ab", buffering=0) as file:
        file.write(f"{current_attempt().key} {word}\n".encode())


@activity(retry=Retry(attempts=None, first=timedelta(milliseconds=50)))
async def first(number: int) -> str:
    trace("begin")
    await asyncio.sleep(number % 7 * 0.01)
    trace("end")
    return f"first-{number}"


@activity(retry=Retry(attempts=None, first=timedelta(milliseconds=50)))
def second(number: int) -> str:
    trace("begin")
    trace("end")
    return f"second-{number}"


class Trip(Machine[Ctx, int, str], name="trip"):
    """Two activities side by side, a timer, an event, one more activity."""

    s = root(Ctx)
    both = s.parallel(initial=True)
    left = both.state()
    going = left.state(initial=True)
    gone = left.final()
    right = both.state()
    waiting = right.state(initial=True)
    waited = right.final()
    nudged = s.state()
    ending = s.state()
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: int) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    going.invoke(
        first,
        lambda c: c.number,
        done=gone,
        assign=lambda c, o: evolve(c, log=(*c.log, o)),
        error={Exception: failed},
    )
    waiting.after(timedelta(milliseconds=200), waited)
    both.done(nudged)
    nudged.on(Nudge, ending)
    both.defer(Nudge)
    ending.invoke(
        second,
        lambda c: c.number,
        done=done,
        assign=lambda c, o: evolve(c, log=(*c.log, o)),
        error={Exception: failed},
    )


@frozen
class Lap:
    """What a generation begins with: how many there are to go, and what those before it counted."""

    left: int
    done: int = 0
    nudges: int = 0


@activity(retry=Retry(attempts=None, first=timedelta(milliseconds=50)))
async def lap(number: int) -> int:
    trace("begin")
    await asyncio.sleep(number % 5 * 0.004)
    trace("end")
    return number


class Laps(Machine[Lap, Lap, tuple[int, int]], name="laps"):
    """A short activity in each of many generations, and events that are counted over all of them."""

    s = root(Lap)
    running = s.state(initial=True)
    turning = s.choice()
    again = s.continue_as_new(lambda c: c)
    waiting = s.state()
    counting = s.choice()
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: Lap) -> Lap:
        return i

    @staticmethod
    def result(c: Lap) -> tuple[int, int]:
        return c.done, c.nudges

    running.invoke(
        lap,
        lambda c: c.done + 1,
        done=turning,
        assign=lambda c, number: evolve(c, left=c.left - 1, done=c.done + (number == c.done + 1)),
        error={Exception: failed},
    )
    turning.always(again, when=lambda c: c.left > 0)
    turning.always(waiting)
    running.on(Nudge, assign=lambda c, _: evolve(c, nudges=c.nudges + 1))
    waiting.on(Nudge, counting, assign=lambda c, _: evolve(c, nudges=c.nudges + 1))
    waiting.always(done, when=lambda c: c.nudges >= NUDGES)
    counting.always(done, when=lambda c: c.nudges >= NUDGES)
    counting.always(waiting)
