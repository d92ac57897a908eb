"""A thread with a queue of verbs, and the way their answers go back to the event loop.

Rule: the thread owns its connection from opening to closing, and ends with it. A verb whose caller was
cancelled before its turn is left out; one that is being carried out is finished, and its answer dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from attrs import define

from continuum_core.errors import UsageError
from continuum_sqlite.transaction import Transaction

__all__ = ["Job", "Lane", "Verb", "Worker"]

_BATCH = 512
"""Verbs handed over at once, at most: other processes wait for the write lock meanwhile."""

Verb = Callable[[Transaction], object]


@define(eq=False)
class Job:
    """A verb that waits for its turn.

    :ivar peek: the answer where reading shows that there is nothing to write, else None. A poll that
        finds nothing then takes no lock from anybody.
    :ivar tells: others may have something to do afterwards.
    """

    verb: Verb
    future: asyncio.Future[object]
    peek: Verb | None = None
    tells: bool = False
    answer: object = None
    error: Exception | None = None


class Worker(Protocol):
    """What a lane's thread does. All of it is called by that thread alone."""

    def open(self) -> None: ...

    def carry_out(self, jobs: Sequence[Job]) -> None:
        """Set `answer` or `error` of each job. Raises nothing."""

    def close(self) -> None: ...


class Lane:
    """One thread; used from the event loop it was made in."""

    def __init__(self, name: str, worker: Worker) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._stopped = False

    async def start(self) -> None:
        """Open the connection. What that raises is raised here, and the thread has ended then."""
        self._thread.start()
        try:
            await self._opened
        except BaseException:
            self.stop()
            await self.ended()
            raise

    async def ask(self, verb: Verb, peek: Verb | None = None, tells: bool = False) -> object:
        """Have a verb carried out, and give its answer. Raises UsageError once it was told to stop."""
        if self._stopped:
            raise UsageError("the journal was closed")
        job = Job(verb, self._loop.create_future(), peek, tells)
        self._queue.put(job)
        return await job.future

    def nudge(self) -> None:
        """Have the thread look up, with nothing to carry out: nobody waits for this."""
        nobody: asyncio.Future[object] = self._loop.create_future()
        nobody.cancel()
        self._queue.put(Job(lambda _: None, nobody))

    def stop(self) -> None:
        """Have the thread carry out what is queued, close the connection and end."""
        self._stopped = True
        self._queue.put(None)

    async def ended(self) -> None:
        """Return when the thread has ended. Being cancelled here does not keep it from ending."""
        await asyncio.shield(self._ended)
        self._thread.join()  # it has said that it ends: nothing is waited for

    def abandon(self) -> None:
        """Stop, and wait for the thread itself: for whoever is not on the event loop it was made in."""
        self.stop()
        self._thread.join()

    # --- the thread

    def _run(self) -> None:
        try:
            self._worker.open()
        except Exception as error:
            self._tell(_fail, self._opened, error)
        else:
            self._tell(_wake, self._opened)
            running = True
            while running:
                jobs, running = self._gather()
                self._worker.carry_out(jobs)
                self._tell(_answer, jobs)
        finally:
            self._worker.close()
            self._tell(_wake, self._ended)

    def _gather(self) -> tuple[list[Job], bool]:
        """What waits now, at least one thing; and whether to go on afterwards."""
        jobs: list[Job] = []
        item = self._queue.get()
        with contextlib.suppress(Empty):
            while item is not None:
                if not item.future.cancelled():
                    jobs.append(item)
                if len(jobs) == _BATCH:
                    return jobs, True
                item = self._queue.get_nowait()
            return jobs, False
        return jobs, True

    def _tell(self, what: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is there to be told
            self._loop.call_soon_threadsafe(what, *arguments)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _answer(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue  # its caller was cancelled meanwhile
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.answer)
