"""Lanes: what waits goes together, and masses go over a second connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from attrs import define, field

from continuum_core.errors import UsageError
from continuum_core.journal.protocol import Limits
from continuum_redis.lane import Lane
from continuum_redis.link import Call, Link, Space
from continuum_redis.place import parse


@define(eq=False)
class Slow(Link):
    """A link whose answers come when the test says so: each member is told itself."""

    asked: list[int] = field(factory=list[int])
    dropped: bool = False
    gate: asyncio.Event = field(factory=asyncio.Event)

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        told = [list(call.arguments[8:]) for call in calls]  # a count, then members of one byte
        self.asked.append(sum(map(len, told)))
        await self.gate.wait()
        return told

    async def drop(self) -> None:
        self.dropped = True


def slow() -> Slow:
    return Slow(Space(parse("redis://nowhere"), "lane", Limits()))


def members(count: int, first: int = 0) -> list[tuple[int, bytes]]:
    return [(0, bytes([(first + place) % 256])) for place in range(count)]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_waits_goes_together_until_there_are_masses_of_it() -> None:
    one, other = slow(), slow()
    lane = Lane("lane", one, other)
    jobs = [asyncio.ensure_future(lane.gather("commit", members(1)))]
    await settle()
    jobs += [asyncio.ensure_future(lane.gather("commit", members(21, 21 * place))) for place in range(1, 4)]
    await settle()
    assert (one.asked, other.asked) == ([1], [])  # sixty-three wait for the first connection
    jobs.append(asyncio.ensure_future(lane.gather("commit", members(1, 84))))
    await settle()
    assert (one.asked, other.asked) == ([1], [64])
    jobs.append(asyncio.ensure_future(lane.gather("commit", members(5, 85))))
    other.gate.set()
    await settle()
    assert (one.asked, other.asked) == ([1], [64])  # few: they wait for the first
    one.gate.set()
    told = [reply for each in await asyncio.gather(*jobs) for reply in each]
    assert told == [0, *range(21, 90)]
    assert one.asked == [1, 5]
    await lane.stop()
    assert one.dropped
    assert other.dropped


async def test_one_connection_takes_a_batch_and_leaves_the_rest_to_the_other() -> None:
    one, other = slow(), slow()
    lane = Lane("lane", one, other)
    jobs = [asyncio.ensure_future(lane.gather("commit", members(100))) for _ in range(4)]
    await settle()
    assert (one.asked, other.asked) == ([200], [200])
    one.gate.set()
    other.gate.set()
    assert await asyncio.gather(*jobs) == [list(range(100))] * 4
    await lane.stop()


async def test_a_lane_that_is_stopped_carries_out_what_waits_and_takes_no_more() -> None:
    one, other = slow(), slow()
    lane = Lane("lane", one, other)
    jobs = [asyncio.ensure_future(lane.gather(verb, members(70))) for verb in ("commit", "renew", "release")]
    await settle()
    stopping = asyncio.ensure_future(lane.stop())
    await settle()
    with pytest.raises(UsageError):
        await lane.gather("commit", members(1))
    assert not stopping.done()
    one.gate.set()
    other.gate.set()
    assert await asyncio.gather(*jobs) == [list(range(70))] * 3
    await stopping
