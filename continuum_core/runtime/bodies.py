"""One attempt: from a claimed task to how it ended.

The body runs outside any transaction (unless it asks for one), and what it returned or raised is reported
when its place is free again. What keeps a body from being run (an input that cannot be read, a result that
somebody has already) is an end like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from continuum_core.errors import (
    JournalUnavailable,
    PayloadRefused,
    UnknownVersion,
    UsageError,
)
from continuum_core.headers import task_input
from continuum_core.host import Host
from continuum_core.interpreter.ledger import AGAIN
from continuum_core.journal.commit import (
    Finished,
    FinishKind,
    Reservation,
    ReserveOutcome,
    TaskClaim,
    TaskFinish,
)
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Task
from continuum_core.journal.transactions import Transactional, transactional
from continuum_core.registry import ActivityEntry, Registry
from continuum_core.runtime.attempt import Attempt, Raised, Runner, failure_of
from continuum_core.runtime.holding import Held, Holding
from continuum_core.runtime.outcomes import Outcomes, handed_back
from continuum_core.runtime.places import Places
from continuum_core.runtime.reports import Reports
from continuum_core.runtime.transactional import Concluded, Steps, conclude
from continuum_core.runtime.watched import AttemptWatch
from continuum_core.unopened import locked

__all__ = ["Bodies"]

logger = logging.getLogger(__name__)

_json = msgspec.json.Decoder().decode

UNREADABLE_DELAY = 60_000_000
"""Microseconds until a task whose input this code cannot read is offered again: to a newer worker."""

BUSY_DELAY = 500_000
"""Microseconds until a task whose keyed result somebody else is producing looks again."""


class Bodies:
    """Runs bodies, each in a job of its own, and hands their ends to the reports.

    :param lease: microseconds a claim lasts unless renewed.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        registry: Registry,
        runner: Runner,
        outcomes: Outcomes,
        held: Held,
        places: Places,
        reports: Reports,
        lease: int,
        watch: AttemptWatch | None = None,
    ) -> None:
        self._host = host
        self._journal = journal
        self._transactional = transactional(journal)
        self._registry = registry
        self._runner = runner
        self._outcomes = outcomes
        self._held = held
        self._places = places
        self._reports = reports
        self._lease = lease
        self._watch = watch

    def begin(self, claim: TaskClaim) -> None:
        task = claim.task
        attempt = Attempt(
            run_id=task.run_id,
            machine=claim.machine,
            activity=task.activity,
            number=task.attempt + 1,
            losses=task.losses,
            key=(task.run_id, task.token, task.slot & ~AGAIN),
            details=None if task.details is None or locked(task.details) else _json(task.details),
        )
        holding = Holding(claim, attempt)
        if self._watch is not None:
            holding.watched = self._watch.facts(claim, attempt)
        self._held.add(holding)
        if task.cancel:
            holding.stop()
        holding.job = self._host.spawn(self._attempt(holding), task.activity)

    async def _attempt(self, holding: Holding) -> None:
        task = holding.claim.task
        turn: Any = None
        answer: Finished | None = None
        try:
            concluded = await self._one_try(holding)
            finish, turn, answer = concluded.finish, concluded.turn, concluded.answer
            if holding.details is not holding.stored and finish.kind in (FinishKind.RETRY, FinishKind.RETURN):
                await self.keep_details([holding])
        except Exception as error:  # no fault of the body's: those are data by now
            logger.critical("the runner failed with %s of run %s", task.activity, task.run_id, exc_info=True)
            finish = self._broken(holding, error)
        finally:  # also when the worker is stopped in the middle of the body
            self._held.drop(holding)
            holding.job = None  # else the task, its frame and its context last until the journal has answered
            self._places.give(task.queue)
        holding.ended = True
        if answer is not None:  # committed with what the body wrote, or rolled back with it
            self._reports.settled(turn, answer.committed)
            self._reports.finished(finish, answer, alone=turn is None)
            self._reports.tell(holding, finish, answer)
            return
        if holding.lost:
            self._reports.settled(turn, None)
            logger.warning(
                "task %s of run %s was taken over; its outcome here is dropped",
                task.activity,
                task.run_id,
                extra={"run_id": str(task.run_id)},
            )
            return
        if turn is None:
            self._reports.report(finish, holding)
        else:
            self._reports.submit(finish, turn, holding)

    async def keep_details(self, holdings: Sequence[Holding]) -> None:
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
        if holding.watched is None:  # one coroutine less, where no plugin listens
            ended = await self._runner.run(known.activity, value, holding.attempt)
            return Concluded(self._outcomes.of(known, task, ended))
        return Concluded(await self._run_body(holding, known, value))

    async def _run_body(self, holding: Holding, known: ActivityEntry, value: Any) -> TaskFinish:
        """Run the body once; how its task ends by it."""
        task, watch = holding.claim.task, self._watch
        body = self._runner.run(known.activity, value, holding.attempt)
        if watch is None or holding.watched is None:
            return self._outcomes.of(known, task, await body)
        ended, headers = await watch.around(holding.watched, body)
        return watch.carrying(self._outcomes.of(known, task, ended), headers)

    async def _in_transaction(
        self, journal: Transactional, kind: Any, holding: Holding, known: ActivityEntry, value: Any
    ) -> Concluded:
        task = holding.claim.task

        async def run(connection: Any) -> TaskFinish:
            attempt = holding.attempt
            attempt.connection = connection
            finish = await self._run_body(holding, known, value)
            attempt.connection = None
            attempt.watch(cancel=lambda: None)  # from here on a cancel is too late: the commit is not torn
            return handed_back(task) if holding.lost else finish

        def refuse(error: Exception) -> TaskFinish:
            fatal = isinstance(error, (*known.activity.retry.fatal, PayloadRefused, UsageError))
            return self._outcomes.raised(known, task, Raised(failure_of(error), fatal))

        return await conclude(
            journal,
            kind,
            Steps(
                run,
                self._reports.riding,
                refuse,
                lambda: handed_back(task, BUSY_DELAY),
                lambda turn: self._reports.settled(turn, None),
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
            if task.details is not None and (sealed := locked(task.details)) is not None:
                raise sealed  # what an earlier try has done: this one would do it again
            value = known.input.decode(task_input(task.payload))
        except (UnknownVersion, PayloadRefused) as error:
            why = locked(task.payload) or error
            logger.error("input of %s of run %s cannot be read: %s", task.activity, task.run_id, why)
            return handed_back(task, UNREADABLE_DELAY)
        return known, value

    def _find(self, claim: TaskClaim) -> ActivityEntry | None:
        """The activity as its run's own definition has it; else, by name, as the newest machine has it."""
        entry, name = self._registry.find(claim.fingerprint), claim.task.activity
        known = None if entry is None else entry.activities.get(name)
        return self._places.activities.get(name) if known is None else known

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
