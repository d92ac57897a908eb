"""What no engine may ask of a journal: turns that are no history. Checked before anything is written."""

from __future__ import annotations

from continuum_core.errors import UsageError
from continuum_core.journal.commit import Commit, NewRun, TaskFinish

__all__ = ["check_finish", "check_start", "check_turn"]


def check_turn(turn: Commit) -> None:
    """Raises UsageError for records that do not continue from the turn's version, or belong elsewhere."""
    if not turn.steps and not turn.records:
        raise UsageError(f"a commit of run {turn.run_id} makes no step; every turn makes one")
    at, gaps = turn.version, turn.steps != 0
    run_id, commit_id = turn.run_id, turn.commit_id
    for record in turn.records:
        if not (at < record.version <= turn.after if gaps else record.version == at + 1):
            raise UsageError(f"run {turn.run_id}: record {record.version} where {at + 1} must follow")
        at = record.version
        # Nearly always the very same objects, which need no comparing.
        mine = (record.run_id is run_id or record.run_id == run_id) and (
            record.commit_id is commit_id or record.commit_id == commit_id
        )
        if not mine:
            raise UsageError(f"run {turn.run_id}: record {at} is of another run or commit")
    if turn.begins and not turn.version < turn.begins <= turn.after:
        raise UsageError(f"run {turn.run_id}: a generation begins at {turn.begins}, which is no step of its")


def check_start(new: NewRun) -> None:
    """Raises UsageError for a first turn that is not computed from nothing."""
    turn = new.turn
    if turn is None:
        return
    if (turn.run_id, turn.version, turn.fence, turn.base) != (new.run_id, 0, None, None):
        raise UsageError(f"run {new.run_id}: its first turn has a version, fence or base, or is another's")
    check_turn(turn)


def check_finish(ending: TaskFinish) -> None:
    """Raises UsageError for a turn that rides along with another run's task, or was claimed."""
    turn = ending.turn
    if turn is None:
        return
    if turn.run_id != ending.run_id or turn.fence is not None:
        raise UsageError(f"task of run {ending.run_id}: a turn that rides along is its run's and fused")
    check_turn(turn)
