"""How activities are tried, retried, stopped and shared: on each embedded backend, in virtual time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from continuum_core import RunFailed, current_attempt
from continuum_core.testing import Engine
from tests.runtime.machines import (
    Bounded,
    Finish,
    Job,
    Keyed,
    Reason,
    Refused,
    Shaky,
    Steps,
    bounded,
    plain,
    shared,
    slow,
    work,
)


async def test_a_failed_attempt_is_tried_again_later_and_the_record_tells_only_the_outcome(
    journal: str,
) -> None:
    async with Engine([Job], journal=journal) as engine:
        answers: list[Any] = [Shaky("one"), Shaky("two")]

        def shaky(name: str) -> str:
            if answers:
                raise answers.pop(0)
            return f"done {name} at try {current_attempt().number}"

        stub = engine.stub(work, calls=shaky)
        run = await engine.start(Job, "a")
        assert len(stub.calls) == 1
        await engine.advance(timedelta(milliseconds=900))
        assert len(stub.calls) == 1, "the first retry waits a second"
        assert await run.result() == "done a at try 3"
        assert len(set(stub.keys)) == 1, "every try has the same idempotency key"
        assert [event for event, _ in await engine.path(run)] == ["start", "done work (try 3)"]
        await engine.check(run)


async def test_when_tries_are_used_up_the_error_edge_gets_the_failure(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        stub = engine.stub(work, raises=Shaky("still no"))
        run = await engine.start(Job, "a")
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert len(stub.calls) == 3
        assert caught.value.state == "failed"
        assert caught.value.verdict == Reason("a", f"{Shaky.__module__}.Shaky")
        assert "still no" in str(caught.value)
        assert "Traceback" in str(caught.value), "the remote traceback reaches the caller"


async def test_a_fatal_error_is_not_tried_again_and_is_matched_by_its_class(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        stub = engine.stub(work, raises=Refused("no"))
        run = await engine.start(Job, "a")
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert len(stub.calls) == 1
        assert caught.value.verdict == Reason("a", "refused")


async def test_a_timeout_ends_the_attempt_and_is_a_TimeoutError(journal: str) -> None:
    async with Engine([Bounded], journal=journal) as engine:
        engine.stub(bounded, hangs=True)
        run = await engine.start(Bounded, "a")
        assert await engine.states(run) == {"working"}
        await engine.advance(timedelta(seconds=31))
        assert await engine.states(run) == {"late"}


async def test_leaving_the_state_cancels_the_body_and_its_outcome_counts_for_nothing(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        stub = engine.stub(work, hangs=True)
        run = await engine.start(Job, "a")
        await engine.send(run, Finish())
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert caught.value.state == "stopped"
        assert len(stub.calls) == 1
        view = await engine.view(run)
        assert view.tasks == ()
        await engine.check(run)


async def test_three_states_three_activities_in_order(journal: str) -> None:
    async with Engine([Steps], journal=journal, queues={"default": 5, "slow": 1}) as engine:
        run = await engine.start(Steps, "a")
        assert await run.result() == "plain 1,done 2,3"
        assert [states for _, states in await engine.path(run)] == [("one",), ("two",), ("three",), ("done",)]
        await engine.check(run)


async def test_a_queue_runs_no_more_at_once_than_it_may_and_holds_up_no_other(journal: str) -> None:
    async with Engine([Steps], journal=journal, queues={"default": 50, "slow": 2}) as engine:
        gate = engine.stub(slow, hangs=True)
        runs = [await engine.start(Steps, f"r{n}") for n in range(6)]
        assert len(gate.calls) == 2, "only two of six are let in"
        assert [await engine.states(run) for run in runs] == [{"three"}] * 6, "the default queue went on"
        for run in runs[:2]:
            await engine.client.cancel(run)
        await engine.settle()
        assert len(gate.calls) == 4, "each place that came free was given on"


async def test_a_keyed_outcome_is_made_once_and_shared_by_other_runs(journal: str) -> None:
    async with Engine([Keyed], journal=journal) as engine:
        stub = engine.stub(shared, calls=lambda name: f"made {name}")
        first = await engine.start(Keyed, "k", key="one")
        second = await engine.start(Keyed, "k", key="two")
        other = await engine.start(Keyed, "other", key="three")
        assert await first.result() == "made k"
        assert await second.result() == "made k"
        assert await other.result() == "made other"
        assert stub.calls == ["k", "other"]


async def test_a_second_run_waits_for_the_holder_of_a_key(journal: str) -> None:
    async with Engine([Keyed], journal=journal) as engine:
        stub = engine.stub(shared, hangs=True)
        first = await engine.start(Keyed, "k", key="one")
        second = await engine.start(Keyed, "k", key="two")
        await engine.advance(timedelta(seconds=5))
        assert len(stub.calls) == 1, "the second waits while the first works"
        await engine.client.cancel(first)
        engine.stub(shared, returns="after all")
        assert await second.result() == "after all"


async def test_a_failed_outcome_is_not_shared(journal: str) -> None:
    async with Engine([Keyed], journal=journal) as engine:
        engine.stub(shared, raises=Shaky("no"))
        first = await engine.start(Keyed, "k", key="one")
        with pytest.raises(RunFailed):
            await first.result()
        engine.stub(shared, returns="made")
        second = await engine.start(Keyed, "k", key="two")
        assert await second.result() == "made"


async def test_after_a_crash_the_activity_is_tried_again_when_the_lease_has_run_out(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        stub = engine.stub(work, hangs=True)
        run = await engine.start(Job, "a")
        await engine.crash()
        seen: list[tuple[int, int]] = []

        def second(name: str) -> str:
            seen.append((current_attempt().number, current_attempt().losses))
            return "recovered"

        engine.stub(work, calls=second)
        assert await run.result() == "recovered"
        assert seen == [(1, 1)], "a lost worker counts a loss and no failure"
        assert len(stub.calls) == 1
        await engine.check(run)


async def test_a_body_that_takes_its_worker_along_is_given_up_in_the_end(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        stub = engine.stub(work, hangs=True)
        run = await engine.start(Job, "a")
        for _ in range(6):
            await engine.crash()
            await engine.advance(timedelta(hours=1))
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert len(stub.calls) == 6, "five losses are allowed"
        assert caught.value.verdict == Reason("a", "continuum_core.errors.WorkerLost")


async def test_plain_functions_are_activities_too(journal: str) -> None:
    async with Engine([Steps], journal=journal, queues={"default": 1, "slow": 1}) as engine:
        stub = engine.stub(plain, returns="x")
        run = await engine.start(Steps, "a")
        assert (await run.result()).startswith("x,")
        assert stub.calls == ["1"]
