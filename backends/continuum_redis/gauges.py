"""How much waits in a namespace: what each tag counts, added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from continuum_core.journal.gauges import Gauges, QueueGauge
from continuum_redis.spread import sooner
from continuum_redis.store import READING, Store

__all__ = ["gauges"]


async def gauges(store: Store) -> Gauges:
    """The verb. Raises JournalUnavailable where a tag cannot be reached: a part of a count would mislead."""
    told = await store.ask_each(READING, "gauges", [(tag, b"") for tag in store.tags.all()])
    nows, dues, oldest, parked, suspended, queues = zip(*told, strict=True)
    return Gauges(
        now=max(nows),
        due=sum(dues),
        oldest_due=sooner(*oldest),
        parked=sum(parked),
        suspended=sum(suspended),
        queues=_queues([queue for of_tag in queues for queue in of_tag]),
    )


def _queues(told: Sequence[Any]) -> tuple[QueueGauge, ...]:
    """Of each queue what its tags tell, by name."""
    of_name: dict[bytes, list[Any]] = {}
    for name, *counts in told:
        of_name.setdefault(name, []).append(counts)
    found: list[QueueGauge] = []
    for name, counts in of_name.items():
        waiting, later, claimed, oldest, named = zip(*counts, strict=True)
        activities = sorted({activity.decode() for of_tag in named for activity in of_tag})
        found.append(
            QueueGauge(
                name.decode(), sum(waiting), sum(later), sum(claimed), sooner(*oldest), tuple(activities)
            )
        )
    return tuple(sorted(found, key=lambda gauge: gauge.queue))
