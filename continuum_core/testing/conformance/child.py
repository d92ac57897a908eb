"""Another process on the same store: works for a while and dies without closing anything.

Run as ``python -m continuum_core.testing.conformance.child URL NAMESPACE ROUNDS``. It claims every run
it can, commits one step each, and delivers the next signal, `ROUNDS` times; then it tells on stdout, as
JSON, which versions it was told were committed, and exits at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from continuum_core.journal.commit import CommitOutcome
from continuum_core.journal.connect import connect
from continuum_core.testing.conformance.given import HOUR, TAKES, new_id, signal, turn

__all__ = ["main", "work"]


async def work(url: str, namespace: str, rounds: int) -> dict[str, list[int]]:
    """Commit one step of whatever can be claimed, `rounds` times; per run, the versions that stood."""
    journal = connect(url, namespace)
    await journal.open()
    stood: dict[str, list[int]] = {}
    for _ in range(rounds):
        claims = await journal.claim_runs(new_id(), 5, HOUR, TAKES)
        answers = await journal.commit([turn(claim, claims.now) for claim in claims.runs])
        for claim, answer in zip(claims.runs, answers, strict=True):
            if answer.outcome is CommitOutcome.COMMITTED:
                stood.setdefault(str(claim.run_id), []).append(claim.version + 1)
        await journal.deliver([signal(claim.run_id) for claim in claims.runs])
    return stood


def main(arguments: list[str]) -> None:
    url, namespace, rounds = arguments
    print(json.dumps(asyncio.run(work(url, namespace, int(rounds)))), flush=True)
    os._exit(0)  # no farewell: what was acknowledged has to be safe already


if __name__ == "__main__":
    main(sys.argv[1:])
