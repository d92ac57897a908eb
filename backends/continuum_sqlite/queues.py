"""Which of a queue's waiting tasks a claim takes: by priority, dealt by fairness key, up to its limits.

Rule: what is read is proportional to what is taken, however long the backlog and however many its keys.
What every journal does alike is in `continuum_core.journal.dealing` and `.rate`.
"""

from __future__ import annotations

from typing import NamedTuple

from continuum_core.clock import Micros
from continuum_core.journal.commit import TaskWant
from continuum_core.journal.dealing import deal, drawn
from continuum_core.journal.rate import Bucket, Rate
from continuum_sqlite.statements.queues import (
    BUCKET,
    DEALT,
    FIRST_KEYS,
    HAS_READY,
    LIVE_LEASES,
    NEXT_KEYS,
    NEXT_PRIORITY,
    PUT_BUCKET,
    PUT_DEALT,
    READY_OF_KEY,
    READY_TASKS,
)
from continuum_sqlite.transaction import Transaction

__all__ = [
    "Chosen",
    "Name",
    "choose",
    "keys_in_turn",
    "last_dealt",
    "next_token",
    "priorities",
    "room",
    "waits",
]

_SUSPECT = 2
"""Lost workers after which a task is claimed alone: it may be what kills them."""

_BELOW_ALL = -(2**63)


class Name(NamedTuple):
    """A task, as statements name it after the namespace."""

    run_id: bytes
    token: int
    slot: int


class _Ready(NamedTuple):
    """A task that may be claimed; sorts as claims take those of one priority and key."""

    due: Micros
    name: Name
    losses: int
    key: str


class Chosen(NamedTuple):
    """Tasks to lease, and whether they must be the whole answer."""

    names: list[Name]
    alone: bool


# --- choosing


def choose(transaction: Transaction, want: TaskWant, first: bool) -> Chosen:
    """Tasks of a want, with their tokens taken and the turn noted.

    :param first: nothing was chosen yet, so a suspect may be taken, alone.
    """
    chosen = _choose(transaction, want, room(transaction, want), first)
    if chosen.names and want.rate is not None:
        bucket = _bucket(transaction, want.queue, want.rate).without(len(chosen.names))
        transaction.execute(PUT_BUCKET, (transaction.ns, want.queue, bucket.level, bucket.at, bucket.per))
    return chosen


def _choose(transaction: Transaction, want: TaskWant, room: int, first: bool) -> Chosen:
    names: list[Name] = []
    lanes = {activity: priorities(transaction, want.queue, activity) for activity in sorted(want.activities)}
    for priority in sorted({priority for found in lanes.values() for priority in found}):
        if len(names) >= room:
            break
        activities = [activity for activity, found in lanes.items() if priority in found]
        dealing = _Dealing(transaction, want.queue, activities, priority)
        last = before = dealing.last()
        for ready in dealing.dealt(before, room - len(names)):
            suspect = ready.losses >= _SUSPECT
            if suspect and (names or not first):
                room = 0
                break
            names.append(ready.name)
            last = ready.key
            if suspect:
                dealing.note(last, before)
                return Chosen(names, True)
        dealing.note(last, before)
    return Chosen(names, False)


class _Dealing:
    """One priority of a queue, and of it the activities that are wanted."""

    def __init__(self, transaction: Transaction, queue: str, activities: list[str], priority: int) -> None:
        self._transaction = transaction
        self._queue = queue
        self._activities = activities
        self._priority = priority

    def last(self) -> str:
        """The key that was dealt last."""
        return last_dealt(self._transaction, self._queue, self._priority)

    def note(self, key: str, before: str) -> None:
        """Remember whose turn it was."""
        if key != before:
            turn = (self._transaction.ns, self._queue, self._priority, key)
            self._transaction.execute(PUT_DEALT, turn)

    def dealt(self, last: str, room: int) -> list[_Ready]:
        """The first `room` tasks in the order in which they are dealt."""
        few = 2 * room + 16
        ready = [self._read(READY_TASKS, activity, (), few + 1) for activity in self._activities]
        if all(len(found) <= few for found in ready):
            # All that is due was read. Thus keys whose tasks are not due cost nothing while little is.
            waiting: dict[str, list[_Ready]] = {}
            for one in sorted(one for found in ready for one in found):
                waiting.setdefault(one.key, []).append(one)
            return deal(waiting, last, room)
        turn = keys_in_turn(self._transaction, self._queue, self._activities, self._priority, last, room)
        return drawn(turn, last, room, self._of_key)

    def _of_key(self, key: str, count: int) -> list[_Ready]:
        lanes = [self._read(READY_OF_KEY, activity, (key,), count) for activity in self._activities]
        return lanes[0] if len(lanes) == 1 else sorted(one for found in lanes for one in found)[:count]

    def _read(self, statement: str, activity: str, key: tuple[str, ...], count: int) -> list[_Ready]:
        transaction = self._transaction
        lane = (transaction.ns, self._queue, activity, self._priority, *key)
        return [
            _Ready(due, Name(run_id, token, slot), losses, of)
            for due, run_id, token, slot, losses, of in transaction.execute(
                statement, (*lane, transaction.now, count)
            )
        ]


# --- seeking


def priorities(transaction: Transaction, queue: str, activity: str) -> list[int]:
    """The priorities that a lane has tasks of: as many steps as there are priorities."""
    found: list[int] = []
    last = _BELOW_ALL
    while True:
        asked = (transaction.ns, queue, activity, last)
        following: int | None = transaction.execute(NEXT_PRIORITY, asked).fetchone()[0]
        if following is None:
            return found
        found.append(following)
        last = following


def keys_in_turn(
    transaction: Transaction, queue: str, activities: list[str], priority: int, last: str, count: int
) -> list[str]:
    """The first keys after `last` that have due tasks, and then those from the beginning."""

    def keys(statement: str, start: str) -> list[str]:
        found: set[str] = set()
        for activity in activities:
            asked = (transaction.ns, queue, activity, priority, start, transaction.now, count)
            found.update(key for (key,) in transaction.execute(statement, asked))
        return sorted(found)[:count]

    turn = keys(NEXT_KEYS, last)
    if len(turn) < count:
        turn += [key for key in keys(FIRST_KEYS, "") if key <= last]
    return turn[:count]


def waits(transaction: Transaction, want: TaskWant) -> bool:
    """Whether a task of the wanted lanes is due."""
    now = transaction.now
    for activity in want.activities:
        lane = (transaction.ns, want.queue, activity)
        for priority in priorities(transaction, want.queue, activity):
            if transaction.execute(HAS_READY, (*lane, priority, now)).fetchone() is not None:
                return True
    return False


def last_dealt(transaction: Transaction, queue: str, priority: int) -> str:
    """The fairness key that was dealt last at a priority; "" before any."""
    row = transaction.execute(DEALT, (transaction.ns, queue, priority)).fetchone()
    return "" if row is None else str(row[0])


# --- limits


def room(transaction: Transaction, want: TaskWant) -> int:
    """How many tasks a want may have now."""
    free = min(want.limit, _left(transaction, want))
    if want.rate is None or free <= 0:
        return free
    return min(free, _bucket(transaction, want.queue, want.rate).tokens())


def _left(transaction: Transaction, want: TaskWant) -> int:
    """What the cap leaves beside the leases that live."""
    if want.cap is None:
        return want.limit
    asked = (transaction.ns, want.queue, transaction.now, max(want.cap, 0))
    live: int = transaction.execute(LIVE_LEASES, asked).fetchone()[0]
    return want.cap - live


def _bucket(transaction: Transaction, queue: str, rate: Rate) -> Bucket:
    """The queue's bucket as it is now."""
    row = transaction.execute(BUCKET, (transaction.ns, queue)).fetchone()
    if row is None:
        return Bucket.full(rate, transaction.now)
    return Bucket(*row).filled(rate, transaction.now)


def next_token(transaction: Transaction, want: TaskWant) -> Micros | None:
    """When the next token comes, where tasks wait for nothing else."""
    if want.rate is None or min(want.limit, _left(transaction, want)) <= 0:
        return None
    bucket = _bucket(transaction, want.queue, want.rate)
    return None if bucket.tokens() or not waits(transaction, want) else bucket.next_token(want.rate)
