"""What a batch locks of tasks and of keyed results, all of it before it decides anything.

Rule: everybody locks runs first, then tasks, then results, each kind in one order. A batch that locks what it
comes to, round after round, or the tasks it finishes before those that a turn closes, has later ones when it
asks for earlier ones: two such batches, or one and a heartbeat, would wait in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from continuum_core.journal.commit import Commit, Order
from continuum_core.journal.effects import EFFECTS
from continuum_core.journal.records import ENDED
from continuum_postgres import arrays
from continuum_postgres.session import Ask, Row
from continuum_postgres.shards import shard
from continuum_postgres.statements.tasks import LOCK_AHEAD, LOCK_RESULTS
from continuum_postgres.writes import by_run

__all__ = ["Tasks", "lock_results", "lock_tasks", "tasks_of_order", "tasks_of_turn"]


class Tasks(NamedTuple):
    """Tasks of a run: one, those of a token where the slot is None, all where the token is None too."""

    run_id: UUID
    token: int | None = None
    slot: int | None = None


def tasks_of_turn(turn: Commit) -> list[Tasks]:
    """What a turn may close."""
    if turn.status in ENDED:
        return [Tasks(turn.run_id)]
    return [Tasks(turn.run_id, token) for token in turn.closed]


def tasks_of_order(order: Order) -> list[Tasks]:
    """What an order may close."""
    return [Tasks(order.run_id)] if EFFECTS[order.kind].after in ENDED else []


def _place(tasks: Tasks) -> tuple[int, int, int, int]:
    """In the order of tasks, where the first one of these may stand."""
    token = -1 if tasks.token is None else tasks.token
    return shard(tasks.run_id), tasks.run_id.int, token, -1 if tasks.slot is None else tasks.slot


def lock_tasks(wanted: Iterable[Tasks]) -> list[Ask]:
    """Lock all of them, in everybody's order; it tells fence and key of each."""
    listed = sorted(set(wanted), key=_place)
    if not listed:
        return []
    tokens = arrays.bigints([tasks.token for tasks in listed])
    slots = arrays.bigints([tasks.slot for tasks in listed])
    return [(LOCK_AHEAD, (*by_run(tasks.run_id for tasks in listed), tokens, slots))]


def lock_results(owned: Iterable[Row]) -> list[Ask]:
    """Lock the results of keys, be they there or not.

    :param owned: activity, key, run, token and slot of tasks that settle them. A row that is made for its
        lock is such a task's reservation, which its end overwrites or takes away.
    """
    once: dict[tuple[str, str], Row] = {(row[0], row[1]): row for row in owned}
    if not once:
        return []
    rows: Sequence[Row] = [once[key] for key in sorted(once)]
    columns = (
        arrays.texts([row[0] for row in rows]),
        arrays.texts([row[1] for row in rows]),
        *by_run(row[2] for row in rows),
        arrays.bigints([row[3] for row in rows]),
        arrays.integers([row[4] for row in rows]),
        arrays.bigints([0 for _ in rows]),
        arrays.byteas([None for _ in rows]),
    )
    return [(LOCK_RESULTS, columns)]
