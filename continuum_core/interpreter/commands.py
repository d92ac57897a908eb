"""What a run may ask of the world. The interpreter returns these; the engine carries them out.

The id of a command is (run, version, position in the record), which makes it an idempotency key.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from continuum_core.definition.message import Message

__all__ = ["Close", "Command", "Message", "Send", "StartActivity", "StartTimer"]


@frozen
class Close:
    """The state entry `token` is over: its timers go, its activities are cancelled."""

    token: int


@frozen
class StartActivity:
    """Start activity number `slot` of `state` (its number), entered as `token`."""

    token: int
    slot: int
    state: int
    input: Any
    key: str | None = None


@frozen
class StartTimer:
    """Deliver `TimedOut(token, slot)` at `due`, microseconds of the journal's clock."""

    token: int
    slot: int
    state: int
    due: int


@frozen
class Send:
    """Deliver `message` once."""

    message: Message


Command = Close | StartActivity | StartTimer | Send
