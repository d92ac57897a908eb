"""How attempts end: tasks close or reopen, outcomes are delivered, turns ride along.

Rule: the task's own fence decides, whatever became of the run's lease. A turn that does not stand leaves
the finish standing alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from continuum_core.journal.commit import (
    Commit,
    Committed,
    Finished,
    FinishKind,
    FinishOutcome,
    Reservation,
    Reserved,
    ReserveOutcome,
    TaskFinish,
)
from continuum_core.journal.records import ENDED, Delivery
from continuum_sqlite import commits, deliveries
from continuum_sqlite.rows import Head
from continuum_sqlite.statements.tasks import (
    DROP_TASK,
    FREE_RESULT,
    PUT_RESULT,
    REOPEN_TASK,
    RESERVE_RESULT,
    RESULT,
    TASK_STANDING,
)
from continuum_sqlite.transaction import Transaction

__all__ = ["finish", "reserve"]

_REOPENS = frozenset({FinishKind.RETRY, FinishKind.RETURN})


class _Standing(NamedTuple):
    """What decides whether a finish stands, and what it settles."""

    fence: int
    reported: int
    losses: int
    cancel: int
    undo: int
    activity: str
    key: str | None


def finish(transaction: Transaction, finishes: Sequence[TaskFinish]) -> list[Finished]:
    """The verb: one answer per attempt."""
    return [_finish(transaction, ending) for ending in finishes]


def _finish(transaction: Transaction, ending: TaskFinish) -> Finished:
    name = (transaction.ns, ending.run_id.bytes, ending.token, ending.slot)
    row = transaction.execute(TASK_STANDING, name).fetchone()
    if row is None:
        return _gone(transaction, ending)
    standing, head = _Standing(*row[:7]), Head(*row[7:])
    if standing.fence != ending.fence or not standing.fence:
        if standing.reported and standing.reported == ending.fence:
            return _gone(transaction, ending)  # its own RETRY or RETURN, told again after another claim
        return Finished(FinishOutcome.LOST, transaction.now)
    if standing.reported == standing.fence:  # its own RETRY or RETURN, told again
        return _gone(transaction, ending)
    if head.status in ENDED:
        _settle_result(transaction, ending, standing)
        transaction.execute(DROP_TASK, name)
        return _gone(transaction, ending)
    if ending.kind in _REOPENS and _may_reopen(standing):
        again = (transaction.now + ending.delay, int(ending.kind is FinishKind.RETRY), ending.failure)
        transaction.execute(REOPEN_TASK, (*name, *again))
        return Finished(FinishOutcome.FINISHED, transaction.now)
    _settle_result(transaction, ending, standing)
    transaction.execute(DROP_TASK, name)
    return Finished(FinishOutcome.FINISHED, transaction.now, _report(transaction, head, ending))


def _gone(transaction: Transaction, ending: TaskFinish) -> Finished:
    """Nothing is left to do; a turn that rode along and stands is answered again."""
    again = None if ending.turn is None else commits.repeated(transaction, ending.turn)
    return Finished(FinishOutcome.GONE, transaction.now, again)


def _may_reopen(standing: _Standing) -> bool:
    """A cancelled task is not begun again, except where its outcome must become known."""
    return not standing.cancel or bool(standing.undo)


def _report(transaction: Transaction, head: Head, ending: TaskFinish) -> Committed | None:
    """Deliver the outcome, or write the turn that has consumed it already; then it need not be stored."""
    if ending.kind not in (FinishKind.DONE, FinishKind.FAILED):
        return None
    turn, delivery = ending.turn, ending.delivery
    if turn is not None and delivery is not None and _consumes(turn, ending.run_id, delivery):
        return commits.commit_fused(transaction, turn, head, brought=delivery)
    if delivery is not None:
        deliveries.send(transaction, delivery, own=True)
    return None if turn is None else commits.commit_fused(transaction, turn)


def _consumes(turn: Commit, run_id: UUID, delivery: Delivery) -> bool:
    """Whether the turn is the run's own, and takes the delivery, which leaves no trace then."""
    return (
        turn.run_id == delivery.run_id == run_id and delivery.dedupe is None and delivery.id in turn.consumed
    )


# --- keyed results


def _settle_result(transaction: Transaction, ending: TaskFinish, standing: _Standing) -> None:
    """Keep a result for whoever asks under its key, or let the next one try."""
    if standing.key is None or ending.kind in _REOPENS:
        return
    ns, now = transaction.ns, transaction.now
    owned = (ns, standing.activity, standing.key, ending.run_id.bytes, ending.token, ending.slot)
    if ending.kind is FinishKind.DONE and ending.result is not None:
        until = now + transaction.limits.result_window
        transaction.execute(PUT_RESULT, (*owned, until, ending.result, now))
    else:
        transaction.execute(FREE_RESULT, owned)


def reserve(transaction: Transaction, reservations: Sequence[Reservation]) -> list[Reserved]:
    """The verb: one answer per reservation."""
    return [_reserve(transaction, wanted) for wanted in reservations]


def _reserve(transaction: Transaction, wanted: Reservation) -> Reserved:
    ns, now = transaction.ns, transaction.now
    found = transaction.execute(RESULT, (ns, wanted.activity, wanted.key, now)).fetchone()
    if found is not None:
        result, until, run_id, token, slot = found
        if result is not None:
            return Reserved(ReserveOutcome.DONE, result=result)
        if (UUID(bytes=run_id), token, slot) != (wanted.run_id, wanted.token, wanted.slot):
            return Reserved(ReserveOutcome.BUSY, until=until)
    owner = (wanted.run_id.bytes, wanted.token, wanted.slot)
    transaction.execute(RESERVE_RESULT, (ns, wanted.activity, wanted.key, *owner, now + wanted.lease))
    return Reserved(ReserveOutcome.RESERVED)
