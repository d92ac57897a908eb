"""Each kind of fault does what its name says, on asyncio, over the memory journal."""

from __future__ import annotations

import asyncio
import random
from uuid import UUID

import pytest

from continuum_core.errors import JournalUnavailable
from continuum_core.journal.commit import Delivered, DeliverOutcome, NewRun
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import Delivery, DeliveryKind
from continuum_core.testing.faults import Call, Crash, Fault, FaultKind, FaultyJournal, at_call, at_random

_RUN = UUID(int=1)
_EVENT = Delivery(UUID(int=3), _RUN, DeliveryKind.SIGNAL, b"", dedupe="once")


async def _started(fault: Fault, verb: str = "deliver") -> FaultyJournal:
    journal = FaultyJournal(connect("memory://"), at_call(verb, 1, fault))
    await journal.open()
    start = Delivery(UUID(int=2), _RUN, DeliveryKind.START, b"")
    await journal.start([NewRun(_RUN, "m", "f", b"", start)])
    return journal


async def _deliver(journal: Journal) -> Delivered:
    [answer] = await journal.deliver([_EVENT])
    return answer


async def _there(journal: FaultyJournal) -> bool:
    found = await journal.inner.inspect(_RUN)
    assert found is not None
    return any(delivery.id == _EVENT.id for delivery in found.deliveries)


@pytest.mark.parametrize(
    ("kind", "ambiguous", "done"),
    [
        (FaultKind.LOST_REQUEST, True, False),
        (FaultKind.LOST_REPLY, True, True),
        (FaultKind.REFUSED, False, False),
    ],
)
def test_a_call_that_fails(kind: FaultKind, ambiguous: bool, done: bool) -> None:
    async def scenario() -> None:
        journal = await _started(Fault(kind))
        with pytest.raises(JournalUnavailable) as caught:
            await _deliver(journal)
        assert caught.value.ambiguous is ambiguous
        assert await _there(journal) is done
        await _deliver(journal)
        assert await _there(journal)

    asyncio.run(scenario())


@pytest.mark.parametrize(("kind", "done"), [(FaultKind.CRASH_BEFORE, False), (FaultKind.CRASH_AFTER, True)])
def test_a_process_that_dies(kind: FaultKind, done: bool) -> None:
    async def scenario() -> None:
        journal = await _started(Fault(kind))
        with pytest.raises(Crash):
            await _deliver(journal)
        assert await _there(journal) is done

    asyncio.run(scenario())


def test_a_request_that_is_sent_twice_is_answered_the_second_time() -> None:
    async def scenario() -> None:
        journal = await _started(Fault(FaultKind.TWICE))
        assert (await _deliver(journal)).outcome is DeliverOutcome.DUPLICATE
        assert await _there(journal)

    asyncio.run(scenario())


def test_a_late_request_is_done_after_all() -> None:
    async def scenario() -> None:
        journal = await _started(Fault(FaultKind.LATE, late=0.0))
        with pytest.raises(JournalUnavailable) as caught:
            await _deliver(journal)
        assert caught.value.ambiguous
        assert not await _there(journal)
        while not await _there(journal):  # nobody else would say so
            await asyncio.sleep(0)

    asyncio.run(scenario())


def test_a_wakeup_that_is_lost_lasts_its_whole_time() -> None:
    async def scenario() -> None:
        slept: list[float] = []

        class Told:
            async def pause(self, seconds: float) -> None:
                slept.append(seconds)

            async def crash(self) -> None:
                raise Crash

            def later(self, seconds: float, work: object) -> None:
                raise AssertionError("nothing is late here")

        journal = FaultyJournal(
            connect("memory://"), at_call("wait", 1, Fault(FaultKind.NO_WAKEUP)), surroundings=Told()
        )
        await journal.open()
        await journal.wait(60.0)
        assert slept == [60.0]

    asyncio.run(scenario())


def test_siblings_share_the_numbers_of_their_calls() -> None:
    async def scenario() -> None:
        journal = FaultyJournal(connect("memory://"), at_call("now", 2, Fault(FaultKind.REFUSED)))
        sibling = journal.sibling()
        await journal.open()
        await sibling.open()
        await journal.now()
        with pytest.raises(JournalUnavailable):
            await sibling.now()

    asyncio.run(scenario())


def test_chance_follows_its_seed_and_its_rates() -> None:
    rates = {FaultKind.REFUSED: 0.3, FaultKind.LATE: 0.3, FaultKind.NO_WAKEUP: 0.1}

    def drawn(seed: int, verb: str) -> list[FaultKind]:
        choose = at_random(rates, random.Random(seed))
        return [choose(Call(verb, number, 1)).kind for number in range(200)]

    assert drawn(1, "commit") == drawn(1, "commit")
    assert drawn(1, "commit") != drawn(2, "commit")
    assert set(drawn(1, "commit")) == {FaultKind.NONE, FaultKind.REFUSED, FaultKind.LATE}
    assert FaultKind.LATE not in drawn(1, "load")
    assert FaultKind.NO_WAKEUP in drawn(1, "wait")
