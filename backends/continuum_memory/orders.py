"""Operators' orders: carried out at once, whoever holds the run."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import Order, Ordered, OrderKind, OrderOutcome
from continuum_core.journal.effects import EFFECTS
from continuum_core.journal.fences import next_fence
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import Delivery, DeliveryKind, Held, Record, RecordKind, RunStatus
from continuum_memory.claims import SUSPECT
from continuum_memory.deliveries import insert, remove, send, unhold
from continuum_memory.rows import RunRow, Space
from continuum_memory.turns import close_everything

__all__ = ["control"]


def control(space: Space, limits: Limits, now: Micros, orders: Sequence[Order]) -> list[Ordered]:
    return [_control(space, limits, now, order) for order in orders]


def _control(space: Space, limits: Limits, now: Micros, order: Order) -> Ordered:
    known = space.orders.get(order.id)
    if known is not None and now < known[0] + limits.dedupe_window:
        return known[1]
    run = space.runs.get(order.run_id)
    if run is None:
        return Ordered(OrderOutcome.UNKNOWN_RUN, None)
    if run.ended:
        return Ordered(OrderOutcome.RUN_OVER, run.status)
    if order.version not in (None, run.version):
        return Ordered(OrderOutcome.MOVED, run.status)
    outcome = OrderOutcome.UNCHANGED
    if (
        run.status in EFFECTS[order.kind].before
        and not _cancelled_already(run, order)
        and not _begun(run, order)
    ):
        _carry_out(space, run, order, now)
        for delivery in order.sends:
            send(space, limits, now, delivery)
        outcome = OrderOutcome.DONE
    answer = Ordered(outcome, run.status)
    space.orders[order.id] = (now, answer)
    return answer


def _cancelled_already(run: RunRow, order: Order) -> bool:
    return (
        order.kind is OrderKind.CANCEL
        and run.status is RunStatus.RUNNING
        and any(
            delivery.kind is DeliveryKind.CANCEL and delivery.held is Held.NO
            for delivery in run.deliveries.values()
        )
    )


def _begun(run: RunRow, order: Order) -> bool:
    """Whether there is no start left to postpone."""
    return order.kind is OrderKind.POSTPONE and not _starts(run)


def _starts(run: RunRow) -> list[Delivery]:
    return [each for each in run.deliveries.values() if each.kind is DeliveryKind.START]


def _carry_out(space: Space, run: RunRow, order: Order, now: Micros) -> None:
    _write_run(space, run, order, now)
    unhold(space, run, EFFECTS[order.kind].frees)
    match order.kind:
        case OrderKind.SUSPEND:
            run.status, run.cause = RunStatus.SUSPENDED, order.cause
        case OrderKind.TERMINATE:
            run.status, run.outcome = RunStatus.TERMINATED, order.outcome
            close_everything(space, run, now)
        case OrderKind.RESUME | OrderKind.UNPARK:
            run.status = RunStatus.RUNNING
        case OrderKind.SET:
            run.describe(order.attributes)
        case OrderKind.POSTPONE:
            run.digest = run.digest if order.digest is None else order.digest
            for start in _starts(run):
                remove(space, run, start, now)
            if order.delivery is not None:
                insert(space, run, order.delivery, now)
        case OrderKind.CANCEL:
            run.status = RunStatus.RUNNING
            if order.delivery is not None:  # due at the epoch: it sorts before all that waits
                insert(space, run, replace(order.delivery, due=0), now)


def _write_run(space: Space, run: RunRow, order: Order, now: Micros) -> None:
    """What every order does to a run: a record, a new fence that ends the holder's, fewer tries."""
    last = run.records[-1].at if run.records else now
    run.version += 1
    run.records.append(
        Record(
            run_id=run.run_id,
            version=run.version,
            kind=RecordKind.CONTROL,
            at=max(now, last),
            cause=order.id,
            commit_id=order.id,
            body=order.body,
        )
    )
    run.commit_id = order.id
    run.fence = next_fence(run.fence, now)
    space.unlease(run)
    run.tries = min(run.tries, SUSPECT)
    if order.kind not in (OrderKind.SET, OrderKind.POSTPONE):
        run.cause = ""
    run.updated = now
