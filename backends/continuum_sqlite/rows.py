"""Rows of the database ⇄ values of the port. Whoever selects columns keeps the order stated here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal.commit import RunClaim, TaskClaim
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
    "Head",
    "Row",
    "dead_letter",
    "definition",
    "delivery",
    "delivery_row",
    "ident",
    "record",
    "record_row",
    "resolved_due",
    "run",
    "run_claim",
    "task",
    "task_claim",
]

Row = tuple[Any, ...]
"""What SQLite returns; the columns' types are those of the schema, which STRICT enforces."""

_STATUS = {int(status): status for status in RunStatus}
_KIND = {int(kind): kind for kind in DeliveryKind}
_HELD = {int(held): held for held in Held}
_RECORD = {int(kind): kind for kind in RecordKind}


class Head(NamedTuple):
    """What decides whether a write to a run stands."""

    version: int
    status: int
    fence: int
    lease_until: Micros | None
    commit_id: bytes | None
    tries: int
    machine: str


def ident(value: UUID | None) -> bytes | None:
    return None if value is None else value.bytes


def _uuid(value: bytes | None) -> UUID | None:
    return None if value is None else UUID(bytes=value)


def run(row: Row, namespace: str) -> Run:
    return Run(
        run_id=UUID(bytes=row[0]),
        namespace=namespace,
        machine=row[1],
        fingerprint=row[2],
        key=row[3],
        digest=row[4],
        generation=row[5],
        version=row[6],
        status=_STATUS[row[7]],
        cause=row[8],
        snapshot=row[9],
        outcome=row[10],
        fence=row[11],
        lease_until=row[12],
        claim_id=_uuid(row[13]),
        commit_id=_uuid(row[14]),
        tries=row[15],
        parent=_uuid(row[16]),
        root=_uuid(row[17]),
        created=row[18],
        updated=row[19],
    )


def run_claim(row: Row, due: Sequence[Row], more: bool, has_deferred: bool) -> RunClaim:
    """Of a row of LEASE_RUN, and of rows of the deliveries that are due."""
    return RunClaim(
        run_id=UUID(bytes=row[0]),
        machine=row[1],
        fingerprint=row[2],
        generation=row[3],
        version=row[4],
        fence=row[5],
        base=_uuid(row[6]),
        snapshot=row[7],
        tries=row[8],
        lease_until=row[9],
        deliveries=tuple(delivery(one) for one in due),
        more=more,
        has_deferred=has_deferred,
        parent=_uuid(row[10]),
        root=_uuid(row[11]),
    )


def record(row: Row) -> Record:
    return Record(
        UUID(bytes=row[0]), row[1], _RECORD[row[2]], row[3], UUID(bytes=row[4]), UUID(bytes=row[5]), row[6]
    )


def record_row(ns: int, value: Record) -> Row:
    """Parameters of ADD_RECORD."""
    return (
        ns,
        value.run_id.bytes,
        value.version,
        int(value.kind),
        value.at,
        value.cause.bytes,
        value.commit_id.bytes,
        value.body,
    )


def resolved_due(value: Delivery, now: Micros) -> Micros:
    """When a delivery may be claimed: as it says, else at once, but not before its sender's last one."""
    return max(now, value.floor) if value.due is None else value.due


def delivery(row: Row) -> Delivery:
    return Delivery(
        id=UUID(bytes=row[0]),
        run_id=UUID(bytes=row[1]),
        kind=_KIND[row[2]],
        payload=row[3],
        due=row[4],
        token=row[5],
        slot=row[6],
        dedupe=row[7],
        held=_HELD[row[8]],
        cause=_uuid(row[9]),
    )


def delivery_row(ns: int, value: Delivery, due: Micros) -> Row:
    """Parameters of ADD_DELIVERY, and the first ones of ADD_DEAD."""
    return (
        ns,
        value.run_id.bytes,
        value.id.bytes,
        due,
        int(value.kind),
        value.token,
        value.slot,
        value.dedupe,
        ident(value.cause),
        value.payload,
    )


def dead_letter(row: Row) -> DeadLetter:
    return DeadLetter(delivery(row), row[10], row[11])


def task(row: Row) -> Task:
    return Task(
        run_id=UUID(bytes=row[0]),
        token=row[1],
        slot=row[2],
        activity=row[3],
        queue=row[4],
        priority=row[5],
        due=row[6],
        scheduled=row[7],
        payload=row[8],
        key=row[9],
        undo=bool(row[10]),
        attempt=row[11],
        losses=row[12],
        fence=row[13],
        lease_until=row[14],
        claim_id=_uuid(row[15]),
        cancel=bool(row[16]),
        details=row[17],
        failure=row[18],
        fairness=row[19],
    )


def task_claim(row: Row) -> TaskClaim:
    """Of a row of TASK: machine and fingerprint of the run come first."""
    return TaskClaim(task(row[2:]), row[0], row[1])


def definition(row: Row) -> Definition:
    return Definition(row[0], row[1], row[2], row[3])
