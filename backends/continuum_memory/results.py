"""Keyed results: one outcome per (activity, key) of a namespace, whichever run asked for it first."""

from __future__ import annotations

from collections.abc import Sequence

from continuum_core.clock import Micros
from continuum_core.journal.commit import FinishKind, Reservation, Reserved, ReserveOutcome, TaskFinish
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import Task
from continuum_memory.rows import Result, Space

__all__ = ["reserve", "settle"]


def reserve(space: Space, now: Micros, reservations: Sequence[Reservation]) -> list[Reserved]:
    return [_reserve(space, now, reservation) for reservation in reservations]


def _reserve(space: Space, now: Micros, asked: Reservation) -> Reserved:
    owner = (asked.run_id, asked.token, asked.slot)
    known = space.results.get((asked.activity, asked.key))
    if known is not None and known.until > now:
        if known.outcome is not None:
            return Reserved(ReserveOutcome.DONE, result=known.outcome)
        if known.owner != owner:
            return Reserved(ReserveOutcome.BUSY, until=known.until)
    space.results[asked.activity, asked.key] = Result(owner, now + asked.lease)
    return Reserved(ReserveOutcome.RESERVED)


def settle(space: Space, limits: Limits, now: Micros, task: Task, end: TaskFinish) -> None:
    """Store or free what the task had reserved. RETRY and RETURN keep the reservation: it goes on."""
    if task.key is None or end.kind in (FinishKind.RETRY, FinishKind.RETURN):
        return
    name = (task.activity, task.key)
    owner = (task.run_id, task.token, task.slot)
    known = space.results.get(name)
    if known is not None and known.outcome is not None and known.until > now:
        return  # somebody's outcome was told to others already: the first one stays
    if end.kind is FinishKind.DONE and end.result is not None:
        space.results[name] = Result(owner, now + limits.result_window, end.result)
    elif known is not None and known.outcome is None and known.owner == owner:
        del space.results[name]
