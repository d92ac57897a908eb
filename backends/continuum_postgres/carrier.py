"""Whole runs: dumped, ended so that they go on elsewhere, erased; keyed results; what is stored.

Rule: a run that departs is locked first, and compared in later statements, which see what whoever held the
lock has done. Senders lock nothing: a delivery that one of them inserts meanwhile is left where it is, and is
buried or sent on like any other that finds an ended run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from attrs import frozen

from continuum_core.journal.carriers import hindrance, read_place, result_page
from continuum_core.journal.carrying import (
    DAY,
    MOVING,
    Arrival,
    DepartOutcome,
    Departure,
    Dumped,
    KeyedResult,
    RestoreOutcome,
    ResultPage,
    RunImage,
    Tally,
    Version,
    check_image,
    is_moving,
    mark_of,
    unleased,
)
from continuum_core.journal.commit import Member
from continuum_core.journal.records import Record, RecordKind, RunStatus
from continuum_postgres import arrays, rows
from continuum_postgres.arrays import Bigint
from continuum_postgres.arrivals import rehearse, restore
from continuum_postgres.batch import Batch, Rows
from continuum_postgres.reading import now
from continuum_postgres.retention import drops_of
from continuum_postgres.session import Ask, Session
from continuum_postgres.shards import shard
from continuum_postgres.statements import carrying as statements
from continuum_postgres.statements import reading
from continuum_postgres.statements.attributes import ATTRIBUTES_OF_RUNS
from continuum_postgres.statements.crews import ALL_MEMBERS
from continuum_postgres.statements.deliveries import CONSUME
from continuum_postgres.statements.reading import NOW
from continuum_postgres.statements.retention import LOCK_ENDED
from continuum_postgres.statements.runs import LAST_RECORDS, LOCK_RUNS, RUNS_BY_ID
from continuum_postgres.writes import Writes, by_run

__all__ = ["PostgresCarrier"]

Answer = TypeVar("Answer")


class _Ask(Protocol):
    async def __call__(self, verb: Callable[[Session], Awaitable[Answer]], /) -> Answer: ...


@frozen
class PostgresCarrier:
    """See `continuum_core.journal.carrying.Carrier`. Each run is a transaction of its own.

    :ivar wrote: told after what somebody may wait for.
    """

    reading: _Ask
    turning: _Ask
    wrote: Callable[[], None]

    async def dump(self, runs: Sequence[UUID]) -> list[Dumped | None]:
        return [await self.reading(partial(_dump, run_id=run_id)) for run_id in runs]

    async def depart(self, departures: Sequence[Departure]) -> list[DepartOutcome]:
        told = [await self.turning(partial(_depart, departure=one)) for one in departures]
        self.wrote()
        return told

    async def restore(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        for image in images:
            check_image(image)
        free = [unleased(image) for image in images]
        told = [await self.turning(partial(restore, image=image)) for image in free]
        self.wrote()
        return told

    async def rehearse(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        for image in images:
            check_image(image)
        free = [unleased(image) for image in images]
        return [await self.turning(partial(rehearse, image=image)) for image in free]

    async def forget(self, departures: Sequence[Version]) -> None:
        if departures:
            await self.turning(partial(_forget, departures=departures))

    async def settle(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            await self.turning(partial(_settle, arrival=arrival))

    async def erase(self, runs: Sequence[Version]) -> list[bool]:
        return [await self.turning(partial(_erase, version=one)) for one in runs]

    async def results(self, cursor: str | None = None, limit: int = 1_000) -> ResultPage:
        after = read_place(cursor)
        return await self.reading(lambda session: _results(session, after, limit))

    async def keep(self, results: Sequence[KeyedResult]) -> None:
        if results:
            await self.turning(lambda session: _keep(session, results))

    async def tally(self) -> list[Tally]:
        return await self.reading(_tally)


# --- images


def _asks(run_id: UUID) -> tuple[Ask, ...]:
    named = (shard(run_id), run_id)
    return (
        (RUNS_BY_ID, by_run((run_id,))),
        (reading.DELIVERIES_OF_RUN, named),
        (reading.TASKS_OF_RUN, named),
        (statements.REPORTED, named),
        (reading.DEAD_OF_RUN, named),
        (statements.SEEN_OF_RUN, named),
        (ATTRIBUTES_OF_RUNS, by_run((run_id,))),
        (statements.PAST_OF_RUN, named),
        (statements.GENERATIONS_OF_RUN, named),
        (ALL_MEMBERS, named),
    )


def _image(told: Rows, namespace: str) -> RunImage | None:
    if not told[RUNS_BY_ID]:
        return None
    run = rows.run(told[RUNS_BY_ID][0][1:], namespace)
    records, eternal = told[statements.PAST_OF_RUN][0]
    return RunImage(
        run=run,
        deliveries=tuple(map(rows.delivery, told[reading.DELIVERIES_OF_RUN])),
        tasks=tuple(map(rows.task, told[reading.TASKS_OF_RUN])),
        reported=tuple(fence for (fence,) in told[statements.REPORTED]),
        dead=tuple(map(rows.dead_letter, told[reading.DEAD_OF_RUN])),
        attributes=rows.attributes(told[ATTRIBUTES_OF_RUNS]).get(1, ()),
        forgotten=run.version - records,
        eternal=bool(eternal),
        generations=tuple((below, over) for below, over in told[statements.GENERATIONS_OF_RUN]),
        seen=tuple((dedupe, consumed) for dedupe, consumed, _ in told[statements.SEEN_OF_RUN]),
        replies=tuple((name, reply) for name, _, reply in told[statements.SEEN_OF_RUN] if reply is not None),
        members=tuple(Member(*row) for row in told[ALL_MEMBERS]),
    )


async def _dump(session: Session, run_id: UUID) -> Dumped | None:
    asked = ((reading.BEGIN_READING, ()), *_asks(run_id), ("COMMIT", ()))
    told = await session.ask(*asked)
    found = {sql: answer for (sql, _), answer in zip(asked, told, strict=True)}
    image = _image(found, session.space.namespace)
    return None if image is None else Dumped(image, mark_of(image))


# --- out


async def _depart(session: Session, departure: Departure) -> DepartOutcome:
    batch = Batch(session, last=True)
    run_id = departure.run_id
    named = by_run((run_id,))
    of_run = (shard(run_id), run_id)
    locked = await batch.read(
        (LOCK_RUNS, named), (statements.LOCK_TASKS, of_run), (statements.LOCK_PAST, of_run)
    )
    batch.at(locked[LOCK_RUNS][0][0])
    told = await batch.read(*_asks(run_id), (LAST_RECORDS, named))
    image = _image(told, session.space.namespace)
    outcome = DepartOutcome.UNKNOWN_RUN if image is None else hindrance(image, departure, batch.now)
    if image is None or outcome is not None:
        await batch.write()
        return outcome or DepartOutcome.UNKNOWN_RUN
    await batch.write(*_leaving(batch, image, departure, told[LAST_RECORDS][0][0]))
    return DepartOutcome.DEPARTED


def _leaving(batch: Batch, image: RunImage, departure: Departure, last: int | None) -> list[Ask]:
    run, version = image.run, image.run.version + 1
    named = (shard(run.run_id), run.run_id)
    writes = Writes(batch.now, batch.forgotten)
    at = max(batch.now, last or 0)  # a run's records never go back in time
    record = Record(run.run_id, version, RecordKind.CONTROL, at, departure.id, departure.id, departure.body)
    writes.records.append(record)
    left = (Bigint(batch.now), Bigint(version), MOVING, departure.outcome, departure.id)
    asks: list[Ask] = [(statements.DEPART_RUN, (*named, *left)), *writes.asks()]
    if image.deliveries:
        gone = (
            *by_run(delivery.run_id for delivery in image.deliveries),
            arrays.uuids([delivery.id for delivery in image.deliveries]),
        )
        asks.append((CONSUME, (Bigint(batch.now), *gone)))
    drops = (
        statements.DROP_TASKS,
        statements.DROP_DEAD,
        statements.DROP_ATTRIBUTES,
        statements.DROP_MEMBERS,
        *statements.FORGET_PAST,
    )
    return [*asks, *((statement, named) for statement in drops)]


async def _settle(session: Session, arrival: Arrival) -> None:
    batch = Batch(session, last=True)
    named = by_run((arrival.run_id,))
    locked = await batch.read((LOCK_RUNS, named))
    batch.at(locked[LOCK_RUNS][0][0])
    if locked[LOCK_RUNS][0][2] != RunStatus.TERMINATED:
        await batch.write()
        return
    asks: list[Ask] = []
    if not arrival.waits:
        asks.append((statements.SETTLE_RUN, (shard(arrival.run_id), arrival.run_id, MOVING)))
    if arrival.forwarded:
        runs = by_run([arrival.run_id] * len(arrival.forwarded))
        gone = (*runs, arrays.uuids(arrival.forwarded))
        asks += [(CONSUME, (Bigint(batch.now), *gone)), (statements.DROP_LETTERS, gone)]
    await batch.write(*asks)


async def _erase(session: Session, version: Version) -> bool:
    batch = Batch(session, last=True)
    named = by_run((version.run_id,))
    locked = await batch.read((LOCK_ENDED, named))
    found = await batch.read((RUNS_BY_ID, named), (NOW, ()))
    run = rows.run(found[RUNS_BY_ID][0][1:], "") if found[RUNS_BY_ID] else None
    if not locked[LOCK_ENDED] or run is None or run.commit_id != version.commit_id:
        await batch.write()
        return False
    of_run = (statements.PAST_OF_RUN, (shard(run.run_id), run.run_id))
    ((_, eternal),) = (await batch.read(of_run))[statements.PAST_OF_RUN]
    if eternal or is_moving(run.status, run.cause):
        await batch.write()
        return False
    batch.at(found[NOW][0][0])
    await batch.write(*drops_of([run.run_id], batch.now))
    return True


async def _forget(session: Session, departures: Sequence[Version]) -> None:
    named = sorted((each.run_id, each.commit_id) for each in departures if each.commit_id is not None)
    runs = by_run(run_id for run_id, _ in named)
    gone = (*runs, arrays.uuids([departure for _, departure in named]))
    await session.write((statements.FORGET_ARRIVALS, gone))


# --- keyed results


async def _results(session: Session, after: tuple[str, str], limit: int) -> ResultPage:
    at = await now(session)
    (found,) = await session.ask((statements.RESULTS, (*after, Bigint(at), Bigint(limit + 1))))
    return result_page([KeyedResult(*row) for row in found], limit)


async def _keep(session: Session, results: Sequence[KeyedResult]) -> None:
    at = await now(session)
    kept = (
        arrays.texts([one.activity for one in results]),
        arrays.texts([one.key for one in results]),
        *by_run(one.run_id for one in results),
        arrays.bigints([one.token for one in results]),
        arrays.integers([one.slot for one in results]),
        arrays.bigints([one.until for one in results]),
        arrays.byteas([one.result for one in results]),
    )
    await session.write((statements.KEEP_RESULTS, (*kept, Bigint(at))))


async def _tally(session: Session) -> list[Tally]:
    (found,) = await session.ask((statements.TALLY, (DAY,)))
    return [Tally(machine, RunStatus(status), *rest) for machine, status, *rest in found]
