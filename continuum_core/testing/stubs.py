"""Activities of tests: a stub answers in the body's place, under the test's clock."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from attrs import define, field

from continuum_core.definition.activity import Activity
from continuum_core.errors import AttemptCancelled, UsageError
from continuum_core.host import Host
from continuum_core.runtime.attempt import (
    Attempt,
    Cancelled,
    Ended,
    Raised,
    Runner,
    Succeeded,
    attempt_scope,
    failure_of,
)

__all__ = ["Stub", "StubRunner"]


@define(eq=False)
class Stub:
    """What stands in for one activity, and what it saw.

    :ivar calls: the inputs it was called with, in order.
    :ivar keys: the idempotency key of each call.
    """

    answer: Callable[[Any], Any]
    hangs: bool = False
    calls: list[Any] = field(factory=list[Any])
    keys: list[str] = field(factory=list[str])


class StubRunner:
    """Runs stubs where there are some, and the real bodies where `inner` is given.

    :param strict: an activity without a stub fails the test instead of running its body.
    """

    def __init__(self, host: Host, inner: Runner | None, *, strict: bool = False) -> None:
        self._host = host
        self._inner = inner
        self._strict = strict
        self.stubs: dict[str, Stub] = {}

    async def run(self, activity: Activity[Any, Any], value: Any, attempt: Attempt) -> Ended:
        """Run the stub, or the body; see `runtime.attempt.Runner`."""
        stub = self.stubs.get(activity.name)
        if stub is None:
            if self._inner is None or self._strict:
                missing = UsageError(
                    f"activity {activity.name!r} has no stub: engine.stub({activity.name}, returns=...)"
                )
                return Raised(failure_of(missing), fatal=True)
            return await self._inner.run(activity, value, attempt)
        stub.calls.append(value)
        stub.keys.append(attempt.key)
        if stub.hangs:
            return await self._hang(activity, attempt)
        return await _answer(activity, stub, value, attempt)

    async def _hang(self, activity: Activity[Any, Any], attempt: Attempt) -> Ended:
        asked = self._host.flag()
        attempt.watch(cancel=asked.set)
        if attempt.cancel_requested:
            return Cancelled()
        limit = activity.timeout or activity.heartbeat
        if await asked.wait(None if limit is None else limit.total_seconds()):
            return Cancelled()
        late = TimeoutError(f"{activity.name} exceeded its timeout {limit}")
        return Raised(failure_of(late, with_traceback=False), isinstance(late, activity.retry.fatal))


async def _answer(activity: Activity[Any, Any], stub: Stub, value: Any, attempt: Attempt) -> Ended:
    try:
        with attempt_scope(attempt):
            answer = stub.answer(value)
            if inspect.isawaitable(answer):
                answer = await answer
    except AttemptCancelled:
        return Cancelled()
    except Exception as error:
        return Raised(failure_of(error), isinstance(error, activity.retry.fatal))
    return Succeeded(answer)
