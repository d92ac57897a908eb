"""Group commit: batches without lingering, patience with an absent journal, blame for the guilty alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from continuum_core import JournalUnavailable, PayloadRefused
from continuum_core.lane import Lane, Unheard
from continuum_core.testing import VirtualClock, VirtualHost


class Verb:
    """Answers each number with its double; notes the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = 0
        self.ambiguous: list[bool] = []

    async def __call__(self, members: Sequence[int]) -> list[int]:
        self.batches.append(list(members))
        await self.gate.wait()
        if self.away:
            self.away -= 1
            raise JournalUnavailable("away", self.ambiguous.pop(0) if self.ambiguous else False)
        if any(member < 0 for member in members):
            raise PayloadRefused("$", "negative")
        return [2 * member for member in members]


class Noting:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.answers: list[int | None] = []
        self.errors: list[Exception] = []

    def answered(self, answer: int | None) -> None:
        self.answers.append(answer)

    def refused(self, error: Exception) -> None:
        self.errors.append(error)


class Breaking(Noting):
    def answered(self, answer: int | None) -> None:
        raise KeyError(answer)


def lane_of(verb: Verb, **arguments: object) -> Lane[int, int]:
    lane: Lane[int, int] = Lane(VirtualHost(VirtualClock()), verb, "test", **arguments)  # type: ignore[arg-type]  # checked by use
    lane.open()
    return lane


async def test_what_comes_while_a_batch_is_under_way_makes_the_next_one() -> None:
    verb = Verb()
    lane = lane_of(verb, limit=3)
    verb.gate.clear()
    first = asyncio.create_task(lane.ask(1))
    while not verb.batches:
        await asyncio.sleep(0)
    others = [asyncio.create_task(lane.ask(n)) for n in (2, 3, 4, 5)]
    await asyncio.sleep(0)
    verb.gate.set()
    assert await first == 2
    assert [await other for other in others] == [4, 6, 8, 10]
    assert verb.batches == [[1], [2, 3, 4], [5]], "no lingering, and no batch beyond the limit"
    await lane.close()


async def test_masses_go_in_two_batches_at_a_time_and_a_few_wait_for_their_turn() -> None:
    verb = Verb()
    lane = lane_of(verb, limit=100)
    verb.gate.clear()
    asked = [asyncio.create_task(lane.ask(n)) for n in range(100 + 64)]
    while len(verb.batches) < 2:
        await asyncio.sleep(0)
    asked += [asyncio.create_task(lane.ask(n)) for n in range(63)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert [len(batch) for batch in verb.batches] == [100, 64], "both are under way"
    settled = asyncio.create_task(lane.settled())
    await asyncio.sleep(0)
    assert not settled.done()
    verb.gate.set()
    assert await asyncio.gather(*asked) == [2 * n for n in [*range(164), *range(63)]]
    assert [len(batch) for batch in verb.batches] == [100, 64, 63]
    assert await settled
    await lane.close()


async def test_closing_answers_both_batches_under_way_and_what_waits() -> None:
    verb = Verb()
    lane = lane_of(verb, limit=100)
    verb.gate.clear()
    asked = [asyncio.create_task(lane.ask(n)) for n in range(200)]
    while len(verb.batches) < 2:
        await asyncio.sleep(0)
    asked.append(asyncio.create_task(lane.ask(1)))
    await asyncio.sleep(0)
    await lane.close()
    assert await asyncio.gather(*asked) == [None] * 201


async def test_the_same_batch_is_tried_until_the_journal_is_back() -> None:
    verb = Verb()
    verb.away = 5
    lane = lane_of(verb)
    assert await lane.ask(1) == 2
    assert verb.batches == [[1]] * 6
    await lane.close()


async def test_a_member_that_has_aged_is_refreshed_or_given_up() -> None:
    verb = Verb()
    verb.away = 3

    def refresh(member: int, age: float, _unsure: bool) -> int | None:
        if not age:
            return member
        return None if member == 1 else member + 10

    lane = lane_of(verb, refresh=refresh)
    one, two = asyncio.create_task(lane.ask(1)), asyncio.create_task(lane.ask(2))
    assert await one is None
    assert await two == 64
    assert verb.batches == [[1, 2], [12], [22], [32]]
    await lane.close()


async def test_an_error_of_one_member_harms_no_other_and_the_lane_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    verb = Verb()
    lane = lane_of(verb)
    noting = Noting()
    lane.submit(-7, noting)
    lane.submit(-8, Unheard())
    asked = [asyncio.create_task(lane.ask(n)) for n in (1, -2, 3)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert results[0] == 2
    assert isinstance(results[1], PayloadRefused)
    assert results[2] == 6
    assert [type(error) for error in noting.errors] == [PayloadRefused]
    assert not noting.answers, "a refusal is its whole answer"
    assert [record.levelname for record in caplog.records] == ["ERROR"], "of the one that nobody waits for"
    assert await lane.ask(4) == 8
    await lane.close()


async def test_settled_waits_for_what_is_pending() -> None:
    verb = Verb()
    lane = lane_of(verb)
    assert await lane.settled()
    verb.gate.clear()
    asked = asyncio.create_task(lane.ask(1))
    while not verb.batches:
        await asyncio.sleep(0)
    settled = asyncio.create_task(lane.settled())
    await asyncio.sleep(0)
    assert not settled.done()
    verb.gate.set()
    await asked
    assert await settled
    await lane.close()


async def test_a_member_that_grew_old_behind_others_is_refreshed_before_it_is_sent_at_all() -> None:
    verb = Verb()
    verb.away = 1
    lane = lane_of(verb, limit=1, refresh=lambda member, age, _: None if age and member == 2 else member)
    one, two = asyncio.create_task(lane.ask(1)), asyncio.create_task(lane.ask(2))
    assert await one == 2
    assert await two is None
    assert verb.batches == [[1], [1]], "the second was never sent: it waited out an outage in the queue"
    await lane.close()


async def test_a_fault_in_dealing_with_an_answer_ends_neither_the_lane_nor_its_batch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    verb = Verb()
    lane = lane_of(verb)

    noting = Noting()
    lane.submit(1, Breaking())
    lane.submit(2, noting)
    assert await lane.ask(3) == 6
    assert noting.answers == [4]
    assert await lane.ask(4) == 8
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    await lane.close()


async def test_closing_answers_everybody_who_still_waits() -> None:
    verb = Verb()
    lane = lane_of(verb, limit=1)
    verb.gate.clear()
    asked = [asyncio.create_task(lane.ask(n)) for n in (1, 2)]
    while not verb.batches:
        await asyncio.sleep(0)
    await lane.close()
    assert await asyncio.gather(*asked) == [None, None]
    assert await lane.ask(3) is None, "and so is who comes too late"


async def test_who_stops_waiting_does_not_keep_others_from_the_news() -> None:
    verb = Verb()
    lane = lane_of(verb)
    verb.gate.clear()
    heard: list[int | None] = []
    asked = asyncio.create_task(lane.ask(1, heard.append))
    refused = asyncio.create_task(lane.ask(-1, heard.append))
    while not verb.batches:
        await asyncio.sleep(0)
    asked.cancel()
    verb.gate.set()
    with pytest.raises(PayloadRefused):
        await refused
    assert heard == [2, None]
    await lane.close()


async def test_only_what_may_have_taken_effect_is_told_as_unsure() -> None:
    """A refusal that is sure says nothing against an earlier try of which nobody knows."""
    verb = Verb()
    told: list[tuple[int, bool]] = []

    def refresh(member: int, _age: float, unsure: bool) -> int:
        told.append((member, unsure))
        return member

    lane = lane_of(verb, refresh=refresh)
    verb.away, verb.ambiguous = 3, [False, True, False]
    assert await lane.ask(1) == 2
    assert told == [(1, False), (1, False), (1, True), (1, True)]
    await lane.close()
