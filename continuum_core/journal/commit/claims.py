"""What is claimed, and held on a lease: runs with what is due to them, tasks with what they are given."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from continuum_core.clock import Micros
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import Delivery, Task

__all__ = [
    "FIRST_DUE",
    "Claims",
    "DueEntry",
    "RunClaim",
    "RunHold",
    "TaskClaim",
    "TaskClaims",
    "TaskHold",
    "TaskWant",
]


class DueEntry(NamedTuple):
    """An entry of the index of due deliveries: the index is in the order of (due, id).

    :ivar id: the delivery's.
    """

    due: Micros
    id: UUID


FIRST_DUE = DueEntry(0, UUID(int=0))
"""Before all others, or the first of them."""


class RunClaim(Struct, frozen=True, gc=False):
    """A run that is now the caller's, with what is due.

    :ivar deliveries: up to 64, due and not held, in (due, id) order.
    :ivar more: there are more than these.
    :ivar has_deferred: it also has held DEFERRED deliveries (a fold must stop after a step that
        changes the configuration).
    """

    run_id: UUID
    machine: str
    fingerprint: str
    generation: int
    version: int
    fence: int
    base: UUID | None
    snapshot: bytes
    tries: int
    lease_until: Micros
    deliveries: tuple[Delivery, ...]
    more: bool = False
    has_deferred: bool = False
    parent: UUID | None = None
    root: UUID | None = None


class Claims(Struct, frozen=True, gc=False):
    """Answer to `claim_runs`.

    :ivar now: the journal's clock, which every turn uses as its `now`.
    :ivar runs: by the (due, id) of their first delivery, in the answer to a repeated claim as well.
    :ivar reached: the first due entry of the index that the page did not take into account, whatever ended
        it: its limit, `scan`, or a suspect, which is this entry then. The caller may go on from there. None
        where nothing due was left behind the page, and in the answer to a repeated claim.
    :ivar next_due: a hint: when the earliest delivery of the namespace, of whatever run, that is not due
        yet will be; None: none known.
    """

    now: Micros
    runs: tuple[RunClaim, ...]
    reached: DueEntry | None = None
    next_due: Micros | None = None


class TaskWant(Struct, frozen=True, gc=False):
    """From `queue`, up to `limit` tasks, only of these activities.

    :ivar cap: tasks of the queue, whatever their activity, that may be leased at once over all workers.
    :ivar rate: how fast tasks of the queue may be claimed over all workers. The claimer states cap and rate,
        and no other claim is bound by them; all claims of a queue should state the same.
    """

    queue: str
    limit: int
    activities: frozenset[str]
    cap: int | None = None
    rate: Rate | None = None


class TaskClaim(Struct, frozen=True, gc=False):
    """A task that is now the caller's. `machine` and `fingerprint` are its run's."""

    task: Task
    machine: str
    fingerprint: str


class TaskClaims(Struct, frozen=True, gc=False):
    """Answer to `claim_tasks`.

    :ivar next_due: a hint: when it is worth while to ask again. The earliest of: the due of a wanted task
        that is not due yet, the end of a lease on a wanted task, and, where tasks wait for want of a token
        alone (no cap is in the way), when the queue's next token will be there. None: none known.
    """

    now: Micros
    tasks: tuple[TaskClaim, ...]
    next_due: Micros | None = None


class RunHold(Struct, frozen=True, gc=False):
    """What a worker holds of a run."""

    run_id: UUID
    fence: int


class TaskHold(Struct, frozen=True, gc=False):
    """What a worker holds of a task; `details` is stored when not None (heartbeat)."""

    run_id: UUID
    token: int
    slot: int
    fence: int
    details: bytes | None = None
