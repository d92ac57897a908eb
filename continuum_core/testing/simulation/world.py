"""One schedule from its first moment to its end.

Phases: *chaos*, in which processes fail as the seed says; *calm*, from the horizon on, in which nothing
fails any more, everybody lives, and every run must go on within a lease and a poll; *rest*, when
nothing is due; *closing*, in which an operator resumes, unparks and cancels what is left, and
everything must end.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from uuid import UUID

from attrs import define, field

from continuum_core.errors import JournalUnavailable
from continuum_core.journal.commit import Commit, Inspection, Query
from continuum_core.journal.records import ENDED, Held, RecordKind, Run, RunStatus, Task, own_timer
from continuum_core.runtime.supervisor import Supervisor
from continuum_core.testing.faults import FaultyJournal
from continuum_core.testing.simulation.bodies import Ledger, SimulatedRunner
from continuum_core.testing.simulation.cast import (
    LIMITS,
    POLL,
    QUEUES,
    Operator,
    WorkingClient,
    registry,
    work,
    worker_of,
)
from continuum_core.testing.simulation.chaos import LEASE, Chaos, Mishap
from continuum_core.testing.simulation.evidence import Story
from continuum_core.testing.simulation.moments import (
    at_rest,
    held_rightly,
    nothing_is_lost,
    nothing_is_overtaken,
    well_placed,
)
from continuum_core.testing.simulation.of_families import families_at_rest
from continuum_core.testing.simulation.rolling import RELEASES, ROLLING, release_machines
from continuum_core.testing.simulation.scheduler import Process, Scheduler, Stalled, Strand
from continuum_core.testing.simulation.store import SimulatedJournal, Witness, now_done
from continuum_core.testing.simulation.workload import Result, Scenario
from continuum_core.worker import Worker

__all__ = ["PATIENCE", "World"]

PATIENCE = LEASE + 2 * POLL + 6.0
"""Seconds within which a run must move once something is due: a lease that has to run out, a poll, the
longest backoff of a loop that met the last fault, and a loss's."""

_STEPS = 60_000
_ROUNDS = 40


@define
class Watch:
    """What was seen last of a run that has something to do, and when."""

    state: object
    since: int


@define(eq=False, slots=False)
class World:
    """Everything of one schedule.

    :ivar trace: one line for each call of a verb and each death, if `traced`.
    """

    seed: int
    scenario: Scenario
    script: Mapping[str, Mishap] | None = None
    traced: bool = False
    witness: Witness = field(factory=Witness)
    ledger: Ledger = field(factory=Ledger)
    results: list[Result] = field(factory=list[Result])
    violations: list[str] = field(factory=list[str])
    trace: list[tuple[int, str, str, str]] = field(factory=list[tuple[int, str, str, str]])
    inspections: dict[UUID, Inspection] = field(factory=dict[UUID, Inspection])
    deaths: int = 0
    calm_at: int = 0

    def __attrs_post_init__(self) -> None:
        self._chance = Random(self.seed * 3 + 1)
        self.scheduler = Scheduler(Random(self.seed * 3 + 2))
        self.scheduler.on_death = self._died
        self.scheduler.on_error = self._failed
        self.chaos = Chaos(self.scheduler, Random(self.seed * 3), self.scenario.mix, self.script, self._told)
        self.handle = SimulatedJournal.over(self.scheduler, self.witness, LIMITS)
        self._store = self.handle(self.scheduler.network).store
        # Only those that are wanted: a registry of all would cost more than the schedule.
        self._names = sorted({action.run.machine for action in self.scenario.actions})
        self.registry = registry(self._names)
        self._deferring = frozenset(
            entry.fingerprint
            for entry in self.registry.entries()
            if any(state.deferred for state in entry.chart.states)
        )
        self.witness.on_commit = self._check_commit
        self._processes = 0
        self._living: dict[str, tuple[Process, Worker | None]] = {}
        self._restarts: list[str] = []
        self._clients: list[WorkingClient] = []
        self._watches: dict[object, Watch] = {}
        self._closing = False
        # What an older release defined meanwhile is learnt by the newer ones within ten polls.
        self._patience = PATIENCE + (10 * POLL if ROLLING in self._names else 0.0)

    # --- the story ---

    def run(self) -> None:
        """All phases."""
        with _silenced():
            try:
                self._open()
                self._go(self.scenario.horizon)
                self._calm()
                self._settle()
                self._rest()
                self._close()
            except Stalled as error:
                self.violations.append(f"stalled: {error}")
            self.look()
            for process, _ in self._living.values():
                self.scheduler.kill(process)
            self.scheduler.kill(self.scheduler.network)

    def _open(self) -> None:
        for number in range(self.scenario.workers):
            self._restart(f"w{number}")
        embedded = self._chance.random() < 0.4
        for client in sorted({action.client for action in self.scenario.actions}):
            self._begin_client(client, embedded and client == 0)

    def _begin_client(self, client: int, embedded: bool) -> None:
        """`embedded`: it works, too: its starts may carry tasks that are born in its own hands."""
        process = self._process(f"c{client}")
        journal = self._journal(process)
        worker = self._worker(process, journal) if embedded else None
        acting = WorkingClient(process, journal, self.registry, self.results, worker)
        self._clients.append(acting)
        self._living[process.name] = (process, worker)
        mine = [action for action in self.scenario.actions if action.client == client]
        process.spawn(acting.carry_out(mine), "plan")

    def _worker(self, process: Process, journal: FaultyJournal) -> Worker:
        runner = SimulatedRunner(process, self.ledger, self.seed, self.scenario.wild)
        return worker_of(process, journal, runner, release_machines(self._names, self._release(process)))

    def _release(self, process: Process) -> int:
        """The first worker has the newest release, whenever it is started; which others have is chance.

        So has a client that works, too: it knows all versions soon, by starting runs of them.
        """
        newest = len(RELEASES) - 1
        name = process.name.partition(".")[0]
        if ROLLING not in self._names or name == "w0" or name.startswith("c"):
            return newest
        return self._chance.randrange(newest + 1)

    def _process(self, name: str) -> Process:
        self._processes += 1
        skew = 1.0 + self.scenario.mix.skew * (2 * self._chance.random() - 1)
        # A process has chance of its own: what one draws must not depend on who else draws.
        own = Random(self.seed * 1_000 + self._processes)
        process = Process(self.scheduler, name, self._processes, own, skew)
        self._living[name] = (process, None)
        return process

    def _journal(self, process: Process) -> FaultyJournal:
        return FaultyJournal(self.handle(process), self.chaos.chooser(process), process)

    def _restart(self, name: str) -> None:
        process = self._process(name)

        def register(worker: Worker) -> None:
            self._living[name] = (process, worker)

        process.spawn(work(self._worker(process, self._journal(process)), register), "life")

    def _go(self, seconds: float) -> None:
        deadline = self.scheduler.now + int(seconds * 1e6)
        self.scheduler.run(lambda: False, deadline, _STEPS)

    # --- deaths ---

    def _died(self, process: Process) -> None:
        self.deaths += 1
        if self.traced:
            self.trace.append((self.scheduler.now, process.name, "dies", ""))
        self._living.pop(process.name, None)
        base = process.name.partition(".")[0]
        if base.startswith("w"):
            if self.scheduler.calm.is_set():
                self._restart(_next_name(process.name))
            else:
                delay = self._chance.choice((0.1, 2.0, 2 * LEASE)) * self._chance.random()
                self._restarts.append(_next_name(process.name))
                self.scheduler.network.later(delay, self._revive)
        else:
            for client in self._clients:
                if client.process is process:
                    client.done = True  # it will never know how its last action went

    async def _revive(self) -> None:
        if self._restarts:
            self._restart(self._restarts.pop(0))

    def _failed(self, strand: Strand, error: BaseException) -> None:
        if strand.name == "life" and isinstance(error, JournalUnavailable):
            # It could not open: its process ends, and is started again.
            self.scheduler.kill(strand.process)
            self._died(strand.process)
            return
        self.violations.append(
            f"{strand.name} of {strand.process.name} ended with {type(error).__name__}: {error}"
        )

    def _told(self, process: str, verb: str, mishap: Mishap | None) -> None:
        if self.traced:
            self.trace.append((self.scheduler.now, process, verb, "" if mishap is None else str(mishap)))

    def stories(self) -> dict[UUID, Story]:
        """Every run with all its records, as stored."""
        return {
            run_id: Story(found, now_done(self._store.history(run_id, 0, 100_000)))
            for run_id, found in self.inspections.items()
        }

    def _check_commit(self, commit: Commit) -> None:
        """What can be seen only at the moment when a commit takes effect."""
        if commit.fingerprint not in self._deferring and (commit.fence is not None or not commit.version):
            return
        found = now_done(self._store.inspect(commit.run_id))
        if found is not None:
            if any(record.kind is RecordKind.MIGRATION for record in commit.records):
                self.violations += well_placed(found, self.registry)
            self.violations += held_rightly(found, self.registry)
            self.violations += nothing_is_overtaken(found, commit)

    # --- calm ---

    def _calm(self) -> None:
        self.scheduler.thaw()
        self._go(0.05)  # faults that were under way happen
        self.calm_at = self.scheduler.now
        while self._restarts:
            self._restart(self._restarts.pop(0))
        if self._chance.random() < 0.3:
            self._drain_one()
        idle = self.scheduler.now + int(120e6)
        if not self.scheduler.run(lambda: all(c.done for c in self._clients), idle, _STEPS):
            self.violations.append("a client never finished its plan")

    def _drain_one(self) -> None:
        """A rolling deployment: one worker is drained while it works, and another takes its place."""
        for name, (process, worker) in self._living.items():
            if worker is not None and name.startswith("w"):
                self.scheduler.spawn(self._drain(name, process, worker), "drain", self.scheduler.network)
                return

    async def _drain(self, name: str, process: Process, worker: Worker) -> None:
        await worker.drain()
        drained = self.scheduler.now
        self.look()
        for found in self.inspections.values():
            rows: list[Run | Task] = [found.run, *found.tasks]
            for row in rows:
                if row.claim_id is None or (row.lease_until or 0) <= drained:
                    continue
                who, when = self.witness.claims.get(row.claim_id, ("", 0))
                if who == name and when > self.calm_at:
                    self.violations.append(
                        f"{name} is drained and still holds {type(row).__name__} of {found.run.run_id}"
                    )
        await worker.close()
        late = [when for who, when in self.witness.claims.values() if who == name and when > drained]
        if late:
            self.violations.append(f"{name} claimed after it was drained")
        self.scheduler.kill(process)
        self._living.pop(name, None)
        self._restart(_next_name(name))

    def _settle(self) -> None:
        """Until nothing is due and nobody works; every run with something to do must move meanwhile."""
        self._watches.clear()
        for _ in range(_ROUNDS):
            self._go(POLL)
            if not self._busy():
                return
            if self.violations:
                return
        self.violations.append("it never came to rest")

    def _busy(self) -> bool:
        """Whether anything is due or will be; notes who has not moved for too long."""
        self.look()
        busy = False
        for run_id, found in self.inspections.items():
            busy = self._waits(run_id, found) or busy
        # A body that cannot be stopped may outlive its task and its run.
        return busy or any(worker is not None and _held(worker) for _, worker in self._living.values())

    def _waits(self, run_id: UUID, found: Inspection) -> bool:
        now, run = self.scheduler.now, found.run
        free = [d for d in found.deliveries if d.held is Held.NO]
        if run.status is not RunStatus.RUNNING:  # it rests, but for what ends a rest
            free = [d for d in free if own_timer(d.kind, d.token)]
        due = [d for d in free if d.due is not None and d.due <= now]
        if due:
            self._watch(
                run_id, (run.version,), f"run {run_id} ({run.machine}, version {run.version}) does not move"
            )
        else:
            self._watches.pop(run_id, None)
        for task in found.tasks:
            key = (run_id, task.token, task.slot)
            unheld = task.lease_until is None or task.lease_until <= now
            if task.due <= now and unheld and not self._full(task.queue):
                state = (task.attempt, task.losses, task.fence)
                self._watch(key, state, f"task {task.activity} of run {run_id} is claimed by nobody")
            else:
                self._watches.pop(key, None)
        # Tasks go on whatever an operator did to their run.
        return bool(found.tasks or free)

    def _full(self, queue: str) -> bool:
        """Whether as many tasks of the queue are under way as may be: then others wait rightly."""
        declared = self.registry.queues().get(queue)
        if declared is None or declared.limit is None:
            return False
        under_way = self.witness.under_way.values()
        live = sum(name == queue and until > self.scheduler.now for name, until in under_way)
        return live >= declared.limit

    def _watch(self, key: object, state: object, complaint: str) -> None:
        now = self.scheduler.now
        watch = self._watches.get(key)
        if watch is None or watch.state != state:
            self._watches[key] = Watch(state, now)
        elif now - watch.since > self._patience * 1e6:
            self.violations.append(
                f"{complaint} for {(now - watch.since) / 1e6:.0f} s after the faults stopped"
            )

    def look(self) -> None:
        """Read everything from the store, as it is."""
        store = self._store
        page = now_done(store.list(Query(), 1_000))
        for run in reversed(page.runs):
            found = now_done(store.inspect(run.run_id))
            if found is not None:
                self.inspections[run.run_id] = found

    def _rest(self) -> None:
        self.look()
        if not self.violations:
            for found in self.inspections.values():
                self.violations += at_rest(found, self.registry)
                records = now_done(self._store.history(found.run.run_id, 0, 100_000))
                self.violations += nothing_is_lost(found, records)
            self.violations += families_at_rest(self.inspections)
            self.violations += self._hands()

    def _hands(self) -> Iterator[str]:
        """13: at rest every worker has empty hands, and every slot is free for the next task."""
        for name, (_, worker) in self._living.items():
            if worker is None:
                continue
            queues = {known.activity.queue for known in worker.registry.activities().values()}
            held = _held(worker)
            if held:
                yield f"{name} holds {held} runs and tasks, and there are none"
            free = {want.queue: want.limit for want in _supervisor(worker).tasks.wants()}
            if any(count != QUEUES[queue] for queue, count in free.items()) or len(free) != len(queues):
                yield f"{name} has {free} free slots of {QUEUES}: some were never given back"

    # --- closing ---

    def _close(self) -> None:
        if self.violations:
            return
        self._closing = True
        for orders in (("resume", "unpark"), ("cancel",), ("terminate",)):
            self._operate(orders)
            self._settle()
            self.look()
            if self.violations or all(f.run.status in ENDED for f in self.inspections.values()):
                return
        for run_id, found in self.inspections.items():
            if found.run.status not in ENDED:
                self.violations.append(f"run {run_id} is {found.run.status.name} and cannot be ended")

    def _operate(self, orders: Sequence[str]) -> None:
        process = self._process(f"op{self._processes}")
        operator = Operator(process, self._journal(process), self.registry)
        process.spawn(operator.order(orders, list(self.inspections.values())), "operator")
        limit = self.scheduler.now + int(60e6)
        if not self.scheduler.run(lambda: operator.done, limit, _STEPS):
            self.violations.append("the operator's orders are not answered")
        self.scheduler.kill(process)
        del self._living[process.name]


def _supervisor(worker: Worker) -> Supervisor:
    supervisor = worker._supervisor  # pyright: ignore[reportPrivateUsage]  # nobody else can say what it holds
    assert supervisor is not None
    return supervisor


def _held(worker: Worker) -> int:
    """How many runs and tasks it has in hand."""
    supervisor = _supervisor(worker)
    return len(supervisor.tasks.holdings()) + len(supervisor.runs.holds())


def _next_name(name: str) -> str:
    base, _, generation = name.partition(".")
    return f"{base}.{int(generation or 0) + 1}"


@contextmanager
def _silenced() -> Generator[None]:
    """The engine's warnings about faults that were planted tell nobody anything."""
    logger = logging.getLogger("continuum_core")
    before = logger.level, logger.disabled
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before[0])
