"""Activities in this process: claims due tasks, runs each, and reports how it ended.

One task is one attempt at a time. The body runs outside any transaction; what it returned or raised
is written together with the closing of the task and the delivery of the outcome, fenced by the task
alone. Retries belong to the task and write no record of the run.

The loop that claims, and how it stops, are here; `places` says what may be taken, `bodies` runs it,
`reports` tells the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.errors import JournalUnavailable
from continuum_core.host import Flag, Host
from continuum_core.journal.commit import Finished, NewTask, TaskClaim, TaskFinish, TaskWant
from continuum_core.journal.protocol import Journal
from continuum_core.journal_clock import JournalClock
from continuum_core.lane import Backoff, Lane, Unheard
from continuum_core.outage import Outage
from continuum_core.registry import Registry
from continuum_core.runtime.attempt import Runner
from continuum_core.runtime.bodies import Bodies
from continuum_core.runtime.holding import Held, Holding
from continuum_core.runtime.outcomes import Outcomes, handed_back
from continuum_core.runtime.places import Places
from continuum_core.runtime.reports import FuseTurn, Reports
from continuum_core.runtime.slots import Slots
from continuum_core.runtime.watched import AttemptWatch

__all__ = ["Tasks"]

_CLAIMING = "claiming tasks"


class Tasks:
    """Claims tasks for the free slots of its queues, and runs them.

    :param lease: microseconds a claim lasts unless renewed.
    :param watch: told of attempts; None where no plugin listens.
    """

    def __init__(
        self,
        host: Host,
        journal: Journal,
        registry: Registry,
        runner: Runner,
        clock: JournalClock,
        finishes: Lane[TaskFinish, Finished],
        slots: Slots,
        lease: int,
        outage: Outage,
        watch: AttemptWatch | None = None,
    ) -> None:
        self._host = host
        self._journal = journal
        self._clock = clock
        self._finishes = finishes
        self._lease = lease
        self._outage = outage
        self._hurried = False
        self.wake: Flag = host.flag()
        self._held = Held()
        self._places = Places(registry, slots, lease, self.wake)
        outcomes = Outcomes(host, clock)
        self._reports = Reports(outcomes, finishes, clock, self._places, self.wake, watch)
        self._bodies = Bodies(
            host, journal, registry, runner, outcomes, self._held, self._places, self._reports, lease, watch
        )

    def follow(self, fuse: FuseTurn, on_delivered: Callable[[], None]) -> None:
        """Say how turns ride on finishes, and who is told of an outcome that was delivered without one."""
        self._reports.fuse = fuse
        self._reports.on_delivered = on_delivered

    # --- claiming ---

    def learn(self) -> None:
        """Take the registry's activities into account, by queue."""
        self._places.learn()

    def wants(self) -> list[TaskWant]:
        """What a claim would ask for: every queue with a free place."""
        return self._places.wants()

    def lanes(self) -> list[tuple[str, str]]:
        """Queue and activity of all tasks that are ever wanted here."""
        return self._places.lanes()

    async def run(self, poll: Callable[[Micros | None], float]) -> None:
        """The loop: claim, begin, wait. `poll` says how many seconds to wait when nothing is due."""
        backoff = Backoff(self._host)
        claim_id = self._host.new_id()
        while not self._places.closed:
            self.wake.clear()
            wants = self._places.wants()
            self._places.note_full(wants)
            if not wants:
                await self.wake.wait()  # a slot that becomes free sets it
                continue
            try:
                claims = await self._journal.claim_tasks(claim_id, wants, self._lease)
            except JournalUnavailable as error:
                self._outage.failed(_CLAIMING, error)
                await self._host.sleep(backoff.delay())
                # Again under the same id: if only the answer was lost, this tells what it granted. Under a
                # new id those tasks would lie idle for a lease, and a loss would be counted.
                continue
            claim_id = self._host.new_id()
            backoff.reset()
            self._outage.worked(_CLAIMING)
            self._clock.observe(claims.now)
            self._places.note_first(wants)
            self._places.note_short(wants, claims.tasks)
            for claim in claims.tasks:
                if self._places.take(claim.task.queue):
                    self._bodies.begin(claim)
                else:  # a task born here took the slot while the claim was under way
                    self._reports.report(handed_back(claim.task))
            if not claims.tasks:
                await self.wake.wait(poll(claims.next_due))

    def born(self, task: NewTask, claim_id: UUID, goes_on: bool = False) -> NewTask:
        """The same task, claimed at birth if a place is free for it; see `Places.born`."""
        return self._places.born(task, claim_id, goes_on)

    def unborn(self, tasks: Sequence[NewTask]) -> None:
        """The commit that would have made them did not stand."""
        self._places.unborn(tasks)

    def begin(self, claims: Sequence[TaskClaim]) -> None:
        """Run the bodies of tasks that were born in this worker's hands."""
        for claim in claims:
            self._bodies.begin(claim)

    # --- what others tell of tasks held here, and ask ---

    def cancel(self, run_id: UUID, tokens: Sequence[int] | None) -> None:
        """State entries of a run are over (None: all of them): ask their bodies here to stop."""
        self._held.cancel(run_id, tokens)

    def holds(self, run_id: UUID) -> bool:
        """Whether a body of this run is running here."""
        return self._held.holds(run_id)

    def holdings(self) -> list[Holding]:
        """All tasks whose body runs here."""
        return self._held.all()

    def leased(self) -> list[Holding]:
        """What must be renewed: bodies that run, and whose outcome is still on its way to the journal."""
        return [*self._held.all(), *self._reports.under_way()]

    # --- stopping ---

    def drain(self) -> None:
        """Claim nothing more; what runs goes on."""
        self._places.closed = True
        self.wake.set()

    def hurry(self) -> None:
        """Wait for no body any longer."""
        self._hurried = True
        self.wake.set()

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing runs here; False when that took longer, or there is no time to wait."""
        deadline = self._host.monotonic() + seconds
        while self._held:
            left = deadline - self._host.monotonic()
            if left <= 0 or self._hurried:
                return False
            self.wake.clear()
            await self.wake.wait(min(left, 0.2))
        return True

    def stop(self) -> None:
        """Cancel the bodies that still run."""
        for holding in self._held.all():
            if holding.job is not None:
                holding.job.cancel()

    async def stopped(self, seconds: float) -> None:
        """Wait until cancelled bodies have cleaned up; one that does not care is left to itself."""
        deadline = self._host.monotonic() + seconds
        jobs = [holding.job for holding in self._held.all() if holding.job is not None]
        while any(not job.done() for job in jobs) and self._host.monotonic() < deadline:
            self.wake.clear()
            await self.wake.wait(0.05)

    async def abandon(self, seconds: float) -> None:
        """Stop the bodies that still run, and offer their tasks to other workers at once.

        :param seconds: how long they may take to clean up.
        """
        holdings = self._held.all()
        self.stop()
        await self.stopped(seconds)
        told = [each for each in holdings if not each.ended and each.details is not each.stored]
        if told:
            await self._bodies.keep_details(told)
        for holding in holdings:
            # Of one that ended all the same the outcome is on its way: handed back by another batch, which
            # may be faster, it would be run again. One that may be undone was stopped in the middle, and
            # nobody knows what it did: that is a loss, which its lease's end will count.
            if not (holding.ended or holding.claim.task.undo):
                self._finishes.submit(handed_back(holding.claim.task), Unheard())
