"""What workers take is told by who is there, and by what is reserved: whichever way a worker says it."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any, cast
from uuid import UUID, uuid4

from continuum_core.journal.connect import connect
from continuum_core.journal.declared import VERBS, declared
from continuum_core.journal.protocol import Capability, Journal
from continuum_core.taking import announce, taken, wanted, withdraw

MINUTE = 60_000_000
LANE = ("queue", "act")


class Knowing:
    """A journal that vouches for workers while it is told to."""

    def __init__(self, inner: Journal) -> None:
        self._inner: Any = inner
        self.capabilities = (declared(inner) or frozenset()) | {Capability.PRESENCE}
        self.vouches = True
        self.said: dict[UUID, frozenset[str]] = {}
        self.reserved: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def present(self, worker: UUID, keys: Collection[str]) -> bool:
        if keys and not self.vouches:
            return False
        self.said[worker] = frozenset(keys)
        return True

    async def presence(self, keys: Collection[str]) -> frozenset[str]:
        there = {key for had in self.said.values() for key in had}
        return frozenset(key for key in keys if key in there)

    async def reserve(self, asked: Collection[Any]) -> Any:
        self.reserved.append(len(asked))
        return await self._inner.reserve(asked)


async def knowing() -> tuple[Knowing, Journal]:
    """A journal, and the same as the engine has it."""
    inner = connect(f"memory://{os.urandom(6).hex()}")
    await inner.open()
    journal = Knowing(inner)
    assert VERBS[Capability.PRESENCE] == ("present", "presence")
    return journal, cast(Journal, journal)


async def test_nothing_is_reserved_for_or_of_who_is_there() -> None:
    knows, journal = await knowing()
    worker = uuid4()
    await announce(journal, worker, ["b", "a"], [LANE], MINUTE)
    assert await taken(journal, ["a", "b"]) == {"a", "b"}
    assert await wanted(journal, [LANE]) == {LANE}
    assert knows.reserved == []
    assert await taken(journal, ["a", "c"]) == {"a"}
    assert knows.reserved == [1], "it may be reserved by a worker that says so that way"
    await withdraw(journal, worker)
    assert await taken(journal, ["a", "b"]) == set()
    assert await wanted(journal, [LANE]) == set()


async def test_what_cannot_be_vouched_for_is_reserved() -> None:
    knows, journal = await knowing()
    knows.vouches = False
    await announce(journal, uuid4(), ["a"], [LANE], MINUTE)
    assert knows.reserved == [2]
    knows.vouches = True
    await announce(journal, uuid4(), ["b"], [], MINUTE)
    assert await taken(journal, ["a", "b", "c"]) == {"a", "b"}
    assert await wanted(journal, [LANE, ("queue", "other")]) == {LANE}


async def test_a_definition_and_a_lane_are_told_apart() -> None:
    """Whatever a fingerprint looks like: a definition that is taken is no queue that is wanted."""
    knows, journal = await knowing()
    await announce(journal, uuid4(), [], [LANE], MINUTE)
    (key,) = next(iter(knows.said.values()))
    assert await taken(journal, [key.rpartition(" ")[2]]) == set()


async def test_who_takes_nothing_says_nothing() -> None:
    knows, journal = await knowing()
    knows.vouches = False
    await announce(journal, uuid4(), [], [], MINUTE)
    assert await taken(journal, []) == set()
    assert knows.reserved == []
