"""How attempts end: tasks close or reopen, outcomes are delivered, turns ride along.

Rule: the task's own fence decides, whatever became of the run's lease. A turn that does not stand leaves
the finish standing alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from continuum_core.journal.commit import (
    Committed,
    Finished,
    FinishKind,
    FinishOutcome,
    Reservation,
    Reserved,
    ReserveOutcome,
    TaskFinish,
)
from continuum_core.journal.records import ENDED
from continuum_sqlite import commits, deliveries
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
    status: int


def finish(transaction: Transaction, finishes: Sequence[TaskFinish]) -> list[Finished]:
    """The verb: one answer per attempt."""
    return [_finish(transaction, ending) for ending in finishes]


def _finish(transaction: Transaction, ending: TaskFinish) -> Finished:
    name = (transaction.ns, ending.run_id.bytes, ending.token, ending.slot)
    row = transaction.execute(TASK_STANDING, name).fetchone()
    if row is None:
        return _gone(transaction, ending)
    standing = _Standing(*row)
    if standing.fence != ending.fence or not standing.fence:
        if standing.reported and standing.reported == ending.fence:
            return _gone(transaction, ending)  # its own RETRY or RETURN, told again after another claim
        return Finished(FinishOutcome.LOST, transaction.now)
    if standing.reported == standing.fence:  # its own RETRY or RETURN, told again
        return _gone(transaction, ending)
    if standing.status in ENDED:
        _settle_result(transaction, ending, standing)
        transaction.execute(DROP_TASK, name)
        return _gone(transaction, ending)
    if ending.kind in _REOPENS and _may_reopen(standing):
        again = (transaction.now + ending.delay, int(ending.kind is FinishKind.RETRY), ending.failure)
        transaction.execute(REOPEN_TASK, (*name, *again))
        return Finished(FinishOutcome.FINISHED, transaction.now)
    _settle_result(transaction, ending, standing)
    transaction.execute(DROP_TASK, name)
    return Finished(FinishOutcome.FINISHED, transaction.now, _report(transaction, ending))


def _gone(transaction: Transaction, ending: TaskFinish) -> Finished:
    """Nothing is left to do; a turn that rode along and stands is answered again."""
    again = None if ending.turn is None else commits.repeated(transaction, ending.turn)
    return Finished(FinishOutcome.GONE, transaction.now, again)


def _may_reopen(standing: _Standing) -> bool:
    """A cancelled task is not begun again, except where its outcome must become known."""
    return not standing.cancel or bool(standing.undo)


def _report(transaction: Transaction, ending: TaskFinish) -> Committed | None:
    """Deliver the outcome, or write the turn that has consumed it already."""
    if ending.kind not in (FinishKind.DONE, FinishKind.FAILED):
        return None
    if ending.delivery is not None:
        deliveries.send(transaction, ending.delivery, own=True)
    return None if ending.turn is None else commits.commit_fused(transaction, ending.turn)


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
