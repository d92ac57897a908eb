"""Promise 16: pruning takes whole ended runs, never the living, and nothing that is inside its window."""

from __future__ import annotations

from uuid import UUID

from continuum_core.journal.commit import (
    DeliverOutcome,
    FinishOutcome,
    OrderKind,
    Pruned,
    PrunePlan,
    Query,
    ReserveOutcome,
)
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    MACHINE,
    MOMENT,
    finish,
    fused,
    new_id,
    new_task,
    reservation,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed_one,
    claimed_task,
    committed,
    delivered,
    finished,
    ordered,
    passed,
    row,
    seen,
    started,
    waiting,
)


async def _ended(journal: Journal, status: RunStatus = RunStatus.COMPLETED, steps: int = 1) -> UUID:
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, [b"s;"] * steps, status=status, outcome=b""))
    await passed(journal, await journal.now())
    return run_id


async def _ids(journal: Journal) -> list[UUID]:
    return [run.run_id for run in (await journal.list(Query())).runs]


async def test_whole_runs_go(kit: Kit) -> None:
    """Promise 16: row, records, dead letters and leftover tasks; counted; the id may be used anew."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)})
    task = await claimed_task(journal)
    await delivered(journal, signal(run_id))
    await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
    pruned = await journal.prune(PrunePlan(before=FAR, limit=10))
    assert (pruned.runs, pruned.records) == (1, 2)
    assert await journal.load([run_id]) == [None]
    assert await journal.inspect(run_id) is None
    assert await journal.history(run_id) == []
    assert await _ids(journal) == []
    assert (await finished(journal, finish(task))).outcome is FinishOutcome.GONE
    (unknown,) = await journal.deliver([signal(run_id)])
    assert unknown.outcome is DeliverOutcome.UNKNOWN_RUN
    await started(journal, run_id=run_id)
    fresh = await seen(journal, run_id)
    assert (fresh.run.version, fresh.dead, fresh.tasks) == (0, (), ())


async def test_the_living_stay(kit: Kit) -> None:
    """Promise 16: running, suspended and parked runs are not touched, however old."""
    journal = await kit.open()
    running, suspended, parked = [await waiting(journal) for _ in range(3)]
    await ordered(journal, OrderKind.SUSPEND, suspended)
    await delivered(journal, signal(parked))
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, status=RunStatus.PARKED, cause="c"))
    before = [await seen(journal, run_id) for run_id in (running, suspended, parked)]
    living = frozenset({RunStatus.RUNNING, RunStatus.SUSPENDED, RunStatus.PARKED})
    for statuses in (frozenset[RunStatus](), living):
        assert (await journal.prune(PrunePlan(before=FAR, limit=10, statuses=statuses))).runs == 0
    assert [await seen(journal, run_id) for run_id in (running, suspended, parked)] == before


async def test_a_plan_chooses(kit: Kit) -> None:
    """Promise 16: the oldest first, up to the limit; only of the time, machine and statuses asked for."""
    journal = await kit.open()
    ids = [
        await _ended(journal, status)
        for status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.COMPLETED)
    ]
    plan = PrunePlan(before=(await row(journal, ids[2])).updated, limit=10)
    assert (await journal.prune(PrunePlan(before=FAR, limit=10, machine="other"))).runs == 0
    failed = PrunePlan(before=FAR, limit=10, machine=MACHINE, statuses=frozenset({RunStatus.FAILED}))
    assert (await journal.prune(failed)).runs == 1
    assert await _ids(journal) == [ids[3], ids[2], ids[0]]
    assert (await journal.prune(plan)).runs == 1
    assert await _ids(journal) == [ids[3], ids[2]]
    assert (await journal.prune(PrunePlan(before=FAR, limit=1))).runs == 1
    assert await _ids(journal) == [ids[3]]


async def test_a_dry_run_only_counts(kit: Kit) -> None:
    """Promise 16: the same numbers, and nothing is gone."""
    journal = await kit.open()
    run_id = await _ended(journal, steps=3)
    before = await seen(journal, run_id)
    dry = await journal.prune(PrunePlan(before=FAR, limit=10, dry_run=True))
    assert (dry.runs, dry.records) == (1, 3)
    assert await seen(journal, run_id) == before
    assert await journal.prune(PrunePlan(before=FAR, limit=10)) == dry


async def test_a_dry_run_expires_nothing(kit: Kit) -> None:
    """Promise 16: what only stood to recognise repeats is counted, and is there to be counted again."""
    journal = await kit.open(limits=Limits(dedupe_window=MOMENT, result_window=MOMENT))
    run_id = await waiting(journal, {"tasks": (new_task(1, key="key"),)})
    await finished(journal, finish(await claimed_task(journal), result=b"result"))
    await delivered(journal, signal(run_id, dedupe="a"))
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now))
    await ordered(journal, OrderKind.UNPARK, run_id)
    await passed(journal, await journal.now() + MOMENT)
    counted = [await journal.prune(PrunePlan(before=FAR, limit=10, dry_run=True)) for _ in range(2)]
    assert [pruned.expired for pruned in counted] == [3, 3]
    assert await journal.prune(PrunePlan(before=FAR, limit=10)) == counted[0]
    assert (await journal.prune(PrunePlan(before=FAR, limit=10))).expired == 0


async def test_letters_to_nobody_go_by_their_time(kit: Kit) -> None:
    """Promise 16: those under ids of no run go when they are older than the plan asks, and not before."""
    journal = await kit.open()
    run_id = await waiting(journal)
    old, young, alive = new_id(), new_id(), new_id()

    async def send(*targets: UUID) -> None:
        run = await row(journal, run_id)
        letters = tuple(signal(target, b"letter") for target in targets)
        await committed(journal, fused(run, await journal.now(), deliveries=letters))
        await passed(journal, await journal.now())

    await send(old, alive)
    between = await journal.now()
    await send(young)
    await started(journal, run_id=alive, delivery=signal(alive, b"start"))
    await journal.prune(PrunePlan(before=FAR, limit=10, dry_run=True))
    await journal.prune(PrunePlan(before=between, limit=10))
    for target in (old, young):
        await started(journal, run_id=target, delivery=signal(target, b"start"))
    await journal.prune(PrunePlan(before=FAR, limit=10))  # now all are of runs that live
    letters = {target: len((await seen(journal, target)).dead) for target in (old, young, alive)}
    assert letters == {old: 0, young: 1, alive: 1}


async def test_dedupe_outlives_its_run(kit: Kit) -> None:
    """Promise 16: inside its window a dedupe id is known although its run is pruned; beyond it is not."""
    for window, expected in ((None, DeliverOutcome.DUPLICATE), (MOMENT, DeliverOutcome.UNKNOWN_RUN)):
        limits = Limits() if window is None else Limits(dedupe_window=window)
        journal = await kit.open(f"{kit.namespace}-{window}", limits)
        run_id = await started(journal, delivery=signal(name := new_id(), dedupe="a"), run_id=name)
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now, status=RunStatus.COMPLETED, outcome=b""))
        await passed(journal, await journal.now() + MOMENT)
        pruned = await journal.prune(PrunePlan(before=FAR, limit=10))
        assert (pruned.runs, pruned.expired) == (1, 0 if window is None else 1)
        (answer,) = await journal.deliver([signal(run_id, dedupe="a")])
        assert answer.outcome is expected


async def test_pending_dedupe_ids_do_not_expire(kit: Kit) -> None:
    """Promise 16: pruning forgets none whose delivery still waits."""
    journal = await kit.open(limits=Limits(dedupe_window=MOMENT))
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id, dedupe="a"))
    await passed(journal, await journal.now() + 10 * MOMENT)
    assert await journal.prune(PrunePlan(before=FAR, limit=10)) == Pruned(0, 0, 0)
    (answer,) = await journal.deliver([signal(run_id, dedupe="a")])
    assert answer.outcome is DeliverOutcome.DUPLICATE


async def test_keyed_results_stay_in_their_window(kit: Kit) -> None:
    """Promise 16: a result outlives its run until its window ends; then pruning takes it."""
    for window, expected in ((None, ReserveOutcome.DONE), (MOMENT, ReserveOutcome.RESERVED)):
        limits = Limits() if window is None else Limits(result_window=window)
        journal = await kit.open(f"{kit.namespace}-{window}", limits)
        run_id = await waiting(journal, {"tasks": (new_task(1, key="key"),)})
        task = await claimed_task(journal)
        await finished(journal, finish(task, result=b"result"))
        await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"")
        await passed(journal, await journal.now() + MOMENT)
        pruned = await journal.prune(PrunePlan(before=FAR, limit=10))
        assert (pruned.runs, pruned.expired) == (1, 0 if window is None else 1)
        (answer,) = await journal.reserve([reservation(task.task)])
        assert answer.outcome is expected
