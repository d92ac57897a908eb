"""What caused a record, and what followed from it: across runs, activities, timers, orders and clients.

Where a record of a run came from its own records tell (`origins`); here the ways are followed from run to
run: up to a client, an order or what is not stored any more, and down to all that came of a record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from attrs import evolve, frozen
from msgspec import Raw

from continuum_core.archive import Archive
from continuum_core.clock import to_datetime
from continuum_core.envelope import EventBody
from continuum_core.journal.records import DeliveryKind, Record, RecordKind
from continuum_core.mapper import (
    commands_of,
    decode_control,
    decode_migration,
    decode_step,
    derive_run_id,
    peek_event,
    step_word,
    upgrade_word,
)
from continuum_core.origins import LAST, Brood, Origin, Place, brood_of, origins
from continuum_core.past import no_record

__all__ = ["Link", "causes", "consequences"]


@frozen
class Link:
    """One record on the way, and what led to it.

    :ivar name: what its run is called: ``machine/key``, or the id.
    :ivar event: what came, as a word.
    :ivar how: what led here: ``client``, ``message``, ``timer``, ``activity``, ``deferred``, ``order``,
        ``engine``, ``upgrade``, ``fork``, ``child`` (its parent started it), ``ended`` (a child run did),
        ``closed`` (its parent went on without it); and ``gone`` where the record is not stored any more.
    :ivar by: the record that it came from; None where it came from outside.
    :ivar depth: how many links it is away from the record that was asked for.
    :ivar said: the message of what failed, why it was ordered, or why it was parked.
    :ivar on: of a parking on a delivery: what came, as a word; `delivery` is its id.
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
    said: str = ""
    on: str = ""
    delivery: UUID | None = None


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
        self._followers: dict[UUID, dict[Place, list[int]]] = {}
        self._broods: dict[UUID, Brood] = {}
        self._told: dict[UUID, dict[int, list[UUID]]] = {}
        self._forks: dict[UUID, list[UUID]] = {}
        self._records: dict[UUID, dict[int, Record]] = {}

    async def asked(self, run_id: UUID, version: int | None) -> Place:
        """The record that somebody asks about. Raises RunNotFound, UsageError."""
        row = await self._archive.row(run_id)
        records = await self._archive.records(run_id)
        wanted = (records[-1].version if records else 0) if version is None else version
        if not any(record.version == wanted for record in records):
            raise no_record(run_id, wanted, row.version, records)
        return run_id, wanted

    async def link(self, place: Place, depth: int) -> Link:
        run_id, version = place
        row = await self._archive.find(run_id)
        name = self._archive.name(run_id, row)
        record = await self._record(place)
        if record is None:
            return Link(run_id, version, name, None, "", "gone", depth=depth)
        origin = (await self._known(run_id))[version]
        at = to_datetime(record.at)
        link = Link(run_id, version, name, at, _word(record), origin.how, origin.by, origin.who, depth)
        return await self._told_more(link, record)

    async def _told_more(self, link: Link, record: Record) -> Link:
        """The link with what the record says in words, and of a parking with what it stumbled on."""
        if record.kind is RecordKind.CONTROL:
            order = decode_control(record)
            if order.order != "park" or not isinstance(order.event, EventBody):
                return evolve(link, said=order.why)
            on = await self._arrival(record, order.event)
            return evolve(link, said=order.why, on=on, delivery=record.cause)
        return evolve(link, said=_failure(record))

    async def _arrival(self, parking: Record, event: EventBody) -> str:
        """What a parking stumbled on, as a word: it waits still, is a dead letter, or was taken later."""
        found = await self._archive.inspect(parking.run_id)
        letters = () if found is None else tuple(each.delivery for each in found.dead)
        for each in (*(() if found is None else found.deliveries), *letters):
            if each.id == parking.cause:
                return peek_event(each.kind, each.payload, (each.token, each.slot))[0]
        for record in await self._archive.records(parking.run_id):
            if record.cause == parking.cause and record.kind in (RecordKind.STEP, RecordKind.GENERATION):
                return step_word(record)
        kind = DeliveryKind(event.kind)
        return f"{kind.name.lower()} that is not stored any more"

    async def following(self, place: Place) -> list[Place]:
        """The records that came from this one: of its own run, of runs it reached, and of forks."""
        run_id, version = place
        record = await self._record(place)
        if record is None:
            return []
        runs = [run_id, *self._targets(record), *(await self._children_told(run_id)).get(version, ())]
        row = await self._archive.find(run_id)
        if row is not None and row.parent is not None and version == row.version:
            runs.append(row.parent)  # where it is a child run, its end was told
        runs += await self._forked(run_id)
        found: list[Place] = []
        for run in dict.fromkeys(runs):  # a run may be sent to twice, and send to itself
            await self._known(run)
            found += [(run, number) for number in self._followers[run].get(place, ())]
        return found

    async def _children_told(self, run_id: UUID) -> dict[int, list[UUID]]:
        """The child runs that each record of a run started or closed: there may be very many of them."""
        if run_id not in self._told:
            brood = await self._brood(run_id)
            told: dict[int, list[UUID]] = {}
            for child, version in (*brood.started.items(), *brood.closed.items()):
                told.setdefault(version, []).append(child)
            self._told[run_id] = told
        return self._told[run_id]

    async def _forked(self, run_id: UUID) -> list[UUID]:
        """The runs that came from this one and that none of its records started."""
        if run_id not in self._forks:
            started = (await self._brood(run_id)).started
            children = await self._archive.children(run_id)
            self._forks[run_id] = [row.run_id for row in children if row.run_id not in started]
        return self._forks[run_id]

    async def _record(self, place: Place) -> Record | None:
        run_id, version = place
        if run_id not in self._records:
            records = await self._archive.records(run_id)
            self._records[run_id] = {record.version: record for record in records}
        return self._records[run_id].get(version)

    async def _known(self, run_id: UUID) -> dict[int, Origin]:
        """The origin of every record of a run that is stored, by its version, in order."""
        if run_id not in self._origins:
            records = await self._archive.records(run_id)
            known: dict[int, Origin] = {}
            followers: dict[Place, list[int]] = {}
            for record, origin in zip(records, origins(records), strict=True):
                known[record.version] = whole = await self._found(run_id, origin)
                if whole.by is not None:
                    followers.setdefault(whole.by, []).append(record.version)
            self._origins[run_id], self._followers[run_id] = known, followers
        return self._origins[run_id]

    async def _found(self, run_id: UUID, origin: Origin) -> Origin:
        """An origin with the record of the other run, which the run itself does not know."""
        if origin.how == "closed":
            row = await self._archive.find(run_id)
            if row is None or row.parent is None:
                return Origin("client")
            closed = (await self._brood(row.parent)).closed.get(run_id, LAST)
            return evolve(origin, by=(row.parent, closed))
        if origin.by is None or origin.by[1] != LAST:
            return origin
        other = origin.by[0]
        if not origin.asked:
            return evolve(origin, by=(other, (await self._brood(other)).started.get(run_id, LAST)))
        row = await self._archive.find(other)
        # Where the child run was pruned, what it was started by is still a step back.
        return evolve(origin, by=(run_id, origin.asked) if row is None else (other, row.version))

    async def _brood(self, run_id: UUID) -> Brood:
        if run_id not in self._broods:
            self._broods[run_id] = brood_of(run_id, await self._archive.records(run_id))
        return self._broods[run_id]

    def _targets(self, record: Record) -> Iterator[UUID]:
        for command in commands_of(record):
            if command.do == "send":
                machine, named, key = command.to.partition(":")
                yield derive_run_id(self._archive.namespace, machine, key) if named else UUID(command.to)


def _failure(record: Record) -> str:
    """The message of the failure that came with a step; "" where none did."""
    if record.kind is RecordKind.MIGRATION:
        return ""
    event = decode_step(record).event
    if event.kind != DeliveryKind.OUTCOME or not isinstance(event.payload, Raw):
        return ""
    word, data = peek_event(DeliveryKind.OUTCOME, bytes(event.payload))
    if not word.startswith("failed") or not isinstance(data, dict):
        return ""
    return str(cast("dict[str, Any]", data).get("message", ""))


def _word(record: Record) -> str:
    if record.kind is RecordKind.CONTROL:
        return decode_control(record).order
    if record.kind is RecordKind.MIGRATION:
        return upgrade_word(decode_migration(record))
    return step_word(record)
