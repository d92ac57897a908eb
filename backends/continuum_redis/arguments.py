"""What the verbs take, written for the scripts. The order of fields is that of the readers in `scripts/`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from typing import TypeVar
from uuid import UUID

from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import (
    Commit,
    Member,
    NewRun,
    NewTask,
    Order,
    PrunePlan,
    Reply,
    Reservation,
    RunHold,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import ENDED, Definition, Delivery, Held, Record
from continuum_core.journal.replies import Asked
from continuum_redis.errors import UNFIT, port_error
from continuum_redis.wire import Writer, whole

__all__ = ["Arguments", "packed", "packed_member", "task_name"]

M = TypeVar("M")

# Fields that follow one another, made in one call each: of turns and what they carry there is most. What may
# be missing has a flag, and nothing of its kind in its place.
_TURN = struct.Struct(">16s????dd16s16sdd9II").pack
_DELIVERY = struct.Struct(">16s16sddddd???16s").pack
_TASK = struct.Struct(">dddd????16s").pack
_START = struct.Struct(">16s????I16s16s").pack
_ENDING = struct.Struct(">16sdddd?????").pack
# A record is packed as it is kept, like by `runs.packed_record` of the scripts (MessagePack): its length;
# kind, a time of 64 bits, two texts of 16 bytes, the head of a text of up to 2**32.
_RECORD = struct.Struct(">I B Bq B16s B16s BI").pack
_RECORD_HEAD = struct.calcsize("> B Bq B16s B16s BI")
_INT64, _TEXT16, _TEXT = 0xD3, 0xA0 | 16, 0xDB
_NO_ID = bytes(16)


def _id(value: UUID | None) -> bytes:
    return _NO_ID if value is None else value.bytes


def task_name(run: UUID, token: int, slot: int) -> bytes:
    """By which the scripts know a task."""
    return run.bytes + token.to_bytes(8, "big") + slot.to_bytes(4, "big")


class Arguments(Writer):
    """Arguments of one call of a script."""

    __slots__ = ()

    def delivery(self, delivery: Delivery) -> None:
        due, dedupe, cause = delivery.due, delivery.dedupe, delivery.cause
        head = _DELIVERY(
            delivery.id.bytes,
            delivery.run_id.bytes,
            delivery.kind,
            whole(delivery.token),
            whole(delivery.slot),
            whole(delivery.floor),
            whole(due or 0),
            due is not None,
            dedupe is not None,
            cause is not None,
            _id(cause),
        )
        self.texts(head, (dedupe or "").encode(), delivery.payload)

    # --- turns

    def turn(self, turn: Commit) -> None:
        fingerprint, cause = turn.fingerprint.encode(), turn.cause.encode()
        counts = (
            len(turn.records),
            len(turn.consumed),
            len(turn.hold),
            len(turn.deliveries),
            len(turn.tasks),
            len(turn.closed),
            len(turn.attributes),
            len(turn.starts),
            len(turn.members),
        )
        head = _TURN(
            turn.run_id.bytes,
            turn.fence is not None,
            turn.base is not None,
            turn.outcome is not None,
            turn.release,
            whole(turn.fence or 0),
            whole(turn.version),
            turn.base.bytes if turn.base else _NO_ID,
            turn.commit_id.bytes,
            turn.status,
            whole(turn.now),
            *counts,
            len(fingerprint),
        )
        self.raw(head, fingerprint)
        self.bytes(turn.snapshot)
        self.bytes(cause)
        if turn.outcome is not None:
            self.bytes(turn.outcome)
        for record in turn.records:
            self.record(record)
        self.raw(*(consumed.bytes for consumed in turn.consumed))
        for held in turn.hold:
            self._hold(held)
        for delivery in turn.deliveries:
            self.delivery(delivery)
        for task in turn.tasks:
            self._task(task)
        for token in turn.closed:
            self.number(token)
        for attribute in turn.attributes:
            self.attribute(attribute)
        self.list(self._reply, turn.replies)
        for new in turn.starts:
            self.start(new)
        for member in turn.members:
            self.member(member)
        self.flag(not turn.plain)
        if not turn.plain:
            self.number(turn.steps)
            self.number(turn.begins)
            self.flag(turn.eternal)
            self.list(self.number, [record.version for record in turn.records])

    def member(self, member: Member) -> None:
        self.number(member.token)
        self.number(member.number)
        self.bytes(member.body)

    def attribute(self, attribute: Attribute) -> None:
        self.text(attribute.name)
        self.list(self.bytes, attribute.keys)

    def _reply(self, reply: Reply) -> None:
        self.text(reply.dedupe)
        self.bytes(reply.body)

    def asked(self, asked: Asked) -> None:
        self.uuid(asked.run_id)
        self.text(asked.dedupe)

    def record(self, record: Record) -> None:
        ids = _TEXT16, record.cause.bytes, _TEXT16, record.commit_id.bytes
        size = len(record.body)
        head = _RECORD(_RECORD_HEAD + size, record.kind, _INT64, whole(record.at), *ids, _TEXT, size)
        self.raw(head, record.body)

    def _hold(self, hold: tuple[UUID, Held]) -> None:
        delivery_id, reason = hold
        self.uuid(delivery_id)
        self.number(reason)

    def _task(self, task: NewTask) -> None:
        head = _TASK(
            whole(task.token),
            whole(task.slot),
            whole(task.priority),
            whole(task.lease or 0),
            task.key is not None,
            task.undo,
            task.lease is not None,
            task.claim_id is not None,
            _id(task.claim_id),
        )
        named = task.activity.encode(), task.queue.encode(), task.fairness.encode()
        self.texts(head, *named, (task.key or "").encode(), task.payload)

    # --- members of batches

    def start(self, new: NewRun) -> None:
        head = _START(
            new.run_id.bytes,
            new.key is not None,
            new.parent is not None,
            new.root is not None,
            new.turn is not None,
            len(new.attributes),
            _id(new.parent),
            _id(new.root),
        )
        named = new.machine.encode(), new.fingerprint.encode()
        self.texts(head, *named, new.digest, (new.key or "").encode())
        self.delivery(new.delivery)
        if new.turn is not None:
            self.turn(new.turn)
        for attribute in new.attributes:
            self.attribute(attribute)

    def finish(self, ending: TaskFinish, settled: bool = False) -> None:
        head = _ENDING(
            ending.run_id.bytes,
            whole(ending.token),
            whole(ending.slot),
            whole(ending.fence),
            whole(ending.delay),
            ending.delivery is not None,
            ending.failure is not None,
            ending.result is not None,
            ending.turn is not None,
            settled,
        )
        self.texts(head, ending.kind.value.encode(), ending.failure or b"", ending.result or b"")
        if ending.delivery is not None:
            self.delivery(ending.delivery)
        if ending.turn is not None:
            self.turn(ending.turn)

    def order(self, order: Order) -> None:
        self.uuid(order.id)
        self.uuid(order.run_id)
        self.number(order.kind)
        self.bytes(order.body)
        self.text(order.cause)
        self.maybe(self.bytes, order.outcome)
        self.maybe(self.delivery, order.delivery)
        self.list(self.attribute, order.attributes)
        self.maybe(self.bytes, order.digest)
        self.maybe(self.number, order.version)
        self.list(self.delivery, order.sends)

    def reservation(self, asked: Reservation) -> None:
        self.text(asked.activity)
        self.text(asked.key)
        self.bytes(task_name(asked.run_id, asked.token, asked.slot))
        self.number(asked.lease)

    def run_hold(self, hold: RunHold) -> None:
        self.uuid(hold.run_id)
        self.number(hold.fence)

    def task_hold(self, hold: TaskHold, extended: bool = False) -> None:
        self.uuid(hold.run_id)
        self.number(hold.token)
        self.number(hold.slot)
        self.number(hold.fence)
        self.maybe(self.bytes, hold.details)
        self.flag(extended)

    def want(self, want: TaskWant, permit: bool = False) -> None:
        self.text(want.queue)
        self.number(want.limit)
        self.list(self.text, sorted(want.activities))
        self.maybe(self.number, want.cap)
        self.maybe(self.rate, want.rate)
        self.flag(permit)

    def rate(self, rate: Rate) -> None:
        self.number(rate.count)
        self.number(rate.per)
        self.number(rate.burst)

    def definition(self, definition: Definition) -> None:
        self.text(definition.fingerprint)
        self.text(definition.machine)
        self.number(definition.version)
        self.bytes(definition.body)

    def plan(self, plan: PrunePlan) -> None:
        self.number(plan.before)
        self.number(max(plan.limit, 0))
        self.maybe(self.text, plan.machine)
        self.flag(plan.dry_run)
        statuses: Collection[int] = plan.statuses & ENDED if plan.statuses else ENDED
        self.list(self.number, sorted(statuses))
        self.flag(plan.generations)


def packed(write: Callable[[Arguments], None]) -> bytes:
    """Arguments of a call. Raises PayloadRefused for what the scripts cannot hold."""
    to = Arguments()
    try:
        write(to)
    except UNFIT as error:
        raise port_error(error) from error
    return to.packed()


def packed_member(write: Callable[[Arguments, M], None], member: M) -> bytes:
    """Arguments of one member of a call, as `packed` makes them."""
    to = Arguments()
    try:
        write(to, member)
    except UNFIT as error:
        raise port_error(error) from error
    return to.packed()
