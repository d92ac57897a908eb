"""Searches as SQL, for backends whose store speaks it: one place decides by which index a search goes.

Rule: values are bound, never written into a statement; what is put together is the shape of the condition.
Nothing is left to the statistics of a planner: a search either begins with the few runs that an index of
attributes names (`hits`, after they were counted), or walks the order it asks for, and looks each run's
attributes up by the run. Both are written so that there is one way to carry them out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from continuum_core.journal.records import RunStatus
from continuum_core.journal.searching import (
    AttributeIn,
    Column,
    ColumnIn,
    Condition,
    Every,
    Not,
    Place,
    Search,
    Some,
    Span,
    conjuncts,
    statuses_of,
)

__all__ = [
    "HITS",
    "Dialect",
    "Statement",
    "by_attribute",
    "by_column",
    "counted",
    "drivers",
    "few",
    "fewest",
    "measured",
]

HITS = 1_000
"""Of so many runs at most a page begins with those that an index of attributes names."""

_COUNTED = 10_000

Statement = tuple[str, tuple[object, ...]]
"""A statement and its parameters after the namespace's number, which is the first."""


@frozen
class Dialect:
    """What the tables are called. Runs have the alias `r`, attributes `a`, hits `h`.

    :ivar columns: what a page selects of a run.
    :ivar runs, attributes: items of FROM.
    :ivar in_runs, in_attributes: conditions: of the namespace.
    :ivar of_run: an item of FROM with a condition: the attributes `a` of a run `r`.
    :ivar hit: the columns of an attribute that name its run.
    :ivar from_hits: an item of FROM: the runs of `h`, one after the other, each found by its key.
    :ivar from_attributes: the same, of `a`.
    :ivar key_of_hit: an item of FROM, behind `from_hits`: the attributes `a` of each run `r`.
    :ivar expressions: how a column is compared.
    :ivar bind: the placeholder and the parameter of a value, by its number.
    :ivar parts: conditions that divide the runs in these statuses, so that each part is one stretch of an
        index in the order of `created`; one empty condition where none is needed.
    """

    columns: str
    runs: str
    attributes: str
    in_runs: str
    in_attributes: str
    of_run: str
    hit: str
    from_hits: str
    from_attributes: str
    key_of_hit: str
    expressions: Callable[[Column], str]
    bind: Callable[[int, object], tuple[str, object]]
    parts: Callable[[frozenset[RunStatus]], Sequence[str]]


@define(eq=False)
class _Select:
    """One statement while it is put together."""

    dialect: Dialect
    parameters: list[object] = field(factory=list[object])

    def bound(self, value: object) -> str:
        text, parameter = self.dialect.bind(len(self.parameters) + 2, value)
        self.parameters.append(parameter)
        return text

    def told(self, text: str) -> Statement:
        return text, tuple(self.parameters)

    # --- conditions

    def holds(self, where: Condition) -> str:
        match where:
            case ColumnIn(column, spans):
                return self.spans(self.dialect.expressions(column), spans)
            case AttributeIn():
                # Not EXISTS: some planners join what it asks for, and read all of it first.
                return f"(SELECT 1 FROM {self.of_run(where)} LIMIT 1) IS NOT NULL"
            case Every(terms):
                return self._joined(terms, " AND ", "1 = 1")
            case Some(terms):
                return self._joined(terms, " OR ", "1 = 0")
            case Not(term):
                return f"({self.holds(term)}) IS NOT TRUE"

    def _joined(self, terms: Sequence[Condition], by: str, empty: str) -> str:
        return f"({by.join(map(self.holds, terms))})" if terms else empty

    def of_run(self, where: AttributeIn) -> str:
        dialect = self.dialect
        named = f"{dialect.of_run} AND a.name = {self.bound(where.name)}"
        return f"{named} AND {self.spans('a.key', where.spans)}"

    def spans(self, value: str, spans: Sequence[Span]) -> str:
        # Values one by one as a list: a chain of OR is as deep as it is long, and stores bound its depth.
        exact = [span for span in spans if span.low is not None and span == Span.of(span.low)]
        told = [self._span(value, span) for span in spans if span not in exact]
        if exact:
            told.append(f"{value} IN ({', '.join(self.bound(span.low) for span in exact)})")
        return f"({' OR '.join(told)})" if told else "1 = 0"

    def _span(self, value: str, span: Span) -> str:
        if span.low is not None and span.low == span.high:
            return f"{value} = {self.bound(span.low)}" if not (span.above or span.below) else "1 = 0"
        ends: list[str] = []
        if span.low is not None:
            ends.append(f"{value} {'>' if span.above else '>='} {self.bound(span.low)}")
        if span.high is not None:
            ends.append(f"{value} {'<' if span.below else '<='} {self.bound(span.high)}")
        return f"({' AND '.join(ends)})" if ends else f"{value} IS NOT NULL"

    # --- where a statement begins

    def entries(self, driver: AttributeIn, most: int) -> str:
        """What the index of keys has of a driver, in its order: no other index can be taken for it."""
        dialect = self.dialect
        named = f"{dialect.in_attributes} AND a.name = {self.bound(driver.name)}"
        chosen = f"{dialect.attributes} WHERE {named} AND {self.spans('a.key', driver.spans)}"
        return f"{chosen} ORDER BY a.key, a.run_id LIMIT {self.bound(most)}"

    def hits(self, driver: AttributeIn | None, most: int = HITS) -> str:
        if driver is None:
            return ""
        named = self.dialect.hit
        entries = f"SELECT {named} FROM {self.entries(driver, most + 1)}"
        return f"WITH h AS MATERIALIZED (SELECT DISTINCT {named} FROM ({entries}) a) "

    def tail(self, order: str, place: Place | None, descending: bool, limit: int) -> tuple[str, str]:
        """The condition that goes on from a place, and the end of the statement; `order`: two columns."""
        after, way = "", "DESC" if descending else "ASC"
        if place is not None:
            told = f"{self.bound(place.value)}, {self.bound(place.run_id)}"
            after = f" AND ({order}) {'<' if descending else '>'} ({told})"
        first, second = order.split(", ")
        return after, f"ORDER BY {first} {way}, {second} {way} LIMIT {self.bound(limit)}"


def few(most: int | None) -> int:
    """Of so many runs at most a count begins with hits: one that walks reads all where few are found."""
    return _COUNTED if most is None else max(HITS, min(most, _COUNTED))


def drivers(where: Condition) -> list[AttributeIn]:
    """The conjuncts that an index of attributes can answer for themselves."""
    return [each for each in conjuncts(where) if isinstance(each, AttributeIn)]


def fewest(found: Sequence[AttributeIn], sizes: Sequence[int], most: int) -> AttributeIn | None:
    """What a search begins with: of the drivers, by how many entries each has, the one that has fewest.

    None where each has more than `most`.
    """
    size, at = min(zip(sizes, range(len(found)), strict=True), default=(most + 1, 0))
    return found[at] if size <= most else None


def measured(dialect: Dialect, driver: AttributeIn, most: int) -> Statement:
    """How many entries a driver has: one row with their number, `most` + 1 at most."""
    select = _Select(dialect)
    return select.told(f"SELECT count(*) FROM (SELECT 1 FROM {select.entries(driver, most + 1)}) x")


def counted(dialect: Dialect, where: Condition, most: int | None, driver: AttributeIn | None) -> Statement:
    """How many runs there are: one row with their number, `most` + 1 at most."""
    select = _Select(dialect)
    hits = select.hits(driver, few(most))
    limit = "" if most is None else f" LIMIT {select.bound(most + 1)}"
    holds = select.holds(where)
    if driver is not None:
        chosen = f"SELECT 1 FROM {dialect.from_hits} WHERE {dialect.in_runs} AND {holds}{limit}"
        return select.told(f"{hits}SELECT count(*) FROM ({chosen}) x")
    parts = [
        f"SELECT 1 FROM {dialect.runs} WHERE {dialect.in_runs}{_and(part)} AND {holds}"
        + (f" ORDER BY r.created DESC{limit}" if limit else "")
        for part in dialect.parts(statuses_of(where))
    ]
    return select.told(f"SELECT count(*) FROM (SELECT 1 FROM ({_union(parts)}) y{limit}) x")


def by_column(
    dialect: Dialect, search: Search, place: Place | None, limit: int, driver: AttributeIn | None
) -> Statement:
    """A page in the order of `created` or `updated`."""
    select = _Select(dialect)
    value = "r.updated" if search.sort.by is Column.UPDATED else "r.created"
    hits = select.hits(driver)
    after, tail = select.tail(f"{value}, r.run_id", place, search.sort.descending, limit)
    asked = f"{dialect.in_runs} AND {select.holds(search.where)}{after}"
    chosen = f"SELECT {dialect.columns} FROM"
    if driver is not None:
        return select.told(f"{hits}{chosen} {dialect.from_hits} WHERE {asked} {tail}")
    parts = dialect.parts(statuses_of(search.where)) if value == "r.created" else ("",)
    told = [f"{chosen} {dialect.runs} WHERE {asked}{_and(part)} {tail}" for part in parts]
    return select.told(told[0] if len(told) == 1 else f"SELECT * FROM ({_union(told)}) r {tail}")


def by_attribute(
    dialect: Dialect, search: Search, place: Place | None, limit: int, driver: AttributeIn | None
) -> Statement:
    """A page of the runs that have the attribute of the sort, in its order; each row ends with the key."""
    select, name = _Select(dialect), str(search.sort.by)
    hits, named = select.hits(driver), select.bound(name)
    bounds = [
        f" AND {select.spans('a.key', each.spans)}" for each in drivers(search.where) if each.name == name
    ]
    order = "a.key, a.run_id" if driver is None else "a.key, r.run_id"
    after, tail = select.tail(order, place, search.sort.descending, limit)
    asked = f"{dialect.in_runs} AND {select.holds(search.where)}{''.join(bounds)}{after}"
    chosen = f"SELECT {dialect.columns}, a.key FROM"
    if driver is not None:
        source = f"{dialect.from_hits} {dialect.key_of_hit}"
        return select.told(f"{hits}{chosen} {source} WHERE a.name = {named} AND {asked} {tail}")
    walked = f"{dialect.in_attributes} AND a.name = {named}"
    return select.told(f"{chosen} {dialect.from_attributes} WHERE {walked} AND {asked} {tail}")


def _and(part: str) -> str:
    return f" AND {part}" if part else ""


def _union(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else " UNION ALL ".join(f"SELECT * FROM ({part}) p" for part in parts)
