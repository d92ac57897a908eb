"""Searches: one reading transaction a page, by the statements of `journal.selecting`.

Rule: each part of a search is one stretch of an index. SQLite keeps the order of tables that are joined by
CROSS JOIN, so that a search that begins with hits stays one; its planner has no statistics to go by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from attrs import frozen

from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import Page
from continuum_core.journal.records import RunStatus
from continuum_core.journal.searching import (
    AttributeIn,
    Column,
    Condition,
    Place,
    Search,
    lacking,
    may_lack,
    place_of,
    read_cursor,
    write_cursor,
)
from continuum_core.journal.selecting import (
    HITS,
    Dialect,
    Statement,
    by_attribute,
    by_column,
    counted,
    drivers,
    few,
    fewest,
    measured,
)
from continuum_sqlite import rows
from continuum_sqlite.attributes import described
from continuum_sqlite.statements.runs import RUN_COLUMNS
from continuum_sqlite.transaction import Transaction

__all__ = ["DIALECT", "SqliteSearcher"]

Answer = TypeVar("Answer")


class _Read(Protocol):
    async def __call__(self, verb: Callable[[Transaction], Answer], /) -> Answer: ...


def _expression(column: Column) -> str:
    return f"r.{'created' if column is Column.STARTED else column.value}"


def _bind(number: int, value: object) -> tuple[str, object]:
    return f"?{number}", value.bytes if isinstance(value, UUID) else value


def _parts(statuses: frozenset[RunStatus]) -> Sequence[str]:
    if len(statuses) == len(RunStatus):
        return ("",)
    return [f"r.status = {int(status)}" for status in sorted(statuses)] or ("1 = 0",)


DIALECT = Dialect(
    columns=", ".join(f"r.{column}" for column in RUN_COLUMNS.split(", ")),
    runs="continuum_runs r",
    attributes="continuum_attributes a",
    in_runs="r.namespace = ?1",
    in_attributes="a.namespace = ?1",
    of_run="continuum_attributes a WHERE a.namespace = ?1 AND a.run_id = r.run_id",
    hit="a.run_id",
    from_hits="h CROSS JOIN continuum_runs r ON r.run_id = h.run_id",
    from_attributes="continuum_attributes a CROSS JOIN continuum_runs r ON r.run_id = a.run_id",
    key_of_hit="CROSS JOIN continuum_attributes a ON a.namespace = ?1 AND a.run_id = r.run_id",
    expressions=_expression,
    bind=_bind,
    parts=_parts,
)

_Found = list[tuple[tuple[Any, ...], Place]]


@frozen
class SqliteSearcher:
    """See `continuum_core.journal.searching.Searcher`."""

    namespace: str
    read: _Read

    async def search(self, search: Search, limit: int = 100, cursor: str | None = None) -> Page:
        after = read_cursor(self.namespace, search, cursor)
        return await self.read(lambda transaction: _page(transaction, search, after, max(limit, 0)))

    async def count(self, where: Condition, most: int | None = None) -> int:
        return await self.read(lambda transaction: _count(transaction, where, most))

    async def attributes(self, runs: Sequence[UUID]) -> list[tuple[Attribute, ...]]:
        return await self.read(lambda transaction: [described(transaction, run_id) for run_id in runs])


def _ask(transaction: Transaction, statement: Statement) -> list[tuple[Any, ...]]:
    text, parameters = statement
    return transaction.execute(text, (transaction.ns, *parameters)).fetchall()


def _driver(transaction: Transaction, where: Condition, most: int = HITS) -> AttributeIn | None:
    found, sizes = drivers(where), list[int]()
    for each in found:
        [(size,)] = _ask(transaction, measured(DIALECT, each, most))
        sizes.append(size)
    return fewest(found, sizes, most)


def _count(transaction: Transaction, where: Condition, most: int | None) -> int:
    driver = _driver(transaction, where, few(most))
    [(told,)] = _ask(transaction, counted(DIALECT, where, most, driver))
    count: int = told
    return count


def _page(transaction: Transaction, search: Search, after: Place | None, limit: int) -> Page:
    found = _placed(transaction, search, after, limit + 1)
    runs = tuple(rows.run(row, transaction.namespace) for row, _ in found[:limit])
    more = len(found) > limit > 0
    return Page(runs, write_cursor(transaction.namespace, search, found[limit - 1][1]) if more else None)


def _placed(transaction: Transaction, search: Search, after: Place | None, limit: int) -> _Found:
    driver = _driver(transaction, search.where)
    if isinstance(search.sort.by, Column):
        told = _ask(transaction, by_column(DIALECT, search, after, limit, driver))
        return _of_column(transaction, search, told)
    found: _Found = []
    if after is None or not after.lacks:
        for row in _ask(transaction, by_attribute(DIALECT, search, after, limit, driver)):
            found.append((row, Place(row[-1], UUID(bytes=row[0]))))
        after = None
    if len(found) < limit and may_lack(search):
        told = _ask(transaction, by_column(DIALECT, lacking(search), after, limit - len(found), driver))
        found += _of_column(transaction, search, told)
    return found


def _of_column(transaction: Transaction, search: Search, told: list[tuple[Any, ...]]) -> _Found:
    return [(row, place_of(search.sort, rows.run(row, transaction.namespace))) for row in told]
