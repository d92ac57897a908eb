"""Scripts read rows ahead, and write what changed at their end: members still follow one another."""

from __future__ import annotations

from msgspec.structs import replace

from continuum_core.journal.commit import Claims, CommitOutcome
from continuum_core.testing.conformance.given import HOUR, TAKES, fused, new_id, new_run, signal, turn
from continuum_redis.journal import RedisJournal
from tests.redis.handles import opened

_RUNS = 60  # more than are read ahead at once, twice over


async def claimed(journal: RedisJournal) -> Claims:
    await journal.start([new_run() for _ in range(_RUNS)])
    return await journal.claim_runs(new_id(), _RUNS, HOUR, TAKES, scan=_RUNS)


async def test_two_turns_of_a_run_in_one_batch_follow_one_another(redis_url: str, namespace: str) -> None:
    async with opened(f"{redis_url}?tags=1", namespace) as journal:
        claims = await claimed(journal)
        first = [turn(claim, claims.now) for claim in claims.runs]
        rows = {run.run_id: run for run in await journal.load([t.run_id for t in first]) if run is not None}
        second = [
            fused(
                replace(rows[t.run_id], version=t.version + 1, commit_id=t.commit_id, snapshot=t.snapshot),
                claims.now,
            )
            for t in first
        ]
        told = await journal.commit([*first, *second])
        assert [each.outcome for each in told] == [CommitOutcome.COMMITTED] * 2 * _RUNS
        after = await journal.load(list(rows))
        assert [run.snapshot for run in after if run is not None] == [t.snapshot for t in second]
        assert {run.version for run in after if run is not None} == {claims.runs[0].version + 2}


async def test_what_a_turn_sends_comes_before_an_unclaimed_turn_of_its_target(
    redis_url: str, namespace: str
) -> None:
    """Nothing was due of the target when the batch was looked at."""
    async with opened(f"{redis_url}?tags=1", namespace) as journal:
        claims = await claimed(journal)
        await journal.commit([turn(claim, claims.now) for claim in claims.runs])
        one, other = [
            run for run in await journal.load([c.run_id for c in claims.runs[:2]]) if run is not None
        ]
        sends = fused(one, claims.now, deliveries=(signal(other.run_id),))
        told = await journal.commit([sends, fused(other, claims.now)])
        assert [each.outcome for each in told] == [CommitOutcome.COMMITTED, CommitOutcome.REFUSED]
