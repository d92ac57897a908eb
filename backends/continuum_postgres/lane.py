"""A queue of verbs before a connection or two, and a task for each that carries them out.

Rule: no lingering. Whatever waits for the same verb when a connection is free is one batch. A verb whose
caller was cancelled before its turn is left out; one under way is finished, so that no cancellation
leaves a transaction open, and its answer is dropped.

Who finds the first connection free may carry his verb out himself: no task is woken for it, neither there
nor back. He is a task that is cancelled only when all ends, for then the connection goes with him.

A second connection takes what comes in masses, so that the server works on one batch while this process makes
the next: over one alone each would wait for the other. Verbs that are awaited at the same time have no order.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import psycopg
from attrs import define

from continuum_core.errors import JournalUnavailable, UsageError
from continuum_postgres.errors import UNFIT, lost, port_error, retryable
from continuum_postgres.session import Session

__all__ = ["Lane"]

Member = TypeVar("Member")
Answer = TypeVar("Answer")

Verb = Callable[[Session, Sequence[Any]], Awaitable[Sequence[Any]]]

_BATCH = 1_000
_HALF = 250
"""Members in one batch where there are two connections: the rest is for the other."""

_MASS = 64
"""Members that wait when a second connection takes some; fewer go together, for a batch has its own price."""

_TRIES = 12
_SHORTEST, _LONGEST = 0.001, 0.1  # seconds before a transaction that met another is begun again


class _Door:
    """A lock that is had at once where it is free; `asyncio.Lock` knows only a wait for that."""

    def __init__(self) -> None:
        self.taken = False
        self._waiting: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> None:
        while self.taken:
            left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(left)
            await left
        self.taken = True

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Let the others in: they see for themselves who was first."""
        self.taken = False
        for left in self._waiting:
            if not left.done():  # its waiter was cancelled
                left.set_result(None)
        self._waiting.clear()


@define(eq=False)
class _Job:
    verb: Verb
    members: Sequence[Any]
    future: asyncio.Future[Sequence[Any]]


class Lane:
    """One or two connections' tasks; used from the event loop it was opened in.

    :ivar session: of the first connection.
    """

    def __init__(self, name: str, session: Session, second: Session | None = None) -> None:
        self.session = session
        self._sessions = [session] if second is None else [session, second]
        self._most = _BATCH if second is None else _HALF
        self._name = name
        self._jobs: deque[_Job] = deque()
        self._members = 0  # of the jobs that wait
        self._waiting = asyncio.Event()
        self._first = _Door()  # to the first connection
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    async def gather(
        self,
        verb: Callable[[Session, Sequence[Member]], Awaitable[Sequence[Answer]]],
        members: Sequence[Member],
        *,
        prompt: bool = False,
    ) -> list[Answer]:
        """One answer a member; members of other callers of the same verb may share the transaction.

        :param prompt: carry it out in the task of the caller, where nobody else uses the connection.
        """
        if not members:
            return []
        if prompt and not (self._jobs or self._first.taken):
            return list(await self._at_once(verb, members))
        return list(cast("Sequence[Answer]", await self._put(verb, members)))

    @property
    def free(self) -> bool:
        """Whether the first connection is there, and nobody uses it or waits for it."""
        return not (self._jobs or self._first.taken or self._stopped) and self.session.connected

    async def single(
        self,
        short: Callable[[Session, Member], Awaitable[Answer | None]],
        long: Callable[[Session, Sequence[Member]], Awaitable[Sequence[Answer]]],
        member: Member,
    ) -> Answer:
        """The answer about one member, in the task of the caller, who finds the lane `free`.

        All that a batch may need is left to the long way, which is taken where the short one does not answer:
        a run alone goes this way twice, and its code is cold by then.

        :param short: a statement that is a transaction by itself; None where it has done nothing.
        """
        session, unsure = self.session, False
        self._first.taken = True
        try:
            try:
                session.committing = False
                told = await short(session, member)
                if told is not None:
                    return told
            except (psycopg.Error, OSError, *UNFIT) as error:
                if lost(error):
                    unsure = session.committing  # whether it was done is found out on a new connection
                    await session.drop()
                else:
                    await session.recover()
            except BaseException:
                await session.recover()
                raise
            [answer] = await self._carry_out(session, long, (member,), unsure=unsure)
            return cast("Answer", answer)
        finally:
            self._first.leave()

    async def ask(self, verb: Callable[[Session], Awaitable[Answer]]) -> Answer:
        """The answer of a verb that is carried out by itself."""

        async def alone(session: Session, _: Sequence[Any]) -> Sequence[Any]:
            return [await verb(session)]

        answers = await self._put(alone, (None,))
        return cast("Answer", answers[0])

    async def _at_once(
        self,
        verb: Callable[[Session, Sequence[Member]], Awaitable[Sequence[Answer]]],
        members: Sequence[Member],
    ) -> Sequence[Answer]:
        self._check()
        async with self._first:
            return await self._carry_out(self.session, verb, members)

    def _check(self) -> None:
        if self._stopped:
            raise UsageError("the journal was closed")

    async def _put(self, verb: Verb, members: Sequence[Any]) -> Sequence[Any]:
        self._check()
        job = _Job(verb, members, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._members += len(members)
        begun = len(self._tasks)
        if not begun or (begun < len(self._sessions) and self._members >= _MASS):
            session, least = self._sessions[begun], _MASS if begun else 1
            self._tasks.append(asyncio.create_task(self._run(session, least), name=self._name))
        self._waiting.set()
        return await job.future

    async def stop(self) -> None:
        """Carry out what is queued, close the connections, and end."""
        self._stopped = True
        self._waiting.set()
        tasks, self._tasks = self._tasks, []
        if tasks:
            await asyncio.wait(tasks)
        async with self._first:  # who carries his verb out himself is done
            for session in self._sessions:
                await session.drop()  # of a task that never was, or was cancelled before it began
        for task in tasks:
            if not task.cancelled():
                task.result()

    # --- the tasks

    async def _run(self, session: Session, least: int) -> None:
        """Carry out jobs while so many members wait; the first task takes whatever there is."""
        try:
            while True:
                if self._members >= least:
                    await self._next_together(session)
                elif self._stopped:
                    break
                else:
                    self._waiting.clear()
                    await self._waiting.wait()
        finally:
            if least == 1:
                for job in self._jobs:  # only when the loop itself is ending
                    job.future.cancel()
            if session is self.session:
                async with self._first:
                    await session.drop()
            else:
                await session.drop()

    async def _next_together(self, session: Session) -> None:
        if session is not self.session:
            await self._together(session, self._next())
            return
        async with self._first:
            if self._jobs:  # the other task may have been faster
                await self._together(session, self._next())

    def _next(self) -> list[_Job]:
        """What waits first, with what waits behind it for the same verb."""
        first = self._jobs.popleft()
        jobs, size = [first], len(first.members)
        while self._jobs and self._jobs[0].verb is first.verb:
            if size + len(self._jobs[0].members) > self._most:
                break
            jobs.append(self._jobs.popleft())
            size += len(jobs[-1].members)
        self._members -= size
        return [job for job in jobs if not job.future.done()]

    async def _together(self, session: Session, jobs: list[_Job]) -> None:
        if not jobs:
            return
        members = [member for job in jobs for member in job.members] if len(jobs) > 1 else jobs[0].members
        try:
            answers = await self._carry_out(session, jobs[0].verb, members)
        except Exception as error:  # of whatever kind: it is the verb's answer, and the task goes on
            if len(jobs) > 1 and not isinstance(error, JournalUnavailable):
                for job in jobs:  # one is at fault, and the error does not say which
                    await self._together(session, [job])
                return
            for job in jobs:
                told = port_error(error, False)
                if not job.future.done():
                    job.future.set_exception(told)
            return
        at = 0
        for job in jobs:
            if not job.future.done():
                job.future.set_result(answers[at : at + len(job.members)])
            at += len(job.members)

    async def _carry_out(
        self, session: Session, verb: Verb, members: Sequence[Any], *, unsure: bool = False
    ) -> Sequence[Any]:
        """The verb's answers, tried again where it met others or a connection that was dead already.

        :param unsure: it may have been done already, by a statement whose answer was lost.
        """
        pause = _SHORTEST
        opened = session.opened
        session.partly = unsure
        for attempt in range(1, _TRIES + 1):
            session.committing = False
            try:
                return await verb(session, members)
            except (psycopg.Error, OSError, *UNFIT) as error:
                ambiguous = session.partly or (session.committing and lost(error))
                if lost(error):
                    await session.drop()
                else:
                    await session.recover()
                stale = lost(error) and not ambiguous and session.opened == opened
                if attempt == _TRIES or not (retryable(error) or (stale and attempt == 1)):
                    raise cast("Exception", port_error(error, ambiguous)) from error
            except BaseException:
                await session.recover()
                raise
            await asyncio.sleep(pause * (0.5 + random.random()))
            pause = min(pause * 2, _LONGEST)
        raise AssertionError("the last try answers or raises")
