"""Parents and child runs that were in different journals while a copy moved them, brought together again.

What either tells the other goes to the journal that it lives in itself. Where the other was not there, it is
told here, once both are: how a child run ended, by its row; that its parent closed it, by the parent's
records. Who has been told already is not told again, however often a copy is repeated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from uuid import UUID

from attrs import define, field
from msgspec.structs import replace

from continuum_core.envelope import OriginBody
from continuum_core.errors import PayloadLocked
from continuum_core.journal.carrying import is_moving
from continuum_core.journal.commit import Inspection
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED, Delivery, DeliveryKind, Record, RecordKind, Run
from continuum_core.mapper import (
    child_id,
    closings,
    commands_of,
    crews_of,
    decode_step,
    origin_in,
    told_parent,
)
from continuum_core.unopened import locked

__all__ = ["Reunion"]

_CLOSED = ("cancel-runs", "terminate-runs")


@define
class Reunion:
    """Tells runs that arrived in a journal what they missed of their relatives.

    :param target: the journal that they arrived in.
    """

    target: Journal
    new_id: Callable[[], UUID]
    _histories: dict[UUID, list[Record]] = field(factory=dict[UUID, list[Record]])

    async def carry_out(self, arrived: Sequence[UUID]) -> None:
        """Raises UnknownVersion for what this release cannot read."""
        for run_id in arrived:
            found = await self.target.inspect(run_id)
            if found is None or found.run.status in ENDED or locked(found.run.snapshot) is not None:
                continue  # only who has the keys can say whose family it is
            told = await self._ends(found)
            with contextlib.suppress(PayloadLocked):  # so too of what its parent did
                told += await self._closing(found)
            if told:
                await self.target.deliver(told)

    # --- what a parent missed

    async def _ends(self, parent: Inspection) -> list[Delivery]:
        """How child runs ended that it waits for."""
        run_id = parent.run.run_id
        coming = {(each.token, each.slot) for each in parent.deliveries}
        origins = {
            child_id(run_id, crew.token, number): OriginBody(str(run_id), crew.token, number, "")
            for crew in crews_of(parent.run.snapshot)
            if crew.runs
            for number in crew.open
            if (crew.token, number) not in coming
        }
        children = await self.target.load(list(origins))
        told = [self._told(child, origins[child.run_id]) for child in children if child is not None]
        return [each for each in told if each is not None]

    def _told(self, child: Run, origin: OriginBody) -> Delivery | None:
        """What the parent of a child run that has ended is told: by the child's id, and so once."""
        if child.outcome is None or is_moving(child.status, child.cause):
            return None
        if locked(child.outcome) is not None:
            return None
        told = told_parent(self.new_id(), child.run_id, child.machine, origin, child.outcome)
        return replace(told, dedupe=f"ended:{child.run_id}")

    # --- what a child run missed

    async def _closing(self, child: Inspection) -> list[Delivery]:
        """That its parent went on without it; nothing where that was told it, or is not so."""
        origin = origin_in(child.run.snapshot, child.deliveries)
        if origin is None or any(each.kind is DeliveryKind.CANCEL for each in child.deliveries):
            return []
        parent = UUID(origin.run)
        [row] = await self.target.load([parent])
        if row is None or locked(row.snapshot) is not None or is_moving(row.status, row.cause):
            return []
        if any(map(_is_cancel, await self._history(child.run.run_id))):
            return []
        how = _closed(row, await self._history(parent), origin)
        told = closings(self.new_id, parent, origin.token, (origin.number,), how)
        return [replace(each, dedupe=f"closed:{child.run.run_id}") for each in told]

    async def _history(self, run_id: UUID) -> list[Record]:
        """All records of a run, read once: a parent has many children."""
        if run_id not in self._histories:
            found: list[Record] = []
            while page := await self.target.history(run_id, found[-1].version if found else 0):
                found += page
            self._histories[run_id] = found
        return self._histories[run_id]


def _is_cancel(record: Record) -> bool:
    stepped = record.kind in (RecordKind.STEP, RecordKind.GENERATION)
    return stepped and decode_step(record).event.kind == DeliveryKind.CANCEL


def _closed(parent: Run, records: Sequence[Record], origin: OriginBody) -> str:
    """What a run did to its child run, as `Closing` has it; ``abandon`` where it waits, or let it be."""
    for record in records:
        for command in commands_of(record):
            if command.do in _CLOSED and command.token == origin.token and origin.number in command.numbers:
                return command.do.partition("-")[0]
    if parent.status in ENDED:  # by an order: what was under way then is in its snapshot still
        for crew in crews_of(parent.snapshot):
            if crew.token == origin.token and origin.number in crew.open:
                return crew.closing
    return "abandon"
