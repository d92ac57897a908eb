"""What the memory journal has beside the port: its clock, its sharing, its cost. The kit does the rest."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import FrameType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_core.journal.commit import CommitOutcome, DeliverOutcome, FinishKind, Query
from continuum_core.journal.protocol import Limits
from continuum_core.journal.rate import Rate
from continuum_core.testing.conformance.given import (
    FAR,
    TAKES,
    finish,
    new_id,
    new_run,
    new_task,
    signal,
    timer,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import claimed, claimed_one, committed, seen, started
from continuum_memory import MemoryJournal, Store, connect, forget
from continuum_memory.ordered import Ordered


class Clock:
    """Time that moves when told, and may be told to go back."""

    def __init__(self) -> None:
        self.at = 1_000

    def __call__(self) -> int:
        return self.at


def _journal(clock: Clock, **limits: int) -> MemoryJournal:
    return MemoryJournal(Store(clock), "memory", Limits(**limits))


# --- the clock ---------------------------------------------------------------------------------------


async def test_the_clock_is_injected_and_never_goes_back() -> None:
    clock = Clock()
    journal = _journal(clock)
    assert (await journal.open()).now == 1_000
    clock.at = 2_000
    assert await journal.now() == 2_000
    clock.at = 500
    assert await journal.now() == 2_000
    assert (await journal.start([new_run()]))[0].now == 2_000


async def test_a_lease_ends_at_its_very_microsecond() -> None:
    clock = Clock()
    journal = _journal(clock)
    await journal.open()
    await started(journal)
    await claimed_one(journal, lease=100)
    clock.at = 1_099
    assert (await claimed(journal)).runs == ()
    clock.at = 1_100
    assert len((await claimed(journal)).runs) == 1


async def test_a_place_and_a_token_are_free_at_their_very_microsecond() -> None:
    clock = Clock()
    journal = _journal(clock, loss_backoff=1_000)
    await journal.open()
    await started(journal)
    claim, now = await claimed_one(journal)
    tasks = (*(new_task(1, slot) for slot in range(4)), new_task(2, activity="other"))
    await committed(journal, turn(claim, now, tasks=tasks))

    async def count(**limits: Any) -> int:
        return len((await journal.claim_tasks(new_id(), [want(**limits)], 10)).tasks)

    assert await count(activities=("other",)) == 1
    clock.at = 1_009
    assert await count(cap=1) == 0
    clock.at = 1_010
    assert await count(cap=1) == 1
    assert await count(rate=Rate(1, 500, 1)) == 1
    clock.at = 1_509
    claims = await journal.claim_tasks(new_id(), [want(rate=Rate(1, 500, 1))], 10)
    assert (claims.tasks, claims.next_due) == ((), 1_510)
    clock.at = 1_510
    assert await count(rate=Rate(1, 500, 1)) == 1


async def test_what_is_due_is_due_at_its_very_microsecond() -> None:
    clock = Clock()
    journal = _journal(clock)
    await journal.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, deliveries=(timer(run_id, 1_500),), tasks=(new_task(1),)))
    (task,) = (await journal.claim_tasks(new_id(), [want()], 10)).tasks
    await journal.finish([finish(task, FinishKind.RETRY, delay=500)])
    clock.at = 1_499
    page = await claimed(journal)
    assert (page.runs, page.next_due) == ((), 1_500)
    assert (await journal.claim_tasks(new_id(), [want()], 10)).tasks == ()
    clock.at = 1_500
    assert len((await claimed(journal)).runs) == 1
    assert len((await journal.claim_tasks(new_id(), [want()], 10)).tasks) == 1


async def test_windows_end_at_their_very_microsecond() -> None:
    clock = Clock()
    journal = _journal(clock, dedupe_window=100)
    await journal.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now))
    await journal.deliver([signal(run_id, dedupe="a")])
    claim, now = await claimed_one(journal)
    clock.at = 2_000
    await committed(journal, turn(claim, now))
    clock.at = 2_099
    assert (await journal.deliver([signal(run_id, dedupe="a")]))[0].outcome is DeliverOutcome.DUPLICATE
    clock.at = 2_100
    assert (await journal.deliver([signal(run_id, dedupe="a")]))[0].outcome is DeliverOutcome.ACCEPTED


async def test_losses_back_off_longer_each_time() -> None:
    clock = Clock()
    journal = _journal(clock, loss_backoff=1_000)
    await journal.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, tasks=(new_task(1),)))
    for losses in (1, 2, 3):
        assert len((await journal.claim_tasks(new_id(), [want()], 10)).tasks) == 1
        clock.at += 10
        assert (await journal.claim_tasks(new_id(), [want()], 10)).tasks == ()
        (task,) = (await seen(journal, run_id)).tasks
        assert (task.losses, task.due) == (losses, clock.at + losses * 1_000)
        clock.at = task.due


# --- sharing -----------------------------------------------------------------------------------------


async def test_a_name_is_one_store_and_no_name_is_none() -> None:
    name = f"memory://{new_id().hex}"
    one, two = connect(name, "n", Limits()), connect(name, "n", Limits())
    assert one.store is two.store
    assert one.sibling().store is one.store
    assert connect("memory://", "n", Limits()).store is not connect("memory://", "n", Limits()).store
    forget(name.removeprefix("memory://"))
    assert connect(name, "n", Limits()).store is not one.store


async def test_wait_sees_a_write_that_came_before_it() -> None:
    """A write between a claim that found nothing and the wait does not put the worker to sleep."""
    journal = _journal(Clock())
    await journal.open()
    other = journal.sibling()
    await other.open()
    run_id = await started(other)
    async with asyncio.timeout(5):
        await journal.wait(3_600)
    assert [claim.run_id for claim in (await claimed(journal)).runs] == [run_id]


async def test_wait_is_woken_from_another_thread() -> None:
    journal = _journal(Clock())
    await journal.open()

    def write() -> None:
        async def work() -> None:
            sibling = journal.sibling()
            await sibling.open()
            written.append(await started(sibling))

        asyncio.run(work())

    written: list[UUID] = []
    waiter = asyncio.create_task(journal.wait(3_600))
    await asyncio.sleep(0)
    thread = threading.Thread(target=write)
    thread.start()
    async with asyncio.timeout(5):
        await waiter
    thread.join()
    assert [claim.run_id for claim in (await claimed(journal)).runs] == written


async def test_a_waiter_whose_loop_is_gone_hurts_no_writer() -> None:
    """A loop that was closed under a waiting coroutine has nobody left to wake."""
    journal = _journal(Clock())
    await journal.open()
    abandoned: list[object] = []

    def abandon() -> None:
        loop = asyncio.new_event_loop()
        sibling = journal.sibling()
        loop.run_until_complete(sibling.open())
        abandoned.append(loop.create_task(sibling.wait(3_600)))
        loop.run_until_complete(asyncio.sleep(0))
        loop.set_exception_handler(lambda *_: None)  # it would complain of the task that is left
        loop.close()

    await asyncio.to_thread(abandon)
    await started(journal)
    assert len((await claimed(journal)).runs) == 1


# --- cost --------------------------------------------------------------------------------------------


async def _waiting_for_timers(count: int) -> MemoryJournal:
    journal = _journal(Clock())
    await journal.open()
    for _ in range(0, count, 1_000):
        await journal.start([new_run() for _ in range(min(count, 1_000))])
        claims = await claimed(journal, limit=1_000)
        await journal.commit(
            [turn(claim, claims.now, deliveries=(timer(claim.run_id, FAR),)) for claim in claims.runs]
        )
    return journal


async def _calls_of_a_claim(journal: MemoryJournal) -> int:
    """How many Python functions a claim of one due run and its commit call."""
    await journal.deliver([signal((await journal.list(Query(), 1)).runs[0].run_id)])
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        claims = await journal.claim_runs(new_id(), 10, 10, TAKES)
        answers = await journal.commit([turn(claim, claims.now) for claim in claims.runs])
    finally:
        sys.setprofile(None)
    assert [answer.outcome for answer in answers] == [CommitOutcome.COMMITTED]
    return calls


async def test_waiting_runs_cost_a_claim_nothing() -> None:
    few, many = await _waiting_for_timers(100), await _waiting_for_timers(10_000)
    costs = [await _calls_of_a_claim(journal) for journal in (few, many)]
    assert costs[1] <= costs[0] + 20, costs


async def _calls_of_a_page(journal: MemoryJournal, parent: UUID) -> int:
    """How many Python functions a page of a run's two children calls."""
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        page = await journal.list(Query(parent=parent), 10)
    finally:
        sys.setprofile(None)
    assert [run.parent for run in page.runs] == [parent] * 2
    return calls


async def test_other_runs_cost_a_page_of_children_nothing() -> None:
    """Who follows thousands of child runs asks for the children of each."""
    costs: list[int] = []
    for others in (10, 2_000):
        journal, parent = _journal(Clock()), new_id()
        await journal.open()
        await journal.start([new_run(parent=parent)])
        await journal.start([new_run(parent=new_id()) for _ in range(others)])
        await journal.start([new_run(parent=parent)])
        costs.append(await _calls_of_a_page(journal, parent))
    assert costs[1] <= costs[0] + 20, costs


async def _calls_of_a_claim_of_tasks(journal: MemoryJournal, limit: int) -> int:
    """How many Python functions a claim of so many tasks under a cap and a rate calls."""
    calls = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        claims = await journal.claim_tasks(new_id(), [want(limit, cap=1_000, rate=Rate(1, 1, 1_000))], 10)
    finally:
        sys.setprofile(None)
    assert len(claims.tasks) == limit
    return calls


async def test_backlogs_cost_a_claim_of_tasks_nothing() -> None:
    """However long one tenant's is, and however many tenants there are."""
    costs: list[int] = []
    for backlog in (
        ["a"] * 20 + [f"t{n}" for n in range(20)],
        ["a"] * 4_000 + [f"t{n}" for n in range(4_000)],
    ):
        journal = _journal(Clock())
        await journal.open()
        await started(journal)
        claim, now = await claimed_one(journal)
        tasks = tuple(new_task(1, slot, fairness=key) for slot, key in enumerate(backlog))
        await committed(journal, turn(claim, now, tasks=tasks))
        await _calls_of_a_claim_of_tasks(journal, 1)  # what has become due since is sorted in once
        costs.append(await _calls_of_a_claim_of_tasks(journal, 10))
    assert costs[1] <= costs[0] * 1.1, costs


async def test_many_namespaces_and_handles_are_one_store() -> None:
    store = Store(Clock())
    journals = [MemoryJournal(store, str(number), Limits()) for number in range(5)]
    for journal in journals:
        await journal.open()
        await started(journal)
    for journal in journals:
        assert len((await claimed(journal)).runs) == 1


# --- the index ---------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3_000)), max_size=60),
    st.integers(0, 3_000),
    st.sampled_from([0, 700, 2_500]),
)
def test_ordered_is_a_sorted_set(changes: list[tuple[bool, int]], place: int, filled: int) -> None:
    index: Ordered[tuple[int]] = Ordered()
    model = {number * 3 for number in range(filled)}
    for number in sorted(model, key=lambda number: number * 7 % 1_009):
        index.add((number,))
    for adds, number in changes:
        if adds and number not in model:
            model.add(number)
            index.add((number,))
        elif not adds and number in model:
            model.remove(number)
            index.remove((number,))
    everything = [(number,) for number in sorted(model)]
    assert list(index.up()) == everything
    assert list(index.down()) == everything[::-1]
    assert list(index.up((place,))) == [key for key in everything if key >= (place,)]
    assert list(index.down((place,))) == [key for key in everything if key < (place,)][::-1]
    assert index.first((place,)) == next((key for key in everything if key >= (place,)), None)
    assert bool(index) is bool(model)


def test_ordered_does_not_lose_a_row_in_silence() -> None:
    index: Ordered[tuple[int]] = Ordered()
    with pytest.raises(KeyError):
        index.remove((1,))
    index.add((2,))
    for absent in ((1,), (3,)):
        with pytest.raises(KeyError):
            index.remove(absent)
