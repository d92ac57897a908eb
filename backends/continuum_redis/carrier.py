"""Whole runs: dumped, ended so that they go on elsewhere, restored, erased; keyed results; what is stored.

Rule: a run departs or arrives in one call of the script, in its own tag, and so whole. What is the
namespace's and no run's is paged tag by tag.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from attrs import frozen

from continuum_core.errors import PayloadRefused
from continuum_core.journal.carrying import (
    DAY,
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
    unleased,
)
from continuum_core.journal.records import DeadLetter, RunStatus
from continuum_redis import answers, wholes
from continuum_redis.arguments import Arguments, packed
from continuum_redis.batching import Batch
from continuum_redis.store import READING, TURNING, Store
from continuum_redis.tags import result_name

__all__ = ["RedisCarrier"]

_AT_ONCE = 1_000
"""Entries of an index that one call reads: nobody else is served meanwhile."""

_RUNS_AT_ONCE = 50
"""Runs that one call of `tally` reads, histories and all: fewer where these have many records."""

_Group = tuple[str, RunStatus, int]

_OWNER = struct.Struct(">16sQI")
_LENGTH = struct.Struct(">H")


_Seen = dict[str, tuple[int | None, bytes | None]]
"""Of a run: dedupe id → when it was consumed, and what was replied."""


@frozen
class RedisCarrier:
    """See `continuum_core.journal.carrying.Carrier`.

    :ivar batch: the reply for each member, of the verb on the lane.
    :ivar store: the opened store. Raises UsageError.
    """

    namespace: str
    batch: Batch
    store: Callable[[], Store]

    async def dump(self, runs: Sequence[UUID]) -> list[Dumped | None]:
        told = await self.batch(READING, "dump", Arguments.uuid, runs, _itself, tells=False)
        seen = await self._seen([run_id for run_id, each in zip(runs, told, strict=True) if each is not None])
        return [
            None if each is None else Dumped(_image(each[0], self.namespace, seen[run_id]), each[1])
            for run_id, each in zip(runs, told, strict=True)
        ]

    async def _seen(self, runs: Sequence[UUID]) -> dict[UUID, _Seen]:
        """Dedupe ids of runs. Read after the runs: what came since shows in their marks."""
        found: dict[UUID, _Seen] = {run_id: {} for run_id in runs}
        store = self.store()
        for tag in dict.fromkeys(map(store.tags.of_run, runs)):
            await self._seen_in(store, tag, [run for run in runs if store.tags.of_run(run) == tag], found)
        return found

    async def _seen_in(self, store: Store, tag: int, runs: Sequence[UUID], found: dict[UUID, _Seen]) -> None:
        left, after = list(runs), b""
        while left:

            def write(to: Arguments, left: Sequence[UUID] = left, after: bytes = after) -> None:
                to.number(_AT_ONCE)
                to.bytes(after)
                to.list(to.uuid, left)

            whole, entries, through, after = await store.ask(READING, "seen_of", packed(write), tag)
            if not whole:
                await self._scanned(store, tag, runs, found)
                return
            _note(entries, found)
            left = left[through:]

    async def _scanned(self, store: Store, tag: int, runs: Sequence[UUID], found: dict[UUID, _Seen]) -> None:
        """Where a former release has written: read all there is, once, so that the next one need not."""
        cursor = b""
        while cursor != b"0":

            def write(to: Arguments, cursor: bytes = cursor or b"0") -> None:
                to.bytes(cursor)
                to.number(_AT_ONCE)
                to.list(to.uuid, runs)

            cursor, entries = await store.ask(READING, "scan_seen", packed(write), tag)
            _note(entries, found)
        cursor = b""
        while cursor != b"0":

            def tidy(to: Arguments, cursor: bytes = cursor or b"0") -> None:
                to.bytes(cursor)
                to.number(_AT_ONCE)

            cursor = await store.ask(READING, "tidy_seen", packed(tidy), tag)

    async def depart(self, departures: Sequence[Departure]) -> list[DepartOutcome]:
        told = await self.batch(TURNING, "depart", wholes.departure, departures, lambda each: each.run_id)
        return [DepartOutcome(each.decode()) for each in told]

    async def restore(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        return await self._each("restore", images)

    async def rehearse(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        return await self._each("rehearse", images)

    async def _each(self, verb: str, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        for image in images:
            check_image(image)
        outcomes: list[RestoreOutcome] = []
        for image in images:  # one call each: a run may be large, and nobody else is served meanwhile
            [told] = await self.batch(TURNING, verb, wholes.image, [unleased(image)], _of_image)
            outcomes.append(RestoreOutcome(told.decode()))
        return outcomes

    async def forget(self, departures: Sequence[Version]) -> None:
        await self.batch(TURNING, "forget", wholes.version, departures, lambda each: each.run_id, tells=False)

    async def settle(self, arrivals: Sequence[Arrival]) -> None:
        await self.batch(TURNING, "arrived", wholes.arrival, arrivals, lambda each: each.run_id, tells=False)

    async def erase(self, runs: Sequence[Version]) -> list[bool]:
        told = await self.batch(TURNING, "erase", wholes.version, runs, lambda each: each.run_id, tells=False)
        return [bool(each) for each in told]

    async def results(self, cursor: str | None = None, limit: int = 1_000) -> ResultPage:
        store = self.store()
        tag, at = _position(cursor, store.tags.count)

        def write(to: Arguments) -> None:
            to.bytes(at)
            to.number(limit)

        following, found = await store.ask(READING, "results", packed(write), tag)
        shown = tuple(_result(*each) for each in found)
        if following == b"0":
            tag += 1
        last = tag == store.tags.count
        return ResultPage(shown, None if last else f"{tag}.{following.decode()}")

    async def keep(self, results: Sequence[KeyedResult]) -> None:
        await self.batch(
            TURNING,
            "keep",
            wholes.result,
            results,
            lambda each: result_name(each.activity, each.key),
            tells=False,
        )

    async def tally(self) -> list[Tally]:
        sums = (Counter[_Group](), Counter[_Group](), Counter[_Group]())
        store = self.store()
        for tag in store.tags.all():
            await self._tally_of(store, tag, sums)
        runs, records, size = sums
        return [Tally(*group, runs[group], records[group], size[group]) for group in sorted(runs)]

    async def _tally_of(self, store: Store, tag: int, sums: tuple[Counter[_Group], ...]) -> None:
        at = 0
        while True:

            def write(to: Arguments, at: int = at) -> None:
                to.number(at)
                to.number(_RUNS_AT_ONCE)
                to.number(DAY)
                to.number(_AT_ONCE)

            read, found = await store.ask(READING, "tally", packed(write), tag)
            for machine, status, day, *told in found:
                group = (machine.decode(), RunStatus(status), day)
                for total, number in zip(sums, told, strict=True):
                    total[group] += number
            at += read
            if not read:
                return


def _note(entries: Sequence[Any], found: dict[UUID, _Seen]) -> None:
    for run_id, dedupe, consumed, reply in entries:
        found[UUID(bytes=run_id)][dedupe.decode()] = (consumed, reply)


def _itself(run: UUID) -> UUID:
    return run


def _of_image(image: RunImage) -> UUID:
    return image.run.run_id


def _position(cursor: str | None, tags: int) -> tuple[int, bytes]:
    """The tag that a page of results is in, and the server's own cursor there. Raises PayloadRefused."""
    if cursor is None:
        return 0, b"0"
    tag, dot, at = cursor.partition(".")
    if not (dot and tag.isdigit() and at.isdigit() and int(tag) < tags):
        raise PayloadRefused("cursor", "it is no cursor of this journal")
    return int(tag), at.encode()


def _image(reply: Any, namespace: str, seen: _Seen) -> RunImage:
    row, waiting, tasks, reported, letters, described, forgotten, eternal, past, kept = reply
    run = answers.run(row, namespace)
    deliveries = [answers.delivery(each, run.run_id) for each in waiting]
    dead = [
        DeadLetter(answers.delivery(each[:9], run.run_id), each[9].decode(), each[10]) for each in letters
    ]
    return RunImage(
        run=run,
        deliveries=tuple(sorted(deliveries, key=answers.due_order)),
        tasks=tuple(map(answers.task, tasks)),
        reported=tuple(reported),
        dead=tuple(sorted(dead, key=lambda letter: (letter.at, letter.delivery.id.int))),
        attributes=answers.attributes(described),
        forgotten=forgotten,
        eternal=bool(eternal),
        generations=tuple((below, over) for below, over in past),
        seen=tuple((name, consumed) for name, (consumed, _) in sorted(seen.items())),
        replies=tuple((name, reply) for name, (_, reply) in sorted(seen.items()) if reply is not None),
        members=answers.members(kept),
    )


def _result(name: bytes, owner: bytes, until: int, result: bytes) -> KeyedResult:
    [length] = _LENGTH.unpack_from(name)
    activity, key = name[2 : 2 + length], name[2 + length :]
    run_id, token, slot = _OWNER.unpack(owner)
    return KeyedResult(activity.decode(), key.decode(), UUID(bytes=run_id), token, slot, until, result)
