"""Which waiting tasks a claim takes: by priority, dealt by fairness key, within cap and rate."""

from __future__ import annotations

from collections.abc import Sequence

from continuum_core.clock import Micros
from continuum_core.journal.commit import TaskWant
from continuum_core.journal.dealing import PLACES, deal, place
from continuum_core.journal.rate import Bucket, Rate
from continuum_core.journal.records import Task
from continuum_dbm.claims import SUSPECT
from continuum_dbm.rows import Bucketed, Dealt, Space, Work

__all__ = ["choose", "next_token", "order", "places"]


def order(work: Work) -> tuple[Micros, int, int, int]:
    """The order of tasks of one key: (due, run id, token, slot)."""
    task = work.task
    return (task.due, task.run_id.int, task.token, task.slot)


def _waiting(space: Space, queue: str, now: Micros) -> list[Work]:
    works = [work for work in space.tasks.all() if work.task.queue == queue and work.task.waits(now)]
    return sorted(works, key=order)


# --- choosing --------------------------------------------------------------------------------------


def choose(space: Space, now: Micros, want: TaskWant, first: bool) -> list[Work]:
    """The tasks to lease for a want, and their tokens taken; a suspect alone or not at all.

    :param first: nothing was chosen for other wants of this claim.
    """
    room = min(want.limit, _left(space, now, want))
    if want.rate is not None:
        room = min(room, _bucket(space, now, want.queue, want.rate).tokens())
    chosen = _chosen(space, now, want, room, first)
    if chosen and want.rate is not None:
        bucket = _bucket(space, now, want.queue, want.rate).without(len(chosen))
        space.buckets.put(Bucketed(want.queue, bucket.level, bucket.at, bucket.per))
    return chosen


def _chosen(space: Space, now: Micros, want: TaskWant, room: int, first: bool) -> list[Work]:
    waiting = [w for w in _waiting(space, want.queue, now) if w.task.activity in want.activities]
    chosen: list[Work] = []
    for priority in sorted({work.task.priority for work in waiting}):
        keyed: dict[str, list[Work]] = {}
        for work in waiting:
            if work.task.priority == priority:
                keyed.setdefault(work.task.fairness, []).append(work)
        for work in deal(keyed, _last(space, want.queue, priority), max(room - len(chosen), 0)):
            suspect = work.task.losses >= SUSPECT
            if suspect and (chosen or not first):
                return chosen
            chosen.append(work)
            space.dealt.put(Dealt(want.queue, priority, work.task.fairness))
            if suspect:
                return chosen
    return chosen


def _last(space: Space, queue: str, priority: int) -> str:
    dealt = space.dealt.get(queue, priority)
    return "" if dealt is None else dealt.key


def _left(space: Space, now: Micros, want: TaskWant) -> int:
    """What the cap leaves beside the leases that live."""
    if want.cap is None:
        return want.limit
    live = [
        work
        for work in space.tasks.all()
        if work.task.queue == want.queue and (work.task.lease_until or 0) > now
    ]
    return want.cap - len(live)


def _bucket(space: Space, now: Micros, queue: str, rate: Rate) -> Bucket:
    stored = space.buckets.get(queue)
    if stored is None:
        return Bucket.full(rate, now)
    return Bucket(stored.level, stored.at, stored.per).filled(rate, now)


def next_token(space: Space, now: Micros, want: TaskWant) -> list[Micros]:
    """When the next token comes, where tasks wait for nothing else."""
    if want.rate is None or want.limit <= 0 or _left(space, now, want) <= 0:
        return []
    bucket = _bucket(space, now, want.queue, want.rate)
    waits = any(w.task.activity in want.activities for w in _waiting(space, want.queue, now))
    return [bucket.next_token(want.rate)] if bucket.tokens() == 0 and waits else []


# --- places ----------------------------------------------------------------------------------------


def places(space: Space, now: Micros, tasks: Sequence[Task]) -> tuple[int | None, ...]:
    """For each task, how many of its queue are claimed before it if no others come."""
    return tuple(_place(space, now, task) if task.waits(now) else None for task in tasks)


def _place(space: Space, now: Micros, task: Task) -> int:
    counts: dict[str, int] = {}
    ahead = before = 0
    mine = order(Work(task))
    for work in _waiting(space, task.queue, now):
        other = work.task
        if other.priority < task.priority:
            ahead += 1
        elif other.priority == task.priority:
            counts[other.fairness] = counts.get(other.fairness, 0) + 1
            before += other.fairness == task.fairness and order(work) < mine
    last = _last(space, task.queue, task.priority)
    return min(ahead + place(counts, last, task.fairness, before), PLACES)
