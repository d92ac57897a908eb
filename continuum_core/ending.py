"""The end of a run as its waiters get it: a typed result, or a typed error."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from continuum_core.codec import Codec
from continuum_core.envelope import OutcomeBody
from continuum_core.errors import RunCancelled, RunFailed, RunTerminated, RunTimedOut
from continuum_core.mapper import decode_outcome, outcome_failure
from continuum_core.registry import Entry

__all__ = ["result_of"]


def result_of(run: str, outcome: bytes, entry: Entry | None) -> Any:
    """The result; JSON values where the machine's code is not here.

    Raises RunFailed, RunTimedOut, RunCancelled, RunTerminated.
    """
    body = decode_outcome(outcome)
    if body.kind == "cancelled":
        raise RunCancelled(run, body.reason, body.left)
    if body.kind == "terminated":
        raise RunTerminated(run, body.reason, body.left)
    if body.kind == "completed":
        return _value(body, None if entry is None else entry.result)
    verdict = _value(body, None if entry is None else entry.verdict)
    if body.kind == "timed-out":
        raise RunTimedOut(run, body.state, verdict, body.reason, body.left)
    raise RunFailed(run, body.state, verdict, outcome_failure(body))


def _value(body: OutcomeBody, codec: Codec[Any] | None) -> Any:
    if not isinstance(body.value, Raw):
        return None
    data = bytes(body.value)
    return msgspec.json.decode(data) if codec is None else codec.decode(data)
