"""Searches over all tags of a namespace.

Rule: each tag is asked for as much as the whole page holds, and the page is merged from that; a tag answers
in calls that read a bounded number of entries each. `updated` has no index: a search in its order reads all
that it finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

from attrs import frozen

from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import Page
from continuum_core.journal.records import Run
from continuum_core.journal.searching import (
    NEWEST,
    AttributeIn,
    Column,
    ColumnIn,
    Condition,
    End,
    Every,
    Not,
    Place,
    Search,
    Some,
    Sort,
    Span,
    lacking,
    may_lack,
    place_of,
    read_cursor,
    write_cursor,
)
from continuum_redis import answers
from continuum_redis.arguments import Arguments, packed
from continuum_redis.batching import Batch
from continuum_redis.store import READING, Store

__all__ = ["RedisSearcher"]

_READ_AT_ONCE = 2_000
"""Entries of an index that one call reads: nobody else is served meanwhile."""

_ALL = 2**52
_GOES_ON = 2
"""An answer: it stopped in the middle, so that others are served."""

_FARTHEST = 2**53
"""Times beyond are none that a run has, and numbers that the scripts cannot hold."""

_KINDS = {ColumnIn: 0, AttributeIn: 1, Every: 2, Some: 3, Not: 4}

_Found = list[tuple[Place, Run]]


@frozen
class RedisSearcher:
    """See `continuum_core.journal.searching.Searcher`.

    :ivar batch: the reply for each member, of the verb on the lane.
    :ivar store: the opened store. Raises UsageError.
    """

    namespace: str
    batch: Batch
    store: Callable[[], Store]

    async def search(self, search: Search, limit: int = 100, cursor: str | None = None) -> Page:
        after, limit = read_cursor(self.namespace, search, cursor), max(limit, 0)
        found = await self._page(search, after, limit + 1)
        more = len(found) > limit > 0
        return Page(
            runs=tuple(run for _, run in found[:limit]),
            cursor=write_cursor(self.namespace, search, found[limit - 1][0]) if more else None,
        )

    async def count(self, where: Condition, most: int | None = None) -> int:
        store = self.store()
        limit = _ALL if most is None else most + 1
        told = await asyncio.gather(*(_count(store, tag, where, limit) for tag in store.tags.all()))
        return sum(told)

    async def attributes(self, runs: Sequence[UUID]) -> list[tuple[Attribute, ...]]:
        told = await self.batch(READING, "attributes", Arguments.uuid, runs, lambda run: run, tells=False)
        return [answers.attributes(each) for each in told]

    async def _page(self, search: Search, after: Place | None, limit: int) -> _Found:
        if search.sort.by is Column.UPDATED:
            return await self._by_updated(search, after, limit)
        if isinstance(search.sort.by, Column):
            return await self._sorted(search, after, limit)
        found: _Found = []
        if after is None or not after.lacks:
            found, after = await self._sorted(search, after, limit), None
        if len(found) < limit and may_lack(search):
            rest = await self._sorted(lacking(search), after, limit - len(found))
            found += [(place_of(search.sort, run), run) for _, run in rest]
        return found

    async def _by_updated(self, search: Search, after: Place | None, limit: int) -> _Found:
        every = await self._sorted(Search(search.where, NEWEST), None, _ALL)
        found = sorted(
            ((place_of(search.sort, run), run) for _, run in every),
            key=_order,
            reverse=search.sort.descending,
        )
        if after is not None:
            end = (after.value, after.run_id.int)
            found = [each for each in found if (_order(each) < end) is search.sort.descending]
            found = [each for each in found if _order(each) != end]
        return found[:limit]

    async def _sorted(self, search: Search, after: Place | None, limit: int) -> _Found:
        store = self.store()
        pages = await asyncio.gather(
            *(self._of_tag(store, tag, search, after, limit) for tag in store.tags.all())
        )
        if len(pages) == 1:
            return pages[0]
        return sorted(chain(*pages), key=_order, reverse=search.sort.descending)[:limit]

    async def _of_tag(
        self, store: Store, tag: int, search: Search, after: Place | None, limit: int
    ) -> _Found:
        found: _Found = []
        while True:
            asked = packed(partial(_write, search, after, limit - len(found)))
            told, last, more = await store.ask(READING, "search", asked, tag)
            for (value, run_id), row in told:
                found.append((Place(value, UUID(bytes=run_id)), answers.run(row, self.namespace)))
            if more != _GOES_ON:
                return found
            after = Place(last[0], UUID(bytes=last[1]))


def _order(found: tuple[Place, Run]) -> Any:
    return found[0].value, found[0].run_id.int


async def _count(store: Store, tag: int, where: Condition, limit: int) -> int:
    count: int = 0
    after: Place | None = None
    while True:
        asked = packed(partial(_write, Search(where, NEWEST), after, limit - count))
        told, last, more = await store.ask(READING, "count_found", asked, tag)
        count += told
        if more != _GOES_ON:
            return count
        after = Place(last[0], UUID(bytes=last[1]))


# --- for the scripts


def _write(search: Search, after: Place | None, limit: int, to: Arguments) -> None:
    _condition(to, search.where)
    _sort(to, search.sort)
    to.flag(after is not None)
    if after is not None:
        _end(to, after.value)
        to.uuid(after.run_id)
    to.number(limit)
    to.number(_READ_AT_ONCE)
    to.number(_READ_AT_ONCE)


def _sort(to: Arguments, sort: Sort) -> None:
    to.text(_column(sort.by) if isinstance(sort.by, Column) else sort.by)
    to.flag(not isinstance(sort.by, Column))
    to.flag(sort.descending)


def _column(column: Column) -> str:
    return "created" if column is Column.STARTED else column.value


def _condition(to: Arguments, where: Condition) -> None:
    to.number(_KINDS[type(where)])
    match where:
        case Not(term):
            _condition(to, term)
        case Every(terms) | Some(terms):
            to.list(partial(_condition, to), terms)
        case ColumnIn(column, spans):
            to.text(_column(column))
            to.list(partial(_span, to), spans)
        case AttributeIn(name, spans):
            to.text(name)
            to.list(partial(_span, to), spans)


def _span(to: Arguments, span: Span) -> None:
    to.maybe(partial(_end, to), span.low)
    to.maybe(partial(_end, to), span.high)
    to.flag(span.above)
    to.flag(span.below)


def _end(to: Arguments, end: End) -> None:
    match end:
        case str():
            to.text(end)
        case bytes():
            to.bytes(end)
        case UUID():
            to.uuid(end)
        case int():
            to.number(max(-_FARTHEST, min(end, _FARTHEST)))
