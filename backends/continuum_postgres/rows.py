"""Rows of the database ⇄ values of the port. Whoever selects columns keeps the order stated here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal.attributes import Attribute
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
from continuum_postgres.session import Row

__all__ = [
    "Head",
    "attributes",
    "dead_letter",
    "definition",
    "delivery",
    "record",
    "resolved_due",
    "run",
    "run_claim",
    "task",
    "task_claim",
]

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
    commit_id: UUID | None
    tries: int
    machine: str


def run(row: Row, namespace: str) -> Run:
    """Of RUN_COLUMNS."""
    return Run(
        run_id=row[0],
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
        claim_id=row[13],
        commit_id=row[14],
        tries=row[15],
        parent=row[16],
        root=row[17],
        created=row[18],
        updated=row[19],
    )


def run_claim(row: Row, due: Sequence[Delivery], more: bool) -> RunClaim:
    """Of LEASED_RUNS, and the deliveries that are due."""
    return RunClaim(
        run_id=row[1],
        machine=row[2],
        fingerprint=row[3],
        generation=row[4],
        version=row[5],
        fence=row[6],
        base=row[7],
        snapshot=row[8],
        tries=row[9],
        lease_until=row[10],
        deliveries=tuple(due),
        more=more,
        has_deferred=row[13],
        parent=row[11],
        root=row[12],
    )


def record(row: Row) -> Record:
    return Record(row[0], row[1], _RECORD[row[2]], *row[3:])


def resolved_due(value: Delivery, now: Micros) -> Micros:
    """When a delivery may be claimed: as it says, else at once, but not before its sender's last one."""
    return max(now, value.floor) if value.due is None else value.due


def delivery(row: Sequence[object]) -> Delivery:
    """Of (id, run_id, kind, payload, due, token, slot, dedupe, held, cause)."""
    at: Row = tuple(row)
    return Delivery(
        id=at[0],
        run_id=at[1],
        kind=_KIND[at[2]],
        payload=at[3],
        due=at[4],
        token=at[5],
        slot=at[6],
        dedupe=at[7],
        held=_HELD[at[8]],
        cause=at[9],
    )


def dead_letter(row: Row) -> DeadLetter:
    return DeadLetter(delivery(row[:10]), row[10], row[11])


def task(row: Row) -> Task:
    """Of TASK_COLUMNS, which are in the order of the fields up to `undo`."""
    return Task(
        run_id=row[0],
        token=row[1],
        slot=row[2],
        activity=row[3],
        queue=row[4],
        priority=row[5],
        due=row[6],
        scheduled=row[7],
        payload=row[8],
        key=row[9],
        undo=row[10],
        attempt=row[11],
        losses=row[12],
        fence=row[13],
        lease_until=row[14],
        claim_id=row[15],
        cancel=row[16],
        details=row[17],
        failure=row[18],
        fairness=row[19],
    )


def task_claim(row: Row) -> TaskClaim:
    """Of (machine, fingerprint, TASK_COLUMNS)."""
    return TaskClaim(task(row[2:]), row[0], row[1])


def definition(row: Row) -> Definition:
    return Definition(*row)


def attributes(rows: Iterable[Row]) -> dict[int, tuple[Attribute, ...]]:
    """Of rows of (member, name, key), sorted: the attributes of each member."""
    found: dict[int, tuple[Attribute, ...]] = {}
    for (member, name), mine in groupby(rows, key=lambda row: (row[0], row[1])):
        found[member] = (*found.get(member, ()), Attribute(name, tuple(key for _, _, key in mine)))
    return found
