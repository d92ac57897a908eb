"""An event for another run, as a value: what functions given as `send=` return."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attrs import frozen

__all__ = ["Message"]


@frozen
class Message:
    """An event for another run, made by `send=`.

    The run is named by `run` (its id as text) or by `machine` and `key`, the pair it was started with.
    """

    event: Any
    run: str | None = None
    machine: Any = None  # a Machine subclass or a machine's name
    key: str | None = None
    delay: timedelta | None = None
