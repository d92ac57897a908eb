"""What claims and leases leave in the tables: little, and nothing in an index."""

from __future__ import annotations

from msgspec.structs import replace

from continuum_core.journal.commit import NewRun
from continuum_core.testing.conformance.given import (
    FAR,
    HOUR,
    TAKES,
    first_turn,
    fused,
    hold_run,
    hold_task,
    new_id,
    new_run,
    new_task,
    signal,
    timer,
    turn,
)
from continuum_core.testing.conformance.kit import (
    claimed_one,
    claimed_task,
    committed,
    delivered,
    row,
    waiting,
)
from continuum_postgres.batch import Batch
from continuum_postgres.claims import renew
from continuum_postgres.deliveries import Looked
from continuum_postgres.session import Session
from continuum_postgres.tasks import heartbeat
from continuum_postgres.turns import Standing
from continuum_postgres.writes import Writes
from tests.postgres.handles import opened, raw


async def _hot(session: Session, table: str) -> tuple[int, int]:
    """Rows that the open transaction updated, and those of them that touched no index."""
    connection = await session.ready()
    asked = (
        f"SELECT pg_stat_get_xact_tuples_updated('continuum.{table}'::regclass), "
        f"pg_stat_get_xact_tuples_hot_updated('continuum.{table}'::regclass)"
    )
    found = await (await connection.execute(asked.encode())).fetchone()
    assert found is not None
    return found[0], found[1]


async def test_heartbeats_and_renewals_touch_no_index(postgres_url: str, namespace: str) -> None:
    """A lease that is renewed for hours rewrites one row on its page."""
    async with opened(postgres_url, namespace) as journal:
        run_id = await waiting(journal, {"tasks": (new_task(1),)})
        task = await claimed_task(journal)
        await delivered(journal, signal(run_id))
        (claim,) = (await journal.claim_runs(new_id(), 1, HOUR, TAKES)).runs
        store = journal._store
        assert store is not None
        session = store.claiming.session
        await session.ask(("BEGIN", ()))
        before = await _hot(session, "tasks"), await _hot(session, "runs")
        assert await heartbeat(session, [hold_task(task)], HOUR) == [True]
        assert await renew(session, [hold_run(claim)], HOUR) == [True]
        after = await _hot(session, "tasks"), await _hot(session, "runs")
        await session.recover()
        grown = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(before, after, strict=True)]
        assert grown == [(1, 1), (1, 1)]


async def test_a_turn_that_goes_on_touches_no_index_of_runs(postgres_url: str, namespace: str) -> None:
    async with opened(postgres_url, namespace) as journal:
        run = await row(journal, await waiting(journal))
        now = await journal.now()
        store = journal._store
        assert store is not None
        session = store.turning.session
        batch = Batch(session)
        batch.at(now)
        writes = Writes(now, 0)
        going = fused(run, now)
        writes.turns.append(going)
        Standing(batch).apply(writes, Looked(), going, run.machine)
        await batch.write()
        before = await _hot(session, "runs")
        await batch.write(*writes.asks())
        after = await _hot(session, "runs")
        await session.recover()
        assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


async def test_claims_that_hold_nothing_are_forgotten(postgres_url: str, namespace: str) -> None:
    """One row a claim; the next claims remove those that are old and hold no run, and keep the others."""
    async with opened(postgres_url, namespace) as journal, raw(postgres_url) as other:
        first, second = await waiting(journal), await waiting(journal)
        await journal.deliver([signal(first), signal(second)])
        done, held = new_id(), new_id()
        (claim,) = (await journal.claim_runs(done, 1, HOUR, TAKES)).runs
        now = await journal.now()
        (kept,) = (await journal.claim_runs(held, 1, HOUR, TAKES)).runs
        await committed(journal, turn(claim, now))
        await other.execute("UPDATE continuum.claims SET at = 1 WHERE claim_id IN (%s, %s)", (done, held))
        await delivered(journal, signal(claim.run_id))
        await journal.claim_runs(new_id(), 1, HOUR, TAKES)
        asked = "SELECT claim_id FROM continuum.claims WHERE claim_id IN (%s, %s)"
        assert await (await other.execute(asked, (done, held))).fetchall() == [(held,)]
        assert (await journal.claim_runs(held, 1, HOUR, TAKES)).runs == (kept,)


async def test_claims_that_dead_holders_left_are_read_a_few_at_a_time(empty_url: str, namespace: str) -> None:
    """Nobody takes their runs over: each claim looks at four of them, and puts these behind the others."""
    schema = empty_url.rpartition("=")[2]
    async with opened(empty_url, namespace) as journal, raw(empty_url) as other:
        ids = [await waiting(journal) for _ in range(11)]
        await other.execute(f'DELETE FROM "{schema}".claims'.encode())
        await journal.deliver([signal(run_id) for run_id in ids[:10]])
        for _ in range(10):
            await journal.claim_runs(new_id(), 1, HOUR, TAKES)
        await other.execute(f'UPDATE "{schema}".claims SET at = 1'.encode())
        for left in (6, 2, 0):
            await journal.deliver([signal(ids[10])])
            claim, now = await claimed_one(journal)
            await committed(journal, turn(claim, now))
            asked = f'SELECT count(*) FROM "{schema}".claims WHERE at = 1'.encode()
            assert await (await other.execute(asked)).fetchone() == (left,)


async def test_a_waiting_run_costs_less_than_a_kibibyte(empty_url: str, namespace: str) -> None:
    """A run, its first record and a timer, with all their indexes."""
    async with opened(empty_url, namespace) as journal, raw(empty_url) as other:
        schema = empty_url.rpartition("=")[2]
        asked = (
            "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r'"
        )
        sizes: list[int] = []
        for _ in range(3):
            await journal.start(_waiting_runs(await journal.now()))
            found = await (await other.execute(asked, (schema,))).fetchone()
            assert found is not None
            sizes.append(int(found[0]))
        assert (sizes[2] - sizes[0]) / (2 * COUNT) < 1024  # without the pages that every table begins with


COUNT = 3_000


def _waiting_runs(now: int) -> list[NewRun]:
    """Runs whose first turn waits for a timer, with a snapshot and a record of a usual size."""
    runs: list[NewRun] = []
    for _ in range(COUNT):
        new = new_run()
        first = first_turn(new, now, snapshot=b"s" * 117, deliveries=(timer(new.run_id, FAR),))
        body = replace(first.records[0], body=b"r" * 150)
        runs.append(replace(new, turn=replace(first, records=(body,))))
    return runs
