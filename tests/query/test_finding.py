"""Runs found by clients, on every backend: attributes come from contexts and clients, queries find them."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from continuum_core import (
    Client,
    QueryRefused,
    RunNotFound,
    RunOver,
    RunStatus,
    SyncClient,
    UsageError,
    Worker,
)
from continuum_core.client import Broadcast
from continuum_core.query import field
from tests.query.machines import (
    LONG_AGO,
    Add,
    Bad,
    Broken,
    Pay,
    Plain,
    Purchase,
    Size,
    Wanted,
    purchase,
)


async def keys(client: Client, query: str) -> list[str | None]:
    return [run.key async for run in client.runs(query)]


async def test_attributes_follow_the_context(journal: str) -> None:
    """Each turn brings what has changed with it: set, changed, taken away, kept after the end."""
    async with Worker(journal, [Purchase]) as worker:
        client = worker.client
        run = await client.start(
            Purchase, Wanted(Decimal("9.99"), Size.LARGE, LONG_AGO), key="a", attributes={"region": "eu"}
        )
        assert await run.attributes() == {
            "total": Decimal("9.99"),
            "size": "large",
            "paid": False,
            "promised": LONG_AGO,
            "region": "eu",
            "state": ("choosing", "open", "open.choosing"),
        }
        await run.send(Add(Decimal("0.01")))
        await run.send(Pay())
        await run.send(Pay())
        assert await run.result(20) == 10
        assert await run.attributes() == {
            "total": 10,
            "lines": 1,
            "size": "large",
            "paid": True,
            "promised": LONG_AGO,
            "region": "eu",
            "state": "bought",
        }
        assert await keys(client, "total = 10.00 and paid = true and state = bought") == ["a"]
        assert await keys(client, "total = 9.99 or state = choosing or paid = false") == []


async def test_the_query_of_the_manual(journal: str) -> None:
    async with Client(journal, [Purchase, Plain]) as client:
        for number in range(6):
            run = await client.start(Purchase, Wanted(Decimal(50 * number)), key=f"p{number}")
            if number % 2:
                await client.suspend(run)
        await client.start(Plain, Wanted(Decimal(500)), key="plain")
        text = (
            'machine = "purchase" and status in (running, parked) and total >= 100 and started > -7d '
            'and state = "choosing" sort by total desc'
        )
        assert await keys(client, text) == ["p4", "p2"]
        assert await keys(client, "not exists(total)") == ["plain"]
        assert await keys(client, "total != 0 and total < 150 sort by total") == ["p1", "p2"]
        assert await keys(client, "sort by total") == ["p0", "p1", "p2", "p3", "p4", "p5", "plain"]
        assert await keys(client, "version = 1 and key = plain") == ["plain"]
        found = client.runs((field("total") >= 100) & field("status").among(RunStatus.SUSPENDED))
        assert [run.key async for run in found] == ["p5", "p3"]
        assert str(await client.count("total >= 100")) == "4"


async def test_pages_and_counts(journal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuum_core.client.finding._MOST", 3)
    async with Client(journal, [Purchase]) as client:
        for number in range(5):
            await client.start(Purchase, Wanted(Decimal(number)), key=f"p{number}")
        query = "started > -1h sort by total"
        first, cursor = await client.find(query, limit=2)
        assert cursor is not None
        second, cursor = await client.find(query, limit=2, cursor=cursor)
        assert cursor is not None
        third, last = await client.find(query, limit=2, cursor=cursor)
        assert last is None
        assert [run.key for run in (*first, *second, *third)] == ["p0", "p1", "p2", "p3", "p4"]
        assert str(await client.count()) == "3+"
        assert str(await client.count("total >= 2")) == "3"
        assert str(await client.count(exact=True)) == "5"
        for wrong in ("", "x", "zz.1", cursor[:-4], cursor + "x"):
            with pytest.raises(UsageError, match="cursor"):
                await client.find(query, cursor=wrong)


async def test_clients_set_what_is_theirs(journal: str) -> None:
    """By an order, journaled with who and why; what the machine computes, or has not, is refused."""
    async with Client(journal, [Purchase]) as client:
        run = await client.start(Purchase, Wanted(Decimal(1)))
        checked = datetime(2024, 5, 31, tzinfo=UTC)
        await run.set_attributes({"region": "eu", "checked": checked}, "audit", who="jo")
        assert await keys(client, "region = eu and checked >= 2024-05-31") == [None]
        await client.set_attributes(run.id, {"region": None})
        assert await keys(client, "exists(region)") == []
        told = [(step.event, step.who, step.why) for step in await run.history(1)]
        assert told == [("set", "jo", "audit"), ("set", "", "")]
        for wrong, why in (
            ({"total": 1}, "computes 'total' from its context"),
            ({"regoin": "x"}, "declares no attribute 'regoin'"),
            ({"region": 1}, "'region' is a text, and 1 is none"),
            ({"checked": datetime(2024, 1, 1)}, "time zone"),
        ):
            with pytest.raises(UsageError, match=why):
                await run.set_attributes(wrong)
            with pytest.raises(UsageError, match=why):
                await client.start(Purchase, Wanted(Decimal(2)), attributes=wrong)
        await client.terminate(run)
        with pytest.raises(RunOver):
            await run.set_attributes({"region": "us"})
        with pytest.raises(RunNotFound):
            await client.attributes("00000000-0000-0000-0000-000000000007")


async def test_a_fork_takes_along_what_clients_set(journal: str) -> None:
    async with Client(journal, [Purchase]) as client:
        run = await client.start(Purchase, Wanted(Decimal(1)), key="a", attributes={"region": "eu"})
        forked = await run.fork(1, key="b")
        async with Worker(journal, [Purchase]):
            await forked.send(Pay())
            await forked.send(Pay())
            assert await forked.result(20) == 1
        assert sorted(map(str, await keys(client, "region = eu and total = 1"))) == ["a", "b"]


async def test_runs_of_an_older_definition_follow_at_their_next_turn(journal: str) -> None:
    """A machine that comes to declare attributes, or others: each run has them after its next turn."""
    older, newer = purchase(lambda s: s.attribute("total", Decimal, lambda c: c.total)), purchase(_declares)
    async with Client(journal, [older]) as client:
        run = await client.start(older, Wanted(Decimal(5)), key="a")
        assert await run.attributes() == {"total": 5}
    async with Worker(journal, [newer]) as worker:
        run = worker.client.get(newer, "a")
        await run.send(Add(Decimal(1)))
        while (await run.view()).version < 2:
            await worker.client.journal.wait(0.05)
        assert await run.attributes() == {"twice": 12, "state": "open"}
        assert await keys(worker.client, "twice = 12 and state = open") == ["a"]


async def test_a_run_that_parks_at_once_in_a_new_definition_is_described_later(
    journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays in the one it came from until it has taken a step in this one."""

    def fails(total: Decimal) -> Decimal:
        raise LookupError(f"no double of {total} today")

    older, newer = purchase(lambda s: s.attribute("total", Decimal, lambda c: c.total)), purchase(_declares)
    monkeypatch.setattr(sys.modules[__name__], "_doubled", fails)
    async with Client(journal, [older]) as client:
        run = await client.start(older, Wanted(Decimal(5)), key="a")
        before = (await run.view()).fingerprint
    async with Worker(journal, [newer]) as worker:
        run = worker.client.get(newer, "a")
        await run.send(Add(Decimal(1)))
        while (await run.view()).status is not RunStatus.PARKED:
            await worker.client.journal.wait(0.05)
        assert (await run.view()).fingerprint == before
        assert await run.attributes() == {"total": 5}
        monkeypatch.undo()
        await run.unpark()
        while (await run.view()).context.total == 5:
            await worker.client.journal.wait(0.05)
        assert (await run.view()).fingerprint != before
        assert await run.attributes() == {"twice": 12, "state": "open"}


def _doubled(total: Decimal) -> Decimal:
    return 2 * total


def _declares(s: Any) -> None:
    s.attribute("twice", Decimal, lambda c: _doubled(c.total))
    s.attribute("total", Decimal, lambda c: None)
    s.index_states()


async def test_an_attribute_that_fails_parks_the_run(journal: str) -> None:
    async with Worker(journal, [Broken]) as worker:
        run = await worker.client.start(Broken, Wanted(Decimal(1)))
        await run.send(Bad())
        while (await run.view()).status is not RunStatus.PARKED:
            await worker.client.journal.wait(0.05)
        assert "attribute share" in (await run.view()).cause
        assert await run.attributes() == {"share": 1}


async def test_what_nobody_declares_is_refused(journal: str) -> None:
    async with Client(journal, [Plain]) as client:
        await client.start(Plain, Wanted(Decimal(1)))
        with pytest.raises(QueryRefused, match="runs have no field 'total'"):
            await client.find("total = 1")
        with pytest.raises(QueryRefused, match="index_states"):
            await client.count("state = open")
        with pytest.raises(UsageError, match="say machine and status in the query"):
            [run async for run in client.runs("key = x", machine="plain")]
    async with Client(journal, [Purchase]) as client:
        await client.start(Purchase, Wanted(Decimal(1)))
    async with Client(journal) as client:  # whoever has no code asks what is stored
        assert len(await keys(client, "total = 1 and state = choosing")) == 1


async def test_a_broadcast_reaches_each_run_once(journal: str) -> None:
    async with Worker(journal, [Purchase, Plain]) as worker:
        client = worker.client
        runs = [
            await client.start(Purchase, Wanted(Decimal(number)), key=f"p{number}") for number in range(4)
        ]
        await client.start(Plain, Wanted(Decimal(9)), key="plain")
        over = await client.start(Purchase, Wanted(Decimal(3)), key="over")
        await client.terminate(over)
        seen: list[Broadcast] = []
        told = await client.broadcast(
            "total >= 1 or machine = plain", Add(Decimal(100)), key="b1", progress=seen.append
        )
        assert told == Broadcast(sent=3, over=1, unfit=1)
        assert seen == [told]
        assert told.runs == 5
        again = await client.broadcast("total >= 0", Add(Decimal(100)), key="b1")
        assert (again.sent, again.repeated, again.over) == (1, 3, 1)
        for run in runs:
            await run.send(Pay())
            await run.send(Pay())
        assert [await run.result(20) for run in runs] == [100, 101, 102, 103]
        by_name = await client.broadcast("status = running", "Pay", {}, key="b2")
        assert by_name == Broadcast(sent=1)
        with pytest.raises(UsageError, match="key= names the broadcast"):
            await client.broadcast("", Pay(), key="")


async def test_namespaces_are_a_wall(journal: str) -> None:
    """List, query, count, attributes, start, send, idempotency, broadcast: each within its own."""
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(Worker(journal, [Purchase], namespace=name))
            for name in ("one", "two")
        ]
        for worker, total in ((one, 1), (two, 2)):
            await worker.client.start(
                Purchase, Wanted(Decimal(total)), key="same", attributes={"region": "eu"}
            )
        mine, theirs = one.client.get(Purchase, "same"), two.client.get(Purchase, "same")
        assert mine.id != theirs.id
        assert (await mine.attributes())["total"] == 1
        for worker, total in ((one, 1), (two, 2)):
            [found], _ = await worker.client.find("region = eu")
            assert found.context.total == total
            assert await keys(worker.client, "total >= 0 sort by total") == ["same"]
            assert str(await worker.client.count()) == "1"
            assert len((await worker.client.list())[0]) == 1
        told = await one.client.broadcast("region = eu", Add(Decimal(10)), key="b")
        assert told == Broadcast(sent=1)
        assert await two.client.broadcast("region = eu", Add(Decimal(20)), key="b") == Broadcast(sent=1)
        for worker in (one, two):
            run = worker.client.get(Purchase, "same")
            await run.send(Pay(), dedupe="pay")
            await run.send(Pay(), dedupe="pay again")
        assert (await mine.result(20), await theirs.result(20)) == (Decimal(11), Decimal(22))
        with pytest.raises(RunNotFound):
            await one.client.send(theirs.id, Pay())
        with pytest.raises(RunNotFound):
            await one.client.attributes(theirs.id)


async def test_several_instances_in_one_process(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Apps on journals and namespaces of their own share a process and nothing else."""
    folder = tmp_path_factory.mktemp("apps")
    urls = [f"sqlite:///{folder}/one.db", f"sqlite:///{folder}/two.db", "memory://apps", "memory://apps"]
    names = ["shop", "shop", "shop", "back"]
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(Worker(url, [Purchase], namespace=name))
            for url, name in zip(urls, names, strict=True)
        ]
        for total, worker in enumerate(workers):
            run = await worker.client.start(Purchase, Wanted(Decimal(total)), key="k")
            await run.send(Pay(), dedupe="one")
            await run.send(Pay(), dedupe="two")
        results = [await worker.client.get(Purchase, "k").result(20) for worker in workers]
        assert results == [0, 1, 2, 3]
        for total, worker in enumerate(workers):
            assert str(await worker.client.count(f"total = {total} and state = bought")) == "1"
            assert str(await worker.client.count()) == "1"


def test_plain_code_finds_as_well(shared_journal: str) -> None:
    with SyncClient(shared_journal, [Purchase]) as client:
        run = client.start(Purchase, Wanted(Decimal(5)), attributes={"region": "eu"})
        run.set_attributes({"region": "us"})
        [found], cursor = client.find("region = us and total = 5")
        assert (found.id, cursor) == (run.id, None)
        assert str(client.count("region = us")) == "1"
        assert client.attributes(run)["region"] == run.attributes()["region"] == "us"
        assert client.broadcast("region = us", Add(Decimal(1)), key="b") == Broadcast(sent=1)
