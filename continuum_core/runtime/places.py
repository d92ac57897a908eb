"""Who gets this worker's places for activities: tasks that wait in the journal, or ones that are born here.

A commit of this worker may insert a task already claimed (the hot path): its body starts without a claim.
Such a task must not overtake others that wait for a place, nor pass a queue's limits by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID

from continuum_core.host import Flag
from continuum_core.journal.commit import NewTask, TaskClaim, TaskWant
from continuum_core.journal.dealing import in_turn
from continuum_core.journal.rate import Rate
from continuum_core.registry import ActivityEntry, Registry
from continuum_core.runtime.slots import Slots

__all__ = ["SUSPECT", "Places"]

SUSPECT = 2
"""A task with so many losses is claimed alone."""


class Places:
    """The places of a worker's queues.

    :param lease: microseconds that a task which is claimed at birth is leased for.
    :param wake: set when there may be something to claim for a place that came free.
    :ivar closed: nothing new is taken.
    :ivar bound: queues whose limits or fairness only the journal can keep.
    """

    def __init__(self, registry: Registry, slots: Slots, lease: int, wake: Flag) -> None:
        self._registry = registry
        self._slots = slots
        self._lease = lease
        self._wake = wake
        self.activities: Mapping[str, ActivityEntry] = {}
        self._queues: dict[str, frozenset[str]] = {}
        self._caps: dict[str, int | None] = {}
        self._rates: dict[str, Rate | None] = {}
        self.bound: frozenset[str] = frozenset()
        self._urgent: dict[str, int] = {}
        self._first = ""  # the queue that stood first in the last claim
        self._short: set[str] = set()
        self._kept: set[str] = set()  # where the last slot that came free went to the run that had it
        self.closed = False

    def learn(self) -> None:
        """Take the registry's activities into account, by queue.

        Tasks stay in the queue that they were put in, by whichever version or release: each activity is
        wanted in every queue that some version has it in, or had.
        """
        self.activities = self._registry.activities()
        queues: dict[str, set[str]] = {}
        every = self._registry.every_activity()
        for activity in every:
            for queue in activity.queues:
                queues.setdefault(queue, set()).add(activity.name)
                urgent = self._urgent.get(queue, activity.priority)
                self._urgent[queue] = min(urgent, activity.priority)
        self._queues = {queue: frozenset(names) for queue, names in queues.items()}
        declared = self._registry.queues()
        self._caps = {name: queue.limit for name, queue in declared.items()}
        self._rates = {
            name: None if queue.rate is None else Rate(*queue.rate.micros())
            for name, queue in declared.items()
        }
        limited = {name for name, queue in declared.items() if queue.limit or queue.rate}
        fair = {queue for each in every if each.fairness is not None for queue in each.queues}
        self.bound = frozenset(limited | fair)

    def wants(self) -> list[TaskWant]:
        """Every queue with a free place, each first in its turn.

        A suspect is claimed only from what stands first: else a queue that always has work would hide one at
        the head of another, and all that waits behind it.
        """
        free = self._slots.free()
        turn = in_turn(sorted(queue for queue in self._queues if queue in free), self._first)
        return [
            TaskWant(queue, free[queue], self._queues[queue], self._caps.get(queue), self._rates.get(queue))
            for queue in turn
        ]

    def lanes(self) -> list[tuple[str, str]]:
        """Queue and activity of all tasks that are ever wanted here."""
        served = self._slots.served()
        return [
            (queue, name)
            for queue, names in sorted(self._queues.items())
            if queue in served
            for name in sorted(names)
        ]

    def note_first(self, wants: Sequence[TaskWant]) -> None:
        """So much was asked for: another queue stands first the next time."""
        if wants:
            self._first = wants[0].queue

    def note_short(self, wants: Sequence[TaskWant], claims: Sequence[TaskClaim]) -> None:
        """A queue that gave fewer tasks than were wanted has none waiting; another one may have."""
        found = Counter(claim.task.queue for claim in claims)
        alone = any(claim.task.losses >= SUSPECT for claim in claims)  # others were not looked at
        for want in wants:
            if alone or found[want.queue] >= want.limit:
                self._short.add(want.queue)
            else:
                self._short.discard(want.queue)

    def note_full(self, wants: Sequence[TaskWant]) -> None:
        """Where no slot is free, others may wait by now: see `born`."""
        self._short.update(self._queues.keys() - {want.queue for want in wants})

    def take(self, queue: str) -> bool:
        """Take a place for a claimed task; False where a task born here took it meanwhile."""
        return self._slots.take(queue)

    def give(self, queue: str) -> None:
        self._slots.give(queue)
        # Where none waits for a slot there is nothing to claim: what comes later announces itself.
        if queue in self._short or queue in self.bound or self.closed:
            self._wake.set()

    # --- tasks born in this worker's hands (the hot path) ---

    def born(self, task: NewTask, claim_id: UUID, goes_on: bool = False) -> NewTask:
        """The same task, claimed at birth if a slot is free for it.

        In queues with limits or fairness none is: it would pass them by. Where tasks may be waiting for a
        slot, a run that begins leaves its own to the line, and so does all that is not of the queue's
        most urgent: they would overtake what was there first. A run that goes on may keep the slot of
        the activity which has just ended, every other time: it is through sooner, and the line moves.

        :param claim_id: what it is claimed under: the id of the commit that it is born with.
        :param goes_on: the task follows an activity of its run that ended here.
        """
        queue = task.queue
        if self.closed or task.activity not in self.activities:
            return task
        if queue in self.bound or task.fairness:
            return task
        if queue in self._short and not (goes_on and self._may_keep(task)):
            return task
        if not self._slots.take(queue):
            self._short.add(queue)
            return task
        return task.claimed(self._lease, claim_id)

    def _may_keep(self, task: NewTask) -> bool:
        queue = task.queue
        if task.priority > self._urgent.get(queue, task.priority):
            return False
        if queue in self._kept:
            self._kept.discard(queue)
            return False
        self._kept.add(queue)
        return True

    def unborn(self, tasks: Sequence[NewTask]) -> None:
        """The commit that would have made them did not stand."""
        for task in tasks:
            if task.lease is not None:
                self.give(task.queue)
