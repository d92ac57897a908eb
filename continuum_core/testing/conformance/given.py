"""Values that the kit's tests hand to a journal: short to write, and nothing in them by chance.

Payloads are opaque, so the kit's runs have the simplest fold there is: the snapshot is the bodies of
all steps, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from uuid_utils.compat import uuid7

from continuum_core.clock import Micros
from continuum_core.journal.commit import (
    Commit,
    FinishKind,
    NewRun,
    NewTask,
    Order,
    OrderKind,
    Reservation,
    RunClaim,
    RunHold,
    TaskClaim,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind, Run, RunStatus, Task

__all__ = [
    "ACTIVITY",
    "FAR",
    "FINGERPRINT",
    "HOUR",
    "MACHINE",
    "MOMENT",
    "QUEUE",
    "TAKES",
    "finish",
    "first_turn",
    "folded",
    "fused",
    "hold_run",
    "hold_task",
    "new_id",
    "new_run",
    "new_task",
    "order",
    "outcome",
    "records",
    "reservation",
    "signal",
    "timer",
    "turn",
    "want",
]

MACHINE = "kit"
FINGERPRINT = "kit-1"
TAKES = frozenset({FINGERPRINT})
ACTIVITY = "act"
QUEUE = "queue"

MOMENT = 1
"""A lease or window, µs, that is over as soon as somebody looks again."""

HOUR = 3_600_000_000
"""A lease or window, µs, that no test outlives."""

FAR: Micros = 4_102_444_800_000_000
"""A due time that no test lives to see: the year 2100."""


def new_id() -> UUID:
    """A new id that sorts after all that were made before."""
    return uuid7()


def new_run(run_id: UUID | None = None, **changes: Any) -> NewRun:
    name = new_id() if run_id is None else run_id
    delivery = Delivery(id=new_id(), run_id=name, kind=DeliveryKind.START, payload=b"start")
    plain = NewRun(run_id=name, machine=MACHINE, fingerprint=FINGERPRINT, digest=b"digest", delivery=delivery)
    return replace(plain, **changes)


def signal(run_id: UUID, payload: bytes = b"signal", **changes: Any) -> Delivery:
    plain = Delivery(id=new_id(), run_id=run_id, kind=DeliveryKind.SIGNAL, payload=payload)
    return replace(plain, **changes)


def timer(run_id: UUID, due: Micros, token: int = 1, slot: int = 0) -> Delivery:
    return Delivery(
        id=new_id(),
        run_id=run_id,
        kind=DeliveryKind.TIMER,
        payload=b"timer",
        due=due,
        token=token,
        slot=slot,
    )


def outcome(task: Task, payload: bytes = b"outcome") -> Delivery:
    return Delivery(
        id=new_id(),
        run_id=task.run_id,
        kind=DeliveryKind.OUTCOME,
        payload=payload,
        token=task.token,
        slot=task.slot,
    )


def new_task(token: int = 1, slot: int = 0, **changes: Any) -> NewTask:
    plain = NewTask(token=token, slot=slot, activity=ACTIVITY, queue=QUEUE, priority=0, payload=b"task")
    return replace(plain, **changes)


def want(
    limit: int = 100,
    queue: str = QUEUE,
    activities: Sequence[str] = (ACTIVITY,),
    cap: int | None = None,
    rate: Rate | None = None,
) -> TaskWant:
    return TaskWant(queue=queue, limit=limit, activities=frozenset(activities), cap=cap, rate=rate)


# --- turns -----------------------------------------------------------------------------------------


def records(
    run_id: UUID, version: int, commit_id: UUID, bodies: Sequence[bytes], at: Micros
) -> tuple[Record, ...]:
    """Steps after `version`, one for each body."""
    return tuple(
        Record(
            run_id=run_id,
            version=version + number,
            kind=RecordKind.STEP,
            at=at,
            cause=commit_id,
            commit_id=commit_id,
            body=body,
        )
        for number, body in enumerate(bodies, start=1)
    )


def turn(claim: RunClaim, now: Micros, bodies: Sequence[bytes] = (b"step;",), **changes: Any) -> Commit:
    """The turn of a claimed run that consumes all it was handed, unless `changes` say otherwise."""
    commit_id = changes.pop("commit_id", None) or new_id()
    plain = Commit(
        run_id=claim.run_id,
        fence=claim.fence,
        version=claim.version,
        base=claim.base,
        commit_id=commit_id,
        fingerprint=claim.fingerprint,
        status=RunStatus.RUNNING,
        snapshot=claim.snapshot + b"".join(bodies),
        records=records(claim.run_id, claim.version, commit_id, bodies, now),
        now=now,
        consumed=tuple(delivery.id for delivery in claim.deliveries),
    )
    return replace(plain, **changes)


def fused(
    run: Run,
    now: Micros,
    consumed: Sequence[UUID] = (),
    bodies: Sequence[bytes] = (b"fused;",),
    **changes: Any,
) -> Commit:
    """A turn computed ahead, from what a worker still knows of the run."""
    commit_id = changes.pop("commit_id", None) or new_id()
    plain = Commit(
        run_id=run.run_id,
        fence=None,
        version=run.version,
        base=run.commit_id,
        commit_id=commit_id,
        fingerprint=run.fingerprint,
        status=RunStatus.RUNNING,
        snapshot=run.snapshot + b"".join(bodies),
        records=records(run.run_id, run.version, commit_id, bodies, now),
        now=now,
        consumed=tuple(consumed),
    )
    return replace(plain, **changes)


def first_turn(new: NewRun, now: Micros, **changes: Any) -> Commit:
    """The first turn of a run, computed before there is one."""
    commit_id = new_id()
    plain = Commit(
        run_id=new.run_id,
        fence=None,
        version=0,
        base=None,
        commit_id=commit_id,
        fingerprint=new.fingerprint,
        status=RunStatus.RUNNING,
        snapshot=b"first;",
        records=records(new.run_id, 0, commit_id, (b"first;",), now),
        now=now,
        consumed=(new.delivery.id,),
    )
    return replace(plain, **changes)


def folded(history: Sequence[Record]) -> bytes:
    """What the kit's runs fold to; orders change no snapshot."""
    return b"".join(record.body for record in history if record.kind is RecordKind.STEP)


# --- what a holder says ------------------------------------------------------------------------------


def hold_run(claim: RunClaim) -> RunHold:
    return RunHold(run_id=claim.run_id, fence=claim.fence)


def hold_task(claim: TaskClaim, details: bytes | None = None) -> TaskHold:
    task = claim.task
    return TaskHold(run_id=task.run_id, token=task.token, slot=task.slot, fence=task.fence, details=details)


def finish(claim: TaskClaim, kind: FinishKind = FinishKind.DONE, **changes: Any) -> TaskFinish:
    """The end of an attempt; one that ends the task carries its outcome, unless `changes` say otherwise."""
    task = claim.task
    delivers = kind in (FinishKind.DONE, FinishKind.FAILED)
    plain = TaskFinish(
        run_id=task.run_id,
        token=task.token,
        slot=task.slot,
        fence=task.fence,
        kind=kind,
        delivery=outcome(task) if delivers else None,
    )
    return replace(plain, **changes)


def reservation(task: Task, lease: int = HOUR, key: str = "key") -> Reservation:
    return Reservation(
        activity=task.activity, key=key, run_id=task.run_id, token=task.token, slot=task.slot, lease=lease
    )


def order(kind: OrderKind, run_id: UUID, **changes: Any) -> Order:
    plain = Order(id=new_id(), run_id=run_id, kind=kind, body=b"who and why")
    if kind is OrderKind.CANCEL:
        cancel = Delivery(id=new_id(), run_id=run_id, kind=DeliveryKind.CANCEL, payload=b"cancel")
        plain = replace(plain, delivery=cancel)
    return replace(plain, **changes)
