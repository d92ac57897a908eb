"""Promise 21: claims return only the fingerprints, and the activities, that the caller takes."""

from __future__ import annotations

from continuum_core.testing.conformance.given import FINGERPRINT, HOUR, new_id, new_task, turn, want
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed,
    claimed_one,
    claimed_tasks,
    committed,
    row,
    seen,
    started,
    waiting,
)


async def test_only_what_is_taken_is_claimed(kit: Kit) -> None:
    """Promise 21: other runs are passed over, untouched, and found by who takes them."""
    journal = await kit.open()
    old = await started(journal, fingerprint="v1")
    new = await started(journal, fingerprint="v2")
    before = await seen(journal, old)
    assert (await claimed(journal, takes=frozenset())).runs == ()
    assert (await claimed(journal, takes=frozenset({"v3", "v"}))).runs == ()
    claims = await claimed(journal, takes=frozenset({"v2", "v3"}))
    assert [(claim.run_id, claim.fingerprint) for claim in claims.runs] == [(new, "v2")]
    assert await seen(journal, old) == before
    claims = await claimed(journal, takes=frozenset({"v1", "v2"}))
    assert [claim.run_id for claim in claims.runs] == [old]


async def test_what_is_not_taken_does_not_fill_the_limit(kit: Kit) -> None:
    """Promise 21: runs that nobody here takes stand in nobody's way."""
    journal = await kit.open()
    for _ in range(5):
        await started(journal, fingerprint="v1")
    mine = await started(journal)
    claims = await claimed(journal, limit=1)
    assert [claim.run_id for claim in claims.runs] == [mine]


async def test_a_commit_moves_the_fingerprint(kit: Kit) -> None:
    """Promise 21: a run that was upgraded is taken by its new name only."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    upgraded = turn(claim, now, consumed=(), fingerprint="v2")
    await committed(journal, upgraded)
    assert (await claimed(journal)).runs == ()
    claims = await claimed(journal, takes=frozenset({"v2"}))
    assert [claim.run_id for claim in claims.runs] == [run_id]


async def test_only_wanted_activities_are_claimed(kit: Kit) -> None:
    """Promise 21: others of the same queue stay, and do not fill the limit."""
    journal = await kit.open()
    names = ("charge", "ship", "charge", "mail")
    tasks = tuple(new_task(1, slot, activity=name) for slot, name in enumerate(names))
    run_id = await waiting(journal, {"tasks": tasks})
    assert (await claimed_tasks(journal, want(activities=()))).tasks == ()
    claims = await claimed_tasks(journal, want(limit=2, activities=("mail", "ship", "none")))
    assert [claim.task.activity for claim in claims.tasks] == ["ship", "mail"]
    assert {(claim.machine, claim.fingerprint) for claim in claims.tasks} == {("kit", FINGERPRINT)}
    left = [task.activity for task in (await seen(journal, run_id)).tasks if task.claim_id is None]
    assert left == ["charge", "charge"]


async def test_a_task_tells_its_runs_machine(kit: Kit) -> None:
    """Promise 21: as its run's row has it now, so that the worker knows whose activity it is."""
    journal = await kit.open()
    run_id = await waiting(journal, {"tasks": (new_task(1),)}, machine="shop.Order")
    claims = await journal.claim_tasks(new_id(), [want()], HOUR)
    run = await row(journal, run_id)
    (claim,) = claims.tasks
    assert (claim.machine, claim.fingerprint) == (run.machine, run.fingerprint)
    assert claim.machine == "shop.Order"
