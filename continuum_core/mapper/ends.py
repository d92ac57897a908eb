"""How a run ended, as stored."""

from __future__ import annotations

from msgspec import Raw

from continuum_core.envelope import (
    FORMAT,
    FailureBody,
    OutcomeBody,
    read,
    write,
)
from continuum_core.interpreter.events import Failure
from continuum_core.interpreter.snapshot import Outcome, OutcomeKind
from continuum_core.journal.records import RunStatus
from continuum_core.mapper.failures import failure_body, failure_value
from continuum_core.registry import Entry

__all__ = ["decode_outcome", "encode_outcome", "encode_termination", "outcome_failure", "status_of"]

_STATUS = {
    OutcomeKind.COMPLETED: RunStatus.COMPLETED,
    OutcomeKind.FAILED: RunStatus.FAILED,
    OutcomeKind.CANCELLED: RunStatus.CANCELLED,
    OutcomeKind.TERMINATED: RunStatus.TERMINATED,
}


def status_of(outcome: Outcome | None) -> RunStatus:
    return RunStatus.RUNNING if outcome is None else _STATUS[outcome.kind]


def encode_outcome(entry: Entry, outcome: Outcome) -> bytes:
    body = OutcomeBody(
        v=FORMAT,
        kind=outcome.kind.value,
        state="" if outcome.state is None else entry.chart.states[outcome.state].path,
    )
    if outcome.kind is OutcomeKind.COMPLETED:
        body.value = Raw(entry.result.encode(outcome.value))
    elif outcome.kind in (OutcomeKind.CANCELLED, OutcomeKind.TERMINATED):
        body.reason = str(outcome.value or "")
    elif entry.verdict is not None:
        body.value = Raw(entry.verdict.encode(outcome.value))
    if outcome.failure is not None:
        body.failure = failure_body(outcome.failure)
    return write(body)


def encode_termination(reason: str) -> bytes:
    """The outcome of a run that an operator ended."""
    return write(OutcomeBody(v=FORMAT, kind="terminated", reason=reason))


def decode_outcome(data: bytes) -> OutcomeBody:
    """Raises UnknownVersion."""
    return read(OutcomeBody, data)


def outcome_failure(body: OutcomeBody) -> Failure | None:
    return failure_value(body.failure) if isinstance(body.failure, FailureBody) else None
