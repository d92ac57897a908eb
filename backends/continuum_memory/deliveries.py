"""Deliveries in and out: the only place that changes which are free, held, dead or seen.

`RunRow.deliveries` holds all of a run; `RunRow.free` and `Space.due` index those that are not held.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import Delivered, DeliverOutcome
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import DeadLetter, Delivery, DeliveryKind, Held
from continuum_memory.rows import RunRow, Space

__all__ = ["deliver", "insert", "remove", "remove_all", "seen", "send", "set_held", "unhold"]


def deliver(space: Space, limits: Limits, now: Micros, deliveries: Sequence[Delivery]) -> list[Delivered]:
    return [_deliver(space, limits, now, delivery) for delivery in deliveries]


def _deliver(space: Space, limits: Limits, now: Micros, delivery: Delivery) -> Delivered:
    due = resolved_due(delivery, now)
    run = space.runs.get(delivery.run_id)
    if seen(space, limits, now, delivery):  # before the status: a retry of an accepted one is no error
        return Delivered(DeliverOutcome.DUPLICATE, due)
    if run is None:
        return Delivered(DeliverOutcome.UNKNOWN_RUN, due)
    if (stored := run.deliveries.get(delivery.id)) is not None:
        return Delivered(DeliverOutcome.ACCEPTED, stored.due if stored.due is not None else due)
    if run.ended:
        return Delivered(DeliverOutcome.RUN_OVER, due)
    if len(run.deliveries) >= limits.pending:
        return Delivered(DeliverOutcome.FULL, due)
    insert(space, run, delivery, now)
    return Delivered(DeliverOutcome.ACCEPTED, due)


def send(space: Space, limits: Limits, now: Micros, delivery: Delivery) -> None:
    """Deliver what a commit sends: it cannot be refused, so what reaches nobody is kept as dead."""
    if seen(space, limits, now, delivery):
        return
    run = space.runs.get(delivery.run_id)
    if run is None or run.ended:
        stored = replace(delivery, due=resolved_due(delivery, now), floor=0, held=Held.NO)
        bury(space, stored, "unknown run" if run is None else "run over", now)
    elif delivery.id not in run.deliveries:
        insert(space, run, delivery, now)


def seen(space: Space, limits: Limits, now: Micros, delivery: Delivery) -> bool:
    """Whether its dedupe id was accepted: still pending, or consumed within the window."""
    if delivery.dedupe is None:
        return False
    name = (delivery.run_id, delivery.dedupe)
    if name not in space.seen:
        return False
    consumed = space.seen[name]
    return consumed is None or now < consumed + limits.dedupe_window


def resolved_due(delivery: Delivery, now: Micros) -> Micros:
    return max(now, delivery.floor) if delivery.due is None else delivery.due


def insert(space: Space, run: RunRow, delivery: Delivery, now: Micros) -> None:
    """Store a delivery as free, and note its dedupe id as pending.

    It takes the place of one with its id: an order that is repeated when its own id is forgotten brings the
    delivery that it brought before, which may still be held.
    """
    stored = replace(delivery, due=resolved_due(delivery, now), floor=0, held=Held.NO)
    if (older := run.deliveries.get(stored.id)) is not None:
        remove(space, run, older, now)
    run.deliveries[stored.id] = stored
    _index(space, run, stored)
    if stored.dedupe is not None:
        space.seen[run.run_id, stored.dedupe] = None
        space.replies.pop((run.run_id, stored.dedupe), None)


def remove(space: Space, run: RunRow, delivery: Delivery, now: Micros) -> None:
    """Delete a delivery; the window of its dedupe id begins."""
    del run.deliveries[delivery.id]
    if delivery.held is Held.NO:
        _unindex(space, run, delivery)
    else:
        del run.held[delivery.id]
    if delivery.dedupe is not None:
        space.seen[run.run_id, delivery.dedupe] = now


def remove_all(space: Space, run: RunRow, now: Micros) -> None:
    """Delete what a run that ended will never take."""
    for delivery in list(run.deliveries.values()):
        remove(space, run, delivery, now)
        bury(space, delivery, "run over", now)


def bury(space: Space, delivery: Delivery, reason: str, now: Micros) -> None:
    """Keep a signal that reaches nobody. Timers and outcomes concern only the run itself: they go."""
    if delivery.kind is DeliveryKind.SIGNAL:
        letters = space.dead.setdefault(delivery.run_id, {})
        letters.setdefault(delivery.id, DeadLetter(replace(delivery, held=Held.NO), reason, now))


def set_held(space: Space, run: RunRow, delivery_id: UUID, held: Held) -> None:
    """Mark one delivery of the run; an id that is not there (any more) is none's business."""
    delivery = run.deliveries.get(delivery_id)
    if delivery is None or delivery.held is held:
        return
    run.deliveries[delivery_id] = marked = replace(delivery, held=held)
    if delivery.held is Held.NO:
        _unindex(space, run, delivery)
    if held is Held.NO:
        del run.held[delivery_id]
        _index(space, run, marked)
    else:
        run.held[delivery_id] = held


def unhold(space: Space, run: RunRow, reasons: Iterable[Held]) -> None:
    """Free every delivery that is held for one of `reasons`; its due time gives it its old place."""
    wanted = frozenset(reasons)
    for delivery_id in [name for name, reason in run.held.items() if reason in wanted]:
        set_held(space, run, delivery_id, Held.NO)


def _index(space: Space, run: RunRow, delivery: Delivery) -> None:
    due = _due(delivery)
    run.free.add((due, delivery.id.int, delivery.id))
    space.due.add((due, delivery.id.int, run.run_id.int, run))


def _unindex(space: Space, run: RunRow, delivery: Delivery) -> None:
    due = _due(delivery)
    run.free.remove((due, delivery.id.int, delivery.id))
    space.due.remove((due, delivery.id.int, run.run_id.int, run))


def _due(stored: Delivery) -> Micros:
    if stored.due is None:
        raise AssertionError("a stored delivery has a due time")
    return stored.due
