"""A reply as who asked gets it: a typed value, or why there is none."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from continuum_core.codec import codec_for
from continuum_core.definition.event import event_name, reply_type
from continuum_core.errors import AskRejected, UsageError
from continuum_core.mapper import REPLIED, decode_reply

__all__ = ["question", "reply_of"]


def question(given: object) -> tuple[str, Any]:
    """The name of a question, and what its reply is read as (None: as JSON values).

    Raises UsageError for an event that is none.
    """
    if isinstance(given, str):
        return given, None
    if isinstance(given, type):
        raise UsageError(f"ask with an instance: {given.__name__}(...), not the class")
    cls = type(given)
    reply = reply_type(cls)
    if reply is None:
        raise UsageError(
            f"{cls.__name__} is no question; declare class {cls.__name__}(Question[Reply]), or send() it"
        )
    return event_name(cls), reply


def reply_of(run: str, event: str, stored: bytes, reply: Any) -> Any:
    """The reply; JSON values where its type is not known. Raises AskRejected where the run had none."""
    body = decode_reply(stored)
    if body.kind != REPLIED or not isinstance(body.value, Raw):
        raise AskRejected(run, event, body.kind, body.states)
    value = bytes(body.value)
    return msgspec.json.decode(value) if reply is None else codec_for(reply).decode(value)
