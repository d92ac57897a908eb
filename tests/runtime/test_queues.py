"""Queues with limits over all workers, and fair ones: what the engine starts when, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from attrs import define, field, frozen

import continuum_memory
from continuum_core import Machine, Queue, Rate, Retry, activity, root
from continuum_core.journal.commit import TaskClaims
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Engine
from tests.runtime.machines import Ctx

SECOND = timedelta(seconds=1)
CAP, BURST, PER_MINUTE = 3, 2, 6

CARDS = Queue("cards", limit=CAP)
MAIL = Queue("mail", rate=Rate(PER_MINUTE, per=timedelta(minutes=1), burst=BURST))


@frozen
class Order:
    tenant: str
    number: int


def tenant(order: Order) -> str:
    return order.tenant


@activity(queue=CARDS, retry=Retry(attempts=2, first=SECOND, jitter=0.0))
async def charge(name: str) -> str:
    return name


@activity(queue="cards")
async def refund(name: str) -> str:
    return name


@activity(queue=MAIL)
async def send(name: str) -> str:
    return name


@activity(queue="shared", fairness=tenant)
async def ship(order: Order) -> int:
    return order.number


def one_activity(name: str, body: Any) -> Any:
    """A machine that carries one activity out and ends."""

    class Doing(Machine[Ctx, str, str], name=name):
        s = root(Ctx)
        working = s.state(initial=True)
        done = s.final()

        @staticmethod
        def init(i: str) -> Ctx:
            return Ctx(i)

        @staticmethod
        def result(c: Ctx) -> str:
            return c.name

        working.invoke(body, lambda c: c.name, done=done, error=done)

    return Doing


Charging, Refunding, Mailing = (one_activity(b.name, b) for b in (charge, refund, send))


class Shipping(Machine[Order, Order, int], name="shipping"):
    s = root(Order)
    working = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: Order) -> Order:
        return i

    @staticmethod
    def result(c: Order) -> int:
        return c.number

    working.invoke(ship, lambda c: c, done=done, error=done)


@define
class Seen:
    """What the bodies that stand in saw of one another."""

    engine: Engine
    length: timedelta
    started: list[tuple[datetime, Any]] = field(factory=list[Any])
    running: int = 0
    most: int = 0

    async def body(self, value: Any) -> Any:
        self.started.append((self.engine.now(), value))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.engine.sleep(self.length)
        finally:
            self.running -= 1
        return value

    def seconds(self, since: datetime) -> list[float]:
        return [(at - since).total_seconds() for at, _ in self.started]


# --- caps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", [1, 2, 100], ids="{} a worker".format)
async def test_a_limit_holds_over_all_workers_and_is_made_use_of(journal: str, each: int) -> None:
    """Never more at once than the queue's limit and each worker's own, and never fewer while some wait."""
    async with Engine([Charging], journal=journal, queues={"cards": each}) as engine:
        await engine.join()
        seen = Seen(engine, 10 * SECOND)
        engine.stub(charge, calls=seen.body)
        begin = engine.now()
        runs = [await engine.start(Charging, f"r{n}") for n in range(12)]
        most = min(CAP, 2 * each)
        assert seen.running == most
        await engine.advance(12 // most * 10 * SECOND)
        assert seen.most == most
        assert [(await engine.view(run)).status for run in runs] == [RunStatus.COMPLETED] * 12
        assert seen.seconds(begin) == [10.0 * (n // most) for n in range(12)]


async def test_an_activity_that_names_the_queue_is_bound_as_well(journal: str) -> None:
    async with Engine([Refunding, Charging], journal=journal) as engine:
        seen = Seen(engine, 10 * SECOND)
        engine.stub(charge, calls=seen.body)
        engine.stub(refund, calls=seen.body)
        for n in range(4):
            await engine.start(Charging, f"c{n}")
            await engine.start(Refunding, f"r{n}")
        await engine.advance(30 * SECOND)
        assert (seen.most, len(seen.started), seen.running) == (CAP, 8, 0)


async def test_a_task_that_waits_for_its_next_try_takes_no_place(journal: str) -> None:
    async with Engine([Charging], journal=journal) as engine:
        engine.stub(charge, raises=ValueError("no"))
        for n in range(CAP):
            await engine.start(Charging, f"f{n}")
        seen = Seen(engine, 10 * SECOND)
        engine.stub(charge, calls=seen.body)
        for n in range(CAP):
            await engine.start(Charging, f"r{n}")
        assert seen.running == CAP
        await engine.advance(20 * SECOND)
        assert (seen.most, len(seen.started)) == (CAP, 2 * CAP)


async def test_a_workers_death_frees_its_places_when_its_lease_ends(journal: str) -> None:
    async with Engine([Charging], journal=journal, lease=60.0) as engine:
        stub = engine.stub(charge, hangs=True)
        for n in range(5):
            await engine.start(Charging, f"r{n}")
        assert stub.calls == ["r0", "r1", "r2"]
        await engine.crash()
        await engine.advance(59 * SECOND)
        assert len(stub.calls) == 3, "the journal cannot know yet that nobody holds them"
        await engine.advance(2 * SECOND)
        assert stub.calls[3:5] == ["r3", "r4"]
        assert len(stub.calls) <= 6


# --- rates -------------------------------------------------------------------------------------------


async def test_a_rate_holds_in_every_window_and_is_made_use_of(journal: str) -> None:
    """At most burst + count * t / per starts in any span t; each as soon as its token is there."""
    async with Engine([Mailing], journal=journal, queues={"mail": 9}) as engine:
        await engine.join()
        seen = Seen(engine, 15 * SECOND)
        engine.stub(send, calls=seen.body)
        begin = engine.now()
        for n in range(12):
            await engine.start(Mailing, f"r{n}")
        await engine.advance(timedelta(minutes=3))
        await engine.start(Mailing, "late")
        await engine.start(Mailing, "later")
        await engine.start(Mailing, "last")
        await engine.advance(timedelta(minutes=1))
        at = seen.seconds(begin)
        for first, since in enumerate(at):
            for last, until in enumerate(at[first:], first):
                assert last - first + 1 <= BURST + PER_MINUTE * (until - since) / 60
        tokens = [max(0.0, (n + 1 - BURST) * 10.0) for n in range(12)]
        assert at == [*tokens, 180.0, 180.0, 190.0]


async def test_each_try_takes_a_token(journal: str) -> None:
    async with Engine([Mailing], journal=journal) as engine:
        stub = engine.stub(send, raises=ValueError("no"))
        await engine.start(Mailing, "a")
        await engine.advance(4 * SECOND)
        assert len(stub.calls) == 2, "the first retry has the burst's second token"
        await engine.advance(5 * SECOND)
        assert len(stub.calls) == 2
        await engine.advance(2 * SECOND)
        assert len(stub.calls) == 3


async def test_whoever_waits_for_a_token_or_a_place_does_not_ask_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claims = 0
    true: Callable[..., Any] = continuum_memory.MemoryJournal.claim_tasks

    async def counted(*arguments: Any) -> TaskClaims:
        nonlocal claims
        claims += 1
        answer: TaskClaims = await true(*arguments)
        return answer

    monkeypatch.setattr(continuum_memory.MemoryJournal, "claim_tasks", counted)
    async with Engine([Mailing, Charging]) as engine:
        engine.stub(send, hangs=True)
        engine.stub(charge, hangs=True)
        for n in range(8):
            await engine.start(Mailing, f"m{n}")
            await engine.start(Charging, f"c{n}")
        claims = 0
        await engine.advance(timedelta(seconds=45))
        assert claims <= 2 * 5, "one that gets a token's task and one that gets nothing, each time"
        await engine.advance(timedelta(seconds=30))
        claims = 0
        await engine.advance(timedelta(hours=2))
        assert claims <= 60, "leases are renewed, and nothing else happens"


async def test_each_queue_stands_first_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands first is served whatever is at its head: a task that was lost twice comes alone."""
    asked: list[list[str]] = []
    true: Callable[..., Any] = continuum_memory.MemoryJournal.claim_tasks

    async def heard(journal: Any, claim_id: Any, wants: Any, lease: int) -> TaskClaims:
        asked.append([want.queue for want in wants])
        answer: TaskClaims = await true(journal, claim_id, wants, lease)
        return answer

    monkeypatch.setattr(continuum_memory.MemoryJournal, "claim_tasks", heard)
    slots = {"cards": 1, "mail": 9, "shared": 9}
    async with Engine([Mailing, Charging, Shipping], queues=slots, poll=5.0) as engine:
        engine.stub(charge, hangs=True)
        asked.clear()
        for _ in range(4):
            await engine.advance(timedelta(seconds=30))
        assert {tuple(sorted(wants)) for wants in asked} == {("cards", "mail", "shared")}
        assert len({tuple(wants) for wants in asked}) == 3
        assert all(one[1:] + one[:1] == other for one, other in pairwise(asked))
        await engine.start(Charging, "a")
        asked.clear()
        for _ in range(4):
            await engine.advance(timedelta(seconds=30))
        full = [wants for wants in asked if "cards" not in wants]
        assert full[-4:] in (
            [["mail", "shared"], ["shared", "mail"]] * 2,
            [["shared", "mail"], ["mail", "shared"]] * 2,
        )


async def test_what_an_embedded_client_starts_passes_no_limit_by(journal: str) -> None:
    """Elsewhere its first tasks are born in the worker's hands."""
    async with Engine([Charging, Mailing], journal=journal, queues={"default": 1}) as engine:
        worker = await engine.join(queues={"cards": 9, "mail": 9})
        cards, mail = engine.stub(charge, hangs=True), engine.stub(send, hangs=True)
        for n in range(6):
            await worker.client.start(Charging, f"c{n}")
            await worker.client.start(Mailing, f"m{n}")
        await engine.settle()
        assert (len(cards.calls), len(mail.calls)) == (CAP, BURST)


# --- fairness ----------------------------------------------------------------------------------------


async def test_a_tenants_one_task_waits_behind_one_of_each_other(journal: str) -> None:
    """However long the backlogs of the others: they were there first, and it is served in turn."""
    async with Engine([Shipping], journal=journal, queues={"shared": 1, "default": 1}) as engine:
        seen = Seen(engine, SECOND)
        engine.stub(ship, calls=seen.body)
        for n in range(20):
            await engine.start(Shipping, Order("big", n))
        for n in range(5):
            await engine.start(Shipping, Order("middling", n))
        await engine.advance(2 * SECOND)
        small = await engine.start(Shipping, Order("small", 0))
        before = len(seen.started)
        (waiting,) = (await engine.view(small)).tasks
        await engine.advance(30 * SECOND)
        order = [each.tenant for _, each in seen.started]
        behind = order[before : order.index("small")]
        assert sorted(set(behind)) == sorted(behind), "one of each other, at most"
        assert waiting.place == len(behind)
        assert len(order) == 26
        numbers = [each.number for _, each in seen.started if each.tenant == "big"]
        assert numbers == list(range(20)), "of one tenant, the first come is served first"


async def test_two_workers_share_one_round(journal: str) -> None:
    async with Engine([Shipping], journal=journal, queues={"shared": 1}) as engine:
        await engine.join()
        seen = Seen(engine, SECOND)
        engine.stub(ship, calls=seen.body)
        for key in "aaaaaabbbbc":
            await engine.start(Shipping, Order(key, len(seen.started)))
        await engine.advance(10 * SECOND)
        keys = [each.tenant for _, each in seen.started[2:]]
        # Each second both claim one task; which of the two bodies begins first is nobody's promise.
        assert ["".join(sorted(keys[at : at + 2])) for at in range(0, 9, 2)] == ["bc", "ab", "ab", "ab", "a"]


# --- places ------------------------------------------------------------------------------------------


async def test_who_waits_sees_its_place_and_never_an_error(journal: str) -> None:
    async with Engine([Charging], journal=journal) as engine:
        engine.stub(charge, hangs=True)
        runs = [await engine.start(Charging, f"r{n}") for n in range(CAP + 3)]
        views = [await engine.view(run) for run in runs]
        assert [view.tasks[0].place for view in views] == [None] * CAP + [0, 1, 2]
        assert [view.tasks[0].claimed for view in views] == [True] * CAP + [False] * 3
        assert {view.status for view in views} == {RunStatus.RUNNING}


# --- faults ------------------------------------------------------------------------------------------


@activity(queue="broken", fairness=lambda name: name[9])  # type: ignore[misc, unused-ignore]  # it raises
async def unfair(name: str) -> str:
    return name


async def test_a_fairness_function_that_fails_parks_the_run_and_is_named(journal: str) -> None:
    machine = one_activity("unfair", unfair)
    async with Engine([machine], journal=journal) as engine:
        run = await engine.start(machine, "short")
        view = await engine.view(run)
        assert view.status is RunStatus.PARKED
        assert "fairness of activity unfair: IndexError" in view.cause
        whole = await engine.start(machine, "long enough")
        assert await whole.result() == "long enough"
