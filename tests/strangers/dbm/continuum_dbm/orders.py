"""Operators' orders: carried out at once, whoever holds the run."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import Order, Ordered, OrderKind, OrderOutcome
from continuum_core.journal.effects import EFFECTS
from continuum_core.journal.fences import next_fence
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind, Run, RunStatus
from continuum_dbm.claims import SUSPECT
from continuum_dbm.deliveries import insert, remove, unhold
from continuum_dbm.rows import Given, Space, ended
from continuum_dbm.turns import close_everything

__all__ = ["control"]


def control(space: Space, limits: Limits, now: Micros, orders: Sequence[Order]) -> list[Ordered]:
    return [_control(space, limits, now, order) for order in orders]


def _control(space: Space, limits: Limits, now: Micros, order: Order) -> Ordered:
    known = space.orders.get(order.id)
    if known is not None and now < known.at + limits.dedupe_window:
        return known.answer
    run = space.runs.get(order.run_id)
    if run is None:
        return Ordered(OrderOutcome.UNKNOWN_RUN, None)
    if ended(run):
        return Ordered(OrderOutcome.RUN_OVER, run.status)
    answer = Ordered(OrderOutcome.UNCHANGED, run.status)
    late = order.kind is OrderKind.POSTPONE and not _starts(space, run)
    if run.status in EFFECTS[order.kind].before and not _cancelled_already(space, run, order) and not late:
        answer = Ordered(OrderOutcome.DONE, _carry_out(space, run, order, now))
    space.orders.put(Given(order.id, now, answer))
    return answer


def _cancelled_already(space: Space, run: Run, order: Order) -> bool:
    return (
        order.kind is OrderKind.CANCEL
        and run.status is RunStatus.RUNNING
        and any(one.kind is DeliveryKind.CANCEL for one in space.free(run.run_id))
    )


def _starts(space: Space, run: Run) -> list[Delivery]:
    return [each for each in space.deliveries.of(run.run_id) if each.kind is DeliveryKind.START]


def _carry_out(space: Space, run: Run, order: Order, now: Micros) -> RunStatus:
    """A record, a new fence that ends the holder's, fewer tries, what the order is for; the status then."""
    history = space.history(run.run_id)
    record = Record(
        run_id=run.run_id,
        version=run.version + 1,
        kind=RecordKind.CONTROL,
        at=max(now, history[-1].at if history else now),
        cause=order.id,
        commit_id=order.id,
        body=order.body,
    )
    space.records.put(record)
    status = EFFECTS[order.kind].turns(run.status)
    kept = run.cause if order.kind is OrderKind.POSTPONE else ""
    space.runs.put(
        replace(
            run,
            version=record.version,
            status=status,
            cause=order.cause if order.kind is OrderKind.SUSPEND else kept,
            digest=order.digest or run.digest,
            outcome=order.outcome if order.kind is OrderKind.TERMINATE else run.outcome,
            commit_id=order.id,
            fence=next_fence(run.fence, now),
            lease_until=None,
            claim_id=None,
            tries=min(run.tries, SUSPECT),
            updated=now,
        )
    )
    unhold(space, run.run_id, EFFECTS[order.kind].frees)
    if order.kind is OrderKind.TERMINATE:
        close_everything(space, run.run_id, now)
    if order.kind is OrderKind.CANCEL and order.delivery is not None:  # it sorts before all that waits
        insert(space, replace(order.delivery, due=0), now)
    if order.kind is OrderKind.POSTPONE and order.delivery is not None:
        for start in _starts(space, run):
            remove(space, start, now)
        insert(space, order.delivery, now)
    return status
