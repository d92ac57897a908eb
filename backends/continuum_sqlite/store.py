"""What an open handle holds: two threads with a connection each, on one file, for one event loop.

Rule: whoever uses it from another process or another event loop is told so in a sentence; SQLite's
locks do not survive a fork, and an answer cannot reach a loop that did not ask.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TypeVar, cast

from attrs import define

from continuum_core.errors import UsageError
from continuum_core.journal.protocol import Limits
from continuum_sqlite import hub
from continuum_sqlite.clock import HostClock
from continuum_sqlite.lane import Lane
from continuum_sqlite.place import Place, check_place
from continuum_sqlite.reader import Reader
from continuum_sqlite.transaction import Transaction
from continuum_sqlite.wakeups import Wakeups
from continuum_sqlite.writer import Writer

__all__ = ["Store", "open_store"]

Answer = TypeVar("Answer")


@define(eq=False)
class Store:
    """An opened file.

    :ivar path: without links.
    :ivar schema: version of its schema.
    """

    path: str
    schema: int
    wakeups: Wakeups
    _hub: hub.Hub
    _writing: Lane
    _reading: Lane
    _loop: asyncio.AbstractEventLoop
    _process: int

    async def write(
        self,
        verb: Callable[[Transaction], Answer],
        peek: Callable[[Transaction], Answer | None] | None = None,
        tells: bool = False,
    ) -> Answer:
        """The answer of a verb that writes; see `lane.Job` for the arguments."""
        answer = cast("Answer", await self._writing.ask(verb, peek, tells))
        if tells:
            self.wakeups.wrote()
        return answer

    async def read(self, verb: Callable[[Transaction], Answer]) -> Answer:
        """The answer of a verb that only reads."""
        return cast("Answer", await self._reading.ask(verb))

    def check_use(self) -> None:
        """Raise UsageError where this store cannot serve."""
        if self._process != os.getpid():
            raise UsageError(
                f"the journal {self.path} was opened in process {self._process}, not in this fork of it; "
                "open journals after forking"
            )
        if self._loop is not asyncio.get_running_loop():
            raise UsageError(
                f"the journal {self.path} was opened on another event loop; use its sibling() on this one"
            )

    async def close(self) -> None:
        """End both threads once they have done what they were asked."""
        if self._process != os.getpid():
            return  # a fork has no threads to end, and must not touch the file
        try:
            if self._loop is asyncio.get_running_loop():
                await self.wakeups.close()
                self._reading.stop()
                self._writing.stop()
                await self._reading.ended()
                await self._writing.ended()
            else:  # the loop it was opened on is gone, or is not the one that waits
                self._reading.abandon()
                self._writing.abandon()
        finally:
            hub.leave(self.path, self._hub)


async def open_store(
    place: Place, namespace: str, limits: Limits, clock: HostClock, *, makes: bool = True
) -> Store:
    """Open a file. Raises IncompatibleJournal, JournalUnavailable, and UsageError after a fork.

    :param makes: what is not there is made. False: it is refused (JournalMissing), and nothing is changed.
    """
    check_place(place)
    path = place.real_path()
    if hub.forked(path):
        raise UsageError(
            f"this process was forked while {path} was open, and SQLite cannot go on with it here; "
            "open journals after forking, or start processes by the 'spawn' method"
        )
    shared = hub.enter(path)
    try:
        writer = Writer(place, namespace, limits, clock, shared, makes=makes)
        writing = Lane(f"continuum-sqlite-writer {namespace}", writer)
        await writing.start()
        try:
            reader = Reader(place, namespace, lambda: writer.ns, limits, clock)
            reading = Lane(f"continuum-sqlite-reader {namespace}", reader)
            await reading.start()
        except BaseException:
            writing.stop()
            await writing.ended()
            raise
    except BaseException:
        hub.leave(path, shared)
        raise

    async def look() -> bool:
        return cast("bool", await reading.ask(reader.changed))

    hints = None if place.hints is None else place.hints(_topic(path, namespace))
    return Store(
        path,
        writer.schema,
        Wakeups(shared, writer.hand, look, writing.nudge, hints),
        shared,
        writing,
        reading,
        asyncio.get_running_loop(),
        os.getpid(),
    )


def _topic(path: str, namespace: str) -> str:
    """Without the directory, which need not be called the same in every container."""
    return f"sqlite {os.path.basename(path)} {namespace}"
