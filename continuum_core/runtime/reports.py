"""How tasks ended, on the way to the journal: with the run's next turn where one can ride along."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import attrs
from msgspec import Struct

from continuum_core.host import Flag
from continuum_core.journal.commit import Committed, Finished, FinishKind, FinishOutcome, TaskFinish
from continuum_core.journal.records import Delivery
from continuum_core.journal_clock import JournalClock
from continuum_core.lane import Lane
from continuum_core.runtime.holding import Holding
from continuum_core.runtime.outcomes import Outcomes
from continuum_core.runtime.places import Places
from continuum_core.runtime.watched import AttemptWatch

__all__ = ["FuseTurn", "Reports"]

logger = logging.getLogger(__name__)


@attrs.frozen
class FuseTurn:
    """How the owner of turns lets one ride on a finish: `make` it, then say what was answered."""

    make: Callable[[UUID, Delivery], Any]
    settled: Callable[[Any, Any], None]


class _Report(Struct, frozen=True, gc=False):
    """An outcome on its way to the journal, with the turn that rides along. The lane drops it when told."""

    reports: Reports
    finish: TaskFinish
    turn: Any
    holding: Holding | None

    def answered(self, answer: Finished | None) -> None:
        self.reports.reported(self, answer)

    def refused(self, error: Exception) -> None:
        self.reports.unreported(self, error)


class Reports:
    """Tells the journal how tasks ended, and the worker what the journal said.

    :param finishes: the lane to the journal.
    :param wake: set when there may be a task to claim.
    :param watch: told of attempts; None where no plugin listens.
    :ivar fuse: makes turns that ride along; None for none.
    :ivar on_delivered: called when an outcome was delivered without the run's turn.
    """

    def __init__(
        self,
        outcomes: Outcomes,
        finishes: Lane[TaskFinish, Finished],
        clock: JournalClock,
        places: Places,
        wake: Flag,
        watch: AttemptWatch | None = None,
    ) -> None:
        self._outcomes = outcomes
        self._finishes = finishes
        self._clock = clock
        self._places = places
        self._wake = wake
        self._watch = watch
        self._unreported: dict[int, Holding] = {}  # by id(): the body ended, the journal does not know yet
        self.fuse: FuseTurn | None = None
        self.on_delivered: Callable[[], None] = lambda: None

    def under_way(self) -> list[Holding]:
        """Whose outcome the journal does not know yet. Safe to call from the renewing thread."""
        return list(self._unreported.values())

    def report(self, finish: TaskFinish, holding: Holding | None = None, *, ride: bool = True) -> None:
        """Tell the journal how a task ended, with the run's next turn if one can ride along.

        :param holding: kept alive until the journal knows.
        """
        self.submit(finish, self.riding(finish) if ride else None, holding)

    def riding(self, finish: TaskFinish) -> Any:
        """The run's next turn, if it can ride on this outcome. Whatever is wrong with it harms no outcome."""
        if self.fuse is None or finish.delivery is None or self._places.closed:
            return None
        try:
            return self.fuse.make(finish.run_id, finish.delivery)
        except Exception:  # what the body did would be done again
            extra = {"run_id": str(finish.run_id)}
            logger.critical(
                "a fault of the engine in a turn of run %s", finish.run_id, exc_info=True, extra=extra
            )
            return None

    def submit(self, finish: TaskFinish, turn: Any, holding: Holding | None) -> None:
        sent = finish if turn is None else finish.riding(turn.commit)
        report = _Report(self, finish, turn, holding)
        if holding is not None:
            self._unreported[id(holding)] = holding
        self._finishes.submit(sent, report)

    def reported(self, report: _Report, answer: Finished | None) -> None:
        """The journal knows of an outcome (None: it was given up)."""
        finish, turn, holding = report.finish, report.turn, report.holding
        self._unreported.pop(id(holding), None)
        self.settled(turn, None if answer is None else answer.committed)
        if answer is not None:  # None: this worker closes; a finish is not given up otherwise
            self.finished(finish, answer, alone=turn is None)
            self.tell(holding, finish, answer)
            if holding is not None and holding.claim.task.queue in self._places.bound:
                self._wake.set()  # only now its place under the queue's cap is free

    def tell(self, holding: Holding | None, finish: TaskFinish, answer: Finished) -> None:
        """Tell plugins how an attempt ended."""
        if self._watch is not None and holding is not None and holding.watched is not None:
            self._watch.reported(holding.watched, finish, answer)

    def unreported(self, report: _Report, error: Exception) -> None:
        """The journal cannot store this very outcome."""
        self._unreported.pop(id(report.holding), None)
        self.settled(report.turn, None)
        self._refused(report.finish, report.holding, error, alone=report.turn is None)

    def settled(self, turn: Any, committed: Committed | None) -> None:
        if turn is not None and self.fuse is not None:
            self.fuse.settled(turn, committed)

    def finished(self, finish: TaskFinish, answer: Finished, *, alone: bool) -> None:
        self._clock.observe(answer.now)
        if answer.outcome is FinishOutcome.LOST:
            logger.warning(
                "outcome of a task of run %s refused: another worker holds it",
                finish.run_id,
                extra={"run_id": str(finish.run_id)},
            )
        if finish.kind in (FinishKind.RETRY, FinishKind.RETURN):
            self._wake.set()
        elif alone and finish.delivery is not None and answer.outcome is FinishOutcome.FINISHED:
            self.on_delivered()

    def _refused(self, finish: TaskFinish, holding: Holding | None, error: Exception, *, alone: bool) -> None:
        """The journal cannot store this very outcome. Without one the task would be tried as if lost."""
        logger.error(
            "outcome of a task of run %s refused: %s",
            finish.run_id,
            error,
            exc_info=error,
            extra={"run_id": str(finish.run_id)},
        )
        if not alone:  # it may have been the turn that rode along: the long way parks the run on it
            self.report(finish, holding, ride=False)
        elif finish.kind is FinishKind.DONE and holding is not None:
            self.report(self._outcomes.unstorable(holding.claim.task, error), holding, ride=False)
