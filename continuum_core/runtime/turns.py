"""Turns in this process: what is remembered of runs between two of them, and what follows a commit.

The worker remembers the image of runs it has just committed, so that the finish of an activity can
carry the run's next turn in the same transaction (the hot path). The memory is a cache and decides
nothing: the journal accepts such a turn only if version and commit id are still the remembered ones.
A run whose turn is under way is not remembered, so that no second one is made meanwhile.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.definition.upgrade import Way
from continuum_core.due import Due
from continuum_core.errors import ContinuumError, UnknownVersion
from continuum_core.host import Host
from continuum_core.journal.commit import Commit, CommitOutcome, Committed, Member, NewTask, RunClaim
from continuum_core.journal.records import ENDED, Delivery, DeliveryKind, RunStatus
from continuum_core.journal.replies import Asked, Replied, ReplyState
from continuum_core.journal_clock import JournalClock
from continuum_core.mapper import Image, decode_image, filled, unborn
from continuum_core.registry import Entry, Registry
from continuum_core.runtime.tasks import Tasks
from continuum_core.turn import Turn, lacking, park, quarantine, take_turn
from continuum_core.watch import TurnWatch

__all__ = ["Beside", "Turns"]

logger = logging.getLogger(__name__)

_REMEMBERED_BYTES = 64 * 1024 * 1024
"""Of encoded contexts, over all runs that are remembered: ten thousand large ones would fill the memory."""


Beside = Mapping[int, list[Member]]
"""What came of members of crews, by the crews' tokens."""

_NOTHING: Beside = {}
_CREWS = b'"crews":['
"""In a stored snapshot, where there may be crews: most runs have none, and need not be read twice."""


class _Known(Struct, frozen=True, gc=False):
    """What this worker remembers of a run at rest."""

    entry: Entry
    base: UUID
    image: Image
    has_deferred: bool


class Turns:
    """Makes turns and deals with what the journal answers.

    :param tries: claims without a commit after which a run is parked instead of tried again.
    :param poll: microseconds after which the journal is asked again at the latest.
    :param remembered: how many runs' images are kept at most.
    :param watch: told of turns; None where no plugin listens.
    """

    def __init__(
        self,
        host: Host,
        registry: Registry,
        namespace: str,
        clock: JournalClock,
        tasks: Tasks,
        *,
        tries: int = 10,
        poll: int = 0,
        remembered: int = 10_000,
        watch: TurnWatch | None = None,
    ) -> None:
        self._host = host
        self._registry = registry
        self._namespace = namespace
        self._clock = clock
        self._tasks = tasks
        self._tries = tries
        self._poll = poll
        self._remembered = remembered
        self._watch = watch
        # A dict would pass by all that it has dropped, each time that the oldest is looked for.
        self._known: OrderedDict[UUID, _Known] = OrderedDict()
        self._known_bytes = 0
        self.on_ended: Callable[[UUID, RunStatus, bytes | None], None] = lambda _run, _status, _outcome: None
        self.on_replied: Callable[[Asked, Replied], None] = lambda _asked, _answer: None
        self.on_due: Callable[[], None] = lambda: None

    # --- making turns ---

    def lacking(self, claim: RunClaim) -> list[int]:
        """The tokens of the crews whose results have to be read before the turn of this claim."""
        if _CREWS not in claim.snapshot or self._registry.way(claim.fingerprint) is not None:
            return []
        entry = self._registry.entry(claim.fingerprint)
        try:
            image = decode_image(entry, claim.version, claim.snapshot)
        except Exception:  # told when the turn is taken
            return []
        known = self._known.get(claim.run_id)
        if known is not None and known.base == claim.base:
            image = known.image
        return lacking(entry, image, claim.deliveries)

    def claimed(self, claim: RunClaim, now: int, beside: Beside = _NOTHING) -> Turn:
        """The turn of a run that was claimed; one whose snapshot cannot be read is parked as it is.

        :param beside: what came of the members of the crews that `lacking` named, by token.
        """
        watch = self._watch
        if watch is None:
            return self._claimed(claim, now, beside)
        began = watch.clock()
        return watch.begun(self._claimed(claim, now, beside), claim.deliveries, began)

    def _claimed(self, claim: RunClaim, now: int, beside: Beside) -> Turn:
        entry = self._registry.entry(claim.fingerprint)
        way = self._registry.way(claim.fingerprint)
        if way is not None and any(each.kind is DeliveryKind.FORK for each in claim.deliveries):
            gone = UnknownVersion(
                f"it is to go on in version {way.version}, whose code is not here; run a worker that has it, "
                "or fork from a record after the upgrade"
            )
            return self._unreadable(claim, now, f"fork: {gone}", gone)
        if not claim.snapshot:
            way = None  # it begins in this definition
        try:
            image = self._image(entry, claim) if way is None else unborn(claim.version)
            if beside:
                image = _filled(entry, image, beside)
        except Exception as fault:  # by whatever: the run waits for a human, this worker for nobody
            return self._unreadable(claim, now, f"unreadable: {fault}", fault)
        former = claim.fingerprint if claim.fingerprint != entry.fingerprint else ""
        due = _due(self._namespace, claim, image, now, way, former)
        if claim.tries > self._tries:
            cause = f"claimed {claim.tries} times without a commit"
            if way is not None:
                why = ContinuumError(cause)
                return quarantine(claim.fingerprint, due, cause, why, self._host.new_id)
            return park(entry, due, cause, self._host.new_id)
        return take_turn(entry, due, self._host.new_id, self.born)

    def refused(self, claim: RunClaim, now: int, fault: Exception) -> Turn:
        """Parks a run whose turn the journal cannot store."""
        turn = self._unreadable(claim, now, f"refused by the journal: {fault}", fault)
        return turn if self._watch is None else self._watch.begun(turn, claim.deliveries, self._watch.clock())

    def distrusted(self, claim: RunClaim, now: int, cause: str) -> Turn:
        """Parks a run whose past is not what this code makes of it."""
        return self._unreadable(claim, now, cause, ContinuumError(cause))

    def _unreadable(self, claim: RunClaim, now: int, cause: str, fault: Exception) -> Turn:
        due = _due(self._namespace, claim, unborn(claim.version), now)
        return quarantine(claim.fingerprint, due, cause, fault, self._host.new_id)

    def _image(self, entry: Entry, claim: RunClaim) -> Image:
        known = self._recall(claim.run_id)
        if known is not None and known.base == claim.base and known.image.snapshot.version == claim.version:
            return known.image
        return decode_image(entry, claim.version, claim.snapshot)

    def fused(self, run_id: UUID, delivery: Delivery) -> Turn | None:
        """The turn that may ride on a finish, if the run is remembered."""
        known = self._recall(run_id) if self._clock.known() else None
        if known is None:
            return None
        watch = self._watch
        began = 0.0 if watch is None else watch.clock()
        if known.image.snapshot.crews and lacking(known.entry, known.image, (delivery,)):
            return None  # what is to be read first, the long way reads
        due = Due(
            namespace=self._namespace,
            run_id=run_id,
            fence=None,
            base=known.base,
            image=known.image,
            deliveries=(delivery,),
            now=self._clock.estimate(),
            has_deferred=known.has_deferred,
        )
        turn = take_turn(known.entry, due, self._host.new_id, self._follows)
        if turn.fault is not None:
            self._tasks.unborn(turn.commit.tasks)
            return None  # parking wants the run's lease: the long way finds the same fault
        return turn if watch is None else watch.begun(turn, due.deliveries, began)

    def born(self, task: NewTask, claim_id: UUID) -> NewTask:
        """A new task, claimed at birth if this worker has a slot for it."""
        return self._tasks.born(task, claim_id)

    def _follows(self, task: NewTask, claim_id: UUID) -> NewTask:
        return self._tasks.born(task, claim_id, goes_on=True)

    # --- what the journal answered ---

    def settled(self, turn: Turn, committed: Committed | None) -> None:
        """The turn stands, or does not (None: it never reached the journal)."""
        commit = turn.commit
        stands = committed is not None and committed.outcome is CommitOutcome.COMMITTED
        if self._watch is not None:
            self._watch.settled(turn, stands)
        if committed is None or not stands:
            self._tasks.unborn(commit.tasks)
            if committed is not None:
                logger.debug("turn %s", committed.outcome.value, extra={"run_id": str(commit.run_id)})
            self.on_due()
            return
        self._clock.observe(committed.now)
        for reply in commit.replies:
            answer = Replied(ReplyState.GONE, reply.body)
            self.on_replied(Asked(commit.run_id, reply.dedupe), answer)
        if commit.status is RunStatus.RUNNING or not self._over(turn):
            if commit.closed:
                self._tasks.cancel(commit.run_id, commit.closed)
            if turn.fault is None and commit.cause == "":
                self._remember(turn)
        if len(committed.tasks) != len(commit.tasks):
            # A turn that stood at an earlier try may have lost some of its tasks to others since.
            mine = {(claim.task.token, claim.task.slot) for claim in committed.tasks}
            self._tasks.unborn([task for task in commit.tasks if (task.token, task.slot) not in mine])
        self._tasks.begin(committed.tasks)
        if committed.more or self._asks_to_look(commit, committed.now + self._poll):
            self.on_due()

    def _over(self, turn: Turn) -> bool:
        """Whether the run, which rests with this turn, has ended; that is told."""
        commit = turn.commit
        if commit.status is RunStatus.PARKED:
            extra = {"run_id": str(commit.run_id)}
            logger.error("run %s parked: %s", commit.run_id, commit.cause, exc_info=turn.fault, extra=extra)
        if commit.status not in ENDED:
            return False
        if commit.status is RunStatus.FAILED:
            logger.info("run %s failed", commit.run_id, extra={"run_id": str(commit.run_id)})
        self._tasks.cancel(commit.run_id, None)
        self.on_ended(commit.run_id, commit.status, commit.outcome)
        return True

    def _asks_to_look(self, commit: Commit, next_look: Micros) -> bool:
        """Whether there is something new to claim: for another run, or before one would look by oneself."""
        for sent in commit.deliveries:
            if sent.run_id != commit.run_id or sent.due is None or sent.due < next_look:
                return True
        for task in commit.tasks:
            if task.lease is None:
                return True
        return bool(commit.starts)

    def _remember(self, turn: Turn) -> None:
        commit = turn.commit
        entry = self._registry.find(commit.fingerprint)
        if entry is None:
            return
        self._recall(commit.run_id)
        self._known[commit.run_id] = _Known(entry, commit.commit_id, turn.image, turn.has_deferred)
        self._known_bytes += len(turn.image.context)
        while len(self._known) > self._remembered or self._known_bytes > _REMEMBERED_BYTES:
            self._recall(next(iter(self._known)))

    def _recall(self, run_id: UUID) -> _Known | None:
        """Take out what is remembered of a run."""
        known = self._known.pop(run_id, None)
        if known is not None:
            self._known_bytes -= len(known.image.context)
        return known


def _filled(entry: Entry, image: Image, beside: Beside) -> Image:
    crews = {
        token: filled(entry, crew, beside[token]) if token in beside else crew
        for token, crew in image.snapshot.crews.items()
    }
    return replace(image, snapshot=replace(image.snapshot, crews=crews))


def _due(
    namespace: str,
    claim: RunClaim,
    image: Image,
    now: int,
    way: Way | None = None,
    former: str = "",
) -> Due:
    return Due(
        namespace=namespace,
        run_id=claim.run_id,
        fence=claim.fence,
        base=claim.base,
        image=image,
        deliveries=claim.deliveries,
        now=now,
        tries=claim.tries - 1,  # this claim is one of them
        has_deferred=claim.has_deferred,
        way=way,
        former=former,
        stored=claim.snapshot,
    )
