"""Group commit: what many runs want of one verb of the journal, gathered into batches.

A lane sends what is pending as soon as the previous batch returned: nothing lingers to fill a batch,
and under load batches grow by themselves. When the journal is away, the lane tries the same batch
again, with backoff, until it answers: every verb is idempotent by the ids in its members (promise 6),
so that an unknown outcome resolves to one copy. Nothing fails; work waits.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from attrs import define

from continuum_core.errors import JournalUnavailable
from continuum_core.host import Flag, Host, Job

__all__ = ["Backoff", "Lane", "Patience"]

logger = logging.getLogger(__name__)

M = TypeVar("M")
A = TypeVar("A")


class Backoff:
    """Delays that double from `first` to `cap` seconds, with jitter, until something succeeds."""

    def __init__(self, host: Host, first: float = 0.05, cap: float = 5.0) -> None:
        self._host = host
        self._first = first
        self._cap = cap
        self._next = first

    def reset(self) -> None:
        self._next = self._first

    def delay(self) -> float:
        delay = self._next * (0.5 + self._host.random() / 2)
        self._next = min(self._cap, self._next * 2)
        return delay


class Patience:
    """Tries a verb again while the journal is away, for so many seconds."""

    def __init__(self, host: Host, seconds: float) -> None:
        self._host = host
        self._seconds = seconds

    async def __call__(self, verb: Callable[[], Awaitable[A]]) -> A:
        """What `verb` returns. Raises JournalUnavailable when the patience is at its end.

        The verb must be one that may be repeated: a reading, or one with ids of its own.
        """
        end = self._host.monotonic() + self._seconds
        backoff = Backoff(self._host)
        while True:
            try:
                return await verb()
            except JournalUnavailable:
                delay = backoff.delay()
                if self._host.monotonic() + delay >= end:
                    raise
                await self._host.sleep(delay)


@define(eq=False)
class _Member(Generic[M, A]):
    value: M
    answered: Callable[[A | None], None]
    since: float  # when it was submitted, by the host's monotonic clock
    refused: Callable[[Exception], None] | None = None


class Lane(Generic[M, A]):
    """A queue of members before one verb, and the loop that sends them.

    :param verb: takes a batch, answers one outcome per member in order.
    :param name: for logs and the spawned job.
    :param limit: members a batch at most.
    :param refresh: called before a batch is tried *again*, with a member and its age in seconds: what
        to send in its place, or None to give it up (its submitter is answered None).
    """

    def __init__(
        self,
        host: Host,
        verb: Callable[[Sequence[M]], Awaitable[Sequence[A]]],
        name: str,
        *,
        limit: int = 500,
        refresh: Callable[[M, float], M | None] = lambda member, _age: member,
    ) -> None:
        self._host = host
        self._verb = verb
        self._name = name
        self._limit = limit
        self._refresh = refresh
        self._pending: list[_Member[M, A]] = []
        self._wake: Flag = host.flag()
        self._idle: Flag = host.flag()
        self._idle.set()
        self._job: Job | None = None

    def open(self) -> None:
        self._job = self._host.spawn(self._run(), self._name)

    @property
    def job(self) -> Job | None:
        """The loop, to be watched."""
        return self._job

    def submit(
        self,
        member: M,
        answered: Callable[[A | None], None],
        refused: Callable[[Exception], None] | None = None,
    ) -> None:
        """Put a member in the next batch; `answered` is called with its outcome.

        :param refused: called in its place when the journal refuses this very member with an error;
            without it such an error is logged, and the answer is None.
        """
        self._pending.append(_Member(member, answered, self._host.monotonic(), refused))
        self._idle.clear()
        self._wake.set()

    async def ask(self, member: M) -> A | None:
        """Put a member in the next batch and wait for its outcome. Raises what refuses this very member."""
        answers: list[A | None] = []
        errors: list[Exception] = []
        flag = self._host.flag()

        def answered(answer: A | None) -> None:
            answers.append(answer)
            flag.set()

        def refused(error: Exception) -> None:
            errors.append(error)
            flag.set()

        self.submit(member, answered, refused)
        await flag.wait()
        if errors:
            raise errors[0]
        return answers[0]

    async def settled(self, seconds: float | None = None) -> bool:
        """Wait until nothing is pending; False when that took longer."""
        return await self._idle.wait(seconds)

    async def close(self) -> None:
        """Stop at once; what is pending stays undone."""
        if self._job is not None:
            self._job.cancel()
            await self._job.join()
            self._job = None

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                batch = self._pending[: self._limit]
                del self._pending[: self._limit]
                await self._send(batch)
            self._idle.set()

    async def _send(self, batch: list[_Member[M, A]]) -> None:
        backoff = Backoff(self._host)
        while batch:
            try:
                answers = await self._verb([member.value for member in batch])
            except JournalUnavailable as error:
                delay = backoff.delay()
                logger.warning("%s: %s; trying again in %.2f s", self._name, error, delay)
                await self._host.sleep(delay)
                batch = self._refreshed(batch)
                continue
            except Exception as error:
                await self._send_alone(batch, error)
                return
            for member, answer in zip(batch, answers, strict=True):
                member.answered(answer)
            return

    async def _send_alone(self, batch: list[_Member[M, A]], error: Exception) -> None:
        """One member is at fault, and the error does not say which: try them one by one."""
        if len(batch) > 1:
            for member in batch:
                await self._send([member])
            return
        [member] = batch
        if member.refused is not None:
            member.refused(error)
            return
        logger.error("%s: refused: %s", self._name, error, exc_info=error)
        member.answered(None)

    def _refreshed(self, batch: list[_Member[M, A]]) -> list[_Member[M, A]]:
        now = self._host.monotonic()
        kept: list[_Member[M, A]] = []
        for member in batch:
            value = self._refresh(member.value, now - member.since)
            if value is None:
                member.answered(None)
            else:
                member.value = value
                kept.append(member)
        return kept
