"""Turns of runs: whether they stand, what they write, and what their committers are told.

Rule: fence, version, base and status decide, under the run's lock; version first. A turn that was
committed before is known by its commit id among the records, read in a statement after the lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.commit import Commit, CommitOutcome, Committed, NewTask, TaskClaim
from continuum_core.journal.fences import born
from continuum_core.journal.records import ENDED, RunStatus
from continuum_postgres import arrays
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch, Rows, in_order
from continuum_postgres.deliveries import Looked, send
from continuum_postgres.rows import Head, task_claim
from continuum_postgres.session import Ask
from continuum_postgres.statements.deliveries import DUE_OF_RUNS, MORE
from continuum_postgres.statements.runs import LOCK_RUNS, STOOD
from continuum_postgres.statements.tasks import ADD_TASKS, OTHER_TASKS, TASKS_BY_NAME
from continuum_postgres.writes import TaskName, Writes, by_run, names

__all__ = ["Standing", "Told", "lock"]


# --- what is locked and read


def lock(turns: Iterable[Commit], own: Mapping[UUID, TaskName] | None = None) -> list[Ask]:
    """Locks of the runs, in everybody's order, what is due of those that are fused, and what is to close.

    :param own: the task of a run that ends with the turn.
    """
    listed = list(turns)
    if not listed:
        return []
    asks: list[Ask] = [(LOCK_RUNS, by_run(in_order([turn.run_id for turn in listed])))]
    fused = [turn for turn in listed if turn.fence is None]
    if fused:
        most = max(len(turn.consumed) for turn in fused) + 1
        asks.append((DUE_OF_RUNS, (*by_run(turn.run_id for turn in fused), Bigint(most))))
    if closing := _closing(listed):
        of_run = own or {}
        tasks = [of_run.get(turn.run_id) for turn in closing]
        tokens = arrays.bigints([task and task[1] for task in tasks])
        slots = arrays.integers([task[2] if task else 0 for task in tasks])
        asks.append((OTHER_TASKS, (*by_run(turn.run_id for turn in closing), tokens, slots)))
    return asks


def _closing(turns: Iterable[Commit]) -> list[Commit]:
    return [turn for turn in turns if turn.closed or turn.status in ENDED]


@define(eq=False)
class Standing:
    """The turns of one round: what the locks told of their runs, and what became of them.

    :ivar heads: of the runs that are there.
    :ivar busy: those that have tasks besides the one that ends with the turn.
    :ivar free: of the fused turns' runs, deliveries that are not held, with their due times.
    """

    batch: Batch
    heads: dict[UUID, Head] = field(factory=dict[UUID, Head])
    busy: set[UUID] = field(factory=set[UUID])
    free: dict[UUID, list[tuple[UUID, Micros]]] = field(factory=dict[UUID, list["tuple[UUID, Micros]"]])
    _applied: dict[UUID, tuple[Commit, str]] = field(factory=dict[UUID, tuple[Commit, str]])
    _repeated: dict[UUID, Commit] = field(factory=dict[UUID, Commit])

    def read(self, rows: Rows, turns: Sequence[Commit]) -> None:
        """Take in what the locks told."""
        for run_id, row in zip(
            in_order([turn.run_id for turn in turns]), rows.get(LOCK_RUNS, ()), strict=True
        ):
            self.batch.at(row[0])
            if row[1] is not None:
                self.heads[run_id] = Head(*row[1:])
        fused = [turn for turn in turns if turn.fence is None]
        for row in rows.get(DUE_OF_RUNS, []):
            order: int = row[0]
            self.free.setdefault(fused[order - 1].run_id, []).append((row[1], row[2]))
        closing = _closing(turns)
        for row in rows.get(OTHER_TASKS, []):
            place: int = row[0]
            self.busy.add(closing[place - 1].run_id)

    def stands(self, turn: Commit, others: bool = False) -> bool:
        """Whether the turn may be written. `others`: something else is due that it would overtake."""
        head = self.heads.get(turn.run_id)
        if head is None or head.status != RunStatus.RUNNING or head.version != turn.version:
            return False
        if head.commit_id != turn.base:
            return False
        if turn.fence is not None:
            return head.fence == turn.fence
        now = self.batch.now
        leased = head.lease_until is not None and head.lease_until > now
        return not leased and turn.now <= now and not others and not self._overtaken(turn)

    def _overtaken(self, turn: Commit) -> bool:
        free = self.free.get(turn.run_id, ())
        return any(due <= self.batch.now and name not in turn.consumed for name, due in free)

    async def find_repeats(self, turns: Sequence[Commit]) -> None:
        """Of turns that do not stand, find those that were committed before."""
        if not turns:
            return
        asked = (
            *by_run(turn.run_id for turn in turns),
            arrays.bigints([turn.records[0].version if turn.records else None for turn in turns]),
            arrays.bigints([turn.after for turn in turns]),
        )
        rows = await self.batch.read((STOOD, asked))
        for turn, (commit_id,) in zip(turns, rows[STOOD], strict=True):
            if commit_id == turn.commit_id:
                self._repeated[turn.run_id] = turn

    # --- what is written

    def apply(self, writes: Writes, looked: Looked, turn: Commit, machine: str, begins: bool = False) -> None:
        """All of a turn that stands, but the row of its run; `begins`: the run begins with it."""
        self._applied[turn.run_id] = (turn, machine)
        closes = turn.run_id in self.busy or any(_closes(turn, new) for new in turn.tasks)
        writes.turn(turn, begins, closes)
        over = turn.status in ENDED
        for new in turn.starts:
            if looked.status[new.run_id] is None:
                looked.status[new.run_id] = RunStatus.RUNNING
                if looked.pending[new.run_id]:
                    writes.left.append(new.run_id)
                writes.begin(new)
        for delivery in turn.deliveries:
            send(writes, looked, delivery, turn.run_id, over)

    # --- what is told

    def asks(self) -> list[Ask]:
        """What has to be read after everything was written."""
        asks: list[Ask] = []
        if runs := self._awake():
            asks.append((MORE, (*by_run(runs), Bigint(self.batch.now))))
        if tasks := self._looked_at():
            asks.append((TASKS_BY_NAME, names(tasks)))
        return asks

    def _awake(self) -> list[UUID]:
        going = [run_id for run_id, (turn, _) in self._applied.items() if turn.status not in ENDED]
        return going + list(self._repeated)

    def _looked_at(self) -> list[TaskName]:
        """Born-claimed tasks that may have changed since they were born, be it in this very commit."""
        turns = [turn for turn, _ in self._applied.values() if any(_closes(turn, new) for new in turn.tasks)]
        closed = [(turn, new) for turn in turns for new in turn.tasks]
        again = [(turn, new) for turn in self._repeated.values() for new in turn.tasks]
        return [
            (turn.run_id, new.token, new.slot) for turn, new in (*closed, *again) if new.lease is not None
        ]

    def told(self, rows: Rows) -> Told:
        more = {run_id: row[0] for run_id, row in zip(self._awake(), rows.get(MORE, ()), strict=True)}
        claims = [task_claim(row[1:]) for row in rows.get(TASKS_BY_NAME, ())]
        read = {(claim.task.run_id, claim.task.token, claim.task.slot): claim for claim in claims}
        return Told(self.batch.now, self._applied, self._repeated, more, read, set(rows.get(ADD_TASKS, ())))


@define(eq=False)
class Told:
    """The answers of one round's turns."""

    now: Micros
    _applied: dict[UUID, tuple[Commit, str]]
    _repeated: dict[UUID, Commit]
    _more: dict[UUID, bool]
    _read: dict[TaskName, TaskClaim]
    _born: set[tuple[object, ...]]

    def committed(self, turn: Commit) -> Committed | None:
        """The answer to a turn that stands, now or since before; else None."""
        run_id = turn.run_id
        if run_id in self._applied and self._applied[run_id][0] is turn:
            machine = self._applied[run_id][1]
            closes = any(_closes(turn, new) for new in turn.tasks)
            claims = self._again(turn) if closes else self._new(turn, machine)
        elif run_id in self._repeated and self._repeated[run_id] is turn:
            claims = self._again(turn)
        else:
            return None
        return Committed(CommitOutcome.COMMITTED, self.now, self._more.get(run_id, False), tuple(claims))

    def _again(self, turn: Commit) -> list[TaskClaim]:
        found = ((new, self._read.get((turn.run_id, new.token, new.slot))) for new in turn.tasks)
        return [
            claim
            for new, claim in found
            if new.lease is not None and claim is not None and claim.task.claim_id == new.claim_id
        ]

    def _new(self, turn: Commit, machine: str) -> list[TaskClaim]:
        return [
            TaskClaim(born(turn.run_id, new, self.now), machine, turn.fingerprint)
            for new in turn.tasks
            if new.lease is not None and (turn.run_id, new.token, new.slot) in self._born
        ]


def _closes(turn: Commit, new: NewTask) -> bool:
    """Whether a turn ends what it has just begun."""
    return new.token in turn.closed or turn.status in ENDED
