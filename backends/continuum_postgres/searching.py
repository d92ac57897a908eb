"""Searches: one snapshot a page, by the statements of `journal.selecting`.

Rule: how a search is carried out is decided here, by a count of the entries that an index of attributes has
for it, and written so that the planner has one way: hits are found first (a materialized part), rows of runs
and attributes by LATERAL probes of their keys, pages by one stretch of an index each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
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
from continuum_postgres import rows
from continuum_postgres.arrays import Bigint
from continuum_postgres.session import Ask, Session
from continuum_postgres.statements import Composed
from continuum_postgres.statements.attributes import ATTRIBUTES_OF_RUNS
from continuum_postgres.statements.reading import BEGIN_READING
from continuum_postgres.statements.runs import RUN_COLUMNS
from continuum_postgres.writes import by_run

__all__ = ["DIALECT", "PostgresSearcher"]

Answer = TypeVar("Answer")


class _Ask(Protocol):
    async def __call__(self, verb: Callable[[Session], Awaitable[Answer]], /) -> Answer: ...


def _expression(column: Column) -> str:
    if column in (Column.MACHINE, Column.FINGERPRINT, Column.KEY):
        return f'r.{column.value} COLLATE "C"'
    return f"r.{'created' if column is Column.STARTED else column.value}"


def _bind(number: int, value: object) -> tuple[str, object]:
    if isinstance(value, int):
        return f"${number}::bigint", Bigint(value)
    kind = "bytea" if isinstance(value, bytes) else "uuid" if isinstance(value, UUID) else "text"
    return f"${number}::{kind}", value


_GOING = frozenset({RunStatus.RUNNING, RunStatus.SUSPENDED, RunStatus.PARKED})


def _parts(statuses: frozenset[RunStatus]) -> Sequence[str]:
    """The rarer statuses have an index of their own; of the others, what goes on and what has ended."""
    rare = statuses - {RunStatus.RUNNING, RunStatus.COMPLETED}
    if rare == statuses:
        return [f"r.status > 1 AND r.status = {int(each)}" for each in sorted(rare)] or ("1 = 0",)
    open_ = "r.ended IS NULL" if statuses & _GOING else ""
    closed = "r.ended IS NOT NULL" if statuses - _GOING else ""
    return [part for part in (open_, closed) if part]


def _found(of: str, by: str) -> str:
    same = f"{of}.shard = {by}.shard AND {of}.ns = $1::integer AND {of}.run_id = {by}.run_id"
    return f"(SELECT * FROM continuum.runs {of} WHERE {same} OFFSET 0)"


# All that a run has, by its key: with a name in it, the planner might go by the names of all runs instead.
_OF_RUN = (
    "(SELECT a.name, a.key FROM continuum.attributes a "
    "WHERE a.shard = r.shard AND a.ns = $1::integer AND a.run_id = r.run_id OFFSET 0) a"
)

DIALECT = Dialect(
    columns=RUN_COLUMNS,
    runs="continuum.runs r",
    attributes="continuum.attributes a",
    in_runs="r.ns = $1::integer",
    in_attributes="a.ns = $1::integer AND a.name <> ''",  # which the index of keys asks for
    of_run=f"{_OF_RUN} WHERE true",
    hit="a.shard, a.run_id",
    from_hits=f"h CROSS JOIN LATERAL {_found('r', 'h')} r",
    from_attributes=f"continuum.attributes a CROSS JOIN LATERAL {_found('r', 'a')} r",
    key_of_hit=f"CROSS JOIN LATERAL {_OF_RUN}",
    expressions=_expression,
    bind=_bind,
    parts=_parts,
)

_Found = list[tuple[tuple[Any, ...], Place]]


@frozen
class PostgresSearcher:
    """See `continuum_core.journal.searching.Searcher`."""

    namespace: str
    reading: _Ask

    async def search(self, search: Search, limit: int = 100, cursor: str | None = None) -> Page:
        after = read_cursor(self.namespace, search, cursor)
        return await self.reading(lambda session: _page(session, search, after, max(limit, 0)))

    async def count(self, where: Condition, most: int | None = None) -> int:
        return await self.reading(lambda session: _count(session, where, most))

    async def attributes(self, runs: Sequence[UUID]) -> list[tuple[Attribute, ...]]:
        return await self.reading(lambda session: _attributes(session, runs)) if runs else []


async def _attributes(session: Session, runs: Sequence[UUID]) -> list[tuple[Attribute, ...]]:
    (told,) = await session.ask((ATTRIBUTES_OF_RUNS, by_run(runs)))
    found = rows.attributes(told)
    return [found.get(member, ()) for member in range(1, len(runs) + 1)]


def _composed(statement: Statement) -> Ask:
    text, parameters = statement
    return Composed(text), parameters


async def _driver(session: Session, where: Condition, most: int = HITS) -> AttributeIn | None:
    found = drivers(where)
    told = await session.ask(*(_composed(measured(DIALECT, each, most)) for each in found))
    return fewest(found, [size for ((size,),) in told], most)


async def _count(session: Session, where: Condition, most: int | None) -> int:
    driver = await _driver(session, where, few(most))
    (((count,),),) = await session.ask(_composed(counted(DIALECT, where, most, driver)))
    told: int = count
    return told


async def _page(session: Session, search: Search, after: Place | None, limit: int) -> Page:
    namespace, wanted = session.space.namespace, limit + 1
    found = _placed(search, await _answers(session, search, after, wanted), namespace)[:wanted]
    runs = tuple(rows.run(row, namespace) for row, _ in found[:limit])
    more = len(found) > limit > 0
    return Page(runs, write_cursor(namespace, search, found[limit - 1][1]) if more else None)


async def _answers(
    session: Session, search: Search, after: Place | None, wanted: int
) -> list[list[tuple[Any, ...]]]:
    """The rows of the runs that have what the search sorts by, and of those that lack it, of one snapshot."""
    driver = await _driver(session, search.where)
    if isinstance(search.sort.by, Column):
        return [[], *await session.ask(_composed(by_column(DIALECT, search, after, wanted, driver)))]
    lacks = after is not None and after.lacks
    rest = _composed(by_column(DIALECT, lacking(search), after if lacks else None, wanted, driver))
    if lacks:
        return [[], *await session.ask(rest)]
    first = _composed(by_attribute(DIALECT, search, after, wanted, driver))
    if not may_lack(search):
        return [*await session.ask(first), []]
    _, found = await session.ask((BEGIN_READING, ()), first)
    if len(found) >= wanted:  # who lacks it is looked for among all others, which may be a long way
        await session.ask(("COMMIT", ()))
        return [found, []]
    others, _ = await session.ask(rest, ("COMMIT", ()))
    return [found, others]


def _placed(search: Search, told: list[list[tuple[Any, ...]]], namespace: str) -> _Found:
    having, others = told
    found: _Found = [(row, Place(row[-1], row[0])) for row in having]
    return found + [(row, place_of(search.sort, rows.run(row, namespace))) for row in others]
