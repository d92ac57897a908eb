"""Two things at the same instant: exactly one wins, by a rule, and no acknowledgement is lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from attrs import frozen

from continuum_core import Machine, RunCancelled, RunOver, RunStatus, event, root
from continuum_core.errors import JournalUnavailable
from continuum_core.testing import Engine
from continuum_core.view import RunView

HOUR = timedelta(hours=1)

pytestmark = pytest.mark.every_journal


@event
class Paid:
    pass


@frozen
class Bill:
    name: str


class Paying(Machine[Bill, str, str], name="paying"):
    """An event and its timeout."""

    s = root(Bill)
    waiting = s.state(initial=True)
    paid = s.final()
    late = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Bill:
        return Bill(i)

    @staticmethod
    def result(c: Bill) -> str:
        return c.name

    waiting.on(Paid, paid)
    waiting.after(HOUR, late)


async def _ended(engine: Engine, name: str) -> RunView:
    view = await engine.view(engine.client.get(Paying, name))
    assert sum(states in (("paid",), ("late",)) for _, states in await engine.path(view.id)) == 1
    return view


async def test_of_an_event_and_its_timeout_at_one_instant_the_first_made_wins(journal: str) -> None:
    """Both are due in the same microsecond: (due, id) decides, and ids are in the order of their making."""
    async with Engine([Paying], journal=journal) as engine:
        run = await engine.client.start(Paying, "timer first", key="a")
        await run.send(Paid(), delay=HOUR)
        await engine.advance(HOUR)
        assert (await _ended(engine, "a")).status is RunStatus.FAILED
        other = await engine.client.start(Paying, "event first", key="b", after=HOUR)
        await other.send(Paid(), delay=2 * HOUR)
        await engine.advance(2 * HOUR)
        assert (await _ended(engine, "b")).status is RunStatus.COMPLETED
        for name in ("a", "b"):
            await engine.check(engine.client.get(Paying, name))


async def test_an_event_before_its_timeout_wins_and_one_after_it_is_told(journal: str) -> None:
    async with Engine([Paying], journal=journal) as engine:
        run = await engine.client.start(Paying, "x", key="a")
        await run.send(Paid(), delay=HOUR - timedelta(microseconds=1))
        await engine.advance(HOUR)
        assert (await _ended(engine, "a")).status is RunStatus.COMPLETED
        late = await engine.client.start(Paying, "x", key="b")
        await engine.advance(HOUR)
        with pytest.raises(RunOver):
            await late.send(Paid())


async def test_a_cancel_wins_or_loses_against_completion_once(journal: str) -> None:
    """Whoever is second is told: an acknowledged cancel cancelled, a refused one found the run over."""
    async with Engine([Paying], journal=journal) as engine:
        for number in range(6):
            run = await engine.client.start(Paying, "x", key=f"r-{number}")
            racing = [run.send(Paid()), run.cancel("no more")]
            told = await asyncio.gather(*(racing if number % 2 else racing[::-1]), return_exceptions=True)
            assert not [each for each in told if isinstance(each, JournalUnavailable)]
            cancelled = told[1] if number % 2 else told[0]
            if cancelled is None:
                with pytest.raises(RunCancelled):
                    await run.result()
            else:
                assert isinstance(cancelled, RunOver)
                assert await run.result() == "x"
            await engine.check(run)
