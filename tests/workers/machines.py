"""What the worker processes of these tests run: bodies that tell what they do, and end when they are let.

Bodies speak to the test by files of one folder: a line in `trace` for everything they begin and end, and
they go on once a file of the right name is there. So a test knows what a process is doing, and nothing
depends on how long anything takes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

from attrs import evolve, frozen

from continuum_core import Machine, Retry, activity, event, root
from tests.crash.machines import Trip
from tests.crews.machines import Armada, Convoy
from tests.evolution.orders import Order1, Order2, Order3

FOLDER = "CONTINUUM_TEST_FOLDER"
"""The environment variable that names the folder."""


@frozen
class Ctx:
    name: str
    log: tuple[str, ...] = ()


def noted(c: Ctx, word: str) -> Ctx:
    return evolve(c, log=(*c.log, word))


@event
class Nudge:
    pass


@event
class Extra:
    pass


# --- what bodies do


def folder() -> Path:
    return Path(os.environ[FOLDER])


def trace(*words: str) -> None:
    """One line with this process's number, written at once: appends of this size do not mix."""
    with (folder() / "trace").open("ab", buffering=0) as file:
        file.write(f"{os.getpid()} {' '.join(words)}\n".encode())


def stop_once() -> None:
    """Stop this process like SIGSTOP from outside would, at this very line; only the first time."""
    try:
        (folder() / "stopped").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGSTOP)


def is_open(name: str) -> bool:
    return (folder() / f"open-{name}").exists()


patient = Retry(attempts=None, first=timedelta(milliseconds=10))


@activity(retry=patient)
async def held(name: str) -> str:
    """Ends when it is let; tells who ended it."""
    trace("begin", name)
    while not is_open(name):
        await asyncio.sleep(0.005)
    trace("end", name)
    return str(os.getpid())


@activity(retry=patient)
async def stops(name: str) -> str:
    """Stops the process of its first attempt."""
    trace("begin", name)
    stop_once()
    trace("end", name)
    return str(os.getpid())


@activity(retry=patient)
async def blocks(name: str) -> str:
    """Ends when it is let, and lets nothing else happen on the event loop until then."""
    trace("begin", name)
    while not is_open(name):
        time.sleep(0.01)  # noqa: ASYNC251 - the fault that is shown
    trace("end", name)
    return str(os.getpid())


@activity(retry=patient)
def on_a_thread(name: str) -> str:
    """Ends when it is let; plain code, which runs on a thread."""
    trace("begin", name)
    while not is_open(name):
        time.sleep(0.01)
    trace("end", name)
    return str(os.getpid())


# --- one activity each


class Held(Machine[Ctx, str, str], name="held"):
    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.log[0]

    working.invoke(
        held, lambda c: c.name, done=done, assign=lambda c, o: noted(c, o), error={Exception: failed}
    )


class Stops(Machine[Ctx, str, str], name="stops"):
    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.log[0]

    working.invoke(
        stops, lambda c: c.name, done=done, assign=lambda c, o: noted(c, o), error={Exception: failed}
    )


class Blocks(Machine[Ctx, str, str], name="blocks"):
    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.log[0]

    working.invoke(
        blocks, lambda c: c.name, done=done, assign=lambda c, o: noted(c, o), error={Exception: failed}
    )


class OnAThread(Machine[Ctx, str, str], name="on-a-thread"):
    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.log[0]

    working.invoke(
        on_a_thread, lambda c: c.name, done=done, assign=lambda c, o: noted(c, o), error={Exception: failed}
    )


# --- two releases


class RollingOne(Machine[Ctx, str, str], name="rolling", version=1):
    s = root(Ctx)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.log[0]

    waiting.on(Nudge, done, assign=lambda c, e: noted(c, "one"))


class RollingTwo(Machine[Ctx, str, str], name="rolling", version=2):
    """Something was added, and logic changed: it may adopt the runs of version 1."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    more = s.state()
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.log[0]

    waiting.on(Nudge, done, assign=lambda c, e: noted(c, "two"))
    waiting.on(Extra, more)
    more.on(Nudge, done, assign=lambda c, e: noted(c, "two"))


class ChangedOne(Machine[Ctx, str, str], name="changed", version=1):
    s = root(Ctx)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.log[0]

    waiting.on(Nudge, done, assign=lambda c, e: noted(c, "one"))


class ChangedTwo(Machine[Ctx, str, str], name="changed", version=2):
    """The state in which runs of version 1 rest is gone: nothing here knows what to do with them."""

    s = root(Ctx)
    resting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.log[0]

    resting.on(Nudge, done, assign=lambda c, e: noted(c, "two"))


RELEASES = {
    "trip": (Trip,),
    "convoy": (Convoy, Armada),
    "one": (Held, Stops, Blocks, OnAThread, RollingOne, ChangedOne),
    "two": (Held, Stops, Blocks, OnAThread, RollingTwo, ChangedTwo),
    "order 1": (Order1,),
    "order 1 and 2": (Order1, Order2),
    "order 2": (Order2,),
    "order 3": (Order3,),
}
