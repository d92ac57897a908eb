"""A queue of calls before a connection or two, and a task for each that carries them out.

Rule: no lingering. Whatever waits for the same verb when the connection is free is one call of the script. A
call whose caller was cancelled before its turn is left out; one under way is finished and its answer
dropped, so that no cancellation leaves a reply behind for somebody else.

A second connection takes what comes in masses, so that the server works on one batch while this process makes
the next: over one alone each would wait for the other. Calls that are awaited at the same time have no order.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

from attrs import define

from continuum_core.errors import UsageError
from continuum_redis.errors import LOST, port_error
from continuum_redis.link import Call, Link
from continuum_redis.wire import Writer

__all__ = ["Lane"]

_BATCH = 256
"""Members in one call at most: nobody else is served while it runs."""

_MASS = 64
"""Members that wait when a second connection takes some; fewer go together, for a call has its own price."""


@define(eq=False)
class _Job:
    """`members`, each with its tag; None: `calls` that are nobody else's."""

    verb: bytes
    head: bytes
    members: Sequence[tuple[int, bytes]] | None
    calls: Sequence[Call]
    future: asyncio.Future[list[Any]]


def _future() -> asyncio.Future[list[Any]]:
    return asyncio.get_running_loop().create_future()


class Lane:
    """One or two connections' tasks; used from the event loop it was opened in."""

    def __init__(self, name: str, *links: Link) -> None:
        self._name = name
        self._links = links
        self._jobs: deque[_Job] = deque()
        self._members = 0  # of the jobs that wait
        self._waiting = asyncio.Event()
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    async def gather(self, verb: str, members: Sequence[tuple[int, bytes]], head: bytes = b"") -> list[Any]:
        """One reply a member; members of other callers with the same head may share the call."""
        if not members:
            return []
        return await self._put(_Job(verb.encode(), head, members, (), _future()))

    async def ask(self, verb: str, arguments: bytes = b"", tag: int = 0) -> Any:
        """The reply of a call of its own."""
        [reply] = await self.ask_all([Call(tag, verb.encode(), arguments)])
        return reply

    async def ask_all(self, calls: Sequence[Call]) -> list[Any]:
        """The replies of calls that go out together."""
        return await self._put(_Job(b"", b"", None, calls, _future())) if calls else []

    async def _put(self, job: _Job) -> list[Any]:
        if self._stopped:
            raise UsageError("the journal was closed")
        self._jobs.append(job)
        self._members += _size(job)
        if not self._tasks or (len(self._tasks) < len(self._links) and self._members >= _MASS):
            link = self._links[len(self._tasks)]
            least = _MASS if self._tasks else 1
            self._tasks.append(asyncio.create_task(self._run(link, least), name=self._name))
        self._waiting.set()
        return await job.future

    async def stop(self) -> None:
        """Carry out what is queued, close the connections, and end."""
        self._stopped = True
        self._waiting.set()
        tasks, self._tasks = self._tasks, []
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    # --- the tasks

    async def _run(self, link: Link, least: int) -> None:
        """Carry out jobs while so many members wait; the first task takes whatever there is."""
        try:
            while True:
                if self._members >= least:
                    await self._together(link, self._next())
                elif self._stopped:
                    break
                else:
                    self._waiting.clear()
                    await self._waiting.wait()
        finally:
            if least == 1:
                for job in self._jobs:  # only when the loop itself is ending
                    job.future.cancel()
            await link.drop()

    def _next(self) -> list[_Job]:
        """What waits first, with what waits behind it and can go with it."""
        jobs = [self._jobs.popleft()]
        first = jobs[0]
        taken = _size(first)
        most = _BATCH if len(self._links) > 1 else sys.maxsize  # the rest is for the other connection
        while self._jobs and first.members is not None:
            following = self._jobs[0]
            if following.members is None or (following.verb, following.head) != (first.verb, first.head):
                break
            if taken + _size(following) > most:
                break
            taken += _size(following)
            jobs.append(self._jobs.popleft())
        self._members -= taken
        return [job for job in jobs if not job.future.done()]

    async def _together(self, link: Link, jobs: list[_Job]) -> None:
        if not jobs:
            return
        link.sent = False
        try:
            replies = await self._patiently(link, jobs)
        except Exception as error:  # of whatever kind: it is the verb's answer, and the task goes on
            ambiguous = isinstance(error, LOST) and link.sent
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(port_error(error, ambiguous))
            return
        for job, reply in zip(jobs, replies, strict=True):
            if not job.future.done():
                job.future.set_result(reply)

    async def _patiently(self, link: Link, jobs: list[_Job]) -> list[Any]:
        """Once more where the connection had died, perhaps long ago: every verb may be repeated."""
        try:
            return await self._carry_out(link, jobs)
        except LOST:
            return await self._carry_out(link, jobs)

    async def _carry_out(self, link: Link, jobs: list[_Job]) -> list[Any]:
        first = jobs[0]
        if first.members is None:
            return [await link.ask(first.calls)]
        members = [member for job in jobs for member in job.members or ()]
        places: list[Sequence[int]] = []
        calls: list[Call] = []
        tags = dict.fromkeys(tag for tag, _ in members)
        for tag in tags:
            mine: Sequence[int] = range(len(members))
            if len(tags) > 1:
                mine = [place for place, member in enumerate(members) if member[0] == tag]
            for at in range(0, len(mine), _BATCH):
                batch = mine[at : at + _BATCH]
                places.append(batch)
                packed = _batch(first.head, [members[place][1] for place in batch])
                calls.append(Call(tag, first.verb, packed))
        replies: list[Any] = [None] * len(members)
        for placed, told in zip(places, await link.ask(calls), strict=True):
            for place, reply in zip(placed, told, strict=True):
                replies[place] = reply
        each = iter(replies)
        return [[next(each) for _ in job.members or ()] for job in jobs]


def _size(job: _Job) -> int:
    return 1 if job.members is None else len(job.members)


def _batch(head: bytes, members: Sequence[bytes]) -> bytes:
    count = Writer()
    count.number(len(members))
    return b"".join([head, count.packed(), *members])
