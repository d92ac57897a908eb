"""Who waits for which run to end, or for which reply: one watcher for all of them.

A run that ends in this process is told at once. Ends in other processes are found by reading the rows
of all awaited runs together, whenever the journal hints that something changed, and at the latest after
one poll: a lost hint delays and never strands. A run is read when it begins to be awaited, too, for it may
have ended before; one that a worker of this process has in hand only a second later: most have ended by then.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from continuum_core.errors import JournalUnavailable
from continuum_core.host import Flag, Host, Job
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import ENDED, Run, RunStatus
from continuum_core.journal.replies import Asked, Replied, ReplyState, replying

__all__ = ["End", "Waiting"]

logger = logging.getLogger(__name__)

_BATCH = 500
"""Rows read at a time."""

_REST = 10
"""After a reading, hints are passed over for so many times as long as it took: where much is written and many
are waited for, reading all of them at each hint would cost more than the runs themselves."""


_GRACE = 1.0
"""Seconds until the first reading of a run in hand: one row less to read for all that end sooner."""


class End(Struct, frozen=True):
    """How a run ended: its status and the stored bytes of its outcome. `run` is None if none is there."""

    status: RunStatus | None
    outcome: bytes | None


class _Waiter:
    __slots__ = ("end", "flag")

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self.end: End | None = None


class _Asker:
    __slots__ = ("answer", "flag")

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self.answer: Replied | None = None


class Waiting:
    """The waiters of one client.

    :param poll: seconds after which awaited runs are read though nothing hints at it.
    """

    def __init__(self, host: Host, journal: Journal, poll: float) -> None:
        self._host = host
        self._journal = journal
        self._poll = poll
        self._waiters: dict[UUID, list[_Waiter]] = {}
        self._fresh: list[UUID] = []
        self._askers: dict[Asked, list[_Asker]] = {}
        self._unread: list[Asked] = []
        self._later: deque[tuple[float, UUID]] = deque()  # when to read which run for the first time
        self._wake = host.flag()
        self._jobs: list[Job] = []
        self._rest_until = 0.0
        self.in_hand: Callable[[UUID], bool] = lambda _run: False

    async def end(self, run: UUID, seconds: float | None) -> End | None:
        """Wait for a run to end; None after `seconds`."""
        waiter = _Waiter(self._host.flag())
        self._waiters.setdefault(run, []).append(waiter)
        if not self.in_hand(run):
            self._fresh.append(run)
            self._wake.set()
        else:
            if not self._later:
                self._wake.set()
            self._later.append((self._host.monotonic() + _GRACE, run))
        self._watch()
        try:
            await waiter.flag.wait(seconds)
        finally:
            if waiter.end is None:  # else `tell` has taken it out
                self._forget(run, waiter)
        return waiter.end

    async def reply(self, asked: Asked, seconds: float | None) -> Replied | None:
        """Wait until a question waits no more; None after `seconds`."""
        asker = _Asker(self._host.flag())
        self._askers.setdefault(asked, []).append(asker)
        self._unread.append(asked)
        self._wake.set()
        self._watch()
        try:
            await asker.flag.wait(seconds)
        finally:
            left = [other for other in self._askers.pop(asked, []) if other is not asker]
            if left:
                self._askers[asked] = left
        return asker.answer

    def tell_reply(self, asked: Asked, answer: Replied) -> None:
        """What became of a question was seen."""
        for asker in self._askers.pop(asked, []):
            asker.answer = answer
            asker.flag.set()

    def _forget(self, run: UUID, waiter: _Waiter) -> None:
        left = [w for w in self._waiters.get(run, []) if w is not waiter]
        if left:
            self._waiters[run] = left
        else:
            self._waiters.pop(run, None)

    def tell(self, run: UUID, end: End) -> None:
        """A run was seen to end."""
        for waiter in self._waiters.pop(run, []):
            waiter.end = end
            waiter.flag.set()
        left = [asked for asked in self._askers if asked.run_id == run]
        if left:  # what it did not take, it will not
            self._unread += left
            self._wake.set()

    def wake(self) -> None:
        """Let everybody go, with nothing to tell: what they wait with is closed or broken."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.flag.set()
        for askers in self._askers.values():
            for asker in askers:
                asker.flag.set()

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

    async def _hints(self) -> None:
        while True:
            try:
                await self._journal.wait(self._poll)
            except JournalUnavailable:
                await self._host.sleep(self._poll)
            except Exception:  # whoever waits must not wait for ever for the want of hints
                logger.exception("waiting for hints failed; awaited runs are read now and then")
                await self._host.sleep(self._poll)
            pause = self._rest_until - self._host.monotonic()
            if pause > 0:
                await self._host.sleep(pause)
            if self._waiters or self._askers:
                self._fresh.extend(self._waiters)
                self._unread.extend(self._askers)
                self._wake.set()

    async def _read(self) -> None:
        while True:
            await self._wake.wait(self._put_off())
            self._wake.clear()
            # In order and without repeats; who is no longer awaited is not read.
            runs = [run for run in dict.fromkeys(self._fresh) if run in self._waiters]
            self._fresh.clear()
            questions = [asked for asked in dict.fromkeys(self._unread) if asked in self._askers]
            self._unread.clear()
            began = self._host.monotonic()
            for start in range(0, len(questions), _BATCH):
                await self._look_for_replies(questions[start : start + _BATCH])
            for start in range(0, len(runs), _BATCH):
                await self._look(runs[start : start + _BATCH])
            now = self._host.monotonic()
            self._rest_until = now + _REST * (now - began)

    def _put_off(self) -> float | None:
        """Take up the runs whose first reading is due; seconds until the next one is, None for none."""
        now = self._host.monotonic()
        while self._later:
            due, run = self._later[0]
            if run in self._waiters:
                if due > now:
                    return due - now
                self._fresh.append(run)
            self._later.popleft()
        return 0.0 if self._fresh or self._unread else None

    async def _look_for_replies(self, questions: list[Asked]) -> None:
        try:
            answers = await replying(self._journal).replies(questions)
        except Exception as error:  # as in `_look`
            await self._put_by("replies", error)
            self._unread.extend(questions)
            self._wake.set()
            return
        for asked, answer in zip(questions, answers, strict=True):
            if answer.state is not ReplyState.PENDING:
                self.tell_reply(asked, answer)

    async def _put_by(self, what: str, error: Exception) -> None:
        expected = isinstance(error, JournalUnavailable)
        level = logging.WARNING if expected else logging.ERROR
        logger.log(level, "reading awaited %s: %s; trying again", what, error, exc_info=not expected)
        await self._host.sleep(self._poll)

    async def _look(self, runs: list[UUID]) -> None:
        try:
            rows = await self._journal.load(runs)
        except Exception as error:  # also what should never be: somebody waits for this loop alone
            await self._put_by("runs", error)
            self._fresh.extend(runs)
            self._wake.set()
            return
        for run, row in zip(runs, rows, strict=True):
            end = _end_of(row)
            if end is not None:
                self.tell(run, end)


def _end_of(row: Run | None) -> End | None:
    if row is None:
        return End(None, None)
    return End(row.status, row.outcome) if row.status in ENDED else None
