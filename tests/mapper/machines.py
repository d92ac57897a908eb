"""Three versions of one machine, and what tests of the mapper do over and over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

from attrs import evolve, frozen

from continuum_core import Machine, activity, event, root
from continuum_core.interpreter.events import Event, Signal, Start
from continuum_core.interpreter.macrostep import step
from continuum_core.mapper import Image, imaged, unborn
from continuum_core.registry import Entry, Registry

NOW = 1_893_456_000_000_000
HOUR = 3_600_000_000
RUN = UUID(int=77)


@frozen
class Ctx:
    name: str
    log: tuple[str, ...] = ()


@frozen
class RicherCtx:
    """`Ctx` after it gained a field."""

    name: str
    log: tuple[str, ...] = ()
    mood: str = "calm"


@event
class Leave:
    word: str = "bye"


@event
class Return:
    pass


@event
class Dig:
    pass


@activity()
async def water(name: str) -> int:
    return len(name)


class Home(Machine[Ctx, str, str], name="home", version=1):
    """An activity and a timer, and a memory of where it was."""

    s = root(Ctx)
    home = s.state(initial=True)
    inside = home.state(initial=True)
    garden = home.state()
    back = home.history()
    away = s.state()
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    inside.on(Dig, garden)
    garden.invoke(
        water,
        lambda c: c.name,
        key=lambda c: f"water-{c.name}",
        assign=lambda c, n: evolve(c, log=(*c.log, f"{n} l")),
        error={Exception: inside},
    )
    garden.after(timedelta(hours=1), inside)
    home.on(Leave, away, assign=lambda c, e: evolve(c, log=(*c.log, e.word)))
    away.on(Return, back)
    away.on(Leave, done)


class Larger(Machine[RicherCtx, str, str], name="home", version=2):
    """It gained states before, inside and after those it had, so that all numbers differ; and a field."""

    s = root(RicherCtx)
    hotel = s.state()
    home = s.state(initial=True)
    cellar = home.state()
    inside = home.state(initial=True)
    garden = home.state()
    back = home.history()
    away = s.state()
    done = s.final()

    @staticmethod
    def init(i: str) -> RicherCtx:
        return RicherCtx(i)

    @staticmethod
    def result(c: RicherCtx) -> str:
        return ",".join((*c.log, c.mood))

    hotel.on(Return, home)
    cellar.on(Dig, inside)
    inside.on(Dig, garden)
    inside.on(Return, cellar)
    garden.invoke(
        water,
        lambda c: c.name,
        key=lambda c: f"water-{c.name}",
        assign=lambda c, n: evolve(c, log=(*c.log, f"{n} l")),
        error={Exception: inside},
    )
    garden.after(timedelta(hours=1), inside)
    home.on(Leave, away, assign=lambda c, e: evolve(c, log=(*c.log, e.word)))
    away.on(Return, back)
    away.on(Leave, done)
    away.on(Dig, hotel)


class Smaller(Machine[Ctx, str, str], name="home", version=3):
    """It lost a state and the memory: runs of the others need an upgrade."""

    s = root(Ctx)
    home = s.state(initial=True)
    away = s.state()
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    home.on(Leave, away, assign=lambda c, e: evolve(c, log=(*c.log, e.word)))
    away.on(Return, home)
    away.on(Leave, done)


def entry_of(machine: Any) -> Entry:
    return Registry([machine]).add(machine)


def ids() -> Callable[[], UUID]:
    numbers = count(1_000)
    return lambda: UUID(int=next(numbers))


def after(entry: Entry, *events: object, image: Image | None = None) -> Image:
    """The run after a start with "ann" (unless `image` has begun) and these events."""
    image = image or unborn()
    first: list[Event] = [] if image.context else [Start("ann")]
    for each in (*first, *(Signal(sent) for sent in events)):
        image = imaged(entry, image, step(entry.program, image.snapshot, each, NOW).snapshot)
    return image
