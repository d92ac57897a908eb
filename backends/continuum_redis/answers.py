"""What the scripts answer, read as values of the port. The order of fields is that of `scripts/`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import (
    Claims,
    CommitOutcome,
    Committed,
    Delivered,
    DeliverOutcome,
    DueEntry,
    Finished,
    FinishOutcome,
    Inspection,
    Member,
    Ordered,
    OrderOutcome,
    Reserved,
    ReserveOutcome,
    RunClaim,
    Started,
    StartOutcome,
    TaskClaim,
    TaskClaims,
)
from continuum_core.journal.records import (
    DeadLetter,
    Definition,
    Delivery,
    DeliveryKind,
    Held,
    Record,
    RecordKind,
    Run,
    RunStatus,
    Task,
)

__all__ = [
    "attributes",
    "claims",
    "committed",
    "definition",
    "delivered",
    "delivery",
    "due_entry",
    "due_order",
    "finished",
    "first_due",
    "inspection",
    "member",
    "members",
    "ordered",
    "record",
    "reserved",
    "run",
    "started",
    "task",
    "task_claims",
]

Reply = Any
"""What the driver made of a reply: bytes, whole numbers, None, and lists of these."""


def _uuid(value: bytes | None) -> UUID | None:
    return None if value is None else UUID(bytes=value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


# --- rows


def run(reply: Reply, namespace: str) -> Run:
    (
        run_id, machine, fingerprint, key, digest, generation, version, status, cause, snapshot, outcome,
        fence, lease_until, claim_id, commit_id, tries, parent, root, created, updated,
    ) = reply  # fmt: skip
    return Run(
        run_id=UUID(bytes=run_id),
        namespace=namespace,
        machine=machine.decode(),
        fingerprint=fingerprint.decode(),
        key=_text(key),
        digest=digest,
        generation=generation,
        version=version,
        status=RunStatus(status),
        cause=cause.decode(),
        snapshot=snapshot,
        outcome=outcome,
        fence=fence,
        lease_until=lease_until,
        claim_id=_uuid(claim_id),
        commit_id=_uuid(commit_id),
        tries=tries,
        parent=_uuid(parent),
        root=_uuid(root),
        created=created,
        updated=updated,
    )


def record(reply: Reply, run_id: UUID) -> Record:
    version, kind, at, cause, commit_id, body = reply
    return Record(run_id, version, RecordKind(kind), at, UUID(bytes=cause), UUID(bytes=commit_id), body)


def delivery(reply: Reply, run_id: UUID) -> Delivery:
    delivery_id, kind, payload, due, token, slot, dedupe, held, cause = reply
    return Delivery(
        id=UUID(bytes=delivery_id),
        run_id=run_id,
        kind=DeliveryKind(kind),
        payload=payload,
        due=due,
        token=token,
        slot=slot,
        dedupe=_text(dedupe),
        held=Held(held),
        cause=_uuid(cause),
    )


def task(reply: Reply) -> Task:
    (
        run_id, token, slot, activity, queue, priority, due, scheduled, payload, key, undo, attempt, losses,
        fence, lease_until, claim_id, cancel, details, failure, fairness,
    ) = reply  # fmt: skip
    return Task(
        run_id=UUID(bytes=run_id),
        token=token,
        slot=slot,
        activity=activity.decode(),
        queue=queue.decode(),
        priority=priority,
        due=due,
        scheduled=scheduled,
        payload=payload,
        key=_text(key),
        undo=bool(undo),
        attempt=attempt,
        losses=losses,
        fence=fence,
        lease_until=lease_until,
        claim_id=_uuid(claim_id),
        cancel=bool(cancel),
        details=details,
        failure=failure,
        fairness=fairness.decode(),
    )


def _task_claim(reply: Reply) -> TaskClaim:
    row, machine, fingerprint = reply
    return TaskClaim(task(row), machine.decode(), fingerprint.decode())


def definition(reply: Reply) -> Definition:
    fingerprint, machine, version, body = reply
    return Definition(fingerprint.decode(), machine.decode(), version, body)


# --- turns

_COMMIT_OUTCOMES = {outcome.value.encode(): outcome for outcome in CommitOutcome}


def committed(reply: Reply) -> Committed:
    if isinstance(reply, int):  # the time alone, where nothing else is to be told
        return Committed(CommitOutcome.COMMITTED, reply, False, ())
    outcome, now, more, tasks = reply
    held = tuple(map(_task_claim, tasks)) if tasks else ()
    return Committed(_COMMIT_OUTCOMES[outcome], now, bool(more), held)


def _riding(reply: Reply) -> Committed | None:
    return None if reply is None else committed(reply)


def started(reply: Reply) -> Started:
    outcome, now, status, turn = reply
    return Started(StartOutcome(outcome.decode()), now, RunStatus(status), _riding(turn))


def finished(reply: Reply) -> Finished:
    outcome, now, turn, _ = reply
    return Finished(FinishOutcome(outcome.decode()), now, _riding(turn))


def delivered(reply: Reply) -> Delivered:
    outcome, due = reply
    return Delivered(DeliverOutcome(outcome.decode()), due)


def ordered(reply: Reply) -> Ordered:
    outcome, status = reply
    return Ordered(OrderOutcome(outcome.decode()), None if status is None else RunStatus(status))


def reserved(reply: Reply) -> Reserved:
    outcome, result, until = reply
    return Reserved(ReserveOutcome(outcome.decode()), result, until)


# --- claims


def claims(reply: Reply) -> Claims:
    now, runs, reached, next_due, _ = reply
    return Claims(now, tuple(sorted(map(_run_claim, runs), key=first_due)), due_entry(reached), next_due)


def due_entry(reply: Reply) -> DueEntry | None:
    return None if reply is None else DueEntry(reply[0], UUID(bytes=reply[1]))


def _run_claim(reply: Reply) -> RunClaim:
    (
        run_id, machine, fingerprint, generation, version, fence, base, snapshot, tries, lease_until, more,
        has_deferred, parent, root, due,
    ) = reply  # fmt: skip
    ident = UUID(bytes=run_id)
    return RunClaim(
        run_id=ident,
        machine=machine.decode(),
        fingerprint=fingerprint.decode(),
        generation=generation,
        version=version,
        fence=fence,
        base=_uuid(base),
        snapshot=snapshot,
        tries=tries,
        lease_until=lease_until,
        deliveries=tuple(delivery(each, ident) for each in due),
        more=bool(more),
        has_deferred=bool(has_deferred),
        parent=_uuid(parent),
        root=_uuid(root),
    )


def first_due(claim: RunClaim) -> tuple[Micros, int, int]:
    """Claims are handed over in the order of what is due first, a repeat's too."""
    first = claim.deliveries[0] if claim.deliveries else None
    if first is None or first.due is None:
        return (0, 0, claim.run_id.int)
    return (first.due, first.id.int, claim.run_id.int)


def task_claims(reply: Reply) -> TaskClaims:
    now, tasks, next_due, _ = reply
    return TaskClaims(now, tuple(map(_task_claim, tasks)), next_due)


# --- reading


def inspection(reply: Reply, namespace: str) -> Inspection:
    row, waiting, tasks, places, dead = reply
    shown = run(row, namespace)
    letters = [DeadLetter(delivery(each, shown.run_id), reason.decode(), at) for each, reason, at in dead]
    return Inspection(
        run=shown,
        deliveries=tuple(sorted((delivery(each, shown.run_id) for each in waiting), key=due_order)),
        tasks=tuple(map(task, tasks)),
        dead=tuple(sorted(letters, key=lambda letter: (letter.at, letter.delivery.id.int))),
        places=tuple(places),
    )


def due_order(delivery: Delivery) -> tuple[Micros, int]:
    return (delivery.due if delivery.due is not None else 0, delivery.id.int)


def attributes(reply: Reply) -> tuple[Attribute, ...]:
    return tuple(Attribute(name.decode(), tuple(keys)) for name, keys in reply)


def member(token: int, reply: bytes) -> Member:
    """As it is kept: its number, then what came of it."""
    return Member(token, int.from_bytes(reply[:4], "big"), reply[4:])


def members(reply: Reply) -> tuple[Member, ...]:
    """Of all crews of a run: of each its token, and its members."""
    found = [member(int(token), each) for token, kept in reply for each in kept]
    return tuple(sorted(found, key=lambda each: (each.token, each.number)))
