"""Operators' orders, acted on whoever holds the run.

Rule: the run is locked first, and acted on in later statements: a claim that holds back a delivery of a
paused run is over before resuming looks for it, or finds the run going. An order is known by its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from attrs import define, field
from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import Order, Ordered, OrderKind, OrderOutcome
from continuum_core.journal.effects import EFFECTS, Effect
from continuum_core.journal.records import ENDED, Delivery, Record, RecordKind, RunStatus
from continuum_postgres import arrays
from continuum_postgres.ahead import lock_tasks, tasks_of_order
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch, in_order, in_rounds
from continuum_postgres.deliveries import Looked, send, touched_by
from continuum_postgres.rounds import Touched
from continuum_postgres.rows import Head
from continuum_postgres.session import Ask, Session
from continuum_postgres.statements.deliveries import CANCELS, STARTS
from continuum_postgres.statements.orders import ANSWERED_ORDERS, NOTE_ORDERS, SET_DIGESTS
from continuum_postgres.statements.runs import LAST_RECORDS, LOCK_RUNS, ORDER_RUNS
from continuum_postgres.writes import Writes, by_run

__all__ = ["control"]


@define(eq=False)
class _Round:
    """What one round of orders reads and decides; a round has one order of a run."""

    writes: Writes
    looked: Looked
    known: dict[UUID, Ordered]
    heads: dict[UUID, Head] = field(factory=dict[UUID, Head])
    cancelling: dict[UUID, bool] = field(factory=dict[UUID, bool])
    starts: dict[UUID, list[UUID]] = field(factory=dict[UUID, "list[UUID]"])
    last: dict[UUID, Micros | None] = field(factory=dict[UUID, "Micros | None"])
    acted: list[tuple[Order, int, RunStatus]] = field(factory=list["tuple[Order, int, RunStatus]"])
    noted: list[tuple[UUID, Ordered]] = field(factory=list["tuple[UUID, Ordered]"])

    def decide(self, order: Order) -> Ordered:
        if order.id in self.known:
            return self.known[order.id]
        head = self.heads.get(order.run_id)
        if head is None:
            return Ordered(OrderOutcome.UNKNOWN_RUN, None)
        status = RunStatus(head.status)
        if status in ENDED:
            return Ordered(OrderOutcome.RUN_OVER, status)
        if order.version not in (None, head.version):
            return Ordered(OrderOutcome.MOVED, status)
        effect = EFFECTS[order.kind]
        if self._needed(order, status, effect):
            self._act(order, head, effect)
            answer = Ordered(OrderOutcome.DONE, effect.turns(status))
        else:
            answer = Ordered(OrderOutcome.UNCHANGED, status)
        self.noted.append((order.id, answer))
        return answer

    def _needed(self, order: Order, status: RunStatus, effect: Effect) -> bool:
        if order.kind is OrderKind.POSTPONE and not self.starts.get(order.run_id):
            return False  # it has begun
        if status not in effect.before:
            return False
        if order.kind is OrderKind.CANCEL and status is RunStatus.RUNNING:
            return not self.cancelling[order.run_id]
        return True

    def _act(self, order: Order, head: Head, effect: Effect) -> None:
        run_id, version = order.run_id, head.version + 1
        at = max(self.writes.now, self.last[run_id] or 0)  # a run's records never go back in time
        record = Record(run_id, version, RecordKind.CONTROL, at, order.id, order.id, order.body)
        self.writes.records.append(record)
        self.acted.append((order, version, effect.turns(RunStatus(head.status))))
        self.writes.describe(run_id, order.attributes)
        self.writes.free(run_id, *effect.frees)
        if order.kind is OrderKind.CANCEL and order.delivery is not None:
            self._cancel(replace(order.delivery, due=0))  # before all others
        if order.kind is OrderKind.POSTPONE and order.delivery is not None:
            self.writes.consumed += [(run_id, start) for start in self.starts[run_id]]
            send(self.writes, self.looked, order.delivery, run_id)
        for delivery in order.sends:
            send(self.writes, self.looked, delivery, run_id)
        if effect.after in ENDED:
            self.writes.end(run_id)

    def _cancel(self, delivery: Delivery) -> None:
        """It takes the place of what an order brought that was forgotten since, held or not."""
        self.writes.consumed.append((delivery.run_id, delivery.id))
        self.writes.plain.append(delivery)
        if delivery.dedupe is not None:
            self.looked.seen[delivery.run_id, delivery.dedupe] = True
            self.writes.seen.append((delivery.run_id, delivery.dedupe, None))

    def asks(self) -> list[Ask]:
        asks: list[Ask] = []
        if self.acted:
            orders = [order for order, _, _ in self.acted]
            changed = (
                Bigint(self.writes.now),
                *by_run(order.run_id for order in orders),
                arrays.bigints([version for _, version, _ in self.acted]),
                arrays.smallints([after for _, _, after in self.acted]),
                arrays.texts([_cause(order) for order in orders]),
                arrays.byteas([order.outcome for order in orders]),
                arrays.uuids([order.id for order in orders]),
            )
            asks.append((ORDER_RUNS, changed))
        if digests := [
            (order.run_id, order.digest) for order, _, _ in self.acted if order.digest is not None
        ]:
            set_ = (
                *by_run(run_id for run_id, _ in digests),
                arrays.byteas([digest for _, digest in digests]),
            )
            asks.append((SET_DIGESTS, set_))
        asks += self.writes.asks()
        if self.noted:
            noted = (
                arrays.uuids([name for name, _ in self.noted]),
                arrays.texts([answer.outcome.value for _, answer in self.noted]),
                arrays.smallints([answer.status or 0 for _, answer in self.noted]),
            )
            asks.append((NOTE_ORDERS, (Bigint(self.writes.now), *noted)))
        return asks


def _cause(order: Order) -> str | None:
    """The run's cause from then on; None: it stays."""
    if order.kind in (OrderKind.SET, OrderKind.POSTPONE):
        return None
    return order.cause if order.kind is OrderKind.SUSPEND else ""


async def control(session: Session, orders: Sequence[Order]) -> list[Ordered]:
    """The verb: one answer per order."""
    return await in_rounds(session, orders, _touched, _control, lambda order: order.run_id, _ahead)


async def _ahead(batch: Batch, orders: Sequence[Order]) -> None:
    if asked := lock_tasks(tasks for order in orders for tasks in tasks_of_order(order)):
        await batch.read(*asked)


def _touched(order: Order) -> Touched:
    sent = order.sends if order.delivery is None else (order.delivery, *order.sends)
    touch = touched_by(order.run_id, sent)
    return Touched((*touch.writes, order.id), touch.reads)


async def _control(batch: Batch, orders: Sequence[Order]) -> list[Ordered]:
    looked = Looked()
    for order in orders:
        if order.delivery is not None:
            looked.messages(order.run_id, (order.delivery,))
        looked.messages(order.run_id, order.sends)
    runs = in_order([order.run_id for order in orders])
    named = by_run(runs)
    asked: list[Ask] = [(LOCK_RUNS, named), (CANCELS, named), (LAST_RECORDS, named), *looked.asks()]
    if any(order.kind is OrderKind.POSTPONE for order in orders):
        asked.append((STARTS, named))
    locked = await batch.read(*asked)
    for row in locked[LOCK_RUNS]:
        batch.at(row[0])
    looked.read(locked, batch.forgotten)
    ids = arrays.uuids([order.id for order in orders])
    rows = await batch.read((ANSWERED_ORDERS, (ids, Bigint(batch.forgotten))))
    known = {
        name: Ordered(OrderOutcome(outcome), RunStatus(status))
        for name, outcome, status in rows[ANSWERED_ORDERS]
    }
    deciding = _Round(Writes(batch.now, batch.forgotten), looked, known)
    for run_id, head, cancel, last in zip(
        runs, locked[LOCK_RUNS], locked[CANCELS], locked[LAST_RECORDS], strict=True
    ):
        if head[1] is not None:
            deciding.heads[run_id] = Head(*head[1:])
        deciding.cancelling[run_id] = cancel[0]
        deciding.last[run_id] = last[0]
    for found in locked.get(STARTS, []):
        place: int = found[0]
        deciding.starts.setdefault(runs[place - 1], []).append(found[1])
    answers = [deciding.decide(order) for order in orders]
    await batch.write(*deciding.asks())
    return answers
