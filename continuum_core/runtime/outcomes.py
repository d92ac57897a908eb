"""From how an attempt ended to what the journal is told: the finish of its task.

The policy of retries is decided here; a failure that may be tried again reopens the task, one that may
not is delivered to the run. Nothing here waits or writes.
"""

from __future__ import annotations

import logging
from typing import TypedDict

from attrs import evolve
from msgspec.structs import replace

from continuum_core.definition.failure import Failure
from continuum_core.definition.naming import qualified_name
from continuum_core.errors import CodecError, NeverStarted, PayloadRefused, WorkerLost
from continuum_core.host import Host
from continuum_core.interpreter.ledger import AGAIN
from continuum_core.journal.commit import FinishKind, TaskFinish
from continuum_core.journal.records import Delivery, DeliveryKind, Task
from continuum_core.journal_clock import JournalClock
from continuum_core.mapper import decode_failure, encode_failed, encode_failure, encode_output
from continuum_core.registry import ActivityEntry
from continuum_core.runtime.attempt import Cancelled, Ended, Raised, Succeeded

__all__ = ["Outcomes", "handed_back"]

logger = logging.getLogger(__name__)


class Counts(TypedDict):
    """How an activity came to its outcome."""

    activity: str
    tries: int
    losses: int


class Outcomes:
    """Makes finishes. Chance (jitter), ids and the journal's time come from its arguments."""

    def __init__(self, host: Host, clock: JournalClock) -> None:
        self._host = host
        self._clock = clock

    def of(self, known: ActivityEntry, task: Task, ended: Ended) -> TaskFinish:
        """How a body that ran ended its task."""
        if isinstance(ended, Cancelled):
            return _finish(task, FinishKind.CANCELLED)
        if isinstance(ended, Raised):
            return self.raised(known, task, _weighed(task, ended))
        return self._succeeded(known, task, ended)

    def _succeeded(self, known: ActivityEntry, task: Task, ended: Succeeded) -> TaskFinish:
        try:
            output = known.output.encode(ended.output)
        except (CodecError, PayloadRefused) as error:
            # It did its work and cannot say so: another try would do the work again.
            return self.unstorable(task, error)
        return self.done(task, output, keep=task.key is not None)

    def done(self, task: Task, output: bytes, *, keep: bool = False) -> TaskFinish:
        """Success, with the encoded output; `keep` stores it under the task's key for other runs."""
        payload = encode_output(output, activity=task.activity, tries=task.attempt + 1, losses=task.losses)
        delivery = self._delivery(task, payload)
        return _finish(task, FinishKind.DONE, delivery=delivery, result=output if keep else None)

    def raised(self, known: ActivityEntry, task: Task, ended: Raised) -> TaskFinish:
        """Another try, or failure for good, as the activity's policy says."""
        retry = known.activity.retry
        failures = task.attempt + 1
        delay = retry.delay(failures, self._host.random())
        settled = task.cancel and task.undo and not ended.failure.unknown  # nobody wants another try
        if settled or ended.fatal or not retry.again(failures, self._clock.estimate(), task.scheduled, delay):
            # What its policy calls fatal is one of the outcomes that its machine was made for.
            self._tell(task, ended.failure, logging.INFO if ended.fatal else logging.WARNING)
            return self.failed(task, ended.failure)
        logger.info(
            "%s of run %s failed (attempt %d): %s: %s; again in %.2f s",
            task.activity,
            task.run_id,
            failures,
            ended.failure.type,
            ended.failure.message,
            delay / 1e6,
            extra={"run_id": str(task.run_id)},
        )
        return _finish(task, FinishKind.RETRY, failure=encode_failure(ended.failure), delay=delay)

    def told(self, task: Task) -> TaskFinish | None:
        """What is known, without running it, of a task whose run wants to know what there is to undo.

        None where its body has to run (again): it is wanted, or a try of it may have done its work.
        """
        if not (task.cancel and task.undo) or task.losses or task.slot & AGAIN:
            return None
        if task.attempt == 0:
            return self.failed(task, Failure(type=qualified_name(NeverStarted), message=task.activity))
        last = None if task.failure is None else decode_failure(task.failure)
        return None if last is None or last.unknown else self.failed(task, last)

    def lost(self, task: Task) -> TaskFinish:
        """Failure for good: too many workers died in the middle of it."""
        name = qualified_name(WorkerLost)
        bases = tuple(qualified_name(c) for c in WorkerLost.__mro__[1:-1])
        message = f"{task.losses} workers died while they ran {task.activity}"
        failure = Failure(type=name, message=message, bases=bases)
        self._tell(task, failure, logging.WARNING)
        return self.failed(task, failure)

    def unstorable(self, task: Task, error: Exception) -> TaskFinish:
        """Failure for good: what it returned cannot be stored."""
        bases = tuple(qualified_name(c) for c in type(error).__mro__[1:-1])
        message = f"{task.activity} returned what cannot be stored: {error}"
        failure = Failure(type=qualified_name(type(error)), message=message, bases=bases)
        self._tell(task, failure, logging.WARNING)
        return self.failed(task, failure)

    def _tell(self, task: Task, failure: Failure, level: int) -> None:
        logger.log(
            level,
            "%s of run %s failed for good (attempt %d): %s: %s",
            task.activity,
            task.run_id,
            task.attempt + 1,
            failure.type,
            failure.message,
            extra={"run_id": str(task.run_id)},
        )

    def failed(self, task: Task, failure: Failure) -> TaskFinish:
        """Failure for good, delivered to the run."""
        delivery = self._delivery(task, encode_failed(failure, **_counts(task)))
        return _finish(task, FinishKind.FAILED, delivery=delivery, failure=encode_failure(failure))

    def _delivery(self, task: Task, payload: bytes) -> Delivery:
        return Delivery(
            id=self._host.new_id(),
            run_id=task.run_id,
            kind=DeliveryKind.OUTCOME,
            payload=payload,
            token=task.token,
            slot=task.slot,
        )


def _weighed(task: Task, ended: Raised) -> Raised:
    """What may have to be undone is not known to have failed because its last try did."""
    if not task.undo:
        return ended
    before = None if task.failure is None else decode_failure(task.failure)
    unsure = task.losses > 0 or (before is not None and before.unknown)
    return replace(ended, failure=evolve(ended.failure, unsure=True)) if unsure else ended


def handed_back(task: Task, delay: int = 0) -> TaskFinish:
    """Never begun, or undone whole: claimable again after `delay` microseconds, and nothing is counted."""
    return _finish(task, FinishKind.RETURN, delay=delay)


def _counts(task: Task) -> Counts:
    """What the record of an outcome tells of the task, whose row is gone then."""
    return Counts(activity=task.activity, tries=task.attempt + 1, losses=task.losses)


def _finish(
    task: Task,
    kind: FinishKind,
    *,
    delivery: Delivery | None = None,
    failure: bytes | None = None,
    delay: int = 0,
    result: bytes | None = None,
) -> TaskFinish:
    return TaskFinish(
        run_id=task.run_id,
        token=task.token,
        slot=task.slot,
        fence=task.fence,
        kind=kind,
        delivery=delivery,
        failure=failure,
        delay=delay,
        result=result,
        keyed=None if result is None else (task.activity, task.key or ""),
    )
