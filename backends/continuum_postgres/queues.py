"""Which of the waiting tasks a claim takes: by priority, dealt by fairness key, as far as there is room.

Rule: what is counted and read is the database's; what follows from it is computed here, by the functions
that all journals share. What is chosen of a limited queue holds while its row is locked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.commit import TaskWant
from continuum_core.journal.dealing import deal
from continuum_core.journal.rate import Bucket
from continuum_postgres import arrays
from continuum_postgres.session import Ask, Row
from continuum_postgres.statements.queues import SET_BUCKETS, SET_TURNS

__all__ = ["Candidate", "Queue", "candidates", "changes", "choose", "limits", "names", "queues"]

SUSPECT = 2
"""Lost workers after which a task is claimed alone: it may be what kills them."""


class Candidate(NamedTuple):
    """A task that may be claimed.

    :ivar put_off: until now: it is not among the ready ones yet.
    """

    due: Micros
    name: tuple[int, int, int]
    run_id: UUID
    priority: int
    key: str
    losses: int
    fence: int
    put_off: bool


@define(eq=False)
class Queue:
    """A queue as a claim found it, and what the claim has taken of it since.

    :ivar leases: that live, counted up to the cap.
    :ivar stored: its bucket, None where none was stored.
    :ivar dealt: priority → the key that was dealt last.
    :ivar drawn: tokens were taken of the bucket.
    :ivar turned: the priorities whose key is another than before.
    """

    leases: int = 0
    stored: Bucket | None = None
    dealt: dict[int, str] = field(factory=dict[int, str])
    drawn: bool = False
    turned: set[int] = field(factory=set[int])

    def left(self, want: TaskWant) -> int:
        """What the cap leaves."""
        return want.limit if want.cap is None else want.cap - self.leases

    def bucket(self, want: TaskWant, now: Micros) -> Bucket | None:
        """As it is now; None where the want states no rate."""
        if want.rate is None:
            return None
        return Bucket.full(want.rate, now) if self.stored is None else self.stored.filled(want.rate, now)

    def room(self, want: TaskWant, now: Micros) -> int:
        """How many tasks may be taken."""
        bucket = self.bucket(want, now)
        room = max(0, min(want.limit, self.left(want)))
        return room if bucket is None else min(room, bucket.tokens())

    def take(self, want: TaskWant, now: Micros, count: int) -> None:
        self.leases += count
        bucket = self.bucket(want, now)
        if bucket is not None and count:
            self.stored, self.drawn = bucket.without(count), True

    def turn(self, priority: int, key: str) -> None:
        if self.dealt.get(priority, "") != key:
            self.dealt[priority] = key
            self.turned.add(priority)

    def next_token(self, want: TaskWant, now: Micros) -> Micros | None:
        """When the next task can be taken, where it lacks nothing but a token; else None."""
        bucket = self.bucket(want, now)
        if want.rate is None or bucket is None or bucket.tokens() or want.limit <= 0 or self.left(want) <= 0:
            return None
        return bucket.next_token(want.rate)


# --- choosing


def choose(
    wants: Sequence[TaskWant],
    found: Mapping[int, Sequence[Candidate]],
    known: dict[str, Queue],
    now: Micros,
    spare: Sequence[int],
) -> list[list[Candidate]]:
    """Tasks to lease, for each want; a suspect alone or not at all.

    :param found: place of the want → its candidates.
    :param known: by name; what is taken is noted, also of queues that were not known.
    :param spare: for each want, how many to choose beyond its room, in case others are faster.
    """
    chosen: list[list[Candidate]] = [[] for _ in wants]
    taken: set[tuple[int, int, int]] = set()
    for place, want in enumerate(wants):
        queue = known.setdefault(want.queue, Queue())
        waiting = [entry for entry in found.get(place, ()) if entry.name not in taken]
        room = queue.room(want, now)
        got = _dealt(waiting, queue, room + spare[place] if room else 0, not taken)
        queue.take(want, now, len(got))
        chosen[place] = got
        taken |= {entry.name for entry in got}
        if got and got[0].losses >= SUSPECT:
            break
    return chosen


def _dealt(waiting: Iterable[Candidate], queue: Queue, room: int, first: bool) -> list[Candidate]:
    """Of one want; `first`: nothing was chosen for others."""
    got: list[Candidate] = []
    for priority, by_key in sorted(_by_key(waiting).items()):
        for entry in deal(by_key, queue.dealt.get(priority, ""), room - len(got)):
            suspect = entry.losses >= SUSPECT
            if suspect and (got or not first):
                return got
            got.append(entry)
            queue.turn(priority, entry.key)
            if suspect:
                return got
    return got


def _by_key(waiting: Iterable[Candidate]) -> dict[int, dict[str, list[Candidate]]]:
    """Priority → key → tasks by (due, run id, token, slot)."""
    divided: dict[int, dict[str, list[Candidate]]] = {}
    for entry in sorted(waiting):
        divided.setdefault(entry.priority, {}).setdefault(entry.key, []).append(entry)
    return divided


# --- rows


def candidates(rows: Iterable[Row], places: Sequence[int], now: Micros) -> dict[int, list[Candidate]]:
    """Of READY_TASKS and DEALT_TASKS: place of the want → its tasks.

    :param places: of the wants, lane by lane.
    """
    found: dict[int, list[Candidate]] = {}
    for lane, priority, key, due, run_id, token, slot, losses, fence, wake, _ in rows:
        if due <= now:  # the server's clock may be ahead of the verb's time
            name = (run_id.int, token, slot)
            entry = Candidate(due, name, run_id, priority, key, losses, fence, wake is not None)
            number: int = lane
            found.setdefault(places[number - 1], []).append(entry)
    return found


def names(wants: Iterable[TaskWant]) -> list[str]:
    """The queues, in the order in which everybody locks them."""
    return sorted({want.queue for want in wants})


def limits(wants: Sequence[TaskWant]) -> tuple[object, ...]:
    """The parameters of LIMITS: queues, and how many leases of each are worth counting."""
    caps = [max(want.cap or 0 for want in wants if want.queue == name) for name in names(wants)]
    return arrays.texts(names(wants)), arrays.bigints(caps)


def queues(wants: Sequence[TaskWant], counted: Iterable[Row], turns: Iterable[Row] = ()) -> dict[str, Queue]:
    """Of LIMITS, and of TURNS, that were asked for the queues of these wants."""
    found = [
        Queue(leases, None if level is None else Bucket(level, at, per))
        for _, leases, level, at, per in counted
    ]
    for order, priority, last in turns:
        number: int = order
        found[number - 1].dealt[priority] = last
    return dict(zip(names(wants), found, strict=True))


def changes(known: Mapping[str, Queue]) -> list[Ask]:
    """What is to be stored of the queues."""
    asks: list[Ask] = []
    drawn = [
        (name, bucket)
        for name, queue in sorted(known.items())
        if queue.drawn and (bucket := queue.stored) is not None
    ]
    if drawn:
        levels = arrays.bigints([bucket.level for _, bucket in drawn])
        times = arrays.bigints([bucket.at for _, bucket in drawn])
        pers = arrays.bigints([bucket.per for _, bucket in drawn])
        asks.append((SET_BUCKETS, (arrays.texts([name for name, _ in drawn]), levels, times, pers)))
    turned = [
        (name, priority, queue.dealt[priority])
        for name, queue in sorted(known.items())
        for priority in sorted(queue.turned)
    ]
    if turned:
        keys = arrays.texts([key for *_, key in turned])
        priorities = arrays.integers([priority for _, priority, _ in turned])
        asks.append((SET_TURNS, (arrays.texts([name for name, *_ in turned]), priorities, keys)))
    return asks
