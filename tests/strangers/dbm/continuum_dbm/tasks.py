"""Tasks: claimed, kept alive, finished; and the keyed results that they share."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.checking import check_finish
from continuum_core.journal.commit import (
    Committed,
    Finished,
    FinishKind,
    FinishOutcome,
    Reservation,
    Reserved,
    ReserveOutcome,
    TaskClaim,
    TaskClaims,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.fences import next_fence
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import Task
from continuum_dbm.claims import SUSPECT
from continuum_dbm.deliveries import send
from continuum_dbm.queues import choose, next_token, order
from continuum_dbm.rows import Shared, Space, Work, ended
from continuum_dbm.turns import fused, stood

__all__ = ["claim_tasks", "finish", "heartbeat", "reserve"]


# --- claims ----------------------------------------------------------------------------------------


def claim_tasks(
    space: Space, limits: Limits, now: Micros, claim_id: UUID, wants: Sequence[TaskWant], lease: int
) -> TaskClaims:
    held = [work.task for work in space.tasks.all() if work.task.claim_id == claim_id]
    held.sort(key=lambda task: (task.run_id.int, task.token, task.slot))
    if not held:  # a repeat is told what the first claim got, and gets no more
        for want in wants:
            _ripen(space, limits, now, want)
        for want in wants:
            chosen = choose(space, now, want, first=not held)
            for work in chosen:
                fence = next_fence(work.task.fence, now)
                task = replace(work.task, fence=fence, claim_id=claim_id, lease_until=now + lease)
                space.tasks.put(replace(work, task=task))
                held.append(task)
            if held and held[0].losses >= SUSPECT:
                break
    hints: list[Micros] = []
    for want in wants:
        hints += [when for work in _wanted(space, want) if (when := _awaits(work.task, now)) is not None]
        hints += next_token(space, now, want)
    return TaskClaims(now, tuple(_claim(space, task) for task in held), min(hints, default=None))


def _wanted(space: Space, want: TaskWant) -> list[Work]:
    return [
        work
        for work in space.tasks.all()
        if work.task.queue == want.queue and work.task.activity in want.activities
    ]


def _awaits(task: Task, now: Micros) -> Micros | None:
    """What a task that cannot be claimed now waits for: its lease's end, or its due time."""
    when = task.due if task.lease_until is None else task.lease_until
    return when if when > now or task.lease_until is not None else None


def _claim(space: Space, task: Task) -> TaskClaim:
    run = space.runs.get(task.run_id)
    if run is None:
        raise AssertionError("a task has a run")
    return TaskClaim(task, run.machine, run.fingerprint)


def _ripen(space: Space, limits: Limits, now: Micros, want: TaskWant) -> None:
    """Count as lost what its worker let expire; drop what was asked to stop and that nobody has."""
    for work in sorted(_wanted(space, want), key=order):
        task = work.task
        if (task.due if task.lease_until is None else task.lease_until) > now:
            continue
        if task.unneeded:
            space.tasks.drop(work)
        elif task.lease_until is not None:
            losses = task.losses + 1
            due = now + losses * limits.loss_backoff
            lost = replace(task, losses=losses, due=due, lease_until=None, claim_id=None)
            space.tasks.put(replace(work, task=lost))


# --- heartbeat -------------------------------------------------------------------------------------


def heartbeat(space: Space, now: Micros, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
    return [_heartbeat(space, now, held, lease) for held in tasks]


def _heartbeat(space: Space, now: Micros, held: TaskHold, lease: int) -> bool | None:
    work = space.tasks.get(held.run_id, held.token, held.slot)
    if work is None or work.task.fence != held.fence or work.task.lease_until is None:
        return None
    details = work.task.details if held.details is None else held.details
    space.tasks.put(replace(work, task=replace(work.task, lease_until=now + lease, details=details)))
    return not work.task.cancel


# --- finish ----------------------------------------------------------------------------------------


def finish(space: Space, limits: Limits, now: Micros, finishes: Sequence[TaskFinish]) -> list[Finished]:
    for end in finishes:
        check_finish(end)
    return [_finish(space, limits, now, end) for end in finishes]


def _finish(space: Space, limits: Limits, now: Micros, end: TaskFinish) -> Finished:
    run = space.runs.get(end.run_id)
    work = space.tasks.get(end.run_id, end.token, end.slot)
    if run is None or work is None or end.fence == work.ended_fence > 0:
        return Finished(FinishOutcome.GONE, now, stood(space, now, end.turn))
    if end.fence != work.task.fence or end.fence == 0:
        return Finished(FinishOutcome.LOST, now)
    _settle(space, limits, now, work.task, end)
    if ended(run):
        space.tasks.drop(work)
        return Finished(FinishOutcome.GONE, now, stood(space, now, end.turn))
    if end.kind in (FinishKind.RETRY, FinishKind.RETURN):
        _reopen(space, work, end, now)
        return Finished(FinishOutcome.FINISHED, now)
    space.tasks.drop(work)
    return Finished(FinishOutcome.FINISHED, now, _deliver(space, limits, now, end))


def _reopen(space: Space, work: Work, end: TaskFinish, now: Micros) -> None:
    task = work.task
    if task.unneeded:
        space.tasks.drop(work)
        return
    reopened = replace(task, due=now + end.delay, lease_until=None, claim_id=None)
    if end.kind is FinishKind.RETRY:
        reopened = replace(reopened, attempt=task.attempt + 1, failure=end.failure)
    space.tasks.put(Work(reopened, ended_fence=task.fence))


def _deliver(space: Space, limits: Limits, now: Micros, end: TaskFinish) -> Committed | None:
    if end.kind is not FinishKind.CANCELLED and end.delivery is not None:
        send(space, limits, now, end.delivery)
    return None if end.turn is None else fused(space, limits, now, end.turn)


# --- keyed results -----------------------------------------------------------------------------------


def reserve(space: Space, now: Micros, reservations: Sequence[Reservation]) -> list[Reserved]:
    return [_reserve(space, now, reservation) for reservation in reservations]


def _reserve(space: Space, now: Micros, asked: Reservation) -> Reserved:
    owner = (asked.run_id, asked.token, asked.slot)
    known = space.shared.get(asked.activity, asked.key)
    if known is not None and known.until > now:
        if known.outcome is not None:
            return Reserved(ReserveOutcome.DONE, result=known.outcome)
        if known.owner != owner:
            return Reserved(ReserveOutcome.BUSY, until=known.until)
    space.shared.put(Shared(asked.activity, asked.key, owner, now + asked.lease))
    return Reserved(ReserveOutcome.RESERVED)


def _settle(space: Space, limits: Limits, now: Micros, task: Task, end: TaskFinish) -> None:
    """Store or free what the task had reserved. RETRY and RETURN keep the reservation: it goes on."""
    if task.key is None or end.kind in (FinishKind.RETRY, FinishKind.RETURN):
        return
    owner = (task.run_id, task.token, task.slot)
    known = space.shared.get(task.activity, task.key)
    if known is not None and known.outcome is not None and known.until > now:
        return  # somebody's outcome was told to others already: the first one stays
    if end.kind is FinishKind.DONE and end.result is not None:
        until = now + limits.result_window
        space.shared.put(Shared(task.activity, task.key, owner, until, end.result))
    elif known is not None and known.outcome is None and known.owner == owner:
        space.shared.drop(known)
