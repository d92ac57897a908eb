"""Turns in this process: what is remembered of runs between two of them, and what follows a commit.

The worker remembers the image of runs it has just committed, so that the finish of an activity can
carry the run's next turn in the same transaction (the hot path). The memory is a cache and decides
nothing: the journal accepts such a turn only if version and commit id are still the remembered ones.
One turn of a run is under way at a time.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

import attrs

from continuum_core.errors import PayloadRefused, UnknownVersion
from continuum_core.host import Host
from continuum_core.journal.commit import Commit, CommitOutcome, Committed, RunClaim
from continuum_core.journal.records import ENDED, Delivery, RunStatus
from continuum_core.journal_clock import JournalClock
from continuum_core.mapper import Image, decode_image, unborn
from continuum_core.registry import Entry, Registry
from continuum_core.runtime.tasks import Tasks
from continuum_core.turn import Due, Turn, park, quarantine, take_turn

__all__ = ["Turns"]

logger = logging.getLogger(__name__)


@attrs.frozen
class _Known:
    """What this worker remembers of a run at rest."""

    entry: Entry
    base: UUID
    image: Image
    has_deferred: bool


class Turns:
    """Makes turns and deals with what the journal answers.

    :param tries: claims without a commit after which a run is parked instead of tried again.
    :param remembered: how many runs' images are kept at most.
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
        remembered: int = 10_000,
    ) -> None:
        self._host = host
        self._registry = registry
        self._namespace = namespace
        self._clock = clock
        self._tasks = tasks
        self._tries = tries
        self._remembered = remembered
        self._known: OrderedDict[UUID, _Known] = OrderedDict()
        self._under_way: set[UUID] = set()
        self.on_ended: Callable[[UUID, RunStatus, bytes | None], None] = lambda _run, _status, _outcome: None
        self.on_parked: Callable[[UUID, str], None] = lambda _run, _cause: None
        self.on_due: Callable[[], None] = lambda: None

    # --- making turns ---

    def claimed(self, claim: RunClaim, now: int) -> Turn:
        """The turn of a run that was claimed; one whose snapshot cannot be read is parked as it is."""
        entry = self._registry.entry(claim.fingerprint)
        due = Due(
            namespace=self._namespace,
            run_id=claim.run_id,
            fence=claim.fence,
            base=claim.base,
            image=unborn(),
            deliveries=claim.deliveries,
            now=now,
            tries=claim.tries - 1,  # this claim is one of them
            has_deferred=claim.has_deferred,
        )
        try:
            due = attrs.evolve(due, image=self._image(entry, claim))
        except (UnknownVersion, PayloadRefused) as fault:
            self._under_way.add(claim.run_id)
            return quarantine(entry, due, claim.snapshot, claim.version, fault, self._host.new_id)
        self._under_way.add(claim.run_id)
        if claim.tries > self._tries:
            cause = f"claimed {claim.tries} times without a commit"
            return park(entry, due, cause, self._host.new_id)
        return self.with_slots(take_turn(entry, due, self._host.new_id))

    def _image(self, entry: Entry, claim: RunClaim) -> Image:
        known = self._known.pop(claim.run_id, None)
        if known is not None and known.base == claim.base and known.image.snapshot.version == claim.version:
            return known.image
        return decode_image(entry, claim.version, claim.snapshot)

    def fused(self, run_id: UUID, delivery: Delivery) -> Turn | None:
        """The turn that may ride on a finish, if the run is remembered and no other turn is under way."""
        known = self._known.get(run_id)
        if known is None or run_id in self._under_way or not self._clock.known():
            return None
        del self._known[run_id]
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
        turn = take_turn(known.entry, due, self._host.new_id)
        if turn.fault is not None:
            return None  # parking wants the run's lease: the long way finds the same fault
        self._under_way.add(run_id)
        return self.with_slots(turn)

    def with_slots(self, turn: Turn) -> Turn:
        """Tasks for which this worker has a free slot are born claimed by it."""
        if not turn.commit.tasks:
            return turn
        tasks = tuple(self._tasks.born(task) for task in turn.commit.tasks)
        return attrs.evolve(turn, commit=attrs.evolve(turn.commit, tasks=tasks))

    # --- what the journal answered ---

    def settled(self, turn: Turn, committed: Committed | None) -> None:
        """The turn stands, or does not (None: it never reached the journal)."""
        commit = turn.commit
        self._under_way.discard(commit.run_id)
        if committed is None or committed.outcome is not CommitOutcome.COMMITTED:
            self._tasks.unborn(commit.tasks)
            if committed is not None:
                logger.debug("turn %s", committed.outcome.value, extra={"run_id": str(commit.run_id)})
            self.on_due()
            return
        self._clock.observe(committed.now)
        if commit.status is RunStatus.PARKED:
            self.on_parked(commit.run_id, commit.cause)
            logger.error(
                "run %s parked: %s",
                commit.run_id,
                commit.cause,
                exc_info=turn.fault,
                extra={"run_id": str(commit.run_id)},
            )
        self._tasks.cancel(commit.run_id, commit.closed)
        if commit.status in ENDED:
            self._tasks.cancel(commit.run_id, None)
            self.on_ended(commit.run_id, commit.status, commit.outcome)
        elif turn.fault is None and commit.cause == "":
            self._remember(turn)
        # A turn that stood at an earlier try may have lost some of its tasks to others since.
        mine = {(claim.task.token, claim.task.slot) for claim in committed.tasks}
        self._tasks.unborn([task for task in commit.tasks if (task.token, task.slot) not in mine])
        self._tasks.begin(committed.tasks)
        if committed.more or self._asks_others(commit):
            self.on_due()

    def _asks_others(self, commit: Commit) -> bool:
        """Whether it delivered something that another run, or an unclaimed task's worker, may take now."""
        return any(d.run_id != commit.run_id for d in commit.deliveries) or any(
            task.lease is None for task in commit.tasks
        )

    def _remember(self, turn: Turn) -> None:
        commit = turn.commit
        entry = self._registry.find(commit.fingerprint)
        if entry is None:
            return
        self._known[commit.run_id] = _Known(entry, commit.commit_id, turn.image, turn.has_deferred)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
