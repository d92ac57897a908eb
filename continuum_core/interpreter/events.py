"""What may arrive at a run. Each value is one delivery, decoded.

A `Signal` carries an instance of a user's event class; the others are the engine's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from continuum_core.definition.failure import Failure

__all__ = ["Cancel", "Event", "Failed", "Failure", "Finished", "Signal", "Start", "TimedOut", "Undeclared"]


class Start(Struct, frozen=True, gc=False):
    """The first event of every run, with the typed input.

    `patches`: what was pinned when the run began, where that is known; None: every patch that the machine
    knows is then.

    :ivar deadline: when the run has to be over, in microseconds, where whoever started it said so.
    :ivar begun: when the run was to begin, from which a deadline that the machine declares counts; 0: now.
    """

    input: Any
    patches: Mapping[str, bool] | None = None
    deadline: int | None = None
    begun: int = 0


class Signal(Struct, frozen=True, gc=False):
    """A user's event: `event` is an instance of a class marked with `@event`."""

    event: Any


class TimedOut(Struct, frozen=True, gc=False):
    """Timer `slot` of the state entry `token` is due; or one of the run itself (`bounds`).

    :ivar reason: of `bounds.FORCED`: what failed at the deadline.
    """

    token: int
    slot: int
    reason: str = ""


class Finished(Struct, frozen=True, gc=False):
    """Activity `slot` of the state entry `token` succeeded with `output` (decoded).

    Or member `slot` of the crew `token` did.
    """

    token: int
    slot: int
    output: Any


class Failed(Struct, frozen=True, gc=False):
    """Activity `slot` of the state entry `token`, or member `slot` of the crew, failed for good."""

    token: int
    slot: int
    failure: Failure


class Cancel(Struct, frozen=True, gc=False):
    """Somebody asked the run to stop. A machine that declares nothing ends *cancelled* at once.

    `terminate`: its parent ends it, and the machine is not asked.
    """

    reason: str = ""
    terminate: bool = False


class Undeclared(Struct, frozen=True, gc=False):
    """A user's event that this definition never mentions, by name: no edge can want it.

    Clients are refused such events at the call; another run's `send=` may still bring one.
    """

    name: str


Event = Start | Signal | TimedOut | Finished | Failed | Cancel | Undeclared
