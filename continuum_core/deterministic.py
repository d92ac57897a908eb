"""Clock and chance for reducers, guards and input functions: the same on every replay.

A value is derived from the record it belongs to: its `now`, and a hash of the run's seed, the record's
version and the ordinal of the draw within the record. Nothing here reads a clock or a source of
chance, and nothing is stored: stepping the same event again draws the same values.

The interpreter marks the record being made with `drawing`, a context variable; outside of a step
there is nothing to derive from, and every function here says so.
"""

from __future__ import annotations

from contextvars import ContextVar
from datetime import date, datetime
from hashlib import blake2b
from typing import Protocol
from uuid import UUID

from continuum_core.clock import to_datetime
from continuum_core.errors import UsageError

__all__ = ["Draw", "drawing", "now", "patched", "random", "today", "uuid4"]

_FRACTION = 53  # bits of a float's significand: every such fraction is exact, and below 1


class Draw(Protocol):
    """The record that is being made, as far as chance and time are concerned."""

    now: int  # microseconds
    seed: bytes
    version: int
    drawn: int  # how many draws this record has made so far

    def patch(self, name: str) -> bool: ...


drawing: ContextVar[Draw | None] = ContextVar("continuum_core.deterministic.drawing", default=None)
"""The record that this thread (or task) is making, while a step calls a machine's functions."""


def now() -> datetime:
    """The time of the record being made, in UTC: of the journal's clock, the same on every replay.

    Raises UsageError outside of a machine's functions.
    """
    return to_datetime(_draw("now").now)


def today() -> date:
    """The date of `now`, in UTC. Raises UsageError outside of a machine's functions."""
    return now().date()


def random() -> float:
    """A number in [0, 1), the same on every replay. Raises UsageError outside of a machine's functions."""
    return (int.from_bytes(_octets("random", 8), "big") >> (64 - _FRACTION)) / (1 << _FRACTION)


def uuid4() -> UUID:
    """A UUID of version 4, the same on every replay. Raises UsageError outside of a machine's functions."""
    return UUID(bytes=_octets("uuid4", 16), version=4)


def patched(name: str) -> bool:
    """Whether this run goes the new way of a changed function: True for runs that began with it.

    Runs that were under way when the name first appeared in the machine's code go the old way: the answer
    is pinned when they first ask, and recorded. When no run goes the old way any more (`continuum audit
    patches` tells), it can be removed.

    :param name: of the change, written out, for the machine's code is read for it.

    Raises UsageError outside of a machine's functions, and for a name that its code was not seen to ask for.
    """
    return _draw("patched").patch(name)


def _octets(caller: str, size: int) -> bytes:
    draw = _draw(caller)
    draw.drawn += 1
    # Fixed widths: no two (version, ordinal) pairs may spell the same bytes.
    place = draw.version.to_bytes(8, "big") + draw.drawn.to_bytes(8, "big")
    return blake2b(place + draw.seed, digest_size=size).digest()


def _draw(caller: str) -> Draw:
    draw = drawing.get()
    if draw is None:
        raise UsageError(
            f"deterministic.{caller}() was called outside of a machine's guards, reducers and input "
            "functions, where there is no record to derive it from; in an activity or in ordinary "
            "code use the standard library"
        )
    return draw
