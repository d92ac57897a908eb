"""Each fault that the kit once let pass is seen by the one test that asks for it.

A fault is a memory journal that differs from the real one in one small thing, as in `test_kit`; the test
that must see it is called by itself, in milliseconds. The same test is green on the journal without the
fault: `test_kit` runs it for what memory declares, and this module for what it is lent here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import FunctionType
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

import continuum_memory
from continuum_core.journal.commit import (
    Commit,
    Committed,
    Delivered,
    Finished,
    FinishKind,
    Inspection,
    Order,
    Ordered,
    OrderKind,
    Pruned,
    PrunePlan,
    TaskFinish,
)
from continuum_core.journal.protocol import Capability, Limits
from continuum_core.journal.records import Delivery, RunStatus
from continuum_core.testing.conformance import (
    test_p02_commits,
    test_p04_fences,
    test_p05_remembered,
    test_p06_repeats,
    test_p09_order,
    test_p12_finish,
    test_p13_limits,
    test_p16_pruning,
    test_p17_wakeups,
)
from continuum_core.testing.conformance.kit import Kit
from continuum_memory import MemoryJournal, deliveries, orders
from continuum_memory.rows import RunRow, Space


class Rows(MemoryJournal):
    """A memory journal whose faults reach for the rows."""

    @property
    def space(self) -> Space:
        return self.store.space(self.namespace)

    def row(self, run_id: UUID) -> RunRow:
        return self.space.runs[run_id]


class ForgivesLosses(Rows):
    """A task that is reopened is no suspect any more."""

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        answers = await super().finish(finishes)
        for end in finishes:
            if end.kind in (FinishKind.RETRY, FinishKind.RETURN):
                task = self.row(end.run_id).tasks[end.token, end.slot]
                self.space.change_task(task, replace(task.task, losses=0))
        return answers


class RepeatsOrders(Rows):
    """The delivery of a forgotten order is stored beside the one that it brought before."""

    async def control(self, orders_: Sequence[Order]) -> list[Ordered]:
        with patch.object(orders, "insert", _beside):
            return await super().control(orders_)


def _beside(space: Space, run: RunRow, delivery: Delivery, now: int) -> None:
    older = run.deliveries.pop(delivery.id, None)
    deliveries.insert(space, run, delivery, now)
    if older is not None:
        space.due.add((0, delivery.id.int, run.run_id.int, run))


class PrunesLetters(Rows):
    """What it takes of the dead letters is the fault."""

    def takes(self, plan: PrunePlan, run_id: UUID, at: int) -> bool:
        raise NotImplementedError

    async def prune(self, plan: PrunePlan) -> Pruned:
        kept = {
            run_id: {name: each for name, each in letters.items() if not self.takes(plan, run_id, each.at)}
            for run_id, letters in self.space.dead.items()
        }
        pruned = await super().prune(plan)
        if not plan.dry_run:
            self.space.dead = kept
        return pruned


class PrunesLettersOfTheLiving(PrunesLetters):
    def takes(self, plan: PrunePlan, run_id: UUID, at: int) -> bool:
        return at < plan.before


class PrunesYoungLetters(PrunesLetters):
    def takes(self, plan: PrunePlan, run_id: UUID, at: int) -> bool:
        return run_id not in self.space.runs


class KeepsLetters(PrunesLetters):
    def takes(self, plan: PrunePlan, run_id: UUID, at: int) -> bool:
        return False


class ExpiresInDryRuns(Rows):
    async def prune(self, plan: PrunePlan) -> Pruned:
        pruned = await super().prune(plan)
        await super().prune(replace(plan, limit=0, dry_run=False))
        return pruned


class ForgetsLimits(Rows):
    def sibling(self) -> MemoryJournal:
        return type(self)(self.store, self.namespace, Limits())


class WaitsAlone(Rows):
    """Nobody's write ends its waits."""

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class MissesWrites(Rows):
    """A write ends a wait during it, but not the next one."""

    async def wait(self, seconds: float) -> None:
        self._noticed = self.store.writes(self.namespace)
        await super().wait(seconds)


class WaitsForNothing(Rows):
    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(0)


class DropsCauses(Rows):
    async def deliver(self, deliveries_: Sequence[Delivery]) -> list[Delivered]:
        return await super().deliver([replace(delivery, cause=None) for delivery in deliveries_])


class DropsCausesOfCommits(Rows):
    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        bare = [
            replace(commit, deliveries=tuple(replace(each, cause=None) for each in commit.deliveries))
            for commit in commits
        ]
        return await super().commit(bare)


class ReversesLetters(Rows):
    async def inspect(self, run: UUID) -> Inspection | None:
        found = await super().inspect(run)
        return None if found is None else replace(found, dead=found.dead[::-1])


class CountsFencesOfOrders(Rows):
    async def control(self, orders_: Sequence[Order]) -> list[Ordered]:
        before = [self.row(order.run_id).fence for order in orders_]
        answers = await super().control(orders_)
        for order, fence in zip(orders_, before, strict=True):
            self.row(order.run_id).fence = fence + 1
        return answers


class CountsFencesOfParkings(Rows):
    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        before = [self.row(commit.run_id).fence for commit in commits]
        answers = await super().commit(commits)
        for commit, fence in zip(commits, before, strict=True):
            if commit.status is RunStatus.PARKED:
                self.row(commit.run_id).fence = fence + 1
        return answers


Test = Callable[..., Coroutine[Any, Any, None]]

ORDERED = test_p04_fences.test_no_fence_is_below_the_clock
FAULTS: list[tuple[type[MemoryJournal], Test, dict[str, object]]] = [
    (ReversesLetters, test_p02_commits.test_letters_are_told_by_time, {}),
    (CountsFencesOfOrders, ORDERED, {"kind": OrderKind.SUSPEND}),
    (CountsFencesOfParkings, ORDERED, {"kind": None}),
    (RepeatsOrders, test_p06_repeats.test_an_order_that_was_forgotten_brings_its_delivery_once, {}),
    (DropsCauses, test_p09_order.test_what_is_delivered_is_stored_as_it_is, {}),
    (DropsCausesOfCommits, test_p09_order.test_what_is_delivered_is_stored_as_it_is, {}),
    (ForgivesLosses, test_p12_finish.test_losses_outlive_reports, {"kind": FinishKind.RETRY}),
    (ForgivesLosses, test_p12_finish.test_losses_outlive_reports, {"kind": FinishKind.RETURN}),
    (ForgetsLimits, test_p13_limits.test_a_sibling_keeps_to_the_same_limits, {}),
    (PrunesLettersOfTheLiving, test_p16_pruning.test_letters_to_nobody_go_by_their_time, {}),
    (PrunesYoungLetters, test_p16_pruning.test_letters_to_nobody_go_by_their_time, {}),
    (KeepsLetters, test_p16_pruning.test_letters_to_nobody_go_by_their_time, {}),
    (ExpiresInDryRuns, test_p16_pruning.test_a_dry_run_expires_nothing, {}),
    (WaitsAlone, test_p17_wakeups.test_another_handles_write_ends_a_wait, {}),
    (MissesWrites, test_p17_wakeups.test_another_handles_write_ends_a_wait, {}),
    (WaitsForNothing, test_p17_wakeups.test_nothing_ends_a_wait_for_ever, {}),
]


def _plant(monkeypatch: pytest.MonkeyPatch, fault: Callable[..., MemoryJournal]) -> None:
    true = continuum_memory.connect

    def connect(url: str, namespace: str, limits: Limits) -> MemoryJournal:
        return fault(true(url, namespace, limits).store, namespace, limits)

    monkeypatch.setattr(continuum_memory, "connect", connect)


def _asked(test: Test, **given: object) -> None:
    """Run one test of the kit on a store of its own."""
    kit = Kit(f"memory://{uuid4().hex}", "planted")
    try:
        kit.run(test(kit, **given))
    finally:
        kit.end()


@pytest.mark.parametrize(
    ("fault", "test", "given"), FAULTS, ids=[f"{fault.__name__}-{test.__name__}" for fault, test, _ in FAULTS]
)
def test_a_planted_fault_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    fault: type[MemoryJournal],
    test: Test,
    given: dict[str, object],
) -> None:
    _asked(test, **given)
    monkeypatch.setattr(test_p17_wakeups, "_PATIENCE", 0.05)
    _plant(monkeypatch, fault)
    with pytest.raises((AssertionError, TimeoutError, pytest.fail.Exception)):
        _asked(test, **given)


# --- tables that are kept in memory, and never written to disk --------------------------------------------

KEPT: list[FunctionType] = [
    test for name, test in vars(test_p05_remembered).items() if name.startswith("test_")
]
TABLES = {
    "seen": "repeats",
    "orders": "orders",
    "run_claims": "claims",
    "task_claims": "claims",
    "results": "ends",
    "buckets": "queues",
    "dealt": "queues",
    "dead": "letters",
    "defined": "letters",
    "replies": "replies",
    "blobs": "blobs",
}
"""A table of the memory journal → the test that must miss it."""


class Forgets(Rows):
    """A table is gone when a handle is closed."""

    def __init__(self, forget: Callable[[Space], None], *given: Any) -> None:
        super().__init__(*given)
        self._forget = forget

    async def close(self) -> None:
        if self._open:
            self._forget(self.space)
        await super().close()


def _of_space(name: str, space: Space) -> None:
    getattr(space, name).clear()


def _of_runs(name: str, space: Space) -> None:
    for run in space.runs.values():
        getattr(run, name).clear()


def _ended_fences(_: str, space: Space) -> None:
    for run in space.runs.values():
        for task in run.tasks.values():
            task.ended_fence = 0


FORGOTTEN: list[tuple[str, str, Callable[[str, Space], None]]] = [
    *((name, test, _of_space) for name, test in TABLES.items()),
    ("members", "members", _of_runs),
    ("attributes", "attributes", _of_runs),
    ("past", "past", _of_runs),
    ("ended fences", "ends", _ended_fences),
]


def _test_of(name: str) -> FunctionType:
    (found,) = (test for test in KEPT if test.__name__.startswith(f"test_{name}"))
    return found


@pytest.fixture
def durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named memory store outlives its handles, so it is durable as far as these tests ask."""
    declared = continuum_memory.CAPABILITIES | {Capability.DURABLE}
    monkeypatch.setattr(continuum_memory, "CAPABILITIES", declared)


@pytest.mark.usefixtures("durable")
@pytest.mark.parametrize("test", KEPT, ids=[test.__name__ for test in KEPT])
def test_what_is_kept_is_found(test: FunctionType) -> None:
    _asked(test)


@pytest.mark.usefixtures("durable")
@pytest.mark.parametrize(("table", "test", "forget"), FORGOTTEN, ids=[table for table, _, _ in FORGOTTEN])
def test_a_table_that_is_not_durable_is_missed(
    monkeypatch: pytest.MonkeyPatch, table: str, test: str, forget: Callable[[str, Space], None]
) -> None:
    _plant(monkeypatch, partial(Forgets, partial(forget, table)))
    with pytest.raises(AssertionError):
        _asked(_test_of(test))
