"""What callers give a client: refused at the door in words, and never taken for an outage."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from continuum_core import Client, RunStatus, UsageError, Worker
from continuum_core.client.connected import Connected
from continuum_core.errors import PayloadRefused, ResultTimeout, RunNotFound
from continuum_core.journal.commit import Query
from continuum_core.journal.connect import connect
from tests.runtime.machines import Finish, Note, Receiver, Waits

NAIVE = datetime(2026, 3, 1)  # the fault under test
UNKNOWN = UUID(int=1)
Call = Callable[[Client], Awaitable[Any]]


@asynccontextmanager
async def opened(journal: str = "memory://") -> AsyncIterator[Client]:
    async with Client(journal, [Receiver, Waits]) as client:
        yield client


def wrong(**given: Any) -> Call:
    return lambda client: client.start(Receiver, "a", **given)


REFUSED: list[tuple[str, Call, str]] = [
    ("status", lambda c: c.list(status="runing"), "none of running, .*did you mean 'running'"),
    ("machine", lambda c: c.list(machine=cast(Any, 5)), "5 is not a machine"),
    ("from", lambda c: c.list(created_from=NAIVE), "created_from=.*give it a time zone"),
    ("to", lambda c: c.list(created_to=cast(Any, 5)), "created_to=5 is no time"),
    ("limit", lambda c: c.list(limit=0), "limit=0 cannot be"),
    ("list-cursor", lambda c: c.list(cursor="!"), "cursor='!' goes on with nothing"),
    ("find-cursor", lambda c: c.find(cursor="!"), "cursor='!' goes on with nothing"),
    ("inner-cursor", lambda c: c.find(cursor="1.!"), "cursor='1.!' goes on with nothing"),
    ("prune", lambda c: c.prune(-1), "older_than=-1 cannot be"),
    ("empty-key", wrong(key=""), "key='' names nothing"),
    ("nul-key", wrong(key="a\0b"), "key='a.x00b' contains NUL, which no text in a journal can"),
    ("half-key", wrong(key="\ud800"), "key='.ud800' contains half of a surrogate pair"),
    ("long-key", wrong(key="é" * 401), "key='é+'… has 802 bytes in UTF-8; a journal holds 800. Give another"),
    ("far-at", wrong(at=datetime(2255, 1, 1, tzinfo=UTC)), "at=.* is beyond what every journal can hold"),
    ("early-at", wrong(at=datetime(1, 1, 1, tzinfo=UTC)), "at=.* is before what every journal can hold"),
    ("far-after", wrong(after=timedelta.max), "after=.* is beyond what every journal can hold"),
    ("far-debounce", wrong(debounce=timedelta.max, key="k"), "debounce=.* is beyond what every"),
    ("far-deadline", wrong(deadline=timedelta(365 * 300)), "deadline=.* the end of the year 2254"),
    ("latest", wrong(deadline=datetime.max.replace(tzinfo=UTC)), "deadline=.* the end of the year 2254"),
    ("number-key", wrong(key=5), "key=5 names nothing"),
    ("at", wrong(at=NAIVE), "at=.*give it a time zone"),
    ("after", wrong(after="5m"), "after='5m' is no length of time: give seconds"),
    ("nan", wrong(after=float("nan")), "after=nan is no length of time"),
    ("endless", wrong(deadline=float("inf")), "deadline=inf is no length of time"),
    ("deadline", wrong(deadline=0), "deadline=0 cannot be: give a length of time longer than 0 s"),
    ("late", wrong(deadline=NAIVE), "deadline=.*give it a time zone"),
    ("debounce", wrong(debounce=-1, key="k"), "debounce=-1 cannot be"),
    ("shorter", wrong(debounce=2, debounce_max=timedelta(seconds=1), key="k"), "is shorter than"),
    ("get-empty", lambda c: c.get(Receiver, "").view(), "key='' names nothing"),
    ("get-number", lambda c: c.get(Receiver, cast(Any, 5)).view(), "key=5 names nothing"),
    ("timeout", lambda c: c.get(Receiver, "k").result("1"), "timeout='1' is no length of time"),  # type: ignore[arg-type]
    ("delay", lambda c: c.get(Receiver, "k").send(Finish(), delay=cast(Any, "1")), "delay='1' is no"),
    ("far-delay", lambda c: c.get(Receiver, "k").send(Finish(), delay=timedelta.max), "delay=.* beyond what"),
    ("nul-dedupe", lambda c: c.get(Receiver, "k").send(Finish(), dedupe="a\0"), "dedupe=.* contains NUL"),
    (
        "half-dedupe",
        lambda c: c.get(Receiver, "k").send(Finish(), dedupe="\udfff"),
        "half of a surrogate",
    ),
    (
        "long-dedupe",
        lambda c: c.get(Receiver, "k").send(Finish(), dedupe="x" * 801),
        "dedupe=.* has 801 bytes",
    ),
    (
        "long-id",
        lambda c: c.ask(UNKNOWN, "finish", id="x" * 800),
        "id=.*; a journal holds 79",
    ),
    ("long-broadcast", lambda c: c.broadcast("", Finish(), key="x" * 800), "key=.* a journal holds 790"),
    ("get-half", lambda c: c.get(Receiver, "\ud800").view(), "no run has the key '.ud800': it contains half"),
    ("view-half", lambda c: c.view("receiver/\ud800"), "no run has the key '.ud800': it contains half"),
    ("nul-why", lambda c: c.suspend(UNKNOWN, "a\0b"), "why='a.x00b' contains NUL.* Say it in other words"),
    ("half-who", lambda c: c.resume(UNKNOWN, who="\ud800"), "who='.ud800' contains half of a surrogate pair"),
    ("long-why", lambda c: c.terminate(UNKNOWN, "x" * 8_001), "why=.* has 8,001 bytes .* holds 8,000"),
    ("cancel-why", lambda c: c.cancel(UNKNOWN, "\ud800"), "why='.ud800' contains half of a surrogate pair"),
    ("no-why", lambda c: c.cancel(UNKNOWN, cast(Any, 5)), "why=5 is no text"),
    ("nothing", lambda c: c.view(cast(Any, None)), "None names no run; give its id, or MACHINE/KEY"),
    ("handle", lambda c: c.handle("order").view(), "'order' names no run; give its id"),
    ("no-key", lambda c: c.handle("order/").view(), "'order/' names no run"),
    ("dedupe", lambda c: c.get(Receiver, "k").send(Finish(), dedupe=""), "dedupe='' names nothing"),
    ("question", lambda c: c.get(Receiver, "k").ask("Note", id=cast(Any, 5)), "id=5 names nothing"),
    ("steps", lambda c: c.get(Receiver, "k").history(limit=0), "limit=0 cannot be"),
    ("before", lambda c: c.get(Receiver, "k").history(after=-1), "after=-1 cannot be"),
    ("point", lambda c: c.get(Receiver, "there").at(NAIVE), "point=.*give it a time zone"),
    ("version", lambda c: c.get(Receiver, "there").at(-1), "has no record -1"),
    ("no-point", lambda c: c.get(Receiver, "there").at(cast(Any, "1")), "point='1' cannot be"),
]


@pytest.mark.parametrize(("call", "told"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
async def test_what_cannot_be_used_is_refused_in_words(call: Call, told: str) -> None:
    async with opened() as client:
        await client.start(Receiver, "a", key="there")
        with pytest.raises(UsageError, match=told):
            await call(client)


async def test_a_machine_is_given_by_class_or_name_and_a_status_by_value_or_name(journal: str) -> None:
    async with opened(journal) as client:
        run = await client.start(Receiver, "a")
        await client.start(Waits, "b")
        for machine in (Receiver, "receiver"):
            for status in (RunStatus.RUNNING, "running", "RUNNING"):
                page, _ = await client.list(machine=machine, status=status)
                assert [view.id for view in page] == [run.id]
                assert [view.id async for view in client.runs(machine=machine, status=status)] == [run.id]
        assert (await client.list(machine=Receiver, status="parked"))[0] == []
        await client.terminate(run)
        assert (await client.prune(0, machine=Waits)).runs == 0
        assert (await client.prune(timedelta(), machine=Receiver)).runs == 1


async def test_a_value_of_a_wrong_type_is_no_outage(shared_journal: str) -> None:
    journal = connect(shared_journal)
    await journal.open()
    # Redis has no driver that looks at types: there it is an error of the code, as in memory.
    refused = AttributeError if shared_journal.startswith("redis") else PayloadRefused
    try:
        with pytest.raises(refused):
            await journal.list(Query(machine=cast(str, object())))
        assert not (await journal.list(Query())).runs  # and the connection is none the worse for it
    finally:
        await journal.close()


async def test_lengths_are_seconds_or_timedeltas_and_those_that_are_over_are_none() -> None:
    async with Worker("memory://", [Receiver]) as worker:
        client = worker.client
        run = await client.start(Receiver, "a", after=timedelta(seconds=-3), deadline=3600)
        with pytest.raises(ResultTimeout, match=r"within 0\.01 s"):
            await run.result(timedelta(milliseconds=10))
        await run.send(Note("one"), delay=-3)
        await run.send(Finish(), delay=timedelta(seconds=-3))
        assert await run.result(20) == "one"


async def test_a_time_that_is_over_is_now() -> None:
    async with Worker("memory://", [Receiver]) as worker:
        run = await worker.client.start(Receiver, "a", at=datetime(2020, 1, 1, tzinfo=UTC))
        await run.send(Finish())
        assert await run.result(20) == ""
        assert (await run.history())[0].event == "start"


async def test_a_run_is_named_by_machine_and_key_wherever_one_is_meant() -> None:
    async with opened() as client:
        run = await client.start(Receiver, "a", key="o/1")
        assert client.handle("receiver/o/1").id == run.id
        assert (await client.view("receiver/o/1")).id == run.id
        await client.send("receiver/o/1", Note("one"))
        assert repr(client.get(Receiver, "o/1")) == f"<run receiver/o/1 {run.id}>"


@pytest.mark.parametrize(
    ("name", "hint"), [("receiver", ""), ("reciever", "; did you mean 'receiver'?"), ("other", "")]
)
async def test_a_run_that_is_not_there_is_named_as_it_was_asked_for(name: str, hint: str) -> None:
    async with opened() as client:
        run = client.get(name, "nope")
        words = f"no run {name}/nope in namespace 'default' (its id there would be {run.id}){hint}"
        calls: list[Call] = [
            lambda c: run.view(),
            lambda c: run.query(lambda ctx: ctx),
            lambda c: run.result(1),
            lambda c: run.lineage(),
            lambda c: run.suspend(),
            lambda c: run.terminate(),
            lambda c: run.history(),
            lambda c: c.send(run, "Note", {"word": "one"}),
            lambda c: c.view(f"{name}/nope"),
        ]
        for call in calls:
            with pytest.raises(RunNotFound) as caught:
                await call(client)
            assert str(caught.value) == words
            assert (caught.value.run, caught.value.id) == (f"{name}/nope", str(run.id))
            assert str(pickle.loads(pickle.dumps(caught.value))) == words  # noqa: S301  # our own bytes
        with pytest.raises(RunNotFound, match=f"^no run {UNKNOWN} in namespace 'default'$"):
            await client.view(UNKNOWN)


async def test_what_an_older_release_has_stored_is_read(
    journal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key longer than one that is taken now: its run is found, sent to and ordered about as ever."""
    key = "x" * 900
    async with Client(journal, [Receiver]) as client:
        with monkeypatch.context() as older:
            older.setattr(Connected, "_key", lambda self, key: key)
            old = await client.start(Receiver, "a", key=key)
        with pytest.raises(UsageError, match="has 900 bytes"):
            await client.start(Receiver, "a", key=key)
        assert client.get(Receiver, key).id == old.id
        assert (await client.view(f"receiver/{key}")).key == key
        await client.get(Receiver, key).send(Finish())
        assert await client.suspend(f"receiver/{key}")


@pytest.mark.parametrize(
    ("namespace", "told"),
    [("a\0b", "contains NUL"), ("\ud800", "half of a surrogate pair"), ("x" * 801, "has 801 bytes")],
)
def test_a_namespace_that_not_every_journal_holds(namespace: str, told: str) -> None:
    with pytest.raises(UsageError, match=f"namespace=.*{told}"):
        connect("memory://", namespace)
