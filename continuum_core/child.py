"""The process in which one attempt of an activity with `executor="process"` runs.

Started by `runner` as ``python -m continuum_core.child``. It reads two lines, the call and the input,
imports the module that the *worker's own code* declared the activity in, runs the body, and writes
lines: ``beat JSON``, then ``output JSON``, ``failure JSON`` or ``cancelled``. What the body prints
goes to the error stream, so that it cannot be mistaken for the outcome.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any, cast
from uuid import UUID

import attrs

from continuum_core.codec import codec_for
from continuum_core.definition.activity import Activity
from continuum_core.errors import AttemptCancelled, UsageError
from continuum_core.runtime.attempt import Attempt, attempt_scope, failure_of


def main() -> None:
    """Run one attempt."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints of the body

    def tell(kind: str, data: bytes) -> None:
        out.write(kind.encode() + b" " + data + b"\n")
        out.flush()

    call = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.readline()
    try:
        tell("output", _run(call, data, tell))
    except AttemptCancelled:
        tell("cancelled", b"{}")
    except Exception as error:
        tell("failure", json.dumps(attrs.asdict(failure_of(error))).encode())


def _run(call: dict[str, Any], data: bytes, tell: Any) -> bytes:
    activity = _find(call["module"], call["activity"])
    attempt = Attempt(
        run_id=UUID(call["run_id"]),
        machine=call["machine"],
        activity=call["activity"],
        number=call["number"],
        losses=call["losses"],
        key=call["key"],
        details=call["details"],
    )
    latest: list[Any] = [None]

    def report(details: Any) -> None:
        latest[0] = details

    def beat() -> None:
        tell("beat", json.dumps(latest[0]).encode())

    attempt.watch(beat=beat, report=report)
    value = codec_for(activity.input_type).decode(data.rstrip(b"\n"))
    with attempt_scope(attempt):
        return codec_for(activity.output_type).encode(activity.body(value))


def _find(module: str, name: str) -> Activity[Any, Any]:
    if module == "__main__":
        raise UsageError(
            f"activity {name!r} runs in a process of its own and is declared in the script that was "
            "started; move it to a module that can be imported"
        )
    for value in vars(importlib.import_module(module)).values():
        if isinstance(value, Activity):
            activity = cast("Activity[Any, Any]", value)
            if activity.name == name:
                return activity
    raise UsageError(f"module {module} has no activity {name!r} at its top level")


if __name__ == "__main__":
    main()
