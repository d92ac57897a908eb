"""Deliveries on their way in: what is known of their targets, and whether they are taken.

Rule: inserting never locks or writes a run's row. Of two senders under one dedupe id the row in `seen`
decides, when it is inserted; what was looked up before only spares the attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.commit import Commit, Delivered, DeliverOutcome, NewRun
from continuum_core.journal.records import ENDED, Delivery, DeliveryKind
from continuum_postgres import arrays
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch, Rows, in_rounds
from continuum_postgres.rounds import Touched
from continuum_postgres.rows import resolved_due
from continuum_postgres.session import Ask, Session
from continuum_postgres.statements.deliveries import PENDING, SEEN, SEND, TARGETS
from continuum_postgres.writes import Writes, by_run

__all__ = ["Looked", "deliver", "send", "touched_by"]

_OVER = "run over"
_UNKNOWN = "unknown run"


@define(eq=False)
class Looked:
    """What is asked about deliveries before they are decided upon, and then what was told.

    :ivar status: of the target runs; None for those that are not there.
    :ivar pending: how many deliveries each target has, counted as far as the cap.
    :ivar seen: (run, dedupe id) → whether it was accepted within the window.
    :ivar due: (run, delivery id) → the due time of one that is pending under this very id.
    """

    cap: int = 0
    status: dict[UUID, int | None] = field(factory=dict[UUID, "int | None"])
    pending: dict[UUID, int] = field(factory=dict[UUID, int])
    seen: dict[tuple[UUID, str], bool] = field(factory=dict[tuple[UUID, str], bool])
    due: dict[tuple[UUID, UUID], Micros | None] = field(factory=dict[tuple[UUID, UUID], "Micros | None"])

    def turn(self, turn: Commit) -> None:
        """Ask what decides about what a turn sends, and the child runs that it starts."""
        self.messages(turn.run_id, turn.deliveries)
        for new in turn.starts:
            self.status[new.run_id] = None
            self.cap = max(self.cap, 1)  # what an earlier run of that id left behind is not the new one's

    def messages(self, sender: UUID, deliveries: Iterable[Delivery]) -> None:
        """Ask what decides whether a run's messages are taken; those to itself without dedupe id are."""
        for delivery in deliveries:
            if delivery.run_id != sender:
                self.status[delivery.run_id] = None
            if delivery.dedupe is not None:
                self.seen[delivery.run_id, delivery.dedupe] = False
                self.due[delivery.run_id, delivery.id] = None

    def asks(self) -> list[Ask]:
        asks: list[Ask] = []
        if self.status:
            asks.append((TARGETS, (*by_run(self.status), Bigint(self.cap))))
        if self.seen:
            dedupes = arrays.texts([dedupe for _, dedupe in self.seen])
            asks.append((SEEN, (*by_run(run for run, _ in self.seen), dedupes)))
        if self.due:
            ids = arrays.uuids([name for _, name in self.due])
            asks.append((PENDING, (*by_run(run for run, _ in self.due), ids)))
        return asks

    def read(self, rows: Rows, forgotten: Micros) -> None:
        """Take in what was told."""
        for run_id, (_, status, pending) in zip(list(self.status), rows.get(TARGETS, ()), strict=True):
            self.status[run_id] = status
            self.pending[run_id] = pending
        for name, (_, there, consumed) in zip(list(self.seen), rows.get(SEEN, ()), strict=True):
            self.seen[name] = there and (consumed is None or consumed > forgotten)
        for key, (due,) in zip(list(self.due), rows.get(PENDING, ()), strict=True):
            self.due[key] = due


def touched_by(sender: UUID, deliveries: Iterable[Delivery], starts: Iterable[NewRun] = ()) -> Touched:
    """What a run that writes and sends depends on."""
    writes: list[object] = [sender, *(new.run_id for new in starts)]
    reads: list[object] = []
    for delivery in deliveries:
        if delivery.run_id != sender:
            reads.append(delivery.run_id)
            writes.append((delivery.run_id, delivery.id))
        if delivery.dedupe is not None:
            writes.append((delivery.run_id, delivery.dedupe))
    return Touched(tuple(writes), tuple(reads))


def send(writes: Writes, looked: Looked, delivery: Delivery, sender: UUID, over: bool = False) -> bool:
    """Have a message delivered, which cannot be refused; whether it will be there.

    :param over: the sender has ended, and takes nothing of its own any more.
    """
    dedupe = delivery.dedupe
    if dedupe is not None and looked.seen[delivery.run_id, dedupe]:
        return False
    status = looked.status.get(delivery.run_id)
    own = delivery.run_id == sender
    if over if own else status is None or status in ENDED:
        if delivery.kind is DeliveryKind.SIGNAL:  # timers and outcomes concern only the run itself
            writes.dead.append((delivery, _OVER if own or status is not None else _UNKNOWN))
        return False
    if dedupe is None:
        writes.plain.append(delivery)
        return True
    if looked.due[delivery.run_id, delivery.id] is not None:
        return False  # it is pending under another dedupe id, and notes no second one
    looked.seen[delivery.run_id, dedupe] = True
    writes.messages.append(delivery)
    return True


# --- the verb


async def deliver(session: Session, deliveries: Sequence[Delivery]) -> list[Delivered]:
    """The verb: one answer per delivery."""
    return await in_rounds(session, deliveries, _touched, _deliver)


def _touched(delivery: Delivery) -> Touched:
    names: list[object] = [(delivery.run_id, delivery.id)]
    if delivery.dedupe is not None:
        names.append((delivery.run_id, delivery.dedupe))
    return Touched(tuple(names))


async def _deliver(batch: Batch, deliveries: Sequence[Delivery]) -> list[Delivered]:
    looked = Looked(cap=batch.limits.pending)
    for delivery in deliveries:
        looked.status[delivery.run_id] = None
        looked.due[delivery.run_id, delivery.id] = None
        if delivery.dedupe is not None:
            looked.seen[delivery.run_id, delivery.dedupe] = False
    rows = await batch.look(*looked.asks())
    batch.at(rows[TARGETS][0][0])
    looked.read(rows, batch.forgotten)
    writes = Writes(batch.now, batch.forgotten)
    answers = [_answer(batch, looked, writes, delivery) for delivery in deliveries]
    told = await batch.write(*writes.asks())
    stored = {(run_id, name) for run_id, name in told.get(SEND, ())}
    for at, delivery in enumerate(deliveries):
        name = (delivery.run_id, delivery.id)
        sent = answers[at].outcome is DeliverOutcome.ACCEPTED and looked.due[name] is None
        if sent and delivery.dedupe is not None and name not in stored:  # another sender was faster
            answers[at] = Delivered(DeliverOutcome.DUPLICATE, answers[at].due)
    return answers


def _answer(batch: Batch, looked: Looked, writes: Writes, delivery: Delivery) -> Delivered:
    due = resolved_due(delivery, batch.now)
    run_id = delivery.run_id
    if delivery.dedupe is not None and looked.seen[run_id, delivery.dedupe]:
        return Delivered(DeliverOutcome.DUPLICATE, due)  # before the status: a retry is no error
    if looked.status[run_id] is None:
        return Delivered(DeliverOutcome.UNKNOWN_RUN, due)
    if (stored := looked.due[run_id, delivery.id]) is not None:
        return Delivered(DeliverOutcome.ACCEPTED, stored)
    if looked.status[run_id] in ENDED:
        return Delivered(DeliverOutcome.RUN_OVER, due)
    if looked.pending[run_id] >= batch.limits.pending:
        return Delivered(DeliverOutcome.FULL, due)
    looked.pending[run_id] += 1
    (writes.plain if delivery.dedupe is None else writes.messages).append(delivery)
    return Delivered(DeliverOutcome.ACCEPTED, due)
