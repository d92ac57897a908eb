"""An event for another run, as a value: what functions given as `send=` return."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attrs import field, frozen

from continuum_core.arguments import Length, length

__all__ = ["Message"]


def _delay(given: Length | None) -> timedelta | None:
    return None if given is None else length("delay", given)


@frozen
class Message:
    """An event for another run, made by `send=`.

    The run is named by `run` (its id as text) or by `machine` and `key`, the pair it was started with.
    It is delivered `delay` later: a `timedelta`, or seconds; one that is over already is none.
    """

    event: Any
    run: str | None = None
    machine: Any = None  # a Machine subclass or a machine's name
    key: str | None = None
    delay: timedelta | None = field(default=None, converter=_delay)
