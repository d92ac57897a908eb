"""The place of a waiting task: how many of its queue are claimed before it if no others come.

Rule: nothing is counted beyond `PLACES`, so that a look at a run costs no more beside a longer backlog.
Unneeded tasks are read past, and not counted: they are few, for the next claim puts them away.
"""

from __future__ import annotations

from collections.abc import Sequence

from continuum_core.journal.dealing import PLACES, counted
from continuum_core.journal.records import Task
from continuum_sqlite.queues import keys_in_turn, last_dealt, priorities
from continuum_sqlite.statements.queues import COUNT_BEFORE, COUNT_OF_KEY, COUNT_URGENT, LANES
from continuum_sqlite.transaction import Transaction

__all__ = ["places"]


def places(transaction: Transaction, tasks: Sequence[Task]) -> tuple[int | None, ...]:
    """One for each task; None for one that does not wait."""
    return tuple(_place(transaction, task) if task.waits(transaction.now) else None for task in tasks)


def _place(transaction: Transaction, task: Task) -> int:
    ns, now = transaction.ns, transaction.now
    lanes = [row[0] for row in transaction.execute(LANES, (ns, task.queue)).fetchall()]
    urgent = _urgent(transaction, task, lanes)
    own = (task.priority, task.fairness, task.due, task.run_id.bytes, task.token, task.slot, PLACES)
    before = _sum(transaction, COUNT_BEFORE, task.queue, lanes, own)
    if urgent + before >= PLACES:
        return PLACES

    def count(key: str, most: int) -> int:
        asked = (task.priority, key, now, most)
        return min(_sum(transaction, COUNT_OF_KEY, task.queue, lanes, asked), most)

    last = last_dealt(transaction, task.queue, task.priority)
    turn = keys_in_turn(transaction, task.queue, lanes, task.priority, last, PLACES)
    return min(urgent + counted(turn, task.fairness, before, count), PLACES)


def _urgent(transaction: Transaction, task: Task, lanes: Sequence[str]) -> int:
    """Waiting tasks of lower priority numbers."""
    found = 0
    for activity in lanes:
        for priority in priorities(transaction, task.queue, activity):
            if priority < task.priority and found < PLACES:
                asked = (priority, transaction.now, PLACES - found)
                found += _sum(transaction, COUNT_URGENT, task.queue, [activity], asked)
    return found


def _sum(
    transaction: Transaction, statement: str, queue: str, lanes: Sequence[str], asked: tuple[object, ...]
) -> int:
    counts = (
        transaction.execute(statement, (transaction.ns, queue, activity, *asked)).fetchone()[0]
        for activity in lanes
    )
    return sum(counts)
