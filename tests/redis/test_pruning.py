"""Pruning on Redis keeps no one waiting: every call finds and deletes a bounded number of entries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.journal.carrying import Version
from continuum_core.journal.commit import OrderKind, PrunePlan
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import FAR, new_id, order, signal, turn
from continuum_core.testing.conformance.kit import SteppedClock, claimed_one, committed, row, started
from continuum_redis import pruning
from continuum_redis.journal import RedisJournal
from continuum_redis.place import parse
from continuum_redis.store import Store
from tests.redis.handles import asked, raw

READ, DELETED, ROWS = 3, 2, 2
BOUNDS = {
    "prunable": READ,
    "prunable_past": READ,
    "prune_runs": DELETED,
    "prune_past": DELETED,
    "prune_windows": ROWS,
}


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=[1, 4])
def tagged(request: pytest.FixtureRequest, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """So many tags, and calls so small that every pruning takes many; each is seen to keep to that."""
    monkeypatch.setattr(pruning, "_READ_AT_ONCE", READ)
    monkeypatch.setattr(pruning, "_DELETED_AT_ONCE", DELETED)
    monkeypatch.setattr(pruning, "_ROWS", ROWS)
    ask, ask_each = Store.ask, Store.ask_each

    def bounded(verb: str, reply: Any) -> None:
        if verb in BOUNDS:
            count = len(reply[0]) if verb.startswith("prunable") else max(reply[0], *reply[2:], 0)
            assert count <= BOUNDS[verb], verb

    async def seen(store: Store, role: str, verb: str, arguments: bytes = b"", tag: int = 0) -> Any:
        reply = await ask(store, role, verb, arguments, tag)
        if not (verb == "prune_windows" and arguments[0]):  # a dry run only has them counted
            bounded(verb, reply)
        return reply

    async def seen_each(store: Store, role: str, verb: str, asked: Sequence[tuple[int, bytes]]) -> Any:
        replies = await ask_each(store, role, verb, asked)
        for reply in replies if verb in BOUNDS else ():
            bounded(verb, reply)
        return replies

    monkeypatch.setattr(Store, "ask", seen)
    monkeypatch.setattr(Store, "ask_each", seen_each)
    return f"{redis_url}?tags={request.param}"


@asynccontextmanager
async def clocked(url: str, namespace: str, clock: SteppedClock) -> AsyncIterator[RedisJournal]:
    journal = RedisJournal(parse(url), namespace, Limits(dedupe_window=50), clock)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def ended(journal: RedisJournal, count: int, machine: str, **changes: Any) -> list[UUID]:
    """Runs that end at once, all of them at the same moment."""
    found: list[UUID] = []
    for _ in range(count):
        run_id = await started(journal, machine=machine)
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now, status=RunStatus.COMPLETED, outcome=b"", **changes))
        found.append(run_id)
    return found


async def there(journal: RedisJournal, runs: Sequence[UUID]) -> list[UUID]:
    return [run.run_id for run in await journal.load(runs) if run is not None]


async def test_many_calls_find_what_one_would(tagged: str, namespace: str, clock: SteppedClock) -> None:
    """By machine, past runs of others and eternal ones, that all ended at one time; up to the limit."""
    async with clocked(tagged, namespace, clock) as journal:
        kept = await ended(journal, 5, "kept")
        eternal = await ended(journal, 4, "gone", eternal=True)
        gone = await ended(journal, 7, "gone")
        plan = PrunePlan(FAR, 6, "gone", dry_run=True)
        dry = await journal.prune(plan)
        assert (dry.runs, dry.records, dry.eternal) == (6, 6, 4)
        assert await there(journal, gone) == gone
        assert (await journal.prune(PrunePlan(FAR, 100, dry_run=True))).eternal == 4
        pruned = await journal.prune(replace(plan, dry_run=False))
        assert (pruned.runs, pruned.records, pruned.eternal) == (6, 6, 4)
        assert len(await there(journal, gone)) == 1
        assert (await journal.prune(PrunePlan(FAR, 100, "gone"))).runs == 1
        assert await there(journal, [*kept, *eternal, *gone]) == [*kept, *eternal]
        assert (await journal.prune(PrunePlan(FAR, 0))).runs == 0
        assert (await journal.prune(PrunePlan(FAR, 100))).runs == 5


async def test_past_generations_go_in_many_calls(tagged: str, namespace: str, clock: SteppedClock) -> None:
    async with clocked(tagged, namespace, clock) as journal:
        for _ in range(3):
            await started(journal)
            for _ in range(3):
                claim, now = await claimed_one(journal)
                await committed(journal, turn(claim, now, begins=claim.version + 1))
                await journal.deliver([signal(claim.run_id)])
                clock.at += 1
            claim, now = await claimed_one(journal)
            await committed(journal, turn(claim, now))
        plan = PrunePlan(FAR, 100, statuses=frozenset({RunStatus.RUNNING}), generations=True)
        dry = await journal.prune(replace(plan, dry_run=True))
        few = await journal.prune(replace(plan, limit=5))
        rest = await journal.prune(plan)
        assert (dry.generations, few.generations, rest.generations) == (9, 5, 4)
        assert few.records + rest.records == dry.records > 0


async def test_what_is_past_its_window_goes_in_many_calls(
    tagged: str, namespace: str, clock: SteppedClock, redis_url: str
) -> None:
    """Dedupe ids; and dead letters without a run, which stand behind those of runs that are there."""
    async with clocked(tagged, namespace, clock) as journal:
        over = await started(journal)
        claim, now = await claimed_one(journal)
        await journal.deliver([signal(over, dedupe=f"d{number}") for number in range(7)])
        clock.at += 1
        strays = tuple(signal(beside(journal, over)) for _ in range(2))
        await committed(journal, turn(claim, now, status=RunStatus.COMPLETED, outcome=b"", deliveries=strays))
        clock.at += 100
        dry = await journal.prune(PrunePlan(FAR, 0, dry_run=True))
        assert await letters(namespace, redis_url) == 9
        pruned = await journal.prune(PrunePlan(FAR, 0))
        assert (dry.expired, pruned.expired) == (7, 7)
        assert await letters(namespace, redis_url) == 7
        assert (await journal.prune(PrunePlan(FAR, 10))).runs == 1
        assert await letters(namespace, redis_url) == 0


def beside(journal: RedisJournal, run_id: UUID) -> UUID:
    """The id of no run, in the same tag: what is for another tag waits for its run a while."""
    tag_of = journal._opened().store.tags.of_run
    while tag_of(found := new_id()) != tag_of(run_id):
        pass
    return found


async def letters(namespace: str, url: str) -> int:
    """How many dead letters there are."""
    async with raw(url) as wire:
        names = await asked(wire, b"KEYS", f"*{namespace}*dx".encode())
        assert isinstance(names, list)
        return sum([int(str(await asked(wire, b"ZCARD", name))) for name in names])


@pytest.mark.parametrize("begun_anew", [False, True])
async def test_what_became_of_a_run_since_its_past_was_found_is_asked_again(
    redis_url: str,
    namespace: str,
    clock: SteppedClock,
    monkeypatch: pytest.MonkeyPatch,
    begun_anew: bool,
) -> None:
    """It ended; or it was pruned, and another one began under its id, with as long a generation."""
    async with clocked(redis_url, namespace, clock) as journal:
        run_id = await started(journal)
        await _one_generation(journal)
        clock.at += 1
        plan = PrunePlan(clock.at, 100, statuses=frozenset({RunStatus.RUNNING}), generations=True)
        ask = Store.ask

        async def late(store: Store, role: str, verb: str, arguments: bytes = b"", tag: int = 0) -> Any:
            if verb == "prune_past":
                await journal.control([order(OrderKind.TERMINATE, run_id, outcome=b"")])
                if begun_anew:
                    over = await row(journal, run_id)
                    assert await journal.carrier().erase([Version(run_id, over.commit_id)]) == [True]
                    await started(journal, run_id=run_id)
                    await _one_generation(journal)
            return await ask(store, role, verb, arguments, tag)

        monkeypatch.setattr(Store, "ask", late)
        pruned = await journal.prune(plan)
        assert (pruned.generations, pruned.records) == (0, 0)
        versions = [record.version for record in await journal.history(run_id)]
        assert versions == ([1, 2] if begun_anew else [1, 2, 3])


async def _one_generation(journal: RedisJournal) -> None:
    for begins in (0, 2):
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now, begins=begins))
        await journal.deliver([signal(claim.run_id)])
