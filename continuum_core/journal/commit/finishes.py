"""How tasks end, with the run's next turn where one rides along; and outcomes that are shared by a key."""

from __future__ import annotations

import enum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit.turns import Commit, Committed
from continuum_core.journal.records import Delivery

__all__ = [
    "FinishKind",
    "FinishOutcome",
    "Finished",
    "Reservation",
    "ReserveOutcome",
    "Reserved",
    "TaskFinish",
]


class FinishKind(enum.Enum):
    DONE = "done"  # succeeded: `delivery` is delivered, and `result`, if any, stored under the task's key
    FAILED = "failed"  # failed for good: `delivery` is delivered
    RETRY = "retry"  # try again after `delay`; `attempt` grows
    CANCELLED = "cancelled"  # stopped as asked: the row goes, nothing is delivered
    RETURN = "return"  # never begun, or undone whole: claimable again after `delay`, nothing counted


class TaskFinish(Struct, frozen=True, gc=False):
    """How an attempt ended.

    :ivar delivery: kind OUTCOME, with the task's token and slot.
    :ivar failure: kept on the task for RETRY.
    :ivar turn: the run's next turn, computed ahead, so fused (`Commit.fence`); `consumed` names `delivery`.
    :ivar keyed: what `result` is stored under, as activity and key: for handles that bind it; a backend knows
        it from the task.
    """

    run_id: UUID
    token: int
    slot: int
    fence: int
    kind: FinishKind
    delivery: Delivery | None = None
    failure: bytes | None = None
    delay: int = 0
    result: bytes | None = None
    turn: Commit | None = None
    keyed: tuple[str, str] | None = None

    def riding(self, turn: Commit) -> TaskFinish:
        """The same finish, with a turn that rides along."""
        return replace(self, turn=turn)


class FinishOutcome(enum.Enum):
    FINISHED = "finished"
    GONE = "gone"  # no such task: it was finished before, or its run ended; nothing to do
    LOST = "lost"  # another worker holds it; nothing was changed


class Finished(Struct, frozen=True, gc=False):
    """Answer to one finish.

    :ivar committed: the turn's answer, where one was given and the finish stood. Where the task is GONE:
        what a repeat of that turn's commit is told if the turn stands; else None.
    """

    outcome: FinishOutcome
    now: Micros
    committed: Committed | None = None


class Reservation(Struct, frozen=True, gc=False):
    """A claim on the outcome of `activity` under `key`, by a task, for `lease` microseconds."""

    activity: str
    key: str
    run_id: UUID
    token: int
    slot: int
    lease: int


class ReserveOutcome(enum.Enum):
    RESERVED = "reserved"  # run the body; the outcome is stored by `finish`
    DONE = "done"  # somebody ran it: `result` is the outcome
    BUSY = "busy"  # somebody is running it, until `until` at the latest


class Reserved(Struct, frozen=True, gc=False):
    """Answer to one reservation.

    :ivar result: DONE: the outcome; else None.
    :ivar until: BUSY: when the other's reservation ends; else None.
    """

    outcome: ReserveOutcome
    result: bytes | None = None
    until: Micros | None = None
