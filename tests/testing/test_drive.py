"""A machine driven by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, assert_type

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_core import (
    Failure,
    Machine,
    MachineFault,
    Message,
    PayloadRefused,
    RunCancelled,
    RunFailed,
    RunOver,
    UnexpectedEvent,
    UsageError,
    activity,
    event,
    random,
    root,
)
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Drive, Engine
from continuum_core.view import Step
from tests.golden.release_0_1 import (
    Declined,
    Jukebox,
    Order,
    Pause,
    Picked,
    Resume,
    Skip,
    Tune,
    charge,
    invoice,
)
from tests.golden.write import place
from tests.runtime.machines import (
    Broken,
    Ctx,
    Finish,
    Gated,
    Go,
    Job,
    Note,
    Reason,
    Refused,
    Sender,
    Steps,
    Waits,
    plain,
    work,
)
from tests.runtime.sagas import (
    MINUTE,
    Abort,
    Booking,
    Trip,
    book_flight,
    book_hotel,
    cancel_flight,
    cancel_hotel,
)


def test_an_order_from_start_to_end() -> None:
    run = Drive(Order, place(1))
    assert run.states == {"charging"}
    assert run.input(charge) == place(1)
    run.complete(charge, "charge-1")
    assert run.states == {"fulfilling.goods.picking", "fulfilling.papers.invoicing"}
    assert [(each.activity, each.state, each.input) for each in run.open] == [
        ("invoice", "fulfilling.papers.invoicing", place(1).id)
    ]
    run.complete(invoice)
    run.send(Picked("b", 2))
    [timer] = run.timers
    assert (timer.state, timer.due - run.now) == ("fulfilling.goods.packing", timedelta(minutes=30))
    assert run.context.bins == {"b": 2}
    run.advance(timedelta(minutes=30))
    assert run.result().charge == "charge-1"
    assert (run.status, run.states) == (RunStatus.COMPLETED, {"completed"})
    [message] = run.sent
    assert isinstance(message, Message)
    assert (message.machine, message.key) == ("frozen-ledger", "2030")
    assert [event for event, _ in run.path] == ["start", "done charge", "done invoice", "Picked", "timer"]


def test_failures_are_caught_by_class_and_reach_the_verdict() -> None:
    run = Drive(Job, "a")
    run.fail(work, Refused("no"))
    assert run.outcome is not None
    assert run.outcome["kind"] == "failed"
    with pytest.raises(RunFailed) as caught:
        run.result()
    assert (caught.value.state, caught.value.verdict) == ("failed", Reason("a", "refused"))
    assert isinstance(caught.value.failure, Failure)
    assert caught.value.failure.message == "no"


def test_a_failure_may_be_given_as_the_value_that_it_is() -> None:
    run = Drive(Order, place(1))
    declined = Failure(f"{Declined.__module__}.Declined", "no", ("Exception",))
    run.fail(charge, declined)
    assert run.states == {"refused"}


def test_what_is_not_open_is_told_with_what_is() -> None:
    run = Drive(Steps, "a")
    with pytest.raises(UsageError) as caught:
        run.complete(work, "x")
    assert str(caught.value) == "work is not open: the run is in one, with plain (of one) open"
    with pytest.raises(UsageError, match="plain is not open in two: "):
        run.complete(plain, "x", state=Steps.two)
    with pytest.raises(UsageError, match="the run has not ended: the run is in one"):
        run.result()
    run.complete(plain, "x", state=Steps.one)
    assert run.states == {"two"}
    waits = Drive(Waits, "a")
    with pytest.raises(UsageError, match="work is not open: the run is in waiting, with no activity open"):
        waits.input(work)


@event
class Both:
    pass


class Twice(Machine[Ctx, str, str], name="twice"):
    """One activity, open in two regions at once."""

    s = root(Ctx)
    both = s.parallel(initial=True)
    left = both.state()
    pulling = left.state(initial=True)
    pulled = left.final()
    right = both.state()
    pushing = right.state(initial=True)
    pushed = right.final()
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    pulling.invoke(
        work,
        lambda c: "left",
        done=pulled,
        assign=lambda c, o: evolve(c, log=(*c.log, o)),
        error={Exception: pulled},
    )
    pushing.invoke(
        work,
        lambda c: "right",
        done=pushed,
        assign=lambda c, o: evolve(c, log=(*c.log, o)),
        error={Exception: pushed},
    )
    both.done(done)


def test_an_activity_that_is_open_twice_is_named_by_its_state() -> None:
    run = Drive(Twice, "a")
    with pytest.raises(UsageError, match=r"open in both\.left\.pulling and in both\.right\.pushing: say"):
        run.complete(work, "x")
    assert run.input(work, state="both.right.pushing") == "right"
    run.complete(work, "r", state=Twice.pushing)
    run.complete(work, "l")
    assert run.result() == "r,l"


def test_deferred_events_come_back_in_their_order_after_a_change() -> None:
    run = Drive(Waits, "a")
    run.send(Note("1"))
    run.send(Note("2"))
    assert run.deferred == [Note("1"), Note("2")]
    run.send(Finish())
    assert len(run.deferred) == 2, "an event that changes nothing releases nothing"
    run.send(Go())
    assert run.deferred == []
    run.send(Note("3"))
    run.send(Finish())
    assert run.result() == "go,1,2,3"


def test_each_change_tries_the_oldest_deferred_event_first_again() -> None:
    run = Drive(Jukebox, "intro")
    run.send(Pause())
    for sent in (Skip(), Tune(1), Skip()):
        run.send(sent)
    run.send(Resume())
    # The first Skip leads to the chorus; then, from there, Tune; then the second Skip.
    assert [(e, s) for e, s in run.path[-4:]] == [
        ("Resume", ("playing.song.verse",)),
        ("Skip", ("playing.song.chorus",)),
        ("Tune", ("playing.radio",)),
        ("Skip", ("playing.song.verse",)),
    ]


@event
class First:
    pass


@event
class Second:
    pass


@event
class Third:
    pass


ALIKE = Ctx("the same for every run")


class Picky(Machine[Ctx, str, str], name="picky"):
    """It takes one event only after another, and notes them; a timer of it leads nowhere."""

    s = root(Ctx)
    none = s.state(initial=True)
    second = s.state()
    rest = s.state()
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return ALIKE

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    none.defer(First, Second, Third)
    none.on(Go, second)
    none.after(timedelta(minutes=1), assign=lambda c: evolve(c, log=(*c.log, "a minute")))
    second.defer(First, Third)
    second.on(Second, rest, assign=lambda c, e: evolve(c, log=(*c.log, "second")))
    rest.on(First, assign=lambda c, e: evolve(c, log=(*c.log, "first")))
    rest.on(Third, assign=lambda c, e: evolve(c, log=(*c.log, "third")))
    rest.on(Finish, done)


def test_what_is_deferred_once_more_still_comes_before_what_is_behind_it() -> None:
    run = Drive(Picky, "")
    for sent in (First(), Second(), Third(), Go(), Finish()):
        run.send(sent)
    assert run.result() == "second,first,third"


def test_a_timer_that_leads_nowhere_fires_once() -> None:
    run = Drive(Picky, "")
    assert len(run.timers) == 1
    run.advance(timedelta(minutes=5))
    assert run.timers == []
    assert run.context.log == ("a minute",)


def test_the_context_is_the_one_that_was_read_back() -> None:
    run = Drive(Picky, "")
    assert run.context == ALIKE
    assert run.context is not ALIKE


def test_an_outcome_releases_deferred_events_too() -> None:
    run = Drive(Gated, "a")
    run.send(Note("kept"))
    run.complete(work, "x")
    assert run.result() == "kept"


def test_timers_fire_at_their_time_in_order_and_not_before() -> None:
    run = Drive(Waits, "a")
    run.advance(timedelta(minutes=59, seconds=59))
    assert run.states == {"waiting"}
    run.advance(timedelta(days=3))
    assert run.states == {"late"}
    [_, fired] = run.steps
    assert fired.at - run.steps[0].at == timedelta(hours=1), "each at its own time"
    assert run.now - run.steps[0].at == timedelta(days=3, minutes=59, seconds=59)
    with pytest.raises(UsageError, match="no shorter than 0 s"):
        run.advance(-timedelta(seconds=1))
    run.advance(0.5)
    assert run.now - run.steps[0].at == timedelta(days=3, minutes=59, seconds=59, milliseconds=500)
    no_length: Any = "1h"
    with pytest.raises(UsageError, match="give seconds as a number, or a timedelta"):
        run.advance(no_length)


def test_leaving_a_state_ends_its_timers_and_activities() -> None:
    run = Drive(Waits, "a")
    run.send(Go())
    assert run.timers == []
    job = Drive(Job, "a")
    job.send(Finish())
    assert job.open == []


def test_cancelling() -> None:
    run = Drive(Gated, "a")
    run.send(Note("kept"))
    run.cancel("no more")
    assert (run.status, run.states, run.open, run.deferred) == (RunStatus.CANCELLED, set(), [], [])
    assert run.context == Ctx("a")
    with pytest.raises(RunCancelled, match="no more"):
        run.result()
    with pytest.raises(RunOver):
        run.send(Note("late"))
    with pytest.raises(RunOver):
        run.cancel()
    with pytest.raises(UsageError, match=r"work is not open: the run is over \(cancelled\)"):
        run.complete(work, "x")


def test_a_fault_is_raised_and_leaves_the_run_as_it_was() -> None:
    run = Drive(Broken, "a")
    run.send(Note("good"))
    before = (run.context, run.states, run.steps)
    with pytest.raises(MachineFault, match="KeyError"):
        run.send(Note("bad"))
    assert (run.context, run.states, run.steps) == before
    run.send(Note("good"))
    assert run.context.log == ("1", "1")


def test_what_callers_do_wrong() -> None:
    run = Drive(Waits, "a")
    with pytest.raises(UnexpectedEvent, match="Both"):
        run.send(Both())
    with pytest.raises(UsageError, match=r"send an instance: Go\(\.\.\.\)"):
        run.send(Go)
    with pytest.raises(PayloadRefused):
        Drive(Waits, 5)  # type: ignore[misc]  # the fault under test


def test_what_could_not_be_stored_is_found() -> None:
    run = Drive(Waits, "a")
    with pytest.raises(PayloadRefused, match="word"):
        run.send(Note(5))  # type: ignore[arg-type]  # the fault under test
    job = Drive(Job, "a")
    with pytest.raises(PayloadRefused, match="expected str, got int"):
        job.complete(work, 5)
    job.complete(work, "x")
    assert job.result() == "x"


@event
class Take:
    word: str


class Untyped(Machine[Ctx, str, str], name="untyped"):
    """Its reducer makes a context that its type does not allow."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    waiting.on(Take, assign=lambda c, e: Ctx(c.name, [e.word]))  # type: ignore[arg-type]  # the fault under test
    waiting.on(Go, done)


def test_a_context_of_the_wrong_type_is_found_where_it_is_made() -> None:
    run = Drive(Untyped, "a")
    with pytest.raises(PayloadRefused, match="log"):
        run.send(Take("x"))
    assert run.context == Ctx("a")


def test_messages_are_kept_as_they_were_made() -> None:
    run = Drive(Sender, "k")
    run.send(Go("a"))
    assert run.sent == [
        Message(Note("a-1"), machine="receiver", key="k"),
        Message(Note("a-2"), machine="receiver", key="k"),
    ]


@activity()
async def draw(_: int) -> int:
    return 0


class Chance(Machine[float, int, float], name="chance"):
    s = root(float)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: int) -> float:
        return random()

    @staticmethod
    def result(c: float) -> float:
        return c

    waiting.invoke(draw, lambda c: 1, done=done, error={Exception: done})


def test_chance_is_the_same_every_time_and_another_for_another_run() -> None:
    assert Drive(Chance, 1).context == Drive(Chance, 1).context
    assert Drive(Chance, 1).context != Drive(Chance, 1, run_id=place(2).id).context


def test_types_flow_from_the_machine() -> None:
    run = Drive(Job, "a")
    assert_type(run.context, Ctx)
    assert_type(run.input(work), str)
    run.complete(work, "x")
    assert_type(run.result(), str)


def test_where_a_run_is_shows_in_its_repr() -> None:
    assert repr(Drive(Job, "a")) == "<job: the run is in working, with work (of working) open>"


# --- like the engine -----------------------------------------------------------------------------------

ACTS = st.sampled_from((Skip(), Tune(1), Pause(), Resume(), Resume(deep=False), timedelta(minutes=50)))


Path = list[tuple[str, tuple[str, ...], datetime, str]]


def path_of(steps: Sequence[Step]) -> Path:
    return [(step.event, step.states, step.at, step.disposition) for step in steps]


async def engine_path(acts: Sequence[Any]) -> Path:
    async with Engine([Jukebox]) as engine:
        run = await engine.start(Jukebox, "intro")
        with contextlib.suppress(RunOver):
            for act in acts:
                if isinstance(act, timedelta):
                    await engine.advance(act)
                else:
                    await engine.send(run, act)
        await engine.check(run)
        return path_of(await engine.history(run))


def drive_path(acts: Sequence[Any]) -> Path:
    run = Drive(Jukebox, "intro")
    with contextlib.suppress(RunOver):
        for act in acts:
            if isinstance(act, timedelta):
                run.advance(act)
            else:
                run.send(act)
    return path_of(run.steps)


@settings(max_examples=25, deadline=None)
@given(acts=st.lists(ACTS, max_size=12))
def test_a_driven_run_takes_the_same_path_as_one_under_the_engine(acts: list[Any]) -> None:
    with asyncio.Runner() as runner:
        assert runner.run(engine_path(acts)) == drive_path(acts)


# --- taking back -----------------------------------------------------------------------------------


def test_what_was_done_is_undone_newest_first_and_what_is_open_is_awaited() -> None:
    run = Drive(Booking, "a")
    run.complete(book_flight, "LH1")
    run.send(Abort())
    assert [each.activity for each in run.open] == ["book_hotel"]
    run.complete(book_hotel, "12")
    assert [(each.activity, each.input, each.state) for each in run.open] == [
        ("cancel_hotel", "12", "undoing")
    ]
    run.complete(cancel_hotel)
    assert run.input(cancel_flight) == "LH1"
    run.complete(cancel_flight)
    assert (run.status, run.states) == (RunStatus.FAILED, {"given_up"})


def test_an_undo_that_fails_is_stuck_until_unparked() -> None:
    run = Drive(Booking, "a")
    with pytest.raises(UsageError, match="nothing is stuck"):
        run.unpark()
    run.complete(book_flight, "LH1")
    run.fail(book_hotel, RuntimeError("full"))
    run.fail(cancel_flight, RuntimeError("closed"))
    assert (run.status, run.states, run.open) == (RunStatus.PARKED, {"undoing"}, [])
    run.unpark()
    assert run.input(cancel_flight) == "LH1"
    run.complete(cancel_flight)
    assert run.outcome == {"kind": "failed", "state": "given_up", "value": ""}


def test_an_unknown_outcome_is_asked_again() -> None:
    run = Drive(Booking, "a")
    run.fail(book_flight, TimeoutError("too long"))
    [asked] = run.open
    assert (asked.activity, asked.input, run.states) == ("book_flight", "a", {"undoing"})
    run.complete(book_flight, "LH1")
    assert run.input(cancel_flight) == "LH1"


def test_a_timer_may_leave_the_middle_of_an_undoing_and_come_back() -> None:
    """What is left stays to be undone."""

    class Paused(Machine[Trip, str, str], name="paused"):
        s = root(Trip)
        flight = s.state(initial=True)
        undoing = s.state()
        pause = s.state()
        over = s.final()

        @staticmethod
        def init(name: str) -> Trip:
            return Trip(name)

        @staticmethod
        def result(trip: Trip) -> str:
            return trip.name

        flight.invoke(book_flight, lambda trip: trip.name, done=undoing, error=over)
        undoing.compensate(over)
        undoing.after(MINUTE, pause)
        pause.on(Abort, undoing)

    run = Drive(Paused, "a")
    run.complete(book_flight, "LH1")
    run.advance(MINUTE)
    assert (run.states, run.open) == ({"pause"}, [])
    run.send(Abort())
    assert run.input(cancel_flight) == "LH1"
    run.complete(cancel_flight)
    assert run.result() == "a"
