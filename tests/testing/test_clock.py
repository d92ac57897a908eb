"""Virtual time: it moves when told, or when the test waits and nothing else can happen."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from continuum_core.testing import VirtualClock, VirtualHost

SECOND = 1_000_000


class Bench:
    """A host and a log of what happened at which second of the test."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.host = VirtualHost(self.clock)
        self.start = self.clock.now()
        self.log: list[tuple[float, str]] = []

    def note(self, word: str) -> None:
        self.log.append((self.second, word))

    @property
    def second(self) -> float:
        return (self.clock.now() - self.start) / SECOND

    async def nap(self, seconds: float, word: str) -> None:
        await self.host.sleep(seconds)
        self.note(word)

    def later(self, seconds: float, word: str) -> None:
        self.host.spawn(self.nap(seconds, word), word)


async def test_advancing_stops_at_each_deadline_in_order() -> None:
    bench = Bench()
    for seconds in (30, 10, 20):
        bench.later(seconds, f"{seconds}")
    await bench.clock.advance(timedelta(seconds=25))
    assert bench.log == [(10, "10"), (20, "20")]
    assert bench.second == 25
    await bench.clock.advance(timedelta(seconds=5))
    assert bench.log[2:] == [(30, "30")]


async def test_equal_deadlines_wake_in_the_order_in_which_they_were_set() -> None:
    bench = Bench()
    for word in "abc":
        bench.later(5, word)
    await bench.clock.advance(timedelta(seconds=5))
    assert [word for _, word in bench.log] == ["a", "b", "c"]


async def test_what_is_set_while_advancing_counts_from_its_own_moment() -> None:
    bench = Bench()

    async def tick() -> None:
        while True:
            await bench.host.sleep(10)
            bench.note("tick")

    job = bench.host.spawn(tick(), "tick")
    await bench.clock.advance(timedelta(seconds=35))
    assert bench.log == [(10, "tick"), (20, "tick"), (30, "tick")]
    job.cancel()
    await job.join()


async def test_time_stands_still_while_the_test_does_not_wait_for_anything() -> None:
    bench = Bench()
    bench.later(10, "never")
    await bench.clock.quiet()
    for _ in range(20):
        await asyncio.sleep(0)
    assert bench.second == 0


async def test_the_test_that_waits_skips_ahead_to_what_it_waits_for() -> None:
    bench = Bench()
    flag = bench.host.flag()

    async def work() -> None:
        await bench.host.sleep(86_400 * 30)
        flag.set()

    bench.host.spawn(work(), "work")
    assert await flag.wait()
    assert bench.second == 86_400 * 30


async def test_the_tests_own_deadline_is_one_of_them() -> None:
    bench = Bench()
    bench.later(100, "late")
    assert not await bench.host.flag().wait(60)
    assert (bench.second, bench.log) == (60, [])


async def test_a_coroutine_that_awaits_something_real_holds_time() -> None:
    bench = Bench()
    gate = asyncio.Event()
    flag = bench.host.flag()

    async def real() -> None:
        await gate.wait()  # a socket, a thread: nothing that the clock knows
        bench.note("real")
        flag.set()

    bench.host.spawn(real(), "real")
    bench.later(10, "virtual")
    waiting = asyncio.ensure_future(flag.wait())
    for _ in range(50):
        await asyncio.sleep(0)
    assert (bench.second, bench.log) == (0, []), "the clock does not overtake it"
    gate.set()
    assert await waiting
    assert bench.log == [(0, "real")]


async def test_a_burst_of_wakings_is_over_before_the_clock_moves() -> None:
    bench = Bench()
    flags = [bench.host.flag() for _ in range(8)]

    async def pass_on(n: int) -> None:
        await flags[n].wait()
        for _ in range(3):
            await asyncio.sleep(0)
        bench.note(str(n))
        flags[n + 1].set()

    for n in range(7):
        bench.host.spawn(pass_on(n), str(n))
    bench.later(1, "clock")
    await bench.clock.quiet()
    flags[0].set()
    await flags[7].wait()
    assert bench.log == [(0, str(n)) for n in range(7)]


async def test_the_clock_does_not_move_between_two_waits_of_the_test() -> None:
    """The end of one wait and the work of the next may fall into one turn of the event loop."""
    bench = Bench()
    asked, answered = bench.host.flag(), bench.host.flag()

    async def serve() -> None:
        while True:
            await asked.wait()
            asked.clear()
            answered.set()

    job = bench.host.spawn(serve(), "serve")
    bench.later(200, "renewal")
    await bench.clock.quiet()
    for turns in range(12):
        answered.clear()
        asked.set()
        await answered.wait()
        for _ in range(turns % 6):
            await asyncio.sleep(0)
    assert bench.second == 0
    job.cancel()
    await job.join()


async def test_a_sleeper_that_was_woken_leaves_no_deadline_behind() -> None:
    bench = Bench()
    flag = bench.host.flag()

    async def wait() -> None:
        bench.note(f"{await flag.wait(1_000)}")

    bench.host.spawn(wait(), "wait")
    await bench.clock.quiet()
    flag.set()
    await bench.clock.quiet()
    assert bench.log == [(0, "True")]
    bench.later(5_000, "done")
    assert not await bench.host.flag().wait(2_000)
    assert bench.second == 2_000, "nothing stopped the clock at 1,000"


async def test_a_dead_deadline_does_not_move_the_clock_while_the_test_waits_for_something_real() -> None:
    bench = Bench()
    flag, real = bench.host.flag(), bench.host.flag()

    async def wait() -> None:
        await flag.wait(1_000)

    bench.host.spawn(wait(), "wait")
    await bench.clock.quiet()
    flag.set()
    await bench.clock.quiet()
    waiting = asyncio.ensure_future(real.wait())
    for _ in range(20):
        await asyncio.sleep(0)
    assert bench.second == 0
    real.set()
    assert await waiting


async def test_a_cancelled_sleeper_neither_wakes_nor_holds_the_clock() -> None:
    bench = Bench()
    job = bench.host.spawn(bench.nap(10, "cancelled"), "nap")
    bench.later(20, "other")
    await bench.clock.quiet()
    job.cancel()
    await job.join()
    await bench.clock.advance(timedelta(seconds=30))
    assert bench.log == [(20, "other")]


async def test_a_coroutine_cancelled_in_its_wait_counts_as_running_until_it_is_done() -> None:
    bench = Bench()
    flag = bench.host.flag()

    async def stubborn() -> None:
        try:
            await bench.host.sleep(1_000)
        finally:
            await asyncio.sleep(0)
            bench.note("cleaned")
            flag.set()

    job = bench.host.spawn(stubborn(), "stubborn")
    bench.later(50, "other")
    await bench.clock.quiet()
    job.cancel()
    assert await flag.wait()
    await job.join()
    assert bench.log == [(0, "cleaned")]


async def test_a_coroutine_that_raises_lets_the_clock_go_on() -> None:
    bench = Bench()

    async def fall() -> None:
        raise RuntimeError("on purpose")

    job = bench.host.spawn(fall(), "fall")
    bench.later(5, "other")
    await bench.clock.advance(timedelta(seconds=5))
    assert bench.log == [(5, "other")]
    assert isinstance(job.failure(), RuntimeError)


async def test_two_hosts_share_one_time() -> None:
    bench = Bench()
    other = VirtualHost(bench.clock)

    async def elsewhere() -> None:
        await other.sleep(7)
        bench.note("other")

    other.spawn(elsewhere(), "elsewhere")
    bench.later(9, "mine")
    await bench.clock.advance(timedelta(seconds=10))
    assert bench.log == [(7, "other"), (9, "mine")]
    assert other.monotonic() == bench.host.monotonic()


async def test_when_the_test_takes_place() -> None:
    moment = datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)
    clock = VirtualClock(moment)
    assert clock.now() == 946_684_799 * SECOND
    with pytest.raises(ValueError, match="time zone"):
        VirtualClock(datetime(1999, 12, 31))


async def test_chance_is_the_same_in_every_test() -> None:
    one, two = VirtualHost(VirtualClock(), seed=4), VirtualHost(VirtualClock(), seed=4)
    assert [one.random() for _ in range(3)] == [two.random() for _ in range(3)]
