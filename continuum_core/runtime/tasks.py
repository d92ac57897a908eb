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
from msgspec import Struct

from continuum_core.clock import Micros
from continuum_core.errors import (
    JournalUnavailable,
    PayloadRefused,
    UnknownVersion,
    UsageError,
)
from continuum_core.host import Flag, Host, Job
from continuum_core.interpreter.ledger import AGAIN
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
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Delivery, Task
from continuum_core.journal.transactions import Transactional, transactional
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
from continuum_core.runtime.transactional import Concluded, Steps, conclude

__all__ = ["FuseTurn", "Holding", "Tasks"]

logger = logging.getLogger(__name__)

UNREADABLE_DELAY = 60_000_000
"""Microseconds until a task whose input this code cannot read is offered again: to a newer worker."""

SUSPECT = 2
"""A task with so many losses is claimed alone."""

BUSY_DELAY = 500_000
"""Microseconds until a task whose keyed result somebody else is producing looks again."""


class Holding(Struct, eq=False):
    """A task in this worker's hands."""

    claim: TaskClaim
    attempt: Attempt
    job: Job | None = None
    details: bytes | None = None  # of the last heartbeat
    stored: bytes | None = None  # the ones that the journal knows
    lost: bool = False  # another worker holds it now: what the body returns is nobody's

    def report(self, details: Any) -> None:
        """The body told how far it has come."""
        self.details = msgspec.json.encode(details)

    def stop(self) -> None:
        """Ask the body to stop, unless what it does may be undone: then it must become known."""
        if not self.claim.task.undo:
            self.attempt.request_cancel()

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


class _Report(Struct, frozen=True):
    """An outcome on its way to the journal, with the turn that rides along.

    A class, for two closures would be a dozen objects for the garbage collector, at each step.
    """

    tasks: Tasks
    finish: TaskFinish
    turn: Any
    holding: Holding | None

    def answered(self, answer: Finished | None) -> None:
        self.tasks.reported(self, answer)

    def refused(self, error: Exception) -> None:
        self.tasks.unreported(self, error)


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
        self._transactional = transactional(journal)
        self._registry = registry
        self._runner = runner
        self._clock = clock
        self._outcomes = Outcomes(host, clock)
        self._finishes = finishes
        self._slots = slots
        self._lease = lease
        self._activities: Mapping[str, ActivityEntry] = {}
        self._queues: dict[str, frozenset[str]] = {}
        self._caps: dict[str, int | None] = {}
        self._rates: dict[str, Rate | None] = {}
        self._bound: frozenset[str] = frozenset()
        self._urgent: dict[str, int] = {}
        self._short: set[str] = set()
        self._kept: set[str] = set()  # where the last slot that came free went to the run that had it
        self._held: dict[UUID, dict[tuple[int, int], Holding]] = {}  # of each run, by (token, slot)
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
        declared = self._registry.queues()
        self._caps = {name: queue.limit for name, queue in declared.items()}
        self._rates = {
            name: None if queue.rate is None else Rate(*queue.rate.micros())
            for name, queue in declared.items()
        }
        limited = {name for name, queue in declared.items() if queue.limit or queue.rate}
        fair = {e.activity.queue for e in self._activities.values() if e.activity.fairness is not None}
        self._bound = frozenset(limited | fair)

    def wants(self) -> list[TaskWant]:
        free = self._slots.free()
        return [
            TaskWant(queue, free[queue], names, self._caps.get(queue), self._rates.get(queue))
            for queue, names in sorted(self._queues.items())
            if queue in free
        ]

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

    def born(self, task: NewTask, goes_on: bool = False) -> NewTask:
        """The same task, claimed at birth if a slot is free for it.

        In queues with limits or fairness none is: it would pass them by. Where tasks may be waiting for a
        slot, a run that begins leaves its own to the line, and so does all that is not of the queue's
        most urgent: they would overtake what was there first. A run that goes on may keep the slot of
        the activity which has just ended, every other time: it is through sooner, and the line moves.

        :param goes_on: the task follows an activity of its run that ended here.
        """
        queue = task.queue
        if self._draining or task.activity not in self._activities:
            return task
        if queue in self._bound or task.fairness:
            return task
        if queue in self._short and not (goes_on and self._may_keep(task)):
            return task
        if not self._slots.take(queue):
            self._short.add(queue)
            return task
        return task.claimed(self._lease, self._host.new_id())

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
                self._give(task.queue)

    def begin(self, claims: Sequence[TaskClaim]) -> None:
        for claim in claims:
            self._begin(claim)

    # --- running ---

    def _begin(self, claim: TaskClaim) -> None:
        task = claim.task
        key = f"{task.run_id}:{task.token}:{task.slot & ~AGAIN}"
        attempt = Attempt(
            run_id=task.run_id,
            machine=claim.machine,
            activity=task.activity,
            number=task.attempt + 1,
            losses=task.losses,
            key=key,
            details=None if task.details is None else msgspec.json.decode(task.details),
        )
        holding = Holding(claim, attempt)
        attempt.watch(report=holding.report)
        self._held.setdefault(task.run_id, {})[task.token, task.slot] = holding
        if task.cancel:
            holding.stop()
        holding.job = self._host.spawn(self._attempt(holding), f"{task.activity} of {key}")

    async def _attempt(self, holding: Holding) -> None:
        task = holding.claim.task
        turn: Any = None
        answer: Finished | None = None
        try:
            concluded = await self._one_try(holding)
            finish, turn, answer = concluded.finish, concluded.turn, concluded.answer
            if holding.details is not holding.stored and finish.kind in (FinishKind.RETRY, FinishKind.RETURN):
                await self._keep_details([holding])
        except Exception as error:  # no fault of the body's: those are data by now
            logger.critical("the runner failed with %s of run %s", task.activity, task.run_id, exc_info=True)
            finish = self._broken(holding, error)
        finally:  # also when the worker is stopped in the middle of the body
            self._drop(holding)
            self._give(task.queue)
        if answer is not None:  # committed with what the body wrote, or rolled back with it
            self._settled(turn, answer.committed)
            self._finished(finish, answer, alone=turn is None)
            return
        if holding.lost:
            self._settled(turn, None)
            logger.warning(
                "task %s of run %s was taken over; its outcome here is dropped",
                task.activity,
                task.run_id,
                extra={"run_id": str(task.run_id)},
            )
            return
        if turn is None:
            self._report(finish, holding)
        else:
            self._submit(finish, turn, holding)

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
        self._submit(finish, self._riding(finish) if ride else None, holding)

    def _riding(self, finish: TaskFinish) -> Any:
        """The run's next turn, if it can ride on this outcome."""
        if self.fuse is None or finish.delivery is None or self._draining:
            return None
        return self.fuse.make(finish.run_id, finish.delivery)

    def _submit(self, finish: TaskFinish, turn: Any, holding: Holding | None) -> None:
        sent = finish if turn is None else finish.riding(turn.commit)
        report = _Report(self, finish, turn, holding)
        if holding is not None:
            self._unreported[id(holding)] = holding
        self._finishes.submit(sent, report.answered, report.refused)

    def reported(self, report: _Report, answer: Finished | None) -> None:
        """The journal knows of an outcome (None: it was given up)."""
        finish, turn, holding = report.finish, report.turn, report.holding
        self._unreported.pop(id(holding), None)
        self._settled(turn, None if answer is None else answer.committed)
        if answer is not None:  # None: this worker closes; a finish is not given up otherwise
            self._finished(finish, answer, alone=turn is None)
            if holding is not None and holding.claim.task.queue in self._bound:
                self.wake.set()  # only now its place under the queue's cap is free

    def unreported(self, report: _Report, error: Exception) -> None:
        """The journal cannot store this very outcome."""
        self._unreported.pop(id(report.holding), None)
        self._settled(report.turn, None)
        self._refused(report.finish, report.holding, error, alone=report.turn is None)

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

    async def _one_try(self, holding: Holding) -> Concluded:
        task = holding.claim.task
        readied = self._readied(holding)
        if isinstance(readied, TaskFinish):
            return Concluded(readied)
        if task.key is not None:
            reserved = await self._reserved(task)
            if reserved is not None:
                return Concluded(reserved)
        known, value = readied
        journal, asked = self._transactional, known.activity.transaction
        if asked is not None and journal is not None:
            return await self._in_transaction(journal, asked[1], holding, known, value)
        ended = await self._runner.run(known.activity, value, holding.attempt)
        return Concluded(self._outcomes.of(known, task, ended))

    async def _in_transaction(
        self, journal: Transactional, kind: Any, holding: Holding, known: ActivityEntry, value: Any
    ) -> Concluded:
        task = holding.claim.task

        async def run(connection: Any) -> TaskFinish:
            attempt = holding.attempt
            attempt.connection = connection
            ended = await self._runner.run(known.activity, value, attempt)
            attempt.connection = None
            attempt.watch(cancel=lambda: None)  # from here on a cancel is too late: the commit is not torn
            return handed_back(task) if holding.lost else self._outcomes.of(known, task, ended)

        def refuse(error: Exception) -> TaskFinish:
            fatal = isinstance(error, (*known.activity.retry.fatal, UsageError))
            return self._outcomes.raised(known, task, Raised(failure_of(error), fatal))

        return await conclude(
            journal,
            kind,
            Steps(
                run,
                self._riding,
                refuse,
                lambda: handed_back(task, BUSY_DELAY),
                lambda turn: self._settled(turn, None),
            ),
        )

    def _readied(self, holding: Holding) -> TaskFinish | tuple[ActivityEntry, Any]:
        """What to run on which input; or how the task ends without its body."""
        task = holding.claim.task
        known = self._find(holding.claim)
        if known is None:
            return handed_back(task, UNREADABLE_DELAY)
        if (told := self._outcomes.told(task)) is not None:
            return told
        if task.losses > known.activity.losses:
            return self._outcomes.lost(task)
        try:
            value = known.input.decode(task.payload)
        except (UnknownVersion, PayloadRefused) as error:
            logger.error("input of %s of run %s cannot be read: %s", task.activity, task.run_id, error)
            return handed_back(task, UNREADABLE_DELAY)
        return known, value

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
        of_run = self._held.get(run_id)
        for (token, _), holding in () if of_run is None else list(of_run.items()):
            if tokens is None or token in tokens:
                holding.stop()

    def holds(self, run_id: UUID) -> bool:
        """Whether a body of this run is running here."""
        return run_id in self._held

    def holdings(self) -> list[Holding]:
        """All tasks whose body runs here. Safe to call from the renewing thread."""
        return [holding for of_run in list(self._held.values()) for holding in list(of_run.values())]

    def leased(self) -> list[Holding]:
        """These, and those whose outcome is still on its way to the journal: what must be renewed."""
        return [*self.holdings(), *list(self._unreported.values())]

    def _drop(self, holding: Holding) -> None:
        task = holding.claim.task
        # Holding and attempt know each other: apart, they need not wait for the garbage collector.
        holding.attempt.let_go()
        of_run = self._held.get(task.run_id)
        if of_run is None or of_run.get((task.token, task.slot)) is not holding:
            return  # its lease ran out and this same worker claimed the task again: that holding stays
        del of_run[task.token, task.slot]
        if not of_run:
            del self._held[task.run_id]

    def _give(self, queue: str) -> None:
        self._slots.give(queue)
        # Where none waits for a slot there is nothing to claim: what comes later announces itself.
        if queue in self._short or queue in self._bound or self._draining:
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
            # One that may be undone was stopped in the middle, and nobody knows what it did: that is a loss,
            # which its lease's end will count.
            if not holding.claim.task.undo:
                self._finishes.submit(handed_back(holding.claim.task), lambda _answer: None)
