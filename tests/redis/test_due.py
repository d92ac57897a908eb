"""What a claim of runs costs, in commands that its script gives: by what it reads, whatever else is due."""

from __future__ import annotations

import re

from continuum_core.journal.commit import FIRST_DUE, DueEntry
from continuum_core.testing.conformance.given import HOUR, TAKES, new_id, new_run, signal
from continuum_redis.driver import Wire
from tests.redis.handles import asked, opened, raw

RUNS = 600
SCAN = 50
PER_ENTRY = 4
"""Commands that reading an entry and its run takes, at most."""


async def _commands(wire: Wire) -> int:
    """How many the server has carried out, those of scripts among them."""
    told = await asked(wire, b"INFO", b"commandstats")
    assert isinstance(told, bytes)
    return sum(map(int, re.findall(rb":calls=(\d+)", told)))


async def test_leased_runs_of_one_due_time_are_read_in_pages(redis_url: str, namespace: str) -> None:
    """Each page ends among them, and finds its beginning among them: it reads no more than others."""
    async with opened(redis_url, namespace) as journal, raw(redis_url) as wire:
        runs = [new_run() for _ in range(RUNS)]
        await journal.start(runs)
        assert len((await journal.claim_runs(new_id(), RUNS, HOUR, TAKES)).runs) == RUNS
        await journal.deliver([signal(run.run_id, due=5) for run in runs])
        free = new_run()
        await journal.start([free])
        found: list[object] = []
        after: DueEntry | None = FIRST_DUE
        pages = 0
        while after is not None and not found:
            before = await _commands(wire)
            page = await journal.claim_runs(new_id(), 10, HOUR, TAKES, after=after, scan=SCAN)
            assert await _commands(wire) - before <= PER_ENTRY * SCAN + 50
            assert page.reached is None or page.reached > after, "a page must get on"
            found += [claim.run_id for claim in page.runs]
            after, pages = page.reached, pages + 1
        assert found == [free.run_id]
        assert pages <= 2 * RUNS // SCAN + 1  # what started them is due as well
