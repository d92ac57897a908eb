"""Starts and commits: how a run begins and how its version moves.

Rule: everything is checked before anything is written, so that a turn is all or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.errors import UsageError
from continuum_core.journal.checking import check_turn as check_turn_of
from continuum_core.journal.commit import (
    Commit,
    CommitOutcome,
    Committed,
    NewRun,
    NewTask,
    Started,
    StartOutcome,
    TaskClaim,
)
from continuum_core.journal.fences import born, next_fence
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import ENDED, DeliveryKind, Held, RunStatus
from continuum_memory.deliveries import insert, remove, remove_all, send, set_held, unhold
from continuum_memory.rows import RunRow, Space, TaskRow

__all__ = ["check_turn", "close_everything", "commit", "fused", "start", "stood"]

_REFUSED = CommitOutcome.REFUSED


# --- start -----------------------------------------------------------------------------------------


def start(space: Space, limits: Limits, now: Micros, runs: Sequence[NewRun]) -> list[Started]:
    for new in runs:
        if new.turn is not None:
            check_turn(new.turn, fused_only=True)
            if new.turn.run_id != new.run_id or new.turn.version != 0 or new.turn.base is not None:
                raise UsageError(f"the first turn of run {new.run_id} is not computed from nothing")
    return [_start(space, limits, now, new) for new in runs]


def _start(space: Space, limits: Limits, now: Micros, new: NewRun) -> Started:
    if (known := space.runs.get(new.run_id)) is not None:
        if known.digest != new.digest:
            return Started(StartOutcome.CONFLICT, now, known.status)
        return Started(StartOutcome.EXISTS, now, known.status, stood(space, now, new.turn))
    run = _row(space, new, now)
    committed = None
    if new.turn is not None:
        committed = _start_turn(space, limits, now, run, new, new.turn)
    if committed is None or committed.outcome is _REFUSED:
        insert(space, run, new.delivery, now)
    return Started(StartOutcome.STARTED, now, run.status, committed)


def _row(space: Space, new: NewRun, now: Micros) -> RunRow:
    run = RunRow(
        run_id=new.run_id,
        machine=new.machine,
        fingerprint=new.fingerprint,
        key=new.key,
        digest=new.digest,
        parent=new.parent,
        root=new.root,
        created=now,
        updated=now,
    )
    space.add_run(run)
    run.describe(new.attributes)
    return run


def _create(space: Space, new: NewRun, now: Micros) -> None:
    """A child run, which begins by its delivery."""
    insert(space, _row(space, new, now), new.delivery, now)


def _start_turn(
    space: Space, limits: Limits, now: Micros, run: RunRow, new: NewRun, turn: Commit
) -> Committed:
    if turn.now > now:
        return Committed(_REFUSED, now)
    if new.delivery.dedupe is not None:
        space.seen[run.run_id, new.delivery.dedupe] = now
    return _apply(space, limits, now, run, turn)


# --- commit ----------------------------------------------------------------------------------------


def commit(space: Space, limits: Limits, now: Micros, commits: Sequence[Commit]) -> list[Committed]:
    for turn in commits:
        check_turn(turn)
    return [
        fused(space, limits, now, turn) if turn.fence is None else _claimed(space, limits, now, turn)
        for turn in commits
    ]


def check_turn(turn: Commit, fused_only: bool = False) -> None:
    """Refuse a turn that no journal could keep as a history. Raises UsageError."""
    check_turn_of(turn)
    if fused_only and turn.fence is not None:
        raise UsageError(f"a turn of run {turn.run_id} that rides along has a fence, but nobody claimed it")


def _claimed(space: Space, limits: Limits, now: Micros, turn: Commit) -> Committed:
    run = space.runs.get(turn.run_id)
    if run is None:
        return Committed(CommitOutcome.LOST, now)
    if _stands(run, turn):
        return _answer(run, turn, now)
    if not _follows(run, turn) or run.fence != turn.fence:
        return Committed(CommitOutcome.LOST, now)
    return _apply(space, limits, now, run, turn)


def fused(space: Space, limits: Limits, now: Micros, turn: Commit) -> Committed:
    """A turn that nobody claimed the run for: it must not overtake anything that is already due."""
    run = space.runs.get(turn.run_id)
    if run is None:
        return Committed(_REFUSED, now)
    if _stands(run, turn):
        return _answer(run, turn, now)
    if not _follows(run, turn) or run.leased(now) or turn.now > now or _overtakes(run, turn, now):
        return Committed(_REFUSED, now)
    return _apply(space, limits, now, run, turn)


def stood(space: Space, now: Micros, turn: Commit | None) -> Committed | None:
    """What the repeat of a turn that rode along is told, if that very turn stands; else None."""
    run = None if turn is None else space.runs.get(turn.run_id)
    return _answer(run, turn, now) if run is not None and turn is not None and _stands(run, turn) else None


def _stands(run: RunRow, turn: Commit) -> bool:
    """Whether this very turn was committed before, even if others have followed since."""
    if not turn.records:
        return turn.after == run.version and turn.commit_id == run.commit_id
    if turn.version >= run.version:
        return False
    first = run.record(turn.records[0].version)
    return first is not None and first.commit_id == turn.commit_id


def _follows(run: RunRow, turn: Commit) -> bool:
    return run.status is RunStatus.RUNNING and run.version == turn.version and run.commit_id == turn.base


def _overtakes(run: RunRow, turn: Commit, now: Micros) -> bool:
    consumed = frozenset(turn.consumed)
    for due, _, delivery_id in run.free.up():
        if due > now:
            return False
        if delivery_id not in consumed:
            return True
    return False


def _answer(run: RunRow, turn: Commit, now: Micros) -> Committed:
    """What a turn that stands is told; a repeat is told of those of its tasks it still holds."""
    claims: list[TaskClaim] = []
    for new in turn.tasks:
        row = run.tasks.get((new.token, new.slot))
        if new.lease is not None and row is not None and row.task.claim_id == new.claim_id:
            claims.append(TaskClaim(row.task, run.machine, run.fingerprint))
    return Committed(CommitOutcome.COMMITTED, now, run.due_now(now), tuple(claims))


def _apply(space: Space, limits: Limits, now: Micros, run: RunRow, turn: Commit) -> Committed:
    _write_run(space, run, turn, now)
    for delivery_id in turn.consumed:
        if (delivery := run.deliveries.get(delivery_id)) is not None:
            remove(space, run, delivery, now)
    for reply in turn.replies:
        if (run.run_id, reply.dedupe) in space.seen:
            space.replies[run.run_id, reply.dedupe] = reply.body
    for delivery_id, reason in turn.hold:
        set_held(space, run, delivery_id, reason)
    if turn.release:  # after `hold`: what one step of the fold deferred, a later one may have freed
        unhold(space, run, (Held.DEFERRED,))
    for new in turn.tasks:
        _add_task(space, run, new, now)
    run.keep(turn.members)
    for child in turn.starts:
        if child.run_id not in space.runs:
            _create(space, child, now)
    for delivery in turn.deliveries:
        send(space, limits, now, delivery)
    _close(space, run, frozenset(turn.closed), now)
    if run.ended:
        close_everything(space, run, now)
    return _answer(run, turn, now)


def _write_run(space: Space, run: RunRow, turn: Commit, now: Micros) -> None:
    run.records.extend(turn.records)
    run.version = turn.after
    if turn.eternal:
        run.eternal = True
        run.past.clear()
    if turn.begins:
        run.generation += 1
        if not run.eternal:
            run.past[turn.begins] = now
    run.fingerprint = turn.fingerprint
    run.status = turn.status
    run.cause = turn.cause
    run.snapshot = turn.snapshot
    run.outcome = turn.outcome
    run.commit_id = turn.commit_id
    run.updated = now
    run.describe(turn.attributes)
    if turn.status is RunStatus.PARKED:  # its claims stay counted: unpark must find a suspect still one
        run.fence = next_fence(run.fence, now)
    else:
        run.tries = 0
    space.unlease(run)


def _add_task(space: Space, run: RunRow, new: NewTask, now: Micros) -> None:
    name = (new.token, new.slot)
    if name in run.tasks:
        return
    row = run.tasks[name] = TaskRow(born(run.run_id, new, now))
    space.put_task(row)


# --- closing ---------------------------------------------------------------------------------------


def _close(space: Space, run: RunRow, tokens: frozenset[int], now: Micros) -> None:
    """End what the state entries `tokens` had opened. Outcomes stay: they will be found stale."""
    if not tokens:
        return
    for delivery in list(run.deliveries.values()):
        if delivery.kind is DeliveryKind.TIMER and delivery.token in tokens:
            remove(space, run, delivery, now)
    for row in list(run.tasks.values()):
        if row.task.token in tokens:
            _close_task(space, row, known=row.task.undo)


def _close_task(space: Space, row: TaskRow, *, known: bool) -> None:
    """:param known: its outcome must become known, even that it never began."""
    if row.unstarted and not known:
        space.drop_task(row)
    elif not row.task.cancel:
        space.change_task(row, replace(row.task, cancel=True))


def close_everything(space: Space, run: RunRow, now: Micros) -> None:
    """What the end of a run leaves open goes; tasks that may be running are asked to stop."""
    if run.status not in ENDED:
        raise AssertionError("only what ended is closed")
    remove_all(space, run, now)
    for row in list(run.tasks.values()):
        _close_task(space, row, known=False)
