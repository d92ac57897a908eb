"""One machine in three versions, for schedules in which workers of several releases work side by side.

Version 2 adds to version 1, and adopts its runs. Version 3 renames states, gives one of them regions, and
needs more in its context: it upgrades runs of both. A run may meet any of them at any turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zlib import crc32

from attrs import frozen

from continuum_core.definition.declare import Machine, root
from continuum_core.testing.simulation.fleets import FLEETS
from continuum_core.testing.simulation.lates import LATES
from continuum_core.testing.simulation.machines import (
    MACHINES,
    Close,
    Item,
    Job,
    Ping,
    Told,
    began,
    charge,
    label_of,
    ponder,
    reserve,
    seen,
    told,
    with_output,
)

__all__ = ["RELEASES", "ROLLING", "machine_of", "machines_of", "release_machines"]

ROLLING = "sim.rolling"
_HALF = timedelta(seconds=0.5)


class Rolling1(Machine[Told, Job, str], name=ROLLING, version=1):
    s = root(Told)
    taking = s.state(initial=True)
    open_ = s.state()
    sorting = s.state()
    end = s.final()

    taking.invoke(reserve, label_of, done=open_, assign=with_output, error=open_)
    taking.defer(Item, Close)
    open_.on(Item, sorting, assign=seen)
    open_.on(Close, end, assign=seen)
    open_.on(Ping, assign=seen)
    open_.after(timedelta(seconds=15), end)
    sorting.after(_HALF, open_)
    sorting.defer(Item, Close)

    init = staticmethod(began)
    result = staticmethod(told)


class Rolling2(Machine[Told, Job, str], name=ROLLING, version=2):
    s = root(Told)
    taking = s.state(initial=True)
    open_ = s.state()
    sorting = s.state()
    pausing = s.state()
    end = s.final()

    taking.invoke(reserve, label_of, done=open_, assign=with_output, error=open_)
    taking.defer(Item, Close)
    open_.on(Item, sorting, assign=lambda c, e: seen(c.and_("two"), e))
    open_.on(Close, end, assign=seen)
    open_.on(Ping, pausing, assign=seen)
    open_.after(timedelta(seconds=15), end)
    sorting.after(_HALF, open_)
    sorting.defer(Item, Close)
    pausing.after(_HALF, open_)
    pausing.defer(Item, Close)
    taking.on(Ping)  # unheard of, as in the other releases
    sorting.on(Ping)

    init = staticmethod(began)
    result = staticmethod(told)


@frozen
class Told3:
    """The context of version 3: it knows how often its run was moved."""

    label: str
    size: int
    peer: str
    moved: int
    seen: tuple[str, ...] = ()

    def and_(self, what: str) -> Told3:
        return Told3(self.label, self.size, self.peer, self.moved, (*self.seen, what))


def _moved(old: dict[str, Any]) -> dict[str, Any]:
    return {**old, "moved": 1}


class Rolling3(Machine[Told3, Job, str], name=ROLLING, version=3):
    s = root(Told3)
    getting = s.state(initial=True)
    ready = s.state()
    sorting = s.parallel()
    left = sorting.state()
    left_busy = left.state(initial=True)
    left_done = left.final()
    right = sorting.state()
    right_busy = right.state(initial=True)
    right_done = right.final()
    sealing = s.state()
    end = s.final()

    getting.invoke(reserve, lambda c: c.label, done=ready, assign=lambda c, o: c.and_(o), error=ready)
    getting.on(Close, sealing, assign=lambda c, e: c.and_(f"Close:{e.sender}:{e.number}"))
    getting.defer(Item)
    ready.on(Item, sorting, assign=lambda c, e: c.and_(f"Item:{e.sender}:{e.number}"))
    ready.on(Close, sealing, assign=lambda c, e: c.and_(f"Close:{e.sender}:{e.number}"))
    s.on(Ping, assign=lambda c, e: c.and_(f"Ping:{e.sender}:{e.number}"))
    ready.after(timedelta(seconds=15), end)
    left_busy.after(_HALF, left_done)
    right_busy.invoke(ponder, lambda c: c.label, done=right_done, error=right_done)
    sorting.defer(Item, Close)
    sorting.done(ready)
    sealing.invoke(charge, lambda c: c.label, done=end, error=end)

    @staticmethod
    def init(i: Job) -> Told3:
        return Told3(i.label, i.size, i.peer, 0)

    @staticmethod
    def result(c: Told3) -> str:
        return " ".join(c.seen)

    s.upgrade(1, {"taking": getting, "open_": ready, "sorting": left_busy}, ctx=_moved)
    s.upgrade(2, {"taking": getting, "open_": ready, "sorting": left_busy, "pausing": ready}, ctx=_moved)


RELEASES: tuple[tuple[type[Machine[Any, Job, str]], ...], ...] = (
    (Rolling1,),
    (Rolling1, Rolling2),
    (Rolling2,),
    (Rolling3,),
)
"""What workers of each release have of that machine; the last takes all runs."""

_VERSIONS = (Rolling1, Rolling2, Rolling3)
_OTHERS = {**MACHINES, **FLEETS, **LATES}


def machines_of(names: Sequence[str]) -> list[type[Machine[Any, Job, str]]]:
    """Every version of these machines."""
    found: list[type[Machine[Any, Job, str]]] = [_OTHERS[name] for name in names if name != ROLLING]
    return [*found, *_VERSIONS] if ROLLING in names else found


def release_machines(names: Sequence[str], release: int) -> list[type[Machine[Any, Job, str]]]:
    """What a worker of a release takes of these machines."""
    found: list[type[Machine[Any, Job, str]]] = [_OTHERS[name] for name in names if name != ROLLING]
    return [*found, *RELEASES[release]] if ROLLING in names else found


def machine_of(name: str, label: str) -> type[Machine[Any, Job, str]]:
    """What a run of this label is started as: clients of all releases start runs."""
    return _OTHERS[name] if name != ROLLING else _VERSIONS[crc32(label.encode()) % len(_VERSIONS)]
