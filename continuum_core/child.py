"""The process in which one attempt of an activity with `executor="process"` runs.

Started by `runner` as ``python -m continuum_core.child``. It reads two lines, the call and the input,
imports the module that the *worker's own code* declared the activity in, runs the body, and writes
lines: ``beat JSON``, then ``output JSON``, ``failure JSON`` or ``cancelled``. What the body prints
goes to the error stream, so that it cannot be mistaken for the outcome.

The worker alone says when it ends: it kills this process where it must. Signals meant for the worker
(Ctrl-C reaches every process of a terminal, a service manager tells all of them to stop) are passed
over, for the worker drains; and when the worker is gone, so is this process.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import threading
from typing import Any, BinaryIO, TypeGuard
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
    orders = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # what the body, or a program that it starts, may read
    os.close(nothing)
    for number in (signal.SIGINT, signal.SIGTERM):
        # A function and not SIG_IGN: programs that the body starts would inherit that.
        signal.signal(number, _pass_over)

    def tell(kind: str, data: bytes) -> None:
        out.write(kind.encode() + b" " + data + b"\n")
        out.flush()

    call = json.loads(orders.readline())
    data = orders.readline()
    threading.Thread(target=_end_with_worker, args=(orders,), name="continuum-worker", daemon=True).start()
    try:
        tell("output", _run(call, data, tell))
    except AttemptCancelled:
        tell("cancelled", b"{}")
    except Exception as error:
        tell("failure", json.dumps(attrs.asdict(failure_of(error))).encode())


def _pass_over(_number: int, _frame: object) -> None:
    pass


def _end_with_worker(orders: BinaryIO) -> None:
    """The pipe's other end closes when the worker dies, however it dies."""
    while orders.read(1):
        pass
    os._exit(1)


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
        if _is_activity(value) and value.name == name:
            return value
    raise UsageError(f"module {module} has no activity {name!r} at its top level")


def _is_activity(value: object) -> TypeGuard[Activity[Any, Any]]:
    return isinstance(value, Activity)


if __name__ == "__main__":
    main()
