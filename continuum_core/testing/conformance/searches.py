"""Steps that the tests of promise 24 share, and the search for a search that errs.

The oracle knows nothing of keys: it asks each run's plain values in turn, and sorts by them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from attrs import frozen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from continuum_core.journal.attributes import Attribute, Value, key_of, sorted_keys, value_of
from continuum_core.journal.commit import OrderKind
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.journal.searching import (
    NEWEST,
    AttributeIn,
    Column,
    ColumnIn,
    Condition,
    Every,
    Not,
    Search,
    Some,
    Sort,
    Span,
    searcher_of,
)
from continuum_core.testing.conformance.kit import Kit, ordered, row, started

__all__ = ["EXAMPLES", "attribute", "found", "having", "several", "tags"]

EXAMPLES = 60

_VALUES: dict[str, tuple[Value, ...]] = {
    "n": (0, 1, -1, 0.1, Decimal("0.10"), 2.5, -2.5, 10**20, -(10**20), Decimal("1e-30"), 99, 100, 1000),
    "t": ("", "a", "ab", "b", "A", "é", "\x00", "\x01", "a\x00b", "日本", "z" * 600),
    "f": (True, False),
    "d": (
        datetime(1960, 1, 1, tzinfo=UTC),
        datetime(2024, 2, 29, 12, tzinfo=UTC),
        datetime(9999, 1, 1, tzinfo=UTC),
    ),
}
_MACHINES = ("m", "m1", "é")


def attribute(name: str, *values: Value) -> Attribute:
    return Attribute(name, sorted_keys(values))


def having(name: str, *spans: Span) -> AttributeIn:
    """The run has the attribute, in one of the spans where there are any."""
    return AttributeIn(name, spans or (Span(),))


async def found(journal: Journal, where: Condition, sort: Sort = NEWEST, limit: int = 100) -> list[UUID]:
    """The runs of all pages."""
    ids: list[UUID] = []
    cursor: str | None = None
    while True:
        page = await searcher_of(journal).search(Search(where, sort), limit, cursor)
        assert len(page.runs) <= limit
        ids += [run.run_id for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            return ids


async def tags(journal: Journal, run_id: UUID) -> dict[str, list[Value]]:
    """The attributes of a run, as values."""
    [told] = await searcher_of(journal).attributes([run_id])
    return {each.name: [value_of(key) for key in each.keys] for each in told}


# --- the oracle


@frozen
class _Known:
    """A run as the test made it."""

    id: UUID
    machine: str
    status: RunStatus
    created: int
    values: dict[str, Value]


@frozen
class _Asked:
    """A condition, and whether it holds for a run."""

    where: Condition
    holds: Callable[[_Known], bool]


def _comparable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()[:512]
    return Decimal(repr(value)) if isinstance(value, float) else value


def _between(low: Any, high: Any, above: bool, below: bool, value: Any) -> bool:
    if low is not None and (value < low or (above and value == low)):
        return False
    return high is None or value < high or (not below and value == high)


@st.composite
def _ranges(draw: st.DrawFn) -> _Asked:
    name = draw(st.sampled_from(sorted(_VALUES)))
    spans: list[tuple[Value | None, Value | None, bool, bool]] = []
    for _ in range(draw(st.integers(0, 3))):
        ends = st.none() | st.sampled_from(_VALUES[name])
        spans.append((draw(ends), draw(ends), draw(st.booleans()), draw(st.booleans())))

    def holds(run: _Known) -> bool:
        if name not in run.values:
            return False
        value = _comparable(run.values[name])
        return any(_between(_comparable(low), _comparable(high), a, b, value) for low, high, a, b in spans)

    keyed = [Span(_end(low), _end(high), above, below) for low, high, above, below in spans]
    return _Asked(AttributeIn(name, tuple(keyed)), holds)


def _end(value: Value | None) -> bytes | None:
    return None if value is None else key_of(value)


@st.composite
def _columns(draw: st.DrawFn) -> _Asked:
    if draw(st.booleans()):
        statuses = draw(st.sets(st.sampled_from(sorted(RunStatus))))
        spans = tuple(Span.of(int(status)) for status in sorted(statuses))
        return _Asked(ColumnIn(Column.STATUS, spans), lambda run: run.status in statuses)
    machine = draw(st.sampled_from(_MACHINES))
    if draw(st.booleans()):
        return _Asked(ColumnIn(Column.MACHINE, (Span.of(machine),)), lambda run: run.machine == machine)
    after = ColumnIn(Column.MACHINE, (Span(machine, None, above=True),))
    return _Asked(after, lambda run: run.machine.encode() > machine.encode())


def _joined(terms: list[_Asked], every: bool) -> _Asked:
    listed = tuple(term.where for term in terms)
    if every:
        return _Asked(Every(listed), lambda run: all(term.holds(run) for term in terms))
    return _Asked(Some(listed), lambda run: any(term.holds(run) for term in terms))


def _negated(term: _Asked) -> _Asked:
    return _Asked(Not(term.where), lambda run: not term.holds(run))


_CONDITIONS = st.recursive(
    _ranges() | _columns(),
    lambda inner: st.builds(_joined, st.lists(inner, max_size=3), st.booleans()) | st.builds(_negated, inner),
    max_leaves=6,
)


def _sorted(runs: list[_Known], sort: Sort) -> list[UUID]:
    if sort.by is Column.STARTED:
        return [
            run.id for run in sorted(runs, key=lambda run: (run.created, run.id.int), reverse=sort.descending)
        ]
    name = str(sort.by)
    having_ = [run for run in runs if name in run.values]
    having_.sort(key=lambda run: (_comparable(run.values[name]), run.id.int), reverse=sort.descending)
    others = [run for run in runs if name not in run.values]
    others.sort(key=lambda run: (run.created, run.id.int), reverse=True)
    return [run.id for run in (*having_, *others)]


# --- the search


async def _population(journal: Journal) -> list[_Known]:
    """Runs of every status and of many values, always the same."""
    runs: list[_Known] = []
    for number in range(40):
        values = {
            name: choices[(number * step) % len(choices)]
            for name, choices, step in zip(_VALUES, _VALUES.values(), (1, 3, 1, 2), strict=True)
            if (number + step) % 4
        }
        machine = _MACHINES[number % 3]
        given_ = tuple(attribute(name, value) for name, value in values.items())
        run_id = await started(journal, machine=machine, attributes=given_)
        if number % 5 == 1:
            await ordered(journal, OrderKind.SUSPEND, run_id)
        elif number % 5 == 2:
            await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"")
        now = await row(journal, run_id)
        runs.append(_Known(run_id, machine, now.status, now.created, values))
    return runs


async def _counted(journal: Journal, where: Condition) -> int:
    return await searcher_of(journal).count(where)


def several(kit: Kit, examples: int = EXAMPLES) -> int:
    """Compare random searches with the oracle's answers; how many were compared."""
    number = 0
    journal = kit.run(kit.open())
    runs = kit.run(_population(journal))
    sorts = st.builds(Sort, st.sampled_from([Column.STARTED, *_VALUES]), st.booleans())

    @settings(
        max_examples=examples,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        database=None,
        deadline=None,
        suppress_health_check=(HealthCheck.too_slow,),
    )
    @given(asked=_CONDITIONS, sort=sorts, limit=st.sampled_from([3, 7, 100]))
    def compared(asked: _Asked, sort: Sort, limit: int) -> None:
        nonlocal number
        number += 1
        wanted = [run for run in runs if asked.holds(run)]
        assert kit.run(found(journal, asked.where, sort, limit)) == _sorted(wanted, sort)
        assert kit.run(_counted(journal, asked.where)) == len(wanted)

    compared()
    return number
