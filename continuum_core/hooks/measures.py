"""What there is to measure, as data: names, units and labels of metrics, and how they follow from hooks.

A plugin that exports metrics is a `Measuring` with a `Sink` of its own, so that two exporters cannot
disagree. Labels are names from definitions and a few fixed words; no id of a run is one, for every value of
a label is a series that is kept. Times are seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Protocol

from attrs import frozen

from continuum_core.hooks.facts import BatchFacts, ReportFacts, RunFacts, TurnFacts, WorkerFacts
from continuum_core.hooks.spec import hookimpl
from continuum_core.journal.commit import FinishKind, FinishOutcome
from continuum_core.journal.gauges import Gauges

__all__ = ["MEASURES", "SECONDS", "Kind", "Measure", "Measuring", "Reading", "Sink"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
"""Upper bounds of the classes of a histogram of times."""


class Kind(enum.Enum):
    """How values of a measure add up."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@frozen
class Measure:
    """One metric. `name` has dots between its words; `labels` are the names of its labels, in order."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]


Reading = tuple[Measure, float, tuple[str, ...]]
"""A measure, its value, and the values of its labels."""


class Sink(Protocol):
    """Where measurements go."""

    def add(self, measure: Measure, value: float, labels: tuple[str, ...]) -> None:
        """One more value of a counter or a histogram."""
        ...

    def read(self, namespace: str, readings: tuple[Reading, ...]) -> None:
        """All gauges of a namespace, in the place of those before."""
        ...


def _measure(name: str, kind: Kind, unit: str, text: str, *labels: str) -> Measure:
    return Measure(name, kind, unit, text, ("namespace", *labels))


_C, _H, _G = Kind.COUNTER, Kind.HISTOGRAM, Kind.GAUGE

STARTED = _measure("runs.started", _C, "1", "Runs that were started here.", "machine")
ENDED = _measure("runs.ended", _C, "1", "Runs that ended here, by how.", "machine", "status")
PARKINGS = _measure("runs.parkings", _C, "1", "Times that a run was parked here.", "machine")
TURN = _measure("turn.duration", _H, "s", "From when a turn was taken until it stood.", "machine")
WAIT = _measure("turn.wait", _H, "s", "How long the first event of a turn had been due.", "machine")
DROPPED = _measure("turns.dropped", _C, "1", "Turns that did not stand: another had the run.", "machine")
COMMIT = _measure("commit.duration", _H, "s", "Until the journal had answered a batch.", "verb")
MEMBERS = _measure("commit.members", _C, "1", "Starts, turns and outcomes in these batches.", "verb")
ATTEMPT = _measure("attempt.duration", _H, "s", "How long bodies took.", "activity", "ended")
REPORTS = _measure("attempts", _C, "1", "Attempts that were reported, by what.", "activity", "report")
RETRIES = _measure("attempt.retries", _C, "1", "Attempts after which another one follows.", "activity")
LOSSES = _measure("attempt.losses", _C, "1", "Workers that died in the middle of an attempt.", "activity")
OLDEST = _measure("oldest.due", _G, "s", "How long the oldest due event has been waiting.")
DUE = _measure("events.due", _G, "1", "Events that are due and that nobody holds.")
PARKED = _measure("runs.parked", _G, "1", "Runs that wait for a human.")
SUSPENDED = _measure("runs.suspended", _G, "1", "Runs that wait to be resumed.")
DEPTH = _measure("queue.depth", _G, "1", "Tasks that are due and in nobody's hands.", "queue")
LATER = _measure("queue.later", _G, "1", "Tasks that are tried again later.", "queue")
CLAIMED = _measure("queue.claimed", _G, "1", "Tasks in the hands of workers.", "queue")
OLDEST_TASK = _measure("queue.oldest", _G, "s", "How long the oldest due task has been waiting.", "queue")

MEASURES: tuple[Measure, ...] = tuple(each for each in vars().values() if isinstance(each, Measure))
"""Every measure there is."""


class Measuring:
    """Hooks that become measurements.

    What a journal counts is told by every worker of a namespace; it is forgotten when the last one in this
    process has stopped, so that nothing is reported that nobody looks at any more.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._workers: dict[str, int] = {}

    @hookimpl
    def worker_started(self, worker: WorkerFacts) -> None:
        """One more worker in its namespace."""
        self._workers[worker.namespace] = self._workers.get(worker.namespace, 0) + 1

    @hookimpl
    def worker_stopped(self, worker: WorkerFacts) -> None:
        """The gauges of a namespace end with its last worker here."""
        left = self._workers.pop(worker.namespace, 1) - 1
        if left > 0:
            self._workers[worker.namespace] = left
        else:
            self._sink.read(worker.namespace, ())

    @hookimpl
    def run_started(self, run: RunFacts) -> None:
        """Count it."""
        self._sink.add(STARTED, 1, (run.namespace, run.machine))

    @hookimpl
    def run_completed(self, run: RunFacts) -> None:
        """Count it."""
        self._ended(run, "completed")

    @hookimpl
    def run_failed(self, run: RunFacts) -> None:
        """Count it."""
        self._ended(run, "failed")

    @hookimpl
    def run_cancelled(self, run: RunFacts) -> None:
        """Count it."""
        self._ended(run, "cancelled")

    @hookimpl
    def run_terminated(self, run: RunFacts) -> None:
        """Count it."""
        self._ended(run, "terminated")

    def _ended(self, run: RunFacts, status: str) -> None:
        self._sink.add(ENDED, 1, (run.namespace, run.machine, status))

    @hookimpl
    def run_parked(self, run: RunFacts) -> None:
        """Count it."""
        self._sink.add(PARKINGS, 1, (run.namespace, run.machine))

    @hookimpl
    def run_turned(self, turn: TurnFacts) -> None:
        """How long it took, and how long it had been waited for."""
        labels = (turn.namespace, turn.machine)
        self._sink.add(TURN, turn.seconds, labels)
        if turn.due is not None:
            self._sink.add(WAIT, _seconds(turn.now - turn.due), labels)

    @hookimpl
    def turn_dropped(self, turn: TurnFacts) -> None:
        """Count it."""
        self._sink.add(DROPPED, 1, (turn.namespace, turn.machine))

    @hookimpl
    def records_committed(self, batch: BatchFacts) -> None:
        """How long the journal took, and for how many."""
        labels = (batch.namespace, batch.verb)
        self._sink.add(COMMIT, batch.seconds, labels)
        self._sink.add(MEMBERS, batch.members, labels)

    @hookimpl
    def attempt_reported(self, report: ReportFacts) -> None:
        """How it ended, how long it took, and what it took before."""
        attempt = report.attempt
        labels = (attempt.namespace, attempt.activity)
        self._sink.add(ATTEMPT, attempt.seconds, (*labels, attempt.ended or "unknown"))
        self._sink.add(REPORTS, 1, (*labels, report.kind.name.lower()))
        if report.outcome is not FinishOutcome.FINISHED:
            return  # another worker has the task, and tells of it
        if report.kind is FinishKind.RETRY:
            self._sink.add(RETRIES, 1, labels)
        elif report.kind in (FinishKind.DONE, FinishKind.FAILED) and attempt.losses:
            self._sink.add(LOSSES, attempt.losses, labels)

    @hookimpl
    def gauges_read(self, namespace: str, gauges: Gauges) -> None:
        """What waits, as the journal counted it."""
        self._sink.read(namespace, tuple(_readings(namespace, gauges)))


def _seconds(micros: int) -> float:
    """Microseconds as seconds, not below zero: two clocks may disagree."""
    return max(micros, 0) / 1e6


def _age(gauges: Gauges, since: int | None) -> float:
    return 0.0 if since is None else _seconds(gauges.now - since)


def _readings(namespace: str, gauges: Gauges) -> Iterable[Reading]:
    yield OLDEST, _age(gauges, gauges.oldest_due), (namespace,)
    yield DUE, gauges.due, (namespace,)
    yield PARKED, gauges.parked, (namespace,)
    yield SUSPENDED, gauges.suspended, (namespace,)
    for queue in gauges.queues:
        labels = (namespace, queue.queue)
        yield DEPTH, queue.waiting, labels
        yield LATER, queue.later, labels
        yield CLAIMED, queue.claimed, labels
        yield OLDEST_TASK, _age(gauges, queue.oldest), labels
