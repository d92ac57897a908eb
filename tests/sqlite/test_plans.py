"""Claims cost what they take, however many runs wait, ended or are held by others.

Cost is counted in steps of SQLite's virtual machine: the same on every machine, and free of time.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import pytest

from continuum_core.journal.commit import (
    FIRST_DUE,
    DueEntry,
    TaskClaims,
    TaskWant,
)
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.journal.searching import (
    ALL,
    AttributeIn,
    Column,
    ColumnIn,
    Every,
    Not,
    Place,
    Search,
    Sort,
    Span,
)
from continuum_core.journal.selecting import by_attribute, by_column, counted, measured
from continuum_core.testing.conformance.given import ACTIVITY, FINGERPRINT, QUEUE, TAKES
from continuum_sqlite.claims import ClaimRuns
from continuum_sqlite.schema import migrate
from continuum_sqlite.searching import DIALECT
from continuum_sqlite.statements import (
    attributes,
    blobs,
    crews,
    deliveries,
    orders,
    queues,
    reading,
    retention,
    runs,
    tasks,
)
from continuum_sqlite.tasks import ClaimTasks
from continuum_sqlite.transaction import Transaction

NOW = 1_000_000_000
MANY = 4_000
NS = 1

RUN = """
INSERT INTO continuum_runs (namespace, run_id, machine, fingerprint, digest, generation, version, status,
  cause, fence, lease_until, claim_id, tries, created, updated, snapshot)
VALUES (?, ?, 'm', ?, x'', 0, 1, ?, '', 1, ?, ?, 0, ?, ?, x'')
"""
DELIVERY = """
INSERT INTO continuum_deliveries (namespace, run_id, id, due, kind, held, token, slot, payload)
VALUES (?, ?, ?, ?, ?, 0, 1, 0, x'')
"""
TASK = """
INSERT INTO continuum_tasks (namespace, run_id, token, slot, activity, queue, priority, due, scheduled, undo,
  attempt, losses, fence, reported, lease_until, claim_id, cancel, payload)
VALUES (?, ?, 1, 0, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, ?, ?, 0, x'')
"""


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """The schema in memory: plans are those of a file."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        migrate(memory, ":memory:")
        yield memory


def transaction(connection: sqlite3.Connection) -> Transaction:
    return Transaction(connection.execute, connection.executemany, NS, "test", NOW, Limits())


def add_runs(
    connection: sqlite3.Connection,
    count: int,
    due: int | None,
    status: RunStatus = RunStatus.RUNNING,
    lease_until: int | None = None,
) -> None:
    ids = [uuid4().bytes for _ in range(count)]
    claim_id = None if lease_until is None else uuid4().bytes
    connection.executemany(
        RUN,
        [(NS, run_id, FINGERPRINT, int(status), lease_until, claim_id, n, n) for n, run_id in enumerate(ids)],
    )
    if due is not None:
        connection.executemany(DELIVERY, [(NS, run_id, uuid4().bytes, due, 2) for run_id in ids])


def steps(connection: sqlite3.Connection, claim: ClaimRuns | ClaimTasks) -> tuple[int, int]:
    """What a claim takes, and the hundreds of steps that it costs."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.execute("BEGIN")
    connection.set_progress_handler(tick, 100)
    answer = claim.carry_out(transaction(connection))
    connection.set_progress_handler(None, 0)
    connection.execute("ROLLBACK")
    return len(answer.tasks if isinstance(answer, TaskClaims) else answer.runs), count


def claim_runs(limit: int = 10, after: DueEntry = FIRST_DUE) -> ClaimRuns:
    return ClaimRuns(uuid4(), limit, 1000, TAKES, after, 1000)


def test_a_claim_of_runs_passes_by_whoever_waits_or_ended(connection: sqlite3.Connection) -> None:
    add_runs(connection, 50, due=NOW - 5)
    alone = steps(connection, claim_runs())
    add_runs(connection, MANY, due=NOW + 5_000_000)
    add_runs(connection, MANY, due=None, status=RunStatus.COMPLETED)
    among = steps(connection, claim_runs())
    assert alone[0] == among[0] == 10
    assert among[1] <= alone[1] * 2


def test_a_claim_of_runs_stops_at_its_limit(connection: sqlite3.Connection) -> None:
    add_runs(connection, 12, due=NOW - 5)
    few = steps(connection, claim_runs())
    add_runs(connection, MANY, due=NOW - 4)
    many = steps(connection, claim_runs())
    assert few[0] == many[0] == 10
    assert many[1] <= few[1] * 2


def test_leased_runs_at_the_head_cost_one_bounded_page_and_are_left_behind(
    connection: sqlite3.Connection,
) -> None:
    for batch in range(5):
        add_runs(connection, 1000, due=NOW - 5_000 + batch, lease_until=NOW + 1_000)
    add_runs(connection, 3, due=NOW - 1)
    after, pages, taken = FIRST_DUE, 0, 0
    while not taken:
        answer = claim_runs(after=after).carry_out(transaction(connection))
        pages += 1
        taken = len(answer.runs)
        assert taken or answer.reached is not None, "the page ended before what is due was met"
        assert answer.reached is None or answer.reached > after, "a page must get on"
        after = answer.reached or FIRST_DUE
    assert (taken, pages) == (3, 6)


def test_leased_runs_of_one_due_time_cost_no_more_than_others(connection: sqlite3.Connection) -> None:
    """Five thousand at the head: each page ends among them, and the next one begins where it ended."""
    for batch in range(5):
        add_runs(connection, 1000, due=NOW - 9_000 + batch, lease_until=NOW + 1_000)
    spread = steps(connection, claim_runs())
    add_runs(connection, 5_000, due=NOW - 5_000, lease_until=NOW + 1_000)
    add_runs(connection, 3, due=NOW - 1)
    after, pages, taken = DueEntry(NOW - 5_000, UUID(int=0)), 0, 0
    while not taken:
        claim = claim_runs(after=after)
        _, cost = steps(connection, claim)
        answer = claim.carry_out(transaction(connection))
        pages += 1
        taken = len(answer.runs)
        assert cost <= 2 * spread[1]
        assert answer.reached is None or answer.reached > after, "a page must get on"
        after = answer.reached or FIRST_DUE
    assert (taken, pages) == (3, 6)


def test_a_claim_of_tasks_passes_by_whatever_is_later_leased_or_unwanted(
    connection: sqlite3.Connection,
) -> None:
    def add(count: int, activity: str, priority: int, due: int, lease_until: int | None = None) -> None:
        claim_id = None if lease_until is None else uuid4().bytes
        row = (activity, QUEUE, priority, due, lease_until, claim_id)
        connection.executemany(TASK, [(NS, run_id.bytes, *row) for run_id in claimants[:count]])
        del claimants[:count]

    claimants = [uuid4() for _ in range(4 * MANY)]
    connection.executemany(
        RUN, [(NS, run_id.bytes, FINGERPRINT, 0, None, None, 0, 0) for run_id in claimants]
    )
    claim = ClaimTasks(uuid4(), [TaskWant(QUEUE, 10, frozenset({ACTIVITY}))], 1000)
    add(50, ACTIVITY, 5, NOW - 5)
    alone = steps(connection, claim)
    add(MANY, ACTIVITY, 0, NOW + 5_000_000)
    add(MANY, ACTIVITY, 0, NOW - 5, lease_until=NOW + 5_000_000)
    add(MANY, "another", 0, NOW - 5)
    among = steps(connection, claim)
    assert alone[0] == among[0] == 10
    assert among[1] <= alone[1] * 2


def test_deliveries_of_one_run_are_found_among_many(connection: sqlite3.Connection) -> None:
    """A run with ten thousand signals closes a token and tells what is due without reading them."""
    add_runs(connection, 1, due=NOW - 5)
    run_id = connection.execute("SELECT run_id FROM continuum_runs").fetchone()[0]
    connection.executemany(DELIVERY, [(NS, run_id, uuid4().bytes, NOW - 4, 1) for _ in range(MANY)])
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(tick, 100)
    connection.execute(deliveries.HAS_DUE, (NS, run_id, NOW)).fetchall()
    connection.execute(deliveries.DEFERRED, (NS, run_id)).fetchall()
    connection.execute(deliveries.DUE_OF_RUN, (NS, run_id, NOW, 64)).fetchall()
    assert connection.execute(deliveries.CLOSE_TIMERS, (NS, run_id, 1)).fetchall() == [(None,)]
    connection.set_progress_handler(None, 0)
    assert count < 100


def _hundreds(connection: sqlite3.Connection, text: str, *asked: object) -> tuple[list[Any], int]:
    """What a statement finds, and the hundreds of steps that it costs."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(tick, 100)
    rows = connection.execute(text, asked).fetchall()
    connection.set_progress_handler(None, 0)
    return rows, count


def test_pruning_passes_by_nothing_and_reads_nothing_to_count(connection: sqlite3.Connection) -> None:
    """Thousands are eternal, thousands of another end: a page of those that may go, a count to its limit."""
    add_runs(connection, MANY, due=None, status=RunStatus.COMPLETED)
    connection.execute("UPDATE continuum_runs SET eternal = 1")
    connection.execute("INSERT INTO continuum_eternal SELECT namespace, run_id FROM continuum_runs")
    add_runs(connection, MANY, due=None, status=RunStatus.COMPLETED)
    add_runs(connection, 50, due=None, status=RunStatus.FAILED)
    for kind, told in ((("m", 1), 20), (("m", 2), 20), (("m", 3), 0), (("other", 1), 0)):
        found, cost = _hundreds(connection, retention.ENDED_RUNS, NS, *kind, NOW, -1, b"", 20)
        assert (len(found), cost < 20) == (told, True)
    for kind, before, limit, count in (
        (("m", 1), NOW, 10, 10),
        (("m", 1), 3, MANY, 3),
        (("m", 2), NOW, MANY, 0),
        (("other", 1), NOW, MANY, 0),
    ):
        found, cost = _hundreds(connection, retention.COUNT_ETERNAL, NS, *kind, before, limit)
        assert (found, cost < 5) == ([(count,)], True)
    for text in (retention.NEXT_MACHINE, retention.NEXT_ETERNAL_MACHINE):
        assert _hundreds(connection, text, NS, "") == ([("m",)], 0)
        assert _hundreds(connection, text, NS, "m") == ([], 0)


TOTAL = AttributeIn("total", (Span(b"n", b"o", below=True),))
FEW = AttributeIn("other", (Span.of(b"n1"), Span.of(b"n2")))
GOING = Every((ColumnIn(Column.STATUS, (Span.of(0), Span.of(6))), Not(TOTAL)))
AT = Place(5, UUID(int=5))
SEARCHES = {
    f"{name} {verb}": statement
    for name, where in (("all", ALL), ("range", TOTAL), ("going", GOING))
    for verb, statement in {
        "newest": by_column(DIALECT, Search(where), AT, 50, None),
        "hits": by_column(DIALECT, Search(where), AT, 50, FEW),
        "sorted": by_attribute(DIALECT, Search(where, Sort("total")), Place(b"n1", UUID(int=5)), 50, None),
        "hits sorted": by_attribute(DIALECT, Search(where, Sort("total")), None, 50, FEW),
        "counted": counted(DIALECT, where, 50, None),
        "hits counted": counted(DIALECT, where, 50, FEW),
        "measured": measured(DIALECT, TOTAL, 50),
    }.items()
}


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_seeks(name: str, connection: sqlite3.Connection) -> None:
    """Runs in the order of a page or by their key, attributes by their run or in the order of their keys."""
    text, parameters = SEARCHES[name]
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", (NS, *parameters))]
    # What is scanned was made by the statement itself, out of what was found by seeking.
    made = {step.split()[1] for step in plan if step.startswith(("MATERIALIZE", "CO-ROUTINE"))}
    whole = [step for step in plan if step.startswith("SCAN") and step.split()[1] not in made]
    assert [step for step in whole if not step.startswith("SCAN CONSTANT ROW")] == [], plan
    assert "hits" in name or "going" in name or not [step for step in plan if "TEMP B-TREE" in step], plan


def _texts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """The statements behind a name: what a run or a generation leaves behind is deleted by several."""
    return (value,) if isinstance(value, str) else value


STATEMENTS = [
    (f"{module.__name__.rpartition('.')[2]}.{name}", text)
    for module in (attributes, blobs, crews, deliveries, orders, queues, reading, retention, runs, tasks)
    for name in module.__all__
    for text in _texts(getattr(module, name))
    if name != "RUN_COLUMNS"
]


def test_no_statement_is_planned_anew_for_the_number_behind_limit() -> None:
    """SQLite does that where a parameter stands there; a sum keeps it from looking."""
    limited = [(name, text) for name, text in STATEMENTS if "LIMIT ?" in text]
    assert len(limited) > 10
    assert not [name for name, text in limited if re.search(r"LIMIT \?\d+\b(?! \+ 0)", text)]


NUMBERED = [f"{name}-{at}" for at, (name, _) in enumerate(STATEMENTS)]


@pytest.mark.parametrize(("name", "text"), STATEMENTS, ids=NUMBERED)
def test_no_statement_reads_a_whole_table_or_sorts(
    name: str, text: str, connection: sqlite3.Connection
) -> None:
    parameters = tuple([0] * max((number for number in range(1, 20) if f"?{number}" in text), default=0))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", parameters)]
    # What is scanned may be what was found by seeking: keys one after another, or a count up to its limit.
    found = ("SCAN CONSTANT ROW", "SCAN keys", "SCAN lanes", "SCAN (subquery")
    whole = [step for step in plan if step.startswith("SCAN") and not step.startswith(found)]
    assert not whole
    bounded = {"reading.DELIVERIES_OF_RUN", "reading.DEAD_OF_RUN"}  # sorts what one run has
    assert name in bounded or not [step for step in plan if "TEMP B-TREE" in step]
