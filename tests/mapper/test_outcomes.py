"""How a run ended, as bytes, and as waiters get it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from continuum_core import Failure, RunCancelled, RunFailed, RunTerminated
from continuum_core.ending import result_of
from continuum_core.interpreter.snapshot import Outcome, OutcomeKind
from continuum_core.journal.records import RunStatus
from continuum_core.mapper import (
    decode_outcome,
    encode_outcome,
    encode_termination,
    outcome_failure,
    status_of,
)
from tests.mapper.machines import Home, entry_of
from tests.runtime.machines import Job, Reason

JOB, HOME = entry_of(Job), entry_of(Home)
FAILURE = Failure("m.Bad", "no", ("Exception",), "Traceback …")
FAILED = JOB.numbers["failed"]


def test_a_result_is_typed_by_the_machine_and_json_without_it() -> None:
    data = encode_outcome(JOB, Outcome(OutcomeKind.COMPLETED, "r", JOB.numbers["done"]))
    assert result_of("run", data, JOB) == result_of("run", data, None) == "r"
    assert json.loads(data) == {"v": 1, "kind": "completed", "state": "done", "value": "r"}


def test_a_failed_run_tells_state_verdict_and_the_failure_that_led_there() -> None:
    data = encode_outcome(JOB, Outcome(OutcomeKind.FAILED, Reason("why", "w"), FAILED, FAILURE))
    with pytest.raises(RunFailed) as caught:
        result_of("run", data, JOB)
    assert (caught.value.state, caught.value.verdict, caught.value.failure) == (
        "failed",
        Reason("why", "w"),
        FAILURE,
    )
    with pytest.raises(RunFailed) as caught:
        result_of("run", data, None)
    assert caught.value.verdict == {"why": "why", "word": "w"}
    assert outcome_failure(decode_outcome(data)) == FAILURE


def test_a_machine_without_a_verdict_has_none() -> None:
    data = encode_outcome(HOME, Outcome(OutcomeKind.FAILED, None, HOME.numbers["done"]))
    with pytest.raises(RunFailed) as caught:
        result_of("run", data, HOME)
    assert caught.value.verdict is None
    assert caught.value.failure is None
    assert outcome_failure(decode_outcome(data)) is None


@pytest.mark.parametrize("reason", ["", "because"])
def test_cancelled_and_terminated_runs_tell_the_reason(reason: str) -> None:
    cancelled = encode_outcome(JOB, Outcome(OutcomeKind.CANCELLED, reason))
    for entry in (JOB, None):
        with pytest.raises(RunCancelled) as caught:
            result_of("run", cancelled, entry)
        assert caught.value.reason == reason
        with pytest.raises(RunTerminated) as ended:
            result_of("run", encode_termination(reason), entry)
        assert ended.value.reason == reason


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (None, RunStatus.RUNNING),
        (Outcome(OutcomeKind.COMPLETED), RunStatus.COMPLETED),
        (Outcome(OutcomeKind.FAILED), RunStatus.FAILED),
        (Outcome(OutcomeKind.CANCELLED), RunStatus.CANCELLED),
    ],
)
def test_the_status_follows_from_the_outcome(outcome: Any, status: RunStatus) -> None:
    assert status_of(outcome) is status
