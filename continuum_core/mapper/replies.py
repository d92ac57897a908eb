"""What a turn tells whoever asked: the reply of the edge that took the question, or why there is none.

A question is a signal whose dedupe id begins with `ASK`: the row alone tells that the turn is to answer it.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from continuum_core.definition.event import takes_none
from continuum_core.envelope import FORMAT, ReplyBody, SignalBody, read, write
from continuum_core.interpreter.macrostep import awaits
from continuum_core.interpreter.snapshot import Disposition, Snapshot, Step
from continuum_core.journal.commit import Reply
from continuum_core.journal.records import Delivery, DeliveryKind
from continuum_core.registry import Entry

__all__ = [
    "ASK",
    "GUARDED",
    "REPLIED",
    "UNANSWERED",
    "UNEXPECTED",
    "decode_reply",
    "encode_reply",
    "is_asked",
]

ASK = "ask:"
"""How the dedupe ids of questions begin."""

REPLIED = "reply"
GUARDED = "guarded"  # edges wait for it here, and none of their guards held
UNEXPECTED = "unexpected"  # no edge waits for it here
UNANSWERED = "unanswered"  # it was taken, by an edge that says nothing

_NULL = b"null"


def is_asked(delivery: Delivery) -> bool:
    """Whether somebody waits for what becomes of the event."""
    dedupe = delivery.dedupe
    return delivery.kind is DeliveryKind.SIGNAL and dedupe is not None and dedupe.startswith(ASK)


def encode_reply(entry: Entry, before: Snapshot, delivery: Delivery, step: Step) -> Reply | None:
    """The answer to a question that a step consumed; None for one that it did not."""
    if step.disposition not in (Disposition.TAKEN, Disposition.UNHANDLED):
        return None
    name = read(SignalBody, delivery.payload).type
    return Reply(delivery.dedupe or "", write(_body(entry, before, name, step)))


def _body(entry: Entry, before: Snapshot, name: str, step: Step) -> ReplyBody:
    states = entry.leaves(before.configuration)
    cls: Any = entry.chart.events.get(name)
    if step.disposition is Disposition.UNHANDLED:
        waits = cls is not None and awaits(entry.program, before, cls)
        return ReplyBody(FORMAT, GUARDED if waits else UNEXPECTED, states=states)
    codec = entry.replies.get(name)
    if codec is not None and step.reply is not None:
        return ReplyBody(FORMAT, REPLIED, Raw(codec.encode(step.reply.value)))
    if codec is not None and takes_none(codec.tp):
        return ReplyBody(FORMAT, REPLIED, Raw(_NULL))
    return ReplyBody(FORMAT, UNANSWERED, states=states)


def decode_reply(data: bytes) -> ReplyBody:
    """Raises UnknownVersion."""
    return read(ReplyBody, data)
