"""Which of a queue's waiting tasks a claim takes: by priority, dealt by fairness key, up to its limits.

Rule: choosing seeks from one priority and one key to the next; how much waits behind them costs nothing.
What every journal does alike is in `continuum_core.journal.dealing` and `.rate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice

from continuum_core.clock import Micros
from continuum_core.journal.commit import TaskWant
from continuum_core.journal.dealing import PLACES, drawn, place
from continuum_core.journal.rate import Bucket
from continuum_core.journal.records import Task
from continuum_memory.claims import SUSPECT
from continuum_memory.rows import Space, TaskOrder, TaskQueue, TaskRow

__all__ = ["choose", "next_token", "places"]

_END = float("inf")
"""Above every number of an index, and so behind all entries that share what comes before it."""


# --- choosing --------------------------------------------------------------------------------------


def choose(
    space: Space, now: Micros, want: TaskWant, lanes: Sequence[TaskQueue], first: bool
) -> list[TaskRow]:
    """The tasks to lease for a want, and their tokens taken; a suspect alone or not at all.

    :param lanes: the queue's tasks, by activity, that are wanted.
    :param first: nothing was chosen for other wants of this claim.
    """
    chosen = _chosen(space, want, lanes, _room(space, now, want), first)
    if chosen and want.rate is not None:
        bucket = _bucket(space, now, want)
        space.buckets[want.queue] = bucket.without(len(chosen))
    return chosen


def _chosen(
    space: Space, want: TaskWant, lanes: Sequence[TaskQueue], room: int, first: bool
) -> list[TaskRow]:
    chosen: list[TaskRow] = []
    for priority in _priorities(lanes):
        if len(chosen) >= room:
            break
        turn = (want.queue, priority)
        for row in _dealt(lanes, priority, space.dealt.get(turn, ""), room - len(chosen)):
            suspect = row.task.losses >= SUSPECT
            if suspect and (chosen or not first):
                return chosen
            chosen.append(row)
            _note(space, turn, row.task.fairness)
            if suspect:
                return chosen
    return chosen


def _note(space: Space, turn: tuple[str, int], key: str) -> None:
    """Remember whose turn it was."""
    if space.dealt.get(turn, "") != key:
        space.dealt[turn] = key


def _room(space: Space, now: Micros, want: TaskWant) -> int:
    room = min(want.limit, _left(space, now, want))
    return room if want.rate is None else min(room, _bucket(space, now, want).tokens())


def _left(space: Space, now: Micros, want: TaskWant) -> int:
    """What the cap leaves beside the leases that live."""
    if want.cap is None or (leased := space.leased.get(want.queue)) is None:
        return want.limit if want.cap is None else want.cap
    return want.cap - sum(1 for _ in islice(leased.up((now + 1,)), max(want.cap, 0)))


def _bucket(space: Space, now: Micros, want: TaskWant) -> Bucket:
    """The queue's bucket as it is now; for a want with a rate."""
    if want.rate is None:
        raise AssertionError("only a want with a rate has a bucket")
    stored = space.buckets.get(want.queue)
    return Bucket.full(want.rate, now) if stored is None else stored.filled(want.rate, now)


def next_token(space: Space, now: Micros, want: TaskWant, lanes: Sequence[TaskQueue]) -> list[Micros]:
    """When the next token comes, where tasks wait for nothing else."""
    if want.rate is None or want.limit <= 0 or _left(space, now, want) <= 0:
        return []
    bucket = _bucket(space, now, want)
    return (
        [bucket.next_token(want.rate)] if bucket.tokens() == 0 and any(lane.ready for lane in lanes) else []
    )


# --- seeking ---------------------------------------------------------------------------------------


def _priorities(lanes: Sequence[TaskQueue]) -> Iterator[int]:
    after: tuple[object, ...] = ()
    while found := [entry[0] for lane in lanes if (entry := lane.ready.first(after)) is not None]:
        yield min(found)
        after = (min(found) + 1,)


def _dealt(lanes: Sequence[TaskQueue], priority: int, last: str, room: int) -> list[TaskRow]:
    """The first tasks of a priority in the order in which they are dealt."""

    def read(key: str, count: int) -> list[TaskRow]:
        return [entry[-1] for entry in islice(merge(*(_of(lane, priority, key) for lane in lanes)), count)]

    return drawn(_in_turn(lanes, priority, last, room), last, room, read)


def _of(lane: TaskQueue, priority: int, key: str) -> Iterator[TaskOrder]:
    for entry in lane.ready.up((priority, key)):
        if entry[1] != key or entry[0] != priority:
            return
        yield entry


def _in_turn(lanes: Sequence[TaskQueue], priority: int, last: str, count: int) -> list[str]:
    """The first keys after `last` that have tasks, and then those from the beginning."""
    keys = list(islice(_keys(lanes, (priority, last, _END)), count))
    for key in islice(_keys(lanes, (priority,)), count - len(keys)):
        if key > last:
            break
        keys.append(key)
    return keys


def _keys(lanes: Sequence[TaskQueue], start: tuple[object, ...]) -> Iterator[str]:
    """The keys of a priority, ascending, from the place in the index that `start` names."""
    after = start
    while found := [
        entry[1] for lane in lanes if (entry := lane.ready.first(after)) is not None and entry[0] == start[0]
    ]:
        yield min(found)
        after = (start[0], min(found), _END)


# --- places ----------------------------------------------------------------------------------------


def places(space: Space, now: Micros, tasks: Sequence[Task]) -> tuple[int | None, ...]:
    """For each task, how many of its queue are claimed before it if no others come."""
    asked = {task.queue for task in tasks if task.waits(now)}
    waiting = {queue: _waiting(space, queue, now) for queue in asked}
    return tuple(_place(space, task, waiting[task.queue]) if task.waits(now) else None for task in tasks)


def _waiting(space: Space, queue: str, now: Micros) -> list[Task]:
    """All that waits in a queue, also what no claim has met since it became due."""
    found: list[Task] = []
    for (name, _), lane in space.queues.items():
        if name == queue:
            found += [entry[-1].task for entry in lane.ready.up()]
            for when, *_, row in lane.awaiting.up():
                if when > now:
                    break
                if row.task.waits(now):
                    found.append(row.task)
    return found


def _place(space: Space, task: Task, waiting: Sequence[Task]) -> int:
    counts: dict[str, int] = {}
    ahead = before = 0
    for other in waiting:
        if other.priority < task.priority:
            ahead += 1
        elif other.priority == task.priority:
            counts[other.fairness] = counts.get(other.fairness, 0) + 1
            before += other.fairness == task.fairness and _order(other) < _order(task)
    last = space.dealt.get((task.queue, task.priority), "")
    return min(ahead + place(counts, last, task.fairness, before), PLACES)


def _order(task: Task) -> tuple[Micros, int, int, int]:
    return (task.due, task.run_id.int, task.token, task.slot)
