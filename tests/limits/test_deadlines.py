"""A run's deadline: whatever the run does, whoever is there, it is over then, and its result says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from continuum_core import RunCancelled, RunTerminated, RunTimedOut, UsageError
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Engine
from tests.limits.machines import (
    HOUR,
    MINUTE,
    Bare,
    Broken,
    Family,
    Go,
    Job,
    Note,
    Open,
    Partial,
    Tidy,
    Turn,
    tidy,
    work,
)

SECOND = timedelta(seconds=1)
ALL = [Bare, Broken, Family, Open, Partial, Tidy]


async def timed_out(run: Any) -> RunTimedOut:
    with pytest.raises(RunTimedOut) as caught:
        await run.result()
    return caught.value


async def test_a_run_that_waits_is_over_at_its_deadline(journal: str) -> None:
    async with Engine([Bare], journal=journal, paranoid=True) as engine:
        run = await engine.start(Bare, Job("a", HOUR))
        waiting = (await engine.view(run)).waiting
        assert [(each.what, each.due) for each in waiting] == [("deadline", engine.now() + HOUR)]
        await engine.advance(HOUR - SECOND)
        assert await engine.states(run) == {"idle"}
        await engine.advance(SECOND)
        error = await timed_out(run)
        assert (error.state, error.verdict, error.left) == ("", None, ())
        assert str(error) == f"run {run.id} was not over by its deadline"
        assert (await engine.view(run)).status is RunStatus.FAILED
        assert [step.event for step in await engine.history(run)] == ["start", "deadline"]
        await engine.check(run)


async def test_a_run_that_is_over_before_has_its_result(journal: str) -> None:
    async with Engine([Bare], journal=journal) as engine:
        run = await engine.start(Bare, Job("a", HOUR))
        await engine.advance(HOUR - SECOND)
        await engine.send(run, Go())
        await engine.advance(HOUR)
        assert await run.result() == "a"
        await engine.check(run)


async def test_who_starts_a_run_says_by_when_it_has_to_be_over(journal: str) -> None:
    async with Engine(ALL, journal=journal) as engine:
        engine.stub(work, hangs=True)
        begun = engine.now()
        sooner = await engine.start(Bare, Job("a", HOUR), deadline=MINUTE)
        later = await engine.start(Bare, Job("b", HOUR), deadline=begun + 2 * HOUR)
        given = await engine.start(Open, Job("c"), deadline=MINUTE)
        endless = await engine.start(Open, Job("d"))
        await engine.advance(MINUTE)
        for run in (sooner, given):
            await timed_out(run)
            await engine.check(run)
        await engine.advance(2 * HOUR - 2 * MINUTE)
        assert await engine.states(later) == {"idle"}
        await engine.advance(MINUTE)
        await timed_out(later)
        assert await engine.states(endless) == {"idle"}


async def test_an_activity_under_way_is_asked_to_stop(journal: str) -> None:
    async with Engine([Open], journal=journal) as engine:
        stub = engine.stub(work, hangs=True)
        run = await engine.start(Open, Job("a"), deadline=MINUTE)
        assert len(stub.calls) == 1
        await engine.advance(MINUTE)
        await timed_out(run)
        await engine.advance(2 * MINUTE)
        assert (await engine.view(run)).tasks == ()
        await engine.check(run)


async def test_it_passes_while_no_worker_is_there(journal: str) -> None:
    """What came before it is taken before it: nobody is late because workers are."""
    async with Engine([Bare], journal=journal) as engine:
        late = await engine.start(Bare, Job("late", HOUR))
        saved = await engine.start(Bare, Job("saved", HOUR))
        await engine.deploy([Partial])
        await engine.client.send(saved, Go())
        await engine.advance(2 * HOUR)
        await engine.client.send(late, Go())
        await engine.deploy([Bare])
        assert await saved.result() == "saved"
        await timed_out(late)


async def test_it_counts_from_when_the_run_was_to_begin(journal: str) -> None:
    async with Engine([Bare, Open], journal=journal) as engine:
        engine.stub(work, hangs=True)
        begun = engine.now()
        after = await engine.client.start(Bare, Job("a", HOUR), after=HOUR)
        at = await engine.client.start(Open, Job("b"), at=begun + HOUR, deadline=HOUR)
        await engine.advance(HOUR)
        for run in (after, at):
            assert await engine.states(run) == {"idle"}
            assert [w.due for w in (await engine.view(run)).waiting] == [begun + 2 * HOUR]
        await engine.advance(HOUR)
        for run in (after, at):
            await timed_out(run)
            await engine.check(run)


async def test_a_run_that_nobody_began_in_time_is_over_without_running(journal: str) -> None:
    async with Engine([Partial], journal=journal) as engine:
        declared = await engine.client.start(Bare, Job("a", HOUR), after=MINUTE)
        given = await engine.client.start(Open, Job("b"), after=MINUTE, deadline=HOUR)
        await engine.advance(3 * HOUR)
        await engine.deploy([Bare, Open])
        for run in (declared, given):
            await timed_out(run)
            view = await engine.view(run)
            assert (view.states, view.context, view.tasks) == ((), None, ())
            assert [step.event for step in await engine.history(run)] == ["start"]
            await engine.check(run)
        past = await engine.start(Open, Job("c"), deadline=engine.now() - SECOND)
        await timed_out(past)


async def test_starting_again_changes_nothing_of_it(journal: str) -> None:
    async with Engine([Bare], journal=journal) as engine:
        run = await engine.start(Bare, Job("a", HOUR), key="k")
        again = await engine.start(Bare, Job("a", HOUR), key="k", deadline=MINUTE)
        assert again.id == run.id
        await engine.advance(2 * MINUTE)
        assert await engine.states(run) == {"idle"}
        await engine.advance(HOUR)
        await timed_out(run)


async def test_starts_that_calm_down_count_from_when_the_run_begins(journal: str) -> None:
    async with Engine([Open], journal=journal) as engine:
        engine.stub(work, hangs=True)
        for name in ("a", "b", "c"):
            run = await engine.client.start(
                Open, Job(name), key="k", debounce=MINUTE, debounce_max=HOUR, deadline=HOUR
            )
            await engine.advance(MINUTE / 2)
        await engine.advance(MINUTE / 2)
        assert await engine.states(run) == {"idle"}
        assert [w.due for w in (await engine.view(run)).waiting] == [engine.now() + HOUR]
        await engine.check(run)


async def test_it_counts_over_all_generations(journal: str) -> None:
    async with Engine([Bare], journal=journal) as engine:
        run = await engine.start(Bare, Job("a", HOUR))
        for _ in range(3):
            await engine.advance(MINUTE)
            await engine.send(run, Turn())
        view = await engine.view(run)
        assert view.context.name == "a'''"
        await engine.advance(HOUR - 3 * MINUTE)
        await timed_out(run)
        await engine.check(run)


async def test_it_tidies_up_as_if_it_was_cancelled(journal: str) -> None:
    async with Engine([Tidy], journal=journal) as engine:
        held = engine.stub(tidy, holds=True)
        run = await engine.start(Tidy, Job("a"))
        await engine.advance(HOUR)
        assert await engine.states(run) == {"tidying"}
        held.held[0].succeed(None)
        error = await timed_out(run)
        assert (error.state, error.verdict) == ("stopped", "a was tidied up")
        await engine.check(run)


async def test_what_it_does_then_is_ended_in_time_too(journal: str) -> None:
    async with Engine([Tidy], journal=journal) as engine:
        engine.stub(tidy, hangs=True)
        run = await engine.start(Tidy, Job("a"))
        await engine.advance(HOUR)
        assert [each.what for each in (await engine.view(run)).waiting] == ["stop deadline"]
        await engine.advance(10 * MINUTE)
        with pytest.raises(RunTerminated, match="had not stopped"):
            await run.result()
        await engine.check(run)


async def test_a_late_run_does_not_begin_again_and_may_still_succeed(journal: str) -> None:
    async with Engine([Tidy], journal=journal) as engine:
        engine.stub(tidy, hangs=True)
        renewed, saved = [await engine.start(Tidy, Job(name)) for name in "ab"]
        await engine.advance(HOUR)
        await engine.send(renewed, Turn())
        assert (await timed_out(renewed)).state == "again"
        await engine.send(saved, Go())
        assert await saved.result() == "b"
        for run in (renewed, saved):
            await engine.check(run)


async def test_the_machine_says_what_its_deadline_does(journal: str) -> None:
    async with Engine([Partial], journal=journal) as engine:
        gives, stays = [await engine.start(Partial, Job(name)) for name in "ab"]
        await engine.send(gives, Note("one"))
        await engine.send(stays, Turn())
        await engine.advance(HOUR)
        assert await gives.result() == "one,partial"
        assert await engine.states(stays) == {"stubborn"}
        await engine.advance(5 * HOUR)
        await engine.send(stays, Go())
        assert await stays.result() == "late"
        for run in (gives, stays):
            await engine.check(run)


async def test_a_machine_that_fails_at_its_deadline_is_ended_without_its_code(journal: str) -> None:
    async with Engine([Broken], journal=journal, paranoid=True) as engine:
        run = await engine.start(Broken, Job("a"))
        await engine.advance(HOUR)
        error = await timed_out(run)
        assert "KeyError" in error.reason
        assert [step.event for step in await engine.history(run)] == ["start", "deadline, forced"]
        await engine.check(run)


async def test_a_cancel_that_came_first_stays_a_cancel(journal: str) -> None:
    async with Engine([Tidy], journal=journal) as engine:
        held = engine.stub(tidy, holds=True)
        run = await engine.start(Tidy, Job("a"))
        await engine.advance(HOUR - MINUTE)
        await run.cancel("enough")
        await engine.advance(2 * MINUTE)
        held.held[-1].succeed(None)
        with pytest.raises(RunCancelled, match="enough"):
            await run.result()
        await engine.check(run)


async def test_a_child_run_that_is_late_tells_its_parent(journal: str) -> None:
    async with Engine([Family], journal=journal) as engine:
        engine.stub(tidy, returns=None)
        parent = await engine.start(Family, Job("a"))
        await engine.advance(HOUR)
        step = (await engine.history(parent))[-1]
        assert step.event == "failed tidy-up: RunTimedOut"
        assert step.data["details"]["verdict"] == "a-child was tidied up"
        await engine.check(parent)


async def test_an_event_of_the_same_instant_is_taken_in_its_order(journal: str) -> None:
    """By due time, then by id: either is first, and the other finds the run as that left it."""
    async with Engine([Bare], journal=journal) as engine:
        run = await engine.start(Bare, Job("a", HOUR))
        await engine.deploy([Partial])
        await engine.advance(HOUR - timedelta(microseconds=1))
        await engine.client.send(run, Go())
        await engine.advance(MINUTE)
        await engine.deploy([Bare])
        assert await run.result() == "a"


async def test_times_that_make_no_sense_are_refused() -> None:
    async with Engine([Open]) as engine:
        for wrong in (
            engine.start(Open, Job("a"), deadline=timedelta(0)),
            engine.client.start(Open, Job("a"), after=HOUR, deadline=engine.now() + MINUTE),
        ):
            with pytest.raises(UsageError, match="deadline="):
                await wrong


async def test_a_suspended_run_does_not_outlive_its_deadline(journal: str) -> None:
    async with Engine([Bare], journal=journal) as engine:
        run = await engine.start(Bare, Job("a", HOUR))
        await engine.client.suspend(run, "a while")
        await engine.send(run, Note("unheard"))
        await engine.advance(HOUR - SECOND)
        assert (await engine.view(run)).status is RunStatus.SUSPENDED
        await engine.advance(SECOND)
        await timed_out(run)
        events = [step.event for step in await engine.history(run)]
        assert events == ["start", "suspend", "Note", "deadline"], "what came before it is taken before it"
        await engine.check(run)


async def test_a_parked_run_does_not_outlive_its_deadline(journal: str) -> None:
    """It meets on its way out neither what parked it nor any other code of its machine that fails."""
    async with Engine([Broken], journal=journal) as engine:
        run = await engine.start(Broken, Job("a"))
        await engine.send(run, Note("poison"))
        assert (await engine.view(run)).status is RunStatus.PARKED
        await engine.advance(HOUR)
        await timed_out(run)
        assert [step.event for step in await engine.history(run)] == ["start", "park", "deadline, forced"]
        assert (await run.at(3)).status is RunStatus.FAILED
        await engine.check(run)


async def test_a_run_that_rests_tidies_up_at_its_deadline(journal: str) -> None:
    async with Engine([Tidy], journal=journal) as engine:
        held = engine.stub(tidy, holds=True)
        run = await engine.start(Tidy, Job("a"))
        await engine.client.suspend(run)
        await engine.advance(HOUR)
        view = await engine.view(run)
        assert (view.status, view.states) == (RunStatus.RUNNING, ("tidying",))
        held.held[0].succeed(None)
        await timed_out(run)
        await engine.check(run)
