"""Activities of tests: a stub answers in the body's place, under the test's clock."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from attrs import define, field

from continuum_core.codec import codec_for
from continuum_core.definition.activity import Activity
from continuum_core.definition.failure import Failure
from continuum_core.errors import AttemptCancelled, PayloadRefused, UsageError
from continuum_core.host import Flag, Host
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

__all__ = ["NOTHING", "Held", "NothingGiven", "Stub", "StubRunner", "stub_of"]

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class NothingGiven(Enum):
    """An output that is not given; None may be one."""

    NOTHING = "nothing"


NOTHING = NothingGiven.NOTHING


@define(eq=False)
class Held:
    """An attempt that goes on until the test ends it; let the engine settle then.

    :ivar input: what the activity was given.
    :ivar key: its idempotency key.
    """

    input: Any
    key: str
    run_id: UUID
    _flag: Flag
    _ended: Ended | None = None

    def succeed(self, output: Any = None) -> None:
        """Let it give this."""
        self._end(Succeeded(output))

    def fail(self, error: BaseException | Failure) -> None:
        """Let it fail for good, whatever its policy says of further tries."""
        failure = error if isinstance(error, Failure) else failure_of(error)
        self._end(Raised(failure, fatal=True))

    def _end(self, ended: Ended) -> None:
        self._ended = self._ended or ended
        self._flag.set()

    async def ended(self, attempt: Attempt) -> Ended:
        """For the engine: how it ended, when the test has said so or its state was left."""
        attempt.watch(cancel=self._flag.set)
        if not attempt.cancel_requested:
            await self._flag.wait()
        return self._ended or Cancelled()


@define(eq=False)
class Stub:
    """What stands in for one activity, and what it saw.

    :ivar calls: the inputs it was called with, in order.
    :ivar keys: the idempotency key of each call.
    :ivar held: the attempts that wait for the test, in the order in which they were begun.
    """

    answer: Callable[[Any], Any]
    hangs: bool = False
    holds: bool = False
    held: list[Held] = field(factory=list[Held])
    calls: list[Any] = field(factory=list[Any])
    keys: list[str] = field(factory=list[str])


def stub_of(
    activity: Activity[I, O],
    returns: O | NothingGiven,
    raises: BaseException | type[BaseException] | None,
    calls: Callable[[I], Any] | None,
    *,
    hangs: bool,
    holds: bool,
) -> Stub:
    """The stub that `Engine.stub` was asked for. Raises PayloadRefused, UsageError."""
    given = (returns is not NOTHING, raises is not None, calls is not None, hangs, holds)
    if sum(given) > 1:
        raise UsageError("a stub returns, raises, calls, hangs or holds: give one of them")
    if raises is not None and not _is_raised(raises):
        raise UsageError(f"raises={raises!r} of the stub of {activity.name}: give an exception")
    if calls is not None and not callable(calls):
        raise UsageError(f"calls={calls!r} of the stub of {activity.name}: give a function of its input")
    output: Any = None if returns is NOTHING else returns
    if not any(given[1:]):
        try:
            codec_for(activity.output_type).encode(output)
        except PayloadRefused as refused:
            raise PayloadRefused(
                refused.path, f"{refused.reason}; the stub of {activity.name} is to return its output"
            ) from None

    def answer(value: I) -> Any:
        if raises is not None:
            raise raises
        return output if calls is None else calls(value)

    return Stub(answer, hangs, holds)


def _is_raised(value: object) -> bool:
    return isinstance(value, BaseException) or (isinstance(value, type) and issubclass(value, BaseException))


class StubRunner:
    """Runs stubs where there are some, and the real bodies where `inner` is given.

    :param strict: an activity without a stub runs no body: its attempt fails, and `check` raises.
    """

    def __init__(self, host: Host, inner: Runner | None, *, strict: bool = False) -> None:
        self._host = host
        self._inner = inner
        self._strict = strict
        self.stubs: dict[str, Stub] = {}
        self._missing: UsageError | None = None

    def check(self) -> None:
        """Raise UsageError, once, where an activity had neither a stub nor a body that may run.

        The machine has taken the failure by then, by an edge that may be the very one under test.
        """
        missing, self._missing = self._missing, None
        if missing is not None:
            raise missing

    async def run(self, activity: Activity[Any, Any], value: Any, attempt: Attempt) -> Ended:
        """Run the stub, or the body; see `runtime.attempt.Runner`."""
        stub = self.stubs.get(activity.name)
        if stub is None:
            if self._inner is None or self._strict:
                missing = UsageError(
                    f"activity {activity.name!r} has no stub: engine.stub({activity.name}, returns=...)"
                )
                self._missing = self._missing or missing
                return Raised(failure_of(missing), fatal=True)
            return await self._inner.run(activity, value, attempt)
        stub.calls.append(value)
        stub.keys.append(attempt.key)
        if stub.holds:
            return await self._hold(stub, value, attempt)
        if stub.hangs:
            return await self._hang(activity, attempt)
        return await _answer(activity, stub, value, attempt)

    async def _hold(self, stub: Stub, value: Any, attempt: Attempt) -> Ended:
        held = Held(value, attempt.key, attempt.run_id, self._host.flag())
        stub.held.append(held)
        try:
            return await held.ended(attempt)
        finally:
            stub.held.remove(held)

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
