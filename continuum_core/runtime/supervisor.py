"""Starts, watches, drains and stops the loops of one worker."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from attrs import frozen
from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.errors import JournalUnavailable
from continuum_core.hooks.plugins import NONE, Plugins
from continuum_core.host import Flag, Host, Job
from continuum_core.journal.commit import Commit, Committed, Finished, RunHold, TaskFinish
from continuum_core.journal.declared import sibling_of
from continuum_core.journal.gauges import gauged
from continuum_core.journal.protocol import Journal, Opened
from continuum_core.journal_clock import JournalClock
from continuum_core.lane import Backoff, Lane, Loop
from continuum_core.outage import Outage
from continuum_core.registry import Registry
from continuum_core.runtime.announcing import Announcing
from continuum_core.runtime.attempt import Runner
from continuum_core.runtime.draining import Draining
from continuum_core.runtime.lease import Pulse, renew
from continuum_core.runtime.reports import FuseTurn
from continuum_core.runtime.retention import prune_generations
from continuum_core.runtime.runs import Runs
from continuum_core.runtime.slots import Slots
from continuum_core.runtime.tasks import Tasks
from continuum_core.runtime.turns import Turns
from continuum_core.runtime.watched import attempt_watch
from continuum_core.watch import batch_watch, turn_watch

__all__ = ["Settings", "Supervisor"]

logger = logging.getLogger(__name__)

_OPENING = "opening"

_LEARN_AFTER, _LEARN_BY = 2, 10
"""Polls between two readings of the definitions: with a hint that something was written, and without one."""

_CLEAN_UP = 5.0
"""Seconds that a cancelled body may take to clean up before the worker goes on without it."""

_GAUGE = 15.0
"""Seconds between two readings of how much waits, where a plugin wants to know."""


@frozen
class Settings:
    """How a worker works.

    :ivar queues: queue name → activities at once.
    :ivar lease: seconds a claim lasts without renewal: how long others wait for a dead worker.
    :ivar poll: the longest wait, in seconds, before the journal is asked again though nothing hints at it.
    :ivar runs: runs in hand at most.
    :ivar tries: claims without a commit after which a run is parked.
    :ivar stall: seconds that the event loop may stand still before leases are no longer renewed.
    :ivar paranoid: fold the records of each run that is claimed before its turn; drift parks it.
    :ivar generations: seconds after which the records of past generations go; None: they are left alone.
    """

    queues: tuple[tuple[str, int], ...] = (("default", 100),)
    lease: float = 30.0
    poll: float = 5.0
    runs: int = 500
    tries: int = 10
    stall: float = 60.0
    paranoid: bool = False
    generations: float | None = None


class Supervisor:
    """The loops of one worker on one journal. `open` starts them, `drain` and `close` end them."""

    def __init__(
        self,
        host: Host,
        host_apart: Callable[[], Host],
        journal: Journal,
        registry: Registry,
        runner: Runner,
        settings: Settings,
        plugins: Plugins = NONE,
    ) -> None:
        self._host = host
        self._host_apart = host_apart
        self._journal = journal
        self._registry = registry
        self._settings = settings
        self._plugins = plugins
        self._lease = int(settings.lease * 1_000_000)
        self.clock = JournalClock(host)
        self.outage = Outage(host.monotonic)
        self._hinted: Flag = host.flag()  # another handle wrote since definitions were read last
        commits, finishes = (batch_watch(plugins, journal.namespace, verb) for verb in ("commit", "finish"))
        self._commits: Lane[Commit, Committed] = Lane(
            host,
            journal.commit,
            "commits",
            refresh=self._fresh_commit,
            watch=commits,
            outage=self.outage,
        )
        self._finishes: Lane[TaskFinish, Finished] = Lane(
            host,
            journal.finish,
            "finishes",
            refresh=self._fresh_finish,
            watch=finishes,
            outage=self.outage,
        )
        self.tasks = self._new_tasks(runner)
        self.turns = self._new_turns()
        self.runs = self._new_runs()
        self.tasks.follow(FuseTurn(self.turns.fused, self.turns.settled), self.runs.wake.set)
        self.turns.on_due = self.wake
        period = 2 * settings.poll
        self._announcing = Announcing(host, journal, registry, self.tasks, self.outage, period)
        self._pulse = Pulse(host, settings.stall)
        self._jobs: list[Job] = []
        self._draining = Draining(host)
        self._apart: Job | None = None
        self._broken: Exception | None = None
        self.handed_over = False
        self._released = True  # no giving back of runs has failed
        self.on_broken: Callable[[], None] = lambda: None

    def _new_tasks(self, runner: Runner) -> Tasks:
        return Tasks(
            self._host,
            self._journal,
            self._registry,
            runner,
            self.clock,
            self._finishes,
            Slots(dict(self._settings.queues)),
            self._lease,
            self.outage,
            attempt_watch(self._plugins, self._journal.namespace, self._host.monotonic),
        )

    def _new_turns(self) -> Turns:
        namespace = self._journal.namespace
        return Turns(
            self._host,
            self._registry,
            namespace,
            self.clock,
            self.tasks,
            tries=self._settings.tries,
            poll=int(self._settings.poll * 1_000_000),
            watch=turn_watch(self._plugins, self._registry, namespace, self._host.monotonic),
        )

    def _new_runs(self) -> Runs:
        return Runs(
            self._host,
            self._journal,
            self._registry,
            self.clock,
            self.turns,
            self._commits,
            self.outage,
            limit=self._settings.runs,
            lease=self._lease,
            paranoid=self._settings.paranoid,
        )

    def wake(self) -> None:
        """Something may be due for runs or tasks."""
        self.runs.wake.set()
        self.tasks.wake.set()

    # --- life ---

    async def open(self, opened: Opened) -> None:
        """Tell the journal what machines there are, learn what it has stored, and start the loops."""
        self.clock.observe(opened.now)
        await self._patiently(
            lambda: self._journal.define([entry.definition for entry in self._registry.entries()])
        )
        await self._patiently(self._learn)
        self._commits.open(self._watched)
        self._finishes.open(self._watched)
        loops: dict[str, Loop] = {
            "runs": self._draining.claims(lambda: self.runs.run(self._poll)),
            "tasks": self._draining.claims(lambda: self.tasks.run(self._poll)),
            "hints": self._hints,
            "definitions": self._learning,
            "taking": self._announcing.run,
            "pulse": self._pulse.beat,
        }
        if self._plugins.implement("gauges_read") and gauged(self._journal) is not None:
            loops["gauges"] = self._gauging
        age = self._settings.generations
        if age is not None:
            loops["retention"] = lambda: prune_generations(self._host, self._journal, age, self.outage)
        self._jobs = [self._host.spawn(self._watched(name, loop), name) for name, loop in loops.items()]
        sibling = sibling_of(self._journal)

        def leases() -> Coroutine[Any, Any, None]:
            runs, tasks = self.runs, self.tasks
            return renew(self._host_apart, sibling, runs, tasks, self._pulse, self._lease, self.outage)

        self._apart = self._host.spawn_apart(lambda: self._watched("leases", leases), "continuum-leases")

    async def _patiently(self, verb: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(self._host)
        while True:
            try:
                await verb()
            except JournalUnavailable as error:
                self.outage.failed(_OPENING, error)
                await self._host.sleep(backoff.delay())
            else:
                self.outage.worked(_OPENING)
                return

    async def _watched(self, name: str, loop: Loop) -> None:
        """Run one of the loops. One that ends by an error takes the worker with it, and says so at once."""
        try:
            await loop()
        except Exception as error:
            self._break(name, error)
            raise

    def _break(self, name: str, error: Exception) -> None:
        logger.critical("the worker's loop %r ended by an error: restart the worker", name, exc_info=error)
        if self._broken is None:
            self._broken = error
            self.on_broken()

    @property
    def broken(self) -> str:
        """What ended one of the loops, "" while all turn."""
        return "" if self._broken is None else f"{type(self._broken).__name__}: {self._broken}"

    def check(self) -> None:
        """Raise what ended one of the loops, if anything did."""
        if self._broken is not None:
            raise self._broken

    def stop_claiming(self) -> None:
        """Take nothing new from now on."""
        self.runs.drain()
        self.tasks.drain()

    async def drain(self, grace: float, starts: Callable[[], Awaitable[object]]) -> bool:
        """Claim nothing more, let bodies end for `grace` seconds, hand over the rest at once.

        True when every body ended by itself; `handed_over` then tells whether the journal knows of the rest.
        A journal that is away is waited for no longer than the grace, and some seconds more: what did not
        reach it is found when leases end.

        :param starts: waits for the client's starts: a first turn may still bring tasks.
        """
        self.stop_claiming()
        if self._jobs:  # beside the rest: nothing waits for it
            self._jobs.append(self._host.spawn(self._announcing.withdraw(), "continuum-withdrawing"))
        until = self._host.monotonic() + grace
        # First what is under way arrives: a claim may still bring runs and tasks, and a turn tasks that
        # are born in this worker's hands. Only then is it known what there is to wait for.
        await self._draining.wait_for(self._arriving(starts), until)
        ended = await self.tasks.idle(max(until - self._host.monotonic(), 0.0))
        if not ended:
            await self.tasks.abandon(_CLEAN_UP)
        self.handed_over = await self._draining.wait_for(self._handing_over(), until) and self._released
        return ended

    async def _arriving(self, starts: Callable[[], Awaitable[object]]) -> None:
        await starts()
        await self._draining.claimed()
        await self._commits.settled()
        await self._finishes.settled()

    async def _handing_over(self) -> None:
        await self._finishes.settled()
        holds: list[RunHold] = self.runs.holds()
        if holds:
            try:
                await self._journal.release(holds)
            except JournalUnavailable as error:
                self._released = False
                logger.warning("giving runs back: %s; their leases will run out", error)

    def hurry(self) -> None:
        """A drain that is under way waits no longer: bodies that run are stopped and handed over."""
        self._draining.hurry()
        self.tasks.hurry()

    async def close(self) -> None:
        """Stop the loops; what is in hand is left to its leases unless it was drained before."""
        for job in self._jobs:
            job.cancel()
        # Bodies clean up before the resources that they use are closed.
        self.tasks.stop()
        await self.tasks.stopped(_CLEAN_UP)
        if self._apart is not None:
            self._apart.cancel()
            await self._apart.join()
        for job in self._jobs:
            await job.join()
        await self._commits.close()
        await self._finishes.close()

    # --- after an outage ---

    # A turn that may stand already is repeated, however old: that alone tells, and gives the tasks that were
    # born with it. Nobody else begins these before their lease has run out, and then it counts as a loss.

    def _fresh_commit(self, commit: Commit, age: float, unsure: bool) -> Commit | None:
        """A turn older than its lease was computed with an old `now`: claim the run again instead."""
        return commit if unsure or age < self._settings.lease else None

    def _fresh_finish(self, finish: TaskFinish, age: float, unsure: bool) -> TaskFinish | None:
        """A finish is good for ever; the turn that rides on it is not."""
        if finish.turn is None or unsure or age < self._settings.lease:
            return finish
        return replace(finish, turn=None)

    # --- small loops ---

    def _poll(self, next_due: Micros | None) -> float:
        """Seconds to wait when nothing is due: until the next timer, at most the polling interval."""
        if next_due is None:
            return self._settings.poll
        # The estimate is never ahead of the journal, so this wakes at the due time or a little later.
        wait = (next_due - self.clock.estimate()) / 1e6
        return min(self._settings.poll, max(wait, 0.0))

    async def _hints(self) -> None:
        backoff = Backoff(self._host)
        while True:
            began = self._host.monotonic()
            try:
                await self._journal.wait(self._settings.poll)
                backoff.reset()
            except JournalUnavailable:
                await self._host.sleep(backoff.delay())
            else:
                if self._host.monotonic() - began < self._settings.poll:
                    self._hinted.set()
            self.wake()

    async def _learning(self) -> None:
        """Definitions of other releases may appear at any time; what can be adopted is taken up.

        A client of another release may just have started a run of one. So after a hint they are read soon,
        but no oftener than this; without one now and then, for a hint may be lost.
        """
        while True:
            await self._host.sleep(_LEARN_AFTER * self._settings.poll)
            await self._hinted.wait((_LEARN_BY - _LEARN_AFTER) * self._settings.poll)
            self._hinted.clear()
            try:
                await self._learn()
            except JournalUnavailable as error:
                self.outage.mention("reading definitions", error)

    async def _gauging(self) -> None:
        """What plugins watch of the journal as a whole; it may fail, and nothing else depends on it."""
        journal = gauged(self._journal)
        while journal is not None:
            hook = self._plugins.gauges_read
            if hook is not None:
                try:
                    hook(namespace=self._journal.namespace, gauges=await journal.gauges())
                except JournalUnavailable as error:
                    self.outage.mention("reading how much waits", error)
                except Exception:  # a loop that ends takes the worker with it, and this one only looks
                    logger.exception("reading how much waits failed")
            await self._host.sleep(_GAUGE)

    async def _learn(self) -> None:
        before = set(self._registry.refused())
        definitions = await self._journal.definitions()
        self._registry.learn(definitions)
        self.tasks.learn()
        for stored in definitions:
            refused = self._registry.refused().get(stored.fingerprint)
            if refused is not None and stored.fingerprint not in before:
                reasons = "; ".join(str(each) for each in refused.blocking)
                logger.warning(
                    "runs of %s version %d (definition %s), if there are any, are left unclaimed: this code "
                    "cannot adopt them (%s). `continuum migrate-runs` tells how many, and their fates",
                    *(stored.machine, stored.version, stored.fingerprint[:12], reasons),
                )
