"""Why a record is there: back to its root cause and forward to all that followed, after rows are gone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from continuum_core import UsageError, Worker
from continuum_core.causes import Link
from continuum_core.journal.records import Record, RecordKind
from continuum_core.mapper import decode_step
from continuum_core.origins import origins
from continuum_core.testing import Engine
from tests.golden.release_0_1 import MACHINES, Jukebox, Pause, Resume, Skip
from tests.golden.write import fragile_parked, ledger_terminated, order_cancelled
from tests.travel.machines import Arrive, Board, Book, Diary, Torn, Travel, Wave, buy
from tests.travel.test_fork import riding, until


def told(links: list[Link] | tuple[Link, ...]) -> list[tuple[str, int, str, str]]:
    return [(link.name, link.version, link.event, link.how) for link in links]


async def test_the_way_back_crosses_runs_forks_and_activities_on_every_backend(journal: str) -> None:
    async with Worker(journal, [Travel, Diary]) as worker:
        diary = await worker.client.start(Diary, None, key="all")
        run = await riding(worker)
        fork = await run.fork(3, key="fork")

        async def rides() -> bool:
            return (await fork.view()).states == ("riding",)

        await until(rides)
        await fork.send(Wave("hello"))

        async def written() -> bool:
            return (await diary.view()).version == 2

        await until(written)
        found = await worker.journal.inspect(diary.id)
        assert found is not None
        assert found.deliveries == (), "the message's row is gone"
        assert told(list(await diary.why())) == [
            ("diary/all", 2, "Wave", "message"),
            ("travel/fork", 3, "Wave", "client"),
        ]
        assert told(list(await fork.why(2))) == [
            ("travel/fork", 2, "done buy", "activity"),
            ("travel/fork", 1, "fork", "fork"),
            ("travel/north", 3, "Board", "client"),
        ]
        forward, more = await worker.client.followed(run, 3)
        assert not more
        assert told(list(forward)) == [
            ("travel/north", 3, "Board", "client"),
            ("travel/north", 4, "done buy", "activity"),
            ("travel/fork", 1, "fork", "fork"),
            ("travel/fork", 2, "done buy", "activity"),
        ]
        assert [link.depth for link in forward] == [0, 1, 1, 2]
        onward, _ = await worker.client.followed(fork, 3)
        assert told(list(onward))[1:] == [("diary/all", 2, "Wave", "message")]


async def test_timers_and_deferred_events() -> None:
    async with Engine([Jukebox]) as engine:
        run = await engine.start(Jukebox, "intro", key="j")
        for sent in (Pause(), Skip(), Resume()):
            await engine.send(run, sent)
        assert told(list(await run.why())) == [
            ("frozen-jukebox/j", 5, "Skip", "deferred"),
            ("frozen-jukebox/j", 3, "Skip", "client"),
        ]
        await engine.send(run, Pause())
        await engine.advance(timedelta(hours=3))
        assert told(list(await run.why())) == [
            ("frozen-jukebox/j", 7, "timer", "timer"),
            ("frozen-jukebox/j", 6, "Pause", "client"),
        ]


async def test_orders_and_who_gave_them() -> None:
    async with Engine(MACHINES, queues={"default": 5, "papers": 5}) as engine:
        run = await order_cancelled(engine)
        step, order = await run.why()
        assert (step.event, step.how, step.by) == ("cancel", "order", (run.id, order.version))
        assert (order.event, order.how, order.who) == ("cancel", "order", "ann")
        terminated = await ledger_terminated(engine)
        [link] = await terminated.why()
        assert (link.event, link.how, link.who) == ("terminate", "order", "ann")


async def test_a_parking_says_what_it_stumbled_on() -> None:
    async with Engine([Travel]) as engine:
        engine.stub(buy, returns=1)
        run = await fragile_parked(engine)
        parking = (await run.history())[-1]
        assert parking.event == "park"
        [link] = await run.why()
        assert (link.event, link.how) == ("park", "engine")


async def test_a_parking_on_an_outcome_leads_to_who_asked_for_it() -> None:
    async with Engine([Torn]) as engine:
        run = await engine.start(Torn, 5, key="t")
        assert told(list(await run.why())) == [
            ("torn/t", 2, "park", "engine"),
            ("torn/t", 1, "start", "client"),
        ]


async def test_every_record_of_every_kind_has_an_origin() -> None:
    async with Engine([Travel, Diary]) as engine:
        engine.stub(buy, returns=3)
        diary = await engine.start(Diary, None, key="all")
        run = await engine.start(Travel, "north", key="n")
        for sent in (Board(), Wave(), Book("x"), Wave("again"), Arrive()):
            await engine.send(run, sent)
        for each in (run, diary):
            records = await engine.client.journal.history(each.id)
            assert len(origins(records)) == len(records)
        await engine.client.prune(timedelta(0))  # the sender is gone, and what it caused is not
        await engine.advance(timedelta(days=1))
        await engine.client.prune(timedelta(hours=1))
        told_ = told(list(await diary.why()))
        assert told_ == [("diary/all", 3, "Wave", "message"), (str(run.id), 6, "", "gone")]


async def test_what_was_waited_for_costs_nothing_more() -> None:
    """Only records of messages between runs carry where they came from."""
    async with Engine([Travel, Diary]) as engine:
        engine.stub(buy, returns=3)
        diary = await engine.start(Diary, None, key="all")
        run = await engine.start(Travel, "north", key="n")
        for sent in (Board(), Wave()):
            await engine.send(run, sent)
        records = [*await engine.client.journal.history(run.id)]
        assert all(decode_step(record).event.source == "" for record in records)
        assert all(b'"source"' not in record.body and b'"history"' not in record.body for record in records)
        told_ = decode_step((await engine.client.journal.history(diary.id))[-1]).event.source
        assert told_ == f"{run.id}:4:0"


async def test_records_that_are_not_there() -> None:
    async with Engine([Travel]) as engine:
        run = await engine.start(Travel, "north")
        for version in (0, 2):
            with pytest.raises(UsageError, match=f"no record {version}; it has records 1 to 1"):
                await run.why(version)


async def test_a_long_way_forward_is_cut() -> None:
    async with Engine([Jukebox]) as engine:
        run = await engine.start(Jukebox, "intro", key="j")
        for _ in range(3):
            fork = await run.fork(1)
            assert isinstance(fork.id, UUID)
        links, more = await engine.client.followed(run, 1, limit=3)
        assert (len(links), more) == (3, True)
        await asyncio.sleep(0)


def test_a_control_record_of_an_older_release_has_an_origin_too() -> None:
    """Parkings did not always say on what."""
    old = Record(
        UUID(int=1),
        1,
        RecordKind.CONTROL,
        0,
        UUID(int=2),
        UUID(int=3),
        b'{"v":1,"order":"park","who":"engine","why":"fault"}',
    )
    [origin] = origins([old])
    assert (origin.how, origin.by) == ("engine", None)
