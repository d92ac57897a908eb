"""How a run ended, as stored."""

from __future__ import annotations

from msgspec import Raw

from continuum_core.envelope import (
    FORMAT,
    FailureBody,
    OutcomeBody,
    SnapshotBody,
    read,
    write,
)
from continuum_core.interpreter.events import Failure
from continuum_core.interpreter.snapshot import Outcome, OutcomeKind, Snapshot
from continuum_core.journal.records import RunStatus
from continuum_core.mapper.failures import failure_body, failure_value
from continuum_core.registry import Entry

__all__ = [
    "decode_outcome",
    "encode_outcome",
    "encode_termination",
    "ending",
    "left_undone",
    "outcome_failure",
    "status_of",
]

_STATUS = {
    OutcomeKind.COMPLETED: RunStatus.COMPLETED,
    OutcomeKind.FAILED: RunStatus.FAILED,
    OutcomeKind.CANCELLED: RunStatus.CANCELLED,
    OutcomeKind.TERMINATED: RunStatus.TERMINATED,
    OutcomeKind.TIMED_OUT: RunStatus.FAILED,  # by its deadline
}


def status_of(outcome: Outcome | None) -> RunStatus:
    return RunStatus.RUNNING if outcome is None else _STATUS[outcome.kind]


def encode_outcome(entry: Entry, outcome: Outcome) -> bytes:
    body = OutcomeBody(
        v=FORMAT,
        kind=outcome.kind.value,
        state="" if outcome.state is None else entry.chart.states[outcome.state].path,
        reason=outcome.reason,
        left=outcome.left,
    )
    if outcome.kind is OutcomeKind.COMPLETED:
        body.value = Raw(entry.result.encode(outcome.value))
    elif outcome.kind in (OutcomeKind.CANCELLED, OutcomeKind.TERMINATED):
        body.reason = str(outcome.value or "")
    elif entry.verdict is not None and _ended_with_verdict(entry, outcome):
        body.value = Raw(entry.verdict.encode(outcome.value))
    if outcome.failure is not None:
        body.failure = failure_body(outcome.failure)
    return write(body)


def ending(entry: Entry, snapshot: Snapshot) -> bytes | None:
    """How a run that is over has ended, as stored; None while it goes on. Raises PayloadRefused."""
    outcome = snapshot.outcome
    return None if outcome is None else encode_outcome(entry, outcome)


def _ended_with_verdict(entry: Entry, outcome: Outcome) -> bool:
    """A run whose deadline passed may have ended without reaching a state that has a verdict."""
    if outcome.kind is OutcomeKind.FAILED:
        return True
    return outcome.state is not None and entry.chart.states[outcome.state].anew is None


def encode_termination(reason: str, left: tuple[str, ...] = ()) -> bytes:
    """The outcome of a run that an operator ended. :param left: as `left_undone` tells it."""
    return write(OutcomeBody(v=FORMAT, kind="terminated", reason=reason, left=left))


def left_undone(snapshot: bytes) -> tuple[str, ...]:
    """What a run has done, or may have done, and not undone, without its machine's code.

    Raises UnknownVersion.
    """
    if not snapshot:
        return ()
    body = read(SnapshotBody, snapshot)
    done = [each.activity for each in body.done]
    return (*done, *(f"{each.activity} (not known)" for each in body.pending))


def decode_outcome(data: bytes) -> OutcomeBody:
    """Raises UnknownVersion."""
    return read(OutcomeBody, data)


def outcome_failure(body: OutcomeBody) -> Failure | None:
    return failure_value(body.failure) if isinstance(body.failure, FailureBody) else None
