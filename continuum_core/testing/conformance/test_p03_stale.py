"""Promise 3: a stale fence, version or base changes nothing and says so; the rest of its batch stands."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.journal.commit import Commit, CommitOutcome, OrderKind, RunClaim
from continuum_core.journal.protocol import Journal
from continuum_core.testing.conformance.given import (
    FAR,
    FINGERPRINT,
    HOUR,
    MOMENT,
    fused,
    hold_run,
    new_id,
    new_task,
    records,
    signal,
    timer,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed,
    claimed_one,
    committed,
    delivered,
    ordered,
    passed,
    row,
    seen,
    started,
    tried,
    waiting,
)


def _older(commit: Commit) -> Commit:
    """The commit, computed from one version earlier."""
    earlier = tuple(replace(record, version=record.version - 1) for record in commit.records)
    return replace(commit, version=commit.version - 1, records=earlier)


def _newer(commit: Commit) -> Commit:
    later = tuple(replace(record, version=record.version + 1) for record in commit.records)
    return replace(commit, version=commit.version + 1, records=later)


def _elsewhere(commit: Commit) -> Commit:
    """The commit, of a run that no journal has."""
    other = new_id()
    return replace(commit, run_id=other, records=tuple(replace(r, run_id=other) for r in commit.records))


_STALE: dict[str, Callable[[Commit], Commit]] = {
    "older fence": lambda commit: replace(commit, fence=(commit.fence or 0) - 1),
    "newer fence": lambda commit: replace(commit, fence=(commit.fence or 0) + 1),
    "older version": _older,
    "newer version": _newer,
    "other base": lambda commit: replace(commit, base=new_id()),
    "no base": lambda commit: replace(commit, base=None),
    "no such run": _elsewhere,
}


@pytest.mark.parametrize("how", list(_STALE))
async def test_a_stale_commit_is_told_and_changes_nothing(kit: Kit, how: str) -> None:
    """Promise 3: LOST, and the run is as it was; the right commit after it stands."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    claim, now = await claimed_one(journal)
    right = turn(claim, now)
    before = await seen(journal, run_id)
    stale = _STALE[how](turn(claim, now, (b"stale;",), tasks=(new_task(7),)))
    assert await tried(journal, stale) is CommitOutcome.LOST
    assert await seen(journal, run_id) == before
    await committed(journal, right)


async def test_the_rest_of_a_batch_stands(kit: Kit) -> None:
    """Promise 3: of a batch only the stale members are lost, wherever they stand in it."""
    journal = await kit.open()
    ids = [await started(journal) for _ in range(5)]
    claims = await claimed(journal)
    turns = {claim.run_id: turn(claim, claims.now) for claim in claims.runs}
    batch = [turns[run_id] for run_id in ids]
    for place in (0, 3):
        batch[place] = replace(batch[place], base=new_id())
    answers = [answer.outcome for answer in await journal.commit(batch)]
    lost, stood = CommitOutcome.LOST, CommitOutcome.COMMITTED
    assert answers == [lost, stood, stood, lost, stood]
    assert [(await row(journal, run_id)).version for run_id in ids] == [0, 1, 1, 0, 1]


async def test_of_two_turns_from_one_version_one_stands(kit: Kit) -> None:
    """Promise 3: a batch with two turns of one run from one version commits the first only."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    answers = await journal.commit([turn(claim, now, (b"a;",)), turn(claim, now, (b"b;",))])
    assert [answer.outcome for answer in answers] == [CommitOutcome.COMMITTED, CommitOutcome.LOST]
    assert (await row(journal, run_id)).snapshot == b"a;"


async def test_fence_not_clock_decides(kit: Kit) -> None:
    """Promise 3: an expired lease that nobody claimed again still commits."""
    journal = await kit.open()
    await started(journal)
    claim, now = await claimed_one(journal, lease=MOMENT)
    await passed(journal, claim.lease_until)
    assert await tried(journal, turn(claim, now)) is CommitOutcome.COMMITTED


async def test_a_claim_ends_the_former_holder(kit: Kit) -> None:
    """Promise 3: after another claimed the expired run, its first holder's commit and renewal are refused."""
    journal = await kit.open()
    run_id = await started(journal)
    first, now = await claimed_one(journal, lease=MOMENT)
    await passed(journal, first.lease_until)
    second, later = await claimed_one(journal)
    assert second.run_id == run_id
    assert await tried(journal, turn(first, now)) is CommitOutcome.LOST
    assert await journal.renew([hold_run(first), hold_run(second)], HOUR) == [False, True]
    await committed(journal, turn(second, later))


@pytest.mark.parametrize("kind", [OrderKind.SUSPEND, OrderKind.CANCEL, OrderKind.TERMINATE])
async def test_an_order_ends_the_holder(kit: Kit, kind: OrderKind) -> None:
    """Promise 3: an operator's order fences off whoever holds the run."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    await ordered(journal, kind, run_id, outcome=b"over")
    assert await tried(journal, turn(claim, now)) is CommitOutcome.LOST
    assert await journal.renew([hold_run(claim)], HOUR) == [False]


async def test_a_commit_ends_its_lease(kit: Kit) -> None:
    """Promise 3: after its commit the run is not the committer's any more, for renewal or release."""
    journal = await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now))
    assert await journal.renew([hold_run(claim)], HOUR) == [False]
    await delivered(journal, signal(run_id))
    again, _ = await claimed_one(journal)
    await journal.release([hold_run(claim)])
    assert (await row(journal, run_id)).claim_id is not None
    assert again.fence > claim.fence


# --- turns computed ahead ---------------------------------------------------------------------------


async def _tried_fused(journal: Journal, run_id: UUID, consumed: tuple[UUID, ...] = ()) -> CommitOutcome:
    run = await row(journal, run_id)
    return await tried(journal, fused(run, await journal.now(), consumed))


async def test_a_fused_turn_stands_when_nothing_is_in_its_way(kit: Kit) -> None:
    """Promise 3: unleased, running, nothing due but what it consumes: the turn stands without a claim."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, timer(run_id, FAR))
    message = signal(run_id)
    await delivered(journal, message)
    assert await _tried_fused(journal, run_id, (message.id,)) is CommitOutcome.COMMITTED
    inspection = await seen(journal, run_id)
    assert inspection.run.version == 2
    assert [delivery.payload for delivery in inspection.deliveries] == [b"timer"]


async def test_a_fused_turn_does_not_overtake_a_due_delivery(kit: Kit) -> None:
    """Promise 3: a due delivery that the turn did not see refuses it."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    assert await _tried_fused(journal, run_id) is CommitOutcome.REFUSED
    assert (await row(journal, run_id)).version == 1


async def test_a_fused_turn_does_not_cross_a_lease(kit: Kit) -> None:
    """Promise 3: a live lease refuses the turn; an expired one does not, and its holder has then lost."""
    journal = await kit.open()
    run_id = await waiting(journal)
    message = signal(run_id)
    await delivered(journal, message)
    claim, now = await claimed_one(journal)
    assert await _tried_fused(journal, run_id, (message.id,)) is CommitOutcome.REFUSED
    await journal.renew([hold_run(claim)], MOMENT)
    await passed(journal, await journal.now() + MOMENT)
    assert await _tried_fused(journal, run_id, (message.id,)) is CommitOutcome.COMMITTED
    assert await tried(journal, turn(claim, now)) is CommitOutcome.LOST
    assert await journal.renew([hold_run(claim)], HOUR) == [False]


@pytest.mark.parametrize("kind", [OrderKind.SUSPEND, OrderKind.TERMINATE])
async def test_a_fused_turn_needs_a_running_run(kit: Kit, kind: OrderKind) -> None:
    """Promise 3: suspended and ended runs refuse the turn, even when it knows the order's version."""
    journal = await kit.open()
    run_id = await waiting(journal)
    await ordered(journal, kind, run_id, outcome=b"over")
    assert await _tried_fused(journal, run_id) is CommitOutcome.REFUSED


@pytest.mark.parametrize("how", ["older version", "newer version", "other base", "no base", "no such run"])
async def test_a_stale_fused_turn_is_refused(kit: Kit, how: str) -> None:
    """Promise 3: a turn computed from another version or base is REFUSED."""
    journal = await kit.open()
    run_id = await waiting(journal)
    before = await seen(journal, run_id)
    run = await row(journal, run_id)
    stale = _STALE[how](fused(run, await journal.now()))
    assert await tried(journal, stale) is CommitOutcome.REFUSED
    assert await seen(journal, run_id) == before


async def test_a_fused_turn_ahead_of_the_clock_is_refused(kit: Kit) -> None:
    """Promise 3: no record may be later than the journal's own time."""
    journal = await kit.open()
    run_id = await waiting(journal)
    run = await row(journal, run_id)
    ahead = fused(run, await journal.now() + HOUR)
    assert await tried(journal, ahead) is CommitOutcome.REFUSED
    commit_id = new_id()
    in_time = fused(run, run.updated, commit_id=commit_id, fingerprint=FINGERPRINT)
    assert in_time.records == records(run_id, 1, commit_id, (b"fused;",), run.updated)
    await committed(journal, in_time)


async def test_holds_of_nobody_are_told(kit: Kit) -> None:
    """Promise 3: renewing what was never claimed, or is in no journal, is answered False per member."""
    journal = await kit.open()
    await started(journal)
    claim, _ = await claimed_one(journal)
    nobody = RunClaim(
        run_id=new_id(),
        machine="",
        fingerprint="",
        generation=0,
        version=0,
        fence=1,
        base=None,
        snapshot=b"",
        tries=0,
        lease_until=0,
        deliveries=(),
    )
    assert await journal.renew([hold_run(nobody), hold_run(claim)], HOUR) == [False, True]
    await journal.release([hold_run(nobody)])
