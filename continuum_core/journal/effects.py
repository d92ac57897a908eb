"""What each order does to a run: the port's table, so that every journal says the same.

An order acts on runs in some statuses and leaves all others as they are; it gives the run a status, and frees
what was held for a reason that is over.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from continuum_core.journal.commit import OrderKind
from continuum_core.journal.records import ENDED, Held, RunStatus

__all__ = ["EFFECTS", "Effect"]

_GOING = frozenset(RunStatus) - ENDED


@frozen
class Effect:
    """What one kind of order does.

    :ivar before: the statuses in which it acts on a run.
    :ivar after: the status that the run has then; None: the one that it had.
    :ivar frees: what is held no more.
    """

    before: frozenset[RunStatus]
    after: RunStatus | None
    frees: tuple[Held, ...] = ()

    def turns(self, status: RunStatus) -> RunStatus:
        """The status of a run after it."""
        return status if self.after is None else self.after


EFFECTS: Mapping[OrderKind, Effect] = {
    OrderKind.SUSPEND: Effect(frozenset({RunStatus.RUNNING}), RunStatus.SUSPENDED),
    OrderKind.RESUME: Effect(frozenset({RunStatus.SUSPENDED}), RunStatus.RUNNING, (Held.PAUSED,)),
    OrderKind.UNPARK: Effect(frozenset({RunStatus.PARKED}), RunStatus.RUNNING, (Held.PAUSED, Held.POISON)),
    # cancelling leaves the poison where it is: what parked the run must not meet it on its way out
    OrderKind.CANCEL: Effect(_GOING, RunStatus.RUNNING, (Held.PAUSED,)),
    OrderKind.TERMINATE: Effect(_GOING, RunStatus.TERMINATED),
    OrderKind.SET: Effect(_GOING, None),
    OrderKind.POSTPONE: Effect(frozenset({RunStatus.RUNNING, RunStatus.SUSPENDED}), None),
}
"""A run that is cancelling already is not cancelled again, and one that has begun is not postponed: whoever
carries an order out looks for what waits."""
