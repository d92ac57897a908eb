"""Fences, and tasks as they are born: the first fence of a task that is born claimed is given with it."""

from __future__ import annotations

from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal.commit import NewTask
from continuum_core.journal.records import Task

__all__ = ["born", "next_fence"]


def next_fence(last: int, now: Micros) -> int:
    """The fence after `last`: bound to the clock, so that not even a store that was restored from an old copy
    grants one twice."""
    return max(last + 1, now)


def born(run_id: UUID, new: NewTask, now: Micros) -> Task:
    """A task as it is stored first: due at once, or claimed by whoever commits it."""
    claimed = new.lease is not None
    return Task(
        run_id=run_id,
        token=new.token,
        slot=new.slot,
        activity=new.activity,
        queue=new.queue,
        priority=new.priority,
        due=now,
        scheduled=now,
        payload=new.payload,
        key=new.key,
        undo=new.undo,
        fence=next_fence(0, now) if claimed else 0,
        lease_until=None if new.lease is None else now + new.lease,
        claim_id=new.claim_id if claimed else None,
        fairness=new.fairness,
    )
