"""Promise 7: starting twice with one id gives one run; another digest is a conflict."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from continuum_core.journal.commit import CommitOutcome, NewRun, StartOutcome
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    first_turn,
    new_id,
    new_run,
    new_task,
    signal,
    timer,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    apart,
    begun,
    claimed,
    claimed_one,
    committed,
    row,
    seen,
    waiting,
)


async def test_a_start_waits_to_be_claimed(kit: Kit) -> None:
    """Promise 7: a new run has version 0 and its first delivery, and the names it was started with."""
    journal = await kit.open()
    parent, root = new_id(), new_id()
    new = new_run(key="key", digest=b"\x00\xff", parent=parent, root=root)
    (answer,) = await journal.start([new])
    assert (answer.outcome, answer.status, answer.committed) == (
        StartOutcome.STARTED,
        RunStatus.RUNNING,
        None,
    )
    run = await row(journal, new.run_id)
    assert (run.version, run.fence, run.tries, run.commit_id) == (0, 0, 0, None)
    assert (run.key, run.digest, run.parent, run.root) == ("key", b"\x00\xff", parent, root)
    assert run.created == run.updated
    assert run.namespace == journal.namespace
    claim, _ = await claimed_one(journal)
    assert (claim.parent, claim.root, claim.base) == (parent, root, None)
    assert [delivery.id for delivery in claim.deliveries] == [new.delivery.id]


async def test_another_digest_is_a_conflict(kit: Kit) -> None:
    """Promise 7: the id is taken; the first run is untouched, also after it moved on or ended."""
    journal = await kit.open()
    first = new_run()
    assert (await begun(journal, run_id=first.run_id)).outcome is StartOutcome.STARTED
    conflicting = new_run(first.run_id, digest=b"other", fingerprint="kit-2")
    before = await seen(journal, first.run_id)
    (answer,) = await journal.start([conflicting])
    assert answer.outcome is StartOutcome.CONFLICT
    assert await seen(journal, first.run_id) == before
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now, status=RunStatus.COMPLETED, outcome=b""))
    answers = await journal.start([conflicting, first])
    assert [(one.outcome, one.status) for one in answers] == [
        (StartOutcome.CONFLICT, RunStatus.COMPLETED),
        (StartOutcome.EXISTS, RunStatus.COMPLETED),
    ]


async def test_one_of_many_starters_wins(kit: Kit) -> None:
    """Promise 7: starters that race for one id make one run; those with another input are told."""
    journal = await kit.open()
    run_id = new_id()
    news = [new_run(run_id, digest=b"a" if number % 2 else b"b") for number in range(6)]

    async def start(new: NewRun, sibling: Journal) -> StartOutcome:
        return (await sibling.start([new]))[0].outcome

    outcomes = apart(journal, [partial(start, new) for new in news])
    assert outcomes.count(StartOutcome.STARTED) == 1
    winner = news[outcomes.index(StartOutcome.STARTED)]
    for new, outcome in zip(news, outcomes, strict=True):
        if outcome is StartOutcome.EXISTS:
            assert new.digest == winner.digest
        if outcome is StartOutcome.CONFLICT:
            assert new.digest != winner.digest
    inspection = await seen(journal, run_id)
    assert inspection.run.digest == winner.digest
    assert [delivery.id for delivery in inspection.deliveries] == [winner.delivery.id]


async def test_a_batch_of_starts_stands_by_member(kit: Kit) -> None:
    """Promise 7: a conflict harms none of the others in its batch."""
    journal = await kit.open()
    taken = new_run()
    await journal.start([taken])
    batch = [new_run(), replace(taken, digest=b"other"), new_run()]
    answers = await journal.start(batch)
    assert [answer.outcome for answer in answers] == [
        StartOutcome.STARTED,
        StartOutcome.CONFLICT,
        StartOutcome.STARTED,
    ]
    assert len((await claimed(journal)).runs) == 3


# --- starts with their first turn ----------------------------------------------------------------------


async def test_a_start_may_carry_itsfirst_turn(kit: Kit) -> None:
    """Promise 7: the run begins at version 1 with all that a commit may carry; nothing is left to claim."""
    journal = await kit.open()
    other = await waiting(journal)
    new = new_run()
    born = new_task(1, lease=HOUR, claim_id=new_id())
    first = replace(
        first_turn(new, await journal.now()),
        deliveries=(timer(new.run_id, FAR), signal(other, b"hello")),
        tasks=(born, new_task(2)),
    )
    (answer,) = await journal.start([replace(new, turn=first)])
    assert answer.outcome is StartOutcome.STARTED
    assert answer.committed is not None
    assert answer.committed.outcome is CommitOutcome.COMMITTED
    assert [claim.task.token for claim in answer.committed.tasks] == [1]
    inspection = await seen(journal, new.run_id)
    assert (inspection.run.version, inspection.run.commit_id) == (1, first.commit_id)
    assert [delivery.payload for delivery in inspection.deliveries] == [b"timer"]
    assert [task.token for task in inspection.tasks] == [1, 2]
    assert [claim.run_id for claim in (await claimed(journal)).runs] == [other]
    assert await journal.history(new.run_id) == list(first.records)


async def test_a_run_may_end_in_itsfirst_turn(kit: Kit) -> None:
    """Promise 7: a start whose first turn ends the run says so at once."""
    journal = await kit.open()
    new = new_run()
    first = replace(first_turn(new, await journal.now()), status=RunStatus.COMPLETED, outcome=b"done")
    (answer,) = await journal.start([replace(new, turn=first)])
    assert (answer.outcome, answer.status) == (StartOutcome.STARTED, RunStatus.COMPLETED)
    (again,) = await journal.start([replace(new, turn=first)])
    assert (again.outcome, again.status) == (StartOutcome.EXISTS, RunStatus.COMPLETED)
    assert (await seen(journal, new.run_id)).deliveries == ()


async def test_a_first_turn_ahead_of_the_clock_is_refused(kit: Kit) -> None:
    """Promise 7: then the run starts the long way, with its first delivery."""
    journal = await kit.open()
    new = new_run()
    ahead = first_turn(new, await journal.now() + HOUR)
    (answer,) = await journal.start([replace(new, turn=ahead)])
    assert answer.outcome is StartOutcome.STARTED
    assert answer.committed is not None
    assert answer.committed.outcome is CommitOutcome.REFUSED
    claim, now = await claimed_one(journal)
    assert (claim.version, [delivery.id for delivery in claim.deliveries]) == (0, [new.delivery.id])
    await committed(journal, turn(claim, now))
