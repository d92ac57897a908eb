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
