"""Places: how many tasks of its queue are claimed before one that waits, if no others come."""

from __future__ import annotations

from collections.abc import Sequence

from continuum_core.journal.dealing import PLACES, place
from continuum_postgres.session import Row

__all__ = ["places"]


def places(waiting: Sequence[Row], put_off: Sequence[Row], run: int) -> dict[tuple[int, int], int]:
    """Of WAITING_TASKS and PUT_OFF_TASKS: (token, slot) → its place; tasks of the run `run` that wait."""
    return {(row[0], row[1]): _place(row, put_off, run) for row in waiting}


def _place(row: Row, put_off: Sequence[Row], run: int) -> int:
    token, slot, queue, priority, key, due, last, lower, own, keys, counts = row
    waiting: dict[str, int] = dict(zip(keys or (), counts or (), strict=True))
    order = (due, run, token, slot)
    ahead: int = lower
    before: int = own
    for its_queue, its_priority, its_key, its_due, its_run, its_token, its_slot in put_off:
        if its_queue != queue or its_priority > priority:
            continue
        if its_priority < priority:
            ahead += 1
        else:
            waiting[its_key] = waiting.get(its_key, 0) + 1
            before += its_key == key and (its_due, its_run.int, its_token, its_slot) < order
    return min(ahead + place(waiting, last, key, before), PLACES)
