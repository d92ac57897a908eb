"""What caused a record, and what followed from it: across runs, activities, timers, orders and clients.

A record names the delivery or order that caused it. Deliveries are deleted once they are consumed, so the
way back goes by what records keep for ever:

- a timer or an activity's outcome bears the token of a state entry, and some record before asked for it
  under that token;
- a message from a run bears the run, the record and the command that sent it (`EventBody.source`);
- an event that was deferred and taken later has the same cause in both records;
- a cancellation follows the record of the order; orders say who gave them; a parking says on what;
- the first record of a fork names the run and the record that it branches off from.

Everything else came from a client: there the way back ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from attrs import frozen
from msgspec import Raw

from continuum_core.archive import Archive
from continuum_core.clock import to_datetime
from continuum_core.envelope import EventBody
from continuum_core.interpreter.progress import minted_by
from continuum_core.journal.records import DeliveryKind, Record, RecordKind
from continuum_core.mapper import (
    commands_of,
    decode_control,
    decode_fork,
    decode_migration,
    decode_step,
    derive_run_id,
    step_word,
    upgrade_word,
)
from continuum_core.past import no_record

__all__ = ["Link", "Origin", "causes", "consequences", "origins"]

_OPEN = ("start-timer", "start-activity")

Place = tuple[UUID, int]
"""A record: run and version."""


@frozen
class Link:
    """One record on the way, and what led to it.

    :ivar name: what its run is called: ``machine/key``, or the id.
    :ivar event: what came, as a word.
    :ivar how: what led here: ``client``, ``message``, ``timer``, ``activity``, ``deferred``, ``order``,
        ``engine``, ``upgrade``, ``fork``; and ``gone`` where the record is not stored any more.
    :ivar by: the record that it came from; None where it came from outside.
    :ivar depth: how many links it is away from the record that was asked for.
    """

    run: UUID
    version: int
    name: str
    at: datetime | None
    event: str
    how: str
    by: Place | None = None
    who: str = ""
    depth: int = 0


@frozen
class Origin:
    """How a record came about, and the record it came from."""

    how: str
    by: Place | None = None
    who: str = ""


async def causes(archive: Archive, run_id: UUID, version: int | None = None) -> list[Link]:
    """The way from a record back to its root cause, the record itself first.

    :param version: the record; the last one of the run unless given.

    Raises RunNotFound; UsageError where the run has no such record.
    """
    trace = _Trace(archive)
    place: Place | None = await trace.asked(run_id, version)
    links: list[Link] = []
    while place is not None:
        links.append(await trace.link(place, len(links)))
        place = links[-1].by
    return links


async def consequences(
    archive: Archive, run_id: UUID, version: int | None = None, *, limit: int = 1_000
) -> tuple[list[Link], bool]:
    """All that followed from a record, each below what led to it; and whether there is more than `limit`.

    Raises RunNotFound; UsageError where the run has no such record.
    """
    trace = _Trace(archive)
    links: list[Link] = []
    # Depth first, so that what followed from a record stands right below it.
    ahead: deque[tuple[Place, int]] = deque([(await trace.asked(run_id, version), 0)])
    while ahead:
        if len(links) >= limit:
            return links, True
        place, depth = ahead.popleft()
        links.append(await trace.link(place, depth))
        following = await trace.following(place)
        ahead.extendleft((each, depth + 1) for each in reversed(following))
    return links, False


class _Trace:
    """The origins of the records of all runs that are met, each run read through once."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._origins: dict[UUID, dict[int, Origin]] = {}

    async def asked(self, run_id: UUID, version: int | None) -> Place:
        """The record that somebody asks about. Raises RunNotFound, UsageError."""
        row = await self._archive.row(run_id)
        records = await self._archive.records(run_id)
        wanted = (records[-1].version if records else 0) if version is None else version
        if not any(record.version == wanted for record in records):
            raise no_record(run_id, wanted, row.version, records)
        return run_id, wanted

    async def _record(self, place: Place) -> Record | None:
        records = await self._archive.records(place[0])
        return next((each for each in records if each.version == place[1]), None)

    async def origins(self, run_id: UUID) -> dict[int, Origin]:
        """Of every record of a run that is stored, by its version, in order."""
        if run_id not in self._origins:
            records = await self._archive.records(run_id)
            versions = [record.version for record in records]
            self._origins[run_id] = dict(zip(versions, origins(records), strict=True))
        return self._origins[run_id]

    async def link(self, place: Place, depth: int) -> Link:
        run_id, version = place
        row = await self._archive.find(run_id)
        name = str(run_id) if row is None or row.key is None else f"{row.machine}/{row.key}"
        record = await self._record(place)
        if record is None:
            return Link(run_id, version, name, None, "", "gone", depth=depth)
        origin = (await self.origins(run_id))[version]
        at = to_datetime(record.at)
        return Link(run_id, version, name, at, _word(record), origin.how, origin.by, origin.who, depth)

    async def following(self, place: Place) -> list[Place]:
        """The records that came from this one: of its own run, of runs it sent to, and of forks."""
        record = await self._record(place)
        if record is None:
            return []
        runs = [place[0], *self._targets(record)]
        runs += [child.run_id for child in await self._archive.children(place[0])]
        return [
            (run, number)
            for run in dict.fromkeys(runs)  # a run may be sent to twice, and send to itself
            for number, origin in (await self.origins(run)).items()
            if origin.by == place
        ]

    def _targets(self, record: Record) -> list[UUID]:
        sent = [command.to for command in commands_of(record) if command.do == "send"]
        return [self._target(to) for to in sent]

    def _target(self, to: str) -> UUID:
        machine, named, key = to.partition(":")
        return derive_run_id(self._archive.namespace, machine, key) if named else UUID(to)


def origins(records: Sequence[Record]) -> list[Origin]:
    """Where each record of a run came from.

    :param records: all that are stored, oldest first.
    """
    found: list[Origin] = []
    taken: dict[UUID, int] = {}  # what caused a step → the last such step
    cancelled: int | None = None  # the last record of an order to cancel
    opened: dict[tuple[int, int], int] = {}  # timer or activity → the record that asked for it
    for record in records:
        if record.kind is RecordKind.CONTROL:
            order = decode_control(record)
            if order.order == "cancel":
                cancelled = record.version
            if order.order == "park":
                poison = order.event
                by = _arrived(record, poison, opened).by if isinstance(poison, EventBody) else None
                found.append(Origin("engine", by))
            else:
                found.append(Origin("order", None, order.who))
            continue
        asked = [command for command in commands_of(record) if command.do in _OPEN]
        opened.update(((command.token, command.slot), record.version) for command in asked)
        if record.kind is RecordKind.MIGRATION:
            found.append(Origin("upgrade"))
            continue
        event = decode_step(record).event
        if record.cause in taken:
            found.append(Origin("deferred", (record.run_id, taken[record.cause])))
        elif event.kind == DeliveryKind.CANCEL and cancelled is not None:
            found.append(Origin("order", (record.run_id, cancelled)))
        else:
            found.append(_arrived(record, event, opened))
        taken[record.cause] = record.version
    return found


def _arrived(record: Record, event: EventBody, opened: Mapping[tuple[int, int], int]) -> Origin:
    kind, place = DeliveryKind(event.kind), (event.token, event.slot)
    if kind is DeliveryKind.TIMER:
        return Origin("timer", (record.run_id, opened.get(place, minted_by(event.token))))
    if kind is DeliveryKind.OUTCOME:
        return Origin("activity", (record.run_id, opened.get(place, minted_by(event.token))))
    if kind is DeliveryKind.FORK and isinstance(event.payload, Raw):
        fork = decode_fork(bytes(event.payload))
        return Origin("fork", (UUID(fork.run), fork.version))
    if event.source:
        run, version, _ = event.source.split(":")
        return Origin("message", (UUID(run), int(version)))
    return Origin("client")


def _word(record: Record) -> str:
    if record.kind is RecordKind.CONTROL:
        return decode_control(record).order
    if record.kind is RecordKind.MIGRATION:
        return upgrade_word(decode_migration(record))
    return step_word(record)
