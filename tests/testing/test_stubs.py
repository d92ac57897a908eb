"""What stands in for activities' bodies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from continuum_core import (
    Activity,
    Attempt,
    AttemptCancelled,
    Failure,
    PayloadRefused,
    RunFailed,
    UsageError,
    current_attempt,
)
from continuum_core.runtime.attempt import Cancelled, Ended, Raised, Succeeded
from continuum_core.testing import Engine, Stub, VirtualClock, VirtualHost
from continuum_core.testing.stubs import StubRunner
from tests.runtime.machines import Bounded, Job, Reason, Refused, Shaky, bounded, plain, work


class Bench:
    def __init__(self, **arguments: Any) -> None:
        self.clock = VirtualClock()
        self.host = VirtualHost(self.clock)
        self.runner = StubRunner(self.host, None, **arguments)

    def attempt(self, activity: Activity[Any, Any] = work) -> Attempt:
        return Attempt(run_id=UUID(int=1), machine="m", activity=activity.name, number=1, losses=0, key="k-1")

    async def run(
        self, stub: Stub | None, activity: Activity[Any, Any] = work, attempt: Attempt | None = None
    ) -> Ended:
        if stub is not None:
            self.runner.stubs[activity.name] = stub
        return await self.runner.run(activity, "input", attempt or self.attempt(activity))


async def test_a_stub_answers_and_remembers_what_it_saw() -> None:
    bench = Bench()
    stub = Stub(lambda value: f"for {value}")
    assert await bench.run(stub) == Succeeded("for input")
    assert (stub.calls, stub.keys) == (["input"], ["k-1"])


async def test_a_stub_may_be_async_and_knows_its_attempt() -> None:
    bench = Bench()

    async def answer(value: str) -> str:
        return f"{value} at {current_attempt().key}"

    assert await bench.run(Stub(answer)) == Succeeded("input at k-1")


@pytest.mark.parametrize(("error", "fatal"), [(Refused("no"), True), (Shaky("no"), False)])
async def test_what_a_stub_raises_is_judged_by_the_activitys_policy(error: Exception, fatal: bool) -> None:
    def answer(_: str) -> str:
        raise error

    ended = await Bench().run(Stub(answer))
    assert isinstance(ended, Raised)
    assert ended.fatal is fatal
    assert isinstance(ended.failure, Failure)
    assert ended.failure.type.endswith(type(error).__name__)


async def test_a_body_that_obeys_a_request_to_stop_was_cancelled() -> None:
    def answer(_: str) -> str:
        raise AttemptCancelled("work")

    assert await Bench().run(Stub(answer)) == Cancelled()


async def test_a_hanging_stub_ends_with_its_timeout() -> None:
    bench = Bench()
    ended = await bench.run(Stub(lambda _: None, hangs=True), bounded)
    assert isinstance(ended, Raised)
    assert ended.failure.type == "TimeoutError"
    assert "bounded exceeded its timeout 0:00:30" in ended.failure.message


async def test_a_hanging_stub_ends_when_it_is_asked_to() -> None:
    bench = Bench()
    attempt = bench.attempt()

    async def ask() -> None:
        await bench.host.sleep(3_600)
        attempt.request_cancel()

    bench.host.spawn(ask(), "ask")
    assert await bench.run(Stub(lambda _: None, hangs=True), work, attempt) == Cancelled()
    assert await bench.run(Stub(lambda _: None, hangs=True), work, attempt) == Cancelled(), "asked before"


@pytest.mark.parametrize("strict", [True, False])
async def test_an_activity_without_a_stub_and_without_a_body_to_run_says_what_to_write(strict: bool) -> None:
    ended = await Bench(strict=strict).run(None, plain)
    assert isinstance(ended, Raised)
    assert ended.fatal
    assert "engine.stub(plain, returns=...)" in ended.failure.message


# --- under the engine ----------------------------------------------------------------------------------


async def test_real_bodies_run_where_there_is_no_stub(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        run = await engine.start(Job, "a")
        assert await run.result() == "done a"


async def test_a_strict_engine_runs_no_real_body(journal: str) -> None:
    """Whatever the machine does about an activity that fails, the test is told, once."""
    async with Engine([Job], journal=journal, strict=True) as engine:
        with pytest.raises(UsageError, match=r"engine\.stub\(work, returns=\.\.\.\)"):
            await engine.start(Job, "a", key="k")
        run = engine.client.get(Job, "k")
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert isinstance(caught.value.failure, Failure)
        assert "engine.stub(work, returns=...)" in caught.value.failure.message
        await engine.settle()


async def test_a_strict_engine_tells_what_begins_in_time_that_passes(journal: str) -> None:
    async with Engine([Job], journal=journal, strict=True) as engine:
        await engine.start(Job, "a", after=timedelta(hours=1))
        with pytest.raises(UsageError, match="activity 'work' has no stub"):
            await engine.advance(timedelta(hours=1))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"returns": 5}, "the stub of work is to return its output"),
        ({}, "the stub of work is to return its output"),
        ({"returns": "a", "raises": ValueError()}, "give one of them"),
        ({"returns": None, "holds": True}, "give one of them"),
        ({"raises": "x"}, "give an exception"),
        ({"calls": "x"}, "give a function"),
    ],
)
async def test_a_stub_that_cannot_stand_in_is_refused(given: dict[str, Any], says: str) -> None:
    async with Engine([Job]) as engine:
        with pytest.raises((UsageError, PayloadRefused), match=says):
            engine.stub(work, **given)


async def test_retries_follow_the_policy_in_virtual_time(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        begun: list[timedelta] = []
        start = engine.now()

        def answer(_: str) -> str:
            begun.append(engine.now() - start)
            raise Shaky("again")

        engine.stub(work, calls=answer)
        run = await engine.start(Job, "a")
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert begun == [timedelta(), timedelta(seconds=1), timedelta(seconds=3)]
        assert caught.value.verdict == Reason("a", f"{Shaky.__module__}.Shaky")


async def test_a_hanging_stub_lets_its_timeout_end_the_run(journal: str) -> None:
    async with Engine([Bounded], journal=journal) as engine:
        engine.stub(bounded, hangs=True)
        run = await engine.start(Bounded, "a")
        await engine.advance(timedelta(seconds=29))
        assert await engine.states(run) == {"working"}
        await engine.advance(timedelta(seconds=1))
        assert await engine.states(run) == {"late"}


async def test_a_stub_is_one_thing_only() -> None:
    engine = Engine([Job])
    with pytest.raises(UsageError, match="give one of them"):
        engine.stub(work, raises=Shaky("x"), hangs=True)
