"""Time that moves only when nothing else can: the host of tests.

`VirtualHost` is asyncio with a clock of its own. It counts what its coroutines are doing: as long as
one of them runs, or awaits anything real, time stands still. When all of them wait for the clock or
for each other, and the test itself waits for something, the clock jumps to the next deadline. A timer
of thirty days takes no time, and an activity is never overtaken by the clock.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from continuum_core.asyncio_host import AsyncioJob
from continuum_core.clock import Micros, from_datetime, span
from continuum_core.errors import UsageError

__all__ = ["START", "VirtualClock", "VirtualHost"]

_FOREVER = span(timedelta(days=100 * 365))
"""How much of a test's time may pass until something happens that the test waits for."""

_NOTHING = (
    "the test waits for what does not happen: 100 years of its time went by. Is there a worker that would do "
    "it, and has the run been sent what it waits for? Wait with a timeout where nothing is to happen"
)

START = datetime(2030, 1, 1, tzinfo=UTC)


class VirtualClock:
    """The time of a test, which a memory journal and any number of hosts share.

    :param start: when the test takes place.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now: Micros = from_datetime(start)
        self._sleepers: list[tuple[Micros, int, asyncio.Future[bool], Callable[[], None]]] = []
        self._order = 0
        self._busy = 0
        self._calm = asyncio.Event()
        self._calm.set()
        self._wanting: dict[asyncio.Future[bool], Micros] = {}  # who waits outside the hosts, and since when
        self._skipping: asyncio.Future[None] | None = None

    def now(self) -> Micros:
        """Microseconds since the epoch."""
        return self._now

    def wake_at(self, due: Micros, waiter: asyncio.Future[bool], wake: Callable[[], None]) -> None:
        """Call `wake` when the clock has reached `due`, unless `waiter` is done by then."""
        self._order += 1
        heapq.heappush(self._sleepers, (due, self._order, waiter, wake))

    def _next(self) -> Micros | None:
        """The next deadline that somebody still waits for."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    async def advance(self, length: timedelta) -> None:
        """Move the clock on, stopping at each deadline on the way until all is quiet again."""
        end = self._now + span(length)
        await self.quiet()
        while (due := self._next()) is not None and due <= end:
            self._jump(due)
            await self.quiet()
        self._now = max(self._now, end)

    async def quiet(self) -> None:
        """Wait until every coroutine of the hosts waits for the clock or for another."""
        turns = 0
        # Wakings travel through the event loop's queue; and what runs beside this, the test itself for
        # one, may have set something going in the very last turn.
        while turns < 3 or self._busy:
            if self._busy:
                turns = 0
                await self._calm.wait()
            else:
                turns += 1
                await asyncio.sleep(0)

    # --- for hosts ---

    def began(self) -> None:
        """A coroutine of a host runs."""
        self._busy += 1
        self._calm.clear()

    def paused(self) -> None:
        """It waits for the clock or for another."""
        self._busy -= 1
        if self._busy == 0:
            self._calm.set()
            self._look()

    def want(self, waiter: asyncio.Future[bool]) -> None:
        """Somebody outside the hosts, the test itself, waits for what they do."""
        self._wanting[waiter] = self._now
        self._look()

    def unwant(self, waiter: asyncio.Future[bool]) -> None:
        """And waits no longer."""
        del self._wanting[waiter]

    def _look(self) -> None:
        if self._busy == 0 and self._wanting and self._skipping is None:
            self._skipping = asyncio.ensure_future(self._skip())

    async def _skip(self) -> None:
        """Jump from deadline to deadline for as long as somebody outside waits."""
        try:
            await self.quiet()
            while self._wanting and (due := self._next()) is not None:
                self._jump(due)
                self._give_up()
                await self.quiet()
        finally:
            self._skipping = None

    def _give_up(self) -> None:
        """Tell who has waited too long: for polls alone the clock would go on for ever, and the test too."""
        for waiter, since in self._wanting.items():
            if self._now - since > _FOREVER and not waiter.done():
                waiter.set_exception(UsageError(_NOTHING))

    def _jump(self, due: Micros) -> None:
        self._now = max(self._now, due)
        while self._sleepers and self._sleepers[0][0] <= due:
            _, _, waiter, wake = heapq.heappop(self._sleepers)
            if not waiter.done():
                wake()


class _VirtualFlag:
    def __init__(self, host: VirtualHost) -> None:
        self._host = host
        self._set = False
        self._waiters: list[asyncio.Future[bool]] = []

    def set(self) -> None:
        self._set = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            self._host.wake(waiter, True)

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    async def wait(self, seconds: float | None = None) -> bool:
        if self._set:
            return True
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await self._host.pause(waiter, seconds)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)


class VirtualHost:
    """The ports of one process of a test, on a shared clock. Everything runs on the test's event loop."""

    def __init__(self, clock: VirtualClock, seed: int = 0) -> None:
        self.clock = clock
        self._random = random.Random(seed)
        self._jobs: set[asyncio.Task[None]] = set()
        self._paused: set[asyncio.Future[bool]] = set()

    def check(self) -> None:
        """Nothing to check: a test has one loop."""

    def monotonic(self) -> float:
        return self.clock.now() / 1e6

    def random(self) -> float:
        return self._random.random()

    def new_id(self) -> UUID:
        return uuid7()

    def flag(self) -> _VirtualFlag:
        return _VirtualFlag(self)

    async def sleep(self, seconds: float) -> None:
        await self.pause(asyncio.get_running_loop().create_future(), seconds)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> AsyncioJob:
        self.clock.began()
        job = AsyncioJob(asyncio.get_running_loop(), work, name)
        self._jobs.add(job.task)
        job.task.add_done_callback(self._ended)
        return job

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        self.clock.paused()

    def spawn_apart(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> AsyncioJob:
        return self.spawn(work(), name)

    # --- waiting ---

    async def pause(self, waiter: asyncio.Future[bool], seconds: float | None) -> bool:
        """Wait for `waiter`, or for the clock; False when it was the clock."""
        if seconds is not None:
            due = self.clock.now() + max(0, round(seconds * 1e6))
            self.clock.wake_at(due, waiter, lambda: self.wake(waiter, False))
        if asyncio.current_task() not in self._jobs:
            self.clock.want(waiter)
            try:
                return await waiter
            finally:
                self.clock.unwant(waiter)
        self._paused.add(waiter)
        self.clock.paused()
        try:
            return await waiter
        finally:
            if waiter in self._paused:  # cancelled: nobody woke it
                self._paused.discard(waiter)
                self.clock.began()

    def wake(self, waiter: asyncio.Future[bool], value: bool) -> None:
        """End a wait. It counts as running from now on, although the loop has yet to resume it."""
        if waiter.done():
            return
        waiter.set_result(value)
        if waiter in self._paused:
            self._paused.discard(waiter)
            self.clock.began()
