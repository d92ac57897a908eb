"""Tasks that are put off are in nobody's way, however many their keys; once due, they are dealt as ever.

Rule: work is counted, not timed.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from continuum_core.journal.commit import FinishKind, TaskClaim, TaskWant
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.testing.conformance.given import (
    HOUR,
    QUEUE,
    finish,
    first_turn,
    new_id,
    new_run,
    new_task,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import SteppedClock, claimed_one, committed, seen, started
from tests.redis.counting import count_work, work_of
from tests.redis.handles import asked, raw

BOTH = ("act", "other")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@asynccontextmanager
async def opened(url: str, namespace: str, clock: SteppedClock) -> AsyncIterator[Journal]:
    journal = connect(url, namespace, Limits(loss_backoff=7), clock=clock)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def tasks_of(journal: Journal, keys: Sequence[str], run_id: UUID | None = None) -> UUID:
    """A run with a task of each key."""
    run_id = await started(journal, run_id=run_id)
    claim, now = await claimed_one(journal)
    tasks = tuple(new_task(1, slot, fairness=key) for slot, key in enumerate(keys))
    await committed(journal, turn(claim, now, tasks=tasks))
    return run_id


async def put_off(journal: Journal, keys: Sequence[str], run_id: UUID | None = None) -> UUID:
    """A run with a task of each key, all of which are to be tried again later."""
    run_id = await tasks_of(journal, keys, run_id)
    claims = (await journal.claim_tasks(new_id(), [want(len(keys))], HOUR)).tasks
    assert len(claims) == len(keys)
    await journal.finish([finish(claim, FinishKind.RETRY, delay=HOUR) for claim in claims])
    return run_id


async def taken(journal: Journal, *wants: TaskWant) -> list[str]:
    claims = await journal.claim_tasks(new_id(), wants or [want()], HOUR)
    return [claim.task.fairness for claim in claims.tasks]


@pytest.mark.parametrize("tags", [1, 2])
async def test_an_empty_claim_costs_the_same_with_many_tenants_put_off(
    redis_url: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch, tags: int
) -> None:
    """And so does one that finds something, and a place in line."""
    count_work(monkeypatch)
    verbs = ("claim_tasks", "look_tasks", "inspect")
    work: list[list[list[int]]] = []
    for tenants in (1, 300):
        async with opened(f"{redis_url}?tags={tags}", f"test-{uuid4().hex}", clock) as journal:
            run_id, other = UUID(int=7 << 70), UUID(int=8 << 70)  # in the same tags each time
            await put_off(journal, [f"tenant-{number}" for number in range(tenants)], other)
            for verb in verbs:
                await work_of(redis_url, verb)
            assert await taken(journal) == []
            await tasks_of(journal, ["zz", "zz"], run_id)
            assert await taken(journal, want(1)) == ["zz"]
            assert (await seen(journal, run_id)).places == (None, 0)
            work.append([await work_of(redis_url, verb) for verb in verbs])
    assert work[0] == work[1]
    assert all(work[0]) if tags > 1 else all(work[0][::2])


async def test_many_that_become_due_are_dealt_by_several_claims(
    redis_url: str, namespace: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each moves a bounded number, tells that there are more, and none is lost."""
    tenants = [f"tenant-{number:02}" for number in range(23)]
    async with opened(redis_url, namespace, clock) as journal:
        await put_off(journal, tenants)
        clock.at += HOUR
        count_work(monkeypatch, RIPENED=5)
        await work_of(redis_url, "claim_tasks")
        found: list[str] = []
        for _ in range(4):
            claims = await journal.claim_tasks(new_id(), [want()], HOUR)
            assert len(claims.tasks) == 5
            assert claims.next_due == clock.at
            found += [claim.task.fairness for claim in claims.tasks]
        found += await taken(journal)
        assert sorted(found) == tenants
        assert max(await work_of(redis_url, "claim_tasks")) < 5 * 150


async def test_what_a_former_release_left_in_line_is_put_off_on_the_way(
    redis_url: str, namespace: str, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It put tasks in line that were not due yet. A few a claim are moved, and all come when they are due."""
    tenants = [f"tenant-{number:02}" for number in range(12)]
    async with opened(redis_url, namespace, clock) as journal:
        await put_off(journal, tenants)
        await as_formerly(redis_url, namespace)
        await tasks_of(journal, ["zz"])
        count_work(monkeypatch, RIPENED=5)
        claims = [await journal.claim_tasks(new_id(), [want()], HOUR) for _ in range(5)]
        assert [task.task.fairness for claim in claims for task in claim.tasks] == ["zz"]
        assert claims[0].next_due == clock.at
        assert claims[-1].next_due is not None
        assert claims[-1].next_due > clock.at
        assert await sizes(redis_url, namespace) == (12, 0)
        clock.at += HOUR
        assert sorted([key for _ in range(3) for key in await taken(journal)]) == tenants


async def test_what_a_former_release_took_of_those_put_off_is_forgotten(
    redis_url: str, namespace: str, clock: SteppedClock
) -> None:
    """It knew nothing of where they stand, and left their names there."""
    async with opened(redis_url, namespace, clock) as journal:
        run_id = await put_off(journal, ["a", "b"])
        async with raw(redis_url) as wire:
            [later] = await keys(redis_url, namespace, "z:*")
            names = await asked(wire, b"ZRANGE", later, b"0", b"-1", b"WITHSCORES")
        clock.at += HOUR
        claims = (await journal.claim_tasks(new_id(), [want()], HOUR)).tasks
        await journal.finish([finish(claims[0])])
        async with raw(redis_url) as wire:
            assert isinstance(names, list)
            await asked(wire, b"ZADD", later, names[1], names[0], names[3], names[2])
        assert await taken(journal) == []
        assert await sizes(redis_url, namespace) == (0, 0)
        assert len((await seen(journal, run_id)).tasks) == 1


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 30))]
)
async def test_it_deals_as_memory_does(
    redis_url: str, namespace: str, clock: SteppedClock, seed: int
) -> None:
    """Delays, losses, priorities, keys, two activities: the same tasks in one order, and the same places."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        journals = [
            await stack.enter_async_context(opened(url, namespace, clock))
            for url in (redis_url, f"memory://{namespace}")
        ]
        runs: list[UUID] = []
        held: list[list[TaskClaim]] = [[], []]
        for _ in range(40):
            clock.at += chance.choice([0, 1, 1, 5, 20])
            act = chance.choice(["new", "claim", "claim", "end", "end", "look"])
            if act == "new":
                run_id = new_id()
                runs.append(run_id)
                given = tuple(
                    new_task(
                        1, slot, activity=chance.choice(BOTH), priority=chance.choice([0, 0, 3]), fairness=key
                    )
                    for slot, key in enumerate(chance.choices("aabcde", k=chance.randint(1, 6)))
                )
                for journal in journals:
                    new = new_run(run_id)
                    begun = first_turn(new, await journal.now(), tasks=given)
                    await journal.start([replace(new, turn=begun)])
            elif act == "claim":
                claim_id, limit, lease = new_id(), chance.randint(1, 4), chance.choice([3, HOUR])
                wants = [want(limit, activities=chance.choice([BOTH, BOTH, BOTH[:1]]))]
                told = [await journal.claim_tasks(claim_id, wants, lease) for journal in journals]
                assert names(told[0].tasks) == names(told[1].tasks)
                assert told[0].next_due == told[1].next_due
                for mine, claims in zip(held, told, strict=True):
                    mine += claims.tasks
            elif act == "end" and held[0]:
                place = chance.randrange(len(held[0]))
                kind = chance.choice([FinishKind.RETRY, FinishKind.RETRY, FinishKind.RETURN, FinishKind.DONE])
                delay = chance.choice([0, 1, 6, 30]) if kind is not FinishKind.DONE else 0
                ends = [
                    await journal.finish([finish(mine.pop(place), kind, delay=delay)])
                    for journal, mine in zip(journals, held, strict=True)
                ]
                assert ends[0][0].outcome == ends[1][0].outcome
            elif act == "look" and runs:
                run_id = chance.choice(runs)
                looks = [await seen(journal, run_id) for journal in journals]
                assert looks[0].places == looks[1].places


def names(tasks: Sequence[TaskClaim]) -> list[tuple[UUID, int, str]]:
    return [(claim.task.run_id, claim.task.slot, claim.task.fairness) for claim in tasks]


# --- what is in the store


async def keys(url: str, namespace: str, pattern: str) -> list[bytes]:
    async with raw(url) as wire:
        found = await asked(wire, b"KEYS", f"{{continuum:{namespace}}}:{pattern}".encode())
    assert isinstance(found, list)
    return [bytes(each) for each in found]


async def sizes(url: str, namespace: str) -> tuple[int, int]:
    """How many are put off; how many keys are in line."""
    told: list[int] = []
    async with raw(url) as wire:
        for pattern in ("z:*", "y:*"):
            found = [await asked(wire, b"ZCARD", key) for key in await keys(url, namespace, pattern)]
            told.append(sum(int(str(each)) for each in found))
    return told[0], told[1]


async def as_formerly(url: str, namespace: str) -> None:
    """Put what is put off in line, as a former release left it."""
    [later] = await keys(url, namespace, "z:*")
    lane = later.partition(b":z:")[2]
    base = later.partition(b"z:" + lane)[0]
    assert QUEUE.encode() in lane
    async with raw(url) as wire:
        found = await asked(wire, b"ZRANGE", later, b"0", b"-1", b"WITHSCORES")
        assert isinstance(found, list)
        for number, (name, due) in enumerate(zip(found[::2], found[1::2], strict=True)):
            key = b"tenant-%02d" % number
            await asked(wire, b"ZADD", base + b"q:" + lane + b":0:" + key, due, name)
            await asked(wire, b"ZADD", base + b"y:" + lane + b":0", b"0", key)
        await asked(wire, b"ZADD", base + b"p:" + lane, b"0", b"0")
        await asked(wire, b"DEL", later)
