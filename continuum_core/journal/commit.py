"""What goes into the verbs and what comes out: one value for all that one turn of a run writes.

Every verb takes a batch and answers one outcome per member, in order. One member's refusal never
harms another's. The values are made as those of `records` are, and changed by the same `replace`.
"""

from __future__ import annotations

import enum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.rate import Rate
from continuum_core.journal.records import (
    DeadLetter,
    Delivery,
    Held,
    Record,
    Run,
    RunStatus,
    Task,
)

__all__ = [
    "Claims",
    "Commit",
    "CommitOutcome",
    "Committed",
    "DeliverOutcome",
    "Delivered",
    "FinishKind",
    "FinishOutcome",
    "Finished",
    "Inspection",
    "Member",
    "NewRun",
    "NewTask",
    "Order",
    "OrderKind",
    "OrderOutcome",
    "Ordered",
    "Page",
    "PrunePlan",
    "Pruned",
    "Query",
    "Reply",
    "Reservation",
    "ReserveOutcome",
    "Reserved",
    "RunClaim",
    "RunHold",
    "StartOutcome",
    "Started",
    "TaskClaim",
    "TaskClaims",
    "TaskFinish",
    "TaskHold",
    "TaskWant",
]


# --- commit: one turn of one run ---------------------------------------------------------------------


class NewTask(Struct, frozen=True, gc=False):
    """An activity to be started.

    :ivar lease: microseconds; when set, the task is born claimed by the committer under `claim_id`
        (the hot path): fence as for any first claim. Never for a queue with a cap, a rate or fairness
        keys: it would pass them by.
    :ivar fairness: its fairness key; "" is a key like others.
    """

    token: int
    slot: int
    activity: str
    queue: str
    priority: int
    payload: bytes
    key: str | None = None
    undo: bool = False
    lease: int | None = None
    claim_id: UUID | None = None
    fairness: str = ""

    def claimed(self, lease: int, claim_id: UUID) -> NewTask:
        """The same task, to be born claimed."""
        return replace(self, lease=lease, claim_id=claim_id)


class Reply(Struct, frozen=True, gc=False):
    """What a turn answers to a delivery that it consumes: kept beside its dedupe id (`journal.replies`)."""

    dedupe: str
    body: bytes


class Member(Struct, frozen=True, gc=False):
    """What came of member `number` of the crew `token` of a run: kept beside it, and pruned with it.

    The upper bits of the token are the version of the record that began the crew (`crews.first_token`): a
    crew goes with the generation that it belongs to.
    """

    token: int
    number: int
    body: bytes


class Commit(Struct, frozen=True, gc=False):
    """All that 1..n steps of one run write, or one parking of it.

    It stands only if the run's version, fence and last commit id are the ones it was computed from.
    Effects come in this order: `consumed`, `hold`, `release`, new tasks, starts and deliveries, `closed`,
    and the end of an ended run; so each covers what the same commit did before it. Ids in `consumed` and
    `hold` that the run does not have, and tasks that it has already, are passed over.

    :ivar fence: of the claim. None for a *fused* turn, one that is computed without a claim (the first of a
        start, one that rides along with a finish): then the run must be unleased, running, and have no
        unheld due delivery but those in `consumed`.
    :ivar version: of the run before the commit; records are of `version + 1 …`, without gaps unless `steps`
        says that some steps left none.
    :ivar base: the `commit_id` the run had then.
    :ivar commit_id: the new one, random; carried by every record.
    :ivar consumed: ids of deliveries to delete.
    :ivar hold: deliveries to mark as held, with the reason (DEFERRED, or POISON when parking).
    :ivar release: held DEFERRED deliveries of the run become free again, in their old order.
    :ivar deliveries: new ones: own timers (absolute `due`) and messages to any run.
        A message that its target has seen is dropped. One that cannot reach its target (unknown, which
        any run of another namespace is, or ended) is kept as a dead letter under the target's id if it
        is a SIGNAL, else dropped. None is refused for the cap.
    :ivar attributes: what the run has under these names from now on (`searching`). Others stay.
    :ivar starts: child runs that begin with this commit, without a first turn; one that is there already is
        passed over. They are there before what `deliveries` has for them.
    :ivar members: what came of members of crews; a name that is there already is passed over.
    :ivar closed: tokens whose timers and unstarted tasks go and whose other tasks are cancelled: the
        running ones, and those with an undo.
    :ivar status: after the commit; an ended status closes everything the run has open. PARKED bumps the
        fence and leaves `tries` as it is, so that what is unparked is still a suspect; others zero it.
    :ivar now: `at` of the last step; a fused turn ahead of the journal's clock is refused.
    :ivar steps: how many versions it moves the run by, of which `records` may leave any out
        (`Capability.FORGETS`). 0: as many as there are records.
    :ivar begins: the version of the step that begins a new generation of the run, whose `generation` grows
        by one; 0: none does. Records below it are of past generations, which `prune` may take while the run
        lives.
    :ivar eternal: from now on the run is never pruned, nor its past generations (`Capability.FORGETS`).
    :ivar replies: to deliveries of `consumed`, for journals that declare `Capability.REPLIES`.
    """

    run_id: UUID
    fence: int | None
    version: int
    base: UUID | None
    commit_id: UUID
    fingerprint: str
    status: RunStatus
    snapshot: bytes
    records: tuple[Record, ...]
    now: Micros
    cause: str = ""
    outcome: bytes | None = None
    consumed: tuple[UUID, ...] = ()
    hold: tuple[tuple[UUID, Held], ...] = ()
    release: bool = False
    deliveries: tuple[Delivery, ...] = ()
    tasks: tuple[NewTask, ...] = ()
    closed: tuple[int, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    steps: int = 0
    begins: int = 0
    eternal: bool = False
    replies: tuple[Reply, ...] = ()

    @property
    def after(self) -> int:
        """The run's version once it stands."""
        return self.version + (self.steps or len(self.records))

    @property
    def plain(self) -> bool:
        """It keeps a record of each step and says nothing of generations or of eternity."""
        return not (self.steps or self.begins or self.eternal)

    starts: tuple[NewRun, ...] = ()
    members: tuple[Member, ...] = ()


class CommitOutcome(enum.Enum):
    COMMITTED = "committed"
    LOST = "lost"  # fence, version, base or status is another's: nothing was changed
    REFUSED = "refused"  # a fused turn met a lease, a due delivery or a later clock: go the long way


class Committed(Struct, frozen=True, gc=False):
    """Answer to one commit.

    :ivar more: the run has unheld deliveries that are due now.
    :ivar tasks: the tasks that this commit made and that were born claimed, as they stand after it, in the
        order of `Commit.tasks`; in the answer to a repeat those that their claim id still holds.
    """

    outcome: CommitOutcome
    now: Micros
    more: bool = False
    tasks: tuple[TaskClaim, ...] = ()


# --- start ---------------------------------------------------------------------------------------------


class NewRun(Struct, frozen=True, gc=False):
    """A run to be created, idempotent by `run_id` (which a keyed start derives from its key).

    :ivar delivery: its first delivery (kind START); left out of the store when `turn` stands, and then its
        dedupe id counts as consumed before the turn has any effect.
    :ivar turn: the first turn, computed ahead: a `Commit` with version 0, fence None and base None.
        Refused when its `now` is ahead of the journal's clock; the run then starts the long way.
    :ivar attributes: given by whoever starts it; those of its turns come beside them.
    """

    run_id: UUID
    machine: str
    fingerprint: str
    digest: bytes
    delivery: Delivery
    key: str | None = None
    parent: UUID | None = None
    root: UUID | None = None
    turn: Commit | None = None
    attributes: tuple[Attribute, ...] = ()


class StartOutcome(enum.Enum):
    STARTED = "started"
    EXISTS = "exists"  # the same start was made before: same digest
    CONFLICT = "conflict"  # the id is taken by a start with another digest
    BUSY = "busy"  # another transaction, open still, creates it: nothing was written, ask again


class Started(Struct, frozen=True, gc=False):
    """Answer to one start: also of a repeat EXISTS, for who asks twice cannot tell which of them began it.

    :ivar committed: the turn's answer. Where the run exists: what a repeat of that turn's commit is told
        if the turn stands, so that a lost reply loses no knowledge; else None.
    """

    outcome: StartOutcome
    now: Micros
    status: RunStatus
    committed: Committed | None = None


# --- deliver -------------------------------------------------------------------------------------------


class DeliverOutcome(enum.Enum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"  # its dedupe id was accepted before, within the window
    RUN_OVER = "run over"
    UNKNOWN_RUN = "unknown run"
    FULL = "full"  # the run has as many pending deliveries as its cap allows
    BUSY = "busy"  # another transaction, open still, uses its dedupe id: nothing was written, ask again


class Delivered(Struct, frozen=True, gc=False):
    """Answer to one delivery.

    :ivar due: what the sender passes as the floor of its next one: the due that the delivery has, or
        would have had if it had been inserted now.
    """

    outcome: DeliverOutcome
    due: Micros


# --- claims --------------------------------------------------------------------------------------------


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
    :ivar reached: the due time up to which the page read the index, or None when it read to the end:
        the caller may go on from there, and starts from the beginning again every second. A page that
        its limit ended, or a suspect, tells the due of the last entry it read; one that `scan` ended has
        read all entries of its last due time and tells the microsecond after it. Either tells None where
        nothing due was left behind it; and so does the answer to a repeated claim.
    :ivar next_due: a hint: when the earliest delivery of the namespace, of whatever run, that is not due
        yet will be; None: none known.
    """

    now: Micros
    runs: tuple[RunClaim, ...]
    reached: Micros | None = None
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


# --- finish --------------------------------------------------------------------------------------------


class FinishKind(enum.Enum):
    DONE = "done"  # succeeded: `delivery` is delivered, and `result`, if any, stored under the task's key
    FAILED = "failed"  # failed for good: `delivery` is delivered
    RETRY = "retry"  # try again after `delay`; `attempt` grows
    CANCELLED = "cancelled"  # stopped as asked: the row goes, nothing is delivered
    RETURN = "return"  # never begun: claimable again after `delay`, nothing counted


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


# --- control -------------------------------------------------------------------------------------------


class OrderKind(enum.IntEnum):
    """An operator's order. The numbers are stored: never renumber."""

    SUSPEND = 0
    RESUME = 1
    CANCEL = 2
    TERMINATE = 3
    UNPARK = 4
    SET = 5
    POSTPONE = 6


class Order(Struct, frozen=True, gc=False):
    """Something an operator asks of a run, acted on whoever holds it.

    :ivar id: kept, so that a repeat is answered like the first time; also the `cause` and the `commit_id` of
        the record, and so the run's `commit_id`.
    :ivar body: of the record that tells of it (who, why).
    :ivar cause: SUSPEND: the run's `cause` from now on; SET and POSTPONE keep it, all others leave "".
    :ivar outcome: TERMINATE: the bytes of the run's outcome.
    :ivar delivery: CANCEL: the delivery that tells the machine; it sorts before all others.
        POSTPONE: the START that takes the place of the one that waits.
    :ivar digest: POSTPONE: what the run's becomes: of the input that it starts with now.
    :ivar attributes: SET: what the run has under these names from now on. The body tells of them, too.
    :ivar version: it stands only if the run is at that version; None: whatever its version is.
    :ivar sends: what it sends to other runs where it is DONE, as `Commit.deliveries` are.
    """

    id: UUID
    run_id: UUID
    kind: OrderKind
    body: bytes
    cause: str = ""
    outcome: bytes | None = None
    delivery: Delivery | None = None
    attributes: tuple[Attribute, ...] = ()
    digest: bytes | None = None
    version: int | None = None
    sends: tuple[Delivery, ...] = ()


class OrderOutcome(enum.Enum):
    DONE = "done"
    UNCHANGED = "unchanged"  # the run was already as the order wants it
    RUN_OVER = "run over"
    UNKNOWN_RUN = "unknown run"
    MOVED = "moved"  # the run is not at `Order.version` any more: nothing was written, look again


class Ordered(Struct, frozen=True, gc=False):
    """Answer to one order: the run's status after it."""

    outcome: OrderOutcome
    status: RunStatus | None


# --- keyed results ---------------------------------------------------------------------------------------


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


# --- reading ---------------------------------------------------------------------------------------------


class Query(Struct, frozen=True, gc=False):
    """Which runs: all fields given must match. Order: newest first by (created, run_id)."""

    machine: str | None = None
    status: RunStatus | None = None
    parent: UUID | None = None
    created_from: Micros | None = None
    created_to: Micros | None = None


class Page(Struct, frozen=True, gc=False):
    """Runs, and the cursor of the next page; None when this is the last."""

    runs: tuple[Run, ...]
    cursor: str | None


class Inspection(Struct, frozen=True, gc=False):
    """A run with all that it has open.

    :ivar places: for each of `tasks`, how many tasks of its queue are claimed before it if no others come:
        `PLACES` stands for as many or more, None for a task that is leased or not due yet.
    """

    run: Run
    deliveries: tuple[Delivery, ...]
    tasks: tuple[Task, ...]
    dead: tuple[DeadLetter, ...]
    places: tuple[int | None, ...] = ()


class PrunePlan(Struct, frozen=True, gc=False):
    """Delete whole ended runs last updated before `before`, at most `limit` of them.

    :ivar generations: also delete the records and members of past generations that were over before
        `before`, of runs that have not ended; at most `limit` of those, the oldest first
        (`Capability.FORGETS`).
    """

    before: Micros
    limit: int
    machine: str | None = None
    statuses: frozenset[RunStatus] = frozenset()  # empty: every ended status
    dry_run: bool = False
    generations: bool = False


class Pruned(Struct, frozen=True, gc=False):
    runs: int
    records: int  # of those runs and generations
    expired: int  # entries past their window: dedupe ids, keyed results and reservations, answers to orders
    generations: int = 0  # past ones, whose records went without their run
    eternal: int = 0  # runs that the plan asks for and that are never pruned; counted up to its limit
    blobs: int = 0  # payloads that were kept apart: those runs', and such as no row refers to any more
