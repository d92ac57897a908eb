"""Runs from one journal to another: copied when they have ended, moved while they live.

Rule: a run lives in one journal. One that has not ended first departs from the source, in one transaction
that keeps its image in its last record; then it is restored; then the source is told that it has arrived.
Whatever dies on the way leaves it in one of these places, and the same copy, repeated, takes it on from
there. What a worker has is left to it until its lease is over or given back.

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

from continuum_core.carriage.asking import Copied, Copying, Trouble
from continuum_core.carriage.families import Reunion
from continuum_core.carriage.images import as_it_travels, departure_body, drift, left_with, whole
from continuum_core.errors import PayloadLocked, UnknownVersion
from continuum_core.journal.carrying import (
    Arrival,
    DepartOutcome,
    Departure,
    Dumped,
    RestoreOutcome,
    RunImage,
    carrier_of,
    is_moving,
)
from continuum_core.journal.commit import DeliverOutcome, Query
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED, Delivery, Run
from continuum_core.mapper import encode_termination

__all__ = ["copy"]

_PAGE = 100
_BATCH = 50
"""Ended runs that are restored together: on most backends one transaction."""

_TRIES = 20
"""Times that a run may change between its dump and its departure before it is left for the next round."""

_THERE = frozenset({DeliverOutcome.ACCEPTED, DeliverOutcome.DUPLICATE})

_POLL = 0.2  # seconds between two rounds for what is busy


async def copy(source: Journal, target: Journal, asked: Copying) -> Copied:
    """Copy the namespace of two opened handles. What it raises leaves nothing half done: repeat it."""
    return await _Copy(source, target, asked).carry_out()


@define
class _Copy:
    source: Journal
    target: Journal
    asked: Copying
    done: Copied = field(factory=Copied)
    _left: list[UUID] = field(factory=list[UUID])
    _ready: list[RunImage] = field(factory=list[RunImage])

    async def carry_out(self) -> Copied:
        await self._what_is_not_a_runs()
        async for run, dumped in self._runs():
            await self._one(run, dumped)
        await self._restore_ready()
        if not self.asked.dry_run:
            await self._what_was_busy()
            await self._restore_ready()
            await self._forward()
            await Reunion(self.target, self.asked.host.new_id).carry_out(self._left)
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
                await carrier_of(self.target).keep(page.results)
            cursor = page.cursor
            if cursor is None:
                break
        self.done.results = results

    # --- one run

    async def _one(self, run: Run, dumped: Dumped | None) -> None:
        try:
            await self._carry(run, dumped)
        except (PayloadLocked, UnknownVersion) as error:
            self._trouble(run, str(error))
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
        self._left.append(image.run.run_id)
        if not is_moving(image.run.status, image.run.cause):
            self.done.present += 1  # it arrived, in an earlier copy
            return
        kept = await whole(self.source, left)
        if kept is not None:
            self.done.resumed += 1
            await self._move(kept)

    async def _departed(self, dumped: Dumped, image: RunImage) -> DepartOutcome | None:
        """Have a run that goes on leave, and arrive. None: it was left alone."""
        if not self._proved(image):
            return None
        run_id = image.run.run_id
        if not await self._welcome(image):
            return None
        if self.asked.dry_run:
            self._would_leave(image, await self.source.now())
            return None
        why = f"moved to {self.asked.to}"
        leaving = Departure(
            run_id=run_id,
            mark=dumped.mark,
            id=self.asked.host.new_id(),
            body=departure_body(dumped.image, self.asked.who, why),
            outcome=encode_termination(why),
        )
        [outcome] = await carrier_of(self.source).depart([leaving])
        if outcome is DepartOutcome.BUSY:
            self._busy(image.run)
        elif outcome is DepartOutcome.DEPARTED:
            self._left.append(run_id)
            await self._move(image)
        elif outcome is DepartOutcome.RUN_OVER:
            return DepartOutcome.CHANGED  # it ended meanwhile, or another copy took it: look again
        return outcome

    async def _welcome(self, image: RunImage) -> bool:
        """Whether the target has no run under this id. Asked before the run leaves, not to strand it."""
        [known] = await self.target.load([image.run.run_id])
        if known is not None:
            self._trouble(image.run, "the target has a run under this id; nothing was written over it")
        return known is None

    def _would_leave(self, image: RunImage, now: int) -> None:
        leases = [image.run.lease_until, *(task.lease_until for task in image.tasks)]
        if any(until is not None and until > now for until in leases):
            self._busy(image.run)
        else:
            self.done.moved += 1

    # --- into the target

    async def _move(self, image: RunImage) -> None:
        """Restore a run that has left, and tell the source that it has arrived."""
        [outcome] = await self._restored([image])
        if outcome is RestoreOutcome.CONFLICT:
            self._conflict(image.run)
            return
        self.done.moved += 1
        if not self.asked.dry_run:
            await carrier_of(self.source).settle([Arrival(image.run.run_id)])

    async def _restore_ready(self) -> None:
        """Restore the ended runs that were gathered."""
        images, self._ready = self._ready, []
        for image, outcome in zip(images, await self._restored(images), strict=True):
            if outcome is RestoreOutcome.CONFLICT:
                self._conflict(image.run)
            elif outcome is RestoreOutcome.EXISTS:
                self.done.present += 1
            else:
                self.done.finished += 1
        self.asked.told(self.done)

    async def _restored(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        if self.asked.dry_run:
            rows = await self.target.load([image.run.run_id for image in images])
            return [RestoreOutcome.RESTORED if row is None else RestoreOutcome.EXISTS for row in rows]
        sent = [as_it_travels(image) for image in images]
        outcomes = await carrier_of(self.target).restore(sent)
        new = [one for one, told in zip(sent, outcomes, strict=True) if told is RestoreOutcome.RESTORED]
        there = await carrier_of(self.target).dump([one.run.run_id for one in new])
        for one, dumped in zip(new, there, strict=True):
            await self._compare(one, dumped)
        return outcomes

    async def _compare(self, sent: RunImage, dumped: Dumped | None) -> None:
        """Byte for byte what was sent. A run that has gone on already still begins with it."""
        there = None if dumped is None else await whole(self.target, dumped.image)
        if there is None or there.records[: len(sent.records)] != sent.records:
            self._trouble(sent.run, "its records in the target are not those that were sent")
        elif sent.run.status in ENDED and there.run != replace(sent.run, namespace=there.run.namespace):
            self._trouble(sent.run, "its row in the target is not the one that was sent")

    def _conflict(self, run: Run) -> None:
        self._trouble(run, "the target has another run, or another life of it, under this id")

    # --- what is noted

    def _proved(self, image: RunImage) -> bool:
        found = drift(self.asked.registry, image)
        if found:
            self._trouble(image.run, f"it has drifted: {found}")
        elif found == "":
            self.done.folded += 1
        return not found

    def _busy(self, run: Run) -> None:
        self.done.busy[run.run_id] = run

    def _trouble(self, run: Run, why: str) -> None:
        self.done.troubles.append(Trouble(run.run_id, run.machine, why))

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

    async def _forward(self) -> None:
        """Send on what came for runs after they had left, and tell the source that they have arrived."""
        stranded = {trouble.run for trouble in self.done.troubles}
        for run_id in self._left:
            found = await self.source.inspect(run_id)
            if found is None or run_id in stranded:
                continue
            late = [*found.deliveries, *(letter.delivery for letter in found.dead)]
            answers = await self.target.deliver([_forwarded(delivery) for delivery in late])
            self.done.forwarded += sum(answer.outcome is DeliverOutcome.ACCEPTED for answer in answers)
            sent = [one.id for one, answer in zip(late, answers, strict=True) if answer.outcome in _THERE]
            await carrier_of(self.source).settle([Arrival(run_id, tuple(sent))])


def _forwarded(delivery: Delivery) -> Delivery:
    """The same, known again by its id where it had no dedupe id."""
    return replace(delivery, dedupe=delivery.dedupe or f"moved:{delivery.id}")
