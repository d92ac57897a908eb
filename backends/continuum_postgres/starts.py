"""Runs are created here, once per id, with their first delivery or their first turn.

Rule: a run that somebody else creates at the same moment violates its key; the transaction is begun again
and finds it there.
"""

from __future__ import annotations

from collections.abc import Sequence

from continuum_core.journal.commit import CommitOutcome, Committed, NewRun, Started, StartOutcome
from continuum_core.journal.records import RunStatus
from continuum_postgres import fused
from continuum_postgres.batch import Batch, in_order, in_rounds
from continuum_postgres.deliveries import Looked, touched_by
from continuum_postgres.rounds import Touched, rounds
from continuum_postgres.session import Session
from continuum_postgres.statements.runs import READ_STARTS
from continuum_postgres.turns import Standing
from continuum_postgres.writes import Writes, by_run

__all__ = ["start", "start_long"]


async def start(session: Session, runs: Sequence[NewRun]) -> list[Started]:
    """The verb: one answer per run."""
    simple = fused.starts(runs) if session.alone else []
    if len(simple) < len(runs) and len(rounds(runs, _touched)) > 1:
        return await start_long(session, runs)  # members that meet keep their order
    return await fused.first(session, runs, simple, fused.start, start_long)


async def start_long(session: Session, runs: Sequence[NewRun]) -> list[Started]:
    """The verb where something may stand in the way of each."""
    return await in_rounds(session, runs, _touched, _start)


def _touched(new: NewRun) -> Touched:
    turn = new.turn
    return touched_by(
        new.run_id, () if turn is None else turn.deliveries, () if turn is None else turn.starts
    )


async def _start(batch: Batch, runs: Sequence[NewRun]) -> list[Started]:
    looked = Looked()
    for new in runs:
        if new.turn is not None:
            looked.turn(new.turn)
    rows = await batch.look((READ_STARTS, by_run(new.run_id for new in runs)), *looked.asks())
    found = {new.run_id: row for new, row in zip(runs, rows[READ_STARTS], strict=True)}
    now = batch.at(max(row[0] for row in found.values()))
    looked.read(rows, batch.forgotten)
    standing = Standing(batch)
    writes = Writes(now, batch.forgotten)
    by_id = {new.run_id: new for new in runs}
    for run_id in in_order(list(by_id)):
        if found[run_id][1] is None:
            if found[run_id][3]:
                writes.left.append(run_id)
            _add(writes, standing, looked, by_id[run_id])
    await standing.find_repeats(
        [new.turn for new in runs if new.turn is not None and found[new.run_id][1] == new.digest]
    )
    told = standing.told(await batch.write(*writes.asks(), *standing.asks()))
    answers: list[Started] = []
    for new in runs:
        committed = None if new.turn is None else told.committed(new.turn)
        _, digest, status, _ = found[new.run_id]
        if digest is None:
            if new.turn is not None and committed is None:
                committed = Committed(CommitOutcome.REFUSED, now)
            stands = new.turn is not None and committed is not None and new.turn.now <= now
            after = new.turn.status if new.turn is not None and stands else RunStatus.RUNNING
            answers.append(Started(StartOutcome.STARTED, now, after, committed))
        elif digest != new.digest:
            answers.append(Started(StartOutcome.CONFLICT, now, RunStatus(status)))
        else:
            answers.append(Started(StartOutcome.EXISTS, now, RunStatus(status), committed))
    return answers


def _add(writes: Writes, standing: Standing, looked: Looked, new: NewRun) -> None:
    """A run with its first turn, or, where that was computed by a clock ahead, with its delivery."""
    delivery, turn = new.delivery, new.turn
    writes.describe(new.run_id, new.attributes)
    if turn is not None and turn.now <= writes.now:
        writes.started.append((new, turn))
        if delivery.dedupe is not None:  # nothing that the turn sends under it is another delivery
            looked.seen[new.run_id, delivery.dedupe] = True
        standing.apply(writes, looked, turn, new.machine, begins=True)
        consumed: int | None = writes.now
    else:
        writes.started.append((new, None))
        writes.plain.append(delivery)
        consumed = None
    if delivery.dedupe is not None:  # whatever was seen under it before cannot be a new run's first one
        writes.seen.append((new.run_id, delivery.dedupe, consumed))
