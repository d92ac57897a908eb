"""The port of a journal alone, without the engine: turns of runs, many on their way at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from benchmarks.load import summary
from benchmarks.wire import Contender, serve, versions
from continuum_core.journal.commit import CommitOutcome
from continuum_core.journal.connect import connect
from continuum_core.journal.records import Run
from continuum_core.testing.conformance.given import TAKES, fused, new_run, turn

_BATCH = 100
"""Turns in one call, each of another run."""

_HOUR = 3_600_000_000
_SNAPSHOT, _RECORD = b"s" * 300, b"r" * 200


class Port(Contender):
    mode = "`commit` in batches of 100, without the engine"

    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        self.journal = connect(url, "bench")
        await self.journal.open()
        return {"versions": versions("continuum-core")}

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        """Commits a second: turns of `flying` runs, each made when the last one of its batch stood."""
        runs = [new_run() for _ in range(flying)]
        await self.journal.start(runs)
        claims = await self.journal.claim_runs(uuid4(), flying, _HOUR, TAKES, scan=flying)
        await self.journal.commit([turn(claim, claims.now) for claim in claims.runs])
        rows = [run for run in await self.journal.load([new.run_id for new in runs]) if run is not None]
        took: list[float] = []
        begun = time.perf_counter()

        async def batch(mine: list[Run]) -> None:
            while (asked := time.perf_counter()) < begun + seconds:
                turns = [fused(run, claims.now, (), (_RECORD,), snapshot=_SNAPSHOT) for run in mine]
                for answer in await self.journal.commit(turns):
                    assert answer.outcome is CommitOutcome.COMMITTED
                took.extend([time.perf_counter() - asked] * len(turns))
                mine = [
                    replace(run, version=run.version + 1, commit_id=turn.commit_id)
                    for run, turn in zip(mine, turns, strict=True)
                ]

        await asyncio.gather(*(batch(rows[at : at + _BATCH]) for at in range(0, len(rows), _BATCH)))
        return summary(took, time.perf_counter() - begun)

    async def close(self) -> None:
        await self.journal.close()


if __name__ == "__main__":
    serve(Port())
