"""The failure of an activity, as a value: what reducers and guards of `error=` edges are given."""

from __future__ import annotations

from typing import Any

from attrs import frozen

__all__ = ["Failure"]


@frozen
class Failure:
    """An exception as data: nothing is imported or rebuilt by name from it.

    `type` is the qualified name of the exception's class and `bases` those of its ancestors, nearest
    first, so that an edge for a base class catches it. `traceback` is the remote text.
    """

    type: str
    message: str
    bases: tuple[str, ...] = ()
    traceback: str = ""
    details: Any = None

    def __str__(self) -> str:
        return self.traceback or f"{self.type}: {self.message}"
