"""The load of a measurement: runs whose payloads have one size, and that nobody but the measurement takes."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from attrs import frozen

from continuum_core.clock import Micros
from continuum_core.journal.commit import (
    Commit,
    FinishKind,
    NewRun,
    NewTask,
    RunClaim,
    TaskClaim,
    TaskFinish,
    TaskWant,
)
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind, RunStatus

__all__ = ["FINGERPRINT", "LEASE", "Load"]

FINGERPRINT = "bench"
LEASE = 600_000_000
_ACTIVITY = "bench"
_QUEUE = "bench"


@frozen
class Load:
    """Makes what the verbs are given.

    :ivar payload: bytes of every payload, snapshot and record.
    """

    new_id: Callable[[], UUID]
    payload: bytes

    def run(self) -> NewRun:
        run_id = self.new_id()
        start = Delivery(id=self.new_id(), run_id=run_id, kind=DeliveryKind.START, payload=self.payload)
        return NewRun(run_id, "bench", FINGERPRINT, b"digest", start)

    def signal(self, run_id: UUID) -> Delivery:
        return Delivery(id=self.new_id(), run_id=run_id, kind=DeliveryKind.SIGNAL, payload=self.payload)

    def turn(self, claim: RunClaim, now: Micros, *, records: int = 1, task: bool = False) -> Commit:
        """One that consumes all that was handed over; with a task the run goes on, without it ends."""
        commit_id = self.new_id()
        versions = range(claim.version + 1, claim.version + 1 + records)
        kept = tuple(
            Record(claim.run_id, version, RecordKind.STEP, now, commit_id, commit_id, self.payload)
            for version in versions
        )
        new = NewTask(token=1, slot=0, activity=_ACTIVITY, queue=_QUEUE, priority=0, payload=self.payload)
        return Commit(
            run_id=claim.run_id,
            fence=claim.fence,
            version=claim.version,
            base=claim.base,
            commit_id=commit_id,
            fingerprint=FINGERPRINT,
            status=RunStatus.RUNNING if task else RunStatus.COMPLETED,
            snapshot=self.payload,
            records=kept,
            now=now,
            outcome=None if task else self.payload,
            consumed=tuple(delivery.id for delivery in claim.deliveries),
            tasks=(new,) if task else (),
        )

    def want(self, limit: int) -> TaskWant:
        return TaskWant(queue=_QUEUE, limit=limit, activities=frozenset({_ACTIVITY}))

    def finish(self, claim: TaskClaim) -> TaskFinish:
        task = claim.task
        outcome = Delivery(
            id=self.new_id(),
            run_id=task.run_id,
            kind=DeliveryKind.OUTCOME,
            payload=self.payload,
            token=task.token,
            slot=task.slot,
        )
        return TaskFinish(task.run_id, task.token, task.slot, task.fence, FinishKind.DONE, outcome)
