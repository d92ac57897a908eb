"""What a worker asks of the server while there is nothing to do: `python -m tests.postgres.idle [SECONDS]`.

Counts transactions and connections as the server counts them, and this process's own CPU time.
"""

from __future__ import annotations

import asyncio
import sys
import time

import psycopg

from continuum_core import Worker
from continuum_core.testing.servers import Postgres
from tests.postgres.machines import Steps

__all__: list[str] = []

_COUNTED = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
_OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'continuum'"


def _asked(looking: psycopg.Connection[tuple[int]], what: str) -> int:
    row = looking.execute(what.encode()).fetchone()
    assert row is not None
    return row[0]


async def _main(seconds: float) -> None:
    with Postgres(settings={"autovacuum": "off"}) as server:
        async with Worker(server.url(), [Steps]) as worker:
            await (await worker.client.start(Steps, 1)).result(20)
            await asyncio.sleep(15)  # until it only polls
            with psycopg.connect(server.url(), autocommit=True) as looking:
                before, cpu = _asked(looking, _COUNTED), time.process_time()
                await asyncio.sleep(seconds)
                asked = _asked(looking, _COUNTED) - before - 1  # ours
                connections = _asked(looking, _OPEN)
                spent = time.process_time() - cpu
    print(f"{asked / seconds:.2f} transactions a second, {connections} connections, ", end="")
    print(f"{spent / seconds * 1000:.1f} ms of CPU a second")


if __name__ == "__main__":
    asyncio.run(_main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
