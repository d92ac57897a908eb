"""The port: what a backend promises the engine.

A journal keeps rows (`records`) and serves verbs. Each verb is one transaction that takes a batch and
gives one outcome per member, in order. A handle is bound to one namespace and sees nothing of others.

**Promises.** Each has a number; the conformance kit has a test of that number for each.

1.  Records of a run are unique and never rewritten, and gap-free where a commit does not say that steps left
    none (`Commit.steps`); folding them yields the snapshot.
2.  A commit is all or nothing.
3.  A stale fence, version or base changes nothing and says so; the rest of its batch stands.
4.  Fences only grow, those of tasks too: the next one is max(last + 1, the journal's clock in µs), so
    that even a store that lost its tail grants no fence twice.
5.  What was acknowledged is durable, at the level the backend states (`Opened.durability`).
6.  An unknown outcome resolves to one copy: repeating a verb with the same ids changes nothing more
    and gives the same answer; but `start` then tells EXISTS, `finish` GONE, and `deliver`, of a dedupe id,
    DUPLICATE.
7.  Starting twice with one id gives one run; another digest is a conflict.
8.  A dedupe id is accepted once within its window, which begins when the delivery is consumed, and is
    asked before the run's status is.
9.  Deliveries of a run are claimed in (due, id) order; one sender's (who passes the last due as floor)
    keep their order.
10. Nothing is claimed before the journal's clock says that it is due.
11. Of two claimers one wins; a live lease is never claimed; an expired one is, with `tries` grown (a
    run) or `losses` grown (a task, which then backs off).
12. A task is finished once, by the holder of its fence; a repeat is told GONE, another LOST.
13. Claims never exceed their limits, caps and rates; lower `priority` numbers first, then fairness keys
    in turn, then earlier due; queues are isolated: who puts each of n wants first in turn is served from each
    within n claims, whatever the others hold.
14. A run with nothing due costs no write and appears in no claim, however many there are.
15. Keyset pages: a row that is present throughout appears exactly once, under concurrent writes.
16. Pruning takes whole ended runs, and of the living no more than the records of past generations; it keeps
    dedupe and keyed results inside their windows, and never touches what is eternal.
17. A lost wakeup delays and never strands: whatever was committed and is due is found by a claim,
    whichever way it raced a commit.
18. Namespaces never leak, nested ids (parents, message targets) included.
19. Opening migrates an older schema; openers race safely; a schema that is too new or too old is
    refused with a clear error.
20. Cancelling or closing in the middle of a verb leaves no transaction and no connection behind.
21. `claim_runs` returns only runs of the fingerprints the caller takes, `claim_tasks` only the
    activities it wants.
22. All backends answer the same to the same operations.
23. A run that is carried is whole, and lives in one journal: it leaves only as what was dumped and in one
    transaction, with an image of itself that pruning keeps until it has arrived. Where it goes it was asked
    for beforehand, and is known again by its departure, whatever became of it (`carrying`).
24. A search finds exactly the runs for which its condition holds, in the order it asks for, and counts them;
    attributes stand and fall with what carried them, and go with their run (`searching`).
25. Child runs begin with the commit that starts them, once each and before whatever is sent to them; what
    came of members of crews stays as it was first kept, and goes with the run (`crews`).
26. A timer of the run itself is claimed though the run is parked or suspended. The claim makes the run
    RUNNING, without a cause or a record, frees what is PAUSED, and lowers `tries` to 2 at most first.
27. A blob that was put is read back as it was, for as long as a row of its run refers to it; then it goes,
    and with its run (`blobs`).
28. Whoever asks is told what a present worker has, as it was said last, until its handle is closed or its
    process gone; then not. To say it again writes nothing (`presence`).

**Rules every backend keeps** (each closes a race that was reproduced):

- *Dueness lives on deliveries alone.* `deliver` inserts and notes the dedupe id; it never writes the
  run's row, and so cannot be overwritten by a commit that did not see it.
- *Whoever deletes a delivery of a run moves its version*, under the run's lock.
- *Fence, not clock, decides.* An expired lease that nobody re-claimed still commits.
- *Whatever bumps a fence clears `claim_id`*, except the claim that sets it. A repeated claim (same
  `claim_id`) returns what that id still holds, with the fences it was granted.
- *Ended, parked and suspended runs*: whoever meets a due delivery of one, holds it (PAUSED), or for an
  ended run removes it to the dead letters, under the run's lock. A timer of the run itself (`own_timer`) is
  not held: a claim that takes the run's fingerprint ends the rest with it (promise 26), others leave it.
- *Closing a token* deletes its timers and its unstarted tasks, and marks the others cancelled, decided
  by what the lock on the task returned. A task with an undo is marked whether it has begun or not: it
  stays claimable until its outcome, be it that it never began, was told. A task is *unstarted* while its
  fence is 0, or when it is unclaimed with no losses and its last attempt was reported.
- *When a run ends*, its deliveries are removed (signals go to the dead letters), its unstarted tasks
  deleted, those with an undo as well, and its running ones marked cancelled; their finish is then told GONE.
- *Orders and parkings* bump the fence, clear lease and `claim_id` and append a record.
- *One `now` per call*: all members of a batch share it. A lease is live, and a window open, while its
  end is above `now`; what is due is due from its own microsecond on.
- *Every id is its namespace's own*: run, delivery, dedupe, order, claim, definition, result key. Ids sort
  as 128-bit big-endian numbers.
- *Suspects come alone*: a run with two claims since its last commit, or a task with two losses, is the only
  member of the claim that takes it; met behind others it ends the page (or the want) before it. So the wants
  of a claim are looked at in the order in which they are given: what stands at the head of the first one that
  has something is taken, be it a suspect, and the caller sees to it that each is first in its turn.
- *Stored deliveries* have `due` set, `floor` 0 and `held` NO, whatever was passed in. A dedupe id is pending
  until its delivery is deleted, however that happens; then its window begins. It outlives a pruned run.
- *The end of a run or target*: only SIGNALs become dead letters (reason "run over" or "unknown run"); timers
  and outcomes concern nobody else and are dropped.

Errors: `JournalUnavailable` when the store cannot be reached, is busy beyond the bounded wait, or is
full (`ambiguous` when the verb may have taken effect); `IncompatibleJournal` at open; `UsageError` for a
verb on a handle that is not open, and for a turn that is no history (records that do not continue from
its version, or belong to another run or commit): then nothing of the batch was written. No driver's
error ever leaves a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from attrs import field, frozen

from continuum_core.clock import Micros, span
from continuum_core.errors import UsageError
from continuum_core.journal.commit import (
    FIRST_DUE,
    Claims,
    Commit,
    Committed,
    Delivered,
    DueEntry,
    Finished,
    Inspection,
    NewRun,
    Order,
    Ordered,
    Page,
    Pruned,
    PrunePlan,
    Query,
    Reservation,
    Reserved,
    RunHold,
    Started,
    TaskClaims,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.records import Definition, Delivery, Record, Run
from continuum_core.texts import LONGEST_WAIT

__all__ = [
    "MEANINGS",
    "PORT_VERSION",
    "AdoptingBackend",
    "Backend",
    "Capability",
    "ClockedBackend",
    "Journal",
    "Limits",
    "MigratingBackend",
    "Opened",
    "PlantingBackend",
    "SchemaState",
]

PORT_VERSION = 1
"""The version of this port. A backend states the one it was written for."""


class Capability:
    """Names of what a backend may declare beyond the port; `MEANINGS` says what each one claims.

    Declared, never detected: the kit asks for all that is declared, and skips the rest by its name; the
    engine uses what is declared, and nothing else (`journal.declared`).
    """

    DURABLE = "durable"
    SHARED = "shared"
    WAKEUPS = "wakeups"
    CLOCK = "clock"
    TRANSACTIONS = "transactions"
    MIGRATES = "migrates"
    GAUGES = "gauges"
    CARRIES = "carries"
    SEARCH = "search"
    FORGETS = "forgets"
    REPLIES = "replies"
    CREWS = "crews"
    BLOBS = "blobs"
    LOOKS = "looks"
    PRESENCE = "presence"


MEANINGS: Mapping[str, str] = {
    Capability.DURABLE: "what was acknowledged survives the process, killed at any moment",
    Capability.SHARED: "several processes may open the same store",
    Capability.WAKEUPS: "`wait` returns early when another process wrote",
    Capability.CLOCK: "`connect` takes `clock=`, a function that tells the time: for tests",
    Capability.TRANSACTIONS: "handles are `journal.transactions.Transactional`",
    Capability.MIGRATES: "stores of older schemas are brought forward, and `plant` makes one: for tests",
    Capability.GAUGES: "handles are `journal.gauges.Gauged`: they can say how much waits",
    Capability.CARRIES: "handles have a `journal.carrying.Carrier`: whole runs can be copied and archived",
    Capability.SEARCH: "handles have a `journal.searching.Searcher`: attributes are kept, runs found by them",
    Capability.FORGETS: "commits may leave steps without a record and make a run eternal; `prune` takes past "
    "generations",
    Capability.REPLIES: "handles are `journal.replies.Replying`: what turns answered is kept and can be read",
    Capability.CREWS: "handles are `journal.crews.Crewed`: commits start child runs and keep members",
    Capability.BLOBS: "handles are `journal.blobs.BlobKeeping`: large payloads are kept apart from the rows",
    Capability.LOOKS: "handles are `journal.looking.Looking`: they can be opened without making or migrating "
    "anything",
    Capability.PRESENCE: "handles are `journal.presence.Vouching`: they know which workers are there",
}
"""Capability → what a backend that declares it claims. There are no others."""


def _window(given: int | timedelta) -> int:
    return span(given) if isinstance(given, timedelta) else given


def _bounded(_: object, attribute: Any, given: Any) -> None:
    """Of a window: what is added to a time has to give one that every journal holds."""
    _from(0)(_, attribute, given)
    if given > LONGEST_WAIT:
        raise UsageError(f"Limits({attribute.name}={given!r}) cannot be: give a hundred years at most")


def _from(least: int) -> Callable[[object, Any, Any], None]:
    def check(_: object, attribute: Any, given: Any) -> None:
        if not isinstance(given, int) or isinstance(given, bool) or given < least:
            kinds = ", or a timedelta" if attribute.converter is not None else ""
            unit = " of microseconds" if kinds else ""
            raise UsageError(
                f"Limits({attribute.name}={given!r}) cannot be: give a whole number{unit} from {least}{kinds}"
            )

    return check


def _bytes(_: object, attribute: Any, given: int | None) -> None:
    if given is not None:
        _from(0)(_, attribute, given)


@frozen
class Limits:
    """Settings of a store that the engine passes at open; all windows in microseconds, or a `timedelta`.

    Raises UsageError for one that nothing could work with.
    """

    # unconsumed deliveries per run, held ones included
    pending: int = field(default=10_000, validator=_from(1))
    dedupe_window: int = field(default=7 * 24 * 3600 * 1_000_000, converter=_window, validator=_bounded)
    result_window: int = field(default=30 * 24 * 3600 * 1_000_000, converter=_window, validator=_bounded)
    # times losses: how long a lost worker's task waits
    loss_backoff: int = field(default=1_000_000, converter=_window, validator=_bounded)
    # bytes from which a payload is kept apart, where the backend can; None: never
    blobs: int | None = field(default=65_536, validator=_bytes)


@frozen
class Opened:
    """What a journal says of itself when opened.

    :ivar durability: one sentence for people: what survives what.
    """

    now: Micros
    backend: str
    durability: str
    schema: int


@runtime_checkable
class Journal(Protocol):
    """A handle on a store, for one namespace. Used from one event loop.

    It may say in an attribute ``capabilities`` what its backend declares; else `connect` notes it there.
    """

    namespace: str

    async def open(self) -> Opened:
        """Connect, migrate where needed, check settings. Raises IncompatibleJournal.

        May be called again, also after `close`.
        """
        ...

    async def close(self) -> None:
        """Give everything back. A second call does nothing."""
        ...

    def sibling(self) -> Journal:
        """Another, unopened handle on the same store and namespace, for use on another event loop."""
        ...

    async def now(self) -> Micros:
        """The journal's clock."""
        ...

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        """Create runs with their first delivery, or with their first turn.

        A new run has version 0, fence 0, no `commit_id`, an empty snapshot, and is RUNNING.
        """
        ...

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        """Insert deliveries. Locks and updates no run.

        Asked in this order: DUPLICATE; ACCEPTED again, with its stored due, for an id that is still
        pending on the run; UNKNOWN_RUN; RUN_OVER; FULL. What is refused notes no dedupe id.
        """
        ...

    async def claim_runs(
        self,
        claim_id: UUID,
        limit: int,
        lease: int,
        takes: frozenset[str],
        after: DueEntry = FIRST_DUE,
        scan: int = 1_000,
    ) -> Claims:
        """Lease up to `limit` runs that have due, unheld deliveries, for `lease` microseconds.

        Reads `scan` entries of the due index at most, in its order and from `after` on, with `after` itself.
        However many deliveries have one due time, no claim reads more than others do. Entries
        of suspended and parked runs, but for those of promise 26, are held (PAUSED) whatever `takes` says.
        While `claim_id` holds
        runs, expired or not, the answer is these and nothing is claimed.
        """
        ...

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        """Write turns; each stands or falls alone. Releases the lease of those that stand.

        A turn whose `commit_id` is that of the run's record `version + 1` (of its own first record, where it
        keeps only some) stands already and is COMMITTED again, whatever followed. So is one that keeps no
        record, as long as its `commit_id` is the run's. Otherwise LOST, or REFUSED for a fused turn, tells
        all that is in its way; for the latter an expired lease is not. A fused turn bumps no fence.
        """
        ...

    async def renew(self, runs: Sequence[RunHold], lease: int) -> list[bool]:
        """Extend run leases; False for what is not the caller's any more.

        It is while the fence is the same and a lease is on the run, expired or not.
        """
        ...

    async def release(self, runs: Sequence[RunHold]) -> None:
        """Give runs back at once, as if never claimed (`tries` falls back by one)."""
        ...

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        """Lease tasks that are due: per want by priority, within a priority dealt by fairness key, and of one
        key by (due, run id, token, slot).

        Dealing goes round the keys in their order (of UTF-8 bytes), one task each, from the key after the one
        that was dealt last at this queue and priority ("" before any), as often as there is room: so one task
        waits behind at most one of each other key. Room is the want's limit, or less: what `cap` leaves
        beside the queue's live leases, and the tokens that the queue's bucket (`rate`) holds; each task
        claimed takes one. Wants are looked at in their order, which decides whose suspect comes (alone).

        A task of the wanted kind whose lease is found expired is not claimed: if it was asked to stop
        and declares no undo its row goes; else `losses` grows, its lease and `claim_id` are cleared, its
        fence stays (its worker may still finish it) and it is due after `losses` times `loss_backoff`. An
        unclaimed one that was asked to stop and declares no undo goes as well. Suspended and parked runs
        keep their tasks claimable. While `claim_id` holds tasks, the answer is these.
        """
        ...

    async def heartbeat(self, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
        """Extend task leases and keep their details.

        Per member: True held, False held but asked to cancel, None not the caller's any more.
        """
        ...

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        """Close or reopen tasks, deliver outcomes, and commit the turns that ride along.

        GONE: no row, or a fence that a RETRY or RETURN ended before. LOST: another fence, or 0; the lease
        is not looked at. Of an ended run: the keyed result is settled, the row goes, GONE. RETRY and
        RETURN of a task that was asked to stop remove it, unless it has an undo. An outcome is delivered
        whatever the cap on pending deliveries. A refused turn leaves the finish standing.
        """
        ...

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        """Reserve keyed results, or read them. The holder's own reservation is renewed.

        Of two results for one key the first stays until its window ends. FAILED and CANCELLED free the
        reservation; RETRY and RETURN keep it until it expires.
        """
        ...

    async def control(self, orders: Sequence[Order]) -> list[Ordered]:
        """Carry out operators' orders, whoever holds the run.

        SUSPEND acts on a running run, RESUME on a suspended, UNPARK on a parked one, TERMINATE on all that
        have not ended, and so does CANCEL, which inserts its delivery with due 0 in the place of one with
        its id, unless an unheld one waits on a running run; SET acts on all that have not ended, and leaves
        status and cause as they are, and what is held. POSTPONE acts on a running or suspended run whose
        START was not consumed: its delivery takes that one's place, its digest the run's, and status and
        cause stay as they are. Otherwise the answer is UNCHANGED, and nothing is written. After RESUME,
        UNPARK and CANCEL the run is RUNNING. RESUME and CANCEL free what is PAUSED, UNPARK also the POISON.
        Each lowers `tries` to 2 at most. Answers DONE and UNCHANGED are kept for the dedupe window, under
        the order's id.
        """
        ...

    async def define(self, definitions: Sequence[Definition]) -> None:
        """Store definitions; known fingerprints are left as they are."""
        ...

    async def definitions(self) -> list[Definition]:
        """All stored definitions, by (machine, version, fingerprint)."""
        ...

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        """Rows of runs; None for those not in the namespace."""
        ...

    async def inspect(self, run: UUID) -> Inspection | None:
        """A run with all it has open; None if it is not in the namespace.

        Deliveries by (due, id), held ones included; tasks by (token, slot); dead letters by time.
        """
        ...

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        """Records with versions above `after`, ascending."""
        ...

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        """One page of runs. Raises PayloadRefused for a cursor that this query did not give.

        `created_from` is included, `created_to` is not.
        """
        ...

    async def prune(self, plan: PrunePlan) -> Pruned:
        """Delete what is ended and old (the oldest first), and all that is past its window.

        A dry run counts the same and deletes nothing. Dead letters under ids of no run go by their time.
        """
        ...

    async def wait(self, seconds: float) -> None:
        """Return when something may have changed, or after `seconds`. A hint: it may be early or late.

        A write that another handle of this process made since this one's last `wait` returned ends it at
        once, and one of another process may where `wakeups` is declared. One that always returns early is
        none: whoever waits would ask in circles.
        """
        ...


class Backend(Protocol):
    """What an entry point of group ``continuum.backends`` names: a module or object of this shape.

    It may also define ``MISSING``, a sentence that says what to install, while its driver is absent. What is
    wrong with it is told by name, and stops nobody who does not ask for it (`journal.installed`).
    """

    PORT_VERSION: int
    CAPABILITIES: frozenset[str]

    def connect(self, url: str, namespace: str, limits: Limits) -> Journal:
        """An unopened handle. Raises IncompatibleJournal or UnknownBackend for a URL that is wrong."""
        ...


class AdoptingBackend(Protocol):
    """A backend that also takes objects where a URL goes: a pool, an engine. What has `adopt` is one."""

    def adopt(self, target: object, namespace: str, limits: Limits) -> Journal | None:
        """An unopened handle; None for an object that is not this backend's.

        Imports no library that the object's owner has not imported. Raises UsageError for an object of a
        right kind that cannot serve.
        """
        ...


@frozen
class SchemaState:
    """How far a journal's schema is.

    :ivar shown: the journal as people may see it, without a password.
    :ivar stated: the version that the store states; 0 where there is no journal yet.
    :ivar known: the version that this release brings it to.
    :ivar needs: the version that a release must know to use it, as the store states it.
    """

    shown: str
    stated: int
    known: int
    needs: int = 0

    @property
    def behind(self) -> bool:
        return self.stated < self.known

    @property
    def ahead(self) -> bool:
        """Whether this release must not use it."""
        return self.needs > self.known


class MigratingBackend(Protocol):
    """A backend whose schema can be migrated apart from opening. What has `migrate` is one."""

    async def schema_of(self, url: str) -> SchemaState:
        """How far the schema is; changes nothing. Raises IncompatibleJournal, JournalUnavailable."""
        ...

    async def migrate(self, url: str) -> int:
        """Bring the schema to this release's version; the version it has then."""
        ...

    def migration_sql(self, url: str, since: int) -> str:
        """The statements that do so from version `since` on (0: from nothing), or ""; reaches no server."""
        ...


class PlantingBackend(Protocol):
    """A backend that declares `Capability.MIGRATES`: it can make a store as an older release left it."""

    async def plant(self, url: str, version: int) -> None:
        """Make an empty store of schema `version` where there is none: for tests of migrations.

        :param version: from 1 to what `Opened.schema` tells of a store that this release made.

        Raises UsageError for another version, or where there is a store already.
        """
        ...


class ClockedBackend(Protocol):
    """A backend that declares `Capability.CLOCK`: its handles' clock can be set, for tests."""

    def connect(self, url: str, namespace: str, limits: Limits, *, clock: Callable[[], Micros]) -> Journal:
        """Like `Backend.connect`; `clock` returns microseconds and stands in for the journal's own."""
        ...
