"""What deadlines ask of journals: timers that no state closes, and that end a rest."""

from __future__ import annotations

import pytest

from continuum_core import RunTerminated, RunTimedOut
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Engine
from tests.limits.machines import HOUR, MINUTE, Bare, Job, Journey, Turn
from tests.runtime.sagas import book_car, book_flight, book_hotel, cancel_hotel


async def test_a_run_that_rests_in_its_second_generation_is_over_at_its_deadline(real_journal: str) -> None:
    async with Engine([Bare], journal=real_journal) as engine:
        run = await engine.start(Bare, Job("a", HOUR))
        await engine.send(run, Turn())
        await engine.client.suspend(run)
        await engine.advance(HOUR)
        with pytest.raises(RunTimedOut):
            await run.result()
        await engine.check(run)


async def test_a_run_that_cannot_undo_is_terminated_though_it_is_parked(real_journal: str) -> None:
    async with Engine([Journey], journal=real_journal) as engine:
        engine.stub(book_flight, returns="f-1")
        engine.stub(book_hotel, returns="h-1")
        engine.stub(book_car, hangs=True)
        engine.stub(cancel_hotel, raises=RuntimeError("closed"))
        run = await engine.start(Journey, "a")
        await run.cancel("ill")
        await engine.crash()
        await engine.advance(30 * MINUTE)
        assert (await engine.view(run)).status is RunStatus.PARKED
        await engine.advance(30 * MINUTE)
        with pytest.raises(RunTerminated) as caught:
            await run.result()
        assert caught.value.left == ("book_flight", "book_hotel")
        await engine.check(run)
