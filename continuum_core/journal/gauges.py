"""Optional: a journal that can say how much waits in it.

A backend that declares `Capability.GAUGES` gives handles that are `Gauged`. It looks at `COUNTED` rows of a
kind at most, whichever they are: what is watched for is whether there is much, and a journal must not be
slowed down by being looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

from msgspec import Struct

from continuum_core.clock import Micros
from continuum_core.journal.declared import can
from continuum_core.journal.protocol import Capability
from continuum_core.journal.records import RunStatus

__all__ = ["COUNTED", "Gauged", "Gauges", "QueueGauge", "gauged", "gauges_of"]

COUNTED = 100_000
"""How many rows of a kind are looked at: the count that ends there stands for so many or more.

A journal that need not look at rows to know their number tells all there are.
"""


class QueueGauge(Struct, frozen=True, gc=False):
    """The tasks of one queue.

    :ivar waiting: due, and in nobody's hands: an expired lease is nobody's.
    :ivar later: due later: tried again after a delay.
    :ivar claimed: in the hands of workers.
    :ivar oldest: since when the longest waiting of `waiting` has been due.
    :ivar activities: those of which tasks are `waiting`, by name.
    """

    queue: str
    waiting: int
    later: int
    claimed: int
    oldest: Micros | None
    activities: tuple[str, ...] = ()


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
    return cast(Gauged, journal) if can(journal, Capability.GAUGES) else None


def gauges_of(
    now: Micros,
    dues: Iterable[Micros],
    statuses: Mapping[RunStatus, int],
    tasks: Iterable[tuple[str, str, Micros, Micros | None]],
) -> Gauges:
    """What rows say.

    :param dues: of free deliveries that are due, `COUNTED` at most; 0 is a cancellation's.
    :param statuses: how many runs there are in each.
    :param tasks: queue, activity, due and end of the lease of each, `COUNTED` at most.
    """
    found = list(dues)
    queues: dict[str, list[int]] = {}
    oldest: dict[str, Micros] = {}
    activities: dict[str, set[str]] = {}
    for queue, activity, due, lease_until in tasks:
        counts = queues.setdefault(queue, [0, 0, 0])
        if lease_until is not None and lease_until > now:
            counts[2] += 1
        elif due > now:
            counts[1] += 1
        else:
            counts[0] += 1
            oldest[queue] = min(due, oldest.get(queue, due))
            activities.setdefault(queue, set()).add(activity)
    return Gauges(
        now=now,
        due=len(found),
        oldest_due=min((due for due in found if due > 0), default=None),
        parked=statuses.get(RunStatus.PARKED, 0),
        suspended=statuses.get(RunStatus.SUSPENDED, 0),
        queues=tuple(
            QueueGauge(
                name, waiting, later, claimed, oldest.get(name), tuple(sorted(activities.get(name, ())))
            )
            for name, (waiting, later, claimed) in sorted(queues.items())
        ),
    )
