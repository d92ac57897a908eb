"""A journal with a million runs of each kind, and what its verbs then read, page by page.

`python -m tests.postgres.million [COUNT]` fills a private server and prints the table of the manual's page
on PostgreSQL; `test_million.py` asserts it. Pages are counted by the server (auto_explain) for the
statements that the verbs really send, prepared as a lane prepares them: no time is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote
from uuid import UUID

import psycopg

from continuum_core.journal.commit import (
    DueEntry,
    PrunePlan,
    Query,
    TaskHold,
)
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.journal.searching import AttributeIn, Column, ColumnIn, Every, Search, Sort, Span
from continuum_core.testing.conformance.given import (
    FINGERPRINT,
    hold_run,
    new_id,
    new_run,
    signal,
    turn,
    want,
)
from continuum_core.testing.servers import Postgres
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.place import parse
from continuum_postgres.statements import qualified

__all__ = ["EXPLAINING", "SETTINGS", "Pages", "fill", "make_due", "measure", "remember_empty"]

FAR = 2**60
HEAD = 5_000
TABLES = ("runs", "records", "deliveries", "tasks", "attributes", "eternal")
MASSES = 100_000
"""From so many rows of a table on, its indexes are made when these are there."""

RARE = 50
"""Runs that have the attribute `rare`, however many there are."""

EXPLAINING = "options=" + quote(
    "-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 "
    "-c auto_explain.log_analyze=on -c auto_explain.log_buffers=on -c auto_explain.log_timing=off "
    "-c auto_explain.log_format=json -c auto_explain.log_level=notice"
)
"""In a URL: the server tells each statement's plan, as a notice to whoever sent it."""

SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "fsync": "off", "full_page_writes": "off"}
"""Of the private server: pages are counted, no time is measured, and nothing has to survive."""

Pages = dict[str, int]
"""Verb → pages that its statements touched."""

RUNS = """
INSERT INTO continuum.runs (shard, status, ns, run_id, version, fence, lease_until, claim_id, created,
  updated, ended, eternal, tries, generation, machine, fingerprint, cause, digest, snapshot)
SELECT (n % 1024)::smallint, {status}, 1, md5('{salt}' || n)::uuid, 1, 1, {lease}, {claim},
  {created}, n, {ended}, {eternal}, 0, 0, 'kit', '{fingerprint}', '', '', ''
FROM generate_series({first}, {last}) n
"""
RECORDS = """
INSERT INTO continuum.records (shard, kind, ns, run_id, version, at, cause, commit_id, body)
SELECT (n % 1024)::smallint, 0, 1, md5('{salt}' || n)::uuid, 1, n, md5('c' || n)::uuid, md5('c' || n)::uuid,
  '' FROM generate_series({first}, {last}) n
"""
DELIVERIES = """
INSERT INTO continuum.deliveries (shard, kind, ns, run_id, id, due, token, slot, held, payload)
SELECT (n % 1024)::smallint, 2, 1, md5('{salt}' || n)::uuid, md5('d{salt}' || n)::uuid, {due}, 1, 0, 0, ''
FROM generate_series({first}, {last}) n
"""
TASKS = """
INSERT INTO continuum.tasks (shard, leased, cancel, ns, run_id, token, slot, priority, due, scheduled, wake,
  lease_until, fence, reported, claim_id, attempt, losses, undo, activity, queue, payload)
SELECT (n % 1024)::smallint, {leased}, false, 1, md5('{salt}' || n)::uuid, 1, 0, n % 3, {due}, 0, {wake},
  {lease}, 1, 0, {claim}, 0, 0, false, 'act', 'queue', '' FROM generate_series({first}, {last}) n
"""


ATTRIBUTES = """
INSERT INTO continuum.attributes (shard, ns, run_id, name, key)
SELECT (n % 1024)::smallint, 1, md5('{salt}' || n)::uuid, '{name}', '\\x6e'::bytea || int8send(n)
FROM generate_series({first}, {last}) n
"""
ETERNAL = """
INSERT INTO continuum.eternal (shard, ns, run_id)
SELECT (n % 1024)::smallint, 1, md5('{salt}' || n)::uuid FROM generate_series({first}, {last}) n
"""


class _Filler:
    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self.connection, self.schema = connection, schema

    def run(self, statement: str, **values: object) -> None:
        self.connection.execute(qualified(statement.format(**values), self.schema).encode())


def fill(connection: psycopg.Connection[Any], schema: str, first: int, last: int) -> None:
    """Runs that wait for a timer, that ended, that are eternal, tasks that are due later: so many of each."""
    masses = last - first >= MASSES
    with _without_indexes(connection, schema) if masses else contextlib.nullcontext():
        _fill(connection, schema, first, last)


def _fill(connection: psycopg.Connection[Any], schema: str, first: int, last: int) -> None:
    put, span = _Filler(connection, schema), {"first": first, "last": last}
    waits = {"status": 0, "lease": "NULL", "claim": "NULL", "ended": "NULL", "fingerprint": FINGERPRINT}
    waits |= {"created": "n", "eternal": "NULL"}
    eternal = {**waits, "status": 2, "created": "-n", "ended": "n", "eternal": "true"}
    put.run(RUNS, salt="w", **waits, **span)
    put.run(RECORDS, salt="w", **span)
    put.run(DELIVERIES, salt="w", due=FAR, **span)
    put.run(RUNS, salt="e", **{**waits, "status": 1, "ended": "n"}, **span)
    put.run(RECORDS, salt="e", **span)
    put.run(RUNS, salt="k", **eternal, **span)
    put.run(ETERNAL, salt="k", **span)
    put.run(TASKS, salt="w", leased="false", due=FAR, wake=FAR, lease="NULL", claim="NULL", **span)
    put.run(ATTRIBUTES, salt="w", name="wide", **span)
    put.run(ATTRIBUTES, salt="e", name="wide", **span)
    if first == 1:
        put.run(ATTRIBUTES, salt="w", name="rare", first=1, last=min(RARE, last))


_INDEXES = """
SELECT t.relname, x.relname, pg_get_indexdef(i.indexrelid), n.conname, pg_get_constraintdef(n.oid)
FROM pg_index i
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_class x ON x.oid = i.indexrelid
LEFT JOIN pg_constraint n ON n.conindid = i.indexrelid AND n.contype = 'p'
WHERE t.relnamespace = %s::regnamespace AND t.relname = ANY(%s)
"""
_KNOWN = """
SELECT relpages, reltuples, relallvisible, relname FROM pg_class
WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'i')
"""
_KNOW = """
UPDATE pg_class SET relpages = %s, reltuples = %s, relallvisible = %s
WHERE relname = %s AND relnamespace = %s::regnamespace
"""


@contextmanager
def _without_indexes(connection: psycopg.Connection[Any], schema: str) -> Iterator[None]:
    """Keys are in no order: an index that grows by each would be read from the disk, and written, each time.

    What the server believes of the tables stays as it was, which building an index would tell it anew.
    """
    place = f'"{schema}"'
    known = connection.execute(_KNOWN, (place,)).fetchall()
    indexes = connection.execute(_INDEXES, (place, list(TABLES))).fetchall()
    for table, index, _, key, _ in indexes:
        drops = f"ALTER TABLE {place}.{table} DROP CONSTRAINT {key}" if key else f"DROP INDEX {place}.{index}"
        connection.execute(drops.encode())
    yield
    connection.execute("SET maintenance_work_mem = '512MB'")
    for table, _, definition, key, constraint in indexes:
        makes = f"ALTER TABLE {place}.{table} ADD CONSTRAINT {key} {constraint}" if key else definition
        connection.execute(makes.encode())
    for row in known:
        connection.execute(_KNOW, (*row, place))


def remember_empty(connection: psycopg.Connection[Any], schema: str) -> None:
    """Statistics of tables that are empty, which nothing refreshes."""
    for table in TABLES:
        off = f'ALTER TABLE "{schema}".{table} SET (autovacuum_enabled = off)'
        connection.execute(off.encode())
        connection.execute(f'VACUUM (ANALYZE) "{schema}".{table}'.encode())


def make_due(connection: psycopg.Connection[Any], schema: str) -> None:
    """At the head of what is due: thousands of leased runs, thousands nobody takes; leased tasks as well."""
    put, span = _Filler(connection, schema), {"first": 1, "last": HEAD}
    held = {"status": 0, "lease": FAR, "claim": "md5('c')::uuid", "ended": "NULL", "fingerprint": FINGERPRINT}
    held |= {"created": "n", "eternal": "NULL"}
    put.run(RUNS, salt="l", **held, **span)
    put.run(DELIVERIES, salt="l", due="n", **span)
    strange = {**held, "lease": "NULL", "claim": "NULL", "fingerprint": "of another release"}
    put.run(RUNS, salt="s", **strange, **span)
    put.run(DELIVERIES, salt="s", due=f"{HEAD} + n", **span)
    put.run(TASKS, salt="l", leased="true", due=1, wake=FAR, lease=FAR, claim="md5('c')::uuid", **span)


# --- measuring

_BLOCKS = re.compile(r"(\{.*\})", re.DOTALL)


class _Counter:
    """Counts the pages of the plans that a handle's connections are told."""

    def __init__(self) -> None:
        self.pages = 0

    def __call__(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        found = _BLOCKS.search(diagnostic.message_primary or "")
        if found:
            plan = json.loads(found[1])["Plan"]
            self.pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


@asynccontextmanager
async def _counting(url: str, namespace: str) -> AsyncIterator[tuple[PostgresJournal, _Counter]]:
    journal = PostgresJournal(parse(url), namespace, Limits())
    counter = _Counter()
    await journal.open()
    try:
        store = journal._store
        assert store is not None
        for lane in (store.starting, store.turning, store.claiming, store.reading):
            (await lane.session.ready()).add_notice_handler(counter)
        yield journal, counter
    finally:
        await journal.close()


async def measure(url: str, namespace: str) -> Pages:
    """The pages of each verb, on the second call of its kind: the first fills the server's caches."""
    async with _counting(url, namespace) as (journal, counter):
        told: Pages = {}

        async def of(verb: str, work: Callable[[], Awaitable[Any]]) -> Any:
            await work()
            counter.pages = 0
            answer = await work()
            told[verb] = counter.pages
            return answer

        takes = frozenset({FINGERPRINT})
        await of(
            "claim_runs, a page of the head", lambda: journal.claim_runs(new_id(), 100, 60_000_000, takes)
        )
        behind = DueEntry(2 * HEAD + 1, UUID(int=0))
        await of(
            "claim_runs, behind the head",
            lambda: journal.claim_runs(new_id(), 100, 60_000_000, takes, after=behind),
        )
        wants = [want(100, "queue", ("act",))]
        await of("claim_tasks", lambda: journal.claim_tasks(new_id(), wants, 60_000_000))
        await of("start", lambda: journal.start([new_run()]))
        claims = (await journal.claim_runs(new_id(), 2, 60_000_000, takes, after=behind)).runs
        holds = [hold_run(claim) for claim in claims]
        await of("renew", lambda: journal.renew(holds, 60_000_000))
        turns = [turn(claim, await journal.now()) for claim in claims]
        last = iter(turns)
        await of("commit", lambda: journal.commit([next(last)]))
        await of("deliver", lambda: journal.deliver([signal(claims[0].run_id)]))
        await of("heartbeat", lambda: journal.heartbeat([TaskHold(claims[0].run_id, 1, 0, 1)], 1))
        await of("list, the newest", lambda: journal.list(Query(), 100))
        await of("list, completed", lambda: journal.list(Query(status=RunStatus.COMPLETED), 100))
        await of("list, parked", lambda: journal.list(Query(status=RunStatus.PARKED), 100))
        await _measure_searches(journal, of)
        await of("prune 10", lambda: journal.prune(PrunePlan(before=FAR, limit=10)))
        failed = PrunePlan(before=FAR, limit=10, machine="kit", statuses=frozenset({RunStatus.FAILED}))
        assert (await of("prune 10, all eternal", lambda: journal.prune(failed))).eternal == 10
        return told


async def _measure_searches(journal: PostgresJournal, of: Callable[..., Awaitable[Any]]) -> None:
    rare, wide = (AttributeIn(name, (Span(b"n", b"o"),)) for name in ("rare", "wide"))
    going = Every((ColumnIn(Column.STATUS, (Span.of(0),)), wide))
    searcher = journal.searcher()
    await of("search, a few in a range", lambda: searcher.search(Search(rare), 100))
    await of("search, the newest in a wide range", lambda: searcher.search(Search(going), 100))
    await of("search, sorted by an attribute", lambda: searcher.search(Search(wide, Sort("wide")), 100))
    await of("count, a few", lambda: searcher.count(rare))
    await of("count, stopped at 50", lambda: searcher.count(going, 50))


async def _main(count: int) -> None:
    with Postgres(settings=SETTINGS) as server:
        columns: list[Pages] = []
        url = f"{server.url()}?schema=million&{EXPLAINING}"
        journal = PostgresJournal(parse(url), "million", Limits())
        await journal.open()
        await journal.close()
        with psycopg.connect(server.url(), autocommit=True) as connection:
            remember_empty(connection, "million")
            make_due(connection, "million")
            for first, last in ((1, count // 100), (count // 100 + 1, count)):
                fill(connection, "million", first, last)
                columns.append(await measure(url, "million"))
            for table in TABLES:
                connection.execute(f'ANALYZE "million".{table}'.encode())
            columns.append(await measure(url, "million"))
            sizes = _sizes(connection, count)
    print(f"| verb | {count // 100:,} of each | {count:,} of each | the same, analysed |\n|---|---|---|---|")
    for verb in columns[0]:
        print(f"| {verb} | {' | '.join(str(column[verb]) for column in columns)} |")
    print(sizes)


def _sizes(connection: psycopg.Connection[Any], count: int) -> str:
    asked = "SELECT pg_total_relation_size(format('million.%%s', %s::text)::regclass)"
    parts: list[str] = []
    for table in TABLES:
        row = connection.execute(asked, (table,)).fetchone()
        assert row is not None
        rows = {"runs": 3, "records": 2, "attributes": 2}.get(table, 1) * count  # waiting, ended, eternal
        parts.append(f"{table} {row[0] / rows:.0f}")
    return f"bytes a row, with its indexes: {', '.join(parts)}"


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else 1_000_000))
