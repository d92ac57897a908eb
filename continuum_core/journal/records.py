"""The rows of a journal. Payloads are opaque bytes: a backend stores them and never looks inside.

Times are microseconds of the journal's own clock (`continuum_core.clock`). Ids are UUIDs. Everything
here is frozen, and equal when all fields are. A changed copy comes from ``msgspec.structs.replace``.

Rows and what goes into the verbs (`commit`) are made dozens of times a run, so they are frozen `msgspec`
structures: one costs a tenth of what a frozen `attrs` class costs to make, and, as nothing in them can refer
back to them, Python's garbage collector need not visit them (``gc=False``).
"""

from __future__ import annotations

import enum
from uuid import UUID

from msgspec import Struct

from continuum_core.clock import Micros

__all__ = [
    "ENDED",
    "DeadLetter",
    "Definition",
    "Delivery",
    "DeliveryKind",
    "Held",
    "Record",
    "RecordKind",
    "Run",
    "RunStatus",
    "Task",
    "TaskKey",
    "own_timer",
]


class RunStatus(enum.IntEnum):
    """Where a run is in its life. The numbers are stored: never renumber."""

    RUNNING = 0
    COMPLETED = 1
    FAILED = 2
    CANCELLED = 3
    TERMINATED = 4
    SUSPENDED = 5
    PARKED = 6


ENDED = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TERMINATED})
"""The statuses that no run leaves."""


class DeliveryKind(enum.IntEnum):
    """What a delivery carries. The numbers are stored: never renumber."""

    START = 0
    SIGNAL = 1
    TIMER = 2
    OUTCOME = 3  # of a task: its payload says whether it succeeded
    CANCEL = 4
    FORK = 5  # the first of a run that goes on from another run's past, which it carries


class Held(enum.IntEnum):
    """Why a delivery waits although it is due. The numbers are stored: never renumber."""

    NO = 0
    DEFERRED = 1  # the machine keeps it; the next configuration change releases it
    PAUSED = 2  # the run is suspended or parked; resume or unpark releases it
    POISON = 3  # the run parked on it; unpark releases it


class RecordKind(enum.IntEnum):
    """What wrote a record. The numbers are stored: never renumber."""

    STEP = 0  # one macrostep
    CONTROL = 1  # an operator's or the engine's order: suspend, resume, terminate, park …
    MIGRATION = 2  # the run became one of another definition, by its upgrade
    FORK = 3  # the first record of a fork: the run and version it comes from, and what it took over
    GENERATION = 4  # a macrostep in which the run continued as new: the first record of a generation


class Run(Struct, frozen=True, gc=False):
    """The row of a run.

    :ivar key: the idempotency key it was started with, if any.
    :ivar digest: hash of machine and input, which tells a repeat from a conflict.
    :ivar version: number of its last record, the only per-run counter.
    :ivar fence: grows with every claim and every order; a write must carry the current one.
    :ivar commit_id: random id of the last commit, order or start that moved `version`.
    :ivar tries: claims since the last commit.
    :ivar outcome: bytes of how it ended, None while it has not.
    :ivar cause: why it is parked or suspended, else "".
    :ivar generation: 0, and one more with each commit that begins another (`Commit.begins`).
    :ivar parent: as the start gave it, and so is `root`.
    :ivar created: when it was started.
    :ivar updated: when `version` moved last; a claim leaves it alone.
    """

    run_id: UUID
    namespace: str
    machine: str
    fingerprint: str
    key: str | None
    digest: bytes
    generation: int
    version: int
    status: RunStatus
    cause: str
    snapshot: bytes
    outcome: bytes | None
    fence: int
    lease_until: Micros | None
    claim_id: UUID | None
    commit_id: UUID | None
    tries: int
    parent: UUID | None
    root: UUID | None
    created: Micros
    updated: Micros


class Record(Struct, frozen=True, gc=False):
    """One entry of a run's history: append-only, `(run_id, version)` unique, versions 1, 2, 3 …

    :ivar at: the `now` of the macrostep, or the journal's time of the order.
    :ivar cause: id of the delivery, task or order that caused it.
    """

    run_id: UUID
    version: int
    kind: RecordKind
    at: Micros
    cause: UUID
    commit_id: UUID
    body: bytes


class Delivery(Struct, frozen=True, gc=False):
    """Anything that will reach a run. A timer is a delivery due later.

    :ivar due: when it may be claimed. None, in what callers pass in: at once, and then the journal
        sets its own time (or `floor`, whichever is later).
    :ivar token: the state entry it belongs to, 0 for none. A TIMER of 0 is the run's own, such as its
        deadline: no rest holds it (`own_timer`).
    :ivar slot: which timer or activity of that state.
    :ivar dedupe: accepted once per run within the dedupe window; None for no check.
    :ivar floor: in what senders pass in: the due of this sender's previous delivery to the same run,
        so that one sender's deliveries keep their order.
    """

    id: UUID
    run_id: UUID
    kind: DeliveryKind
    payload: bytes
    due: Micros | None = None
    token: int = 0
    slot: int = 0
    dedupe: str | None = None
    floor: Micros = 0
    held: Held = Held.NO
    cause: UUID | None = None


def own_timer(kind: int, token: int) -> bool:
    """Whether a delivery is a timer of the run itself: one that ends a rest, instead of being held by it."""
    return kind == DeliveryKind.TIMER and token == 0


TaskKey = tuple[UUID, int, int]
"""(run id, token, slot): names a task."""


class Task(Struct, frozen=True, gc=False):
    """One activity to be carried out.

    :ivar due: when it may be claimed next.
    :ivar scheduled: when it was created.
    :ivar attempt: failures reported so far.
    :ivar losses: leases that expired while it was claimed. RETRY and RETURN leave it: no report forgives one.
    :ivar fence: grows with each claim; 0 while never claimed.
    :ivar cancel: a state exit or the run's end asked it to stop.
    :ivar details: what its last heartbeat carried.
    :ivar failure: bytes of the last failure reported.
    :ivar undo: it declares an undo: its outcome must become known.
    :ivar fairness: its fairness key: claims deal out a queue's tasks key by key; "" is a key like others.
    """

    run_id: UUID
    token: int
    slot: int
    activity: str
    queue: str
    priority: int
    due: Micros
    scheduled: Micros
    payload: bytes
    key: str | None = None
    undo: bool = False
    attempt: int = 0
    losses: int = 0
    fence: int = 0
    lease_until: Micros | None = None
    claim_id: UUID | None = None
    cancel: bool = False
    details: bytes | None = None
    failure: bytes | None = None
    fairness: str = ""

    @property
    def unneeded(self) -> bool:
        """Nobody asks what becomes of it: not leased, it is put away by the next claim that meets it."""
        return self.cancel and not self.undo

    def waits(self, now: Micros) -> bool:
        """Whether a claim would take it, if it took all there is."""
        return self.lease_until is None and self.due <= now and not self.unneeded


class Definition(Struct, frozen=True, gc=False):
    """A machine's definition as data, so that every version that ever ran can be read again."""

    fingerprint: str
    machine: str
    version: int
    body: bytes


class DeadLetter(Struct, frozen=True, gc=False):
    """A delivery that can reach its run no more, and why."""

    delivery: Delivery
    reason: str
    at: Micros
