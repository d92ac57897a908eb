"""Tasks: claimed, kept alive, finished, each fenced by itself and whatever became of its run's lease."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import (
    Committed,
    Finished,
    FinishKind,
    FinishOutcome,
    TaskClaim,
    TaskClaims,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.fences import next_fence
from continuum_core.journal.protocol import Limits
from continuum_memory.claims import SUSPECT
from continuum_memory.deliveries import send
from continuum_memory.queues import choose, next_token
from continuum_memory.results import settle
from continuum_memory.rows import Space, TaskQueue, TaskRow
from continuum_memory.turns import check_turn, fused, stood

__all__ = ["claim_tasks", "finish", "heartbeat"]


# --- claims ----------------------------------------------------------------------------------------


def claim_tasks(
    space: Space, limits: Limits, now: Micros, claim_id: UUID, wants: Sequence[TaskWant], lease: int
) -> TaskClaims:
    held = [space.runs[run_id].tasks[token, slot] for run_id, token, slot in _claimed_by(space, claim_id)]
    queues = [list(_wanted(space, want)) for want in wants]
    if not held:  # a repeat is told what the first claim got, and gets no more
        for queue in (queue for wanted in queues for queue in wanted):
            _ripen(space, limits, now, queue)
        for want, wanted in zip(wants, queues, strict=True):
            chosen = choose(space, now, want, wanted, first=not held)
            for row in chosen:
                _lease(space, row, claim_id, now, lease)
            held += chosen
            if held and held[0].task.losses >= SUSPECT:
                break
    hints = [first[0] for wanted in queues for queue in wanted if (first := queue.awaiting.first())]
    for want, wanted in zip(wants, queues, strict=True):
        hints += next_token(space, now, want, wanted)
    return TaskClaims(now, tuple(_claim(space, row) for row in held), min(hints, default=None))


def _claimed_by(space: Space, claim_id: UUID) -> list[tuple[UUID, int, int]]:
    return sorted(space.task_claims.get(claim_id, ()), key=lambda name: (name[0].int, *name[1:]))


def _wanted(space: Space, want: TaskWant) -> Iterator[TaskQueue]:
    for activity in sorted(want.activities):
        if (queue := space.queues.get((want.queue, activity))) is not None:
            yield queue


def _lease(space: Space, row: TaskRow, claim_id: UUID, now: Micros, lease: int) -> None:
    fence = next_fence(row.task.fence, now)
    claimed = replace(row.task, fence=fence, claim_id=claim_id, lease_until=now + lease)
    space.change_task(row, claimed)


def _claim(space: Space, row: TaskRow) -> TaskClaim:
    run = space.runs[row.task.run_id]
    return TaskClaim(row.task, run.machine, run.fingerprint)


def _ripen(space: Space, limits: Limits, now: Micros, queue: TaskQueue) -> None:
    """Make claimable what has become due, and count as lost what its worker let expire."""
    while (first := queue.awaiting.first()) is not None and first[0] <= now:
        row = first[-1]
        task = row.task
        if task.unneeded:
            space.drop_task(row)
        elif task.lease_until is None:
            space.ripen_task(row)
        else:
            losses = task.losses + 1
            due = now + losses * limits.loss_backoff
            lost = replace(task, losses=losses, due=due, lease_until=None, claim_id=None)
            space.change_task(row, lost)


# --- heartbeat -------------------------------------------------------------------------------------


def heartbeat(space: Space, now: Micros, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
    return [_heartbeat(space, now, hold, lease) for hold in tasks]


def _heartbeat(space: Space, now: Micros, hold: TaskHold, lease: int) -> bool | None:
    run = space.runs.get(hold.run_id)
    row = None if run is None else run.tasks.get((hold.token, hold.slot))
    if row is None or row.task.fence != hold.fence or row.task.lease_until is None:
        return None
    details = row.task.details if hold.details is None else hold.details
    space.change_task(row, replace(row.task, lease_until=now + lease, details=details))
    return not row.task.cancel


# --- finish ----------------------------------------------------------------------------------------


def finish(space: Space, limits: Limits, now: Micros, finishes: Sequence[TaskFinish]) -> list[Finished]:
    for end in finishes:
        if end.turn is not None:
            check_turn(end.turn, fused_only=True)
    return [_finish(space, limits, now, end) for end in finishes]


def _finish(space: Space, limits: Limits, now: Micros, end: TaskFinish) -> Finished:
    run = space.runs.get(end.run_id)
    row = None if run is None else run.tasks.get((end.token, end.slot))
    if run is None or row is None or end.fence == row.ended_fence > 0:
        return Finished(FinishOutcome.GONE, now, stood(space, now, end.turn))
    if end.fence != row.task.fence or end.fence == 0:
        return Finished(FinishOutcome.LOST, now)
    settle(space, limits, now, row.task, end)
    if run.ended:
        space.drop_task(row)
        return Finished(FinishOutcome.GONE, now, stood(space, now, end.turn))
    if end.kind in (FinishKind.RETRY, FinishKind.RETURN):
        _reopen(space, row, end, now)
        return Finished(FinishOutcome.FINISHED, now)
    space.drop_task(row)
    return Finished(FinishOutcome.FINISHED, now, _deliver(space, limits, now, end))


def _reopen(space: Space, row: TaskRow, end: TaskFinish, now: Micros) -> None:
    task = row.task
    if task.unneeded:
        space.drop_task(row)
        return
    row.ended_fence = task.fence
    reopened = replace(task, due=now + end.delay, lease_until=None, claim_id=None)
    if end.kind is FinishKind.RETRY:
        reopened = replace(reopened, attempt=task.attempt + 1, failure=end.failure)
    space.change_task(row, reopened)


def _deliver(space: Space, limits: Limits, now: Micros, end: TaskFinish) -> Committed | None:
    if end.kind is not FinishKind.CANCELLED and end.delivery is not None:
        send(space, limits, now, end.delivery)
    return None if end.turn is None else fused(space, limits, now, end.turn)
