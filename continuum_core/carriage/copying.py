"""Runs from one journal to another: copied when they have ended, moved while they live.

Rule: a run lives in one journal. For one that has not ended the target is asked first whether it could hold
it (`rehearse`); then it departs from the source, in one transaction that keeps its image in its last record;
then it is restored, and the target keeps in mind by which departure; then the source is told that it has
arrived (see `arrivals`); last, the target forgets the departure. Whatever dies on the way leaves it in one of
these places, and the same copy, repeated, takes it on from there. What a worker has is left to it until its
lease is over or given back.

What stands in the way of one run is noted, and stops no other.

What was still sent to a run after it left (by other runs of the source, or by whoever raced its departure)
lies there, and is sent on, under a dedupe id of its own, so that no repeat sends it twice. A child run that
ended while its parent was in the other journal told nobody: the copy tells its parent instead, and tells a
child run that its parent closed meanwhile (see `families`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from attrs import define, field
from msgspec.structs import replace

from continuum_core.carriage.arrivals import Arrivals
from continuum_core.carriage.asking import Copied, Copying, Trouble
from continuum_core.carriage.families import Reunion
from continuum_core.carriage.images import (
    as_it_travels,
    departure_body,
    drift,
    first_records,
    left_with,
    whole,
)
from continuum_core.errors import PayloadLocked, PayloadRefused, UnknownVersion, UsageError
from continuum_core.journal.carrying import (
    DepartOutcome,
    Departure,
    Dumped,
    KeyedResult,
    RestoreOutcome,
    RunImage,
    carrier_of,
    is_moving,
)
from continuum_core.journal.commit import Query
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED, Run
from continuum_core.mapper import encode_termination

__all__ = ["copy"]

_PAGE = 100
_BATCH = 50
"""Ended runs that are restored together: on most backends one transaction."""

_TRIES = 20
"""Times that a run may change between its dump and its departure before it is left for the next round."""

_POLL = 0.2  # seconds between two rounds for what is busy


async def copy(source: Journal, target: Journal, asked: Copying) -> Copied:
    """Copy the namespace of two opened handles. What it raises leaves nothing half done: repeat it."""
    done = Copied()
    arrivals = Arrivals(source, target, Reunion(target, asked.host.new_id), done)
    return await _Copy(source, target, asked, done, arrivals).carry_out()


@define
class _Copy:
    source: Journal
    target: Journal
    asked: Copying
    done: Copied
    arrivals: Arrivals
    _ready: list[RunImage] = field(factory=list[RunImage])

    async def carry_out(self) -> Copied:
        await self._what_is_not_a_runs()
        async for run, dumped in self._runs():
            await self._one(run, dumped)
        await self._restore_ready()
        if not self.asked.dry_run:
            await self._what_was_busy()
            await self._restore_ready()
            await self.arrivals.complete()
            await self._what_is_not_a_runs()  # a task may have settled a key meanwhile
        return self.done

    async def _runs(self) -> AsyncIterator[tuple[Run, Dumped | None]]:
        """Newest first; those that are started meanwhile are met by the next copy."""
        cursor: str | None = None
        while True:
            page = await self.source.list(Query(), _PAGE, cursor)
            dumped = await carrier_of(self.source).dump([run.run_id for run in page.runs])
            for each in zip(page.runs, dumped, strict=True):
                yield each
            cursor = page.cursor
            if cursor is None:
                return

    # --- definitions and keyed results

    async def _what_is_not_a_runs(self) -> None:
        definitions = await self.source.definitions()
        self.done.definitions = len(definitions)
        if not self.asked.dry_run:
            await self.target.define(definitions)
        results, cursor = 0, None
        while True:
            page = await carrier_of(self.source).results(cursor)
            results += len(page.results)
            if not self.asked.dry_run:
                await self._keep(page.results)
            cursor = page.cursor
            if cursor is None:
                break
        self.done.results = results

    async def _keep(self, results: Sequence[KeyedResult]) -> None:
        try:
            await carrier_of(self.target).keep(results)
        except PayloadRefused as error:
            if len(results) > 1:
                for each in results:
                    await self._keep([each])
                return
            [refused] = results
            why = f"the target cannot hold its result under a key of {refused.activity}: {error}"
            self.done.troubles.append(Trouble(refused.run_id, "", why))

    # --- one run

    async def _one(self, run: Run, dumped: Dumped | None) -> None:
        try:
            await self._carry(run, dumped)
        except (PayloadLocked, UnknownVersion) as error:
            self.done.trouble(run, str(error))
        except (PayloadRefused, UsageError) as error:
            self.done.trouble(run, f"the target cannot hold it: {error}")
        self.asked.told(self.done)

    async def _carry(self, run: Run, dumped: Dumped | None) -> None:
        for _ in range(_TRIES):
            image = None if dumped is None else await whole(self.source, dumped.image)
            if dumped is None or image is None:
                return  # pruned meanwhile
            if image.run.status in ENDED:
                await self._ended(image)
                return
            if await self._departed(dumped, image) is not DepartOutcome.CHANGED:
                return
            [dumped] = await carrier_of(self.source).dump([run.run_id])
        self._busy(run)  # it changes faster than it can be read

    async def _ended(self, image: RunImage) -> None:
        left = await left_with(self.source, image)
        if left is None:
            if self._proved(image):
                self._ready.append(image)
            if len(self._ready) >= _BATCH:
                await self._restore_ready()
            return
        if not _leaving(image.run):
            self.done.present += 1  # it arrived, in an earlier copy
            self.arrivals.known(image.run)
            return
        kept = await whole(self.source, left)
        if kept is None:
            await self._lost(image.run)
            return
        self.done.resumed += 1
        await self._move(kept, image.run.commit_id)

    async def _lost(self, run: Run) -> None:
        """A run has left, and some of what it left with is not in the source any more."""
        [row] = await self.source.load([run.run_id])
        if row is not None and _leaving(row):  # else another copy was faster, and it is pruned already
            why = "it left and has not arrived, and records of it are gone here: it cannot be restored whole"
            self.done.trouble(run, why)

    async def _departed(self, dumped: Dumped, image: RunImage) -> DepartOutcome | None:
        """Have a run that goes on leave, and arrive. None: it was left alone."""
        if not self._proved(image):
            return None
        run_id, departure = image.run.run_id, self.asked.host.new_id()
        if not await self._welcome(replace(image, departure=departure)):
            return None
        if self.asked.dry_run:
            self._would_leave(image, await self.source.now())
            return None
        why = f"moved to {self.asked.to}"
        leaving = Departure(
            run_id=run_id,
            mark=dumped.mark,
            id=departure,
            body=departure_body(dumped.image, self.asked.who, why),
            outcome=encode_termination(why),
        )
        [outcome] = await carrier_of(self.source).depart([leaving])
        if outcome is DepartOutcome.BUSY:
            self._busy(image.run)
        elif outcome is DepartOutcome.DEPARTED:
            await self._move(image, departure)
        elif outcome is DepartOutcome.RUN_OVER:
            return DepartOutcome.CHANGED  # it ended meanwhile, or another copy took it: look again
        return outcome

    async def _welcome(self, image: RunImage) -> bool:
        """Whether the target could hold the run, and has none under its id.

        Asked before the run leaves, not to strand it. Raises PayloadRefused, UsageError.
        """
        [told] = await carrier_of(self.target).rehearse([as_it_travels(image)])
        if told is not RestoreOutcome.RESTORED:
            self.done.trouble(image.run, "the target has a run under this id; nothing was written over it")
        return told is RestoreOutcome.RESTORED

    def _would_leave(self, image: RunImage, now: int) -> None:
        leases = [image.run.lease_until, *(task.lease_until for task in image.tasks)]
        if any(until is not None and until > now for until in leases):
            self._busy(image.run)
        else:
            self.done.moved += 1

    # --- into the target

    async def _move(self, image: RunImage, departure: UUID | None) -> None:
        """Restore a run that has left, and tell the source that it has arrived."""
        [outcome] = await self._restored([replace(image, departure=departure)])
        if outcome is None:
            return
        self.done.moved += 1
        if not self.asked.dry_run:
            await self.arrivals.new(image.run)

    async def _restore_ready(self) -> None:
        """Restore the ended runs that were gathered."""
        images, self._ready = self._ready, []
        for outcome in await self._restored(images):
            self.done.present += outcome is RestoreOutcome.EXISTS
            self.done.finished += outcome is RestoreOutcome.RESTORED
        self.asked.told(self.done)

    async def _restored(self, images: Sequence[RunImage]) -> list[RestoreOutcome | None]:
        """What came of each; None of one that is not there whole, which is noted."""
        if not images:
            return []
        sent = [as_it_travels(image) for image in images]
        verb = carrier_of(self.target).rehearse if self.asked.dry_run else carrier_of(self.target).restore
        try:
            outcomes = await verb(sent)
        except (PayloadRefused, UsageError) as error:
            if len(images) > 1:  # each by itself: one that is refused stops no other
                return [(await self._restored([image]))[0] for image in images]
            self.done.trouble(images[0].run, f"the target cannot hold it: {error}")
            return [None]
        rows = await self.target.load([image.run.run_id for image in images])
        each = zip(sent, outcomes, rows, strict=True)
        return [await self._checked(one, told, row) for one, told, row in each]

    async def _checked(self, sent: RunImage, told: RestoreOutcome, row: Run | None) -> RestoreOutcome | None:
        wrong = ""
        if told is RestoreOutcome.CONFLICT:
            wrong = "the target has another run, or another life of it, under this id"
        elif told is RestoreOutcome.RESTORED and not self.asked.dry_run:
            wrong = await self._difference(sent, row)
        if wrong:
            self.done.trouble(sent.run, wrong)
        return None if wrong else told

    async def _difference(self, sent: RunImage, row: Run | None) -> str:
        """How the target's run is not what was sent. One that has gone on already still begins with it."""
        there = await first_records(self.target, sent.run.run_id, len(sent.records))
        if there != sent.records:
            return "its records in the target are not those that were sent"
        if sent.run.status in ENDED and row != replace(sent.run, namespace=self.target.namespace):
            return "its row in the target is not the one that was sent"
        return ""

    # --- what is noted

    def _proved(self, image: RunImage) -> bool:
        found = drift(self.asked.registry, image)
        if found:
            self.done.trouble(image.run, f"it has drifted: {found}")
        elif found == "":
            self.done.folded += 1
        return not found

    def _busy(self, run: Run) -> None:
        self.done.busy[run.run_id] = run

    # --- what is left at the end

    async def _what_was_busy(self) -> None:
        host = self.asked.host
        end = host.monotonic() + self.asked.wait
        while self.done.busy and host.monotonic() < end:
            await host.sleep(_POLL)
            waiting, self.done.busy = self.done.busy, {}
            dumped = await carrier_of(self.source).dump(list(waiting))
            for run, each in zip(waiting.values(), dumped, strict=True):
                await self._one(run, each)


def _leaving(run: Run) -> bool:
    """Whether a run has departed, and the source was not told that it arrived."""
    return is_moving(run.status, run.cause)
