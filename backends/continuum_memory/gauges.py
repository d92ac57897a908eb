"""How much waits in a namespace."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from continuum_core.clock import Micros
from continuum_core.journal.gauges import COUNTED, Gauges, gauges_of
from continuum_memory.rows import Space

__all__ = ["gauges"]


def gauges(space: Space, now: Micros) -> Gauges:
    """The verb: how much waits."""
    free = (d for run in space.runs.values() for d in run.deliveries.values() if d.id not in run.held)
    dues = (d.due for d in free if d.due is not None and d.due <= now)
    tasks = (
        (row.task.queue, row.task.activity, row.task.due, row.task.lease_until)
        for run in space.runs.values()
        for row in run.tasks.values()
    )
    statuses = Counter(run.status for run in space.runs.values())
    return gauges_of(now, islice(dues, COUNTED), statuses, islice(tasks, COUNTED))
