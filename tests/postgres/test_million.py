"""A hundred times as many runs cost a verb nothing: a million that wait, that ended, that are due later.

CONTINUUM_TEST_RUNS names another number than a million: the nightly environment (tox) has ten.
"""

from __future__ import annotations

import os

import psycopg
import pytest

from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import HOUR, hold_run, hold_task, new_run, new_task, turn
from continuum_core.testing.conformance.kit import claimed, claimed_tasks, started
from continuum_core.testing.servers import Postgres
from continuum_postgres.journal import PostgresJournal
from continuum_postgres.place import parse
from tests.disc import on_disc
from tests.postgres.handles import opened
from tests.postgres.million import EXPLAINING, SETTINGS, TABLES, fill, make_due, measure, remember_empty

MANY = int(os.environ.get("CONTINUUM_TEST_RUNS", "1_000_000"))


async def _grown(few: int, many: int) -> list[str]:
    """Verbs that touch more pages where there is more, with the statistics of empty tables and good ones."""
    with on_disc(), Postgres(settings=SETTINGS) as server:
        url = f"{server.url()}?schema=million&{EXPLAINING}"
        journal = PostgresJournal(parse(url), "million", Limits())
        await journal.open()
        await journal.close()
        with psycopg.connect(server.url(), autocommit=True) as connection:
            remember_empty(connection, "million")
            make_due(connection, "million")
            fill(connection, "million", 1, few)
            before = await measure(url, "million")
            fill(connection, "million", few + 1, many)
            after = [await measure(url, "million")]
            for table in TABLES:
                connection.execute(f'ANALYZE "million".{table}'.encode())
            after.append(await measure(url, "million"))
    # An index of a million is one level deeper, and each measuring leaves a few dead rows at the head.
    return [
        f"{verb}: {pages} pages at {few:,}, {told[verb]} at {many:,}"
        for told in after
        for verb, pages in before.items()
        if told[verb] > 1.5 * pages + 60
    ]


async def test_ten_thousand() -> None:
    assert await _grown(100, 10_000) == []


@pytest.mark.long
async def test_a_million() -> None:
    assert await _grown(MANY // 100, MANY) == []


async def test_renewals_rewrite_no_index() -> None:
    """Leases of runs and tasks are renewed in place (HOT): what they cost does not grow with the indexes.

    On a server of its own: where others have transactions, pages keep what these may see, and fill up.
    """
    with Postgres(settings={"autovacuum": "off"}) as server:
        url = f"{server.url()}?schema=renewals"
        async with opened(url, "test") as journal:
            for _ in range(20):
                await started(journal)
            claims = (await claimed(journal, lease=HOUR)).runs
            now = await journal.now()
            await journal.commit([turn(claim, now, tasks=(new_task(),)) for claim in claims])
            await journal.start([new_run() for _ in range(20)])
            runs = [hold_run(claim) for claim in (await claimed(journal, lease=HOUR)).runs]
            tasks = [hold_task(claim, b"half") for claim in (await claimed_tasks(journal, lease=HOUR)).tasks]
            assert len(runs) == len(tasks) == 20
        before = _updates(url, "renewals")
        async with opened(url, "test") as journal:
            for _ in range(25):
                assert all(await journal.renew(runs, HOUR))
                assert all(await journal.heartbeat(tasks, HOUR))
        shares = _shares(before, _updates(url, "renewals"))
    assert min(shares.values()) > 0.8, f"in place were {shares}; were a lease in an index, none would be"


def _shares(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> dict[str, float]:
    """How many of a table's updates since were HOT; a page may be full for once."""
    shares = {}
    for table in ("runs", "tasks"):
        made, hot = (late - early for late, early in zip(after[table], before[table], strict=True))
        assert made >= 500
        shares[table] = hot / made
    return shares


def _updates(url: str, schema: str) -> dict[str, tuple[int, int]]:
    """(updates, those that were HOT) of each table. A session that ended has told all it did."""
    with psycopg.connect(parse(url).conninfo, autocommit=True) as looking:
        asked = "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = %s"
        return {name: (made, hot) for name, made, hot in looking.execute(asked, (schema,)).fetchall()}
