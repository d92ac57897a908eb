"""The journal of a simulation: the shipping memory journal on virtual time, and a witness of what it did.

The witness sees every verb as it takes effect, in the true order, whatever the callers were told. What
invariants need and no journal keeps (which fence wrote which record, what each commit carried) is
gathered here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from attrs import define, field, frozen

from continuum_core.clock import Micros
from continuum_core.journal.commit import (
    FIRST_DUE,
    Claims,
    Commit,
    CommitOutcome,
    Committed,
    Delivered,
    DeliverOutcome,
    DueEntry,
    Finished,
    FinishOutcome,
    Inspection,
    Member,
    NewRun,
    Order,
    Ordered,
    OrderOutcome,
    Page,
    Pruned,
    PrunePlan,
    Query,
    Reservation,
    Reserved,
    RunHold,
    Started,
    StartOutcome,
    TaskClaims,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.connect import connect
from continuum_core.journal.crews import crewed
from continuum_core.journal.declared import declared
from continuum_core.journal.protocol import Journal, Limits, Opened
from continuum_core.journal.records import Definition, Delivery, Record, Run, Task, TaskKey
from continuum_core.testing.simulation.scheduler import Process, Scheduler

__all__ = ["Applied", "SimulatedJournal", "Witness", "now_done"]

_PAGE = 3
"""Entries of the due index that a claim reads at a time: so few that what a worker cannot take is more than
one page, and schedules of a dozen runs go through all of how it reads on."""

T = TypeVar("T")


def now_done(work: Coroutine[Any, Any, T]) -> T:
    """What a verb of the memory journal answers: it never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        answer: T = end.value
        return answer
    raise AssertionError("a verb of the simulated store waited")


@cache
def _memory() -> tuple[Any, Any]:
    """The classes of the memory backend, found by its URL: the core names no backend."""
    sample: Any = connect("memory://")
    journal_class: Any = sample.__class__
    store_class: Any = sample.store.__class__
    return journal_class, store_class


@frozen
class Applied:
    """A commit that took effect, and the journal's time when it did."""

    commit: Commit
    at: Micros
    fence: int | None  # the run's fence when it took effect


@define
class Witness:
    """What took effect, in order.

    :ivar violations: what was wrong at the very moment; the rest is judged afterwards.
    """

    applied: dict[UUID, Applied] = field(factory=dict[UUID, Applied])
    leases: dict[UUID, Micros] = field(factory=dict[UUID, Micros])  # run → until when its holder has it
    claims: dict[UUID, tuple[str, Micros]] = field(
        factory=dict[UUID, tuple[str, Micros]]
    )  # claim id → process that asked, and when
    order: dict[UUID, list[UUID]] = field(
        factory=dict[UUID, list[UUID]]
    )  # run → commit and order ids in order of effect
    fences: dict[UUID, int] = field(factory=dict[UUID, int])  # run → its last granted fence
    claimed: dict[TaskKey, list[tuple[int, int, int]]] = field(
        factory=dict[TaskKey, list[tuple[int, int, int]]]
    )  # fence, attempt, losses
    task_fences: dict[TaskKey, int] = field(factory=dict[TaskKey, int])
    finished: dict[TaskKey, list[tuple[TaskFinish, FinishOutcome]]] = field(
        factory=dict[TaskKey, list[tuple[TaskFinish, FinishOutcome]]]
    )
    started: dict[UUID, NewRun] = field(factory=dict[UUID, NewRun])
    accepted: dict[UUID, Delivery] = field(factory=dict[UUID, Delivery])  # by delivery id, from deliver()
    ordered: dict[UUID, tuple[Order, Ordered]] = field(factory=dict[UUID, tuple[Order, Ordered]])
    under_way: dict[TaskKey, tuple[str, Micros]] = field(
        factory=dict[TaskKey, tuple[str, Micros]]
    )  # queue of a leased task, and the end of its lease
    caps: dict[str, int] = field(factory=dict[str, int])  # queue → the cap that claims state
    grants: dict[str, list[Micros]] = field(
        factory=dict[str, list[Micros]]
    )  # queue → when tasks were claimed
    violations: list[str] = field(factory=list[str])
    on_commit: Callable[[Commit], None] = lambda _commit: None

    def wrong(self, what: str) -> None:
        self.violations.append(what)


class Hints:
    """Who waits for a change, of all handles on one store."""

    def __init__(self) -> None:
        self.handles: list[SimulatedJournal] = []

    def tell(self) -> None:
        for handle in self.handles:
            handle.hinted()


class SimulatedJournal:
    """One handle of one process. Verbs take effect at once; `wait` waits on the scheduler."""

    def __init__(self, store: Journal, process: Process, witness: Witness, hints: Hints) -> None:
        self.store = store
        self.namespace = store.namespace
        self.capabilities = declared(store)
        self._process = process
        self._witness = witness
        self._hints = hints
        self._changed = process.flag()

    @staticmethod
    def over(scheduler: Scheduler, witness: Witness, limits: Limits) -> Callable[[Process], SimulatedJournal]:
        """Makes handles on one new store, whose clock is the scheduler's."""
        journal_class, store_class = _memory()
        memory: Journal = journal_class(store_class(scheduler.tick), "default", limits)
        now_done(memory.open())
        hints = Hints()
        return lambda process: SimulatedJournal(memory, process, witness, hints)

    def hinted(self) -> None:
        self._changed.set()

    # --- life ---

    async def open(self) -> Opened:
        if self not in self._hints.handles:
            self._hints.handles.append(self)
        return await self.store.open()

    async def close(self) -> None:
        if self in self._hints.handles:
            self._hints.handles.remove(self)

    def sibling(self) -> SimulatedJournal:
        return SimulatedJournal(self.store, self._process, self._witness, self._hints)

    async def wait(self, seconds: float) -> None:
        await self._changed.wait(seconds)
        self._changed.clear()

    # --- verbs that are witnessed ---

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        answers = await self.store.start(runs)
        witness = self._witness
        for new, answer in zip(runs, answers, strict=True):
            if answer.outcome is StartOutcome.STARTED:
                witness.started[new.run_id] = new
                if new.turn is not None and answer.committed is not None:
                    self._committed(new.turn, answer.committed)
        self._hints.tell()
        return answers

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        answers = await self.store.deliver(deliveries)
        for delivery, answer in zip(deliveries, answers, strict=True):
            if answer.outcome is DeliverOutcome.ACCEPTED:
                self._witness.accepted.setdefault(delivery.id, delivery)
        self._hints.tell()
        return answers

    async def claim_runs(
        self,
        claim_id: UUID,
        limit: int,
        lease: int,
        takes: frozenset[str],
        after: DueEntry = FIRST_DUE,
        scan: int = 1_000,
    ) -> Claims:
        claims = await self.store.claim_runs(claim_id, limit, lease, takes, after, min(scan, _PAGE))
        witness = self._witness
        witness.claims[claim_id] = (self._process.scheduler.acting, claims.now)
        for claim in claims.runs:
            last = witness.fences.get(claim.run_id, 0)
            if claim.fence < last:
                witness.wrong(f"run {claim.run_id} granted fence {claim.fence} after {last}")
            if claim.fence > last and witness.leases.get(claim.run_id, 0) > claims.now:
                witness.wrong(f"run {claim.run_id} was claimed under a live lease")
            witness.fences[claim.run_id] = claim.fence
            witness.leases[claim.run_id] = claim.lease_until
            for delivery in claim.deliveries:
                if delivery.due is None or delivery.due > claims.now:
                    witness.wrong(f"delivery {delivery.id} was handed over before it was due")
        return claims

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        answers = await self.store.commit(commits)
        for commit, answer in zip(commits, answers, strict=True):
            self._committed(commit, answer)
        self._hints.tell()
        return answers

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        claims = await self.store.claim_tasks(claim_id, wants, lease)
        self._witness.claims[claim_id] = (self._process.scheduler.acting, claims.now)
        self._witness.caps.update((want.queue, want.cap) for want in wants if want.cap is not None)
        for claim in claims.tasks:
            self._granted((claim.task.run_id, claim.task.token, claim.task.slot), claim.task, claims.now)
        return claims

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        answers = await self.store.finish(finishes)
        for finish, answer in zip(finishes, answers, strict=True):
            key = (finish.run_id, finish.token, finish.slot)
            self._witness.finished.setdefault(key, []).append((finish, answer.outcome))
            held = self._witness.task_fences.get(key)
            if answer.outcome is not FinishOutcome.LOST and finish.fence == held:
                self._witness.under_way.pop(key, None)
            if answer.outcome is FinishOutcome.FINISHED and finish.fence != held:
                self._witness.wrong(f"task {key} was finished under fence {finish.fence}, held under {held}")
            if finish.turn is not None and answer.committed is not None:
                self._committed(finish.turn, answer.committed)
        self._hints.tell()
        return answers

    async def control(self, orders: Sequence[Order]) -> list[Ordered]:
        known = [order.id in self._witness.ordered for order in orders]
        answers = await self.store.control(orders)
        for order, answer, repeated in zip(orders, answers, known, strict=True):
            if not repeated and answer.outcome is OrderOutcome.DONE:
                self._witness.ordered[order.id] = (order, answer)
                self._witness.order.setdefault(order.run_id, []).append(order.id)
                self._witness.leases.pop(order.run_id, None)
        self._hints.tell()
        return answers

    def _committed(self, commit: Commit, answer: Committed) -> None:
        witness = self._witness
        if answer.outcome is not CommitOutcome.COMMITTED:
            return
        for claim in answer.tasks:
            self._granted((claim.task.run_id, claim.task.token, claim.task.slot), claim.task, answer.now)
        if commit.commit_id in witness.applied:
            return  # told again
        if commit.now > answer.now:
            witness.wrong(f"commit {commit.commit_id} is {commit.now - answer.now} µs from the future")
        granted = witness.fences.get(commit.run_id)
        if commit.fence is not None and commit.fence != granted:
            witness.wrong(f"run {commit.run_id} was written under fence {commit.fence}, granted {granted}")
        witness.leases.pop(commit.run_id, None)
        for new in commit.tasks:
            if new.claim_id is not None:
                witness.claims[new.claim_id] = (self._process.scheduler.acting, answer.now)
        witness.applied[commit.commit_id] = Applied(commit, answer.now, granted)
        witness.order.setdefault(commit.run_id, []).append(commit.commit_id)
        witness.on_commit(commit)

    def _granted(self, key: TaskKey, task: Task, now: Micros) -> None:
        witness = self._witness
        if task.lease_until is not None:
            witness.under_way[key] = (task.queue, task.lease_until)
        last = witness.task_fences.get(key, 0)
        if task.fence < last:
            witness.wrong(f"task {key} granted fence {task.fence} after {last}")
        cap = witness.caps.get(task.queue)
        live = sum(name == task.queue and until > now for name, until in witness.under_way.values())
        if cap is not None and live > cap:  # 23: over all workers, however they came by them
            witness.wrong(f"{live} tasks of queue {task.queue} are under way, {cap} may be")
        if task.fence > last:
            witness.task_fences[key] = task.fence
            witness.grants.setdefault(task.queue, []).append(now)
            witness.claimed.setdefault(key, []).append((task.fence, task.attempt, task.losses))

    # --- verbs that are passed on ---

    async def now(self) -> Micros:
        return await self.store.now()

    async def renew(self, runs: Sequence[RunHold], lease: int) -> list[bool]:
        answers = await self.store.renew(runs, lease)
        witness = self._witness
        for hold, held in zip(runs, answers, strict=True):
            if held and hold.fence != witness.fences.get(hold.run_id):
                witness.wrong(f"run {hold.run_id} was renewed under the fence of a former holder")
            elif held:
                witness.leases[hold.run_id] = self._process.scheduler.now + lease
        return answers

    async def release(self, runs: Sequence[RunHold]) -> None:
        await self.store.release(runs)
        for hold in runs:
            if hold.fence == self._witness.fences.get(hold.run_id):
                self._witness.leases.pop(hold.run_id, None)
        self._hints.tell()

    async def heartbeat(self, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
        answers = await self.store.heartbeat(tasks, lease)
        for hold, held in zip(tasks, answers, strict=True):
            key = (hold.run_id, hold.token, hold.slot)
            if held is not None and key in self._witness.under_way:
                queue, _ = self._witness.under_way[key]
                self._witness.under_way[key] = (queue, self._process.scheduler.now + lease)
        return answers

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        return await self.store.reserve(reservations)

    async def define(self, definitions: Sequence[Definition]) -> None:
        await self.store.define(definitions)

    async def definitions(self) -> list[Definition]:
        return await self.store.definitions()

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        return await self.store.load(runs)

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        return await self.store.history(run, after, limit)

    async def inspect(self, run: UUID) -> Inspection | None:
        return await self.store.inspect(run)

    async def members(self, run: UUID, token: int, after: int = -1, limit: int = 1_000) -> list[Member]:
        return await crewed(self.store).members(run, token, after, limit)

    async def prune(self, plan: PrunePlan) -> Pruned:
        return await self.store.prune(plan)

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        return await self.store.list(query, limit, cursor)
