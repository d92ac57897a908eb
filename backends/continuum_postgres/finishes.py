"""How attempts end: tasks close or reopen, outcomes are delivered, turns ride along.

Rule: the task's own fence decides, whatever became of the run's lease. A turn that does not stand leaves
the finish standing alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from attrs import define, field

from continuum_core.journal.commit import (
    Commit,
    CommitOutcome,
    Committed,
    Finished,
    FinishKind,
    FinishOutcome,
    TaskFinish,
)
from continuum_core.journal.records import ENDED
from continuum_postgres import arrays, fused
from continuum_postgres.ahead import Tasks, lock_results, lock_tasks, tasks_of_turn
from continuum_postgres.batch import Batch, in_rounds
from continuum_postgres.deliveries import Looked, send, touched_by
from continuum_postgres.results import Settled
from continuum_postgres.rounds import Touched, rounds
from continuum_postgres.rows import resolved_due
from continuum_postgres.session import Ask, Session
from continuum_postgres.shards import shard
from continuum_postgres.statements.tasks import DROP_TASKS, LOCK_AHEAD, LOCK_TASKS, REOPEN_TASKS
from continuum_postgres.turns import Standing, Told, lock
from continuum_postgres.writes import TaskName, Writes, names

__all__ = ["finish", "finish_long"]

_REOPENS = frozenset({FinishKind.RETRY, FinishKind.RETURN})


class _Standing(NamedTuple):
    """What decides whether a finish stands, and what it settles."""

    fence: int
    reported: int
    losses: int
    cancel: bool
    undo: bool
    activity: str
    key: str | None
    status: int


async def finish(session: Session, finishes: Sequence[TaskFinish]) -> list[Finished]:
    """The verb: one answer per attempt."""
    simple = fused.finishes(finishes) if session.alone else []
    if len(simple) < len(finishes) and len(rounds(finishes, _touched)) > 1:
        return await finish_long(session, finishes)  # members that meet keep their order
    return await fused.first(session, finishes, simple, fused.finish, finish_long)


async def finish_long(session: Session, finishes: Sequence[TaskFinish]) -> list[Finished]:
    """The verb where something may stand in the way of each."""
    return await in_rounds(session, finishes, _touched, _finish, _locked, _ahead)


def _touched(ending: TaskFinish) -> Touched:
    own = () if ending.delivery is None else (ending.delivery,)
    turn = ending.turn
    if turn is None:
        return touched_by(ending.run_id, own)
    return touched_by(ending.run_id, (*own, *turn.deliveries), turn.starts)


def _locked(ending: TaskFinish) -> UUID | None:
    """A finish alone needs its task's lock; a turn that rides along that of the run."""
    return None if ending.turn is None else ending.run_id


def _tasks(finishes: Iterable[TaskFinish]) -> list[Tasks]:
    """The tasks that end, and those that the turns which ride along may close."""
    own = [Tasks(*_name(ending)) for ending in finishes]
    turns = [ending.turn for ending in finishes if ending.turn is not None]
    return own + [tasks for turn in turns for tasks in tasks_of_turn(turn)]


async def _ahead(batch: Batch, finishes: Sequence[TaskFinish]) -> None:
    """Of several rounds: all tasks, and then the results of those that settle one."""
    told = await batch.read(*lock_tasks(_tasks(finishes)))
    first: dict[
        tuple[object, ...], FinishKind
    ] = {}  # the first end of an attempt counts, others find it gone
    for ending in finishes:
        first.setdefault((*_name(ending), ending.fence), ending.kind)
    settling = {attempt for attempt, kind in first.items() if kind not in _REOPENS}
    owned = [
        (activity, key, *name)
        for *name, fence, reported, activity, key in told[LOCK_AHEAD]
        if key is not None and reported < fence and (*name, fence) in settling
    ]
    if asked := lock_results(owned):
        await batch.read(*asked)


def _name(ending: TaskFinish) -> TaskName:
    return (ending.run_id, ending.token, ending.slot)


@define(eq=False)
class _Round:
    """What one round of finishes decides.

    :ivar tasks: of those that are there, by run: a round has one finish of a run.
    :ivar outcomes: in the order of the members, as they are decided.
    """

    batch: Batch
    standing: Standing
    looked: Looked
    writes: Writes
    settled: Settled
    dropped: list[TaskName] = field(factory=list[TaskName])
    reopened: list[TaskFinish] = field(factory=list[TaskFinish])
    repeats: list[Commit] = field(factory=list[Commit])

    def decide(self, ending: TaskFinish, task: _Standing | None) -> FinishOutcome:
        if task is None or ending.fence == task.reported > 0:
            return self._gone(ending)
        if ending.fence != task.fence or not task.fence:
            return FinishOutcome.LOST
        self.settled.settle(ending, task.activity, task.key, self.writes.now)
        if task.status in ENDED:
            self.dropped.append(_name(ending))
            return self._gone(ending)
        if ending.kind in _REOPENS and (not task.cancel or task.undo):
            self.reopened.append(ending)
            return FinishOutcome.FINISHED
        self.dropped.append(_name(ending))
        if ending.kind not in _REOPENS:
            self._report(ending)
        return FinishOutcome.FINISHED

    def _gone(self, ending: TaskFinish) -> FinishOutcome:
        """Nothing is left to do; a turn that rode along and stands is answered again."""
        if ending.turn is not None:
            self.repeats.append(ending.turn)
        return FinishOutcome.GONE

    def _report(self, ending: TaskFinish) -> None:
        """Deliver the outcome, unless the turn that rides along has consumed it already."""
        delivery, turn = ending.delivery, ending.turn
        if ending.kind is FinishKind.CANCELLED:
            delivery = None
        now = self.writes.now
        consumed = delivery is not None and turn is not None and delivery.id in turn.consumed
        others = delivery is not None and not consumed and resolved_due(delivery, now) <= now
        stands = turn is not None and self.standing.stands(turn, others)
        if turn is not None and not stands:
            self.repeats.append(turn)
        if delivery is not None and consumed and stands:
            name = None if delivery.dedupe is None else (delivery.run_id, delivery.dedupe)
            if (
                name is not None
                and not self.looked.seen[name]
                and self.looked.due[name[0], delivery.id] is None
            ):
                self.looked.seen[name] = True
                self.writes.seen.append((*name, now))
        elif delivery is not None:
            send(self.writes, self.looked, delivery, ending.run_id)
        if turn is not None and stands:
            self.writes.turns.append(turn)
            self.standing.apply(self.writes, self.looked, turn, self.standing.heads[turn.run_id].machine)

    def asks(self) -> list[Ask]:
        asks: list[Ask] = []
        if self.dropped:
            asks.append((DROP_TASKS, names(self.dropped)))
        if self.reopened:
            asks.append((REOPEN_TASKS, self._reopenings()))
        return [*asks, *self.settled.asks(), *self.writes.asks(), *self.standing.asks()]

    def _reopenings(self) -> tuple[object, ...]:
        return (
            *names([_name(ending) for ending in self.reopened]),
            arrays.bigints([self.writes.now + ending.delay for ending in self.reopened]),
            arrays.integers([int(ending.kind is FinishKind.RETRY) for ending in self.reopened]),
            arrays.byteas([ending.failure for ending in self.reopened]),
        )


async def _finish(batch: Batch, finishes: Sequence[TaskFinish]) -> list[Finished]:
    turns = [ending.turn for ending in finishes if ending.turn is not None]
    looked = Looked()
    for ending in finishes:
        if ending.delivery is not None:
            looked.messages(ending.run_id, (ending.delivery,))
        if ending.turn is not None:
            looked.turn(ending.turn)
    in_order = sorted(finishes, key=lambda one: (shard(one.run_id), one.run_id.int, one.token, one.slot))
    held: Ask = (LOCK_TASKS, names([_name(ending) for ending in in_order]))
    own = {ending.run_id: _name(ending) for ending in finishes if ending.kind not in _REOPENS}
    first = lock_tasks(_tasks(finishes)) if any(map(tasks_of_turn, turns)) else []
    rows = await batch.read(*lock(turns, own), *first, held, *looked.asks())
    standing = Standing(batch)
    batch.at(max(row[0] for row in rows[LOCK_TASKS]))
    standing.read(rows, turns)
    looked.read(rows, batch.forgotten)
    tasks = {
        _name(ending): None if row[1] is None else _Standing(*row[1:])
        for ending, row in zip(in_order, rows[LOCK_TASKS], strict=True)
    }
    writes = Writes(batch.now, batch.forgotten)
    settled = Settled(batch.now + batch.limits.result_window)
    deciding = _Round(batch, standing, looked, writes, settled)
    outcomes = [deciding.decide(ending, tasks[_name(ending)]) for ending in finishes]
    await standing.find_repeats(deciding.repeats)
    told = standing.told(await batch.write(*deciding.asks()))
    return [
        Finished(outcome, batch.now, _committed(told, ending, outcome, batch))
        for ending, outcome in zip(finishes, outcomes, strict=True)
    ]


def _committed(told: Told, ending: TaskFinish, outcome: FinishOutcome, batch: Batch) -> Committed | None:
    if ending.turn is None or outcome is FinishOutcome.LOST:
        return None
    committed = told.committed(ending.turn)
    if committed is None and outcome is FinishOutcome.FINISHED and ending.kind not in _REOPENS:
        return Committed(CommitOutcome.REFUSED, batch.now)
    return committed
