"""Whole runs: dumped, ended so that they go on elsewhere, restored, erased; keyed results; what is stored.

Rule: everything is compared before anything is written, so that a run departs or arrives whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from uuid import UUID

from attrs import frozen
from msgspec.structs import replace

from continuum_core.clock import Micros
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
from continuum_core.journal.fences import next_fence
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import Held, Record, RecordKind, RunStatus
from continuum_memory.deliveries import insert, remove, seen, set_held
from continuum_memory.reading import dead_letters, delete, due_order
from continuum_memory.rows import Result, RunRow, Space, TaskRow

__all__ = ["MemoryCarrier"]

_Verb = Callable[[], AbstractContextManager[tuple[Space, Micros]]]


@frozen
class MemoryCarrier:
    """See `continuum_core.journal.carrying.Carrier`.

    :ivar verb: a transaction.
    :ivar write: a transaction after which somebody may find work.
    """

    limits: Limits
    verb: _Verb
    write: _Verb

    async def dump(self, runs: Sequence[UUID]) -> list[Dumped | None]:
        with self.verb() as (space, _):
            images = [_image(space, run_id) for run_id in runs]
            return [None if image is None else Dumped(image, mark_of(image)) for image in images]

    async def depart(self, departures: Sequence[Departure]) -> list[DepartOutcome]:
        with self.write() as (space, now):
            return [_depart(space, now, departure) for departure in departures]

    async def restore(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        for image in images:
            check_image(image)
        with self.write() as (space, now):
            return [_restore(space, self.limits, now, unleased(image)) for image in images]

    async def rehearse(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        for image in images:
            check_image(image)
        with self.verb() as (space, _):
            return [_met(space, image) or RestoreOutcome.RESTORED for image in images]

    async def forget(self, departures: Sequence[Version]) -> None:
        with self.verb() as (space, _):
            for each in departures:
                if each.commit_id is not None:
                    space.arrived.discard((each.run_id, each.commit_id))

    async def settle(self, arrivals: Sequence[Arrival]) -> None:
        with self.verb() as (space, now):
            for arrival in arrivals:
                _settle(space, now, arrival)

    async def erase(self, runs: Sequence[Version]) -> list[bool]:
        with self.verb() as (space, _):
            return [_erase(space, version) for version in runs]

    async def results(self, cursor: str | None = None, limit: int = 1_000) -> ResultPage:
        after = read_place(cursor)
        with self.verb() as (space, now):
            found = [
                _result(name, result, result.outcome)
                for name in sorted(space.results)
                if name > after and (result := space.results[name]).outcome is not None and result.until > now
            ]
            return result_page(found, max(limit, 1))

    async def keep(self, results: Sequence[KeyedResult]) -> None:
        with self.verb() as (space, now):
            for each in results:
                name = (each.activity, each.key)
                known = space.results.get(name)
                stays = known is not None and known.outcome is not None and known.until > now
                if not stays and each.until > now:
                    owner = (each.run_id, each.token, each.slot)
                    space.results[name] = Result(owner, each.until, each.result)

    async def tally(self) -> list[Tally]:
        with self.verb() as (space, _):
            runs, records, size = Counter[_Group](), Counter[_Group](), Counter[_Group]()
            for run in space.runs.values():
                group = (run.machine, run.status, run.created // DAY)
                runs[group] += 1
                records[group] += len(run.records)
                kept = space.blobs.get(run.run_id, {}).values()
                size[group] += sum(_sizes(run)) + sum(len(row.data) for row in kept)
        return [Tally(*group, runs[group], records[group], size[group]) for group in sorted(runs)]


def _result(name: tuple[str, str], kept: Result, outcome: bytes) -> KeyedResult:
    run_id, token, slot = kept.owner
    return KeyedResult(*name, run_id, token, slot, kept.until, outcome)


_Group = tuple[str, RunStatus, int]


def _sizes(run: RunRow) -> Iterator[int]:
    yield len(run.snapshot)
    yield len(run.outcome or b"")
    yield from (len(record.body) for record in run.records)
    yield from (len(delivery.payload) for delivery in run.deliveries.values())
    yield from (len(row.task.payload) for row in run.tasks.values())
    yield from (len(body) for crew in run.members.values() for body in crew.values())


def _image(space: Space, run_id: UUID) -> RunImage | None:
    run = space.runs.get(run_id)
    if run is None:
        return None
    tasks = [run.tasks[name] for name in sorted(run.tasks)]
    replies = sorted((name, body) for (owner, name), body in space.replies.items() if owner == run_id)
    noted = sorted((name, at) for (owner, name), at in space.seen.items() if owner == run_id)
    return RunImage(
        run=run.value(space.name),
        deliveries=tuple(sorted(run.deliveries.values(), key=due_order)),
        tasks=tuple(row.task for row in tasks),
        reported=tuple(row.ended_fence for row in tasks),
        dead=dead_letters(space, run_id),
        seen=tuple(noted),
        attributes=run.described(),
        forgotten=run.version - len(run.records),
        eternal=run.eternal,
        generations=tuple(sorted(run.past.items())),
        replies=tuple(replies),
        members=run.all_kept(),
    )


# --- out


def _depart(space: Space, now: Micros, departure: Departure) -> DepartOutcome:
    run = space.runs.get(departure.run_id)
    image = _image(space, departure.run_id)
    if run is None or image is None:
        return DepartOutcome.UNKNOWN_RUN
    told = hindrance(image, departure, now)
    if told is None:
        _leave(space, run, now, departure)
    return told or DepartOutcome.DEPARTED


def _leave(space: Space, run: RunRow, now: Micros, departure: Departure) -> None:
    at = max(now, run.records[-1].at) if run.records else now
    version = run.version + 1
    record = Record(run.run_id, version, RecordKind.CONTROL, at, departure.id, departure.id, departure.body)
    run.records.append(record)
    run.eternal = False  # what stays here only says where it went
    run.past.clear()
    run.version, run.commit_id, run.fence = version, departure.id, next_fence(run.fence, now)
    run.status, run.cause, run.outcome = RunStatus.TERMINATED, MOVING, departure.outcome
    run.updated, run.tries = now, min(run.tries, 2)
    space.unlease(run)
    for delivery in list(run.deliveries.values()):
        remove(space, run, delivery, now)
    for row in list(run.tasks.values()):
        space.drop_task(row)
    run.attributes.clear()
    run.members.clear()
    space.dead.pop(run.run_id, None)


def _settle(space: Space, now: Micros, arrival: Arrival) -> None:
    run = space.runs.get(arrival.run_id)
    if run is None or run.status is not RunStatus.TERMINATED:
        return
    if run.cause == MOVING and not arrival.waits:
        run.cause = ""
    letters = space.dead.get(run.run_id, {})
    for name in arrival.forwarded:
        letters.pop(name, None)
        if (delivery := run.deliveries.get(name)) is not None:
            remove(space, run, delivery, now)
    if not letters:
        space.dead.pop(run.run_id, None)


def _erase(space: Space, version: Version) -> bool:
    run = space.runs.get(version.run_id)
    if run is None or not run.ended or run.commit_id != version.commit_id:
        return False
    if run.eternal or is_moving(run.status, run.cause):
        return False
    delete(space, (run,))
    return True


# --- in


def _restore(space: Space, limits: Limits, now: Micros, image: RunImage) -> RestoreOutcome:
    met = _met(space, image)
    if met is not None:
        return met
    run = _row(image)
    if image.departure is not None:
        space.arrived.add((run.run_id, image.departure))
    run.describe(image.attributes)
    run.keep(image.members)
    space.add_run(run)
    for name, consumed in image.seen:
        space.seen[run.run_id, name] = consumed
    for name, body in image.replies:
        space.replies[run.run_id, name] = body
    for delivery in image.deliveries:
        insert(space, run, delivery, now)
        set_held(space, run, delivery.id, delivery.held)
    for task, reported in zip(image.tasks, image.reported, strict=True):
        row = run.tasks[task.token, task.slot] = TaskRow(task, reported)
        space.put_task(row)
    _letters(space, limits, now, run, image)
    return RestoreOutcome.RESTORED


def _met(space: Space, image: RunImage) -> RestoreOutcome | None:
    """What is told of an image for which there is nothing to do, or which must not be; None: write it."""
    known = space.runs.get(image.run.run_id)
    if image.departure is not None and (image.run.run_id, image.departure) in space.arrived:
        return RestoreOutcome.EXISTS
    if known is None:
        return None
    return RestoreOutcome.EXISTS if _same(known, image) else RestoreOutcome.CONFLICT


def _same(known: RunRow, image: RunImage) -> bool:
    version = image.run.version
    if (known.machine, known.digest) != (image.run.machine, image.run.digest) or known.version < version:
        return False
    if version in (0, known.version):
        return version == 0 or known.commit_id == image.run.commit_id
    record = known.record(version)
    return record is not None and record.commit_id == image.run.commit_id


def _row(image: RunImage) -> RunRow:
    run = image.run
    return RunRow(
        run_id=run.run_id,
        machine=run.machine,
        fingerprint=run.fingerprint,
        key=run.key,
        digest=run.digest,
        parent=run.parent,
        root=run.root,
        created=run.created,
        updated=run.updated,
        generation=run.generation,
        version=run.version,
        status=run.status,
        cause=run.cause,
        snapshot=run.snapshot,
        outcome=run.outcome,
        fence=run.fence,
        commit_id=run.commit_id,
        tries=run.tries,
        records=list(image.records),
        eternal=image.eternal,
        past=dict(image.generations),
    )


def _letters(space: Space, limits: Limits, now: Micros, run: RunRow, image: RunImage) -> None:
    """The image's own dead letters, and those that lay here: of a run that goes on they are delivered."""
    waiting = space.dead.pop(run.run_id, {})
    kept = {letter.delivery.id: letter for letter in image.dead}
    for name, letter in waiting.items():
        if run.ended or letter.reason != UNKNOWN_RUN:
            kept.setdefault(name, letter)
        elif name not in run.deliveries and not seen(space, limits, now, letter.delivery):
            insert(space, run, replace(letter.delivery, held=Held.NO), now)
    if kept:
        space.dead[run.run_id] = kept
