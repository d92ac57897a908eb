"""Deliveries in and out: what is due, held, seen or dead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import Delivered, DeliverOutcome
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import DeadLetter, Delivery, DeliveryKind, Held
from continuum_dbm.rows import Seen, Space, ended

__all__ = ["deliver", "hold", "insert", "remove", "remove_all", "send", "unhold"]


def deliver(space: Space, limits: Limits, now: Micros, deliveries: Sequence[Delivery]) -> list[Delivered]:
    return [_deliver(space, limits, now, delivery) for delivery in deliveries]


def _deliver(space: Space, limits: Limits, now: Micros, delivery: Delivery) -> Delivered:
    due = _due(delivery, now)
    if _seen(space, limits, now, delivery):  # before the status: a retry of an accepted one is no error
        return Delivered(DeliverOutcome.DUPLICATE, due)
    run = space.runs.get(delivery.run_id)
    if run is None:
        return Delivered(DeliverOutcome.UNKNOWN_RUN, due)
    if (stored := space.deliveries.get(delivery.run_id, delivery.id)) is not None:
        return Delivered(DeliverOutcome.ACCEPTED, stored.due or 0)
    if ended(run):
        return Delivered(DeliverOutcome.RUN_OVER, due)
    if len(space.deliveries.of(run.run_id)) >= limits.pending:
        return Delivered(DeliverOutcome.FULL, due)
    insert(space, delivery, now)
    return Delivered(DeliverOutcome.ACCEPTED, due)


def send(space: Space, limits: Limits, now: Micros, delivery: Delivery) -> None:
    """Deliver what a commit sends: it cannot be refused, so what reaches nobody is kept as dead."""
    if _seen(space, limits, now, delivery):
        return
    run = space.runs.get(delivery.run_id)
    if run is None or ended(run):
        stored = replace(delivery, due=_due(delivery, now), floor=0, held=Held.NO)
        _bury(space, stored, "unknown run" if run is None else "run over", now)
    elif space.deliveries.get(delivery.run_id, delivery.id) is None:
        insert(space, delivery, now)


def insert(space: Space, delivery: Delivery, now: Micros) -> None:
    """Store a delivery as free, and note its dedupe id as pending."""
    space.deliveries.put(replace(delivery, due=_due(delivery, now), floor=0, held=Held.NO))
    if delivery.dedupe is not None:
        space.seen.put(Seen(delivery.run_id, delivery.dedupe, None))


def remove(space: Space, delivery: Delivery, now: Micros) -> None:
    """Delete a delivery; the window of its dedupe id begins."""
    space.deliveries.drop(delivery)
    if delivery.dedupe is not None:
        space.seen.put(Seen(delivery.run_id, delivery.dedupe, now))


def remove_all(space: Space, run_id: UUID, now: Micros) -> None:
    """Delete what a run that ended will never take."""
    for delivery in space.deliveries.of(run_id):
        remove(space, delivery, now)
        _bury(space, delivery, "run over", now)


def hold(space: Space, run_id: UUID, delivery_id: UUID, reason: Held) -> None:
    """Mark one delivery; an id that is not there (any more) is none's business."""
    delivery = space.deliveries.get(run_id, delivery_id)
    if delivery is not None and delivery.held is not reason:
        space.deliveries.put(replace(delivery, held=reason))


def unhold(space: Space, run_id: UUID, reasons: Iterable[Held]) -> None:
    """Free every delivery that is held for one of `reasons`."""
    wanted = frozenset(reasons)
    for delivery in space.deliveries.of(run_id):
        if delivery.held in wanted:
            space.deliveries.put(replace(delivery, held=Held.NO))


def _seen(space: Space, limits: Limits, now: Micros, delivery: Delivery) -> bool:
    """Whether its dedupe id was accepted: still pending, or consumed within the window."""
    if delivery.dedupe is None:
        return False
    seen = space.seen.get(delivery.run_id, delivery.dedupe)
    if seen is None:
        return False
    return seen.consumed is None or now < seen.consumed + limits.dedupe_window


def _due(delivery: Delivery, now: Micros) -> Micros:
    return max(now, delivery.floor) if delivery.due is None else delivery.due


def _bury(space: Space, delivery: Delivery, reason: str, now: Micros) -> None:
    """Keep a signal that reaches nobody. Timers and outcomes concern only the run itself: they go."""
    known = space.dead.get(delivery.run_id, delivery.id)
    if delivery.kind is DeliveryKind.SIGNAL and known is None:
        space.dead.put(DeadLetter(replace(delivery, held=Held.NO), reason, now))
