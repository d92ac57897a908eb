"""How the crews of a run stand: child runs and members of collections, and what came of them; and its parent.

A run's snapshot tells which crews are not over and who is under way; what came of members is kept beside
the run until the crew is over. No code of a machine is needed, so results are JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from attrs import field, frozen
from msgspec import Raw

from continuum_core.archive import Archive
from continuum_core.envelope import CrewBody, FailureBody, TaskOutcomeBody, read
from continuum_core.errors import RunNotFound, UnknownVersion
from continuum_core.journal.commit import Inspection, Member
from continuum_core.journal.records import RunStatus, Task
from continuum_core.mapper import child_id, crews_of, origin_in
from continuum_core.origins import brood_of
from continuum_core.unopened import locked

__all__ = ["COUNTED", "CrewView", "Ended", "Parent", "UnderWay", "crews", "parent_of"]

COUNTED = 10_000
"""Outcomes of one crew that are read, at most."""


@frozen
class UnderWay:
    """A member that has not ended.

    :ivar run: the child run; None for an activity.
    :ivar status: of the child run, and `states` its active ones; None where it is not there yet.
    """

    number: int
    run: UUID | None = None
    status: RunStatus | None = None
    states: tuple[str, ...] = ()


@frozen
class Ended:
    """What came of a member: JSON values; or what it failed with, as ``class: message``."""

    number: int
    result: Any = None
    failure: str = ""


@frozen
class CrewView:
    """A crew that is not over.

    :ivar state: the state that started it, by dotted path.
    :ivar work: the child runs' machine, or the activity; "" where none is under way to tell.
    :ivar runs: whether its members are child runs.
    :ivar total: how many members it has: `ended` of them have ended, `waiting` have not begun.
    :ivar failed: how many of them failed, among the first 10,000 that are kept.
    :ivar under_way: those that have begun and not ended, in their order.
    :ivar results: what came of the first of them, in their order.
    """

    state: str
    work: str
    runs: bool
    total: int
    ended: int
    waiting: int
    failed: int = 0
    under_way: tuple[UnderWay, ...] = field(factory=tuple[UnderWay, ...])
    results: tuple[Ended, ...] = field(factory=tuple[Ended, ...])


@frozen
class Parent:
    """The run that a run came from.

    :ivar name: what it is called; its id where its row was pruned.
    :ivar kind: ``child`` or ``fork``.
    :ivar version: its record that started this run; 0 where nobody kept it.
    :ivar state: the state whose member `number` this child run is; "" for a fork.
    """

    run: UUID
    name: str
    kind: str
    version: int = 0
    state: str = ""
    number: int = 0


async def parent_of(archive: Archive, run_id: UUID) -> Parent | None:
    """The run that a run came from; None where a client started it. Raises RunNotFound."""
    row = await archive.row(run_id)
    if row.parent is None:
        return None
    name = archive.name(row.parent, await archive.find(row.parent))
    brood = brood_of(row.parent, await archive.records(row.parent))
    if run_id in brood.started:
        state, number = brood.states[run_id]
        return Parent(row.parent, name, "child", brood.started[run_id], state, number)
    body = await archive.forked(run_id)
    if body is not None:
        return Parent(row.parent, name, "fork", body.version)
    origin = None
    if row.snapshot and locked(row.snapshot) is None:
        origin = origin_in(row.snapshot)
    return Parent(row.parent, name, "child", number=0 if origin is None else origin.number)


async def crews(archive: Archive, run_id: UUID, most: int = 10) -> Sequence[CrewView]:
    """The crews of a run that are not over, in the order in which they began.

    :param most: of so many members that ended the results are told.

    Raises RunNotFound.
    """
    found = await archive.inspect(run_id)
    if found is None:
        raise RunNotFound(str(run_id))
    if locked(found.run.snapshot) is not None:
        return ()
    try:
        bodies = crews_of(found.run.snapshot)
    except UnknownVersion:
        return ()  # shown as stored: looking at a run must not need code that can run it
    return [await _crew(archive, found, body, most) for body in bodies]


async def _crew(archive: Archive, found: Inspection, body: CrewBody, most: int) -> CrewView:
    ends = await archive.members(found.run.run_id, body.token, COUNTED) if body.total > 1 else []
    told = [_ended(member) for member in ends]
    tasks = {task.slot: task for task in found.tasks if task.token == body.token}
    children = {number: child_id(found.run.run_id, body.token, number) for number in body.open if body.runs}
    await archive.load(list(children.values()))
    under_way = [await _under_way(archive, number, children.get(number)) for number in body.open]
    return CrewView(
        state=body.state,
        work=await _work(archive, children, tasks),
        runs=body.runs,
        total=body.total,
        ended=body.next - len(body.open),
        waiting=body.total - body.next,
        failed=sum(bool(each.failure) for each in told),
        under_way=tuple(under_way),
        results=tuple(told[:most]),
    )


async def _under_way(archive: Archive, number: int, child: UUID | None) -> UnderWay:
    row = None if child is None else await archive.find(child)
    if row is None:
        return UnderWay(number, child)
    return UnderWay(number, child, row.status, archive.states(row))


async def _work(archive: Archive, children: Mapping[int, UUID], tasks: Mapping[int, Task]) -> str:
    """The name of what members do, by the first that is stored."""
    for task in tasks.values():
        return task.activity
    for child in children.values():
        row = await archive.find(child)
        if row is not None:
            return row.machine
    return ""


def _ended(member: Member) -> Ended:
    sealed = locked(member.body)
    if sealed is not None:
        return Ended(member.number, f"({sealed})")
    told = read(TaskOutcomeBody, member.body)
    if isinstance(told.failure, FailureBody):
        return Ended(member.number, failure=f"{told.failure.type}: {told.failure.message}")
    result = msgspec.json.decode(told.output) if isinstance(told.output, Raw) else None
    return Ended(member.number, result)
