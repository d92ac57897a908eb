"""A server that is full: what was acknowledged is whole, what makes room goes on, and then so does work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.errors import JournalUnavailable
from continuum_core.journal.blobs import GRACE, blob_of
from continuum_core.journal.carrying import Arrival, Version
from continuum_core.journal.commit import OrderKind, OrderOutcome, PrunePlan, StartOutcome
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    first_turn,
    hold_run,
    hold_task,
    new_id,
    new_run,
    new_task,
    order,
    signal,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import (
    SteppedClock,
    claimed_one,
    claimed_task,
    committed,
    row,
    started,
    waiting,
)
from continuum_core.testing.redis_server import Redis
from continuum_redis import script
from continuum_redis.arguments import Arguments, packed
from continuum_redis.journal import RedisJournal
from continuum_redis.link import Call, Space
from continuum_redis.place import parse
from continuum_redis.store import TURNING
from tests.redis.handles import asked, opened, raw

_SNAPSHOT = b"x" * 200_000


@pytest.fixture
def server() -> Iterator[Redis]:
    with Redis() as one:
        yield one


@asynccontextmanager
async def clocked(url: str, clock: SteppedClock) -> AsyncIterator[RedisJournal]:
    journal = RedisJournal(parse(url), "shop", Limits(), clock)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


async def limited(server: Redis, size: bytes) -> None:
    async with raw(server.url()) as wire:
        await asked(wire, b"CONFIG", b"SET", b"maxmemory", size)


async def filled(journal: RedisJournal) -> list[UUID]:
    """The runs that were begun and ended, as acknowledged, until the server was full."""
    runs: list[UUID] = []
    while True:
        new = new_run()
        whole = {"snapshot": _SNAPSHOT, "status": RunStatus.COMPLETED, "outcome": b""}
        try:
            [answer] = await journal.start([replace(new, turn=first_turn(new, await journal.now(), **whole))])
        except JournalUnavailable as error:
            refused = error
            break
        assert answer.outcome is StartOutcome.STARTED
        runs.append(new.run_id)
        assert len(runs) < 1_000, "it was to be full by now"
    assert "maxmemory" in str(refused)
    assert not refused.ambiguous
    return runs


@pytest.mark.parametrize("tags", [1, 4])
async def test_a_full_server_is_pruned_and_work_goes_on(server: Redis, tags: int) -> None:
    """By whoever held something, and by a program that is only started then."""
    url = f"{server.url()}?tags={tags}"
    async with opened(url, "shop") as worker:
        held = await waiting(worker, {"tasks": (new_task(),)})
        task = await claimed_task(worker)
        await worker.deliver([signal(held)])
        claim, _ = await claimed_one(worker)
        await limited(server, b"6mb")
        runs = await filled(worker)
        rows = await worker.load(runs)
        assert [one is not None and one.snapshot for one in rows] == [_SNAPSHOT] * len(runs)
        assert [len(await worker.history(run_id)) for run_id in runs] == [1] * len(runs)
        assert await worker.renew([hold_run(claim)], HOUR) == [True]
        assert await worker.heartbeat([hold_task(task, b"half")], HOUR) == [True]
        async with opened(url, "shop") as operator:
            pruned = await operator.prune(PrunePlan(FAR, 2))
            assert pruned.runs == 2
            assert (await operator.prune(PrunePlan(FAR, 1_000))).runs == len(runs) - 2
        await committed(worker, turn(claim, await worker.now()))
        assert len(await filled(worker)) > len(runs) / 2, "the room is there again"


async def test_whatever_makes_room_goes_on(server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each verb that is said to, on a server that has no room at all; and no others."""
    clock, called = SteppedClock(), set[str]()
    pack = Space.packed

    def noted(space: Space, call: Call) -> bytes:
        called.add(call.verb.decode())
        return pack(space, call)

    async with clocked(f"{server.url()}?tags=4", clock) as journal:
        ended = await started(journal)
        claim, now = await claimed_one(journal)
        await committed(journal, turn(claim, now, status=RunStatus.COMPLETED, outcome=b""))
        erased = Version(ended, (await row(journal, ended)).commit_id)
        old = await waiting(journal, {"begins": 1})
        await journal.keep_blobs([blob_of(old, b"nobody's" * 100, 0)])
        doomed = await waiting(journal, {"tasks": (new_task(),)})
        [task] = (await journal.claim_tasks(new_id(), [replace(want(), cap=1)], HOUR)).tasks
        await journal.deliver([signal(old)])
        claim, now = await claimed_one(journal)
        monkeypatch.setattr(Space, "packed", noted)
        await limited(server, b"1")
        for refused in (journal.deliver([signal(old)]), journal.start([new_run()])):
            with pytest.raises(JournalUnavailable, match="maxmemory"):
                await refused
        with pytest.raises(JournalUnavailable, match="maxmemory"):
            await journal.control([order(OrderKind.SUSPEND, old)])
        [dumped] = await journal.carrier().dump([old])
        assert dumped is not None
        image = replace(dumped.image, records=tuple(await journal.history(old)))
        with pytest.raises(JournalUnavailable, match="maxmemory"):
            await journal.carrier().rehearse([image])  # so that no run leaves for here
        called.clear()
        assert await journal.renew([hold_run(claim)], HOUR) == [True]
        assert await journal.heartbeat([hold_task(task)], HOUR) == [True]
        await journal.release([hold_run(claim)])
        assert await journal.renew([hold_run(claim)], HOUR) == [False]
        [told] = await journal.control([order(OrderKind.TERMINATE, doomed, outcome=b"")])
        assert told.outcome is OrderOutcome.DONE
        tasks = journal._opened().tasks
        await tasks.hand_back([(task.task.queue, b"no such task")])
        await journal.carrier().settle([Arrival(doomed)])
        assert await journal.carrier().erase([erased]) == [True]
        await journal.carrier().forget([erased])
        clock.at += GRACE + 1
        pruned = await journal.prune(PrunePlan(FAR, 100, generations=True))
        assert (pruned.runs, pruned.generations, pruned.blobs) == (1, 1, 1)
        store = journal._opened().store
        for verb, numbers in (("relayed", (1, 0)), ("give_up", (10,))):
            await store.ask(TURNING, verb, packed(partial(_numbers, numbers)))
        assert called >= script._GOES_ON_WHEN_FULL


def _numbers(numbers: Sequence[int], to: Arguments) -> None:
    for number in numbers:
        to.number(number)


def test_what_goes_on_is_a_verb() -> None:
    assert set(script.verbs()) > script._GOES_ON_WHEN_FULL
