"""Whole runs: dumped, ended so that they go on elsewhere, restored, erased; keyed results; what is stored.

Rule: everything is compared before anything is written, in the transaction that writes it. One verb carries
few runs (callers batch them), so that writers of other processes do not wait for long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from attrs import frozen

from continuum_core.journal.carriers import hindrance, read_place, result_page
from continuum_core.journal.carrying import (
    DAY,
    MOVING,
    UNKNOWN_RUN,
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
from continuum_core.journal.records import ENDED, Delivery, Record, RecordKind, RunStatus
from continuum_sqlite import attributes, crews, deliveries, reading, rows
from continuum_sqlite.statements import carrying as statements
from continuum_sqlite.statements.attributes import DROP_ATTRIBUTES
from continuum_sqlite.statements.crews import DROP_MEMBERS
from continuum_sqlite.statements.reading import DEAD_OF_RUN, DELIVERIES_OF_RUN, TASKS_OF_RUN
from continuum_sqlite.statements.retention import DROP_RUN
from continuum_sqlite.statements.runs import ADD_RECORD, ETERNAL, LAST_RECORD_AT, MAKE_ETERNAL, RECORD_COMMIT
from continuum_sqlite.transaction import Transaction

__all__ = ["SqliteCarrier"]

Answer = TypeVar("Answer")


class _Write(Protocol):
    async def __call__(self, verb: Callable[[Transaction], Answer], /, *, tells: bool = ...) -> Answer: ...


class _Read(Protocol):
    async def __call__(self, verb: Callable[[Transaction], Answer], /) -> Answer: ...


@frozen
class SqliteCarrier:
    """See `continuum_core.journal.carrying.Carrier`."""

    write: _Write
    read: _Read

    async def dump(self, runs: Sequence[UUID]) -> list[Dumped | None]:
        def verb(transaction: Transaction) -> list[Dumped | None]:
            images = [_image(transaction, run_id) for run_id in runs]
            return [None if image is None else Dumped(image, mark_of(image)) for image in images]

        return await self.read(verb)

    async def depart(self, departures: Sequence[Departure]) -> list[DepartOutcome]:
        return await self.write(
            lambda transaction: [_depart(transaction, one) for one in departures], tells=True
        )

    async def restore(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        for image in images:
            check_image(image)
        free = [unleased(image) for image in images]
        return await self.write(
            lambda transaction: [_restore(transaction, image) for image in free], tells=True
        )

    async def rehearse(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        for image in images:
            check_image(image)
        return await self.write(lambda transaction: [_rehearse(transaction, unleased(one)) for one in images])

    async def forget(self, departures: Sequence[Version]) -> None:
        def verb(transaction: Transaction) -> None:
            for each in departures:
                asked = (transaction.ns, each.run_id.bytes, rows.ident(each.commit_id))
                transaction.execute(statements.FORGET_ARRIVAL, asked)

        await self.write(verb)

    async def settle(self, arrivals: Sequence[Arrival]) -> None:
        def verb(transaction: Transaction) -> None:
            for arrival in arrivals:
                _settle(transaction, arrival)

        await self.write(verb)

    async def erase(self, runs: Sequence[Version]) -> list[bool]:
        return await self.write(lambda transaction: [_erase(transaction, version) for version in runs])

    async def results(self, cursor: str | None = None, limit: int = 1_000) -> ResultPage:
        after = read_place(cursor)
        return await self.read(lambda transaction: _results(transaction, after, limit))

    async def keep(self, results: Sequence[KeyedResult]) -> None:
        await self.write(lambda transaction: _keep(transaction, results))

    async def tally(self) -> list[Tally]:
        return await self.read(_tally)


def _image(transaction: Transaction, run_id: UUID) -> RunImage | None:
    run = reading.load(transaction, (run_id,))[0]
    if run is None:
        return None
    name = (transaction.ns, run_id.bytes)
    noted = transaction.execute(statements.SEEN_OF_RUN, name).fetchall()
    return RunImage(
        run=run,
        deliveries=tuple(rows.delivery(row) for row in transaction.execute(DELIVERIES_OF_RUN, name)),
        tasks=tuple(rows.task(row) for row in transaction.execute(TASKS_OF_RUN, name)),
        reported=tuple(fence for (fence,) in transaction.execute(statements.REPORTED, name)),
        dead=tuple(rows.dead_letter(row) for row in transaction.execute(DEAD_OF_RUN, name)),
        attributes=attributes.described(transaction, run_id),
        forgotten=run.version - transaction.execute(statements.RECORDS_OF_RUN, name).fetchone()[0],
        eternal=transaction.execute(ETERNAL, name).fetchone() is not None,
        generations=tuple((b, o) for b, o in transaction.execute(statements.GENERATIONS_OF_RUN, name)),
        seen=tuple((dedupe, at) for dedupe, at, _ in noted),
        replies=tuple((dedupe, reply) for dedupe, _, reply in noted if reply is not None),
        members=crews.all_members(transaction, run_id),
    )


# --- out


def _depart(transaction: Transaction, departure: Departure) -> DepartOutcome:
    image = _image(transaction, departure.run_id)
    if image is None:
        return DepartOutcome.UNKNOWN_RUN
    told = hindrance(image, departure, transaction.now)
    if told is None:
        _leave(transaction, image, departure)
    return told or DepartOutcome.DEPARTED


def _leave(transaction: Transaction, image: RunImage, departure: Departure) -> None:
    ns, now, run = transaction.ns, transaction.now, image.run
    name = (ns, run.run_id.bytes)
    last = transaction.execute(LAST_RECORD_AT, (*name, run.version)).fetchone()
    at = now if last is None else max(now, last[0])
    version = run.version + 1
    record = Record(run.run_id, version, RecordKind.CONTROL, at, departure.id, departure.id, departure.body)
    transaction.execute(ADD_RECORD, rows.record_row(ns, record))
    changed = (version, MOVING, departure.outcome, departure.id.bytes, now)
    transaction.execute(statements.DEPART_RUN, (*name, *changed))
    for delivery in image.deliveries:
        deliveries.consume(transaction, run.run_id, delivery.id)
    drops = (
        statements.DROP_TASKS,
        statements.DROP_DEAD,
        DROP_ATTRIBUTES,
        DROP_MEMBERS,
        *statements.FORGET_PAST,
    )
    for statement in drops:
        transaction.execute(statement, name)


def _settle(transaction: Transaction, arrival: Arrival) -> None:
    name = (transaction.ns, arrival.run_id.bytes)
    if transaction.execute(statements.SETTLE_RUN, (*name, MOVING, arrival.waits)).fetchone() is None:
        return  # it is not here, or goes on
    for delivery_id in arrival.forwarded:
        transaction.execute(statements.DROP_LETTER, (*name, delivery_id.bytes))
        deliveries.consume(transaction, arrival.run_id, delivery_id)


def _erase(transaction: Transaction, version: Version) -> bool:
    run = reading.load(transaction, (version.run_id,))[0]
    if run is None or run.status not in ENDED or run.commit_id != version.commit_id:
        return False
    if is_moving(run.status, run.cause):
        return False
    if transaction.execute(ETERNAL, (transaction.ns, version.run_id.bytes)).fetchone() is not None:
        return False
    for statement in DROP_RUN:
        transaction.execute(statement, (transaction.ns, version.run_id.bytes))
    return True


# --- in


def _restore(transaction: Transaction, image: RunImage) -> RestoreOutcome:
    met = _met(transaction, image)
    if met is not None:
        return met
    if image.departure is not None:
        arrived = (transaction.ns, image.run.run_id.bytes, image.departure.bytes)
        transaction.execute(statements.KEEP_ARRIVAL, arrived)
    strays = _taken_strays(transaction, image)  # before the image brings letters of its own
    _write_rows(transaction, image)
    for delivery in strays:
        deliveries.send(transaction, delivery)
    return RestoreOutcome.RESTORED


def _rehearse(transaction: Transaction, image: RunImage) -> RestoreOutcome:
    """Restore a run, and take it back: the file itself says what it cannot hold."""
    transaction.execute("SAVEPOINT rehearsal")
    told = _restore(transaction, image)
    transaction.execute("ROLLBACK TO rehearsal")
    transaction.execute("RELEASE rehearsal")
    return told


def _met(transaction: Transaction, image: RunImage) -> RestoreOutcome | None:
    """What is told of an image for which there is nothing to do, or which must not be; None: write it."""
    if image.departure is not None:
        arrived = (transaction.ns, image.run.run_id.bytes, image.departure.bytes)
        if transaction.execute(statements.ARRIVED, arrived).fetchone() is not None:
            return RestoreOutcome.EXISTS
    known = reading.load(transaction, (image.run.run_id,))[0]
    if known is None:
        return None
    version = image.run.version
    same = (known.machine, known.digest) == (image.run.machine, image.run.digest)
    if same and version == known.version:
        same = known.commit_id == image.run.commit_id
    elif same and version > 0:
        asked = (transaction.ns, image.run.run_id.bytes, version)
        found = transaction.execute(RECORD_COMMIT, asked).fetchone()
        same = found is not None and found[0] == rows.ident(image.run.commit_id)
    return RestoreOutcome.EXISTS if same else RestoreOutcome.CONFLICT


def _write_rows(transaction: Transaction, image: RunImage) -> None:
    ns = transaction.ns
    transaction.execute(statements.COPY_RUN, _run_row(ns, image))
    attributes.describe(transaction, image.run.run_id, image.attributes)
    crews.keep(transaction, image.run.run_id, image.members)
    transaction.executemany(ADD_RECORD, (rows.record_row(ns, record) for record in image.records))
    if image.eternal:
        for statement in MAKE_ETERNAL:
            transaction.execute(statement, (ns, image.run.run_id.bytes))
    transaction.executemany(
        statements.COPY_GENERATION, ((ns, image.run.run_id.bytes, *each) for each in image.generations)
    )
    replies, run_id = dict(image.replies), image.run.run_id.bytes
    transaction.executemany(
        statements.COPY_SEEN, ((ns, run_id, name, at, replies.get(name)) for name, at in image.seen)
    )
    transaction.executemany(
        statements.COPY_DELIVERY, ((*_delivery_row(ns, each), int(each.held)) for each in image.deliveries)
    )
    transaction.executemany(statements.COPY_TASK, _task_rows(ns, image))
    transaction.executemany(
        statements.COPY_DEAD,
        ((*_delivery_row(ns, letter.delivery), letter.reason, letter.at) for letter in image.dead),
    )


def _run_row(ns: int, image: RunImage) -> tuple[object, ...]:
    run = image.run
    return (
        ns, run.run_id.bytes, run.machine, run.fingerprint, run.key, run.digest, run.generation, run.version,
        int(run.status), run.cause, run.snapshot, run.outcome, run.fence, rows.ident(run.commit_id),
        run.tries, rows.ident(run.parent), rows.ident(run.root), run.created, run.updated,
    )  # fmt: skip


def _delivery_row(ns: int, delivery: Delivery) -> tuple[object, ...]:
    return rows.delivery_row(ns, delivery, delivery.due if delivery.due is not None else 0)


def _task_rows(ns: int, image: RunImage) -> list[tuple[object, ...]]:
    return [
        (
            ns, task.run_id.bytes, task.token, task.slot, task.activity, task.queue, task.priority, task.due,
            task.scheduled, task.payload, task.key, int(task.undo), task.attempt, task.losses, task.fence,
            int(task.cancel), task.details, task.failure, task.fairness, reported,
        )
        for task, reported in zip(image.tasks, image.reported, strict=True)
    ]  # fmt: skip


def _taken_strays(transaction: Transaction, image: RunImage) -> list[Delivery]:
    """What came for the run before it was here, and is not in the image; taken out of the dead letters."""
    if image.run.status in ENDED:
        return []
    own = {letter.delivery.id for letter in image.dead} | {delivery.id for delivery in image.deliveries}
    asked = (transaction.ns, image.run.run_id.bytes, UNKNOWN_RUN)
    came = map(rows.delivery, transaction.execute(statements.STRAYS, asked).fetchall())
    return [delivery for delivery in came if delivery.id not in own]


# --- keyed results


def _results(transaction: Transaction, after: tuple[str, str], limit: int) -> ResultPage:
    asked = (transaction.ns, *after, transaction.now, limit + 1)
    found = transaction.execute(statements.RESULTS, asked).fetchall()
    return result_page([KeyedResult(row[0], row[1], UUID(bytes=row[2]), *row[3:]) for row in found], limit)


def _keep(transaction: Transaction, results: Sequence[KeyedResult]) -> None:
    for one in results:
        if one.until > transaction.now:
            owner = (one.run_id.bytes, one.token, one.slot)
            kept = (transaction.ns, one.activity, one.key, *owner, one.until, one.result, transaction.now)
            transaction.execute(statements.KEEP_RESULT, kept)


def _tally(transaction: Transaction) -> list[Tally]:
    found = transaction.execute(statements.TALLY, (transaction.ns, DAY)).fetchall()
    return [Tally(machine, RunStatus(status), *rest) for machine, status, *rest in found]
