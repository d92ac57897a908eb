"""The processes of a schedule: workers, and clients that carry out the plan.

Both run the shipping code (`Worker`, `Client`) on simulated hosts and faulty journals.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from attrs import evolve

from continuum_core.client import Client, Handle
from continuum_core.definition.declare import Machine
from continuum_core.errors import (
    AlreadyStarted,
    JournalUnavailable,
    ResultTimeout,
    RunEnded,
    RunNotFound,
    RunOver,
    TooManyPending,
)
from continuum_core.journal.commit import Inspection
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.journal.records import ENDED, RunStatus
from continuum_core.mapper import derive_run_id
from continuum_core.registry import Registry
from continuum_core.serving import queues_of
from continuum_core.testing.simulation import machines
from continuum_core.testing.simulation.bodies import SimulatedRunner
from continuum_core.testing.simulation.chaos import LEASE
from continuum_core.testing.simulation.machines import Job
from continuum_core.testing.simulation.rolling import machine_of, machines_of
from continuum_core.testing.simulation.scheduler import Process
from continuum_core.testing.simulation.workload import Action, Doing, Result, Verdict
from continuum_core.worker import Worker

__all__ = ["LIMITS", "POLL", "QUEUES", "Operator", "WorkingClient", "registry", "work", "worker_of"]

POLL = 3.0
"""Seconds; of workers and clients."""

QUEUES = {"default": 3, "slow": 2, "quotes": 2}
"""Slots of every worker, of each queue that its machines have activities in.

Of "slow" all workers together may use one, and "quotes" has a rate.
"""

LIMITS = Limits(loss_backoff=300_000)

_TRIES = 12
"""How often a client repeats what may be repeated."""


def worker_of(
    process: Process,
    journal: Journal,
    runner: SimulatedRunner,
    machines: Sequence[type[Machine[Any, Job, str]]],
) -> Worker:
    """An unopened worker.

    :param machines: those that it takes.
    """
    mine = queues_of(known.activity for known in Registry(machines).activities().values())
    return Worker(
        journal,
        machines,
        queues={queue: slots for queue, slots in QUEUES.items() if queue in mine},
        lease=LEASE,
        poll=POLL,
        grace=2.0,
        runs=8,
        stall=10 * LEASE,
        host=process,
        runner=runner,
        limits=LIMITS,
    )


async def work(worker: Worker, register: Callable[[Worker], None]) -> None:
    """A worker's life, until its process dies."""
    await worker.open()
    register(worker)


class WorkingClient:
    """Carries out one client's part of the plan, and notes what it was told.

    :param log: where results are appended, of all clients, in the order they were known.
    :param worker: of the same process, whose client this one then uses.
    """

    def __init__(
        self,
        process: Process,
        journal: Journal,
        registry: Registry,
        log: list[Result],
        worker: Worker | None = None,
    ) -> None:
        self.process = process
        self._process = process
        self._log = log
        self._open: Callable[[], Awaitable[object]]
        if worker is None:
            client = Client(journal, registry=registry, host=process, patience=LEASE, poll=POLL)
            self._open = client.open
        else:
            client, self._open = worker.client, worker.open
        self._client = self.client = client
        self._ids: dict[str, UUID] = {}
        self.done = False

    async def carry_out(self, actions: Sequence[Action]) -> None:
        while True:
            try:
                await self._open()
                break
            except JournalUnavailable:
                await self._process.sleep(0.5)
        for action in actions:
            if action.gap:
                await self._process.sleep(action.gap)
            await self._act(action)
        self.done = True

    async def _act(self, action: Action) -> None:
        verdict, error = await self._tried(action)
        run_id = self._id(action)
        self._log.append(
            Result(action, verdict, error, "" if run_id is None else str(run_id), self._process.scheduler.now)
        )

    async def _tried(self, action: Action) -> tuple[Verdict, str]:
        """Do it, again where that is harmless, until it is known how it went."""
        doubt = False
        for _ in range(_TRIES):
            try:
                await self._once(action)
            except JournalUnavailable as error:
                doubt = doubt or error.ambiguous
                if not _repeatable(action):
                    return (Verdict.UNKNOWN if doubt else Verdict.REFUSED), str(error)
                await self._process.sleep(0.3)
            except (AlreadyStarted, RunOver, RunNotFound, TooManyPending, ResultTimeout, RunEnded) as error:
                # After a doubtful try the refusal may be of its own effect: an order that ended the run.
                return (Verdict.UNKNOWN if doubt else Verdict.REFUSED), type(error).__name__
            else:
                return Verdict.OK, ""
        return (Verdict.UNKNOWN if doubt else Verdict.REFUSED), "gave up"

    def _id(self, action: Action) -> UUID | None:
        if action.run.keyed:
            return derive_run_id("default", action.run.machine, action.run.label)
        return self._ids.get(action.run.label)

    async def _once(self, action: Action) -> None:
        client, run = self._client, action.run
        if action.doing in (Doing.START, Doing.CLASH):
            job = run.job if action.doing is Doing.START else evolve(run.job, size=run.job.size + 10)
            key = run.label if run.keyed else None
            handle = await client.start(machine_of(run.machine, run.label), job, key=key)
            self._ids[run.label] = handle.id
            return
        if run.keyed:
            run_id: Handle[Any] | UUID = client.get(machine_of(run.machine, run.label), run.label)
        elif run.label in self._ids:
            run_id = self._ids[run.label]
        else:
            raise RunNotFound(run.label)
        if action.doing is Doing.SEND:
            event = getattr(machines, action.event)(f"c{action.client}", action.number)
            await client.send(run_id, event, dedupe=action.dedupe)
        elif action.doing is Doing.RESULT:
            await client.result(run_id, timeout=5.0)
        else:
            await self._order(action, run_id)

    async def _order(self, action: Action, run_id: Handle[Any] | UUID) -> None:
        client, why = self._client, f"c{action.client}"
        if action.doing is Doing.CANCEL:
            await client.cancel(run_id, why)
        elif action.doing is Doing.TERMINATE:
            await client.terminate(run_id, why)
        elif action.doing is Doing.SUSPEND:
            await client.suspend(run_id, why)
        elif action.doing is Doing.RESUME:
            await client.resume(run_id, why)
        else:
            await client.unpark(run_id, why)


def _repeatable(action: Action) -> bool:
    if action.doing in (Doing.START, Doing.CLASH):
        return action.run.keyed
    return action.doing is not Doing.SEND or action.dedupe is not None


def registry(names: Sequence[str]) -> Registry:
    """One for all clients of a schedule: they only read it."""
    return Registry(machines_of(names))


class Operator:
    """Ends what is left over, as a person with the command line would."""

    def __init__(self, process: Process, journal: Journal, registry: Registry) -> None:
        self._client = Client(journal, registry=registry, host=process, patience=LEASE, poll=POLL)
        self.done = False

    async def order(self, orders: Sequence[str], runs: Sequence[Inspection]) -> None:
        """Give each run, as it was found, those of the orders that fit its status."""
        client = self._client
        await client.open()
        for found in runs:
            run_id, status = found.run.run_id, found.run.status
            for order in orders:
                if order == "resume" and status is RunStatus.SUSPENDED:
                    await client.resume(run_id, "operator")
                elif order == "unpark" and status is RunStatus.PARKED:
                    await client.unpark(run_id, "operator")
                elif order in ("cancel", "terminate") and status not in ENDED:
                    # A run that was ended before this one may have ended it.
                    with contextlib.suppress(RunOver):
                        await getattr(client, order)(run_id, "operator")
        self.done = True
