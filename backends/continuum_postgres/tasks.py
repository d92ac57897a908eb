"""Tasks: claimed, kept alive, put away when their workers were lost; each fenced by itself.

Rule: a lane is one (queue, activity). A claim first puts away what it meets of lost workers, then takes by
(priority, due), seeking from one priority to the next: tasks that wait or are leased cost it nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from attrs import define

from continuum_core.clock import Micros
from continuum_core.journal.commit import TaskClaim, TaskClaims, TaskHold, TaskWant
from continuum_postgres import arrays
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch, Rows
from continuum_postgres.rows import task_claim
from continuum_postgres.session import Ask, Row, Session
from continuum_postgres.shards import shard
from continuum_postgres.statements.tasks import (
    BEAT_TASKS,
    CLAIMED_TASKS,
    DROP_UNNEEDED,
    EXPIRED_TASKS,
    LEASE_TASKS,
    LOSE_TASKS,
    NEXT_TASKS,
    READY_TASKS,
)
from continuum_postgres.writes import TaskName, names

__all__ = ["ClaimTasks", "heartbeat"]

_SUSPECT = 2
"""Lost workers after which a task is claimed alone: it may be what kills them."""


class _Ready(NamedTuple):
    """A task that may be claimed; sorts as claims take them."""

    priority: int
    due: Micros
    name: tuple[int, int, int]
    run_id: UUID
    losses: int
    fence: int


_Fenced = tuple[TaskName, int]


@define
class ClaimTasks:
    """The verb `claim_tasks`, with its arguments."""

    claim_id: UUID
    wants: Sequence[TaskWant]
    lease: int

    async def carry_out(self, session: Session) -> TaskClaims:
        batch = Batch(session, last=True)
        lanes = [
            (place, want.queue, name) for place, want in enumerate(self.wants) for name in want.activities
        ]
        queues = (
            arrays.texts([queue for _, queue, _ in lanes]),
            arrays.texts([name for _, _, name in lanes]),
        )
        rooms = arrays.bigints([max(self.wants[place].limit, 0) for place, _, _ in lanes])
        rows = await batch.look(
            (CLAIMED_TASKS, (self.claim_id,)),
            (EXPIRED_TASKS, queues),
            (READY_TASKS, (*queues, rooms)),
            (NEXT_TASKS, queues),
        )
        now, next_due = batch.at(rows[NEXT_TASKS][0][0]), rows[NEXT_TASKS][0][1]
        if rows[CLAIMED_TASKS]:
            return TaskClaims(now, tuple(map(task_claim, rows[CLAIMED_TASKS])), next_due)
        chosen = self._choose(rows[READY_TASKS], [place for place, _, _ in lanes])
        asks = _put_away(rows[EXPIRED_TASKS], now, batch.limits.loss_backoff)
        if chosen:
            leased = (Bigint(now), Bigint(now + self.lease), self.claim_id)
            in_order = sorted(chosen, key=lambda one: (shard(one.run_id), one.name))
            asks.append((LEASE_TASKS, (*_fenced([(_name(one), one.fence) for one in in_order]), *leased)))
            asks.append((CLAIMED_TASKS, (self.claim_id,)))
        told: Rows = await batch.write(*asks) if asks else {}
        return TaskClaims(now, _in_order(told.get(CLAIMED_TASKS, []), chosen), next_due)

    def _choose(self, rows: Sequence[Row], places: Sequence[int]) -> list[_Ready]:
        """Tasks to lease, want by want; a suspect alone or not at all."""
        ready: dict[int, list[_Ready]] = {}
        for lane, priority, due, run_id, token, slot, losses, fence in rows:
            entry = _Ready(priority, due, (run_id.int, token, slot), run_id, losses, fence)
            number: int = lane
            ready.setdefault(places[number - 1], []).append(entry)
        chosen: dict[tuple[int, int, int], _Ready] = {}
        for place, want in enumerate(self.wants):
            room = max(want.limit, 0)
            for entry in sorted(ready.get(place, ())):
                if entry.name in chosen:
                    continue
                if not room:
                    break
                if entry.losses >= _SUSPECT:
                    if not chosen:
                        return [entry]
                    break
                chosen[entry.name] = entry
                room -= 1
        return list(chosen.values())


def _name(entry: _Ready) -> TaskName:
    return (entry.run_id, entry.name[1], entry.name[2])


def _in_order(rows: Sequence[Row], chosen: Sequence[_Ready]) -> tuple[TaskClaim, ...]:
    """The claims in the order in which they were chosen; others may have been faster with some."""
    claims = {(one.task.run_id, one.task.token, one.task.slot): one for one in map(task_claim, rows)}
    return tuple(claims[_name(one)] for one in chosen if _name(one) in claims)


def _fenced(tasks: Sequence[_Fenced]) -> tuple[object, ...]:
    return (*names([name for name, _ in tasks]), arrays.bigints([fence for _, fence in tasks]))


def _put_away(rows: Sequence[Row], now: Micros, backoff: int) -> list[Ask]:
    """Count the losses of workers that let a lease expire; what nobody needs any more goes."""
    asks: list[Ask] = []
    expired = [
        ((run, token, slot), fence) for _, run, token, slot, fence, lease, *_ in rows if lease is not None
    ]
    unneeded = [
        ((run, token, slot), fence) for _, run, token, slot, fence, lease, *_ in rows if lease is None
    ]
    if expired:
        asks.append((LOSE_TASKS, (*_fenced(expired), Bigint(now), Bigint(backoff))))
    if unneeded:
        asks.append((DROP_UNNEEDED, _fenced(unneeded)))
    return asks


async def heartbeat(session: Session, held: Sequence[TaskHold], lease: int) -> list[bool | None]:
    """The verb: True held, False asked to cancel, None not the caller's any more."""
    at = sorted(range(len(held)), key=lambda i: (shard(held[i].run_id), held[i].run_id.int, held[i].token))
    fenced = _fenced([((held[i].run_id, held[i].token, held[i].slot), held[i].fence) for i in at])
    details = arrays.byteas([held[i].details for i in at])
    (rows,) = await session.write((BEAT_TASKS, (*fenced, details, Bigint(lease))))
    answers: list[bool | None] = [None] * len(held)
    for order, cancel in rows:
        answers[at[order - 1]] = not cancel
    return answers
