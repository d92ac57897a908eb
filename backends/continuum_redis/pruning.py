"""Pruning over all tags of a namespace, the oldest first, in bounded calls.

Rule: no call finds or deletes more than a bounded number of entries, whatever the plan's limit: the server
serves nobody else meanwhile. What was found is looked at again where it is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from heapq import merge
from itertools import islice
from typing import Any

from attrs import define, field
from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import Pruned, PrunePlan
from continuum_core.journal.records import ENDED
from continuum_redis.arguments import Arguments, packed
from continuum_redis.blobs import sweep
from continuum_redis.store import READING, TURNING, Store

__all__ = ["prune"]

_DELETED_AT_ONCE = 100
"""Runs or past generations of a tag that one call deletes."""

_TOUCHED_AT_ONCE = 2_000
"""Records that one call cuts away or rewrites, and entries that it removes with runs."""

_READ_AT_ONCE = 2_000
"""Entries of an index that one call reads."""

_ROWS = 5_000
"""Small entries past their windows that one call deletes, of each kind."""

_Place = tuple[Micros, bytes]
"""Time and name in an index: where in it a tag has come to."""

_Found = list[Any]
"""What was found: when it was over, its run, and of a past generation the version below which it is."""


@define
class _Tag:
    """What one tag still has, in the order of time.

    :ivar waiting: found, and not yet taken.
    """

    number: int
    place: _Place | None = None
    waiting: list[_Found] = field(factory=list[_Found])
    more: bool = True


@define
class _Oldest:
    """The oldest over all tags, some at a time.

    :param verb: what finds them in one tag.
    :param head: what it is told before its place.
    """

    store: Store
    verb: str
    plan: PrunePlan
    head: Callable[[Arguments], None]
    tags: list[_Tag]

    async def take(self, most: int) -> list[tuple[int, list[_Found]]]:
        """The next ones, so many at most, by their tags. Nothing where there are no others."""
        if most <= 0:
            return []
        await asyncio.gather(*(self._fill(tag, most) for tag in self.tags))
        lines = ([(*found, tag.number) for found in tag.waiting] for tag in self.tags)
        chosen = list(islice(merge(*lines), most))
        taken: list[tuple[int, list[_Found]]] = []
        for tag in self.tags:
            mine = sum(1 for each in chosen if each[-1] == tag.number)
            if mine:
                taken.append((tag.number, tag.waiting[:mine]))
                del tag.waiting[:mine]
        return taken

    async def _fill(self, tag: _Tag, most: int) -> None:
        while tag.more and len(tag.waiting) < most:
            asked = packed(partial(self._write, tag=tag, most=most - len(tag.waiting)))
            found, last, more = await self.store.ask(READING, self.verb, asked, tag.number)
            tag.waiting += found
            tag.more = bool(more)
            if last is not None:
                tag.place = (last[0], last[1])

    def _write(self, to: Arguments, tag: _Tag, most: int) -> None:
        to.plan(replace(self.plan, limit=most))
        self.head(to)
        _write_place(to, tag.place)


def _write_place(to: Arguments, place: _Place | None) -> None:
    to.maybe(to.number, None if place is None else place[0])
    to.maybe(to.bytes, None if place is None else place[1])
    to.number(_READ_AT_ONCE)


async def prune(store: Store, plan: PrunePlan) -> Pruned:
    """The verb."""
    expired = sum(await asyncio.gather(*(_windows(store, tag, plan) for tag in store.tags.all())))
    if not plan.dry_run:
        await asyncio.gather(*(_letters(store, tag, plan.before) for tag in store.tags.all()))
    wanted = plan.statuses & ENDED if plan.statuses else ENDED
    runs, records, apart = await _runs(store, plan) if wanted else (0, 0, 0)
    eternal = await _eternal(store, plan, every=wanted == ENDED) if wanted else 0
    generations, more = await _past(store, plan) if plan.generations else (0, 0)
    swept = await sweep(store, dry=plan.dry_run)
    return Pruned(runs, records + more, expired, generations, eternal, apart + swept)


def _oldest_runs(store: Store, plan: PrunePlan, index: bytes) -> _Oldest:
    tags = [_Tag(number) for number in store.tags.all()]
    return _Oldest(store, "prunable", plan, lambda to: to.bytes(index), tags)


async def _runs(store: Store, plan: PrunePlan) -> tuple[int, int, int]:
    """How many runs, records and blobs."""
    oldest, found = _oldest_runs(store, plan, b"ended"), 0
    told = [0, 0, 0]

    def write(mine: Sequence[_Found], to: Arguments) -> None:
        to.plan(plan)
        to.number(_TOUCHED_AT_ONCE)
        to.list(to.bytes, [run for _, run in mine])

    while taken := await oldest.take(min(_DELETED_AT_ONCE, plan.limit - found)):
        found += sum(len(mine) for _, mine in taken)
        for counts in await asyncio.gather(*(_by_parts(store, "prune_runs", write, *each) for each in taken)):
            told = [one + other for one, other in zip(told, counts, strict=True)]
    return told[0], told[1], told[2]


async def _by_parts(
    store: Store,
    verb: str,
    write: Callable[[Sequence[_Found], Arguments], None],
    tag: int,
    left: list[_Found],
) -> list[int]:
    """What a verb counts, in as many calls as it takes: each says last with how many it is through."""
    total: list[int] = []
    while left:
        *counts, through = await store.ask(TURNING, verb, packed(partial(write, left)), tag)
        total = [one + int(other) for one, other in zip(total or [0] * len(counts), counts, strict=True)]
        left = left[through:]
    return total


async def _eternal(store: Store, plan: PrunePlan, *, every: bool) -> int:
    """How many the plan would take if they were not eternal, counted up to its limit."""
    limit = max(plan.limit, 0)
    if every and plan.machine is None:
        asked = packed(lambda to: to.number(plan.before))
        counts = await store.ask_each(READING, "count_eternal", [(tag, asked) for tag in store.tags.all()])
        return min(sum(map(int, counts)), limit)
    oldest, found = _oldest_runs(store, plan, b"eternal"), 0
    while taken := await oldest.take(min(_READ_AT_ONCE, limit - found)):
        found += sum(len(mine) for _, mine in taken)
    return found


async def _past(store: Store, plan: PrunePlan) -> tuple[int, int]:
    """How many past generations, and records of them."""
    tags = [_Tag(number) for number in store.tags.all()]
    oldest, found = _Oldest(store, "prunable_past", plan, lambda _: None, tags), 0
    told = [0, 0]

    def write(mine: Sequence[_Found], to: Arguments) -> None:
        def one(each: _Found) -> None:
            to.bytes(each[1])
            to.number(each[2])

        to.flag(plan.dry_run)
        to.number(plan.before)
        to.number(_TOUCHED_AT_ONCE)
        to.list(one, mine)

    while taken := await oldest.take(min(_DELETED_AT_ONCE, plan.limit - found)):
        found += sum(len(mine) for _, mine in taken)
        for counts in await asyncio.gather(*(_by_parts(store, "prune_past", write, *each) for each in taken)):
            told = [one + other for one, other in zip(told, counts, strict=True)]
    return told[0], told[1]


async def _windows(store: Store, tag: int, plan: PrunePlan) -> int:
    """How many entries are past their windows."""

    def write(to: Arguments) -> None:
        to.flag(plan.dry_run)
        to.number(_ROWS)

    asked, expired = packed(write), 0
    while True:
        counts = [int(count) for count in await store.ask(TURNING, "prune_windows", asked, tag)]
        expired += sum(counts)
        if plan.dry_run or max(counts) < _ROWS:
            return expired


async def _letters(store: Store, tag: int, before: Micros) -> None:
    """Delete dead letters that belong to no run."""
    place: _Place | None = None

    def write(to: Arguments) -> None:
        to.number(before)
        _write_place(to, place)

    while True:
        last, more = await store.ask(TURNING, "prune_letters", packed(write), tag)
        if not more:
            return
        place = (last[0], last[1])
