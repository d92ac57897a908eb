"""No call of a script does work without a bound: more of anything is more calls, never a longer one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.journal.blobs import GRACE, blob_of
from continuum_core.journal.commit import PrunePlan
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    MOMENT,
    new_id,
    new_task,
    signal,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import SteppedClock, claimed_one, committed, started
from continuum_redis import carrier, pruning
from continuum_redis.journal import RedisJournal
from continuum_redis.place import parse
from continuum_redis.store import Store
from tests.redis.counting import count_work, work_of
from tests.redis.handles import asked, raw


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@asynccontextmanager
async def opened(url: str, namespace: str, clock: SteppedClock) -> AsyncIterator[RedisJournal]:
    journal = RedisJournal(parse(url), namespace, Limits(dedupe_window=50), clock)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def stepped(journal: RedisJournal, run_id: UUID, count: int, begins: int = 0) -> None:
    """One turn with so many records, the first of which may begin a generation."""
    await journal.deliver([signal(run_id)])
    claim, now = await claimed_one(journal)
    bodies = [b"%d;" % (claim.version + 1 + number) for number in range(count)]
    await committed(journal, turn(claim, now, bodies, begins=claim.version + 1 if begins else 0))


async def test_past_records_go_in_many_calls_and_never_show_half(
    redis_url: str, namespace: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list is rewritten behind its readers and writers: between any two calls the history is whole."""
    monkeypatch.setattr(pruning, "_TOUCHED_AT_ONCE", 10)
    async with opened(redis_url, namespace, clock) as journal:
        run_id = await started(journal)
        await stepped(journal, run_id, 40)
        await stepped(journal, run_id, 45, begins=1)
        clock.at += 1
        versions = list(range(1, 86))
        ask = Store.ask

        async def between(store: Store, role: str, verb: str, arguments: bytes = b"", tag: int = 0) -> object:
            reply = await ask(store, role, verb, arguments, tag)
            if verb == "prune_past":
                found = [record.version for record in await journal.history(run_id)]
                assert found in (versions, versions[40:])
                await stepped(journal, run_id, 1)
                versions.append(versions[-1] + 1)
            return reply

        count_work(monkeypatch)
        plan = PrunePlan(FAR, 100, statuses=frozenset({RunStatus.RUNNING}), generations=True)
        dry = await journal.prune(PrunePlan(FAR, 100, statuses=plan.statuses, generations=True, dry_run=True))
        await work_of(redis_url, "prune_past")
        monkeypatch.setattr(Store, "ask", between)
        pruned = await journal.prune(plan)
        assert (pruned.generations, pruned.records) == (dry.generations, dry.records) == (1, 40)
        work = await work_of(redis_url, "prune_past")
        assert len(work) >= 5
        assert max(work) < 120, "ten records, each with its copy, and a few looks"
        history = await journal.history(run_id)
        assert [record.version for record in history] == versions[40:]
        assert [record.body for record in history[:45]] == [b"%d;" % number for number in range(41, 86)]


async def test_a_gap_rewrites_nothing(
    redis_url: str, namespace: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that stops to keep some of its steps: a commit costs what it did, however long the history."""
    async with opened(redis_url, namespace, clock) as journal:
        run_id = await started(journal)
        await stepped(journal, run_id, 200)
        count_work(monkeypatch)
        await work_of(redis_url, "commit")
        await stepped(journal, run_id, 1)
        [plain] = await work_of(redis_url, "commit")
        await journal.deliver([signal(run_id)])
        claim, now = await claimed_one(journal)
        plain_turn = turn(claim, now, [b"210;"])
        kept = replace(plain_turn.records[0], version=210)
        await committed(journal, replace(plain_turn, records=(kept,), steps=9))
        await stepped(journal, run_id, 2)
        gap, _ = await work_of(redis_url, "commit")
        assert gap < plain + 20
        found = [record.version for record in await journal.history(run_id)]
        assert found == [*range(1, 202), 210, 211, 212]
        assert [record.version for record in await journal.history(run_id, 199, 4)] == [200, 201, 210, 211]
        dumped = await journal.carrier().dump([run_id])
        assert [None if one is None else one.image.forgotten for one in dumped] == [8]


async def test_leases_that_ended_together_are_put_away_in_many_claims(
    redis_url: str, namespace: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one claim leaves, the next one is told of: it is due at once."""
    async with opened(redis_url, namespace, clock) as journal:
        await started(journal)
        claim, now = await claimed_one(journal)
        slots = 25
        await committed(journal, turn(claim, now, tasks=tuple(new_task(1, slot) for slot in range(slots))))
        assert len((await journal.claim_tasks(new_id(), [want(100)], MOMENT)).tasks) == slots
        clock.at += MOMENT
        count_work(monkeypatch, RIPENED=5)
        await work_of(redis_url, "claim_tasks")
        dues = [(await journal.claim_tasks(new_id(), [want(100)], HOUR)).next_due for _ in range(5)]
        assert [due is not None and due <= clock.at for due in dues] == [True] * 4 + [False]
        work = await work_of(redis_url, "claim_tasks")
        assert max(work) < 5 * 80
        clock.at += HOUR
        again = [(await journal.claim_tasks(new_id(), [want(100)], HOUR)).tasks for _ in range(5)]
        assert sum(map(len, again)) == slots


async def test_a_dump_reads_the_dedupe_ids_of_its_own_runs(
    redis_url: str, namespace: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pages; and where a former release has written, one dump reads all there is, and the next one not."""
    monkeypatch.setattr(carrier, "_AT_ONCE", 3)
    async with opened(redis_url, namespace, clock) as journal:
        runs = [await started(journal) for _ in range(40)]
        for run_id in runs:
            await journal.deliver([signal(run_id, dedupe=f"id-{number}") for number in range(5)])
        count_work(monkeypatch)
        for verb in ("seen_of", "scan_seen"):
            await work_of(redis_url, verb)
        mine, names = runs[17:19], [f"id-{number}" for number in range(5)]

        async def seen() -> list[list[str]]:
            dumped = await journal.carrier().dump(mine)
            return [[name for name, _ in each.image.seen] for each in dumped if each is not None]

        assert await seen() == [names, names]
        work = await work_of(redis_url, "seen_of")
        assert len(work) == 4, "three at a time"
        assert max(work) < 60
        async with raw(redis_url) as wire:
            former = f"{{continuum:{namespace}}}:seenof".encode()
            assert await asked(wire, b"ZCARD", former) == 200
            await asked(wire, b"ZREMRANGEBYRANK", former, b"0", b"150")
            await asked(wire, b"ZADD", former, b"0", b"gone with a former release")
        assert await seen() == [names, names]
        assert sum(await work_of(redis_url, "scan_seen")) > 200
        await work_of(redis_url, "seen_of")
        assert await seen() == [names, names]
        assert await work_of(redis_url, "scan_seen") == []
        assert max(await work_of(redis_url, "seen_of")) < 60


async def test_runs_that_are_heavy_go_in_more_calls(
    redis_url: str, namespace: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time, where each has what fills a call; all of them, however little a call may do."""
    monkeypatch.setattr(pruning, "_TOUCHED_AT_ONCE", 10)
    async with opened(redis_url, namespace, clock) as journal:
        for _ in range(4):
            run_id = await started(journal)
            claim, now = await claimed_one(journal)
            await committed(journal, turn(claim, now, status=RunStatus.COMPLETED, outcome=b""))
            await journal.keep_blobs([blob_of(run_id, b"%d" % number * 99, 0) for number in range(12)])
        clock.at += 1
        count_work(monkeypatch)
        await work_of(redis_url, "prune_runs")
        dry = await journal.prune(PrunePlan(FAR, 100, dry_run=True))
        assert (dry.runs, dry.blobs) == (4, 48)
        assert len(await work_of(redis_url, "prune_runs")) == 4
        pruned = await journal.prune(PrunePlan(FAR, 100))
        assert (pruned.runs, pruned.blobs) == (4, 48)
        assert len(await work_of(redis_url, "prune_runs")) == 4


async def test_long_histories_are_summed_up_and_searched_one_a_call(
    redis_url: str, namespace: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For sizes, and for payloads that nothing refers to any more."""
    monkeypatch.setattr(carrier, "_AT_ONCE", 10)
    async with opened(redis_url, namespace, clock) as journal:
        for _ in range(3):
            run_id = await started(journal)
            await stepped(journal, run_id, 12)
            await journal.keep_blobs([blob_of(run_id, b"%d" % number * 99, 0) for number in range(2)])
        count_work(monkeypatch, READ_AT_ONCE=10)
        for verb in ("tally", "sweep_blobs"):
            await work_of(redis_url, verb)
        [told] = await journal.carrier().tally()
        assert (told.runs, told.records) == (3, 36)
        assert len(await work_of(redis_url, "tally")) == 4
        clock.at += GRACE + 1
        for dry in (True, False):
            assert (await journal.prune(PrunePlan(0, 0, dry_run=dry))).blobs == 6
            assert len(await work_of(redis_url, "sweep_blobs")) == 3
