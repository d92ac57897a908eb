"""The bodies of records: of steps, and of orders."""

from __future__ import annotations

from msgspec import UNSET, Raw

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
from continuum_core.interpreter.snapshot import Step
from continuum_core.journal.records import Delivery, Record
from continuum_core.mapper.asking import Asked
from continuum_core.mapper.ends import encode_outcome
from continuum_core.mapper.failures import failure_body
from continuum_core.mapper.images import Image
from continuum_core.registry import Entry

__all__ = ["decode_control", "decode_step", "encode_control", "encode_step"]


def encode_step(
    entry: Entry, before: Image, after: Image, step: Step, delivery: Delivery, asked: Asked
) -> bytes:
    """The body of a step's record; `asked` is what `ask` made of its commands."""
    body = StepBody(
        v=FORMAT,
        fingerprint=entry.fingerprint,
        event=EventBody(
            kind=int(delivery.kind),
            payload=Raw(delivery.payload) if delivery.payload else UNSET,
            token=delivery.token,
            slot=delivery.slot,
        ),
        disposition=step.disposition.value,
        states=entry.leaves(after.snapshot.configuration),
        edges=step.edges,
        commands=asked.bodies,
    )
    if after.context != before.context:
        _describe_change(body, before.context, after.context)
    if after.snapshot.patches is not before.snapshot.patches:
        old = before.snapshot.patches
        body.patches = {name: new for name, new in after.snapshot.patches.items() if name not in old}
    if after.snapshot.outcome is not None:
        body.outcome = Raw(encode_outcome(entry, after.snapshot.outcome))
    return write(body)


def _describe_change(body: StepBody, before: bytes, after: bytes) -> None:
    if not after.startswith(b"{"):
        body.context = Raw(after)
        return
    new = fields_of(after)
    old = fields_of(before) if before.startswith(b"{") else {}
    body.changed = {name: value for name, value in new.items() if name not in old or old[name] != value}


def decode_step(record: Record) -> StepBody:
    """Raises UnknownVersion."""
    return read(StepBody, record.body)


def encode_control(order: str, who: str, why: str, failure: Failure | None = None) -> bytes:
    body = ControlBody(v=FORMAT, order=order, who=who, why=why)
    if failure is not None:
        body.failure = failure_body(failure)
    return write(body)


def decode_control(record: Record) -> ControlBody:
    """Raises UnknownVersion."""
    return read(ControlBody, record.body)
