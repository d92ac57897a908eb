"""Who finds a connection free carries his verb out himself; whoever comes meanwhile shares the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from continuum_core.errors import UsageError
from continuum_postgres.lane import Lane
from continuum_postgres.session import Session
from tests.postgres.handles import soon


class Connectionless:
    """A session of a verb that asks nobody."""

    connected = True

    def __init__(self) -> None:
        self.opened = 0
        self.partly = False
        self.committing = False
        self.recovered = 0
        self.dropped = False

    async def recover(self) -> None:
        self.recovered += 1

    async def drop(self) -> None:
        self.dropped = True


class Verb:
    """Answers each number with its double; notes the batches and whose tasks carried them out."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.tasks: list[asyncio.Task[Any] | None] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, session: Session, members: Sequence[int]) -> list[int]:
        self.batches.append(list(members))
        self.tasks.append(asyncio.current_task())
        await self.gate.wait()
        return [2 * member for member in members]


def lane_of() -> tuple[Lane, Connectionless]:
    session = Connectionless()
    return Lane("test", cast("Session", session)), session


async def under_way(lane: Lane, verb: Verb) -> asyncio.Task[list[int]]:
    """A caller who carries his verb out himself, and has to wait in its middle."""
    verb.gate.clear()
    first = asyncio.create_task(lane.gather(verb, [1], prompt=True))
    await asyncio.sleep(0)
    return first


async def test_a_prompt_verb_is_carried_out_by_its_caller() -> None:
    lane, _ = lane_of()
    verb = Verb()
    assert await lane.gather(verb, [1, 2], prompt=True) == [2, 4]
    assert await lane.gather(verb, [3]) == [6]
    here = asyncio.current_task()
    assert [task is here for task in verb.tasks] == [True, False]
    await lane.stop()


async def test_who_comes_while_a_caller_has_the_connection_shares_the_next_batch() -> None:
    lane, _ = lane_of()
    verb = Verb()
    first = await under_way(lane, verb)
    others = [
        asyncio.create_task(lane.gather(verb, [n], prompt=prompt)) for n, prompt in ((2, True), (3, False))
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    late = asyncio.create_task(lane.gather(verb, [4], prompt=True))
    await asyncio.sleep(0)
    assert verb.batches == [[1]]
    verb.gate.set()
    assert await soon(asyncio.gather(first, *others, late)) == [[2], [4], [6], [8]]
    assert verb.batches == [[1], [2, 3, 4]], "and nobody who comes later goes before them"
    await lane.stop()


async def test_a_task_that_waited_for_the_connection_may_find_nothing_left() -> None:
    lane = Lane("test", cast("Session", Connectionless()), cast("Session", Connectionless()))
    slow, verb = Verb(), Verb()
    first = await under_way(lane, slow)
    masses = [asyncio.create_task(lane.gather(verb, list(range(40)))) for _ in range(2)]
    assert len(await soon(asyncio.gather(*masses))) == 2, "the other connection takes them"
    slow.gate.set()
    assert await soon(first) == [2]
    assert await soon(lane.gather(verb, [3])) == [6]
    await lane.stop()


async def test_a_caller_who_is_cancelled_leaves_the_connection_to_others() -> None:
    lane, session = lane_of()
    verb = Verb()
    first = await under_way(lane, verb)
    other = asyncio.create_task(lane.gather(verb, [2]))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(first)
    verb.gate.set()
    assert await soon(other) == [4]
    assert session.recovered == 1
    await lane.stop()


@pytest.mark.parametrize("used", [False, True], ids=["first", "beside a task"])
async def test_stopping_waits_for_who_carries_his_verb_out_himself(used: bool) -> None:
    lane, session = lane_of()
    verb = Verb()
    if used:
        assert await lane.gather(verb, [0]) == [0]
    first = await under_way(lane, verb)
    stopping = asyncio.create_task(lane.stop())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not session.dropped
    verb.gate.set()
    assert await soon(first) == [2]
    await soon(stopping)
    assert session.dropped
    with pytest.raises(UsageError, match="closed"):
        await lane.gather(verb, [2], prompt=True)


class Short:
    """Answers a number with its triple, or does nothing; waits for its gate first."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.asked: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, session: Session, member: int) -> int | None:
        self.asked.append(member)
        await self.gate.wait()
        return 3 * member if self.answers else None


async def single_under_way(lane: Lane, short: Short, long: Verb) -> asyncio.Task[int]:
    """A caller with one member, who has to wait in its middle."""
    short.gate.clear()
    first = asyncio.create_task(lane.single(short, long, 1))
    await asyncio.sleep(0)
    return first


async def test_who_is_alone_is_answered_by_the_short_way_and_else_by_the_long_one() -> None:
    lane, _ = lane_of()
    short, long = Short(), Verb()
    assert await lane.single(short, long, 1) == 3
    short.answers = False
    assert await lane.single(short, long, 2) == 4
    assert (short.asked, long.batches) == ([1, 2], [[2]])
    assert long.tasks == [asyncio.current_task()], "by the caller himself"
    assert lane.free
    await lane.stop()


async def test_it_is_free_while_nobody_uses_it_or_waits_for_it() -> None:
    lane, session = lane_of()
    short, long = Short(), Verb()
    first = await single_under_way(lane, short, long)
    assert not lane.free
    other = asyncio.create_task(lane.gather(long, [2], prompt=True))
    for _ in range(3):
        await asyncio.sleep(0)
    assert long.batches == [], "it waits for who is alone"
    short.gate.set()
    assert await soon(first) == 3
    assert await soon(other) == [4]
    assert lane.free
    last = asyncio.create_task(lane.gather(long, [5]))
    await asyncio.sleep(0)
    assert not lane.free, "nobody uses it yet, and somebody waits for it"
    assert await soon(last) == [10]
    assert lane.free
    session.connected = False
    assert not lane.free, "a connection is to be made, and that may be tried more than once"
    session.connected = True
    await lane.stop()
    assert not lane.free


async def test_who_is_alone_and_cancelled_leaves_the_connection_to_others() -> None:
    lane, session = lane_of()
    short, long = Short(), Verb()
    first = await single_under_way(lane, short, long)
    other = asyncio.create_task(lane.gather(long, [2]))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(first)
    assert await soon(other) == [4]
    assert (session.recovered, long.batches) == (1, [[2]])
    await lane.stop()


async def test_a_waiter_for_the_connection_may_be_cancelled() -> None:
    lane, session = lane_of()
    short, long = Short(), Verb()
    first = await single_under_way(lane, short, long)
    for _ in range(2):
        stopping = asyncio.create_task(lane.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(stopping)
    stopping = asyncio.create_task(lane.stop())
    await asyncio.sleep(0)
    short.gate.set()
    assert await soon(first) == 3
    await soon(stopping)
    assert session.dropped
