"""Runs from one journal to another: copied when they have ended, moved while they live.

Rule: a run lives in one journal. One that has not ended first departs from the source, in one transaction
that keeps its image in its last record; then it is restored; then the source is told that it has arrived.
Whatever dies on the way leaves it in one of these places, and the same copy, repeated, takes it on from
there. What a worker has is left to it until its lease is over or given back.

What was still sent to a run after it left (by other runs of the source, or by whoever raced its departure)
lies there, and is sent on, under a dedupe id of its own, so that no repeat sends it twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from uuid import UUID

from attrs import define, field, frozen
from msgspec.structs import replace

from continuum_core.carriage.images import as_it_travels, departure_body, drift, left_with, whole
from continuum_core.errors import UnknownVersion
from continuum_core.host import Host
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
from continuum_core.registry import Registry

__all__ = ["Copied", "Copying", "Trouble", "copy"]

_PAGE = 100
_TRIES = 20
"""Times that a run may change between its dump and its departure before it is left for the next round."""

_THERE = frozenset({DeliverOutcome.ACCEPTED, DeliverOutcome.DUPLICATE})

_POLL = 0.2  # seconds between two rounds for what is busy


@frozen
class Trouble:
    """A run that was left where it is, and why."""

    run: UUID
    machine: str
    why: str


@define
class Copied:
    """What a copy did, or a dry run would do.

    :ivar finished: runs that have ended and were copied.
    :ivar moved: runs that had not, and live in the target now.
    :ivar resumed: of these, those that an earlier copy had begun to move.
    :ivar present: runs that the target had already.
    :ivar folded: runs whose records were folded and gave their snapshot.
    :ivar forwarded: deliveries that came after their run had left, and were sent on.
    :ivar busy: runs that workers of the source have.
    :ivar troubles: conflicts in the target, drift, and what cannot be read.
    """

    finished: int = 0
    moved: int = 0
    resumed: int = 0
    present: int = 0
    folded: int = 0
    forwarded: int = 0
    definitions: int = 0
    results: int = 0
    busy: dict[UUID, Run] = field(factory=dict[UUID, Run])
    troubles: list[Trouble] = field(factory=list[Trouble])

    @property
    def complete(self) -> bool:
        """Whether everything is in the target."""
        return not self.busy and not self.troubles

    @property
    def seen(self) -> int:
        """Runs that were dealt with."""
        return self.finished + self.moved + self.present + len(self.busy) + len(self.troubles)


@frozen
class Copying:
    """What a copy is told.

    :ivar to: the target, as people may see it: kept in the history of runs that leave.
    :ivar wait: seconds to wait for what workers of the source have.
    :ivar registry: machines whose runs are proved by folding.
    :ivar told: called after every run.
    """

    host: Host
    to: str
    who: str = ""
    wait: float = 0.0
    dry_run: bool = False
    registry: Registry = field(factory=Registry)
    told: Callable[[Copied], None] = lambda _: None


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

    async def carry_out(self) -> Copied:
        await self._what_is_not_a_runs()
        async for run, dumped in self._runs():
            await self._one(run, dumped)
        if not self.asked.dry_run:
            await self._what_was_busy()
            await self._forward()
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
        except UnknownVersion as error:
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
                self._count(await self._arrived(image, moves=False), image, moves=False)
            return
        self._left.append(image.run.run_id)
        if not is_moving(image.run.status, image.run.cause):
            self.done.present += 1  # it arrived, in an earlier copy
            return
        kept = await whole(self.source, left)
        if kept is not None:
            self.done.resumed += 1
            self._count(await self._arrived(kept, moves=True), kept, moves=True)

    async def _departed(self, dumped: Dumped, image: RunImage) -> DepartOutcome | None:
        """Have a run that goes on leave, and arrive. None: it was left alone."""
        if not self._proved(image):
            return None
        run_id = image.run.run_id
        if self.asked.dry_run:
            self._would_leave(image, await self.source.now())
            return None
        if not await self._welcome(image):
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
            self._count(await self._arrived(image, moves=True), image, moves=True)
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

    async def _arrived(self, image: RunImage, *, moves: bool) -> RestoreOutcome | None:
        if self.asked.dry_run:
            [known] = await self.target.load([image.run.run_id])
            return None if known is None else RestoreOutcome.EXISTS
        travelling = as_it_travels(image)
        [outcome] = await carrier_of(self.target).restore([travelling])
        if outcome is RestoreOutcome.RESTORED:
            await self._compare(travelling)
        if moves and outcome is not RestoreOutcome.CONFLICT:
            await carrier_of(self.source).settle([Arrival(image.run.run_id)])
        return outcome

    async def _compare(self, sent: RunImage) -> None:
        """Byte for byte what was sent. A run that has gone on already still begins with it."""
        [dumped] = await carrier_of(self.target).dump([sent.run.run_id])
        there = None if dumped is None else await whole(self.target, dumped.image)
        if there is None or there.records[: sent.run.version] != sent.records:
            self._trouble(sent.run, "its records in the target are not those that were sent")
        elif sent.run.status in ENDED and there.run != replace(sent.run, namespace=there.run.namespace):
            self._trouble(sent.run, "its row in the target is not the one that was sent")

    def _count(self, outcome: RestoreOutcome | None, image: RunImage, *, moves: bool) -> None:
        if outcome is RestoreOutcome.CONFLICT:
            self._trouble(image.run, "the target has another run, or another life of it, under this id")
        elif moves:
            self.done.moved += 1
        elif outcome is RestoreOutcome.EXISTS:
            self.done.present += 1
        else:
            self.done.finished += 1

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
