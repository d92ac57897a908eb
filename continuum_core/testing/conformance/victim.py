"""Another process that works on a store until it is killed, and tells each thing it was told.

Run as ``python -m continuum_core.testing.conformance.victim URL NAMESPACE``. Several workers on one handle
start runs, commit turns with a task each, finish the tasks, and deliver. Each line on stdout is a JSON list,
written when the journal has answered: what it says has to be there, whatever happens to this process.

Payloads are unique, and a turn's body is what it consumed: so whoever reads the store can tell of each
delivery whether it waits or where it went.
"""

from __future__ import annotations

import asyncio
import json
import sys

from continuum_core.journal.commit import CommitOutcome, DeliverOutcome, FinishOutcome
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.testing.conformance.given import (
    HOUR,
    TAKES,
    finish,
    new_id,
    new_run,
    new_task,
    outcome,
    signal,
    turn,
    want,
)

__all__ = ["main", "work"]

_WORKERS = 3


def _tell(*line: object) -> None:
    print(json.dumps([str(word) for word in line]), flush=True)


async def _worker(journal: Journal) -> None:
    while True:
        new = new_run()
        await journal.start([new])
        _tell("started", new.run_id)
        message = signal(new.run_id, new_id().hex.encode())
        (accepted,) = await journal.deliver([message])
        if accepted.outcome is DeliverOutcome.ACCEPTED:
            _tell("delivered", new.run_id, message.payload.decode())
        claims = await journal.claim_runs(new_id(), 2, HOUR, TAKES)
        turns = [
            turn(
                claim,
                claims.now,
                [delivery.payload + b";" for delivery in claim.deliveries],
                tasks=(new_task(claim.version + 1),),
            )
            for claim in claims.runs
        ]
        for commit, answer in zip(turns, await journal.commit(turns), strict=True):
            if answer.outcome is CommitOutcome.COMMITTED:
                _tell("committed", commit.run_id, commit.records[-1].version)
        tasks = await journal.claim_tasks(new_id(), [want(limit=2)], HOUR)
        ends = [finish(one, delivery=outcome(one.task, new_id().hex.encode())) for one in tasks.tasks]
        for end, told in zip(ends, await journal.finish(ends), strict=True):
            if told.outcome is FinishOutcome.FINISHED and end.delivery is not None:
                _tell("finished", end.run_id, end.token, end.delivery.payload.decode())


async def work(url: str, namespace: str) -> None:
    """Work until killed."""
    journal = connect(url, namespace)
    await journal.open()
    await asyncio.gather(*(_worker(journal) for _ in range(_WORKERS)))


def main(arguments: list[str]) -> None:
    url, namespace = arguments
    asyncio.run(work(url, namespace))


if __name__ == "__main__":
    main(sys.argv[1:])
