"""A process at work on a journal: starts, delivers, claims, commits; tells each acknowledged commit.

Run as ``python busy_process.py PATH ROUNDS NAME``. Each line on stdout is JSON: a run that was started,
or a run, version and commit id that were acknowledged. Any error ends it with a traceback.
"""

from __future__ import annotations

import asyncio
import json
import sys

from continuum_core.journal.commit import CommitOutcome, StartOutcome
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import HOUR, TAKES, new_id, new_run, signal, turn
from continuum_sqlite import connect


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


async def work(path: str, rounds: int, name: str) -> None:
    journal = connect(f"sqlite:///{path}", "test", Limits())
    await journal.open()
    for number in range(rounds):
        run = new_run(digest=f"{name} {number}".encode())
        (begun,) = await journal.start([run])
        assert begun.outcome is StartOutcome.STARTED
        tell(run=str(run.run_id))
        await journal.deliver([signal(run.run_id) for _ in range(3)])
        claims = await journal.claim_runs(new_id(), 5, HOUR, TAKES)
        turns = [turn(claim, claims.now, [f"{name};".encode()]) for claim in claims.runs]
        answers = await asyncio.gather(*(journal.commit([one]) for one in turns))
        for one, (answer,) in zip(turns, answers, strict=True):
            assert answer.outcome is CommitOutcome.COMMITTED, f"{name} lost a run that it had leased"
            tell(run=str(one.run_id), version=one.version + 1, commit=str(one.commit_id))
        await journal.deliver([signal(one.run_id) for one in turns])
    await journal.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
