"""Claims and heartbeats of tasks.

Rule: lanes are (queue, activity). A claim first puts away what it meets of lost workers and of tasks that
nobody needs, then takes what `queues` chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from attrs import define

from continuum_core.clock import Micros
from continuum_core.journal.commit import TaskClaim, TaskClaims, TaskHold, TaskWant
from continuum_sqlite import rows
from continuum_sqlite.queues import Name, choose, next_token, priorities, room, waits
from continuum_sqlite.statements.tasks import (
    BEAT_TASK,
    CLAIMED_TASKS,
    DROP_TASK,
    DROP_UNNEEDED,
    EXPIRED_TASKS,
    HAS_UNNEEDED,
    LEASE_TASK,
    LOSE_TASK,
    NEXT_LEASE_END,
    NEXT_TASK_DUE,
    TASK,
)
from continuum_sqlite.transaction import Transaction

__all__ = ["ClaimTasks", "heartbeat"]


@define
class ClaimTasks:
    """The verb `claim_tasks`, with its arguments."""

    claim_id: UUID
    wants: Sequence[TaskWant]
    lease: int

    def peek(self, transaction: Transaction) -> TaskClaims | None:
        """The answer, where there is nothing to write."""
        held = self._held(transaction)
        if held is not None:
            return held
        ns, now = transaction.ns, transaction.now
        for want in self.wants:
            for activity in want.activities:
                lane = (ns, want.queue, activity, now)
                for statement in (EXPIRED_TASKS, HAS_UNNEEDED):
                    if transaction.execute(statement, lane).fetchone() is not None:
                        return None
            if waits(transaction, want) and room(transaction, want) > 0:
                return None
        return TaskClaims(now, (), self._next_due(transaction))

    def carry_out(self, transaction: Transaction) -> TaskClaims:
        held = self._held(transaction)
        if held is not None:
            return held
        for want in self.wants:
            for activity in sorted(want.activities):
                _put_away(transaction, want.queue, activity)
        taken: list[TaskClaim] = []
        for want in self.wants:
            chosen = choose(transaction, want, first=not taken)
            taken += [self._lease(transaction, name) for name in chosen.names]
            if chosen.alone:
                break
        return TaskClaims(transaction.now, tuple(taken), self._next_due(transaction))

    def _held(self, transaction: Transaction) -> TaskClaims | None:
        """What this very claim was given before, when only its answer was lost."""
        found = transaction.execute(CLAIMED_TASKS, (transaction.ns, self.claim_id.bytes)).fetchall()
        if not found:
            return None
        again = tuple(_read(transaction, Name(*row)) for row in found)
        return TaskClaims(transaction.now, again, self._next_due(transaction))

    def _lease(self, transaction: Transaction, name: Name) -> TaskClaim:
        now = transaction.now
        transaction.execute(LEASE_TASK, (transaction.ns, *name, now, now + self.lease, self.claim_id.bytes))
        return _read(transaction, name)

    def _next_due(self, transaction: Transaction) -> Micros | None:
        """When something of the wanted lanes may become claimable: a hint."""
        found: list[Micros | None] = []
        for want in self.wants:
            found.append(next_token(transaction, want))
            for activity in want.activities:
                lane = (transaction.ns, want.queue, activity)
                found.append(transaction.execute(NEXT_LEASE_END, lane).fetchone()[0])
                for priority in priorities(transaction, want.queue, activity):
                    asked = (*lane, priority, transaction.now)
                    found.append(transaction.execute(NEXT_TASK_DUE, asked).fetchone()[0])
        return min((due for due in found if due is not None), default=None)


def _put_away(transaction: Transaction, queue: str, activity: str) -> None:
    """Count the losses of workers that let a lease expire; what was asked to stop meanwhile goes."""
    ns, now = transaction.ns, transaction.now
    for *key, losses, cancel, undo in transaction.execute(
        EXPIRED_TASKS, (ns, queue, activity, now)
    ).fetchall():
        name = Name(*key)
        if cancel and not undo:
            transaction.execute(DROP_TASK, (ns, *name))
        else:
            back = now + (losses + 1) * transaction.limits.loss_backoff
            transaction.execute(LOSE_TASK, (ns, *name, losses + 1, back))
    transaction.execute(DROP_UNNEEDED, (ns, queue, activity, now))


def _read(transaction: Transaction, name: Name) -> TaskClaim:
    return rows.task_claim(transaction.execute(TASK, (transaction.ns, *name)).fetchone())


def heartbeat(transaction: Transaction, held: Sequence[TaskHold], lease: int) -> list[bool | None]:
    """The verb: True held, False asked to cancel, None not the caller's any more."""
    until = transaction.now + lease
    answers: list[bool | None] = []
    for hold in held:
        beat = (transaction.ns, hold.run_id.bytes, hold.token, hold.slot, hold.fence, until, hold.details)
        found = transaction.execute(BEAT_TASK, beat).fetchall()
        answers.append(None if not found else not found[0][0])
    return answers
