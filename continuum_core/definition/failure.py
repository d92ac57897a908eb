"""The failure of an activity, as a value: what reducers and guards of `error=` edges are given."""

from __future__ import annotations

from typing import Any

from attrs import frozen

__all__ = ["Failure"]


_UNKNOWN = frozenset(
    {
        "TimeoutError",
        *(f"continuum_core.errors.{name}" for name in ("CodecError", "PayloadRefused", "WorkerLost")),
    }
)
"""Qualified names of the classes of failures that do not tell whether the work was done."""


@frozen
class Failure:
    """An exception as data: nothing is imported or rebuilt by name from it.

    `type` is the qualified name of the exception's class and `bases` those of its ancestors, nearest
    first, so that an edge for a base class catches it. `traceback` is the remote text. `unsure`: an earlier
    try of the activity took too long, or was lost with its worker.
    """

    type: str
    message: str
    bases: tuple[str, ...] = ()
    traceback: str = ""
    details: Any = None
    unsure: bool = False

    @property
    def unknown(self) -> bool:
        """Whether the activity may have done its work all the same.

        A try of it took too long, a worker died in the middle of it, or what it returned could not be stored.
        Whoever undoes has to find out; a failure of another kind is taken to mean that nothing was done.
        """
        return self.unsure or not _UNKNOWN.isdisjoint((self.type, *self.bases))

    def __str__(self) -> str:
        return self.traceback or f"{self.type}: {self.message}"
