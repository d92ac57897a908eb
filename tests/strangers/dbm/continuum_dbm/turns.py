"""Starts and commits: how a run begins and how its version moves. Checked first, then written."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.checking import check_start, check_turn
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
from continuum_core.journal.records import DeliveryKind, Held, Run, RunStatus
from continuum_dbm.deliveries import hold, insert, remove, remove_all, send, unhold
from continuum_dbm.rows import Seen, Space, Work, ended, leased

__all__ = ["close_everything", "commit", "fused", "start", "stood"]

_REFUSED = CommitOutcome.REFUSED


# --- start -----------------------------------------------------------------------------------------


def start(space: Space, limits: Limits, now: Micros, runs: Sequence[NewRun]) -> list[Started]:
    for new in runs:
        check_start(new)
    return [_start(space, limits, now, new) for new in runs]


def _start(space: Space, limits: Limits, now: Micros, new: NewRun) -> Started:
    known = space.runs.get(new.run_id)
    if known is not None:
        if known.digest != new.digest:
            return Started(StartOutcome.CONFLICT, now, known.status)
        return Started(StartOutcome.EXISTS, now, known.status, stood(space, now, new.turn))
    run = _born(space, new, now)
    space.runs.put(run)
    committed = None
    if new.turn is not None:
        committed = _first_turn(space, limits, now, new, new.turn)
        run = space.runs.get(new.run_id) or run
    if committed is None or committed.outcome is _REFUSED:
        insert(space, new.delivery, now)
    return Started(StartOutcome.STARTED, now, run.status, committed)


def _born(space: Space, new: NewRun, now: Micros) -> Run:
    return Run(
        run_id=new.run_id,
        namespace=space.name,
        machine=new.machine,
        fingerprint=new.fingerprint,
        key=new.key,
        digest=new.digest,
        generation=0,
        version=0,
        status=RunStatus.RUNNING,
        cause="",
        snapshot=b"",
        outcome=None,
        fence=0,
        lease_until=None,
        claim_id=None,
        commit_id=None,
        tries=0,
        parent=new.parent,
        root=new.root,
        created=now,
        updated=now,
    )


def _first_turn(space: Space, limits: Limits, now: Micros, new: NewRun, turn: Commit) -> Committed:
    if turn.now > now:
        return Committed(_REFUSED, now)
    if new.delivery.dedupe is not None:
        space.seen.put(Seen(new.run_id, new.delivery.dedupe, now))
    return _apply(space, limits, now, turn)


# --- commit ----------------------------------------------------------------------------------------


def commit(space: Space, limits: Limits, now: Micros, commits: Sequence[Commit]) -> list[Committed]:
    for turn in commits:
        check_turn(turn)
    return [
        fused(space, limits, now, turn) if turn.fence is None else _claimed(space, limits, now, turn)
        for turn in commits
    ]


def _claimed(space: Space, limits: Limits, now: Micros, turn: Commit) -> Committed:
    run = space.runs.get(turn.run_id)
    if run is None:
        return Committed(CommitOutcome.LOST, now)
    if _stands(space, run, turn):
        return _answer(space, turn, now)
    if not _follows(run, turn) or run.fence != turn.fence:
        return Committed(CommitOutcome.LOST, now)
    return _apply(space, limits, now, turn)


def fused(space: Space, limits: Limits, now: Micros, turn: Commit) -> Committed:
    """A turn that nobody claimed the run for: it must not overtake anything that is already due."""
    run = space.runs.get(turn.run_id)
    if run is None:
        return Committed(_REFUSED, now)
    if _stands(space, run, turn):
        return _answer(space, turn, now)
    if not _follows(run, turn) or leased(run, now) or turn.now > now or _overtakes(space, turn, now):
        return Committed(_REFUSED, now)
    return _apply(space, limits, now, turn)


def stood(space: Space, now: Micros, turn: Commit | None) -> Committed | None:
    """What the repeat of a turn that rode along is told, if that very turn stands; else None."""
    run = None if turn is None else space.runs.get(turn.run_id)
    if turn is None or run is None or not _stands(space, run, turn):
        return None
    return _answer(space, turn, now)


def _stands(space: Space, run: Run, turn: Commit) -> bool:
    """Whether this very turn was committed before, even if others have followed since."""
    record = space.records.get(run.run_id, turn.version + 1)
    return record is not None and record.commit_id == turn.commit_id


def _follows(run: Run, turn: Commit) -> bool:
    return run.status is RunStatus.RUNNING and run.version == turn.version and run.commit_id == turn.base


def _overtakes(space: Space, turn: Commit, now: Micros) -> bool:
    consumed = frozenset(turn.consumed)
    return any((one.due or 0) <= now and one.id not in consumed for one in space.free(turn.run_id))


def _answer(space: Space, turn: Commit, now: Micros) -> Committed:
    """What a turn that stands is told; a repeat is told of those of its tasks it still holds."""
    run = space.runs.get(turn.run_id)
    claims: list[TaskClaim] = []
    for new in turn.tasks:
        work = space.tasks.get(turn.run_id, new.token, new.slot)
        if new.lease is not None and work is not None and work.task.claim_id == new.claim_id and run:
            claims.append(TaskClaim(work.task, run.machine, run.fingerprint))
    more = any((one.due or 0) <= now for one in space.free(turn.run_id))
    return Committed(CommitOutcome.COMMITTED, now, more, tuple(claims))


def _apply(space: Space, limits: Limits, now: Micros, turn: Commit) -> Committed:
    _write_run(space, turn, now)
    for delivery_id in turn.consumed:
        if (delivery := space.deliveries.get(turn.run_id, delivery_id)) is not None:
            remove(space, delivery, now)
    for delivery_id, reason in turn.hold:
        hold(space, turn.run_id, delivery_id, reason)
    if turn.release:  # after `hold`: what one step of the fold deferred, a later one may have freed
        unhold(space, turn.run_id, (Held.DEFERRED,))
    for new in turn.tasks:
        _add_task(space, turn.run_id, new, now)
    for delivery in turn.deliveries:
        send(space, limits, now, delivery)
    _close(space, turn.run_id, frozenset(turn.closed), now)
    run = space.runs.get(turn.run_id)
    if run is not None and ended(run):
        close_everything(space, turn.run_id, now)
    return _answer(space, turn, now)


def _write_run(space: Space, turn: Commit, now: Micros) -> None:
    run = space.runs.get(turn.run_id)
    if run is None:
        raise AssertionError("only a run that is there takes a turn")
    for record in turn.records:
        space.records.put(record)
    parked = turn.status is RunStatus.PARKED
    space.runs.put(
        replace(
            run,
            version=turn.after,
            generation=run.generation + (turn.begins > 0),
            fingerprint=turn.fingerprint,
            status=turn.status,
            cause=turn.cause,
            snapshot=turn.snapshot,
            outcome=turn.outcome,
            commit_id=turn.commit_id,
            updated=now,
            # What is parked stays counted: unpark must find a suspect still one.
            fence=next_fence(run.fence, now) if parked else run.fence,
            tries=run.tries if parked else 0,
            lease_until=None,
            claim_id=None,
        )
    )


def _add_task(space: Space, run_id: UUID, new: NewTask, now: Micros) -> None:
    if space.tasks.get(run_id, new.token, new.slot) is not None:
        return
    space.tasks.put(Work(born(run_id, new, now)))


# --- closing ---------------------------------------------------------------------------------------


def _close(space: Space, run_id: UUID, tokens: frozenset[int], now: Micros) -> None:
    """End what the state entries `tokens` had opened. Outcomes stay: they will be found stale."""
    if not tokens:
        return
    for delivery in space.deliveries.of(run_id):
        if delivery.kind is DeliveryKind.TIMER and delivery.token in tokens:
            remove(space, delivery, now)
    for work in space.tasks.of(run_id):
        if work.task.token in tokens:
            _close_task(space, work, known=work.task.undo)


def _close_task(space: Space, work: Work, *, known: bool) -> None:
    """:param known: its outcome must become known, even that it never began."""
    if work.unstarted and not known:
        space.tasks.drop(work)
    elif not work.task.cancel:
        space.tasks.put(replace(work, task=replace(work.task, cancel=True)))


def close_everything(space: Space, run_id: UUID, now: Micros) -> None:
    """What the end of a run leaves open goes; tasks that may be running are asked to stop."""
    remove_all(space, run_id, now)
    for work in space.tasks.of(run_id):
        _close_task(space, work, known=False)
