"""A whole engine inside one test: real worker, real client, virtual time, stubbed activities.

    async with Engine([Order]) as engine:
        engine.stub(charge, returns="ch-1")
        order = await engine.start(Order, PlaceOrder("o-1", 500))
        await engine.advance(timedelta(minutes=30))
        assert await engine.states(order) == {"undoing"}

Nothing is simulated but the clock: the loops, the journal's rules and the codec are those of
production. `crash` drops the worker as `kill -9` would and starts another one on the same journal.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar, overload
from uuid import UUID

from continuum_core.arguments import NONE, Length, seconds
from continuum_core.arguments import length as checked
from continuum_core.blobs import with_blobs
from continuum_core.client import Client, Handle
from continuum_core.clock import to_datetime
from continuum_core.definition.activity import Activity
from continuum_core.definition.declare import Machine
from continuum_core.hooks.plugins import Plugins
from continuum_core.journal.connect import connect
from continuum_core.journal.declared import sibling_of
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from continuum_core.runner import AsyncioRunner
from continuum_core.testing.clock import START, VirtualClock, VirtualHost
from continuum_core.testing.hinted import Hints, hinted
from continuum_core.testing.stubs import NOTHING, NothingGiven, Stub, StubRunner, stub_of
from continuum_core.view import RunView, Step
from continuum_core.worker import Worker

__all__ = ["Engine"]

C = TypeVar("C")
I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

_PARANOID = "CONTINUUM_PARANOID"  # set by the option of the pytest plugin

# Longer than any test's sleep between two deadlines of interest: an idle engine has few deadlines.
_LEASE = 600.0
_POLL = 365 * 86_400.0
_STALL = 86_400.0


class Engine:
    """One worker and one client over a journal of the test's own.

    :param machines: what the worker takes.
    :param journal: a URL whose backend lets its clock be set (memory and SQLite do), or an unopened
        journal on the same clock; a memory journal unless given.
    :param start: when the test takes place.
    :param strict: an activity without a stub runs no real body: its attempt fails, and so does the call of
        this engine that let it begin, with UsageError.
    :param resources: what bodies that have no stub are given, by type: open resources, or fakes of them. A
        body that asks for `Transaction[X]` is given X from here where the journal has no transactions.
    :param plugins: of worker and client; the installed ones that the environment chooses, unless given.
    :param paranoid: fold the records of each run again, before its turns and when the block ends: code that
        does not give twice what it gave once raises DriftError, or parks the run. Unless given, as the option
        ``--paranoid`` of pytest says.
    :param worker: further arguments of `Worker`.
    """

    def __init__(
        self,
        machines: Iterable[type[Machine[Any, Any, Any]]],
        *,
        journal: Journal | str | None = None,
        start: datetime = START,
        strict: bool = False,
        resources: Mapping[Any, Any] | None = None,
        limits: Limits | None = None,
        plugins: Plugins | None = None,
        paranoid: bool | None = None,
        **worker: Any,
    ) -> None:
        self._paranoid = bool(os.environ.get(_PARANOID)) if paranoid is None else paranoid
        self._machines = list(machines)
        self.clock = VirtualClock(start)
        self._host = VirtualHost(self.clock)
        self._hints = Hints()
        if journal is None or isinstance(journal, str):
            journal = connect(journal or "memory://", None, limits, clock=self.clock.now)
        self._journal = with_blobs(journal, limits)
        self._worker_arguments = {"plugins": plugins, "paranoid": self._paranoid, **worker}
        self._inner = AsyncioRunner(resources)
        self._runner = StubRunner(self._host, self._inner, strict=strict)
        self._worker: Worker | None = None
        self._more: list[Worker] = []
        self._registry = Registry(self._machines)
        self.client = Client(
            hinted(self._journal, self._host, self._hints),
            registry=self._registry,
            host=self._host,
            poll=_POLL,
            limits=limits,
            plugins=plugins,
        )

    async def __aenter__(self) -> Engine:
        await self.client.open()
        await self._start_worker()
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            if self._paranoid and kind is None:
                await self.check_all()
        finally:
            await self._close()

    async def _close(self) -> None:
        for worker in (self._worker, *self._more):
            if worker is not None:
                await worker.close()
        await self.client.close()
        self._inner.close()

    async def _start_worker(self) -> None:
        self._worker = await self._opened(self._worker_arguments)

    async def _opened(self, given: dict[str, Any]) -> Worker:
        arguments: dict[str, Any] = {"lease": _LEASE, "poll": _POLL, "stall": _STALL, **given}
        worker = Worker(
            hinted(sibling_of(self._journal), self._host, self._hints),
            self._machines,
            host=self._host,
            runner=self._runner,
            **arguments,
        )
        await worker.open()
        return worker

    async def join(self, **worker: Any) -> Worker:
        """Have another worker work beside the first, with the same machines.

        :param worker: further arguments of `Worker`.
        """
        joined = await self._opened({**self._worker_arguments, **worker})
        self._more.append(joined)
        await self.settle()
        return joined

    # --- activities ---

    def stub(
        self,
        activity: Activity[I, O],
        *,
        returns: O | NothingGiven = NOTHING,
        raises: BaseException | type[BaseException] | None = None,
        calls: Callable[[I], Any] | None = None,
        hangs: bool = False,
        holds: bool = False,
    ) -> Stub:
        """Let something stand in for an activity's body, from the next attempt on.

        :param returns: its output; None where nothing at all is given.
        :param raises: what each attempt raises.
        :param calls: a function of the input, plain or async, that returns or raises.
        :param hangs: it never ends by itself: the timeout ends the attempt, or its state's exit.
        :param holds: each attempt waits, in the stub's `held`, until the test ends it, or its state's exit.

        Raises PayloadRefused where `returns` is not of the activity's output type, UsageError for arguments
        that contradict one another.
        """
        stub = stub_of(activity, returns, raises, calls, hangs=hangs, holds=holds)
        self._runner.stubs[activity.name] = stub
        return stub

    # --- runs ---

    @overload
    async def start(
        self,
        machine: type[Machine[C, I, O]],
        input: I,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: Length | None = None,
        debounce: Length | None = None,
        debounce_max: Length | None = None,
        deadline: Length | datetime | None = None,
    ) -> Handle[O, C]: ...
    @overload
    async def start(
        self,
        machine: str,
        input: Any,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: Length | None = None,
        debounce: Length | None = None,
        debounce_max: Length | None = None,
        deadline: Length | datetime | None = None,
    ) -> Handle[Any]: ...
    async def start(
        self,
        machine: Any,
        input: Any,
        /,
        *,
        key: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        at: datetime | None = None,
        after: Length | None = None,
        debounce: Length | None = None,
        debounce_max: Length | None = None,
        deadline: Length | datetime | None = None,
    ) -> Handle[Any]:
        """Start a run, as `Client.start` does, and let all that follows at once happen."""
        handle = await self.client.start(
            machine,
            input,
            key=key,
            attributes=attributes,
            at=at,
            after=after,
            debounce=debounce,
            debounce_max=debounce_max,
            deadline=deadline,
        )
        await self.settle()
        return handle

    async def send(self, run: Handle[Any] | UUID | str, event: Any, data: Any = None) -> None:
        """Send an event, and let all that follows at once happen."""
        await self.client.send(run, event, data)
        await self.settle()

    async def view(self, run: Handle[Any] | UUID | str) -> RunView:
        """The run once all that can happen now has happened."""
        await self.settle()
        return await self.client.view(run)

    async def states(self, run: Handle[Any] | UUID | str) -> set[str]:
        """The paths of the active states, innermost only."""
        return set((await self.view(run)).states)

    async def context(self, run: Handle[Any] | UUID | str) -> Any:
        """The run's context."""
        return (await self.view(run)).context

    async def history(self, run: Handle[Any] | UUID | str) -> list[Step]:
        """The run's records, oldest first."""
        await self.settle()
        return await self.client.history(run)

    async def path(self, run: Handle[Any] | UUID | str) -> list[tuple[str, tuple[str, ...]]]:
        """The run's history in short: each event, and the states after it."""
        return [(step.event, step.states) for step in await self.history(run)]

    async def check(self, run: Handle[Any] | UUID | str) -> None:
        """Fold the run's records through the machine. Raises DriftError where that gives something else."""
        await self.settle()
        self._registry.learn(await self.client.journal.definitions())
        await verify_run(self.client.journal, self._registry, self.client.handle(run).id)

    async def check_all(self) -> int:
        """Fold the records of every run whose code is here, and say how many that were. Raises DriftError."""
        await self.settle()
        self._registry.learn(await self.client.journal.definitions())
        checked = 0
        async for run in self.client.runs():
            if self._registry.find(run.fingerprint) is not None:
                await verify_run(self.client.journal, self._registry, run.id)
                checked += 1
        return checked

    # --- time and trouble ---

    def now(self) -> datetime:
        """The test's time."""
        return to_datetime(self.clock.now())

    async def settle(self) -> None:
        """Let everything happen that can happen without the clock moving."""
        self._hints.tell()  # a transaction of the test's own may have been committed: nobody else hints at it
        await self.clock.quiet()
        self._runner.check()

    async def advance(self, length: Length) -> None:
        """Move the clock on; every timer, retry and timeout on the way fires in order.

        :param length: a `timedelta`, or seconds.
        """
        await self.clock.advance(checked("length", length, least=NONE))
        self._runner.check()

    async def sleep(self, length: Length) -> None:
        """Let the test's time pass, in the middle of a stub: an activity that takes so long."""
        await self._host.sleep(seconds("length", length))

    async def deploy(self, machines: Iterable[type[Machine[Any, Any, Any]]]) -> None:
        """Replace the worker by one of a new release, with these machines; the old one drains first."""
        self._machines = list(machines)
        self._registry.replace(self._machines)
        if self._worker is not None:
            await self._worker.drain()
            await self._worker.close()
        await self._start_worker()
        await self.settle()

    async def crash(self) -> None:
        """Drop the worker as `kill -9` would, with all it had in hand, and start another one.

        What the lost worker held is taken up within a lease of its lease's end: `advance`, or wait for it.
        """
        # A run whose lease ends gives no hint: who follows has to look by itself, or it looks once a year.
        self._worker_arguments.setdefault("poll", _LEASE)
        if self._worker is not None:
            await self._worker.close()
        await self._start_worker()
        await self.settle()
