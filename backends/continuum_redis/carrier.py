"""Whole runs: dumped, ended so that they go on elsewhere, restored, erased; keyed results; what is stored.

Rule: a run departs or arrives in one call of the script, and so whole. Dedupe ids of all runs stand in one
index, which a dump reads through once for all the runs it was asked for: ask for many at a time.
"""

from __future__ import annotations

import operator
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar
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
from continuum_redis.arguments import Arguments
from continuum_redis.store import Store

__all__ = ["RedisCarrier"]

M = TypeVar("M")

_AT_ONCE = 1_000
"""Entries of an index that one call reads: nobody else is served meanwhile."""

_RUNS_AT_ONCE = 50
"""Runs that one call of `tally` reads, histories and all."""

_Group = tuple[str, RunStatus, int]

_OWNER = struct.Struct(">16sQI")
_LENGTH = struct.Struct(">H")

_turning = operator.attrgetter("turning")
_reading = operator.attrgetter("reading")


class _Batch(Protocol):
    async def __call__(
        self,
        lane: Callable[[Store], Any],
        verb: str,
        write: Callable[[Arguments, M], None],
        members: Sequence[M],
        *,
        tells: bool = ...,
    ) -> Sequence[Any]: ...


_Ask = Callable[[str, Callable[[Arguments], None]], Awaitable[Any]]


@frozen
class RedisCarrier:
    """See `continuum_core.journal.carrying.Carrier`.

    :ivar batch: the reply for each member, of the verb on the lane.
    :ivar ask: the reply of a call that reads.
    """

    namespace: str
    batch: _Batch
    ask: _Ask

    async def dump(self, runs: Sequence[UUID]) -> list[Dumped | None]:
        told = await self.batch(_reading, "dump", Arguments.uuid, runs, tells=False)
        seen = await self._seen([run_id for run_id, each in zip(runs, told, strict=True) if each is not None])
        return [
            None if each is None else Dumped(_image(each[0], self.namespace, seen[run_id]), each[1])
            for run_id, each in zip(runs, told, strict=True)
        ]

    async def _seen(self, runs: Sequence[UUID]) -> dict[UUID, dict[str, int | None]]:
        """Dedupe ids of runs. Read after the runs: what came since shows in their marks."""
        found: dict[UUID, dict[str, int | None]] = {run_id: {} for run_id in runs}
        cursor = b"0"
        while runs:

            def write(to: Arguments, cursor: bytes = cursor) -> None:
                to.bytes(cursor)
                to.number(_AT_ONCE)
                to.list(to.uuid, runs)

            cursor, entries = await self.ask("seen_of", write)
            for run_id, dedupe, consumed in entries:
                found[UUID(bytes=run_id)][dedupe.decode()] = consumed
            if cursor == b"0":
                break
        return found

    async def depart(self, departures: Sequence[Departure]) -> list[DepartOutcome]:
        told = await self.batch(_turning, "depart", wholes.departure, departures)
        return [DepartOutcome(each.decode()) for each in told]

    async def restore(self, images: Sequence[RunImage]) -> list[RestoreOutcome]:
        for image in images:
            check_image(image)
        outcomes: list[RestoreOutcome] = []
        for image in images:  # one call each: a run may be large, and nobody else is served meanwhile
            [told] = await self.batch(_turning, "restore", wholes.image, [unleased(image)])
            outcomes.append(RestoreOutcome(told.decode()))
        return outcomes

    async def settle(self, arrivals: Sequence[Arrival]) -> None:
        await self.batch(_turning, "settle", wholes.arrival, arrivals, tells=False)

    async def erase(self, runs: Sequence[Version]) -> list[bool]:
        told = await self.batch(_turning, "erase", wholes.version, runs, tells=False)
        return [bool(each) for each in told]

    async def results(self, cursor: str | None = None, limit: int = 1_000) -> ResultPage:
        at = b"0" if cursor is None else cursor.encode()
        if not at.isdigit():
            raise PayloadRefused("cursor", "it is no cursor of this journal")

        def write(to: Arguments) -> None:
            to.bytes(at)
            to.number(limit)

        following, found = await self.ask("results", write)
        shown = tuple(_result(*each) for each in found)
        return ResultPage(shown, None if following == b"0" else following.decode())

    async def keep(self, results: Sequence[KeyedResult]) -> None:
        await self.batch(_turning, "keep", wholes.result, results, tells=False)

    async def tally(self) -> list[Tally]:
        runs, records, size = Counter[_Group](), Counter[_Group](), Counter[_Group]()
        at = 0
        while True:

            def write(to: Arguments, at: int = at) -> None:
                to.number(at)
                to.number(_RUNS_AT_ONCE)
                to.number(DAY)

            read, found = await self.ask("tally", write)
            for machine, status, day, *told in found:
                group = (machine.decode(), RunStatus(status), day)
                for sums, number in zip((runs, records, size), told, strict=True):
                    sums[group] += number
            at += read
            if read < _RUNS_AT_ONCE:
                break
        return [Tally(*group, runs[group], records[group], size[group]) for group in sorted(runs)]


def _image(reply: Any, namespace: str, seen: dict[str, int | None]) -> RunImage:
    row, waiting, tasks, reported, letters = reply
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
        seen=tuple(sorted(seen.items())),
    )


def _result(name: bytes, owner: bytes, until: int, result: bytes) -> KeyedResult:
    [length] = _LENGTH.unpack_from(name)
    activity, key = name[2 : 2 + length], name[2 + length :]
    run_id, token, slot = _OWNER.unpack(owner)
    return KeyedResult(activity.decode(), key.decode(), UUID(bytes=run_id), token, slot, until, result)
