"""Deliveries in and out: nothing else inserts, deletes or buries one.

Rule: inserting never writes the run's row. Whatever deletes a delivery lets the window of its dedupe id
begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from continuum_core.journal.commit import Delivered, DeliverOutcome
from continuum_core.journal.records import ENDED, Delivery, DeliveryKind, Held
from continuum_sqlite import rows
from continuum_sqlite.rows import Row
from continuum_sqlite.statements.deliveries import (
    ADD_DEAD,
    ADD_DELIVERY,
    CLOSE_TIMERS,
    CONSUME,
    EMPTY_RUN,
    HAS_DUE,
    HOLD,
    NOTE_SEEN,
    PENDING_COUNT,
    PENDING_DUE,
    SEE_CONSUMED,
    SEEN,
    UNHOLD,
)
from continuum_sqlite.statements.runs import HEAD
from continuum_sqlite.transaction import Transaction

__all__ = [
    "close_timers",
    "consume",
    "deliver",
    "empty",
    "has_due",
    "hold",
    "insert",
    "note_seen",
    "read_head",
    "seen",
    "send",
    "unhold",
]

_OVER = "run over"
_UNKNOWN = "unknown run"


def read_head(transaction: Transaction, run_id: UUID) -> rows.Head | None:
    """What decides whether a write to the run stands; None for a run that is not in the namespace."""
    row: Row | None = transaction.execute(HEAD, (transaction.ns, run_id.bytes)).fetchone()
    return None if row is None else rows.Head(*row)


# --- in


def deliver(transaction: Transaction, deliveries: Sequence[Delivery]) -> list[Delivered]:
    """The verb: one answer per delivery."""
    pending: dict[UUID, int] = {}  # counted once per run: counting is what costs when many are waiting
    return [_deliver(transaction, delivery, pending) for delivery in deliveries]


def _deliver(transaction: Transaction, delivery: Delivery, pending: dict[UUID, int]) -> Delivered:
    due = rows.resolved_due(delivery, transaction.now)
    run_id = delivery.run_id
    if seen(transaction, delivery):  # asked before the status: a retry of an accepted one is no error
        return Delivered(DeliverOutcome.DUPLICATE, due)
    head = read_head(transaction, run_id)
    if head is None:
        return Delivered(DeliverOutcome.UNKNOWN_RUN, due)
    stored = transaction.execute(PENDING_DUE, (transaction.ns, run_id.bytes, delivery.id.bytes)).fetchone()
    if stored is not None:
        return Delivered(DeliverOutcome.ACCEPTED, stored[0])
    if head.status in ENDED:
        return Delivered(DeliverOutcome.RUN_OVER, due)
    if run_id not in pending:
        pending[run_id] = transaction.execute(PENDING_COUNT, (transaction.ns, run_id.bytes)).fetchone()[0]
    if pending[run_id] >= transaction.limits.pending:
        return Delivered(DeliverOutcome.FULL, due)
    pending[run_id] += 1
    insert(transaction, delivery)
    return Delivered(DeliverOutcome.ACCEPTED, due)


def seen(transaction: Transaction, delivery: Delivery) -> bool:
    """Whether its dedupe id was accepted: still pending, or consumed within the window."""
    if delivery.dedupe is None:
        return False
    since = transaction.now - transaction.limits.dedupe_window
    asked = (transaction.ns, delivery.run_id.bytes, delivery.dedupe, since)
    return transaction.execute(SEEN, asked).fetchone() is not None


def insert(transaction: Transaction, delivery: Delivery) -> None:
    """Store a delivery as free, and note its dedupe id as pending; an id that is pending stays as it is."""
    due = rows.resolved_due(delivery, transaction.now)
    transaction.execute(ADD_DELIVERY, rows.delivery_row(transaction.ns, delivery, due))
    if delivery.dedupe is not None:
        note_seen(transaction, delivery, consumed=False)


def note_seen(transaction: Transaction, delivery: Delivery, consumed: bool) -> None:
    at = transaction.now if consumed else None
    transaction.execute(NOTE_SEEN, (transaction.ns, delivery.run_id.bytes, delivery.dedupe, at))


def send(transaction: Transaction, delivery: Delivery, own: bool = False) -> None:
    """Deliver what a commit sends: it cannot be refused, so what reaches nobody is kept as dead.

    :param own: the target is the run that commits, which is there and takes all.
    """
    if seen(transaction, delivery):
        return
    if not own:
        head = read_head(transaction, delivery.run_id)
        if head is None or head.status in ENDED:
            due = rows.resolved_due(delivery, transaction.now)
            buried = rows.delivery_row(transaction.ns, delivery, due)
            _bury(transaction, buried, _UNKNOWN if head is None else _OVER)
            return
    if delivery.dedupe is not None:
        known = (transaction.ns, delivery.run_id.bytes, delivery.id.bytes)
        if transaction.execute(PENDING_DUE, known).fetchone() is not None:
            return  # it is pending under another dedupe id: it notes no second one
    insert(transaction, delivery)


# --- out


def consume(transaction: Transaction, run_id: UUID, delivery_id: UUID) -> None:
    """Delete a delivery that the run has taken; one that is not there is nobody's business."""
    gone = (transaction.ns, run_id.bytes, delivery_id.bytes)
    _see_consumed(transaction, run_id.bytes, transaction.execute(CONSUME, gone).fetchall())


def close_timers(transaction: Transaction, run_id: UUID, token: int) -> None:
    closed = transaction.execute(CLOSE_TIMERS, (transaction.ns, run_id.bytes, token)).fetchall()
    _see_consumed(transaction, run_id.bytes, closed)


def empty(transaction: Transaction, run_id: UUID) -> None:
    """Delete what a run that ended will never take; signals are kept as dead."""
    for row in transaction.execute(EMPTY_RUN, (transaction.ns, run_id.bytes)).fetchall():
        delivery_id, _, kind, payload, due, token, slot, dedupe, _, cause = row
        _see_consumed(transaction, run_id.bytes, [(dedupe,)])
        buried = (transaction.ns, run_id.bytes, delivery_id, due, kind, token, slot, dedupe, cause, payload)
        _bury(transaction, buried, _OVER)


def _see_consumed(transaction: Transaction, run_id: bytes, dedupes: Sequence[Row]) -> None:
    for (dedupe,) in dedupes:
        if dedupe is not None:
            transaction.execute(SEE_CONSUMED, (transaction.ns, run_id, dedupe, transaction.now))


def _bury(transaction: Transaction, row: Row, reason: str) -> None:
    """Keep a signal that reaches nobody. Timers and outcomes concern only the run itself: they go."""
    if row[4] == DeliveryKind.SIGNAL:
        transaction.execute(ADD_DEAD, (*row, reason, transaction.now))


# --- held


def hold(transaction: Transaction, run_id: bytes, delivery_id: bytes, held: Held) -> None:
    transaction.execute(HOLD, (transaction.ns, run_id, delivery_id, int(held)))


def unhold(transaction: Transaction, run_id: UUID, *reasons: Held) -> None:
    """Free what is held for one of `reasons`; the due time gives each its old place."""
    for held in reasons:
        transaction.execute(UNHOLD, (transaction.ns, run_id.bytes, int(held)))


def has_due(transaction: Transaction, run_id: UUID) -> bool:
    """Whether the run has a free delivery that is due."""
    asked = (transaction.ns, run_id.bytes, transaction.now)
    return transaction.execute(HAS_DUE, asked).fetchone() is not None
