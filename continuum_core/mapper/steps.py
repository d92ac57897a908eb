"""The bodies of records: of steps and forks, and of orders."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw

from continuum_core.envelope import (
    FORMAT,
    ControlBody,
    EventBody,
    StepBody,
    fields_of,
    read,
    write,
)
from continuum_core.interpreter.events import Failure
from continuum_core.interpreter.snapshot import Disposition, Step
from continuum_core.journal.attributes import Attribute, value_of
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RecordKind
from continuum_core.mapper.asking import Asked
from continuum_core.mapper.events import peek_event
from continuum_core.mapper.failures import failure_body
from continuum_core.mapper.images import Image, encode_image
from continuum_core.registry import Entry

__all__ = ["decode_control", "decode_step", "encode_control", "encode_step", "record_kind", "step_word"]


def encode_step(
    entry: Entry,
    before: Image,
    after: Image,
    step: Step,
    delivery: Delivery,
    asked: Asked,
    end: bytes | None,
) -> bytes:
    """The body of a step's or a fork's record.

    :param asked: what `ask` made of its commands.
    :param end: what `ending` made of the run after it.
    """
    event = _event(delivery)
    if entry.chart.deadline is not None and delivery.kind is DeliveryKind.START:
        event.due = delivery.due or 0  # what the deadline counts from
    if delivery.payload:
        event.payload = Raw(delivery.payload)
    body = StepBody(
        v=FORMAT,
        fingerprint=entry.fingerprint,
        event=event,
        states=entry.leaves(after.snapshot.configuration),
        edges=step.edges,
        commands=asked.bodies,
    )
    if step.disposition is not Disposition.TAKEN:
        body.disposition = step.disposition.value
    body.steps = before.unrecorded + 1
    if step.renewal is not None:
        body.generation = after.snapshot.generation
        body.anew = Raw(entry.input.encode(step.renewal.input))
        body.ended = entry.chart.states[step.renewal.state].path
    if step.renewal is not None or body.steps > 1:  # what was before counts no more, or is not told
        body.after = Raw(encode_image(entry, after.told()))
        body.patches = dict(after.snapshot.patches)
    else:
        _describe_changes(entry, body, before, after)
    if end is not None:
        body.outcome = Raw(end)
    return write(body)


def _describe_changes(entry: Entry, body: StepBody, before: Image, after: Image) -> None:
    if after.context != before.context:
        _describe_change(body, before.context, after.context)
    if after.snapshot.history != before.snapshot.history:
        states = entry.chart.states
        body.history = {states[n].path: entry.paths(mask) for n, mask in after.snapshot.history.items()}
    if after.snapshot.patches is not before.snapshot.patches:
        old = before.snapshot.patches
        body.patches = {name: new for name, new in after.snapshot.patches.items() if name not in old}


def _event(delivery: Delivery) -> EventBody:
    """What came, without its payload."""
    # A message of a run bears the name of the command that sent it as its dedupe id (`ask`). A client's
    # has no cause. The row is gone when somebody asks where the event came from.
    source = delivery.dedupe if delivery.kind is DeliveryKind.SIGNAL and delivery.cause is not None else None
    return EventBody(int(delivery.kind), token=delivery.token, slot=delivery.slot, source=source or "")


def _describe_change(body: StepBody, before: bytes, after: bytes) -> None:
    if not after.startswith(b"{"):
        body.context = Raw(after)
        return
    new = fields_of(after)
    old = fields_of(before) if before.startswith(b"{") else {}
    if not old.keys() <= new.keys():
        body.context = Raw(after)  # a list of what changed cannot say that a field went
        return
    body.changed = {name: value for name, value in new.items() if name not in old or old[name] != value}


def decode_step(record: Record) -> StepBody:
    """Raises UnknownVersion."""
    return read(StepBody, record.body)


def record_kind(delivery: DeliveryKind, step: Step) -> RecordKind:
    """What kind of record tells of a step."""
    if delivery is DeliveryKind.FORK:
        return RecordKind.FORK
    return RecordKind.STEP if step.renewal is None else RecordKind.GENERATION


def step_word(record: Record) -> str:
    """What came with a step, as a word. Raises UnknownVersion."""
    body = decode_step(record)
    payload = bytes(body.event.payload) if isinstance(body.event.payload, Raw) else b""
    word = peek_event(DeliveryKind(body.event.kind), payload, (body.event.token, body.event.slot))[0]
    return f"{word}, as new" if record.kind is RecordKind.GENERATION else word


def encode_control(
    order: str,
    who: str,
    why: str,
    failure: Failure | None = None,
    poison: Delivery | None = None,
    attributes: Sequence[Attribute] = (),
) -> bytes:
    """The body of an order's record; `poison` is what a parking stumbled on, `attributes` what was set."""
    body = ControlBody(v=FORMAT, order=order, who=who, why=why)
    if failure is not None:
        body.failure = failure_body(failure)
    if poison is not None:
        body.event = _event(poison)
    if attributes:
        body.attributes = {each.name: [str(value_of(key)) for key in each.keys] for each in attributes}
    return write(body)


def decode_control(record: Record) -> ControlBody:
    """Raises UnknownVersion."""
    return read(ControlBody, record.body)
