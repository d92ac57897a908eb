"""Runs are created here, once per id, with their first delivery or their first turn."""

from __future__ import annotations

from collections.abc import Sequence

from continuum_core.journal.commit import Commit, Committed, NewRun, Started, StartOutcome
from continuum_core.journal.records import RunStatus
from continuum_sqlite import commits, deliveries, rows
from continuum_sqlite.crews import add_run
from continuum_sqlite.statements.runs import EXISTING_START
from continuum_sqlite.transaction import Transaction

__all__ = ["start"]


def start(transaction: Transaction, runs: Sequence[NewRun]) -> list[Started]:
    """The verb: one answer per run."""
    return [_start(transaction, new) for new in runs]


def _start(transaction: Transaction, new: NewRun) -> Started:
    now = transaction.now
    found = transaction.execute(EXISTING_START, (transaction.ns, new.run_id.bytes)).fetchone()
    if found is not None:
        if found[0] != new.digest:
            return Started(StartOutcome.CONFLICT, now, RunStatus(found[1]))
        again = None if new.turn is None else commits.repeated(transaction, new.turn)
        return Started(StartOutcome.EXISTS, now, RunStatus(found[1]), again)
    add_run(transaction, new)
    if new.turn is None:
        _deliver_first(transaction, new)
        return Started(StartOutcome.STARTED, now, RunStatus.RUNNING)
    if new.turn.now > now:  # computed by a clock ahead of ours: the long way round
        _deliver_first(transaction, new)
        return Started(StartOutcome.STARTED, now, RunStatus.RUNNING, commits.refused(transaction))
    committed = _first_turn(transaction, new, new.turn)
    return Started(StartOutcome.STARTED, now, new.turn.status, committed)


def _deliver_first(transaction: Transaction, new: NewRun) -> None:
    """A start is a new run's first delivery: whatever was seen under its id before cannot be this one."""
    deliveries.insert(transaction, new.delivery)


def _first_turn(transaction: Transaction, new: NewRun, turn: Commit) -> Committed:
    """Write the first turn; its delivery was consumed before it was ever stored."""
    if new.delivery.dedupe is not None:
        deliveries.note_seen(transaction, new.delivery, consumed=True)
    blank = rows.Head(0, RunStatus.RUNNING, 0, None, None, 0, new.machine)
    return commits.apply(transaction, blank, turn, unstored=new.delivery.id)
