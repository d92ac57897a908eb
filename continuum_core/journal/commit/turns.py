"""What a turn, a start and a delivery write: one value for all that one turn of one run writes.

A start may bring the first turn, and a turn may start child runs: the two stand together.
"""

from __future__ import annotations

import enum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit.claims import TaskClaim
from continuum_core.journal.records import Delivery, Held, Record, RunStatus

__all__ = [
    "Commit",
    "CommitOutcome",
    "Committed",
    "DeliverOutcome",
    "Delivered",
    "Member",
    "NewRun",
    "NewTask",
    "Reply",
    "StartOutcome",
    "Started",
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
    `hold` that the run does not have, and tasks that it has already, are passed over. What a run sends to
    itself as it ends reaches nobody: it is not accepted, and uses up no dedupe id.

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
