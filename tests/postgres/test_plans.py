"""Plans: every statement probes by a key, and claims stop at their limit, whatever the statistics say.

Cost is counted in pages touched, as EXPLAIN counts them: the same on every machine, and free of time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from continuum_core.journal.searching import ALL as ALL_RUNS
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
    Sort,
    Span,
)
from continuum_core.journal.selecting import Statement, by_attribute, by_column, counted, measured
from continuum_postgres import arrays
from continuum_postgres.arrays import Bigint
from continuum_postgres.migrations import MIGRATIONS
from continuum_postgres.place import parse
from continuum_postgres.schema import migration_sql
from continuum_postgres.searching import DIALECT
from continuum_postgres.statements import blobs, carrying, gauges, qualified, retention
from continuum_postgres.statements.claims import DUE_PAGE
from continuum_postgres.statements.leases import EXPIRED_TASKS
from continuum_postgres.statements.queues import NEXT_TASKS, READY_TASKS
from tests.postgres.test_sql import ALL, WITHOUT_RUN

MANY = 20_000
FAR = 2**60

RUNS = """
INSERT INTO continuum.runs (shard, status, ns, run_id, version, fence, lease_until, claim_id, created,
  updated, ended, eternal, tries, generation, machine, fingerprint, cause, digest, snapshot)
SELECT (n % 1024)::smallint, {status}, 1, md5({salt} || n::text)::uuid, 1, 1, {lease}, {claim}, n, n,
  {ended}, {eternal}, 0, 0, 'm', 'f', '', '', '' FROM generate_series(1, {count}) n
"""
DELIVERIES = """
INSERT INTO continuum.deliveries (shard, kind, ns, run_id, id, due, token, slot, held, payload)
SELECT (n % 1024)::smallint, 2, 1, md5({salt} || n::text)::uuid, md5('d' || {salt} || n::text)::uuid,
  {due}, 1, 0, 0, ''
FROM generate_series(1, {count}) n
"""
TASKS = """
INSERT INTO continuum.tasks (shard, leased, cancel, ns, run_id, token, slot, priority, due, scheduled, wake,
  lease_until, fence, reported, claim_id, attempt, losses, undo, activity, queue, payload)
SELECT (n % 1024)::smallint, {leased}, false, 1, md5({salt} || n::text)::uuid, 1, 0, {priority}, {due}, 0,
  {wake}, {wake}, 1, 0, {claim}, 0, 0, false, 'act', 'queue', '' FROM generate_series(1, {count}) n
"""
ATTRIBUTES = """
INSERT INTO continuum.attributes (shard, ns, run_id, name, key)
SELECT (n % 1024)::smallint, 1, md5({salt} || n::text)::uuid, 'total', '\\x6e'::bytea || int8send(n)
FROM generate_series(1, {count}) n
"""
GENERATIONS = """
INSERT INTO continuum.generations (shard, ns, run_id, below, over)
SELECT (n % 1024)::smallint, 1, md5({salt} || n::text)::uuid, 1, n FROM generate_series(1, {count}) n
"""
ETERNAL = """
INSERT INTO continuum.eternal (shard, ns, run_id)
SELECT (n % 1024)::smallint, 1, md5({salt} || n::text)::uuid FROM generate_series(1, {count}) n
"""
BLOBS = """
INSERT INTO continuum.blobs (shard, ns, run_id, hash, at, snapshot, data)
SELECT (n % 1024)::smallint, 1, md5({salt} || n::text)::uuid, 'h', n, 0, 'd'
FROM generate_series(1, {count}) n
"""
TABLES = (
    "runs",
    "records",
    "deliveries",
    "seen",
    "dead",
    "tasks",
    "results",
    "orders",
    "claims",
    "definitions",
    "attributes",
    "generations",
    "eternal",
    "members",
    "blobs",
    "workers",
)


@pytest.fixture(scope="module", params=["never analysed", "vacuumed while empty", "analysed, nothing due"])
def filled(request: pytest.FixtureRequest, postgres_database: str) -> Iterator[tuple[Any, str]]:
    """A connection as a lane has it, and a schema with many runs that wait, ended, or are leased."""
    schema = f"plans_{uuid4().hex[:8]}"
    place = parse(f"{postgres_database}?schema={schema}")
    with psycopg.connect(place.conninfo, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        arrays.register(connection)
        connection.execute(migration_sql(schema).encode())
        connection.execute(f'ALTER TABLE "{schema}".runs SET (autovacuum_enabled = off)'.encode())
        if request.param == "vacuumed while empty":
            _vacuum_while_empty(connection, schema)
        _fill(connection, schema)
        if request.param == "analysed, nothing due":
            for table in TABLES:
                connection.execute(f'ANALYZE "{schema}".{table}'.encode())
            _make_due(connection, schema)
        yield connection, schema
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())


def _vacuum_while_empty(connection: Any, schema: str) -> None:
    """Rows that came and went, and statistics that say so: a queue's normal state."""
    _fill(connection, schema, count=200)
    for table in TABLES:
        connection.execute(f'DELETE FROM "{schema}".{table}'.encode())
        connection.execute(f'VACUUM (ANALYZE, TRUNCATE off) "{schema}".{table}'.encode())


def _fill(connection: Any, schema: str, count: int = MANY) -> None:
    def run(statement: str, **values: object) -> None:
        filled = statement.format(**{"eternal": "NULL", **values})
        connection.execute(qualified(filled, schema).encode())

    own = "md5('c')::uuid"
    run(RUNS, salt="'w'", status=0, lease="NULL", claim="NULL", ended="NULL", count=count)
    run(DELIVERIES, salt="'w'", due=FAR, count=count)
    oldest = f"CASE WHEN n <= {count // 4} THEN true END"
    run(RUNS, salt="'e'", status=1, lease="NULL", claim="NULL", ended="n", eternal=oldest, count=count)
    run(RUNS, salt="'l'", status=0, lease=FAR, claim=own, ended="NULL", count=count // 4)
    run(ATTRIBUTES, salt="'w'", count=count)
    run(ATTRIBUTES, salt="'e'", count=count)
    run(GENERATIONS, salt="'w'", count=count)
    run(BLOBS, salt="'w'", count=count)
    run(ETERNAL, salt="'e'", count=count // 4)
    run(TASKS, salt="'w'", leased="false", priority="n % 3", due=FAR, wake="NULL", claim="NULL", count=count)
    run(TASKS, salt="'l'", leased="true", priority=0, due=1, wake=FAR, claim=own, count=count // 4)


def _make_due(connection: Any, schema: str) -> None:
    """A few things are due, of which the statistics know nothing."""
    text = DELIVERIES.replace("md5('d' ||", "md5('x' ||").format(salt="'w'", due="n", count=100)
    connection.execute(qualified(text, schema).encode())


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _generic(connection: Any, schema: str, text: str) -> list[dict[str, Any]]:
    asked = f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {qualified(text, schema)}"
    ((told,),) = connection.execute(asked.encode(), None).fetchall()
    return list(_nodes(told[0]["Plan"]))


BY_RUN = frozenset(f"{table}_pkey" for table in TABLES if table not in WITHOUT_RUN)
WAITING = {"waiting.WAITING_TASKS[0]", "waiting.PUT_OFF_TASKS[0]"}
CLAIMS: dict[str, set[str]] = {
    "deliveries_due": {"claims.DUE_PAGE[0]"},
    "tasks_ready": {"queues.READY_TASKS[0]", "queues.DEALT_TASKS[0]", *WAITING},
    "tasks_leased": {"leases.EXPIRED_TASKS[0]", "queues.NEXT_TASKS[0]", "queues.LIMITS[0]"},
    "tasks_later": {"queues.READY_TASKS[0]", "queues.DEALT_TASKS[0]", "queues.NEXT_TASKS[0]", *WAITING},
    "tasks_unneeded": {"leases.EXPIRED_TASKS[0]"},
    "tasks_claimed": {"leases.CLAIMED_TASKS[0]"},
    "attributes_keys": set(),
}
"""Indexes over many runs, and the only statements that may read them."""

UNORDERED = {"leases.CLAIMED_TASKS[0]", "leases.EXPIRED_TASKS[0]", "queues.LIMITS[0]"}
"""They read all that the condition finds, so a bitmap is as good."""

LISTS = re.compile(r"reading\.|retention\.|gauges\.|presence\.|carrying\.TALLY|NAMESPACE|PRIVILEGES")
"""What looks over a whole namespace, and is no part of a run's way: pages, counts, pruning. Counts have
bounds of their own below."""


def test_no_statement_reads_more_than_it_names(filled: tuple[Any, str]) -> None:
    """Each scan of a table is a probe by its key, of a row by its place, or of a claim's own index."""
    connection, schema = filled
    if connection.info.server_version < 160_000:
        pytest.skip("the server cannot tell generic plans (16 or later can)")
    wrong: list[str] = []
    for name, text in ALL.items():
        if LISTS.search(name) or text.startswith(("BEGIN", "SELECT pg_notify")):
            continue
        for node in _generic(connection, schema, text):
            wrong += [f"{name}: {fault}" for fault in _faults(name, node)]
    assert not wrong, "\n".join(wrong)


OF_NAMED = re.compile(r"retention\.(COUNT_(GENERATIONS|RECORDS)|DROP_(GENERATION|RUNS)|LOCK_)")
"""What pruning does with the runs and generations that it has found."""


def test_what_is_pruned_is_reached_by_its_key(filled: tuple[Any, str]) -> None:
    """However much there is of others: records, members, generations and all that a run leaves behind."""
    connection, schema = filled
    if connection.info.server_version < 160_000:
        pytest.skip("the server cannot tell generic plans (16 or later can)")
    named = {name: text for name, text in ALL.items() if OF_NAMED.match(name)}
    assert len(named) >= 15
    wrong = [
        f"{name}: {fault}"
        for name, text in named.items()
        for node in _generic(connection, schema, text)
        for fault in _faults(name, node)
    ]
    assert not wrong, "\n".join(wrong)


def test_pruning_finds_the_oldest_in_the_order_of_its_index(filled: tuple[Any, str]) -> None:
    """A page costs what it holds: of runs of which the oldest are eternal, of generations, of blobs."""
    connection, schema = filled
    page, start, nobody = Bigint(100), Bigint(-1), UUID(int=0)
    ended = (Bigint(FAR), start, nobody, page)
    assert _pages(connection, schema, retention.ENDED_RUNS, *ended, 0b11110) < 100 * 8
    assert _pages(connection, schema, retention.ENDED_RUNS_OF, *ended, 0b11110, "m") < 100 * 8
    # of another machine or another end, not one of thousands is read
    assert _pages(connection, schema, retention.ENDED_RUNS, *ended, 0b11100) < 20
    assert _pages(connection, schema, retention.ENDED_RUNS_OF, *ended, 0b11100, "m") < 20
    assert _pages(connection, schema, retention.ENDED_RUNS_OF, *ended, 0b11110, "other") < 20
    past = (Bigint(FAR), start, nobody, Bigint(0), page, None)
    assert _pages(connection, schema, retention.PAST_GENERATIONS, *past) < 100 * 8
    assert _pages(connection, schema, blobs.STALE, Bigint(FAR), start, nobody, b"", page) < 100 * 3


def test_eternal_runs_are_counted_by_their_index(filled: tuple[Any, str]) -> None:
    """Up to the limit; of another machine, another end or a later time, not one of thousands is read."""
    connection, schema = filled
    every, one, page = retention.COUNT_ETERNAL, retention.COUNT_ETERNAL_OF, Bigint(100)
    assert _pages(connection, schema, every, Bigint(FAR), page, 0b11110) < 100 * 3
    assert _pages(connection, schema, one, Bigint(FAR), page, 0b11110, "m") < 100 * 3
    assert _pages(connection, schema, every, Bigint(FAR), page, 0b11100) < 20
    assert _pages(connection, schema, one, Bigint(FAR), page, 0b11110, "other") < 20
    assert _pages(connection, schema, one, Bigint(1), page, 0b11110, "m") < 20
    for text, asked in ((every, (0b11110,)), (one, (0b11110, "m"))):
        told = connection.execute(qualified(text, schema).encode(), (1, Bigint(FAR), Bigint(MANY), *asked))
        assert told.fetchone() == (MANY // 4,)


def _faults(name: str, node: dict[str, Any]) -> Iterator[str]:
    kind, table = node["Node Type"], node.get("Relation Name")
    if table is None or kind == "ModifyTable":
        return
    if kind in ("Tid Scan", "Tid Range Scan"):
        return
    index, condition = node.get("Index Name"), str(node.get("Index Cond", ""))
    if kind not in ("Index Scan", "Index Only Scan", "Bitmap Heap Scan"):
        yield f"{kind} of {table}"
    elif kind == "Bitmap Heap Scan":
        if name not in UNORDERED:
            yield f"{kind} of {table}: not in the order of its index"
    elif index in BY_RUN and "run_id" not in condition:
        yield f"{index} by {condition or 'nothing'}"
    elif index in CLAIMS and name not in CLAIMS[index]:
        yield f"{index} for one run"
    elif not condition:
        yield f"{index} from end to end"


def _pages(connection: Any, schema: str, text: str, *parameters: object) -> int:
    asked = f"EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT JSON) {qualified(text, schema)}"
    cursor = connection.execute(asked.encode(), (1, *parameters))
    plan = cursor.fetchone()[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def _begin(due: int) -> tuple[Bigint, UUID]:
    return Bigint(due), UUID(int=0)


def test_a_poll_costs_the_same_however_many_wait(filled: tuple[Any, str]) -> None:
    """Tens of thousands wait, ended or are leased: a claim that finds little touches a handful of pages."""
    connection, schema = filled
    lanes = (arrays.texts(["queue"]), arrays.texts(["act"]))
    takes = arrays.texts(["f"])
    assert _pages(connection, schema, DUE_PAGE, *_begin(200), Bigint(1_000), takes) < 60
    assert _pages(connection, schema, READY_TASKS, *lanes, arrays.bigints([100])) < 60
    assert _pages(connection, schema, EXPIRED_TASKS, *lanes) < 60
    assert _pages(connection, schema, NEXT_TASKS, *lanes) < 80


def test_a_page_stops_at_its_scan(filled: tuple[Any, str]) -> None:
    """Thousands of leased runs with something due stand at the head: a page reads so many and no more."""
    connection, schema = filled
    text = DELIVERIES.replace("md5('d' ||", "md5('h' ||").format(
        salt="'l'", due="1000000 + n", count=MANY // 4
    )
    takes = arrays.texts(["f"])
    with connection.transaction(force_rollback=True):
        connection.execute(qualified(text, schema).encode())
        few = _pages(connection, schema, DUE_PAGE, *_begin(1_000_000), Bigint(100), takes)
        behind = _pages(connection, schema, DUE_PAGE, *_begin(1_000_000 + MANY // 4), Bigint(100), takes)
    assert few < 100 * 10  # a page of the heap and some of the key's tree for each entry
    assert behind < 60


def test_a_page_of_ties_costs_what_another_costs(filled: tuple[Any, str]) -> None:
    """Twenty thousand deliveries of one microsecond: a page ends among them, and begins among them."""
    connection, schema = filled
    takes = arrays.texts(["f"])
    costs: dict[str, list[int]] = {}
    for due in ("2000000", "2000000 + n"):
        text = DELIVERIES.replace("md5('d' || {salt} || n::text)::uuid", "lpad(to_hex(n), 32, '0')::uuid")
        with connection.transaction(force_rollback=True):
            filling = text.format(salt="'w'", due=due, count=MANY)
            connection.execute(qualified(filling, schema).encode())
            middle = MANY // 2
            begins = [
                _begin(2_000_000),
                (Bigint(2_000_000 + (middle if "n" in due else 0)), UUID(int=middle)),
            ]
            costs[due] = [_pages(connection, schema, DUE_PAGE, *at, Bigint(100), takes) for at in begins]
            for at in begins:
                asked = (1, *at, Bigint(100), takes)
                rows = connection.execute(qualified(DUE_PAGE, schema).encode(), asked).fetchall()
                assert len(rows) == 100
    for ties, spread in zip(*costs.values(), strict=True):
        assert ties <= 1.2 * spread + 20, costs


# --- searches

TOTAL = AttributeIn("total", (Span(b"n", b"o", below=True),))
OTHER = AttributeIn("other", (Span.of(b"n1"), Span(b"n2", b"n3")))
RUNNING = ColumnIn(Column.STATUS, (Span.of(0),))
PARKED = ColumnIn(Column.STATUS, (Span.of(6),))
WHERE: dict[str, Condition] = {
    "all": ALL_RUNS,
    "of a range": TOTAL,
    "going, of a range": Every((RUNNING, TOTAL)),
    "parked": PARKED,
    "either, not": Every((Some((TOTAL, PARKED)), Not(OTHER))),
}
PLACE = Place(5, UUID(int=5))
SEARCHES: dict[str, Statement] = {
    f"{verb}: {name}": statement
    for name, where in WHERE.items()
    for verb, statement in {
        "count": counted(DIALECT, where, 100, None),
        "newest": by_column(DIALECT, Search(where), None, 100, None),
        "newest, on": by_column(DIALECT, Search(where), PLACE, 100, None),
        "oldest": by_column(DIALECT, Search(where, Sort(Column.STARTED)), PLACE, 100, None),
        "sorted": by_attribute(DIALECT, Search(where, Sort("total")), None, 100, None),
        "sorted, on": by_attribute(
            DIALECT, Search(where, Sort("total", descending=True)), Place(b"n5", UUID(int=5)), 100, None
        ),
        "measured": measured(DIALECT, TOTAL, 100),
        "hits": by_column(DIALECT, Search(where, Sort(Column.UPDATED)), PLACE, 100, OTHER),
        "hits, sorted": by_attribute(DIALECT, Search(where, Sort("total")), None, 100, OTHER),
        "hits, counted": counted(DIALECT, where, 100, OTHER),
    }.items()
}
IN_ORDER = {"runs_open", "runs_closed", "runs_status", "attributes_keys"}


def test_every_search_goes_by_an_index(filled: tuple[Any, str]) -> None:
    """Runs in the order of a page or by their key, attributes by their run or in the order of their keys."""
    connection, schema = filled
    if connection.info.server_version < 160_000:
        pytest.skip("the server cannot tell generic plans (16 or later can)")
    wrong: list[str] = []
    for name, (text, _) in SEARCHES.items():
        for node in _generic(connection, schema, text):
            kind, index = node["Node Type"], node.get("Index Name")
            if node.get("Relation Name") is None:
                continue
            by_run = index in BY_RUN and "run_id" in str(node.get("Index Cond", ""))
            if kind not in ("Index Scan", "Index Only Scan", "Bitmap Heap Scan") or not (
                by_run or index in IN_ORDER or kind == "Bitmap Heap Scan"
            ):
                wrong.append(f"{name}: {kind} of {node['Relation Name']} by {index}")
    assert not wrong, "\n".join(wrong)


def test_a_page_of_a_search_reads_what_it_shows(filled: tuple[Any, str]) -> None:
    """Of twenty thousand runs with the attribute: a page, its followers, and counts that stop."""
    connection, schema = filled
    at = Place(MANY // 2, UUID(int=0))
    page = Every((RUNNING, TOTAL))
    for text, parameters in (
        by_column(DIALECT, Search(page), None, 50, None),
        by_column(DIALECT, Search(page), at, 50, None),
        by_attribute(DIALECT, Search(page, Sort("total", descending=True)), None, 50, None),
        counted(DIALECT, page, 50, None),
        measured(DIALECT, TOTAL, 50),
    ):
        assert _pages(connection, schema, text, *parameters) < 50 * 20, text


def test_few_hits_cost_what_they_are(filled: tuple[Any, str]) -> None:
    connection, schema = filled
    few = AttributeIn("total", (Span(b"n" + (5).to_bytes(8, "big"), b"n" + (14).to_bytes(8, "big")),))
    for text, parameters in (
        by_column(DIALECT, Search(few, Sort(Column.UPDATED)), None, 50, few),
        by_attribute(DIALECT, Search(few, Sort("total")), None, 50, few),
        counted(DIALECT, few, None, few),
    ):
        assert _pages(connection, schema, text, *parameters) < 20 * 30, text


# --- what looks over a whole namespace


def _scans(connection: Any, schema: str, text: str, *parameters: object) -> list[dict[str, Any]]:
    asked = f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) {qualified(text, schema)}"
    plan = connection.execute(asked.encode(), (1, *parameters)).fetchone()[0][0]["Plan"]
    return [node for node in _nodes(plan) if node.get("Relation Name") is not None]


def test_gauges_count_no_further_than_they_tell(filled: tuple[Any, str]) -> None:
    """Each stretch that is counted ends at its bound, though twenty thousand runs are there to be counted."""
    connection, schema = filled
    most = 100
    for text in (gauges.DUE, gauges.STATUSES, gauges.TASKS):
        for node in _scans(connection, schema, text, most):
            read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            assert read <= most + 1, f"{node['Node Type']} of {node['Relation Name']} reads {read}: {text}"


def test_a_tally_reads_each_table_once(filled: tuple[Any, str]) -> None:
    connection, schema = filled
    scans = _scans(connection, schema, carrying.TALLY, Bigint(86_400_000_000))
    tables = ["blobs", "deliveries", "members", "records", "runs", "tasks"]
    assert sorted(node["Relation Name"] for node in scans) == tables
    assert [node["Relation Name"] for node in scans if node["Actual Loops"] != 1] == []


def test_the_schema_is_what_these_tests_fill() -> None:
    assert set(TABLES) < {
        match[1]
        for one in MIGRATIONS
        for text in one.statements
        if (match := re.search(r"TABLE continuum\.(\w+)", text))
    }
