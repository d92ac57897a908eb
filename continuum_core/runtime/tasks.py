"""Activities in this process: claims due tasks, runs each, and reports how it ended.

One task is one attempt at a time. The body runs outside any transaction; what it returned or raised
is written together with the closing of the task and the delivery of the outcome, fenced by the task
alone. Retries belong to the task and write no record of the run.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import attrs
import msgspec

from continuum_core.clock import Micros
from continuum_core.errors import (
    JournalUnavailable,
    PayloadRefused,
    UnknownVersion,
)
from continuum_core.host import Flag, Host, Job
from continuum_core.journal.commit import (
    Committed,
    Finished,
    FinishKind,
    FinishOutcome,
    NewTask,
    Reservation,
    ReserveOutcome,
    TaskClaim,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Delivery, Task, TaskKey
from continuum_core.journal_clock import JournalClock
from continuum_core.lane import Backoff, Lane
from continuum_core.registry import ActivityEntry, Registry
from continuum_core.runtime.attempt import (
    Attempt,
    Raised,
    Runner,
    failure_of,
)
from continuum_core.runtime.outcomes import Outcomes, handed_back
from continuum_core.runtime.slots import Slots

__all__ = ["FuseTurn", "Holding", "Tasks"]

logger = logging.getLogger(__name__)

UNREADABLE_DELAY = 60_000_000
"""Microseconds until a task whose input this code cannot read is offered again: to a newer worker."""

SUSPECT = 2
"""A task with so many losses is claimed alone."""

BUSY_DELAY = 500_000
"""Microseconds until a task whose keyed result somebody else is producing looks again."""


@attrs.define(eq=False)
class Holding:
    """A task in this worker's hands."""

    claim: TaskClaim
    attempt: Attempt
    job: Job | None = None
    details: bytes | None = None  # of the last heartbeat
    stored: bytes | None = None  # the ones that the journal knows
    lost: bool = False  # another worker holds it now: what the body returns is nobody's

    @property
    def key(self) -> TaskKey:
        task = self.claim.task
        return (task.run_id, task.token, task.slot)

    def hold(self) -> TaskHold:
        task, details = self.claim.task, self.details
        return TaskHold(
            task.run_id, task.token, task.slot, task.fence, None if details is self.stored else details
        )


@attrs.frozen
class FuseTurn:
    """How the owner of turns lets one ride on a finish: `make` it, then say what was answered."""

    make: Callable[[UUID, Delivery], Any]
    settled: Callable[[Any, Any], None]


class Tasks:
    """Claims tasks for the free slots of its queues, and runs them.

    :param lease: microseconds a claim lasts unless renewed.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        registry: Registry,
        runner: Runner,
        clock: JournalClock,
        finishes: Lane[TaskFinish, Finished],
        slots: Slots,
        lease: int,
    ) -> None:
        self._host = host
        self._journal = journal
        self._registry = registry
        self._runner = runner
        self._clock = clock
        self._outcomes = Outcomes(host, clock)
        self._finishes = finishes
        self._slots = slots
        self._lease = lease
        self._activities: Mapping[str, ActivityEntry] = {}
        self._queues: dict[str, frozenset[str]] = {}
        self._urgent: dict[str, int] = {}
        self._short: set[str] = set()
        self._held: dict[TaskKey, Holding] = {}
        self._of_run: dict[UUID, set[TaskKey]] = {}
        self._unreported: dict[int, Holding] = {}  # by id(): the body ended, the journal does not know yet
        self._draining = False
        self._hurried = False
        self.wake: Flag = host.flag()
        self.fuse: FuseTurn | None = None
        self.on_delivered: Callable[[], None] = lambda: None

    # --- claiming ---

    def learn(self) -> None:
        """Take the registry's activities into account, by queue."""
        self._activities = self._registry.activities()
        queues: dict[str, set[str]] = {}
        for name, entry in self._activities.items():
            activity = entry.activity
            queues.setdefault(activity.queue, set()).add(name)
            urgent = self._urgent.get(activity.queue, activity.priority)
            self._urgent[activity.queue] = min(urgent, activity.priority)
        self._queues = {queue: frozenset(names) for queue, names in queues.items()}

    def wants(self) -> list[TaskWant]:
        free = self._slots.free()
        return [TaskWant(q, free[q], names) for q, names in sorted(self._queues.items()) if q in free]

    async def run(self, poll: Callable[[Micros | None], float]) -> None:
        """The loop: claim, begin, wait. `poll` says how many seconds to wait when nothing is due."""
        backoff = Backoff(self._host)
        claim_id = self._host.new_id()
        while not self._draining:
            self.wake.clear()
            wants = self.wants()
            # Where no slot is free, others may wait by now: see `born`.
            self._short.update(self._queues.keys() - {want.queue for want in wants})
            if not wants:
                await self.wake.wait()  # a slot that becomes free sets it
                continue
            try:
                claims = await self._journal.claim_tasks(claim_id, wants, self._lease)
            except JournalUnavailable as error:
                delay = backoff.delay()
                logger.warning("claiming tasks: %s; trying again in %.2f s", error, delay)
                await self._host.sleep(delay)
                # Again under the same id: if only the answer was lost, this tells what it granted. Under a
                # new id those tasks would lie idle for a lease, and a loss would be counted.
                continue
            claim_id = self._host.new_id()
            backoff.reset()
            self._clock.observe(claims.now)
            self._note_short(wants, claims.tasks)
            for claim in claims.tasks:
                if self._slots.take(claim.task.queue):
                    self._begin(claim)
                else:  # a task born here took the slot while the claim was under way
                    self._report(handed_back(claim.task))
            if not claims.tasks:
                await self.wake.wait(poll(claims.next_due))

    def _note_short(self, wants: Sequence[TaskWant], claims: Sequence[TaskClaim]) -> None:
        """A queue that gave fewer tasks than were wanted has none waiting; another one may have."""
        found = Counter(claim.task.queue for claim in claims)
        alone = any(claim.task.losses >= SUSPECT for claim in claims)  # others were not looked at
        for want in wants:
            if alone or found[want.queue] >= want.limit:
                self._short.add(want.queue)
            else:
                self._short.discard(want.queue)

    # --- tasks born in this worker's hands (the hot path) ---

    def born(self, task: NewTask) -> NewTask:
        """The same task, claimed at birth if a slot is free for it.

        Where tasks may be waiting for a slot, only one of the queue's most urgent activities is: another
        one could overtake a more urgent one that was there first.
        """
        queue = task.queue
        if self._draining or task.activity not in self._activities:
            return task
        if queue in self._short and task.priority > self._urgent.get(queue, task.priority):
            return task
        if not self._slots.take(queue):
            self._short.add(queue)
            return task
        return task.claimed(self._lease, self._host.new_id())

    def unborn(self, tasks: Sequence[NewTask]) -> None:
        """The commit that would have made them did not stand."""
        for task in tasks:
            if task.lease is not None:
                self._give(task.queue)

    def begin(self, claims: Sequence[TaskClaim]) -> None:
        for claim in claims:
            self._begin(claim)

    # --- running ---

    def _begin(self, claim: TaskClaim) -> None:
        task = claim.task
        attempt = Attempt(
            run_id=task.run_id,
            machine=claim.machine,
            activity=task.activity,
            number=task.attempt + 1,
            losses=task.losses,
            key=f"{task.run_id}:{task.token}:{task.slot}",
            details=None if task.details is None else msgspec.json.decode(task.details),
        )
        holding = Holding(claim, attempt)

        def report(details: Any) -> None:
            holding.details = msgspec.json.encode(details)

        attempt.watch(report=report)
        self._held[holding.key] = holding
        self._of_run.setdefault(task.run_id, set()).add(holding.key)
        if task.cancel:
            attempt.request_cancel()
        holding.job = self._host.spawn(self._attempt(holding), f"{task.activity} of {task.run_id}")

    async def _attempt(self, holding: Holding) -> None:
        task = holding.claim.task
        try:
            finish = await self._one_try(holding)
            if holding.details is not holding.stored and finish.kind in (FinishKind.RETRY, FinishKind.RETURN):
                await self._keep_details([holding])
        except Exception as error:  # no fault of the body's: those are data by now
            logger.critical("the runner failed with %s of run %s", task.activity, task.run_id, exc_info=True)
            finish = self._broken(holding, error)
        finally:  # also when the worker is stopped in the middle of the body
            self._drop(holding)
            self._give(task.queue)
        if holding.lost:
            logger.warning(
                "task %s of run %s was taken over; its outcome here is dropped",
                task.activity,
                task.run_id,
                extra={"run_id": str(task.run_id)},
            )
            return
        self._report(finish, holding)

    async def _keep_details(self, holdings: Sequence[Holding]) -> None:
        """Store what bodies told last: the next try begins there, wherever it runs."""
        try:
            await self._journal.heartbeat([holding.hold() for holding in holdings], self._lease)
        except JournalUnavailable as error:
            logger.info("the last heartbeats of %d activities were not kept: %s", len(holdings), error)

    def _broken(self, holding: Holding, error: Exception) -> TaskFinish:
        task = holding.claim.task
        known = self._find(holding.claim)
        if known is None:
            return handed_back(task, UNREADABLE_DELAY)
        return self._outcomes.raised(known, task, Raised(failure_of(error)))

    def _report(self, finish: TaskFinish, holding: Holding | None = None, *, ride: bool = True) -> None:
        """Tell the journal how a task ended, with the run's next turn if one can ride along.

        :param holding: kept alive until the journal knows.
        """
        turn = None
        if ride and self.fuse is not None and finish.delivery is not None and not self._draining:
            turn = self.fuse.make(finish.run_id, finish.delivery)
        sent = finish if turn is None else finish.riding(turn.commit)
        if holding is not None:
            self._unreported[id(holding)] = holding

        def answered(answer: Finished | None) -> None:
            self._unreported.pop(id(holding), None)
            self._settled(turn, None if answer is None else answer.committed)
            if answer is not None:  # None: this worker closes; a finish is not given up otherwise
                self._finished(finish, answer, alone=turn is None)

        def refused(error: Exception) -> None:
            self._unreported.pop(id(holding), None)
            self._settled(turn, None)
            self._refused(finish, holding, error, alone=turn is None)

        self._finishes.submit(sent, answered, refused)

    def _settled(self, turn: Any, committed: Committed | None) -> None:
        if turn is not None and self.fuse is not None:
            self.fuse.settled(turn, committed)

    def _finished(self, finish: TaskFinish, answer: Finished, *, alone: bool) -> None:
        self._clock.observe(answer.now)
        if answer.outcome is FinishOutcome.LOST:
            logger.warning(
                "outcome of a task of run %s refused: another worker holds it",
                finish.run_id,
                extra={"run_id": str(finish.run_id)},
            )
        if finish.kind in (FinishKind.RETRY, FinishKind.RETURN):
            self.wake.set()
        elif alone and finish.delivery is not None and answer.outcome is FinishOutcome.FINISHED:
            self.on_delivered()

    def _refused(self, finish: TaskFinish, holding: Holding | None, error: Exception, *, alone: bool) -> None:
        """The journal cannot store this very outcome. Without one the task would be tried as if lost."""
        logger.error(
            "outcome of a task of run %s refused: %s",
            finish.run_id,
            error,
            exc_info=error,
            extra={"run_id": str(finish.run_id)},
        )
        if not alone:  # it may have been the turn that rode along: the long way parks the run on it
            self._report(finish, holding, ride=False)
        elif finish.kind is FinishKind.DONE and holding is not None:
            self._report(self._outcomes.unstorable(holding.claim.task, error), holding, ride=False)

    async def _one_try(self, holding: Holding) -> TaskFinish:
        task = holding.claim.task
        known = self._find(holding.claim)
        if known is None:
            return handed_back(task, UNREADABLE_DELAY)
        if task.losses > known.activity.losses:
            return self._outcomes.lost(task)
        try:
            value = known.input.decode(task.payload)
        except (UnknownVersion, PayloadRefused) as error:
            logger.error("input of %s of run %s cannot be read: %s", task.activity, task.run_id, error)
            return handed_back(task, UNREADABLE_DELAY)
        if task.key is not None:
            reserved = await self._reserved(task)
            if reserved is not None:
                return reserved
        ended = await self._runner.run(known.activity, value, holding.attempt)
        return self._outcomes.of(known, task, ended)

    def _find(self, claim: TaskClaim) -> ActivityEntry | None:
        """The activity as its run's own definition has it; else, by name, as the newest machine has it."""
        entry = self._registry.find(claim.fingerprint)
        if entry is not None and claim.task.activity in entry.activities:
            return entry.activities[claim.task.activity]
        return self._activities.get(claim.task.activity)

    async def _reserved(self, task: Task) -> TaskFinish | None:
        """None when the body is ours to run; else how the task ends without it."""
        reservation = Reservation(
            task.activity, task.key or "", task.run_id, task.token, task.slot, self._lease
        )
        try:
            [answer] = await self._journal.reserve([reservation])
        except JournalUnavailable:
            return handed_back(task, BUSY_DELAY)
        if answer.outcome is ReserveOutcome.RESERVED:
            return None
        if answer.outcome is ReserveOutcome.DONE and answer.result is not None:
            return self._outcomes.done(task, answer.result)
        return handed_back(task, BUSY_DELAY)

    # --- what others tell of tasks held here ---

    def cancel(self, run_id: UUID, tokens: Sequence[int] | None) -> None:
        """State entries of a run are over (None: all of them): ask their bodies here to stop."""
        for key in tuple(self._of_run.get(run_id, ())):
            if tokens is None or key[1] in tokens:
                self._held[key].attempt.request_cancel()

    def holdings(self) -> list[Holding]:
        """All tasks whose body runs here. Safe to call from the renewing thread."""
        return list(self._held.values())

    def leased(self) -> list[Holding]:
        """These, and those whose outcome is still on its way to the journal: what must be renewed."""
        return [*list(self._held.values()), *list(self._unreported.values())]

    def _drop(self, holding: Holding) -> None:
        if self._held.get(holding.key) is not holding:
            return  # its lease ran out and this same worker claimed the task again: that holding stays
        del self._held[holding.key]
        keys = self._of_run.get(holding.key[0])
        if keys is not None:
            keys.discard(holding.key)
            if not keys:
                del self._of_run[holding.key[0]]

    def _give(self, queue: str) -> None:
        self._slots.give(queue)
        self.wake.set()

    # --- stopping ---

    def drain(self) -> None:
        """Claim nothing more; what runs goes on."""
        self._draining = True
        self.wake.set()

    def hurry(self) -> None:
        """Wait for no body any longer."""
        self._hurried = True
        self.wake.set()

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing runs here; False when that took longer, or there is no time to wait."""
        deadline = self._host.monotonic() + seconds
        while self._held:
            left = deadline - self._host.monotonic()
            if left <= 0 or self._hurried:
                return False
            self.wake.clear()
            await self.wake.wait(min(left, 0.2))
        return True

    def stop(self) -> None:
        """Cancel the bodies that still run."""
        for holding in self.holdings():
            if holding.job is not None:
                holding.job.cancel()

    async def stopped(self, seconds: float) -> None:
        """Wait until cancelled bodies have cleaned up; one that does not care is left to itself."""
        deadline = self._host.monotonic() + seconds
        jobs = [holding.job for holding in self.holdings() if holding.job is not None]
        while any(not job.done() for job in jobs) and self._host.monotonic() < deadline:
            self.wake.clear()
            await self.wake.wait(0.05)

    async def abandon(self, seconds: float) -> None:
        """Stop the bodies that still run, and offer their tasks to other workers at once.

        :param seconds: how long they may take to clean up.
        """
        holdings = self.holdings()
        self.stop()
        await self.stopped(seconds)
        told = [holding for holding in holdings if holding.details is not holding.stored]
        if told:
            await self._keep_details(told)
        for holding in holdings:
            self._finishes.submit(handed_back(holding.claim.task), lambda _answer: None)
