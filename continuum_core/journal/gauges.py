"""Optional: a journal that can say how much waits in it.

A backend that declares `Capability.GAUGES` gives handles that are `Gauged`. Counts are read without locks, so
they need not be of one instant, and they end at `COUNTED`: what is watched for is whether there is much, and
a journal must not be slowed down by being looked at.
"""

from __future__ import annotations

from typing import Protocol, cast

from msgspec import Struct

from continuum_core.clock import Micros

__all__ = ["COUNTED", "Gauged", "Gauges", "QueueGauge", "gauged"]

COUNTED = 10_000
"""Where counts end: it stands for so many or more."""


class QueueGauge(Struct, frozen=True, gc=False):
    """The tasks of one queue.

    :ivar waiting: due, and in nobody's hands: an expired lease is nobody's.
    :ivar later: due later: tried again after a delay.
    :ivar claimed: in the hands of workers.
    :ivar oldest: since when the longest waiting of `waiting` has been due.
    """

    queue: str
    waiting: int
    later: int
    claimed: int
    oldest: Micros | None


class Gauges(Struct, frozen=True, gc=False):
    """How much waits in one namespace.

    :ivar now: the journal's clock.
    :ivar due: deliveries that are due and not held.
    :ivar oldest_due: since when the oldest of these has been due. Old ones mean that no worker takes the run.
    :ivar parked: runs that wait for a human.
    :ivar suspended: runs that wait to be resumed.
    :ivar queues: of every queue that has tasks, by name.
    """

    now: Micros
    due: int
    oldest_due: Micros | None
    parked: int
    suspended: int
    queues: tuple[QueueGauge, ...]


class Gauged(Protocol):
    """What a handle has beside `Journal`, of a backend that declares `Capability.GAUGES`."""

    async def gauges(self) -> Gauges:
        """How much waits. Raises JournalUnavailable."""
        ...


def gauged(journal: object) -> Gauged | None:
    """A journal's handle as one that counts; None where it does not."""
    counts = callable(getattr(journal, "gauges", None))
    return cast(Gauged, journal) if counts else None
