"""Who waits for which run to end, or for which reply: one watcher for all of them.

A run that ends in this process is told at once. Ends in other processes are found by reading the rows
of all awaited runs together, whenever the journal hints that something changed, and at the latest after
one poll: a lost hint delays and never strands. A run is read when it begins to be awaited, too, for it may
have ended before; one that a worker of this process has in hand only a second later: most have ended by then.

A journal that is away is asked again until it answers. One that refuses for good is not waited for: the
refusal is what all who wait are told.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from msgspec import Struct

from continuum_core.awaited import Awaited
from continuum_core.errors import ContinuumError, IncompatibleJournal, JournalUnavailable, UsageError
from continuum_core.host import Host, Job
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED, Run, RunStatus
from continuum_core.journal.replies import Asked, Replied, ReplyState, replying
from continuum_core.lane import Backoff

__all__ = ["End", "Waiting"]

logger = logging.getLogger(__name__)

K = TypeVar("K")
A = TypeVar("A")

_BATCH = 500
"""Rows read at a time."""

_REST = 10
"""After a reading, hints are passed over for so many times as long as it took, at most for one poll: where
much is written and many are waited for, reading all of them at each hint would cost more than the runs."""

_GRACE = 1.0
"""Seconds until the first reading of a run in hand: one row less to read for all that end sooner."""

_CAP = 5.0
"""Seconds between two tries of a journal that is away, at most."""


class End(Struct, frozen=True):
    """How a run ended: its status and the stored bytes of its outcome. `run` is None if none is there."""

    status: RunStatus | None
    outcome: bytes | None


class Waiting:
    """The waiters of one client.

    :param poll: seconds after which awaited runs are read though nothing hints at it.
    """

    def __init__(self, host: Host, journal: Journal, poll: float) -> None:
        self._host = host
        self._journal = journal
        self._poll = poll
        self._ends: Awaited[UUID, End] = Awaited("runs", self._read_ends, self._ended)
        self._replies: Awaited[Asked, Replied] = Awaited("replies", self._read_replies)
        self._later: deque[tuple[float, UUID]] = deque()  # when to read which run for the first time
        self._wake = host.flag()
        self._jobs: list[Job] = []
        self._idle = host.flag()  # nothing is being read
        self._idle.set()
        self._rest_until = 0.0
        self._all = False  # the next reading is of all that is awaited
        self._all_read = 0.0  # when the last one ended
        self.in_hand: Callable[[UUID], bool] = lambda _run: False

    async def end(self, run: UUID, seconds: float | None) -> End | None:
        """Wait for a run to end; None after `seconds`. Raises why the journal will never tell."""
        waiter = self._ends.enter(run, self._host.flag())
        if not self.in_hand(run):
            self._ends.unread(run)
            self._wake.set()
        else:
            if not self._later:
                self._wake.set()
            self._later.append((self._host.monotonic() + _GRACE, run))
        self._watch()
        return await self._ends.wait(run, waiter, seconds)

    async def reply(self, asked: Asked, seconds: float | None) -> Replied | None:
        """Wait until a question waits no more; None after `seconds`. Raises as `end` does."""
        asker = self._replies.enter(asked, self._host.flag())
        self._replies.unread(asked)
        self._wake.set()
        self._watch()
        return await self._replies.wait(asked, asker, seconds)

    def tell_reply(self, asked: Asked, answer: Replied) -> None:
        """What became of a question was seen."""
        self._replies.tell(asked, answer)

    def tell(self, run: UUID, end: End) -> None:
        """A run was seen to end."""
        self._ends.tell(run, end)

    def reread(self, run: UUID) -> None:
        """A run may have ended: look, where somebody waits for it."""
        if run in self._ends:
            self._ends.unread(run)
            self._wake.set()

    def _ended(self, run: UUID) -> None:
        left = [asked for asked in self._replies.names() if asked.run_id == run] if self._replies else []
        if left:  # what it did not take, it will not
            self._replies.unread(*left)
            self._wake.set()

    def wake(self) -> None:
        """Let everybody go, with nothing to tell: what they wait with is closed or broken."""
        self._ends.let_go()
        self._replies.let_go()

    async def close(self) -> None:
        for job in self._jobs:
            job.cancel()
        for job in self._jobs:
            await job.join()
        self._jobs.clear()
        self.wake()

    def _watch(self) -> None:
        """Start the watcher with the first waiter: a client that never waits costs nothing."""
        if not self._jobs:
            self._jobs = [
                self._host.spawn(self._read(), "continuum-results"),
                self._host.spawn(self._hints(), "continuum-result-hints"),
            ]

    # --- when to read

    async def _hints(self) -> None:
        """Have everybody read for at each hint, or one poll after the last time."""
        backoff = self._backoff()
        while True:
            try:
                await self._journal.wait(self._poll)
                backoff.reset()
            except JournalUnavailable:
                await self._host.sleep(backoff.delay())
            except Exception:  # whoever waits must not wait for ever for the want of hints
                logger.exception("waiting for hints failed; awaited runs are read now and then")
                await self._host.sleep(backoff.delay())
            await self._idle.wait()  # else a hint in the middle of a reading would not let it rest
            pause = min(self._rest_until, self._all_read + self._poll) - self._host.monotonic()
            if pause > 0:
                await self._host.sleep(pause)
            if self._ends or self._replies:
                self._all = True
                self._ends.unread(*self._ends.names())
                self._replies.unread(*self._replies.names())
                self._wake.set()

    def _backoff(self) -> Backoff:
        return Backoff(self._host, cap=min(_CAP, self._poll))

    def _put_off(self) -> float | None:
        """Take up the runs whose first reading is due; seconds until the next one is, None for none."""
        now = self._host.monotonic()
        while self._later:
            due, run = self._later[0]
            if run in self._ends:
                if due > now:
                    return due - now
                self._ends.unread(run)
            self._later.popleft()
        return 0.0 if self._ends.any_unread or self._replies.any_unread else None

    # --- reading

    async def _read(self) -> None:
        backoff = self._backoff()
        while True:
            await self._wake.wait(self._put_off())
            self._wake.clear()
            self._idle.clear()
            every, self._all = self._all, False
            questions, runs = self._replies.taken(), self._ends.taken()
            began = self._host.monotonic()
            answered = await self._read_all(self._replies, questions)
            read = await self._read_all(self._ends, runs) and answered
            now = self._host.monotonic()
            if every:
                self._all_read = now
            if read:  # else the time says nothing: that is how long the journal was away
                self._rest_until = now + min(_REST * (now - began), self._poll)
            self._idle.set()
            if read:
                backoff.reset()
            else:
                await self._host.sleep(backoff.delay())

    async def _read_all(self, awaited: Awaited[K, A], names: Sequence[K]) -> bool:
        """Read all of these; False when some of them could not be read, and are to be read again."""
        every = True
        for start in range(0, len(names), _BATCH):
            every = await self._read_some(awaited, names[start : start + _BATCH]) and every
        return every

    async def _read_some(self, awaited: Awaited[K, A], names: Sequence[K]) -> bool:
        try:
            await awaited.look(names)
        except JournalUnavailable as error:
            logger.warning("reading awaited %s: %s; trying again", awaited.what, error)
        except (IncompatibleJournal, UsageError) as error:
            for name in names:
                awaited.refuse(name, error)
            return True
        except ContinuumError as error:
            return await self._find_refused(awaited, names, error)
        except Exception as error:  # what should never be: but somebody waits for this loop alone
            logger.exception("reading awaited %s: %s; trying again", awaited.what, error)
        else:
            return True
        awaited.unread(*names)
        return False

    async def _find_refused(self, awaited: Awaited[K, A], names: Sequence[K], error: Exception) -> bool:
        """One of the rows is at fault (its key is not here): who waits for the others must not suffer."""
        if len(names) == 1:
            awaited.refuse(names[0], error)
            return True
        middle = len(names) // 2
        first = await self._read_some(awaited, names[:middle])
        return await self._read_some(awaited, names[middle:]) and first

    async def _read_ends(self, runs: Sequence[UUID]) -> Sequence[End | None]:
        return [_end_of(row) for row in await self._journal.load(runs)]

    async def _read_replies(self, questions: Sequence[Asked]) -> Sequence[Replied | None]:
        answers = await replying(self._journal).replies(questions)
        return [None if answer.state is ReplyState.PENDING else answer for answer in answers]


def _end_of(row: Run | None) -> End | None:
    if row is None:
        return End(None, None)
    return End(row.status, row.outcome) if row.status in ENDED else None
