"""Activities that a release moves to another queue: what waits in the old one is taken all the same."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import pytest

from continuum_core import Client, Machine, Queue, Worker, activity, root
from continuum_core.cli.health import sections
from continuum_core.errors import DefinitionError, UsageError
from continuum_core.journal.connect import connect
from continuum_core.taking import wanted
from tests.runtime.machines import Ctx

MachineClass = type[Machine[Any, Any, Any]]


def release(
    queue: str | Queue, version: int = 1, formerly: str | Queue | Sequence[str | Queue] = ()
) -> MachineClass:
    """A machine of one activity, as a release has it."""

    @activity(queue=queue, formerly=formerly)
    async def charge(name: str) -> str:
        return f"charged {name}"

    class Paying(Machine[Ctx, str, str], name="paying", version=version):
        s = root(Ctx)
        charging = s.state(initial=True)
        done = s.final()

        @staticmethod
        def init(i: str) -> Ctx:
            return Ctx(i)

        @staticmethod
        def result(c: Ctx) -> str:
            return c.name

        charging.invoke(charge, lambda c: c.name, done=done, error=done)

    return Paying


@pytest.fixture(params=["memory", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    name = f"moved_{os.urandom(6).hex()}"
    if request.param == "memory":
        return f"memory://{name}"
    return f"{request.getfixturevalue('postgres_database')}?schema={name}"


async def left_waiting(url: str, machines: Sequence[MachineClass], client: Client) -> Any:
    """A run of the first machine, whose task waits in its queue: nobody has served it."""
    async with Worker(url, machines, queues={}, poll=0.1):
        run = await client.start(machines[0], "a")
        while not (await run.view()).tasks:
            await asyncio.sleep(0)
    return run


async def test_tasks_of_an_older_version_are_taken_from_its_queue(url: str) -> None:
    old, new = release("cards", 1), release("payments", 2)
    async with Client(url, [old]) as client:
        run = await left_waiting(url, [old], client)
        async with Worker(url, [old, new], poll=0.1):
            assert await run.result(30) == "a"


@pytest.mark.parametrize("queues", [None, {"cards": 1}], ids=["all queues", "the old one"])
async def test_tasks_of_an_older_release_are_taken_where_the_move_is_declared(
    url: str, queues: dict[str, int] | None
) -> None:
    """The same version, adopted: nothing of the old queue is in the code but its name."""
    old, new = release("cards"), release("payments", formerly="cards")
    async with Client(url, [old]) as client:
        run = await left_waiting(url, [old], client)
        async with Worker(url, [new], queues=queues, poll=0.1):
            assert await run.result(30) == "a"


async def test_health_tells_of_queues_that_no_live_worker_wants(url: str) -> None:
    """Not of one that is wanted, whether or not it is at its limit; nor once somebody serves it again."""
    old, new = release("cards"), release("payments")
    async with Client(url, [old]) as client:
        run = await left_waiting(url, [old], client)
        async with Worker(url, [new], poll=0.1) as other:
            while not await wanted(other.journal, [("payments", "charge")]):
                await asyncio.sleep(0)
            (section,) = [each for each in await sections(url, None) if each.name == "queues"]
            assert not section.ok
            assert list(section.facts) == ["queue cards"]
            told = str(section.facts["queue cards"])
            assert "tasks of charge wait, and no live worker wants them" in told
        async with Worker(url, [old], poll=0.1):
            assert await run.result(30) == "a"
        assert [each.ok for each in await sections(url, None) if each.name == "queues"] == [True]


async def test_what_is_wanted_is_what_is_served() -> None:
    journal = connect("memory://wanted-and-served")
    await journal.open()
    machines = [release("payments", formerly=("cards", "cash"))]
    lanes = [(queue, "charge") for queue in ("payments", "cards", "cash", "other")]
    async with Worker("memory://wanted-and-served", machines, queues={"payments": 1, "cash": 1}, poll=0.1):
        while not await wanted(journal, lanes):
            await asyncio.sleep(0)
        assert await wanted(journal, [*lanes, ("cash", "refund")]) == {lanes[0], lanes[2]}
    await journal.close()


def test_a_queue_that_was_left_keeps_its_limits() -> None:
    """They are declared with it; and declared once."""
    cards, payments = Queue("cards", limit=2), Queue("payments", limit=3)
    machine = release(payments, formerly=cards)
    worker = Worker("memory://", [machine])
    assert worker.registry.queues() == {"cards": cards, "payments": payments}
    assert dict(worker.settings.queues).keys() == {"cards", "payments", "default"}
    with pytest.raises(UsageError, match="queue 'cards' is declared in two ways"):
        Worker("memory://", [machine, release(Queue("cards", limit=1), 2)])


@pytest.mark.parametrize(
    ("formerly", "told"),
    [
        ("", "formerly is empty"),
        (7, "formerly=7 names no queue"),
        (("cards", 7), "formerly=7 is not a queue"),
        ("payments", "it is in queue 'payments', and formerly as well"),
        (Queue("cards", limit=0), "limit=0 of queue 'cards' is out of range"),
    ],
    ids=str,
)
def test_a_former_queue_that_cannot_be_is_refused(formerly: Any, told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        release("payments", formerly=formerly)


def test_a_queue_that_nobody_was_in_is_refused_still() -> None:
    machine = release("payments", formerly="cards")
    with pytest.raises(UsageError, match=r"no activity is in queue 'card'; .*did you mean 'cards'"):
        Worker("memory://", [machine], queues={"card": 1})
