"""Promise 18: namespaces never leak, nested ids (parents, message targets) included."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from continuum_core.journal.commit import (
    CommitOutcome,
    DeliverOutcome,
    FinishOutcome,
    OrderKind,
    OrderOutcome,
    PrunePlan,
    Query,
    ReserveOutcome,
    StartOutcome,
)
from continuum_core.journal.protocol import Journal
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Definition
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    finish,
    fused,
    hold_run,
    hold_task,
    new_run,
    new_task,
    order,
    reservation,
    signal,
    timer,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    begun,
    claimed,
    claimed_one,
    claimed_task,
    claimed_tasks,
    committed,
    delivered,
    finished,
    ordered,
    row,
    seen,
    started,
    waiting,
)


async def _two(kit: Kit) -> tuple[Journal, Journal]:
    return await kit.open(), await kit.open(f"{kit.namespace}-other")


async def test_nothing_of_another_namespace_is_read(kit: Kit) -> None:
    """Promise 18: no row, record, delivery, task or definition, by id or by page."""
    mine, theirs = await _two(kit)
    run_id = await waiting(mine, {"tasks": (new_task(1),)})
    await delivered(mine, signal(run_id))
    await mine.define([Definition(fingerprint="f", machine="m", version=1, body=b"")])
    assert await theirs.load([run_id]) == [None]
    assert await theirs.inspect(run_id) is None
    assert await theirs.history(run_id) == []
    assert (await theirs.list(Query())).runs == ()
    assert (await theirs.list(Query(parent=run_id))).runs == ()
    assert await theirs.definitions() == []
    assert (await claimed(theirs)).runs == ()
    assert (await claimed(theirs)).next_due is None
    assert (await claimed_tasks(theirs)).tasks == ()
    assert (await theirs.prune(PrunePlan(before=FAR, limit=10))).runs == 0


async def test_nothing_of_another_namespace_is_written(kit: Kit) -> None:
    """Promise 18: to know the id and the fence is not enough: in this namespace there is no such thing."""
    mine, theirs = await _two(kit)
    run_id = await waiting(mine, {"tasks": (new_task(1),)})
    await delivered(mine, signal(run_id))
    task = await claimed_task(mine)
    claim, now = await claimed_one(mine)
    before = await seen(mine, run_id)
    (sent,) = await theirs.deliver([signal(run_id)])
    assert sent.outcome is DeliverOutcome.UNKNOWN_RUN
    answers = await theirs.commit([turn(claim, now), fused(await row(mine, run_id), now)])
    assert [answer.outcome for answer in answers] == [CommitOutcome.LOST, CommitOutcome.REFUSED]
    assert await theirs.renew([hold_run(claim)], HOUR) == [False]
    await theirs.release([hold_run(claim)])
    assert await theirs.heartbeat([hold_task(task)], HOUR) == [None]
    assert (await finished(theirs, finish(task))).outcome is FinishOutcome.GONE
    (told,) = await theirs.control([order(OrderKind.TERMINATE, run_id)])
    assert told.outcome is OrderOutcome.UNKNOWN_RUN
    assert await seen(mine, run_id) == before


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
async def test_messages_do_not_cross(kit: Kit, ended: bool) -> None:
    """Promise 18: a commit's message to another namespace's run reaches nobody, and tells nothing of it."""
    mine, theirs = await _two(kit)
    target = await waiting(theirs)
    if ended:
        await ordered(theirs, OrderKind.TERMINATE, target, outcome=b"")
    before = await seen(theirs, target)
    await started(mine)
    claim, now = await claimed_one(mine)
    await committed(mine, turn(claim, now, deliveries=(signal(target), timer(target, FAR))))
    assert await seen(theirs, target) == before
    await begun(mine, run_id=target)
    dead = (await seen(mine, target)).dead
    assert [letter.reason for letter in dead] == ["unknown run"]


async def test_the_same_id_is_another_run(kit: Kit) -> None:
    """Promise 18: ids are a namespace's own: run, key, dedupe id, order id, claim id, result key."""
    mine, theirs = await _two(kit)
    new = new_run(key="key")
    assert (await mine.start([new]))[0].outcome is StartOutcome.STARTED
    assert (await theirs.start([replace(new, digest=b"other")]))[0].outcome is StartOutcome.STARTED
    for journal in (mine, theirs):
        (sent,) = await journal.deliver([signal(new.run_id, dedupe="a")])
        assert sent.outcome is DeliverOutcome.ACCEPTED
    claim, now = await claimed_one(mine)
    await committed(mine, turn(claim, now, tasks=(new_task(1, key="key"),)))
    assert (await row(theirs, new.run_id)).version == 0
    suspend = order(OrderKind.SUSPEND, new.run_id)
    for journal in (mine, theirs):
        assert (await journal.control([suspend]))[0].outcome is OrderOutcome.DONE
    task = await claimed_task(mine)
    for journal in (mine, theirs):
        (reserved,) = await journal.reserve([reservation(task.task)])
        assert reserved.outcome is ReserveOutcome.RESERVED
    await finished(mine, finish(task, result=b"result"))
    (busy,) = await theirs.reserve([replace(reservation(task.task), token=9)])
    assert busy.outcome is ReserveOutcome.BUSY


async def test_a_claim_id_holds_only_its_namespaces_runs(kit: Kit) -> None:
    """Promise 18: a repeated claim id finds nothing that it holds elsewhere."""
    mine, theirs = await _two(kit)
    await started(mine)
    claim, _ = await claimed_one(mine)
    run = await row(mine, claim.run_id)
    assert run.claim_id is not None
    repeated = await theirs.claim_runs(run.claim_id, 10, HOUR, frozenset({claim.fingerprint}))
    assert repeated.runs == ()


async def test_queues_of_one_name_share_nothing(kit: Kit) -> None:
    """Promise 18: neither caps nor tokens nor turns nor places."""
    mine, theirs = await _two(kit)
    tasks = tuple(new_task(1, slot, fairness="abab"[slot]) for slot in range(4))
    runs = [await waiting(journal, {"tasks": tasks}) for journal in (mine, theirs)]
    limited = want(1, cap=1, rate=Rate(1, HOUR, 1))
    for journal in (mine, theirs):
        (claim,) = (await claimed_tasks(journal, limited)).tasks
        assert claim.task.fairness == "a"
    assert (await seen(mine, runs[0])).places == (None, 0, 1, 2)
    await claimed_tasks(theirs)
    assert (await seen(mine, runs[0])).places == (None, 0, 1, 2)


@pytest.mark.parametrize("name", ["", "a b", "ü/%_'\"", "A", "a" * 200])
async def test_names_are_told_apart(kit: Kit, name: str) -> None:
    """Promise 18: no folding, trimming or pattern: a namespace is its exact name."""
    one, other = await kit.open(f"{kit.namespace}{name}"), await kit.open(f"{kit.namespace}{name}x")
    lower = await kit.open(f"{kit.namespace}{name}".swapcase())
    await started(one)
    assert (await other.list(Query())).runs == ()
    assert (await lower.list(Query())).runs == ()
    assert len((await one.list(Query())).runs) == 1
