"""The tables of one namespace, and their rows.

Rows are mutable and never leave the store: what callers get are the frozen values of
`continuum_core.journal.records`. Whoever changes a row here keeps the indexes beside it true.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice
from uuid import UUID

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.attributes import Attribute
from continuum_core.journal.commit import Member
from continuum_core.journal.commit import Ordered as OrderAnswer
from continuum_core.journal.crews import first_token
from continuum_core.journal.rate import Bucket
from continuum_core.journal.records import (
    ENDED,
    DeadLetter,
    Definition,
    Delivery,
    Held,
    Record,
    Run,
    RunStatus,
    Task,
)
from continuum_memory.ordered import Ordered

__all__ = ["BlobRow", "DueKey", "Result", "RunRow", "Space", "TaskOrder", "TaskQueue", "TaskRow"]

DueKey = tuple[Micros, int, int, "RunRow"]
"""(due, delivery id, run id, run) of an unheld delivery; the first three are unique."""

FreeKey = tuple[Micros, int, UUID]
"""(due, delivery id, the same) of an unheld delivery of one run."""

CreatedKey = tuple[Micros, int, "RunRow"]
"""(created, run id, run)."""

TaskOrder = tuple[int, str, Micros, int, int, int, "TaskRow"]
"""Of a task that may be claimed now: (priority, fairness key, due, run id, token, slot, task)."""

Leased = tuple[Micros, int, int, int]
"""Of a leased task: (end of the lease, run id, token, slot)."""

Awaiting = tuple[Micros, int, int, int, "TaskRow"]
"""Of a task that may be claimed later, or whose lease may expire: (when, run id, token, slot, task)."""


@define(eq=False)
class TaskRow:
    """A task and the two things about it that callers never see."""

    task: Task
    ended_fence: int = 0  # the fence that a RETRY or RETURN ended, which tells its repeat from a stranger
    ripe: bool = False  # it is in its queue's `ready` index rather than in `awaiting`

    @property
    def unstarted(self) -> bool:
        """Nobody can be carrying it out: never claimed, or every claim was reported."""
        return self.task.fence == 0 or (self.task.lease_until is None and self.task.losses == 0)

    @property
    def order(self) -> TaskOrder:
        task = self.task
        return (task.priority, task.fairness, task.due, task.run_id.int, task.token, task.slot, self)


@define(eq=False)
class TaskQueue:
    """Tasks of one queue and one activity."""

    ready: Ordered[TaskOrder] = field(factory=lambda: Ordered[TaskOrder]())
    awaiting: Ordered[Awaiting] = field(factory=lambda: Ordered[Awaiting]())


@define(eq=False)
class RunRow:
    """A run with everything that belongs to it alone.

    :ivar records: ascending by version.
    :ivar past: past generations with records: the version below which they are → when they were over.
    :ivar deliveries: all of them; each is either in `free`, in order, or in `held`.
    """

    run_id: UUID
    machine: str
    fingerprint: str
    key: str | None
    digest: bytes
    parent: UUID | None
    root: UUID | None
    created: Micros
    updated: Micros
    generation: int = 0
    version: int = 0
    status: RunStatus = RunStatus.RUNNING
    cause: str = ""
    snapshot: bytes = b""
    outcome: bytes | None = None
    fence: int = 0
    lease_until: Micros | None = None
    claim_id: UUID | None = None
    commit_id: UUID | None = None
    tries: int = 0
    records: list[Record] = field(factory=list[Record])
    eternal: bool = False
    past: dict[int, Micros] = field(factory=dict[int, "Micros"])
    deliveries: dict[UUID, Delivery] = field(factory=dict[UUID, Delivery])
    free: Ordered[FreeKey] = field(factory=lambda: Ordered[FreeKey]())
    held: dict[UUID, Held] = field(factory=dict[UUID, Held])
    tasks: dict[tuple[int, int], TaskRow] = field(factory=dict[tuple[int, int], TaskRow])
    members: dict[int, dict[int, bytes]] = field(factory=dict[int, dict[int, bytes]])  # token → number → body
    attributes: dict[str, tuple[bytes, ...]] = field(factory=dict[str, "tuple[bytes, ...]"])

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def after(self, version: int) -> int:
        """The place of the first record above a version."""
        return bisect_right(self.records, version, key=lambda record: record.version)

    def record(self, version: int) -> Record | None:
        at = self.after(version - 1)
        found = self.records[at] if at < len(self.records) else None
        return found if found is not None and found.version == version else None

    def leased(self, now: Micros) -> bool:
        return self.lease_until is not None and self.lease_until > now

    def keep(self, members: Iterable[Member]) -> None:
        """Keep what came of members of crews; what is there already stays."""
        for each in members:
            self.members.setdefault(each.token, {}).setdefault(each.number, each.body)

    def kept(self, token: int, after: int, limit: int) -> list[Member]:
        crew = self.members.get(token, {})
        numbers = (number for number in range(after + 1, max(crew, default=-1) + 1) if number in crew)
        return [Member(token, number, crew[number]) for number in islice(numbers, limit)]

    def forget_members(self, since: int, below: int) -> None:
        """Forget the crews that began in these versions, the last one excluded."""
        for token in [t for t in self.members if first_token(since) <= t < first_token(below)]:
            del self.members[token]

    def all_kept(self) -> tuple[Member, ...]:
        crews = sorted(self.members.items())
        return tuple(Member(token, *each) for token, crew in crews for each in sorted(crew.items()))

    def has_deferred(self) -> bool:
        return Held.DEFERRED in self.held.values()

    def due_now(self, now: Micros) -> bool:
        first = self.free.first()
        return first is not None and first[0] <= now

    def describe(self, attributes: Iterable[Attribute]) -> None:
        """Let the run have these attributes from now on; others stay."""
        for attribute in attributes:
            if attribute.keys:
                self.attributes[attribute.name] = attribute.keys
            else:
                self.attributes.pop(attribute.name, None)

    def described(self) -> tuple[Attribute, ...]:
        return tuple(Attribute(name, self.attributes[name]) for name in sorted(self.attributes))

    def value(self, namespace: str) -> Run:
        return Run(
            run_id=self.run_id,
            namespace=namespace,
            machine=self.machine,
            fingerprint=self.fingerprint,
            key=self.key,
            digest=self.digest,
            generation=self.generation,
            version=self.version,
            status=self.status,
            cause=self.cause,
            snapshot=self.snapshot,
            outcome=self.outcome,
            fence=self.fence,
            lease_until=self.lease_until,
            claim_id=self.claim_id,
            commit_id=self.commit_id,
            tries=self.tries,
            parent=self.parent,
            root=self.root,
            created=self.created,
            updated=self.updated,
        )


@define(eq=False)
class Result:
    """A keyed result, or the reservation of one while `outcome` is None.

    :ivar owner: the task that runs the body.
    :ivar until: end of the reservation, or of the result's window.
    """

    owner: tuple[UUID, int, int]
    until: Micros
    outcome: bytes | None = None


@define(eq=False)
class BlobRow:
    """A payload that is kept apart.

    :ivar at: when it was put last, or pruning looked at it.
    :ivar snapshot: the run's last version whose snapshot it was put for; 0: it is not a snapshot's alone.
    """

    data: bytes
    at: Micros
    snapshot: int


@define(eq=False)
class Space:
    """One namespace: rows by their names, and the indexes that claims and pages read.

    :ivar children: by parent, in the order of `created`.
    :ivar queues: by queue and activity.
    :ivar leased: by queue.
    :ivar buckets: of the queues that were claimed from under a rate.
    :ivar dealt: by queue and priority: the fairness key that was dealt last, where it is not "".
    :ivar arrived: runs with the departures by which they came; whatever became of them since.
    """

    name: str
    runs: dict[UUID, RunRow] = field(factory=dict[UUID, RunRow])
    due: Ordered[DueKey] = field(factory=lambda: Ordered[DueKey]())
    created: Ordered[CreatedKey] = field(factory=lambda: Ordered[CreatedKey]())
    children: dict[UUID, Ordered[CreatedKey]] = field(factory=dict[UUID, "Ordered[CreatedKey]"])
    queues: dict[tuple[str, str], TaskQueue] = field(factory=dict[tuple[str, str], TaskQueue])
    leased: dict[str, Ordered[Leased]] = field(factory=dict[str, Ordered[Leased]])
    buckets: dict[str, Bucket] = field(factory=dict[str, Bucket])
    dealt: dict[tuple[str, int], str] = field(factory=dict[tuple[str, int], str])
    seen: dict[tuple[UUID, str], Micros | None] = field(factory=dict[tuple[UUID, str], "Micros | None"])
    replies: dict[tuple[UUID, str], bytes] = field(factory=dict[tuple[UUID, str], bytes])  # of ids in `seen`
    orders: dict[UUID, tuple[Micros, OrderAnswer]] = field(factory=dict[UUID, tuple[Micros, OrderAnswer]])
    results: dict[tuple[str, str], Result] = field(factory=dict[tuple[str, str], Result])
    dead: dict[UUID, dict[UUID, DeadLetter]] = field(factory=dict[UUID, dict[UUID, DeadLetter]])
    defined: dict[str, Definition] = field(factory=dict[str, Definition])
    blobs: dict[UUID, dict[bytes, BlobRow]] = field(factory=dict[UUID, dict[bytes, BlobRow]])
    arrived: set[tuple[UUID, UUID]] = field(factory=set[tuple[UUID, UUID]])
    run_claims: dict[UUID, set[UUID]] = field(factory=dict[UUID, set[UUID]])
    task_claims: dict[UUID, set[tuple[UUID, int, int]]] = field(
        factory=dict[UUID, set[tuple[UUID, int, int]]]
    )

    # --- runs: a row and its places in the orders of pages move together

    def add_run(self, run: RunRow) -> None:
        self.runs[run.run_id] = run
        key = (run.created, run.run_id.int, run)
        self.created.add(key)
        if run.parent is not None:
            self.children.setdefault(run.parent, Ordered[CreatedKey]()).add(key)

    def drop_run(self, run: RunRow) -> None:
        key = (run.created, run.run_id.int, run)
        self.created.remove(key)
        if run.parent is not None:
            siblings = self.children[run.parent]
            siblings.remove(key)
            if not siblings:
                del self.children[run.parent]
        del self.runs[run.run_id]

    # --- leases of runs: `claim_id` and its index move together

    def lease(self, run: RunRow, claim_id: UUID, until: Micros) -> None:
        self.unlease(run)
        run.claim_id = claim_id
        run.lease_until = until
        self.run_claims.setdefault(claim_id, set()).add(run.run_id)

    def unlease(self, run: RunRow) -> None:
        if run.claim_id is not None:
            holders = self.run_claims[run.claim_id]
            holders.discard(run.run_id)
            if not holders:
                del self.run_claims[run.claim_id]
        run.claim_id = None
        run.lease_until = None

    # --- tasks: a row and its place in its queue and claim move together

    def queue(self, task: Task) -> TaskQueue:
        name = (task.queue, task.activity)
        found = self.queues.get(name)
        if found is None:
            found = self.queues[name] = TaskQueue()
        return found

    def put_task(self, row: TaskRow) -> None:
        """Enter the row into the indexes, as waiting for its due time or for its lease's end."""
        task = row.task
        when = task.due if task.lease_until is None else task.lease_until
        self.queue(task).awaiting.add((when, task.run_id.int, task.token, task.slot, row))
        row.ripe = False
        if task.lease_until is not None:
            leased = self.leased.setdefault(task.queue, Ordered[Leased]())
            leased.add((task.lease_until, task.run_id.int, task.token, task.slot))
        if task.claim_id is not None:
            name = (task.run_id, task.token, task.slot)
            self.task_claims.setdefault(task.claim_id, set()).add(name)

    def take_task(self, row: TaskRow) -> None:
        """Take the row out of the indexes."""
        task = row.task
        queue = self.queue(task)
        if row.ripe:
            queue.ready.remove(row.order)
        else:
            when = task.due if task.lease_until is None else task.lease_until
            queue.awaiting.remove((when, task.run_id.int, task.token, task.slot, row))
        if task.lease_until is not None:
            self.leased[task.queue].remove((task.lease_until, task.run_id.int, task.token, task.slot))
        if task.claim_id is not None:
            holders = self.task_claims[task.claim_id]
            holders.discard((task.run_id, task.token, task.slot))
            if not holders:
                del self.task_claims[task.claim_id]

    def ripen_task(self, row: TaskRow) -> None:
        """Move an unclaimed task whose time has come to where claims look."""
        task = row.task
        queue = self.queue(task)
        queue.awaiting.remove((task.due, task.run_id.int, task.token, task.slot, row))
        queue.ready.add(row.order)
        row.ripe = True

    def change_task(self, row: TaskRow, task: Task) -> None:
        """Replace what the row holds; the indexes follow."""
        self.take_task(row)
        row.task = task
        self.put_task(row)

    def drop_task(self, row: TaskRow) -> None:
        self.take_task(row)
        del self.runs[row.task.run_id].tasks[row.task.token, row.task.slot]
