"""What a turn is given: a run, what is due for it, and what becomes of the tasks that it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from msgspec import Struct

from continuum_core.definition.upgrade import Way
from continuum_core.journal.commit import NewTask
from continuum_core.journal.records import Delivery
from continuum_core.mapper import Image

__all__ = ["SUSPECT", "Born", "Due", "unclaimed"]

SUSPECT = 2
"""From so many claims without a commit on, a run is folded one delivery at a time."""


class Due(Struct, frozen=True, gc=False):
    """A run and what is due for it, as far as a turn needs to know.

    :ivar fence: of the claim; None for a fused turn.
    :ivar image: the run at rest; of one that has a way to go only the version counts.
    :ivar now: the journal's clock, microseconds.
    :ivar way: how the run gets into this definition, before anything else; None: it is in it.
    :ivar former: the fingerprint of the definition that took the turn before, where it is another one.
    :ivar stored: the snapshot as the journal has it; b"" for a run that has not begun, and where a turn
        that parks is not committed.
    """

    namespace: str
    run_id: UUID
    fence: int | None
    base: UUID | None
    image: Image
    deliveries: Sequence[Delivery]
    now: int
    tries: int = 0
    has_deferred: bool = False
    way: Way | None = None
    former: str = ""
    stored: bytes = b""


Born = Callable[[NewTask, UUID], NewTask]
"""What becomes of a new task, by the id of its commit."""


def unclaimed(task: NewTask, _commit_id: UUID) -> NewTask:
    """It waits for whoever claims it."""
    return task
