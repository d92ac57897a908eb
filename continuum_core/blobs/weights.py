"""How many bytes of payload a row carries in all, the quick way: where they are few, none of them is large.

Whoever adds a payload to a row counts it here, or it would be stored whole beside others that are not.
"""

from __future__ import annotations

from continuum_core.journal.commit import Commit, NewRun, TaskFinish

__all__ = ["commit", "finish", "new_run"]


def commit(row: Commit) -> int:
    """Of a turn, with the child runs that it starts."""
    weight = len(row.snapshot)
    if row.outcome is not None:
        weight += len(row.outcome)
    for record in row.records:
        weight += len(record.body)
    for task in row.tasks:
        weight += len(task.payload)
    for sent in row.deliveries:
        weight += len(sent.payload)
    for started in row.starts:
        weight += new_run(started)
    for member in row.members:
        weight += len(member.body)
    return weight


def new_run(row: NewRun) -> int:
    """Of a start, with its first turn."""
    weight = len(row.delivery.payload)
    return weight if row.turn is None else weight + commit(row.turn)


def finish(row: TaskFinish) -> int:
    """Of an outcome, with the turn that rides on it."""
    weight = 0 if row.delivery is None else len(row.delivery.payload)
    if row.failure is not None:
        weight += len(row.failure)
    return weight if row.turn is None else weight + commit(row.turn)
