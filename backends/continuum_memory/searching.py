"""Searches: every run of the namespace is asked, and those for which the condition holds are sorted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from attrs import frozen

from continuum_core.clock import Micros
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import Page
from continuum_core.journal.searching import (
    Column,
    Condition,
    Place,
    Search,
    Sort,
    holds,
    place_of,
    read_cursor,
    write_cursor,
)
from continuum_memory.rows import RunRow, Space

__all__ = ["MemorySearcher"]

_Order = tuple[Any, int]
"""What a sort goes by, all of one type, and the run's id."""


@frozen
class MemorySearcher:
    """See `continuum_core.journal.searching.Searcher`. `verb`: a transaction."""

    verb: Callable[[], AbstractContextManager[tuple[Space, Micros]]]

    async def search(self, search: Search, limit: int = 100, cursor: str | None = None) -> Page:
        with self.verb() as (space, _):
            after = read_cursor(space.name, search, cursor)
            found = [row for row in space.runs.values() if _holds(space, row, search.where)]
            placed = [(_place(space, row, search.sort), row) for row in found]
            first = [each for each in placed if not each[0].lacks]
            first.sort(key=lambda each: _order(each[0]), reverse=search.sort.descending)
            last = [each for each in placed if each[0].lacks]
            last.sort(key=lambda each: _order(each[0]), reverse=True)
            rest = [
                each for each in (*first, *last) if after is None or _follows(search.sort, each[0], after)
            ]
            shown = rest[: max(limit, 0)]
            more = len(rest) > len(shown) > 0
            return Page(
                runs=tuple(row.value(space.name) for _, row in shown),
                cursor=write_cursor(space.name, search, shown[-1][0]) if more else None,
            )

    async def count(self, where: Condition, most: int | None = None) -> int:
        with self.verb() as (space, _):
            return sum(_holds(space, row, where) for row in space.runs.values())

    async def attributes(self, runs: Sequence[UUID]) -> list[tuple[Attribute, ...]]:
        with self.verb() as (space, _):
            found = [space.runs.get(run_id) for run_id in runs]
            return [() if row is None else row.described() for row in found]


def _holds(space: Space, row: RunRow, where: Condition) -> bool:
    return holds(where, row.value(space.name), row.attributes)


def _place(space: Space, row: RunRow, sort: Sort) -> Place:
    keys = () if isinstance(sort.by, Column) else row.attributes.get(sort.by, ())
    return place_of(sort, row.value(space.name), keys[0] if keys else None)


def _order(place: Place) -> _Order:
    return place.value, place.run_id.int


def _follows(sort: Sort, place: Place, after: Place) -> bool:
    if place.lacks or after.lacks:
        return place.lacks and (not after.lacks or _later(place, after, descending=True))
    return _later(place, after, sort.descending)


def _later(place: Place, after: Place, descending: bool) -> bool:
    return _order(place) < _order(after) if descending else _order(place) > _order(after)
