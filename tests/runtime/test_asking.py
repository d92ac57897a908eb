"""Asking and looking: what a turn replies, to whom, how often; and what is read without a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from continuum_core import (
    AskRejected,
    AskTimeout,
    Client,
    Machine,
    PayloadRefused,
    Question,
    RunNotBegun,
    RunNotFound,
    RunOver,
    RunStatus,
    UnexpectedEvent,
    UsageError,
    Worker,
    event,
    root,
)
from continuum_core.errors import UnknownMachine
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Limits
from continuum_core.testing import Engine
from continuum_core.testing.faults import Call, Fault, FaultKind, FaultyJournal
from continuum_core.view import RunView
from tests.runtime.talks import DAY, Buy, Close, Nudge, Open, Price, Quote, Shop, Stock, count_till, revenue


async def test_a_question_is_answered_by_the_turn_that_takes_it(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.start(Shop, 10)
        await run.send(Open())
        assert await run.ask(Quote(2)) == Price(6, 0)
        assert await run.ask(Buy(4)) == 6, "of the context as the edge's own reducer left it"
        assert await run.ask(Quote(2), timeout=5) == Price(6, 4)
        await run.ask(Nudge())
        assert await run.ask("Quote", {"count": 1}) == {"amount": 3, "sold": 4}
        await engine.check(run)


async def test_what_is_not_answered_says_why(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.start(Shop, 10)
        with pytest.raises(AskRejected, match="does not expect Quote in closed") as caught:
            await run.ask(Quote(1))
        assert (caught.value.reason, caught.value.states) == ("unexpected", ("closed",))
        await run.send(Open())
        with pytest.raises(AskRejected, match="no guard let it take Quote in trading") as caught:
            await run.ask(Quote(11))
        assert caught.value.reason == "guarded"
        engine.stub(count_till, hangs=True)
        assert await run.ask(Close()) == "sold 0"
        with pytest.raises(AskRejected, match="an edge that says nothing") as caught:
            await run.ask(Quote(1))
        assert caught.value.reason == "unanswered"


async def test_a_deferred_question_is_answered_when_it_is_taken(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.start(Shop, 10)
        with pytest.raises(AskTimeout, match="deferred it") as caught:
            await run.ask(Buy(3), timeout=60, id="order-1")
        assert (caught.value.id, caught.value.seconds) == ("order-1", 60)
        waits = asyncio.create_task(run.ask(Buy(3), id="order-1"))
        await engine.settle()
        assert not waits.done()
        await run.send(Open())
        assert await waits == 7
        assert await run.query(lambda c: c.sold) == 3, "asked twice, taken once"


async def test_one_id_asks_once_and_is_told_the_same_also_after_the_end(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.start(Shop, 10)
        await run.send(Open())
        asked = [run.ask(Buy(4), id="order-1") for _ in range(3)]
        assert await asyncio.gather(*asked) == [6, 6, 6]
        assert await run.ask(Close(), id="bye") == "sold 4"
        assert await run.result() == 4
        assert await run.ask(Buy(4), id="order-1") == 6
        assert await run.ask(Close(), id="bye") == "sold 4"
        with pytest.raises(RunOver):
            await run.ask(Close())
        await engine.advance(DAY * 8)
        with pytest.raises(RunOver):
            await run.ask(Buy(4), id="order-1")


async def test_the_window_of_replies_is_a_setting(journal: str) -> None:
    limits = Limits(dedupe_window=60_000_000)
    async with Engine([Shop], journal=journal, limits=limits) as engine:
        run = await engine.start(Shop, 10)
        await run.send(Open())
        assert await run.ask(Buy(1), id="a") == 9
        await engine.advance(DAY / 1440 / 2)
        assert await run.ask(Buy(1), id="a") == 9
        await engine.advance(DAY / 1440)
        assert await run.ask(Buy(1), id="a") == 8, "the id is forgotten, and asks anew"


async def test_a_run_that_ends_lets_its_askers_go(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.start(Shop, 10)
        waits = asyncio.create_task(run.ask(Buy(1)))
        await engine.settle()
        await engine.client.terminate(run)
        with pytest.raises(RunOver):
            await waits
        other = await engine.start(Shop, 10)
        waits = asyncio.create_task(other.ask(Buy(1)))
        await engine.settle()
        await other.cancel()
        with pytest.raises(RunOver):
            await waits


async def test_a_timeout_says_what_holds_the_question_up(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.start(Shop, 10)
        await run.send(Open())
        await engine.settle()
        await engine.client.suspend(run)
        with pytest.raises(AskTimeout, match="within 10 s: it is suspended; resume it"):
            await run.ask(Nudge(), timeout=10, id="n")
        await engine.client.resume(run)
        await run.ask(Nudge(), id="n")
        with pytest.raises(RunNotFound):
            await engine.client.ask("00000000-0000-0000-0000-000000000001", Nudge())


@event
class Elsewhere(Question[int]):
    pass


async def test_what_cannot_be_asked_is_refused_at_the_call() -> None:
    async with Engine([Shop]) as engine:
        run = await engine.start(Shop, 1)
        with pytest.raises(UsageError, match="no question"):
            await run.ask(Open())  # type: ignore[call-overload]
        with pytest.raises(UsageError, match="not the class"):
            await run.ask(Nudge)  # type: ignore[call-overload]
        with pytest.raises(UnexpectedEvent):
            await run.ask(Elsewhere())
        with pytest.raises(PayloadRefused):
            await run.ask("Quote", {"count": "many"})


# --- crashes ---------------------------------------------------------------------------------------


def _points() -> Iterator[tuple[FaultKind, int]]:
    for kind in (FaultKind.LOST_REQUEST, FaultKind.LOST_REPLY, FaultKind.TWICE):
        for number in (1, 2, 3):
            yield kind, number


@pytest.mark.parametrize(("kind", "number"), list(_points()))
async def test_a_fault_at_a_commit_answers_once(kind: FaultKind, number: int) -> None:
    def decide(call: Call) -> Fault:
        return Fault(kind) if (call.verb, call.number) == ("commit", number) else Fault()

    spoilt = FaultyJournal(connect("memory://"), decide)
    async with Worker(spoilt, [Shop], poll=0.05) as worker:
        run = await worker.client.start(Shop, 10)
        await run.send(Open())
        assert await run.ask(Buy(3), id="a", timeout=30) == 7
        assert await run.ask(Buy(3), id="b", timeout=30) == 4
        assert await run.ask(Buy(3), id="a", timeout=30) == 7
        assert await run.query(revenue) == 18


async def test_a_worker_that_dies_leaves_the_reply_to_the_next(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.start(Shop, 10)
        await run.send(Open())
        waits = asyncio.create_task(run.ask(Buy(1), id="order-1"))
        await engine.crash()
        await engine.advance(DAY / 100)
        assert await waits == 9
        assert await run.query(lambda c: c.sold) == 1


# --- looking ---------------------------------------------------------------------------------------


class Sleepy(Machine[Stock, int, int], name="sleepy"):
    s = root(Stock)
    here = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: int) -> Stock:
        return Stock(i)

    @staticmethod
    def result(c: Stock) -> int:
        return 1 // c.left

    here.on(Open, done)


def told(c: Stock, run: RunView) -> tuple[int, tuple[str, ...], int]:
    return c.left, run.states, len(run.waiting)


async def test_a_query_reads_without_a_turn(journal: str) -> None:
    async with Engine([Shop, Sleepy], journal=journal) as engine:
        run = await engine.start(Shop, 10)
        await run.send(Open())
        await run.ask(Buy(2))
        version = (await run.view()).version
        assert await run.query(revenue) == 6
        assert await run.query(told) == (8, ("trading",), 1)
        assert await engine.client.query(str(run.id), revenue) == 6
        await engine.client.suspend(run)
        assert await run.query(revenue) == 6
        assert (await run.view()).version == version + 1, "the suspension, and nothing else"
        await engine.client.terminate(run)
        assert await run.query(revenue) == 6
        parked = await engine.start(Sleepy, 0)
        await parked.send(Open())
        await engine.settle()
        assert (await parked.view()).status is RunStatus.PARKED
        assert await parked.query(lambda c: c.left) == 0


async def test_what_cannot_be_read_is_said(journal: str) -> None:
    async with Engine([Shop], journal=journal) as engine:
        with pytest.raises(RunNotFound):
            await engine.client.query("00000000-0000-0000-0000-000000000001", revenue)
        run = await engine.start(Shop, 1)
        with pytest.raises(ZeroDivisionError):
            await run.query(lambda c: 1 // c.sold)
        stranger = Client(engine.client.journal)
        await stranger.open()
        with pytest.raises(UnknownMachine, match="shop"):
            await stranger.query(str(run.id), revenue)
        unborn = await stranger.start("shop", 1)
        with pytest.raises(RunNotBegun):
            await engine.client.query(unborn.id, revenue)
