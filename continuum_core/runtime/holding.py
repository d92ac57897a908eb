"""The tasks in this worker's hands: whose bodies run here, and what is to be renewed of them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from continuum_core.hooks.facts import AttemptFacts
from continuum_core.host import Job
from continuum_core.journal.commit import TaskClaim, TaskHold
from continuum_core.runtime.attempt import Attempt

__all__ = ["Held", "Holding"]


class Holding(Struct, eq=False):
    """A task in this worker's hands."""

    claim: TaskClaim
    attempt: Attempt
    job: Job | None = None
    stored: bytes | None = None  # the ones that the journal knows
    ended: bool = False  # its body has, and what came of it was handed in
    lost: bool = False  # another worker holds it now: what the body returns is nobody's
    watched: AttemptFacts | None = None  # what plugins are told of it, where one listens

    @property
    def details(self) -> bytes | None:
        """What the body's last heartbeat carried."""
        return self.attempt.written

    def stop(self) -> None:
        """Ask the body to stop, unless what it does may be undone: then it must become known."""
        if not self.claim.task.undo:
            self.attempt.request_cancel()

    def hold(self) -> TaskHold:
        task, details = self.claim.task, self.details
        return TaskHold(
            task.run_id, task.token, task.slot, task.fence, None if details is self.stored else details
        )


class Held:
    """The holdings of a worker, by run. One whose body has ended is no longer among them."""

    def __init__(self) -> None:
        self._held: dict[UUID, dict[tuple[int, int], Holding]] = {}  # of each run, by (token, slot)

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, holding: Holding) -> None:
        task = holding.claim.task
        self._held.setdefault(task.run_id, {})[task.token, task.slot] = holding

    def drop(self, holding: Holding) -> None:
        task = holding.claim.task
        # Holding and attempt know each other: apart, they need not wait for the garbage collector.
        holding.attempt.let_go()
        of_run = self._held.get(task.run_id)
        if of_run is None or of_run.get((task.token, task.slot)) is not holding:
            return  # its lease ran out and this same worker claimed the task again: that holding stays
        del of_run[task.token, task.slot]
        if not of_run:
            del self._held[task.run_id]

    def cancel(self, run_id: UUID, tokens: Sequence[int] | None) -> None:
        """State entries of a run are over (None: all of them): ask their bodies here to stop."""
        of_run = self._held.get(run_id)
        for (token, _), holding in () if of_run is None else list(of_run.items()):
            if tokens is None or token in tokens:
                holding.stop()

    def holds(self, run_id: UUID) -> bool:
        """Whether a body of this run is running here."""
        return run_id in self._held

    def all(self) -> list[Holding]:
        """Every one of them. Safe to call from the renewing thread."""
        return [holding for of_run in list(self._held.values()) for holding in list(of_run.values())]
