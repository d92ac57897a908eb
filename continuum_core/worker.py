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
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.client import Client
from continuum_core.definition.declare import Machine
from continuum_core.errors import JournalUnavailable, UsageError
from continuum_core.hooks.loading import Observers, load
from continuum_core.host import Flag, Host
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal, Limits, Opened
from continuum_core.journal.records import RunStatus
from continuum_core.lane import Backoff
from continuum_core.registry import Registry
from continuum_core.runner import AsyncioRunner
from continuum_core.runtime.attempt import Runner
from continuum_core.runtime.supervisor import Settings, Supervisor
from continuum_core.waiting import End

__all__ = ["Worker"]

logger = logging.getLogger(__name__)


class Worker:
    """Runs machines and their activities.

    :param journal: a URL such as ``sqlite:///orders.db``, or an unopened journal.
    :param machines: the machine classes whose runs it takes.
    :param queues: queue name → activities at once; None: every queue of the machines, 100 each.
    :param resources: resource type → function without arguments that returns a (sync or async) context
        manager; opened once, before anything runs, and injected into bodies that ask for the type.
    :param lease: seconds a claim lasts without renewal: how long others wait for a worker that died.
    :param poll: seconds after which the journal is asked again though nothing hints at work.
    :param grace: seconds that running activities may take to end when the worker drains.
    :param threads: plain (not async) activity bodies at once.
    :param observers: who is told what happens; the installed plugins unless given.
    """

    def __init__(
        self,
        journal: str | Journal,
        machines: Iterable[type[Machine[Any, Any, Any]]],
        *,
        namespace: str | None = None,
        queues: Mapping[str, int] | None = None,
        resources: Mapping[Any, Callable[[], Any]] | None = None,
        lease: float = 30.0,
        poll: float = 5.0,
        grace: float = 30.0,
        threads: int = 100,
        runs: int = 500,
        tries: int = 10,
        stall: float = 60.0,
        limits: Limits | None = None,
        host: Host | None = None,
        runner: Runner | None = None,
        observers: Observers | None = None,
    ) -> None:
        if lease <= 0 or poll <= 0 or grace < 0:
            raise UsageError("lease and poll must be longer than zero seconds, grace not negative")
        self.journal = connect(journal, namespace, limits or Limits())
        self.registry = Registry(machines)
        if not self.registry.entries():
            raise UsageError("a worker needs at least one machine: Worker(url, [Order])")
        self.settings = Settings(
            queues=tuple((queues or _all_queues(self.registry)).items()),
            lease=lease,
            poll=poll,
            runs=runs,
            tries=tries,
            stall=stall,
        )
        self.client = Client(self.journal, registry=self.registry, poll=poll, limits=limits)
        self._grace = grace
        self._threads = threads
        self._resources = dict(resources or {})
        self._given_host = host
        self._given_runner = runner
        self._observers = observers
        self._exits = contextlib.AsyncExitStack()
        self._drained = False

    # --- life ---

    async def __aenter__(self) -> Worker:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
        await self.close()

    async def open(self) -> None:
        """Open resources and journal, and start to work.

        A journal that is away is waited for. Raises IncompatibleJournal, and whatever a resource raises.
        """
        host = self._given_host or AsyncioHost()
        observers = self._observers = self._observers or Observers(load())
        exits = self._exits
        try:
            runner = self._given_runner or await self._open_runner()
            opened = await self._open_journal(host)
            exits.push_async_callback(self.journal.close)
            host_apart = AsyncioHost if self._given_host is None else lambda: host
            self._supervisor = Supervisor(
                host, host_apart, self.journal, self.registry, runner, self.settings
            )
            self.client.borrow(host, opened)
            exits.push_async_callback(self.client.close)
            await self._supervisor.open(opened)
        except BaseException:
            await exits.aclose()
            raise
        self._supervisor.turns.on_ended = self._ended
        self._supervisor.turns.on_parked = lambda run, cause: observers.tell(
            "run_parked", run_id=run, cause=cause
        )
        self.client.here = self._supervisor.turns
        machines = tuple(sorted(entry.chart.name for entry in self.registry.entries()))
        observers.tell("worker_started", namespace=self.journal.namespace, machines=machines)
        logger.info("worker on %s (%s), machines: %s", opened.backend, opened.durability, self._names())

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
        return runner

    async def _open_journal(self, host: Host) -> Opened:
        backoff = Backoff(host)
        while True:
            try:
                return await self.journal.open()
            except JournalUnavailable as error:
                delay = backoff.delay()
                logger.warning("%s; trying again in %.2f s", error, delay)
                await host.sleep(delay)

    def _ended(self, run: UUID, status: RunStatus, outcome: bytes | None) -> None:
        self.client.waiting.tell(run, End(status, outcome))
        self._tell("run_ended", run_id=run, status=status.name.lower())

    def _tell(self, hook: str, **facts: Any) -> None:
        if self._observers is not None:
            self._observers.tell(hook, **facts)

    async def drain(self) -> bool:
        """Take nothing new, let activities end, hand over the rest at once.

        True when every activity ended by itself within the grace.
        """
        if self._drained:
            return True
        self._drained = True
        self.client.here = None
        self._tell("worker_draining", namespace=self.journal.namespace)
        logger.info("draining: nothing new is taken; activities have %g s to end", self._grace)
        ended = await self._supervisor.drain(self._grace)
        logger.info("drained%s", "" if ended else "; activities that did not end are handed over")
        return ended

    async def close(self) -> None:
        """Stop. Without `drain` before, what is in hand is found by others when its lease ends."""
        await self._supervisor.close()
        await self._exits.aclose()
        self._tell("worker_stopped", namespace=self.journal.namespace)

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then drain. Raises what broke one of the worker's own loops."""
        stop = AsyncioHost().flag()
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, stop.set)
        try:
            async with self:
                await self._watch(stop)
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    async def _watch(self, stop: Flag) -> None:
        """Return when told to stop; raise what broke a loop."""
        while not await stop.wait(1.0):
            self._supervisor.check()


def _all_queues(registry: Registry) -> dict[str, int]:
    queues = {known.activity.queue for known in registry.activities().values()}
    return dict.fromkeys(sorted(queues | {"default"}), 100)
