"""Claims and heartbeats of tasks.

Rule: lanes are (queue, activity). A claim first puts away what it meets of lost workers, then takes by
(priority, due), seeking from one priority to the next: tasks that wait or are leased cost it nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from attrs import define

from continuum_core.clock import Micros
from continuum_core.journal.commit import TaskClaim, TaskClaims, TaskHold, TaskWant
from continuum_sqlite import rows
from continuum_sqlite.statements.tasks import (
    BEAT_TASK,
    CLAIMED_TASKS,
    DROP_TASK,
    EXPIRED_TASKS,
    LEASE_TASK,
    LOSE_TASK,
    NEXT_LEASE_END,
    NEXT_PRIORITY,
    NEXT_TASK_DUE,
    READY_TASKS,
    TASK,
)
from continuum_sqlite.transaction import Transaction

__all__ = ["ClaimTasks", "heartbeat"]

_SUSPECT = 2
"""Lost workers after which a task is claimed alone: it may be what kills them."""

_BELOW_ALL = -(2**63)


class _Name(NamedTuple):
    """A task, as statements name it after the namespace."""

    run_id: bytes
    token: int
    slot: int


class _Ready(NamedTuple):
    """A task that may be claimed; sorts as claims take them within one priority."""

    due: Micros
    name: _Name
    losses: int


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
                lane = (ns, want.queue, activity)
                if transaction.execute(EXPIRED_TASKS, (*lane, now)).fetchone() is not None:
                    return None
                for priority in _priorities(transaction, want.queue, activity):
                    if transaction.execute(READY_TASKS, (*lane, priority, now)).fetchone() is not None:
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
            chosen, alone = self._choose(transaction, want, first=not taken)
            taken += [self._lease(transaction, name) for name in chosen]
            if alone:
                break
        return TaskClaims(transaction.now, tuple(taken), self._next_due(transaction))

    def _held(self, transaction: Transaction) -> TaskClaims | None:
        """What this very claim was given before, when only its answer was lost."""
        found = transaction.execute(CLAIMED_TASKS, (transaction.ns, self.claim_id.bytes)).fetchall()
        if not found:
            return None
        again = tuple(_read(transaction, _Name(*row)) for row in found)
        return TaskClaims(transaction.now, again, self._next_due(transaction))

    def _choose(self, transaction: Transaction, want: TaskWant, first: bool) -> tuple[list[_Name], bool]:
        """Tasks to lease, and whether they must be the whole answer.

        :param first: nothing was chosen yet, so a suspect may be taken, alone.
        """
        chosen: list[_Name] = []
        lanes = {
            activity: _priorities(transaction, want.queue, activity) for activity in sorted(want.activities)
        }
        for priority in sorted({priority for priorities in lanes.values() for priority in priorities}):
            room = want.limit - len(chosen)
            if room <= 0:
                break
            ready = sorted(
                entry
                for activity, priorities in lanes.items()
                if priority in priorities
                for entry in _ready(transaction, want.queue, activity, priority, room)
            )
            for entry in ready[:room]:
                if entry.losses < _SUSPECT:
                    chosen.append(entry.name)
                elif first and not chosen:
                    return [entry.name], True
                else:
                    return chosen, False
        return chosen, False

    def _lease(self, transaction: Transaction, name: _Name) -> TaskClaim:
        now = transaction.now
        transaction.execute(LEASE_TASK, (transaction.ns, *name, now, now + self.lease, self.claim_id.bytes))
        return _read(transaction, name)

    def _next_due(self, transaction: Transaction) -> Micros | None:
        """When something of the wanted lanes may become claimable: a hint."""
        found: list[Micros | None] = []
        for want in self.wants:
            for activity in want.activities:
                lane = (transaction.ns, want.queue, activity)
                found.append(transaction.execute(NEXT_LEASE_END, lane).fetchone()[0])
                for priority in _priorities(transaction, want.queue, activity):
                    asked = (*lane, priority, transaction.now)
                    found.append(transaction.execute(NEXT_TASK_DUE, asked).fetchone()[0])
        return min((due for due in found if due is not None), default=None)


def _priorities(transaction: Transaction, queue: str, activity: str) -> list[int]:
    """The priorities that a lane has tasks of, by seeking: as many steps as there are priorities."""
    found: list[int] = []
    last = _BELOW_ALL
    while True:
        asked = (transaction.ns, queue, activity, last)
        following: int | None = transaction.execute(NEXT_PRIORITY, asked).fetchone()[0]
        if following is None:
            return found
        found.append(following)
        last = following


def _ready(transaction: Transaction, queue: str, activity: str, priority: int, room: int) -> list[_Ready]:
    """The first `room` of a lane and priority; cancelled ones, which nobody needs, are removed."""
    ready: list[_Ready] = []
    unneeded: list[_Name] = []
    entries = transaction.execute(READY_TASKS, (transaction.ns, queue, activity, priority, transaction.now))
    for due, run_id, token, slot, losses, cancel, undo in entries:
        name = _Name(run_id, token, slot)
        if cancel and not undo:
            unneeded.append(name)
            continue
        ready.append(_Ready(due, name, losses))
        if len(ready) == room:
            break
    entries.close()
    for name in unneeded:
        transaction.execute(DROP_TASK, (transaction.ns, *name))
    return ready


def _put_away(transaction: Transaction, queue: str, activity: str) -> None:
    """Count the losses of workers that let a lease expire; what was cancelled meanwhile goes."""
    ns, now = transaction.ns, transaction.now
    for *key, losses, cancel, undo in transaction.execute(
        EXPIRED_TASKS, (ns, queue, activity, now)
    ).fetchall():
        name = _Name(*key)
        if cancel and not undo:
            transaction.execute(DROP_TASK, (ns, *name))
        else:
            back = now + (losses + 1) * transaction.limits.loss_backoff
            transaction.execute(LOSE_TASK, (ns, *name, losses + 1, back))


def _read(transaction: Transaction, name: _Name) -> TaskClaim:
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
