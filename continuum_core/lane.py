"""Group commit: what many runs want of one verb of the journal, gathered into batches.

A lane sends what is pending as soon as the previous batch returned: nothing lingers to fill a batch,
and under load batches grow by themselves. What is pending in masses goes in two batches at a time, so
that the journal has one while the engine deals with the answers to the other: with a single one all
runs would move in step, and each side wait for the other. When the journal is away, the lane tries a
batch again, with backoff, until it answers: every verb is idempotent by the ids in its members
(promise 6), so that an unknown outcome resolves to one copy. Nothing fails; work waits.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from continuum_core.errors import JournalUnavailable, PayloadCodecFailed
from continuum_core.host import Flag, Host, Job
from continuum_core.outage import Outage

__all__ = ["Asker", "Backoff", "Lane", "Loop", "Patience", "Unheard"]

logger = logging.getLogger(__name__)

_MASS = 64  # members that a second batch takes at least: fewer wait, for a batch has its own price

M = TypeVar("M")
A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)


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

        It is ambiguous where any of the tries was. What a payload codec cannot write is raised at once,
        unless an earlier try may have been carried out: the next one would tell.

        The verb must be one that may be repeated: a reading, or one with ids of its own.
        """
        end = self._host.monotonic() + self._seconds
        backoff, unsure = Backoff(self._host), False
        while True:
            try:
                return await verb()
            except JournalUnavailable as error:
                unsure = unsure or error.ambiguous
                delay = backoff.delay()
                if isinstance(error, PayloadCodecFailed) and not unsure:
                    raise
                if self._host.monotonic() + delay >= end:
                    if unsure and not error.ambiguous:
                        raise JournalUnavailable(error.reason, ambiguous=True) from error
                    raise
                await self._host.sleep(delay)


Loop = Callable[[], Coroutine[Any, Any, None]]


def _unwatched(_name: str, loop: Loop) -> Coroutine[Any, Any, None]:
    return loop()


class Asker(Protocol[A_contra]):
    """Who put a member into a lane. An object, for two callbacks would be two objects more, at each step."""

    def answered(self, answer: A_contra | None) -> None:
        """The outcome of the member; None where it was given up."""
        ...

    def refused(self, error: Exception) -> None:
        """The journal refuses this very member."""
        ...


class Unheard:
    """An asker that wants to know nothing."""

    def answered(self, answer: object) -> None:
        """Nobody waits for it."""

    def refused(self, error: Exception) -> None:
        logger.error("refused: %s", error, exc_info=error)


# A lane drops every member once it is answered, so none is left to the garbage collector to find.
class _Member(Struct, Generic[M, A], eq=False, gc=False):
    value: M
    asker: Asker[A]
    since: float  # when it was submitted, by the host's monotonic clock
    unsure: bool = False  # it was sent, and nobody knows what became of it
    done: bool = False  # it was told its outcome


class _Asking(Generic[A]):
    """Somebody who waits for the outcome of one member."""

    __slots__ = ("also", "answer", "error", "flag")

    def __init__(self, flag: Flag, also: Callable[[A | None], None] | None) -> None:
        self.flag = flag
        self.also = also
        self.answer: A | None = None
        self.error: Exception | None = None

    def answered(self, answer: A | None) -> None:
        self.answer = answer
        self.flag.set()
        if self.also is not None:
            self.also(answer)

    def refused(self, error: Exception) -> None:
        self.error = error
        self.answered(None)


class Lane(Generic[M, A]):
    """A queue of members before one verb, and the two loops that send them.

    :param verb: takes a batch, answers one outcome per member in order.
    :param name: for logs and the spawned job.
    :param limit: members a batch at most.
    :param refresh: called before a member is sent, with the member, its age in seconds, and whether it may
        have taken effect already, which only its repeat tells: what to send in its place, or None to give it
        up (its submitter is answered None). Members grow old while the journal is away, whether they were
        sent before or waited behind others, and in a stalled process.
    :param hasty: who asks here is told at once what a payload codec cannot write, in place of waiting for it.
    :param watch: told of each batch that was answered: members, answers, seconds. It raises nothing.
    :param outage: told when the journal does not answer, and when it does again.
    """

    def __init__(
        self,
        host: Host,
        verb: Callable[[Sequence[M]], Awaitable[Sequence[A]]],
        name: str,
        *,
        limit: int = 250,
        refresh: Callable[[M, float, bool], M | None] = lambda member, _age, _unsure: member,
        hasty: bool = False,
        watch: Callable[[Sequence[M], Sequence[A], float], None] | None = None,
        outage: Outage | None = None,
    ) -> None:
        self._host = host
        self._verb = verb
        self._name = name
        self._limit = limit
        self._refresh = refresh
        self._hasty = hasty
        self._watch = watch
        self._outage = outage or Outage(host.monotonic)
        self._pending: list[_Member[M, A]] = []
        self._under_way: list[list[_Member[M, A]]] = []  # batches taken from there, and not answered yet
        self._wake: Flag = host.flag()
        self._mass: Flag = host.flag()
        self._idle: Flag = host.flag()
        self._idle.set()
        self._jobs: list[Job] = []
        self._closed = False

    def open(self, watched: Callable[[str, Loop], Coroutine[Any, Any, None]] = _unwatched) -> None:
        """Start the loops. :param watched: is handed each, with its name, and runs it."""
        self._closed = False
        loops: dict[str, Loop] = {self._name: self._send_all, f"{self._name} in masses": self._send_masses}
        self._jobs = [self._host.spawn(watched(name, loop), name) for name, loop in loops.items()]

    def submit(self, member: M, asker: Asker[A]) -> None:
        """Put a member in the next batch; `asker` is told its outcome."""
        made: _Member[M, A] = _Member(member, asker, self._host.monotonic())
        if self._closed:
            self._answer(made, None)
            return
        if not self._pending:  # whoever waits behind others finds the loop awake
            self._idle.clear()
            self._wake.set()
        self._pending.append(made)
        if len(self._pending) == _MASS:
            self._mass.set()

    async def ask(self, member: M, also: Callable[[A | None], None] | None = None) -> A | None:
        """Put a member in the next batch and wait for its outcome. Raises what refuses this very member.

        :param also: told the outcome, too (None: refused, or given up), even if whoever waits here is
            cancelled meanwhile: the member is on its way all the same.
        """
        asking: _Asking[A] = _Asking(self._host.flag(), also)
        self.submit(member, asking)
        await asking.flag.wait()
        if asking.error is not None:
            raise asking.error
        return asking.answer

    async def settled(self, seconds: float | None = None) -> bool:
        """Wait until nothing is pending; False when that took longer."""
        return await self._idle.wait(seconds)

    async def close(self) -> None:
        """Stop at once; what is not answered yet is answered None: nobody waits for ever."""
        self._closed = True
        for job in self._jobs:
            job.cancel()
        for job in self._jobs:
            await job.join()
        self._jobs.clear()
        unanswered = [*chain.from_iterable(self._under_way), *self._pending]
        self._under_way.clear()
        self._pending.clear()
        for member in unanswered:
            self._answer(member, None)
        self._idle.set()

    async def _send_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                await self._send_next()

    async def _send_masses(self) -> None:
        """Beside the other loop, which alone sends few members: nothing waits for a mass to come together."""
        while True:
            await self._mass.wait()
            self._mass.clear()
            while len(self._pending) >= _MASS:
                await self._send_next()

    async def _send_next(self) -> None:
        batch = self._pending[: self._limit]
        del self._pending[: self._limit]
        self._under_way.append(batch)
        await self._send(batch)
        self._under_way.remove(batch)
        if not (self._pending or self._under_way):
            self._idle.set()

    async def _send(self, batch: list[_Member[M, A]]) -> None:
        backoff: Backoff | None = None
        while batch := self._refreshed(batch):
            began = 0.0 if self._watch is None else self._host.monotonic()
            try:
                answers = await self._verb([member.value for member in batch])
            except JournalUnavailable as error:
                # One that may have been carried out before waits on: only its repeat tells.
                alone = self._hasty and (len(batch) > 1 or not batch[0].unsure)
                if alone and isinstance(error, PayloadCodecFailed):
                    await self._send_alone(batch, error)
                    return
                for member in batch if error.ambiguous else ():
                    member.unsure = True
                self._outage.failed(self._name, error)
                backoff = backoff or Backoff(self._host)
                await self._host.sleep(backoff.delay())
                continue
            except Exception as error:
                self._outage.worked(self._name)  # it answers: with a refusal
                await self._send_alone(batch, error)
                return
            self._outage.worked(self._name)
            if self._watch is not None:
                self._watch([member.value for member in batch], answers, self._host.monotonic() - began)
            for member, answer in zip(batch, answers, strict=True):
                self._answer(member, answer)
            return

    async def _send_alone(self, batch: list[_Member[M, A]], error: Exception) -> None:
        """One member is at fault, and the error does not say which: try them one by one."""
        if len(batch) > 1:
            for member in batch:
                await self._send([member])
            return
        [member] = batch
        member.done = True
        try:
            member.asker.refused(error)
        except Exception:
            self._at_fault()

    def _refreshed(self, batch: list[_Member[M, A]]) -> list[_Member[M, A]]:
        now = self._host.monotonic()
        kept: list[_Member[M, A]] = []
        for member in batch:
            value = self._refresh(member.value, now - member.since, member.unsure)
            if value is None:
                self._answer(member, None)
            else:
                member.value = value
                kept.append(member)
        return kept

    def _answer(self, member: _Member[M, A], answer: A | None) -> None:
        if member.done:
            return
        member.done = True
        try:
            member.asker.answered(answer)
        except Exception:
            self._at_fault()

    def _at_fault(self) -> None:
        """A fault in what a submitter does with the news must not end the lane for all others."""
        logger.critical("%s: a fault of the engine in dealing with an answer", self._name, exc_info=True)
