"""What was done is taken back: newest first, once, whatever dies; and nothing is skipped in silence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from continuum_core import RunCancelled, RunFailed
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Engine
from tests.runtime.sagas import (
    MINUTE,
    Abort,
    AtOnce,
    Booking,
    Full,
    book_car,
    book_flight,
    book_hotel,
    cancel_flight,
    cancel_hotel,
)

HOUR = timedelta(hours=1)


class World:
    """What the services were asked, in order, and how they answer."""

    def __init__(self, engine: Engine) -> None:
        self.log: list[str] = []
        self.engine = engine
        for booking in (book_flight, book_hotel, book_car):
            self.answer(booking)
        for undo in (cancel_flight, cancel_hotel):
            self.answer(undo)

    def answer(self, activity: Any, *errors: BaseException | None) -> Any:
        """Have an activity raise these one after the other (None: succeed), and succeed from then on."""
        left = list(errors)

        def call(value: str) -> str | None:
            self.log.append(activity.name)
            error = left.pop(0) if left else None
            if error is not None:
                raise error
            return f"{activity.name} of {value}" if activity.name.startswith("book") else None

        return self.engine.stub(activity, calls=call)

    def hang(self, activity: Any) -> Any:
        return self.engine.stub(activity, hangs=True)


async def test_what_was_done_is_undone_newest_first(journal: str) -> None:
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        world.answer(book_car, Full())
        run = await engine.start(Booking, "a")
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert caught.value.state == "given_up"
        assert world.log == ["book_flight", "book_hotel", "book_car", "cancel_hotel", "cancel_flight"]
        await engine.check(run)


async def test_a_known_failure_is_not_undone_and_an_empty_ledger_is_left_at_once(journal: str) -> None:
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        world.answer(book_flight, Full(), Full(), Full())
        run = await engine.start(Booking, "a")
        await engine.advance(HOUR)
        with pytest.raises(RunFailed):
            await run.result()
        assert world.log == ["book_flight"] * 3
        assert [states for _, states in await engine.path(run)][-1] == ("given_up",)
        await engine.check(run)


async def test_undos_are_given_what_the_activities_returned(journal: str) -> None:
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        world.answer(book_hotel, Full(), Full())
        undo = engine.stub(cancel_flight)
        await engine.start(Booking, "a")
        await engine.advance(HOUR)
        assert undo.calls == ["book_flight of a"]


async def test_an_activity_that_succeeds_after_the_abort_is_undone_too(journal: str) -> None:
    """It is not interrupted: the run waits for what becomes of it."""
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        begun: list[str] = []

        async def slow(name: str) -> str:
            begun.append(name)
            await engine.sleep(timedelta(seconds=30))
            return "room"

        engine.stub(book_hotel, calls=slow)
        run = await engine.start(Booking, "a")
        assert begun == ["a"]
        await engine.send(run, Abort())
        assert await engine.states(run) == {"undoing"}
        assert world.log == ["book_flight"], "nothing is undone before the last outcome is known"
        await engine.advance(MINUTE)
        with pytest.raises(RunFailed):
            await run.result()
        assert world.log == ["book_flight", "cancel_hotel", "cancel_flight"]
        assert begun == ["a"]
        await engine.check(run)


async def test_one_that_nobody_began_is_neither_run_nor_undone(journal: str) -> None:
    async with Engine([Booking], journal=journal, queues={"default": 1}) as engine:
        world = World(engine)
        hanging = world.hang(book_car)
        other = await engine.start(Booking, "other")  # its car takes the only slot
        assert len(hanging.calls) == 1
        run = await engine.start(Booking, "a")
        await engine.send(run, Abort())
        await engine.send(other, Abort())
        with pytest.raises(RunFailed):
            await run.result()
        assert world.log.count("book_flight") == 1
        assert [event for event, _ in await engine.path(run)][-1] == "failed book_flight: NeverStarted"
        await engine.check(run)


async def test_between_two_tries_the_last_failure_tells(journal: str) -> None:
    """Its next try is not awaited for its own sake: nothing was booked."""
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        world.answer(book_hotel, Full())
        run = await engine.start(Booking, "a")
        await engine.send(run, Abort())
        await engine.advance(HOUR)
        assert world.log == ["book_flight", "book_hotel", "cancel_flight"]
        assert (await engine.view(run)).status is RunStatus.FAILED


async def test_an_unknown_outcome_is_asked_again_under_its_own_key(journal: str) -> None:
    """It took too long, as often as it may: it may have booked all the same."""
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        hanging = world.hang(book_hotel)
        run = await engine.start(Booking, "a")
        await engine.advance(timedelta(seconds=150))  # two timeouts: its tries are used up
        assert len(hanging.calls) >= 2
        again = world.answer(book_hotel)
        await engine.advance(HOUR)
        assert world.log == ["book_flight", "book_hotel", "cancel_hotel", "cancel_flight"]
        assert set(again.keys) == set(hanging.keys), "the service can tell that it is the same booking"
        with pytest.raises(RunFailed):
            await run.result()
        await engine.check(run)


async def test_what_cannot_be_found_out_parks_and_is_tried_again_after_unparking(journal: str) -> None:
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        world.hang(book_hotel)
        run = await engine.start(Booking, "a")
        await engine.advance(HOUR)
        view = await engine.view(run)
        assert (view.status, view.states) == (RunStatus.PARKED, ("undoing",))
        assert "compensation" in view.cause
        assert world.log == ["book_flight"], "the rest is not undone either"
        world.answer(book_hotel, Full(), Full())
        await engine.client.unpark(run)
        await engine.advance(MINUTE)
        assert world.log == ["book_flight", "book_hotel", "book_hotel", "cancel_flight"]
        await engine.check(run)


async def test_an_undo_that_fails_parks_and_skips_nothing(journal: str) -> None:
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        world.answer(book_car, Full())
        world.answer(cancel_hotel, Full())
        run = await engine.start(Booking, "a")
        view = await engine.view(run)
        assert (view.status, view.states) == (RunStatus.PARKED, ("undoing",))
        assert world.log[-1] == "cancel_hotel"
        assert [event for event, _ in await engine.path(run)][-2:] == ["failed cancel_hotel: Full", "park"]
        world.answer(cancel_hotel, Full())
        await engine.client.unpark(run)
        assert (await engine.view(run)).status is RunStatus.PARKED, "once more in vain"
        world.answer(cancel_hotel)
        await engine.client.unpark(run)
        await engine.settle()
        assert world.log[-3:] == ["cancel_hotel", "cancel_hotel", "cancel_flight"]
        with pytest.raises(RunFailed):
            await run.result()
        await engine.check(run)


async def test_undos_run_side_by_side_where_asked(journal: str) -> None:
    async with Engine([AtOnce], journal=journal) as engine:
        world = World(engine)
        slow = world.hang(book_flight)
        run = await engine.start(AtOnce, "a")
        await engine.send(run, Abort())
        assert len(slow.calls) == 1
        gates = [world.hang(cancel_flight), world.hang(cancel_hotel)]
        world.answer(book_flight)
        await engine.advance(MINUTE)  # the timeout; the retry books
        await engine.advance(timedelta(seconds=20))
        assert [len(gate.calls) for gate in gates] == [1, 1], "both at once"


async def test_a_cancel_goes_where_the_machine_says_and_ends_cancelled(journal: str) -> None:
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        world.hang(book_car)
        run = await engine.start(Booking, "a")
        await run.cancel("changed my mind")
        with pytest.raises(RunCancelled, match="changed my mind"):
            await run.result()
        assert world.log == ["book_flight", "book_hotel", "cancel_hotel", "cancel_flight"]
        assert (await engine.view(run)).status is RunStatus.CANCELLED
        await engine.check(run)


async def test_a_cancel_while_undoing_a_failure_changes_nothing(journal: str) -> None:
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        world.answer(book_car, Full())
        world.answer(cancel_hotel, Full())  # parks in the middle
        run = await engine.start(Booking, "a")
        world.answer(cancel_hotel)
        await run.cancel("too late")  # which lifts the parking: what was stuck is tried again
        await engine.settle()
        assert world.log[-2:] == ["cancel_hotel", "cancel_flight"]
        assert (await engine.view(run)).status is RunStatus.FAILED
        await engine.check(run)


async def test_a_worker_that_dies_while_undoing_repeats_no_undo_that_was_reported(journal: str) -> None:
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        world.answer(book_car, Full())
        hanging = world.hang(cancel_flight)
        run = await engine.start(Booking, "a")
        assert len(hanging.calls) == 1
        await engine.crash()
        again = world.answer(cancel_flight)
        await engine.advance(HOUR)
        assert world.log == ["book_flight", "book_hotel", "book_car", "cancel_hotel", "cancel_flight"]
        assert set(again.keys) == set(hanging.keys)
        with pytest.raises(RunFailed):
            await run.result()
        await engine.check(run)


async def test_a_worker_that_dies_in_a_booking_leaves_it_to_be_found_out(journal: str) -> None:
    """The run has left the state by then; the lost task is run again under its key, and undone."""
    async with Engine([Booking], journal=journal) as engine:
        world = World(engine)
        hanging = world.hang(book_hotel)
        run = await engine.start(Booking, "a")
        await engine.send(run, Abort())
        await engine.crash()
        again = world.answer(book_hotel)
        await engine.advance(HOUR)
        assert world.log == ["book_flight", "book_hotel", "cancel_hotel", "cancel_flight"]
        assert set(again.keys) == set(hanging.keys)
        await engine.check(run)
