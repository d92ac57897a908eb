"""Operators' orders, acted on whoever holds the run.

Rule: an order is known by its id, and a repeat is told what the first was told. One that changes a run
appends a record, bumps the fence and takes the lease away: the holder's commit is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from continuum_core.journal.commit import Order, Ordered, OrderKind, OrderOutcome
from continuum_core.journal.effects import EFFECTS, Effect
from continuum_core.journal.records import ENDED, Record, RecordKind, RunStatus
from continuum_sqlite import attributes, commits, deliveries, rows
from continuum_sqlite.rows import Head
from continuum_sqlite.statements.deliveries import CANCEL_PENDING, PENDING_START
from continuum_sqlite.statements.orders import ANSWERED_ORDER, NOTE_ORDER
from continuum_sqlite.statements.runs import ADD_RECORD, LAST_RECORD_AT, ORDER_RUN, SET_DIGEST
from continuum_sqlite.transaction import Transaction

__all__ = ["control"]


def control(transaction: Transaction, orders: Sequence[Order]) -> list[Ordered]:
    """The verb: one answer per order."""
    return [_control(transaction, order) for order in orders]


def _control(transaction: Transaction, order: Order) -> Ordered:
    since = transaction.now - transaction.limits.dedupe_window
    asked = (transaction.ns, order.id.bytes, since)
    known = transaction.execute(ANSWERED_ORDER, asked).fetchone()
    if known is not None:
        return Ordered(OrderOutcome(known[0]), RunStatus(known[1]))
    head = deliveries.read_head(transaction, order.run_id)
    if head is None:
        return Ordered(OrderOutcome.UNKNOWN_RUN, None)
    status = RunStatus(head.status)
    if status in ENDED:
        return Ordered(OrderOutcome.RUN_OVER, status)
    if order.version not in (None, head.version):
        return Ordered(OrderOutcome.MOVED, status)
    effect = EFFECTS[order.kind]
    if _needed(transaction, order, status, effect):
        _act(transaction, order, head, effect)
        answer = Ordered(OrderOutcome.DONE, effect.turns(status))
    else:
        answer = Ordered(OrderOutcome.UNCHANGED, status)
    kept = (order.id.bytes, transaction.now, answer.outcome.value, int(answer.status or 0))
    transaction.execute(NOTE_ORDER, (transaction.ns, *kept))
    return answer


def _needed(transaction: Transaction, order: Order, status: RunStatus, effect: Effect) -> bool:
    if order.kind is OrderKind.POSTPONE and not _starts(transaction, order):
        return False  # it has begun
    if status not in effect.before:
        return False
    if order.kind is OrderKind.CANCEL and status is RunStatus.RUNNING:
        asked = (transaction.ns, order.run_id.bytes)
        return transaction.execute(CANCEL_PENDING, asked).fetchone() is None
    return True


def _starts(transaction: Transaction, order: Order) -> list[UUID]:
    """What starts the run, if it waits still."""
    found = transaction.execute(PENDING_START, (transaction.ns, order.run_id.bytes)).fetchall()
    return [UUID(bytes=row[0]) for row in found]


def _postpone(transaction: Transaction, order: Order) -> None:
    transaction.execute(SET_DIGEST, (transaction.ns, order.run_id.bytes, order.digest))
    for start in _starts(transaction, order):
        deliveries.consume(transaction, order.run_id, start)
    if order.delivery is not None:
        deliveries.insert(transaction, order.delivery)


def _act(transaction: Transaction, order: Order, head: Head, effect: Effect) -> None:
    ns, now, run_id = transaction.ns, transaction.now, order.run_id
    last = transaction.execute(LAST_RECORD_AT, (ns, run_id.bytes, head.version)).fetchone()
    at = now if last is None else max(now, last[0])  # a run's records never go back in time
    version = head.version + 1
    record = Record(run_id, version, RecordKind.CONTROL, at, order.id, order.id, order.body)
    transaction.execute(ADD_RECORD, rows.record_row(ns, record))
    cause = order.cause if order.kind is OrderKind.SUSPEND else "" if effect.after is not None else None
    outcome = order.outcome if order.kind is OrderKind.TERMINATE else None
    changed = (version, int(effect.turns(RunStatus(head.status))), cause, outcome, order.id.bytes, now)
    transaction.execute(ORDER_RUN, (ns, run_id.bytes, *changed))
    deliveries.unhold(transaction, run_id, *effect.frees)
    if order.kind is OrderKind.CANCEL and order.delivery is not None:
        deliveries.consume(transaction, run_id, order.delivery.id)  # of an order that was forgotten since
        deliveries.insert(transaction, replace(order.delivery, due=0))  # before all others
    if order.kind is OrderKind.POSTPONE:
        _postpone(transaction, order)
    for delivery in order.sends:
        deliveries.send(transaction, delivery, own=False)
    attributes.describe(transaction, run_id, order.attributes)
    if effect.after in ENDED:
        commits.close_run(transaction, run_id)
