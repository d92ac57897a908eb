"""Rows with their payloads swapped, for references on the way in and for what is meant on the way out.

Every function gives back the very row that it was given where nothing in it was swapped: nearly always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar
from uuid import UUID

from msgspec.structs import replace

from continuum_core.journal.carrying import Departure, Dumped, RunImage
from continuum_core.journal.commit import (
    Claims,
    Commit,
    Committed,
    Finished,
    Inspection,
    Member,
    NewRun,
    NewTask,
    Order,
    Page,
    RunClaim,
    Started,
    TaskClaim,
    TaskClaims,
    TaskFinish,
    TaskHold,
)
from continuum_core.journal.records import DeadLetter, Delivery, Record, Run, Task

__all__ = [
    "Swap",
    "claims",
    "commit",
    "committed",
    "delivery",
    "departure",
    "dumped",
    "finish",
    "finished",
    "hold",
    "image",
    "inspection",
    "maybe",
    "member_of",
    "new_run",
    "order",
    "page",
    "record",
    "run",
    "started",
    "task_claims",
]

Row = TypeVar("Row")


class Swap(Protocol):
    """Gives what stands in a payload's place, the very same bytes where nothing does.

    The run whose row it is in; the payload; of a snapshot, the run's version with it, else 0.
    """

    def __call__(self, run_id: UUID, data: bytes, snapshot: int = 0, /) -> bytes: ...


def _each(rows: tuple[Row, ...], one: Callable[[Row, Swap], Row], swap: Swap) -> tuple[Row, ...]:
    if not rows:
        return rows
    made = tuple([one(row, swap) for row in rows])
    return rows if all(new is old for new, old in zip(made, rows, strict=True)) else made


def _maybe(run_id: UUID, data: bytes | None, swap: Swap) -> bytes | None:
    return None if data is None else swap(run_id, data)


def maybe(one: Callable[[Row, Swap], Row]) -> Callable[[Row | None, Swap], Row | None]:
    """For rows that may not be there."""
    return lambda row, swap: None if row is None else one(row, swap)


def delivery(row: Delivery, swap: Swap) -> Delivery:
    payload = swap(row.run_id, row.payload)
    return row if payload is row.payload else replace(row, payload=payload)


def record(row: Record, swap: Swap) -> Record:
    body = swap(row.run_id, row.body)
    return row if body is row.body else replace(row, body=body)


def member_of(run_id: UUID) -> Callable[[Member, Swap], Member]:
    """For members of this run, which do not name it."""

    def member(row: Member, swap: Swap) -> Member:
        body = swap(run_id, row.body)
        return row if body is row.body else replace(row, body=body)

    return member


# --- in


def _new_task_of(run_id: UUID) -> Callable[[NewTask, Swap], NewTask]:
    def new_task(row: NewTask, swap: Swap) -> NewTask:
        payload = swap(run_id, row.payload)
        return row if payload is row.payload else replace(row, payload=payload)

    return new_task


def commit(row: Commit, swap: Swap) -> Commit:
    run_id = row.run_id
    snapshot = swap(run_id, row.snapshot, row.after)
    outcome = _maybe(run_id, row.outcome, swap)
    records = _each(row.records, record, swap)
    deliveries = _each(row.deliveries, delivery, swap)
    tasks = _each(row.tasks, _new_task_of(run_id), swap) if row.tasks else row.tasks
    starts = _each(row.starts, new_run, swap)
    members = _each(row.members, member_of(run_id), swap) if row.members else row.members
    if (
        snapshot is row.snapshot
        and outcome is row.outcome
        and records is row.records
        and deliveries is row.deliveries
        and tasks is row.tasks
        and starts is row.starts
        and members is row.members
    ):
        return row
    return replace(
        row,
        snapshot=snapshot,
        outcome=outcome,
        records=records,
        deliveries=deliveries,
        tasks=tasks,
        starts=starts,
        members=members,
    )


def new_run(row: NewRun, swap: Swap) -> NewRun:
    first = delivery(row.delivery, swap)
    turn = None if row.turn is None else commit(row.turn, swap)
    if first is row.delivery and turn is row.turn:
        return row
    return replace(row, delivery=first, turn=turn)


def finish(row: TaskFinish, swap: Swap) -> TaskFinish:
    """A result stays: it is shared among runs, and outlives them."""
    told = None if row.delivery is None else delivery(row.delivery, swap)
    failure = _maybe(row.run_id, row.failure, swap)
    turn = None if row.turn is None else commit(row.turn, swap)
    if told is row.delivery and failure is row.failure and turn is row.turn:
        return row
    return replace(row, delivery=told, failure=failure, turn=turn)


def hold(row: TaskHold, swap: Swap) -> TaskHold:
    details = _maybe(row.run_id, row.details, swap)
    return row if details is row.details else replace(row, details=details)


def order(row: Order, swap: Swap) -> Order:
    body = swap(row.run_id, row.body)
    outcome = _maybe(row.run_id, row.outcome, swap)
    told = None if row.delivery is None else delivery(row.delivery, swap)
    sends = _each(row.sends, delivery, swap)
    if body is row.body and outcome is row.outcome and told is row.delivery and sends is row.sends:
        return row
    return replace(row, body=body, outcome=outcome, delivery=told, sends=sends)


def departure(row: Departure, swap: Swap) -> Departure:
    body = swap(row.run_id, row.body)
    outcome = swap(row.run_id, row.outcome)
    if body is row.body and outcome is row.outcome:
        return row
    return replace(row, body=body, outcome=outcome)


# --- out


def run(row: Run, swap: Swap) -> Run:
    snapshot = swap(row.run_id, row.snapshot, row.version)
    outcome = _maybe(row.run_id, row.outcome, swap)
    if snapshot is row.snapshot and outcome is row.outcome:
        return row
    return replace(row, snapshot=snapshot, outcome=outcome)


def task(row: Task, swap: Swap) -> Task:
    payload = swap(row.run_id, row.payload)
    details = _maybe(row.run_id, row.details, swap)
    failure = _maybe(row.run_id, row.failure, swap)
    if payload is row.payload and details is row.details and failure is row.failure:
        return row
    return replace(row, payload=payload, details=details, failure=failure)


def letter(row: DeadLetter, swap: Swap) -> DeadLetter:
    told = delivery(row.delivery, swap)
    return row if told is row.delivery else replace(row, delivery=told)


def claim(row: RunClaim, swap: Swap) -> RunClaim:
    snapshot = swap(row.run_id, row.snapshot, row.version)
    deliveries = _each(row.deliveries, delivery, swap)
    if snapshot is row.snapshot and deliveries is row.deliveries:
        return row
    return replace(row, snapshot=snapshot, deliveries=deliveries)


def claims(row: Claims, swap: Swap) -> Claims:
    runs = _each(row.runs, claim, swap)
    return row if runs is row.runs else replace(row, runs=runs)


def task_claim(row: TaskClaim, swap: Swap) -> TaskClaim:
    claimed = task(row.task, swap)
    return row if claimed is row.task else replace(row, task=claimed)


def task_claims(row: TaskClaims, swap: Swap) -> TaskClaims:
    tasks = _each(row.tasks, task_claim, swap)
    return row if tasks is row.tasks else replace(row, tasks=tasks)


def committed(row: Committed, swap: Swap) -> Committed:
    tasks = _each(row.tasks, task_claim, swap)
    return row if tasks is row.tasks else replace(row, tasks=tasks)


def started(row: Started, swap: Swap) -> Started:
    turn = None if row.committed is None else committed(row.committed, swap)
    return row if turn is row.committed else replace(row, committed=turn)


def finished(row: Finished, swap: Swap) -> Finished:
    turn = None if row.committed is None else committed(row.committed, swap)
    return row if turn is row.committed else replace(row, committed=turn)


def page(row: Page, swap: Swap) -> Page:
    runs = _each(row.runs, run, swap)
    return row if runs is row.runs else replace(row, runs=runs)


def inspection(row: Inspection, swap: Swap) -> Inspection:
    return replace(
        row,
        run=run(row.run, swap),
        deliveries=_each(row.deliveries, delivery, swap),
        tasks=_each(row.tasks, task, swap),
        dead=_each(row.dead, letter, swap),
    )


# --- whole runs


def image(row: RunImage, swap: Swap) -> RunImage:
    return replace(
        row,
        run=run(row.run, swap),
        deliveries=_each(row.deliveries, delivery, swap),
        tasks=_each(row.tasks, task, swap),
        dead=_each(row.dead, letter, swap),
        records=_each(row.records, record, swap),
        members=_each(row.members, member_of(row.run.run_id), swap),
    )


def dumped(row: Dumped, swap: Swap) -> Dumped:
    return replace(row, image=image(row.image, swap))
