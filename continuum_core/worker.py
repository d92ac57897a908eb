"""One process at work: machines, a journal, activities and their resources, from open to drained.

    async with Worker("sqlite:///orders.db", [Order]) as worker:
        handle = await worker.client.start(Order, PlaceOrder(...), key="o-1")
        receipt = await handle.result()

It may be embedded in any asyncio program (an ASGI application's lifespan, a script, a test) or be the
program, with `run`, which drains on SIGTERM and SIGINT.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping
from importlib.metadata import version
from typing import Any
from uuid import UUID

from continuum_core.arguments import Length, seconds, whole
from continuum_core.asyncio_host import AsyncioHost
from continuum_core.blobs import with_blobs
from continuum_core.client import Client
from continuum_core.definition.activity import Activity, Executor
from continuum_core.definition.declare import Machine
from continuum_core.errors import JournalUnavailable, UsageError
from continuum_core.hooks.facts import HealthSection, JournalFacts, WorkerFacts
from continuum_core.hooks.loading import installed
from continuum_core.hooks.plugins import Hook, Plugins
from continuum_core.hooks.sealing import pipeline_of
from continuum_core.host import Flag, Host
from continuum_core.journal.connect import Target, connect, shown
from continuum_core.journal.crews import crewed
from continuum_core.journal.protocol import Limits, Opened
from continuum_core.journal.records import RunStatus
from continuum_core.journal.transactions import transactional
from continuum_core.lane import Backoff
from continuum_core.outage import Outage
from continuum_core.registry import Registry
from continuum_core.runner import AsyncioRunner
from continuum_core.runtime.attempt import Runner
from continuum_core.runtime.supervisor import Settings, Supervisor
from continuum_core.sealed import sealed
from continuum_core.serving import left_out, queues_of, served
from continuum_core.waiting import End
from continuum_core.watch import machine_facts

__all__ = ["Worker"]

logger = logging.getLogger(__name__)


class Worker:
    """Runs machines and their activities.

    :param journal: a URL such as ``sqlite:///orders.db``, an unopened journal, or an engine or pool that a
        backend takes (see `journal.connect.connect`).
    :param machines: the machine classes whose runs it takes.
    :param queues: queue name → activities at once; None: every queue of the machines, 100 each; an empty
        mapping: none, it takes turns and leaves activities to others. One that no activity of the machines is
        in is refused.
    :param resources: resource type → function without arguments that returns a (sync or async) context
        manager; opened once, before anything runs, and injected into bodies that ask for the type.
    :param lease: how long a claim lasts without renewal, and others wait for a worker that died: seconds, or
        a `timedelta`, as of every length of time here.
    :param poll: after how long the journal is asked again though nothing hints at work.
    :param grace: how long running activities may take to end when the worker drains.
    :param threads: plain (not async) activity bodies at once.
    :param generations: the worker prunes, about once an hour, the records of generations that were over so
        long ago, of runs that go on; None: it prunes nothing.
    :param plugins: the installed ones that the environment chooses, unless given.
    """

    def __init__(
        self,
        journal: Target,
        machines: Iterable[type[Machine[Any, Any, Any]]],
        *,
        namespace: str | None = None,
        queues: Mapping[str, int] | None = None,
        resources: Mapping[Any, Callable[[], Any]] | None = None,
        lease: Length = 30.0,
        poll: Length = 5.0,
        grace: Length = 30.0,
        threads: int = 100,
        runs: int = 500,
        tries: int = 10,
        stall: Length = 60.0,
        paranoid: bool = False,
        generations: Length | None = None,
        limits: Limits | None = None,
        host: Host | None = None,
        runner: Runner | None = None,
        plugins: Plugins | None = None,
    ) -> None:
        poll_seconds = seconds("poll", poll, above=True)
        self.plugins = installed() if plugins is None else plugins
        stored = with_blobs(connect(journal, namespace, limits), limits)
        self.journal = sealed(stored, pipeline_of(self.plugins))
        self.registry = Registry(machines)
        if not self.registry.entries():
            raise UsageError("a worker needs at least one machine: Worker(url, [Order])")
        self.registry.check_forgets(self.journal)
        self.settings = Settings(
            queues=tuple(served(queues, queues_of(self.registry.every_activity())).items()),
            lease=seconds("lease", lease, above=True),
            poll=poll_seconds,
            runs=whole("runs", runs),
            tries=whole("tries", tries),
            stall=seconds("stall", stall, above=True),
            paranoid=paranoid,
            generations=None if generations is None else seconds("generations", generations),
        )
        self.client = Client(
            self.journal, registry=self.registry, poll=poll_seconds, limits=limits, plugins=self.plugins
        )
        self._grace = seconds("grace", grace)
        self._place = shown(journal) if isinstance(journal, str) else ""
        self._threads = whole("threads", threads)
        self._resources = dict(resources or {})
        self._given_host = host
        self._given_runner = runner
        self._exits = contextlib.AsyncExitStack()
        self._supervisor: Supervisor | None = None
        self._opening = False
        self._drained = False
        self._on_broken: Callable[[], None] = lambda: None

    # --- life ---

    async def __aenter__(self) -> Worker:
        await self.open()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            await self.drain()
        finally:  # also when the draining is cancelled: threads and handles do not outlive the block
            supervisor = self._supervisor
            await self.close()
        if kind is None and supervisor is not None:
            supervisor.check()

    async def open(self) -> None:
        """Open resources and journal, and start to work.

        A journal that is away is waited for. Raises IncompatibleJournal, whatever a resource raises, and
        UsageError when it is open already, or where a machine starts child runs and the journal cannot.
        Cancelled, it gives back what it opened.
        """
        if self._opening or self._supervisor is not None:
            raise UsageError("this worker is open already")
        self._opening = True
        try:
            await self._open(self._given_host or AsyncioHost())
        finally:
            self._opening = False

    async def _open(self, host: Host) -> None:
        exits, plugins = self._exits, self.plugins
        if any(entry.crews for entry in self.registry.entries()):
            crewed(self.journal)  # said now, not by every turn that would start one
        try:
            runner = self._given_runner or await self._open_runner()
            opened = await self._open_journal(host)
            exits.push_async_callback(self.journal.close)
            host_apart = AsyncioHost if self._given_host is None else lambda: host
            supervisor = Supervisor(
                host, host_apart, self.journal, self.registry, runner, self.settings, plugins
            )
            supervisor.turns.on_ended = self._ended
            supervisor.turns.on_replied = self.client.waiting_told
            supervisor.on_broken = self._broken
            self.client.borrow(host, opened)
            exits.push_async_callback(self.client.close)
            await supervisor.open(opened)
        except BaseException:
            await exits.aclose()
            raise
        self._supervisor = supervisor
        self._drained = False
        self.client.here = supervisor.turns
        self.client.watch = supervisor.check
        self.client.waiting.in_hand = supervisor.tasks.holds
        self._introduce(opened)
        self._tell(plugins.worker_started)
        logger.info(
            "worker on %s (%s), release %s, namespace %s, lease %g s, machines: %s",
            self._place or opened.backend,
            opened.durability,
            version("continuum-core"),
            self.journal.namespace,
            self.settings.lease,
            self._names(),
        )
        others = left_out(self.registry.every_activity(), dict(self.settings.queues))
        if others:
            logger.info("not serving: %s; another worker has to", ", ".join(others))

    def _introduce(self, opened: Opened) -> None:
        """Tell plugins what there is, before it works."""
        journal = JournalFacts(self.journal.namespace, opened.backend, opened.durability, opened.schema)
        if self.plugins.journal_opened is not None:
            self.plugins.journal_opened(journal=journal)
        for entry in self.registry.entries():
            if self.plugins.machine_registered is not None:
                self.plugins.machine_registered(machine=machine_facts(entry.chart))

    def _names(self) -> str:
        return ", ".join(f"{e.chart.name} v{e.chart.version}" for e in self.registry.entries())

    async def _open_runner(self) -> Runner:
        open_: dict[Any, Any] = {}
        for kind, make in self._resources.items():
            manager = make()
            if inspect.isawaitable(manager):
                manager = await manager
            if hasattr(manager, "__aenter__"):
                open_[kind] = await self._exits.enter_async_context(manager)
            elif hasattr(manager, "__enter__"):
                open_[kind] = self._exits.enter_context(manager)
            else:
                raise UsageError(f"the function for resource {kind!r} must return a context manager")
        runner = AsyncioRunner(open_, self._threads)
        self._exits.callback(runner.close)
        for known in self.registry.activities().values():
            runner.injected(known.activity)  # what is missing is said now, not at the first task
            self._check_transaction(known.activity)
        return runner

    def _check_transaction(self, activity: Activity[Any, Any]) -> None:
        """Raise UsageError for an activity whose transaction this journal cannot give."""
        if activity.transaction is None:
            return
        _, kind = activity.transaction
        journal = transactional(self.journal)
        if journal is None:
            raise UsageError(
                f"activity {activity.name!r} writes in the transaction of its outcome (Transaction[...]), "
                f"and this journal ({type(self.journal).__name__}) has none to give: use one on PostgreSQL"
            )
        try:
            journal.check_kind(kind, activity.executor is Executor.THREAD)
        except UsageError as error:
            raise UsageError(f"activity {activity.name!r}: {error}") from None

    async def _open_journal(self, host: Host) -> Opened:
        backoff, outage = Backoff(host), Outage(host.monotonic)
        while True:
            try:
                opened = await self.journal.open()
            except JournalUnavailable as error:
                outage.failed("opening", error)
                await host.sleep(backoff.delay())
            else:
                outage.worked("opening")
                return opened

    def _ended(self, run: UUID, status: RunStatus, outcome: bytes | None) -> None:
        self.client.waiting.tell(run, End(status, outcome))

    def _tell(self, hook: Hook | None) -> None:
        if hook is not None:
            machines = tuple(sorted(entry.chart.name for entry in self.registry.entries()))
            hook(worker=WorkerFacts(self.journal.namespace, machines, self.settings.queues))

    def health(self) -> list[HealthSection]:
        """How this worker and its plugins are. Asks the journal nothing; safe to call on its loop only."""
        supervisor = self._supervisor
        facts: dict[str, object] = {"namespace": self.journal.namespace, "open": supervisor is not None}
        healthy = supervisor is not None
        if supervisor is not None:
            facts["runs"] = len(supervisor.runs.holds())
            facts["activities"] = len(supervisor.tasks.holdings())
            facts["broken"] = supervisor.broken
            healthy = not supervisor.broken
        return [HealthSection("worker", healthy, facts), *self.plugins.health()]

    async def drain(self) -> bool:
        """Take nothing new, let activities end, hand over the rest at once.

        True when every activity ended by itself within the grace.
        """
        supervisor = self._supervisor
        if self._drained or supervisor is None:
            return True
        self._drained = True
        self.client.here = None
        self._tell(self.plugins.worker_draining)
        logger.info("draining: nothing new is taken; activities have %g s to end", self._grace)
        ended = await supervisor.drain(self._grace, self.client.settled)
        if not supervisor.handed_over:
            logger.warning("drained without the journal: what was in hand is found when its leases end")
        else:
            logger.info("drained%s", "" if ended else "; activities that did not end are handed over")
        return ended

    async def close(self) -> None:
        """Stop. Without `drain` before, what is in hand is found by others when its lease ends.

        A second call does nothing. Raises UsageError while `open` is under way: cancel that instead.
        """
        if self._opening:
            raise UsageError("this worker is still opening; cancel what waits for open(), and it gives up")
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        self.client.here = None
        self.client.watch = _no_watch
        try:
            await supervisor.close()
        finally:
            await self._exits.aclose()
        self._tell(self.plugins.worker_stopped)
        for (plugin, hook), count in sorted(self.plugins.failures.items()):
            logger.warning("plugin %s raised %d times in %s", plugin, count, hook)

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then drain. Raises what broke one of the worker's own loops.

        A second signal ends the grace: what still runs is stopped and handed over. A third one has the
        effect that it has in any program.
        """
        stop = AsyncioHost().flag()
        self._on_broken = stop.set
        with _Signals(stop, self._hurry) as signals:
            if not await signals.unless_stopped(self.open()):
                return
            async with self._opened():
                await stop.wait()

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncGenerator[None, None]:
        """From an open worker to a closed one, as `async with` does it."""
        try:
            yield
        except BaseException as error:
            await self.__aexit__(type(error))
            raise
        await self.__aexit__(None)

    def _hurry(self) -> None:
        if self._supervisor is not None:
            logger.info("told to stop once more: what still runs is handed over")
            self._supervisor.hurry()

    def _broken(self) -> None:
        self._on_broken()
        self.client.waiting.wake()  # who waits for results here learns it as well


def _no_watch() -> None:
    return None


class _Signals:
    """Turns SIGTERM and SIGINT into `stop`, the second of them into `hurry`, and then lets go of them."""

    _NUMBERS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, stop: Flag, hurry: Callable[[], None]) -> None:
        self._stop = stop
        self._hurry = hurry
        self._told = False
        self._stoppable: asyncio.Task[Any] | None = None

    def __enter__(self) -> _Signals:
        self._loop = asyncio.get_running_loop()
        for number in self._NUMBERS:
            self._loop.add_signal_handler(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        for number in self._NUMBERS:
            self._loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        if self._told:
            self.__exit__()
            self._hurry()
        self._told = True
        self._stop.set()
        if self._stoppable is not None:
            self._stoppable.cancel()
            self._stoppable = None

    async def unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do something that a signal gives up, in this very task; False when one did."""
        task = self._stoppable = asyncio.current_task()
        done = False
        try:
            await work
            done = True
            if self._told:
                await AsyncioHost().sleep(0)  # a cancellation that came too late must not hit what follows
        except asyncio.CancelledError:
            if not self._told or task is None:
                raise
            task.uncancel()
        finally:
            self._stoppable = None
        return done
