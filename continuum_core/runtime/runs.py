"""The loop that claims runs with due deliveries and hands their turns to the commit lane.

A page of the due index that yields nothing is not an empty queue: what this worker cannot take (leased by
others, of unknown definitions) lies at the head, and `pages` says from where to read on, and until when.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from continuum_core.clock import Micros
from continuum_core.errors import JournalUnavailable, UnknownVersion
from continuum_core.host import Flag, Host
from continuum_core.journal.commit import (
    Claims,
    Commit,
    Committed,
    DueEntry,
    RunClaim,
    RunHold,
)
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.journal_clock import JournalClock
from continuum_core.lane import Backoff, Lane
from continuum_core.outage import Outage
from continuum_core.registry import Registry
from continuum_core.replay import read_records, verify
from continuum_core.runtime.beside import read_members
from continuum_core.runtime.pages import Pages
from continuum_core.runtime.turns import Beside, Turns
from continuum_core.turn import Turn

__all__ = ["Runs"]

logger = logging.getLogger(__name__)

_CLAIMING = "claiming runs"


class _Taken(Struct, frozen=True, gc=False):
    """A turn on its way to the journal. The lane drops it when told."""

    runs: Runs
    claim: RunClaim
    turn: Turn
    now: Micros

    def answered(self, answer: Committed | None) -> None:
        self.runs.answered(self, answer)

    def refused(self, error: Exception) -> None:
        self.runs.refused(self, error)


class Runs:
    """Claims runs and takes their turns.

    :param limit: runs claimed at a time, and at most in hand.
    :param lease: microseconds a claim lasts.
    :param paranoid: fold the records of every run that is claimed before its turn; drift parks it.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        registry: Registry,
        clock: JournalClock,
        turns: Turns,
        commits: Lane[Commit, Committed],
        outage: Outage,
        *,
        limit: int,
        lease: int,
        paranoid: bool = False,
    ) -> None:
        self._host = host
        self._journal = journal
        self._registry = registry
        self._clock = clock
        self._turns = turns
        self._commits = commits
        self._outage = outage
        self._limit = limit
        self._lease = lease
        self._paranoid = paranoid
        self._held: dict[UUID, RunClaim] = {}
        self._claim_id = host.new_id()
        self._draining = False
        self.wake: Flag = host.flag()

    async def run(self, poll: Callable[[Micros | None], float]) -> None:
        """The loop: claim, take turns, wait. `poll` says how many seconds to wait when nothing is due."""
        backoff, pages = Backoff(self._host), Pages(poll(None))
        while not self._draining:
            if self.wake.is_set():
                pages.stir()
            self.wake.clear()
            room = self._limit - len(self._held)
            if room <= 0:
                await self.wake.wait()  # every answered commit sets it
                continue
            began = self._host.monotonic()
            try:
                claims = await self._claim(room, pages.after(began))
            except JournalUnavailable as error:
                self._outage.failed(_CLAIMING, error)
                await self._host.sleep(backoff.delay())
                continue
            backoff.reset()
            self._outage.worked(_CLAIMING)
            now = self._host.monotonic()
            more = pages.read(claims, now, now - began)
            for claim in claims.runs:
                suspicion = await self._suspicion(claim) if self._paranoid else ""
                beside = await self._beside(claim)
                if beside is not None:
                    self._take(claim, claims.now, suspicion, beside)
            if not more:
                await self.wake.wait(min(poll(claims.next_due), pages.rest(now)))

    async def _claim(self, room: int, after: DueEntry) -> Claims:
        claims = await self._journal.claim_runs(
            self._claim_id, room, self._lease, self._registry.takes(), after
        )
        # Only now another id: where the answer was lost, the same one tells what was granted.
        self._claim_id = self._host.new_id()
        self._clock.observe(claims.now)
        return claims

    async def _beside(self, claim: RunClaim) -> Beside | None:
        """What came of crews' members, where the turn needs it; None where it cannot be had now."""
        wanted = self._turns.lacking(claim)
        try:
            return {token: await read_members(self._journal, claim.run_id, token) for token in wanted}
        except JournalUnavailable as error:
            # Not held: the lease ends by itself, and whoever claims the run next reads again.
            logger.warning("run %s waits: %s", claim.run_id, error)
            return None

    def _take(self, claim: RunClaim, now: Micros, suspicion: str, beside: Beside) -> None:
        self._held[claim.run_id] = claim
        if suspicion:
            turn = self._turns.distrusted(claim, now, suspicion)
        else:
            turn = self._turns.claimed(claim, now, beside)
        self._submit(claim, turn, now)

    async def _suspicion(self, claim: RunClaim) -> str:
        """Why a run must not go on under this code: its records do not fold to what is stored."""
        entry = self._registry.reader(claim.fingerprint)
        if entry is None:
            return ""  # its code is gone, and its upgrade is all that is done with it here
        try:
            records = await read_records(self._journal, claim.run_id, claim.version)
            drift = verify(entry, claim, records, self._registry)
        except JournalUnavailable as error:
            logger.warning("run %s goes on unchecked: %s", claim.run_id, error)
            return ""
        except UnknownVersion as error:
            return f"drift: {error}"
        if drift is None:
            return ""
        return f"drift: at record {drift.version} {drift.what} differs; `continuum replay` shows both sides"

    def _submit(self, claim: RunClaim, turn: Turn, now: Micros) -> None:
        self._commits.submit(turn.commit, _Taken(self, claim, turn, now))

    def answered(self, taken: _Taken, committed: Committed | None) -> None:
        """The journal's word on a turn (None: it was given up)."""
        run_id = taken.claim.run_id
        if self._held.get(run_id) is taken.claim:  # not a later claim of the same run
            del self._held[run_id]
        self._turns.settled(taken.turn, committed)
        self.wake.set()

    def refused(self, taken: _Taken, error: Exception) -> None:
        """The journal cannot store this very turn, nor will it the next time: the run waits for a human."""
        claim = taken.claim
        logger.error("turn of run %s refused: %s", claim.run_id, error, exc_info=error)
        if taken.turn.commit.status is RunStatus.PARKED:
            # A parking has nothing in it that could be refused; if it is all the same, that must end here.
            self.answered(taken, None)
            return
        self._turns.settled(taken.turn, None)
        self._submit(claim, self._turns.refused(claim, taken.now, error), taken.now)

    def holds(self) -> list[RunHold]:
        """What is held of runs. Safe to call from the renewing thread."""
        return [RunHold(h.run_id, h.fence) for h in list(self._held.values())]

    def drain(self) -> None:
        """Claim nothing more; turns on their way are finished."""
        self._draining = True
        self.wake.set()
