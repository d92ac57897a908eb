"""Steps coroutines without an event loop: every interleaving and every moment follows from choices.

The scheduler is the authority for virtual time. It advances only when nobody is ready, to the next
moment that somebody waits for, and by a hair with every verb of the journal, so that a loop that never
waits cannot stand still. A `Process` is what dies, freezes and has a clock of its own; it is the
`Host` of the code under test.
"""

from __future__ import annotations

import asyncio
import heapq
import warnings
from collections.abc import Callable, Coroutine, Generator
from random import Random
from typing import Any
from uuid import UUID

__all__ = ["EPOCH", "Process", "Scheduler", "SimulatedFlag", "Stalled", "Strand"]

EPOCH = 1_700_000_000_000_000
"""Microseconds: when simulations begin. Not zero, which the runtime takes for "no time known"."""

_ID_BITS = 62


class Stalled(Exception):
    """A simulation took more steps than any sound one does: somebody runs in circles."""


class _Wait:
    """What a coroutine hands to the scheduler: wake me by this flag, or after so many seconds."""

    __slots__ = ("death", "flag", "seconds")

    def __init__(self, flag: SimulatedFlag | None, seconds: float | None, death: bool = False) -> None:
        self.flag = flag
        self.seconds = seconds
        self.death = death

    def __await__(self) -> Generator[_Wait, bool, bool]:
        return (yield self)


class Strand:
    """A spawned coroutine; to the code under test a `Job`."""

    __slots__ = (
        "cancelled",
        "coroutine",
        "dead",
        "ended",
        "epoch",
        "error",
        "name",
        "process",
        "ready",
        "value",
    )

    def __init__(self, coroutine: Coroutine[Any, Any, Any], name: str, process: Process) -> None:
        self.coroutine = coroutine
        self.name = name
        self.process = process
        self.epoch = 0  # grows with every wake: what was registered for an earlier wait is void
        self.ready = False
        self.value = False
        self.cancelled = False
        self.dead = False
        self.error: BaseException | None = None
        self.ended = SimulatedFlag(process.scheduler)

    def cancel(self) -> None:
        if not self.dead:
            self.cancelled = True
            self.process.scheduler.wake(self, False)

    def done(self) -> bool:
        return self.dead

    async def join(self) -> None:
        await self.ended.wait()

    def failure(self) -> BaseException | None:
        return self.error


class SimulatedFlag:
    """The `Flag` of a simulated host."""

    __slots__ = ("_is_set", "_scheduler", "waiters")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_set = False
        self.waiters: list[tuple[Strand, int]] = []

    def set(self) -> None:
        self._is_set = True
        if self.waiters:
            waiters, self.waiters = self.waiters, []
            for strand, epoch in waiters:
                if strand.epoch == epoch:
                    self._scheduler.wake(strand, True)

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    async def wait(self, seconds: float | None = None) -> bool:
        if self._is_set:
            return True
        return await _Wait(self, seconds)


class Process:
    """One simulated process: the `Host` of what runs in it, and the surroundings of its faults.

    :param skew: how fast its monotonic clock runs; 1.0 is right.
    """

    def __init__(
        self, scheduler: Scheduler, name: str, number: int, chance: Random, skew: float = 1.0
    ) -> None:
        self.scheduler = scheduler
        self.name = name
        self.alive = True
        self.frozen_until = 0
        self.strands: list[Strand] = []
        self._chance = chance
        self._skew = skew
        self._number = number
        self._ids = 0

    # --- Host ---

    def check(self) -> None:
        """Every coroutine of a simulated process may use what the process opened."""

    def monotonic(self) -> float:
        return (self.scheduler.now - EPOCH) / 1e6 * self._skew

    def random(self) -> float:
        return self._chance.random()

    def new_id(self) -> UUID:
        self._ids += 1
        # Like a UUID of version 7: time first, so that later ids sort later; then who, then how many.
        millis = self.scheduler.now // 1_000
        return UUID(int=millis << 80 | 7 << 76 | 2 << _ID_BITS | self._number << 40 | self._ids)

    def flag(self) -> SimulatedFlag:
        return SimulatedFlag(self.scheduler)

    async def sleep(self, seconds: float) -> None:
        await _Wait(None, max(seconds, 0.0) / self._skew)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> Strand:
        return self.scheduler.spawn(work, name, self)

    def spawn_apart(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> Strand:
        return self.scheduler.spawn(work(), name, self)

    # --- Surroundings ---

    async def pause(self, seconds: float) -> None:
        """Wait; every pause ends when the simulation calms down."""
        if seconds > 0:
            await self.scheduler.calm.wait(seconds)
        else:
            await _Wait(None, 0.0)

    async def crash(self) -> None:
        await _Wait(None, None, death=True)

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        # In the network, not in the process: it happens whatever becomes of the process.
        async def wait() -> None:
            await self.scheduler.network.pause(seconds)
            await work()

        self.scheduler.spawn(wait(), "late request", self.scheduler.network)

    def freeze(self, seconds: float) -> None:
        """Stop the whole process, as SIGSTOP does; its clock goes on."""
        self.frozen_until = self.scheduler.now + int(seconds * 1e6)


class Scheduler:
    """Ready strands, timers, and the choice of who goes next.

    :param chance: chooses among those who are ready.
    :ivar now: microseconds, the journal's clock.
    :ivar acting: name of the process whose coroutine is being stepped.
    :ivar calm: set when no fault is to happen any more; it ends all pauses.
    """

    def __init__(self, chance: Random) -> None:
        self.now = EPOCH
        self.steps = 0
        self.acting = ""
        self.calm = SimulatedFlag(self)
        self.on_death: Callable[[Process], None] = lambda _process: None
        self.on_error: Callable[[Strand, BaseException], None] = lambda _strand, _error: None
        self.network = Process(self, "network", 0, chance)
        self._random = chance.random
        self._ready: list[Strand] = []
        self._timers: list[tuple[int, int, Strand, int]] = []
        self._order = 0

    def tick(self) -> int:
        """The journal's clock; every look at it takes a moment."""
        self.now += 7
        return self.now

    def spawn(self, work: Coroutine[Any, Any, Any], name: str, process: Process) -> Strand:
        strand = Strand(work, name, process)
        if not process.alive:  # the last breath of a dead process starts nothing
            work.close()
            strand.dead = True
            return strand
        process.strands.append(strand)
        strand.ready = True
        self._ready.append(strand)
        return strand

    def wake(self, strand: Strand, value: bool) -> None:
        if strand.dead or strand.ready:
            return
        strand.epoch += 1
        strand.value = value
        strand.ready = True
        self._ready.append(strand)

    def thaw(self) -> None:
        """End all pauses and freezes."""
        self.calm.set()
        for _, _, strand, epoch in self._timers:
            strand.process.frozen_until = 0
            if strand.ready and not strand.dead and strand.epoch == epoch:
                self._ready.append(strand)

    # --- the loop ---

    def run(self, until: Callable[[], bool], deadline: int, most: int) -> bool:
        """Step until `until` says so (True), or nothing before `deadline` is left to do (False).

        Raises Stalled beyond `most` steps.
        """
        most += self.steps
        while not until():
            if not self._ready and not self._advance(deadline):
                return False
            self._step()
            if self.steps > most:
                raise Stalled(f"more than {most} steps by {(self.now - EPOCH) / 1e6:.3f} s")
        return True

    def _advance(self, deadline: int) -> bool:
        """Move time to the next moment that somebody waits for; False where that is too late."""
        timers = self._timers
        while timers:
            when, _, strand, epoch = timers[0]
            if strand.dead or strand.epoch != epoch:
                heapq.heappop(timers)
                continue
            if when > deadline:
                break
            heapq.heappop(timers)
            self.now = max(self.now, when)
            if strand.ready:  # it was woken while its process was frozen
                self._ready.append(strand)
            else:
                self.wake(strand, False)
            if self._ready:
                return True
        self.now = max(self.now, deadline) if deadline < 1 << 62 else self.now
        return False

    def _step(self) -> None:
        ready = self._ready
        at = int(self._random() * len(ready))
        strand = ready[at]
        ready[at] = ready[-1]
        ready.pop()
        if strand.dead:
            return
        if strand.process.frozen_until > self.now:
            self._at(strand.process.frozen_until, strand)
            return
        self.steps += 1
        self.acting = strand.process.name
        strand.ready = False
        self._resume(strand)

    def _resume(self, strand: Strand) -> None:
        try:
            if strand.cancelled:
                strand.cancelled = False
                wait = strand.coroutine.throw(asyncio.CancelledError())
            else:
                wait = strand.coroutine.send(strand.value if strand.epoch else None)
        except StopIteration:
            self._end(strand, None)
        except asyncio.CancelledError:
            self._end(strand, None)
        except Exception as error:
            self._end(strand, error)
            self.on_error(strand, error)
        else:
            self._park(strand, wait)

    def _park(self, strand: Strand, wait: _Wait) -> None:
        if wait.death:
            self.on_death(strand.process)
            self.kill(strand.process)
            return
        strand.epoch += 1
        if strand.cancelled:  # asked to stop while it ran: it ends at this wait
            self.wake(strand, False)
            return
        if wait.flag is not None:
            wait.flag.waiters.append((strand, strand.epoch))
        if wait.seconds is not None:
            if wait.seconds > 0 or wait.flag is not None:
                # Rounded up: a wait that moves no time would be waited for ever by a loop with a deadline.
                self._at(self.now + int(wait.seconds * 1e6) + 1, strand)
            else:
                self.wake(strand, False)

    def _at(self, when: int, strand: Strand) -> None:
        self._order += 1
        heapq.heappush(self._timers, (when, self._order, strand, strand.epoch))

    def _end(self, strand: Strand, error: BaseException | None) -> None:
        strand.dead = True
        strand.error = error
        strand.process.strands.remove(strand)
        strand.ended.set()

    def kill(self, process: Process) -> None:
        """The process is no more: none of its coroutines takes another step."""
        process.alive = False
        strands, process.strands = process.strands, []
        for strand in strands:
            strand.dead = True
            _unwind(strand.coroutine)
            strand.ended.set()


def _unwind(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Close a coroutine for good; what its clean-up waits for never comes."""
    with warnings.catch_warnings():
        # A coroutine that died before its first step may hold another, which then never begins either.
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        while True:
            try:
                coroutine.close()
            except RuntimeError:  # its clean-up waits: closed again, it goes on from there
                continue
            return
