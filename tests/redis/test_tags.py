"""Several hash tags on one server: what goes from one to another arrives once, in order, after any crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from continuum_core import Client, Machine, Worker
from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.commit import DeliverOutcome, FinishOutcome, PrunePlan, RunClaim, TaskClaim
from continuum_core.journal.protocol import Limits
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import RunStatus
from continuum_core.registry import Registry
from continuum_core.replay import verify_run
from continuum_core.testing.conformance.given import (
    HOUR,
    TAKES,
    finish,
    hold_task,
    new_id,
    new_task,
    reservation,
    signal,
    turn,
    want,
)
from continuum_core.testing.conformance.kit import (
    SteppedClock,
    claimed,
    claimed_tasks,
    committed,
    finished,
    payloads,
    row,
    seen,
    started,
)
from continuum_redis.arguments import packed
from continuum_redis.journal import RedisJournal
from continuum_redis.place import parse
from continuum_redis.relay import Relay
from continuum_redis.store import READING, Store
from continuum_redis.tags import Tags, result_name
from tests.postgres.machines import Errand, Go, Patient, Sender, Steps
from tests.redis.handles import asked, opened, raw

COUNT = 4


@pytest.fixture
def tagged(redis_url: str) -> str:
    return f"{redis_url}?tags={COUNT}"


@asynccontextmanager
async def clocked(
    url: str, namespace: str, clock: SteppedClock, limits: Limits | None = None
) -> AsyncIterator[RedisJournal]:
    journal = RedisJournal(parse(url), namespace, limits or Limits(), clock)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


def tags_of(journal: RedisJournal) -> Tags:
    return journal._opened().store.tags


def id_in(journal: RedisJournal, tag: int) -> UUID:
    """The id of a run that is to be in that tag."""
    while tags_of(journal).of_run(run_id := new_id()) != tag:
        pass
    return run_id


async def running(journal: RedisJournal, tag: int) -> tuple[UUID, RunClaim, int]:
    """A run of that tag, claimed."""
    run_id = await started(journal, run_id=id_in(journal, tag))
    claims = await claimed(journal)
    [claim] = [each for each in claims.runs if each.run_id == run_id]
    return run_id, claim, claims.now


def without_relay(journal: RedisJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it commits stays in the outbox, as if it had died at once."""

    sent, mine = Relay.sent, journal._opened().relay

    async def of_others(relay: Relay, tags: Iterable[int]) -> None:
        if relay is not mine:
            await sent(relay, tags)

    monkeypatch.setattr(Relay, "sent", of_others)


async def _verb(journal: RedisJournal, verb: str, tag: int, *values: Any) -> Any:
    """One call of the script: numbers, and lists of bytes."""

    def write(to: Any) -> None:
        for value in values:
            if isinstance(value, list):
                to.list(to.bytes, value)
            else:
                to.number(value)

    return await journal._opened().store.ask(READING, verb, packed(write), tag)


# --- names


def test_names_of_tags_are_frozen() -> None:
    """They are part of the layout: another name would be another journal."""
    assert Tags("continuum:shop", 1).prefixes[0] == b"{continuum:shop}:"
    assert Tags("continuum:shop", 4).prefixes == [
        b"{continuum:shop/3}:",
        b"{continuum:shop/2}:",
        b"{continuum:shop/1}:",
        b"{continuum:shop/0}:",
        b"{continuum:shop}:",
    ]
    assert Tags("continuum:shop", 64).of_run(UUID(int=1)) == 16


@pytest.mark.parametrize("count", [2, 64, 1024])
def test_slots_are_spread_evenly(count: int) -> None:
    slots = Tags("continuum:shop", count).slots[:-1]
    assert sorted(slot * count // 16_384 for slot in slots) == list(range(count))


async def test_runs_are_where_their_tag_says(tagged: str, namespace: str) -> None:
    """The scripts and the client tell tags alike, and every tag has its part."""
    async with opened(tagged, namespace) as journal, raw(tagged) as wire:
        ids = [await started(journal) for _ in range(40)]
        tags = tags_of(journal)
        assert {tags.of_run(run_id) for run_id in ids} == set(tags.all())
        for run_id in ids:
            key = tags.prefixes[tags.of_run(run_id)] + b"r:" + run_id.bytes
            assert await asked(wire, b"EXISTS", key) == 1


async def test_the_number_is_the_journals(redis_url: str, namespace: str) -> None:
    """Whoever says nothing takes what there is; whoever says another is refused."""
    async with opened(f"{redis_url}?tags=4", namespace), opened(redis_url, namespace) as journal:
        assert tags_of(journal).count == 4
        with pytest.raises(IncompatibleJournal, match=r"created with tags=4, and the URL says tags=2.*copy"):
            async with opened(f"{redis_url}?tags=2", namespace):
                pass


@pytest.mark.parametrize("text", ["3", "2048", "-2", "x"])
def test_only_powers_of_two_are_taken(text: str) -> None:
    with pytest.raises(IncompatibleJournal, match="no power of two up to 1024"):
        parse(f"redis://h/0?tags={text}")


# --- messages


async def test_a_message_arrives_before_its_commit_is_answered(tagged: str, namespace: str) -> None:
    async with opened(tagged, namespace) as journal:
        target = await started(journal, run_id=id_in(journal, 0))
        _, claim, now = await running(journal, 1)
        await committed(journal, turn(claim, now, deliveries=(signal(target, b"there"),)))
        assert payloads((await seen(journal, target)).deliveries)[-1:] == [b"there"]
        assert await _verb(journal, "outbox", 1, 10) == []


@pytest.mark.parametrize("crash", ["before reading", "before receiving", "before removing"])
async def test_a_relay_that_dies_is_followed_by_another(
    tagged: str, namespace: str, crash: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it dies: each message arrives once, in its order, by any worker's next claim."""
    async with opened(tagged, namespace) as journal, opened(tagged, namespace) as other:
        without_relay(journal, monkeypatch)
        target = await started(journal, run_id=id_in(journal, 0))
        _, claim, now = await running(journal, 1)
        words = [b"%d" % number for number in range(20)]
        await committed(journal, turn(claim, now, deliveries=tuple(signal(target, word) for word in words)))
        assert payloads((await seen(other, target)).deliveries) == [b"start"], "it is still on its way"
        if crash != "before reading":
            [[to, entries]] = await _verb(journal, "outbox", 1, 7)
            assert (to, len(entries)) == (0, 7)
            if crash == "before removing":
                await _verb(journal, "receive", 0, 1, entries)
        await claimed(other)
        assert payloads((await seen(other, target)).deliveries)[1:] == words
        assert await _verb(other, "outbox", 1, 10) == []


async def test_what_was_taken_and_consumed_is_not_taken_again(
    tagged: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that comes late brings what its target has worked off already."""
    async with opened(tagged, namespace) as journal:
        without_relay(journal, monkeypatch)
        _, claim, now = await running(journal, 1)
        target = await started(journal, run_id=id_in(journal, 0))
        await committed(journal, turn(claim, now, deliveries=(signal(target, b"once"),)))
        [[_, entries]] = await _verb(journal, "outbox", 1, 10)
        await _verb(journal, "receive", 0, 1, entries)
        claims = await claimed(journal)
        [taken] = [each for each in claims.runs if each.run_id == target]
        assert payloads(taken.deliveries) == [b"start", b"once"]
        await committed(journal, turn(taken, claims.now))
        await _verb(journal, "receive", 0, 1, entries)
        assert (await seen(journal, target)).deliveries == ()


async def test_many_relays_at_once_carry_everything_once(
    tagged: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several senders, over several handles: one sender's order is kept at its target."""
    async with opened(tagged, namespace) as journal, opened(tagged, namespace) as other:
        without_relay(journal, monkeypatch)
        target = await started(journal, run_id=id_in(journal, 0))
        for tag in (1, 2, 3):
            _, claim, now = await running(journal, tag)
            words = [signal(target, b"%d %03d" % (tag, number)) for number in range(150)]
            await committed(journal, turn(claim, now, deliveries=tuple(words)))
        relays = [other._opened().relay, type(other._opened().relay)(journal._opened().store)]
        await asyncio.gather(*(relay.begin(tag) for relay in relays for tag in (1, 2, 3)))
        arrived = [word for word in payloads((await seen(journal, target)).deliveries) if word != b"start"]
        assert len(arrived) == 450
        for tag in (1, 2, 3):
            mine = [word for word in arrived if word.startswith(b"%d " % tag)]
            assert mine == [b"%d %03d" % (tag, number) for number in range(150)]


async def test_a_message_before_its_run_waits_and_follows_the_start(tagged: str, namespace: str) -> None:
    async with opened(tagged, namespace) as journal:
        early = id_in(journal, 0)
        _, claim, now = await running(journal, 1)
        await committed(journal, turn(claim, now, deliveries=(signal(early, b"early", dedupe="once"),)))
        await started(journal, run_id=early)
        inspection = await seen(journal, early)
        assert (payloads(inspection.deliveries), inspection.dead) == ([b"start", b"early"], ())
        [told] = await journal.deliver([signal(early, b"again", dedupe="once")])
        assert told.outcome is DeliverOutcome.DUPLICATE


async def test_a_message_waits_a_minute_and_no_longer(tagged: str, namespace: str) -> None:
    """Then it is a dead letter, as one that reached nobody is; so is what is beyond the cap at once."""
    clock = SteppedClock()
    async with clocked(tagged, namespace, clock, Limits(pending=2)) as journal:
        nobody = id_in(journal, 0)
        _, claim, now = await running(journal, 1)
        words = (signal(nobody, b"one"), signal(nobody, b"two"), signal(nobody, b"beyond"))
        await committed(journal, turn(claim, now, deliveries=words))
        clock.at += 59_000_000
        await claimed(journal)
        assert await _verb(journal, "give_up", 0, 10) == 0
        clock.at += 2_000_000
        await claimed(journal)
        await started(journal, run_id=nobody)
        inspection = await seen(journal, nobody)
        assert payloads(inspection.deliveries) == [b"start"]
        assert {letter.delivery.payload for letter in inspection.dead} == {b"one", b"two", b"beyond"}
        assert {letter.reason for letter in inspection.dead} == {"unknown run"}


# --- keyed results


async def _keyed(journal: RedisJournal, tag: int, key: str = "key") -> TaskClaim:
    """A claimed task with a key, of a run in that tag."""
    _, claim, now = await running(journal, tag)
    await committed(journal, turn(claim, now, tasks=(new_task(1, 0, key=key),)))
    claims = await claimed_tasks(journal)
    [task] = [each for each in claims.tasks if each.task.run_id == claim.run_id]
    return task


@pytest.mark.parametrize("crash", [False, True])
async def test_a_result_of_another_tag_is_written_before_the_run_hears_of_it(
    tagged: str, namespace: str, crash: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever tag the key is in, and though the worker dies between: one outcome, told to all."""
    async with opened(tagged, namespace) as journal:
        tasks = [await _keyed(journal, tag) for tag in range(COUNT)]
        [first] = await journal.reserve([reservation(tasks[0].task)])
        [second] = await journal.reserve([reservation(tasks[1].task)])
        assert (first.outcome.value, second.outcome.value) == ("reserved", "busy")
        end = finish(tasks[0], result=b"the outcome")
        if crash:
            gather = Store.gather

            async def dying(store: Store, role: str, verb: str, members: Any, head: bytes = b"") -> list[Any]:
                told = await gather(store, role, verb, members, head)
                if verb == "settle":
                    raise ConnectionError("dead")
                return told

            monkeypatch.setattr(Store, "gather", dying)
            assert tags_of(journal).of(result_name("act", "key")) != 0, "or nothing is done elsewhere"
            with pytest.raises(ConnectionError):
                await journal.finish([end])
            monkeypatch.undo()
        else:
            assert (await finished(journal, end)).outcome is FinishOutcome.FINISHED
        for task in tasks[1:]:
            [told] = await journal.reserve([reservation(task.task)])
            assert (told.outcome.value, told.result) == ("done", b"the outcome")
        again = (await finished(journal, end)).outcome
        assert again is (FinishOutcome.FINISHED if crash else FinishOutcome.GONE)


async def test_a_lost_task_writes_no_result(tagged: str, namespace: str) -> None:
    async with opened(tagged, namespace) as journal:
        for tag in range(COUNT):
            task = await _keyed(journal, tag, key=f"key {tag}")
            end = finish(task, result=b"stale")
            stale = type(end)(end.run_id, end.token, end.slot, end.fence - 1, end.kind, result=end.result)
            assert (await finished(journal, stale)).outcome is FinishOutcome.LOST
            [told] = await journal.reserve([reservation(task.task, key=f"key {tag}")])
            assert told.outcome.value == "reserved"


# --- the engine


async def test_the_engine_does_not_notice(tagged: str, namespace: str) -> None:
    """Steps, timers, deferral, retries and sends over runs of all tags, on two workers."""
    machines: list[type[Machine[Any, Any, Any]]] = [Steps, Patient, Sender]
    async with (
        Worker(tagged, machines, namespace=namespace, poll=0.5),
        Worker(tagged, machines, namespace=namespace, poll=0.5),
        Client(tagged, machines, namespace=namespace) as client,
    ):
        steps = [await client.start(Steps, number) for number in range(20)]
        told = [await client.start(Patient, number, key=f"told {number}") for number in range(6)]
        senders = [await client.start(Sender, Errand(7, f"told {number}")) for number in range(6)]
        for sender in senders:
            await sender.send(Go())
        assert [await patient.result(60) for patient in told] == ["sent,attempt 3"] * 6
        assert [await handle.result(60) for handle in steps] == [number + 3 for number in range(20)]
        for handle in steps:
            await verify_run(client.journal, Registry(machines), handle.id)


# --- queues


async def _tasks_everywhere(journal: RedisJournal, **changes: Any) -> None:
    """Five tasks of a run in each tag."""
    for tag in range(COUNT):
        _, claim, now = await running(journal, tag)
        tasks = tuple(new_task(1, slot, **changes) for slot in range(5))
        await committed(journal, turn(claim, now, tasks=tasks))


async def test_a_cap_holds_over_all_tags(tagged: str, namespace: str) -> None:
    """Three claimers at once, who renew and end what they hold: never more than the cap, and all get done."""
    async with (
        opened(tagged, namespace) as journal,
        opened(tagged, namespace) as second,
        opened(tagged, namespace) as third,
    ):
        await _tasks_everywhere(journal)
        held = peak = done = 0

        async def work(mine: RedisJournal) -> None:
            nonlocal held, peak, done
            while done < 5 * COUNT:
                claims = (await claimed_tasks(mine, want(3, cap=4))).tasks
                held += len(claims)
                peak = max(peak, held)
                for claim in claims:
                    assert await mine.heartbeat([hold_task(claim)], HOUR) == [True]
                    held -= 1  # counted out before it ends: what is seen is never too much
                    assert (await finished(mine, finish(claim))).outcome is FinishOutcome.FINISHED
                    done += 1

        await asyncio.gather(work(journal), work(second), work(third))
        assert done == 5 * COUNT
        assert 1 < peak <= 4


async def test_permits_end_where_leases_do(tagged: str, namespace: str) -> None:
    """A lease that ran out leaves room; one that was renewed does not, nor what a dead claimer acquired."""
    clock = SteppedClock()
    async with clocked(tagged, namespace, clock, Limits(loss_backoff=HOUR)) as journal:
        await _tasks_everywhere(journal)
        capped = want(10, cap=3)
        first = await claimed_tasks(journal, capped, lease=1_000)
        assert len(first.tasks) == 3
        clock.at += 500
        assert await journal.heartbeat([hold_task(first.tasks[0])], 1_000) == [True]
        assert (await claimed_tasks(journal, capped, lease=1_000)).tasks == ()
        clock.at += 500
        assert len((await claimed_tasks(journal, capped, lease=1_000)).tasks) == 2
        clock.at += 1_000
        tasks = journal._opened().tasks
        looks = {0: [0, 0, [[[0, 2, 0]]]]}
        [permits] = await tasks._acquire(new_id(), [capped], looks, 1_000)  # and then it dies
        assert permits.room == 2
        assert len((await claimed_tasks(journal, capped, lease=1_000)).tasks) == 1
        clock.at += 1_000
        assert len((await claimed_tasks(journal, capped, lease=1_000)).tasks) == 3


async def test_a_rate_holds_over_all_tags(tagged: str, namespace: str) -> None:
    """The burst, then a token whenever its time has come; what a claim could not use goes back."""
    clock = SteppedClock()
    async with clocked(tagged, namespace, clock) as journal:
        await _tasks_everywhere(journal)
        limited = want(10, rate=Rate(2, 1_000_000, 3))
        assert len((await claimed_tasks(journal, limited)).tasks) == 3
        empty = await claimed_tasks(journal, limited)
        assert (empty.tasks, empty.next_due) == ((), clock.at + 500_000)
        clock.at += 500_000
        assert len((await claimed_tasks(journal, limited)).tasks) == 1
        clock.at += 60_000_000
        assert len((await claimed_tasks(journal, want(1, rate=Rate(2, 1_000_000, 3)))).tasks) == 1
        assert len((await claimed_tasks(journal, limited)).tasks) == 2
        assert (await claimed_tasks(journal, want(0, rate=Rate(2, 1_000_000, 3)))).next_due is not None


async def test_priority_holds_over_all_tags(tagged: str, namespace: str) -> None:
    async with opened(tagged, namespace) as journal:
        for tag in range(COUNT):
            _, claim, now = await running(journal, tag)
            tasks = tuple(new_task(1, slot, priority=(slot + tag) % 3) for slot in range(6))
            await committed(journal, turn(claim, now, tasks=tasks))
        claims = [(await claimed_tasks(journal, want(5))).tasks for _ in range(5)]
        priorities = [[claim.task.priority for claim in tasks] for tasks in claims]
        assert sorted(priority for each in priorities for priority in each) == [0] * 8 + [1] * 8 + [2] * 8
        assert [sorted(each) for each in priorities] == [
            [0] * 5,
            [0] * 3 + [1] * 2,
            [1] * 5,
            [1] + [2] * 4,
            [2] * 4,
        ]


async def test_every_run_is_claimed_though_suspects_stand_in_front(tagged: str, namespace: str) -> None:
    """Each comes alone, and none keeps others, or is kept, from being claimed."""
    async with opened(tagged, namespace) as journal:
        suspects = [await started(journal, run_id=id_in(journal, tag)) for tag in range(COUNT)]
        while [run_id for run_id in suspects if (await row(journal, run_id)).tries < 2]:
            await journal.claim_runs(new_id(), 10, 1, TAKES)  # and its worker dies at once
        others = [await started(journal, run_id=id_in(journal, tag)) for tag in range(COUNT)]
        met: list[list[UUID]] = []
        for _ in range(20):
            claims = await claimed(journal)
            if claims.runs:
                met.append([claim.run_id for claim in claims.runs])
        assert sorted(run_id for each in met for run_id in each) == sorted([*suspects, *others])
        assert all(len(each) == 1 for each in met if set(each) & set(suspects))


async def test_pruning_takes_the_oldest_of_all_tags(tagged: str, namespace: str) -> None:
    clock = SteppedClock()
    async with clocked(tagged, namespace, clock) as journal:
        ended: list[UUID] = []
        for tag in (2, 0, 3, 1, 2):
            clock.at += 1
            run_id, claim, now = await running(journal, tag)
            await committed(journal, turn(claim, now, status=RunStatus.COMPLETED, outcome=b""))
            ended.append(run_id)
        clock.at += 1
        for left in (3, 1, 0):
            await journal.prune(PrunePlan(clock.at, 2))
            there = [run.run_id for run in await journal.load(ended) if run is not None]
            assert there == ended[len(ended) - left :]
