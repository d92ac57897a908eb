"""What a run may ask of the world. The interpreter returns these; the engine carries them out.

The id of a command is (run, version, position in the record), which makes it an idempotency key.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from continuum_core.definition.message import Message

__all__ = ["Close", "CloseRuns", "Command", "Message", "Send", "StartActivity", "StartRun", "StartTimer"]


class Close(Struct, frozen=True, gc=False):
    """The state entry `token` is over: its timers go, its activities are cancelled."""

    token: int


class StartActivity(Struct, frozen=True, gc=False):
    """Start activity number `slot` of `state` (its number), entered as `token`.

    :ivar activity: the name of one that no state invokes: an undo, or one that is asked again because what
        became of it is not known (`ledger`); else "".
    """

    token: int
    slot: int
    state: int
    input: Any
    key: str | None = None
    activity: str = ""


class StartRun(Struct, frozen=True, gc=False):
    """Start a child run: member `number` of crew `slot` of `state`; `token` is the crew's.

    :ivar awaited: it tells how it ended.
    """

    token: int
    number: int
    state: int
    slot: int
    input: Any
    awaited: bool = True


class CloseRuns(Struct, frozen=True, gc=False):
    """The crew `token` is over: what becomes of its child runs, of which `numbers` are under way.

    :ivar closing: ``"cancel"`` or ``"terminate"``.
    """

    token: int
    numbers: tuple[int, ...]
    closing: str


class StartTimer(Struct, frozen=True, gc=False):
    """Deliver `TimedOut(token, slot)` at `due`, microseconds of the journal's clock."""

    token: int
    slot: int
    state: int
    due: int


class Send(Struct, frozen=True, gc=False):
    """Deliver `message` once."""

    message: Message


Command = Close | StartActivity | StartTimer | Send | StartRun | CloseRuns
