"""What a claim of a queue with keys and limits costs: by what it takes, whatever waits, is leased or put off.

Cost is counted in pages touched, as in `test_plans`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from continuum_postgres import arrays
from continuum_postgres.place import parse
from continuum_postgres.schema import migration_sql
from continuum_postgres.statements import qualified
from continuum_postgres.statements.leases import EXPIRED_TASKS
from continuum_postgres.statements.queues import DEALT_TASKS, LIMITS, NEXT_TASKS, READY_TASKS
from continuum_postgres.statements.waiting import WAITING_TASKS

BACKLOG, TENANTS, LEASED, LATER = 200_000, 20_000, 5_000, 20_000
FAR = 2**60
ROOM = 50

TASKS = """
INSERT INTO continuum.tasks (shard, leased, cancel, ns, run_id, token, slot, priority, due, scheduled, wake,
  lease_until, fence, reported, attempt, losses, undo, activity, queue, payload, fairness)
SELECT (n % 1024)::smallint, {leased}, false, 1, md5('{queue}{salt}' || n::text)::uuid, 1, 0, 0, {due}, 0,
  {wake}, CASE WHEN {leased} THEN {wake} END, 1, 0, 0, 0, false, 'act', '{queue}', '', {key}
FROM generate_series(1, {count}) n
"""


@pytest.fixture(scope="module", params=["vacuumed while empty", "analysed"])
def filled(request: pytest.FixtureRequest, postgres_database: str) -> Iterator[Any]:
    """A connection as a lane has it; queues "backlog" and "tenants", and in each what must cost nothing."""
    schema = f"queues_{uuid4().hex[:8]}"
    place = parse(f"{postgres_database}?schema={schema}")
    with psycopg.connect(place.conninfo, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        arrays.register(connection)
        connection.execute(migration_sql(schema).encode())
        connection.execute(f'ALTER TABLE "{schema}".tasks SET (autovacuum_enabled = off)'.encode())
        if request.param == "vacuumed while empty":
            connection.execute(f'VACUUM (ANALYZE) "{schema}".tasks'.encode())
        for queue in ("backlog", "tenants", "ties"):
            _fill(connection, schema, queue)
        if request.param == "analysed":
            connection.execute(f'ANALYZE "{schema}".tasks'.encode())
        yield connection, schema
        connection.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())


def _fill(connection: Any, schema: str, queue: str) -> None:
    def run(**values: object) -> None:
        connection.execute(qualified(TASKS.format(queue=queue, **values), schema).encode())

    ready = {"leased": "false", "wake": "NULL::bigint"}
    if queue == "backlog":
        run(salt="w", due="n", key="'big'", count=BACKLOG, **ready)
        run(salt="s", due="n", key="'small' || n", count=5, **ready)
    elif queue == "ties":
        run(salt="w", due="1", key="''", count=TENANTS, **ready)
    else:
        run(salt="w", due="n", key="'t' || lpad(n::text, 6, '0')", count=TENANTS, **ready)
    run(salt="l", leased="true", wake=FAR, due="n", key="'l' || n", count=LEASED)
    run(salt="f", leased="false", wake=FAR, due=FAR, key="'f' || n", count=LATER)


def _pages(filled: Any, text: str, *parameters: object) -> int:
    connection, schema = filled
    asked = f"EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT JSON) {qualified(text, schema)}"
    plan = connection.execute(asked.encode(), (1, *parameters)).fetchone()[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def _rows(filled: Any, text: str, *parameters: object) -> list[tuple[Any, ...]]:
    connection, schema = filled
    found: list[tuple[Any, ...]] = connection.execute(
        qualified(text, schema).encode(), (1, *parameters)
    ).fetchall()
    return found


def _lane(queue: str) -> tuple[object, object]:
    return arrays.texts([queue]), arrays.texts(["act"])


@pytest.mark.parametrize("queue", ["backlog", "tenants"])
def test_a_claim_costs_by_what_it_takes(filled: Any, queue: str) -> None:
    """220,000 tasks wait: a claim of fifty reads some pages for each, and a poll a handful."""
    room = arrays.bigints([ROOM])
    found = _rows(filled, DEALT_TASKS, *_lane(queue), room)
    assert ROOM <= len(found) <= 2 * ROOM
    assert _pages(filled, DEALT_TASKS, *_lane(queue), room) < 16 * ROOM
    assert _pages(filled, READY_TASKS, *_lane(queue), room) < 100
    assert _pages(filled, EXPIRED_TASKS, *_lane(queue)) < 40
    assert _pages(filled, NEXT_TASKS, *_lane(queue)) < 40


def test_ties_are_read_as_far_as_there_is_room(filled: Any) -> None:
    """Twenty thousand tasks that became due at once: the first fifty of them, in the order of their names."""
    room = arrays.bigints([ROOM])
    for statement in (READY_TASKS, DEALT_TASKS):
        found = _rows(filled, statement, *_lane("ties"), room)
        assert len(found) == ROOM
        assert _pages(filled, statement, *_lane("ties"), room) < 16 * ROOM
    connection, schema = filled
    sql = "SELECT run_id FROM continuum.tasks WHERE queue = 'ties' AND wake IS NULL ORDER BY run_id LIMIT $1"
    first = connection.execute(qualified(sql, schema).encode(), (ROOM,)).fetchall()
    assert sorted(row[4] for row in found) == [row[0] for row in first]


def test_every_key_in_turn_is_found(filled: Any) -> None:
    """From the cursor on, and from the beginning where the end is met."""
    connection, schema = filled
    with connection.transaction(force_rollback=True):
        sql = "INSERT INTO continuum.dealt VALUES (1, 0, 'tenants', 't019990')"
        connection.execute(qualified(sql, schema).encode())
        found = _rows(filled, DEALT_TASKS, *_lane("tenants"), arrays.bigints([20]))
        assert _pages(filled, DEALT_TASKS, *_lane("tenants"), arrays.bigints([20])) < 16 * 20
    keys = {row[2] for row in found}
    assert keys == {f"t{n:06}" for n in [*range(19_991, 20_001), *range(1, 11)]}


def test_who_has_little_does_not_hide_who_has_much(filled: Any) -> None:
    """Five tenants have one task each: the sixth has all the rest of the room."""
    found = _rows(filled, DEALT_TASKS, *_lane("backlog"), arrays.bigints([ROOM]))
    keys = [row[2] for row in found]
    assert keys.count("big") == ROOM - 5
    assert [row[3] for row in found if row[2] == "big"] == list(range(1, ROOM - 4))


def test_leases_are_counted_up_to_the_cap(filled: Any) -> None:
    names = arrays.texts(["backlog", "tenants"])
    told = _rows(filled, LIMITS, names, arrays.bigints([20, 0]))
    assert [row[1] for row in told] == [20, 0]
    assert _pages(filled, LIMITS, names, arrays.bigints([20, 0])) < 60


@pytest.mark.parametrize(("queue", "salt", "number"), [("tenants", "w", 60), ("backlog", "s", 3)])
def test_a_place_is_told_without_reading_the_backlog(filled: Any, queue: str, salt: str, number: int) -> None:
    """Who is sixtieth in turn costs sixty keys; who has one task beside 200,000 of another, two."""
    connection, schema = filled
    ((shard, run_id),) = connection.execute(
        f'SELECT shard, run_id FROM "{schema}".tasks WHERE run_id = md5($1)::uuid'.encode(),
        (f"{queue}{salt}{number}",),
    ).fetchall()
    (row,) = _rows(filled, WAITING_TASKS, shard, run_id)
    assert len(row[9]) == (number if queue == "tenants" else 1 + number)
    assert _pages(filled, WAITING_TASKS, shard, run_id) < 3_000
