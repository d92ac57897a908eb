"""What cancel does has its time: after that the run is terminated, and says what is left undone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from continuum_core import RunCancelled, RunTerminated
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Engine
from tests.limits.machines import HOUR, MINUTE, Family, Go, Job, Journey, Tidy, Turn, tidy
from tests.runtime.sagas import book_car, book_flight, book_hotel, cancel_flight, cancel_hotel


async def terminated(run: Any) -> RunTerminated:
    with pytest.raises(RunTerminated, match="had not stopped") as caught:
        await run.result()
    return caught.value


async def test_what_cancel_does_may_end_in_time(journal: str) -> None:
    async with Engine([Tidy], journal=journal, paranoid=True) as engine:
        held = engine.stub(tidy, holds=True)
        run = await engine.start(Tidy, Job("a"))
        await run.cancel("enough")
        await engine.advance(10 * MINUTE - timedelta(seconds=1))
        held.held[0].succeed(None)
        with pytest.raises(RunCancelled, match="enough"):
            await run.result()
        await engine.advance(HOUR)
        assert (await engine.view(run)).status is RunStatus.CANCELLED


async def test_after_its_time_the_run_is_terminated_and_its_activities_stop(journal: str) -> None:
    async with Engine([Tidy], journal=journal, paranoid=True) as engine:
        engine.stub(tidy, hangs=True)
        run = await engine.start(Tidy, Job("a"))
        await run.cancel()
        view = await engine.view(run)
        assert [(w.what, w.due) for w in view.waiting] == [
            ("stop deadline", engine.now() + 10 * MINUTE),
            ("deadline", engine.now() + HOUR),
        ]
        await engine.advance(10 * MINUTE)
        assert (await terminated(run)).left == ()
        await engine.advance(MINUTE)
        view = await engine.view(run)
        assert (view.status, view.tasks) == (RunStatus.TERMINATED, ())


async def test_a_second_cancel_gives_no_more_time(journal: str) -> None:
    async with Engine([Tidy], journal=journal) as engine:
        engine.stub(tidy, hangs=True)
        run = await engine.start(Tidy, Job("a"))
        await run.cancel()
        await engine.advance(9 * MINUTE)
        await run.cancel()
        await engine.advance(MINUTE)
        await terminated(run)
        await engine.check(run)


async def test_completion_wins_once_or_loses_once(journal: str) -> None:
    async with Engine([Tidy], journal=journal) as engine:
        engine.stub(tidy, hangs=True)
        won, lost = [await engine.start(Tidy, Job(name)) for name in "ab"]
        for run in (won, lost):
            await run.cancel()
        await engine.advance(10 * MINUTE - timedelta(microseconds=1))
        await engine.send(won, Go())
        assert await won.result() == "a"
        await engine.advance(timedelta(microseconds=1))
        await terminated(lost)
        for run in (won, lost):
            await engine.check(run)


async def test_a_cancelled_run_that_would_begin_again_ends(journal: str) -> None:
    async with Engine([Tidy], journal=journal) as engine:
        engine.stub(tidy, hangs=True)
        run = await engine.start(Tidy, Job("a"))
        await run.cancel("enough")
        await engine.send(run, Turn())
        with pytest.raises(RunCancelled, match="enough"):
            await run.result()
        await engine.check(run)


async def test_what_is_not_undone_is_told(journal: str) -> None:
    """The hotel's undo hangs: both stay booked, and the car is not known to be."""
    async with Engine([Journey], journal=journal) as engine:
        engine.stub(book_flight, returns="f-1")
        engine.stub(book_hotel, returns="h-1")
        engine.stub(book_car, hangs=True)
        engine.stub(cancel_hotel, hangs=True)
        undone = engine.stub(cancel_flight)
        run = await engine.start(Journey, "a")
        await run.cancel()
        await engine.advance(HOUR)
        error = await terminated(run)
        assert error.left == ("book_flight", "book_hotel")
        assert str(error).endswith("; not undone: book_flight, book_hotel")
        assert undone.calls == []
        view = await engine.view(run)
        assert view.outcome is not None
        assert view.outcome["left"] == ["book_flight", "book_hotel"]
        await engine.check(run)


async def test_an_outcome_that_is_not_known_is_told_as_such(journal: str) -> None:
    async with Engine([Journey], journal=journal) as engine:
        engine.stub(book_flight, returns="f-1")
        engine.stub(book_hotel, hangs=True)
        engine.stub(cancel_flight)
        run = await engine.start(Journey, "a")
        await run.cancel()
        await engine.advance(HOUR)
        assert (await terminated(run)).left == ("book_flight", "book_hotel (not known)")


async def test_a_run_that_an_operator_terminates_tells_it_too(journal: str) -> None:
    async with Engine([Journey], journal=journal) as engine:
        engine.stub(book_flight, returns="f-1")
        engine.stub(book_hotel, hangs=True)
        run = await engine.start(Journey, "a")
        await engine.client.terminate(run, "now")
        with pytest.raises(RunTerminated, match="now") as caught:
            await run.result()
        assert caught.value.left == ("book_flight", "book_hotel (not known)")


async def test_a_parent_waits_no_longer_for_a_child_that_is_parked(journal: str) -> None:
    """The child's parking is an operator's business; its parent had ten minutes, and is over."""
    async with Engine([Family], journal=journal) as engine:
        engine.stub(tidy, hangs=True)
        parent = await engine.start(Family, Job("a"))
        (child,) = (await engine.client.list(parent=parent))[0]
        await engine.client.suspend(child.id)
        await parent.cancel()
        await engine.advance(10 * MINUTE)
        await terminated(parent)
        await engine.client.resume(child.id)
        await engine.settle()
        view = await engine.view(child.id)
        assert view.states == ("tidying",), (
            "its closing is to be asked to stop, which it took once it went on"
        )
        await engine.check(parent)


async def test_a_run_that_is_parked_because_it_cannot_undo_is_terminated_in_time(journal: str) -> None:
    """Nothing is skipped in silence: its end says what it leaves."""
    async with Engine([Journey], journal=journal) as engine:
        engine.stub(book_flight, returns="f-1")
        engine.stub(book_hotel, returns="h-1")
        engine.stub(book_car, hangs=True)
        engine.stub(cancel_hotel, raises=RuntimeError("closed"))
        run = await engine.start(Journey, "a")
        await run.cancel("ill")
        assert (await engine.view(run)).status is RunStatus.PARKED
        await engine.advance(HOUR)
        assert (await terminated(run)).left == ("book_flight", "book_hotel")
        await engine.check(run)


async def test_a_suspended_run_that_was_cancelled_is_terminated_in_time(journal: str) -> None:
    async with Engine([Tidy], journal=journal) as engine:
        engine.stub(tidy, hangs=True)
        run = await engine.start(Tidy, Job("a"))
        await run.cancel()
        await engine.client.suspend(run)
        await engine.advance(10 * MINUTE)
        await terminated(run)
        await engine.check(run)
