"""Members that nothing stands in the way of: a whole batch of them in one statement, in one round trip.

Rule: whoever is not answered here goes the long way, which decides about everybody; nothing has been done
for them. Taken are a start with its first turn and a finish with the turn that rides on it, where the turn
leaves one record and at most one task, and sends, holds back and releases nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg import errors as states

from continuum_core.clock import Micros
from continuum_core.journal.commit import (
    Commit,
    CommitOutcome,
    Committed,
    Finished,
    FinishKind,
    FinishOutcome,
    NewRun,
    Started,
    StartOutcome,
    TaskClaim,
    TaskFinish,
)
from continuum_core.journal.fences import born
from continuum_core.journal.records import RunStatus
from continuum_postgres.errors import lost
from continuum_postgres.packing import bigint, packed
from continuum_postgres.session import Ask, Row, Session
from continuum_postgres.shards import shard
from continuum_postgres.statements.fused import FUSE_FINISH, FUSE_FINISHES, FUSE_START, FUSE_STARTS

__all__ = [
    "BUSY",
    "begins",
    "finish",
    "finish_single",
    "finishes",
    "first",
    "fuses",
    "start",
    "start_single",
    "starts",
]

Member = TypeVar("Member")
Answer = TypeVar("Answer")


_REPORTS = (FinishKind.DONE, FinishKind.FAILED)
_TAKEN = frozenset({RunStatus.RUNNING, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})
_OUTRUN = (states.DivisionByZero, states.UniqueViolation)
"""Somebody else was faster with one of the members; the statement has done nothing."""

_MANY = 2
"""From so many members on they go as columns; one alone goes as plain values."""

BUSY = Started(StartOutcome.BUSY, 0, RunStatus.RUNNING)

_NO_TASK = (None, 0, None, None, 0, None, None, False, None, None, None)


def _simple(turn: Commit) -> bool:
    return (
        len(turn.records) == 1
        and turn.plain
        and len(turn.tasks) < 2
        and turn.records[0].at == turn.now
        and turn.status in _TAKEN
        and not (turn.starts or turn.members)
        and not (turn.deliveries or turn.hold or turn.release or turn.attributes or turn.replies)
    )


def _of_turn(turn: Commit, number: int) -> tuple[object, ...]:
    """The values of one turn, in the order of the statements' parameters, its shard first.

    Where it has no task, the task's token is NULL.
    """
    record = turn.records[0]
    of_task: tuple[object, ...] = _NO_TASK
    if turn.tasks:
        task = turn.tasks[0]
        of_task = (
            task.token,
            task.slot,
            task.activity,
            task.queue,
            task.priority,
            task.payload,
            task.key,
            task.undo,
            task.lease,
            task.claim_id if task.lease is not None else None,
            task.fairness,
        )
    return (
        number,
        turn.run_id,
        turn.version,
        turn.now,
        turn.status,
        turn.fingerprint,
        turn.cause,
        turn.snapshot,
        turn.outcome,
        turn.commit_id,
        record.kind,
        record.cause,
        record.body,
        *of_task,
    )


def _ask(one: str, many: str, last: Micros, rows: Sequence[tuple[object, ...]]) -> Ask:
    """The statement for so many members, with their values."""
    if len(rows) < _MANY:
        return one, packed(one, (last, *rows[0]))
    return many, packed(many, (last, *zip(*rows, strict=True)))


def _committed(turn: Commit, machine: str, now: Micros) -> Committed:
    claims = tuple(
        [
            TaskClaim(born(turn.run_id, new, now), machine, turn.fingerprint)
            for new in turn.tasks
            if new.lease is not None
        ]
    )
    return Committed(CommitOutcome.COMMITTED, now, False, claims)


async def _carried_out(session: Session, ask: Ask) -> list[Row]:
    """What the statement returned; nothing where the long way has to tell."""
    try:
        (rows,) = await session.write(ask)
        return rows
    except _OUTRUN:
        pass
    except (psycopg.Error, OSError) as error:
        if not lost(error):
            raise
        await session.drop()
        # What was sent may have been done: the long way finds out, on a new connection.
        session.partly = session.partly or session.committing
    session.committing = False
    return []


def _in_order(run_ids: Sequence[UUID]) -> tuple[list[int], list[int]]:
    """Positions in the one order in which everybody locks runs, and each one's shard."""
    if len(run_ids) == 1:
        return [0], [shard(run_ids[0])]
    keyed = sorted([(shard(run_id), run_id.int, at) for at, run_id in enumerate(run_ids)])
    return [at for _, _, at in keyed], [number for number, _, _ in keyed]


async def first(
    session: Session,
    members: Sequence[Member],
    simple: Sequence[int],
    fuse: Callable[[Session, Sequence[Member]], Awaitable[Sequence[Answer | None]]],
    long: Callable[[Session, Sequence[Member]], Awaitable[Sequence[Answer]]],
) -> list[Answer]:
    """One answer a member: first those that are simple, then by the `long` way whoever is left.

    The two are transactions of their own. When the second one fails, its error says that something may
    have taken effect; and who asks again is told by the long way that his turn stands.
    """
    told: list[Answer | None] = [None] * len(members)
    if simple:
        taken = await fuse(session, [members[at] for at in simple])
        for at, answer in zip(simple, taken, strict=True):
            told[at] = answer
    left = [at for at, answer in enumerate(told) if answer is None]
    if left:
        session.partly = session.partly or len(left) < len(members)
        for at, answer in zip(left, await long(session, [members[at] for at in left]), strict=True):
            told[at] = answer
        session.partly = False
    return [answer for answer in told if answer is not None]


def _apart(positions: list[int], run_ids: Sequence[UUID]) -> list[int]:
    """The positions, or none where two are of one run: these keep their order the long way."""
    alone = len(positions) < _MANY or len({run_id.int for run_id in run_ids}) == len(positions)
    return positions if alone else []


# --- finishes with the turn that rides on each


def fuses(ending: TaskFinish) -> bool:
    """Whether it may be taken."""
    turn, delivery = ending.turn, ending.delivery
    return (
        turn is not None
        and delivery is not None
        and ending.kind in _REPORTS
        and ending.result is None
        and delivery.dedupe is None
        and delivery.run_id == ending.run_id
        and turn.consumed == (delivery.id,)
        and _simple(turn)
        and (not turn.closed or turn.closed == (ending.token,))
        and not (turn.tasks and turn.tasks[0].token == ending.token)
        and not (turn.tasks and turn.status is not RunStatus.RUNNING)
    )


def finishes(endings: Sequence[TaskFinish]) -> list[int]:
    """Positions of those that may be taken."""
    simple = [at for at, ending in enumerate(endings) if fuses(ending)]
    return _apart(simple, [endings[at].run_id for at in simple])


def _of_finish(ending: TaskFinish, turn: Commit, number: int) -> tuple[object, ...]:
    closes, arrived = bool(turn.closed), turn.consumed[0]
    return (*_of_turn(turn, number), ending.token, ending.slot, ending.fence, turn.base, closes, arrived)


async def finish_single(session: Session, ending: TaskFinish) -> Finished | None:
    """What became of one that may be taken, or None: the long way has to tell."""
    turn = ending.turn
    if turn is None:
        return None
    values = _of_finish(ending, turn, shard(ending.run_id))
    told = await session.tell(FUSE_FINISH, (session.space.last, *values))
    machine = told.get_value(0, 2)
    if machine is None:
        return None
    now = bigint(told.get_value(0, 0))  # the statement's own: fences are made of it
    session.space.at(now)
    return Finished(FinishOutcome.FINISHED, now, _committed(turn, machine.decode(), now))


async def finish(session: Session, finishes: Sequence[TaskFinish]) -> list[Finished | None]:
    """What became of each, or None of those that go the long way."""
    told: list[Finished | None] = [None] * len(finishes)
    at, shards = _in_order([ending.run_id for ending in finishes])
    endings = [finishes[place] for place in at]
    turns = [ending.turn for ending in endings if ending.turn is not None]  # which is each of them
    rows = [
        _of_finish(ending, turn, number) for ending, turn, number in zip(endings, turns, shards, strict=True)
    ]
    ask = _ask(FUSE_FINISH, FUSE_FINISHES, session.space.last, rows)
    for now, order, machine, _ in await _carried_out(session, ask):
        session.space.at(now)
        if order is not None:
            place: int = order - 1
            committed = _committed(turns[place], machine, now)
            told[at[place]] = Finished(FinishOutcome.FINISHED, now, committed)
    return told


# --- starts with the first turn of each


def begins(new: NewRun) -> bool:
    """Whether it may be taken."""
    turn = new.turn
    return (
        turn is not None
        and new.delivery.dedupe is None
        and turn.status is RunStatus.RUNNING
        and not turn.closed
        and not new.attributes
        and _simple(turn)
    )


def starts(runs: Sequence[NewRun]) -> list[int]:
    """Positions of those that may be taken."""
    simple = [at for at, new in enumerate(runs) if begins(new)]
    return _apart(simple, [runs[at].run_id for at in simple])


def _of_start(new: NewRun, turn: Commit, number: int) -> tuple[object, ...]:
    return (*_of_turn(turn, number), new.machine, new.key, new.digest, new.parent, new.root)


async def start_single(session: Session, new: NewRun) -> Started | None:
    """What became of one that may be taken, or None: the long way has to tell."""
    turn = new.turn
    if turn is None:
        return None
    values = _of_start(new, turn, shard(new.run_id))
    try:
        told = await session.tell(FUSE_START, (session.space.last, *values))
    except states.LockNotAvailable:  # a transaction that is open still is about to start it
        return BUSY
    if told.get_value(0, 1) is None:
        return None
    now = bigint(told.get_value(0, 0))  # the statement's own: fences are made of it
    session.space.at(now)
    return Started(StartOutcome.STARTED, now, RunStatus.RUNNING, _committed(turn, new.machine, now))


async def start(session: Session, runs: Sequence[NewRun]) -> list[Started | None]:
    """What became of each, or None of those that go the long way."""
    told: list[Started | None] = [None] * len(runs)
    at, shards = _in_order([new.run_id for new in runs])
    news = [runs[place] for place in at]
    turns = [new.turn for new in news if new.turn is not None]  # which is each of them
    rows = [_of_start(new, turn, number) for new, turn, number in zip(news, turns, shards, strict=True)]
    ask = _ask(FUSE_START, FUSE_STARTS, session.space.last, rows)
    for now, order in await _carried_out(session, ask):
        session.space.at(now)
        if order is not None:
            place: int = order - 1
            committed = _committed(turns[place], news[place].machine, now)
            told[at[place]] = Started(StartOutcome.STARTED, now, RunStatus.RUNNING, committed)
    return told
