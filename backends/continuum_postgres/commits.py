"""Turns of claimed runs, and of runs nobody holds."""

from __future__ import annotations

from collections.abc import Sequence

from continuum_core.journal.commit import Commit, CommitOutcome, Committed
from continuum_postgres.ahead import lock_tasks, tasks_of_turn
from continuum_postgres.batch import Batch, in_rounds
from continuum_postgres.deliveries import Looked, touched_by
from continuum_postgres.rounds import Touched
from continuum_postgres.session import Session
from continuum_postgres.turns import Standing, lock
from continuum_postgres.writes import Writes

__all__ = ["commit"]


async def commit(session: Session, commits: Sequence[Commit]) -> list[Committed]:
    """The verb: one answer per commit."""
    return await in_rounds(session, commits, _touched, _commit, lambda turn: turn.run_id, _ahead)


async def _ahead(batch: Batch, turns: Sequence[Commit]) -> None:
    if asked := lock_tasks(tasks for turn in turns for tasks in tasks_of_turn(turn)):
        await batch.read(*asked)


def _touched(turn: Commit) -> Touched:
    return touched_by(turn.run_id, turn.deliveries, turn.starts)


async def _commit(batch: Batch, turns: Sequence[Commit]) -> list[Committed]:
    looked = Looked()
    for turn in turns:
        looked.turn(turn)
    standing = Standing(batch)
    rows = await batch.read(*lock(turns), *looked.asks())
    standing.read(rows, turns)
    looked.read(rows, batch.forgotten)
    writes = Writes(batch.now, batch.forgotten)
    fallen: list[Commit] = []
    for turn in turns:
        if standing.stands(turn):
            writes.turns.append(turn)
            standing.apply(writes, looked, turn, standing.heads[turn.run_id].machine)
        else:
            fallen.append(turn)
    await standing.find_repeats(fallen)
    told = standing.told(await batch.write(*writes.asks(), *standing.asks()))
    return [told.committed(turn) or _fallen(turn, batch) for turn in turns]


def _fallen(turn: Commit, batch: Batch) -> Committed:
    outcome = CommitOutcome.REFUSED if turn.fence is None else CommitOutcome.LOST
    return Committed(outcome, batch.now)
