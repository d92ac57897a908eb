"""A journal that fails, repeats, delays and forgets to wake: any journal, wrapped.

`FaultyJournal(inner, decide)` asks `decide` before every verb what is to go wrong with it. Whatever
goes wrong is something that happens to real stores: a request or its answer is lost, a request is
sent twice, arrives late, or is refused; the process dies between two of its steps; a wakeup is never
sent. Nothing is invented that a store would not do: what is done is done whole.

The wrapper decides nothing itself and awaits only what it was given, so that it serves on asyncio as
well as in the simulator.
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from attrs import field, frozen

from continuum_core.clock import Micros
from continuum_core.errors import JournalUnavailable
from continuum_core.journal.blobs import Blob, BlobKeeping, BlobName, keeping
from continuum_core.journal.commit import (
    FIRST_DUE,
    Claims,
    Commit,
    Committed,
    Delivered,
    DueEntry,
    Finished,
    Inspection,
    Member,
    NewRun,
    Order,
    Ordered,
    Page,
    Pruned,
    PrunePlan,
    Query,
    Reservation,
    Reserved,
    RunHold,
    Started,
    TaskClaims,
    TaskFinish,
    TaskHold,
    TaskWant,
)
from continuum_core.journal.crews import crewed
from continuum_core.journal.declared import declared, sibling_of
from continuum_core.journal.protocol import Journal, Opened
from continuum_core.journal.records import Definition, Delivery, Record, Run
from continuum_core.journal.replies import Asked, Replied, replying

__all__ = [
    "AsyncioSurroundings",
    "Call",
    "Chooser",
    "Crash",
    "Fault",
    "FaultKind",
    "FaultyJournal",
    "Surroundings",
    "at_call",
    "at_random",
]

T = TypeVar("T")


class FaultKind(enum.Enum):
    """What goes wrong with one call of a verb."""

    NONE = "none"
    LOST_REQUEST = "lost request"  # not done; JournalUnavailable, and the caller cannot know
    LOST_REPLY = "lost reply"  # done; JournalUnavailable, and the caller cannot know
    LATE = "late"  # JournalUnavailable at once, and done some time after all the same
    TWICE = "twice"  # done, done again, and the second answer returned
    REFUSED = "refused"  # not done, and the caller is told so: a deadlock's victim, a full disk
    CRASH_BEFORE = "crash before"  # the process dies before it is done
    CRASH_AFTER = "crash after"  # it is done, and the process dies without the answer
    NO_WAKEUP = "no wakeup"  # of `wait`: nothing is hinted at, it lasts its whole time


@frozen
class Fault:
    """One fault, and the pauses around it.

    :ivar before: seconds to pause before the verb; 0.0 lets others go first; None does not pause.
    :ivar after: seconds to pause between the verb and the return of its answer.
    :ivar late: seconds after which a LATE request is done.
    """

    kind: FaultKind = FaultKind.NONE
    before: float | None = None
    after: float | None = None
    late: float = 1.0


@frozen
class Call:
    """One call of a verb, as the chooser sees it.

    :ivar verb: the name of the method of `Journal`.
    :ivar number: how many calls of this verb this wrapper and its siblings have seen, from 1.
    :ivar members: how many members its batch has; 0 for a verb without a batch.
    """

    verb: str
    number: int
    members: int


Chooser = Callable[[Call], Fault]
"""Says what goes wrong with a call. It is asked once for each."""


class Crash(BaseException):
    """The process would have died here. No `Exception`: nothing that handles errors outlives a death."""


class Surroundings(Protocol):
    """What faults need: time, death, and somebody to do things later."""

    async def pause(self, seconds: float) -> None:
        """Wait; 0 lets others go first."""

    async def crash(self) -> None:
        """End the process. Never returns."""

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Have `work` done after so many seconds, whatever became of the caller."""


class AsyncioSurroundings:
    """On an event loop: a crash is raised as `Crash`, for the test to catch around its worker."""

    def __init__(self) -> None:
        self._late: set[asyncio.Task[object]] = set()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def crash(self) -> None:
        raise Crash

    def later(self, seconds: float, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        async def wait() -> object:
            await asyncio.sleep(seconds)
            return await work()

        task = asyncio.get_running_loop().create_task(wait())
        self._late.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._late.discard)


_READS = frozenset({"now", "definitions", "load", "inspect", "history", "list", "replies", "fetch_blobs"})


class FaultyJournal:
    """Any journal, with faults.

    :param inner: the journal to wrap, unopened. Nobody else may use it.
    :param decide: asked before every call what goes wrong with it. `open` is asked, `close` is not.
    :param surroundings: time, death and late work; asyncio's unless given.

    A sibling shares `decide` and the numbers of the calls.
    """

    def __init__(
        self,
        inner: Journal,
        decide: Chooser,
        surroundings: Surroundings | None = None,
        *,
        numbers: Counter[str] | None = None,
    ) -> None:
        self.inner = inner
        self.namespace = inner.namespace
        self._decide = decide
        self._surroundings = surroundings if surroundings is not None else AsyncioSurroundings()
        self._numbers: Counter[str] = numbers if numbers is not None else Counter()

    def sibling(self) -> FaultyJournal:
        return FaultyJournal(sibling_of(self.inner), self._decide, self._surroundings, numbers=self._numbers)

    @property
    def capabilities(self) -> frozenset[str] | None:
        """What is declared of the inner journal. What shows in verbs that are not here, this one cannot."""
        return declared(self.inner)

    # --- faults ---

    def _fault(self, verb: str, members: int) -> Fault:
        self._numbers[verb] += 1
        return self._decide(Call(verb, self._numbers[verb], members))

    async def _do(self, verb: str, members: int, send: Callable[[], Coroutine[Any, Any, T]]) -> T:
        fault = self._fault(verb, members)
        around = self._surroundings
        if fault.before is not None:
            await around.pause(fault.before)
        kind = fault.kind
        if kind is FaultKind.NONE:
            answer = await send()
        else:
            answer = await self._go_wrong(verb, fault, send)
        if fault.after is not None:
            await around.pause(fault.after)
        return answer

    async def _go_wrong(self, verb: str, fault: Fault, send: Callable[[], Coroutine[Any, Any, T]]) -> T:
        around, kind = self._surroundings, fault.kind
        if kind is FaultKind.CRASH_BEFORE:
            await around.crash()
        if kind is FaultKind.REFUSED:
            raise JournalUnavailable(f"{verb}: refused by a planted fault", ambiguous=False)
        if kind is FaultKind.LOST_REQUEST:
            raise JournalUnavailable(f"{verb}: request lost by a planted fault", ambiguous=True)
        if kind is FaultKind.LATE:
            around.later(fault.late, send)
            raise JournalUnavailable(f"{verb}: request delayed by a planted fault", ambiguous=True)
        answer = await send()
        if kind is FaultKind.TWICE:
            if fault.before is not None:
                await around.pause(fault.before)
            return await send()
        if fault.after is not None:
            await around.pause(fault.after)
        if kind is FaultKind.CRASH_AFTER:
            await around.crash()
        if kind is FaultKind.LOST_REPLY:
            raise JournalUnavailable(f"{verb}: reply lost by a planted fault", ambiguous=True)
        return answer

    # --- the port ---

    async def open(self) -> Opened:
        return await self._do("open", 0, self.inner.open)

    async def close(self) -> None:
        await self.inner.close()

    async def now(self) -> Micros:
        return await self._do("now", 0, self.inner.now)

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        return await self._do("start", len(runs), lambda: self.inner.start(runs))

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        return await self._do("deliver", len(deliveries), lambda: self.inner.deliver(deliveries))

    async def claim_runs(
        self,
        claim_id: UUID,
        limit: int,
        lease: int,
        takes: frozenset[str],
        after: DueEntry = FIRST_DUE,
        scan: int = 1_000,
    ) -> Claims:
        return await self._do(
            "claim_runs", 0, lambda: self.inner.claim_runs(claim_id, limit, lease, takes, after, scan)
        )

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        return await self._do("commit", len(commits), lambda: self.inner.commit(commits))

    async def renew(self, runs: Sequence[RunHold], lease: int) -> list[bool]:
        return await self._do("renew", len(runs), lambda: self.inner.renew(runs, lease))

    async def release(self, runs: Sequence[RunHold]) -> None:
        await self._do("release", len(runs), lambda: self.inner.release(runs))

    async def claim_tasks(self, claim_id: UUID, wants: Sequence[TaskWant], lease: int) -> TaskClaims:
        return await self._do(
            "claim_tasks", len(wants), lambda: self.inner.claim_tasks(claim_id, wants, lease)
        )

    async def heartbeat(self, tasks: Sequence[TaskHold], lease: int) -> list[bool | None]:
        return await self._do("heartbeat", len(tasks), lambda: self.inner.heartbeat(tasks, lease))

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        return await self._do("finish", len(finishes), lambda: self.inner.finish(finishes))

    async def reserve(self, reservations: Sequence[Reservation]) -> list[Reserved]:
        return await self._do("reserve", len(reservations), lambda: self.inner.reserve(reservations))

    async def control(self, orders: Sequence[Order]) -> list[Ordered]:
        return await self._do("control", len(orders), lambda: self.inner.control(orders))

    async def define(self, definitions: Sequence[Definition]) -> None:
        await self._do("define", len(definitions), lambda: self.inner.define(definitions))

    async def definitions(self) -> list[Definition]:
        return await self._do("definitions", 0, self.inner.definitions)

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        return await self._do("load", len(runs), lambda: self.inner.load(runs))

    async def inspect(self, run: UUID) -> Inspection | None:
        return await self._do("inspect", 0, lambda: self.inner.inspect(run))

    async def history(self, run: UUID, after: int = 0, limit: int = 1_000) -> list[Record]:
        return await self._do("history", 0, lambda: self.inner.history(run, after, limit))

    async def replies(self, asked: Sequence[Asked]) -> list[Replied]:
        return await self._do("replies", len(asked), lambda: replying(self.inner).replies(asked))

    async def members(self, run: UUID, token: int, after: int = -1, limit: int = 1_000) -> list[Member]:
        inner = crewed(self.inner)
        return await self._do("members", 1, lambda: inner.members(run, token, after, limit))

    @property
    def keep_blobs(self) -> Callable[[Sequence[Blob]], Coroutine[Any, Any, None]] | None:
        """None where the inner journal keeps none."""
        inner = keeping(self.inner)
        if inner is None:
            return None

        async def keep(blobs: Sequence[Blob]) -> None:
            await self._do("keep_blobs", len(blobs), lambda: inner.keep_blobs(blobs))

        return keep

    async def fetch_blobs(self, names: Sequence[BlobName]) -> Sequence[bytes | None]:
        inner = cast(BlobKeeping, self.inner)
        return await self._do("fetch_blobs", len(names), lambda: inner.fetch_blobs(names))

    async def list(self, query: Query, limit: int = 100, cursor: str | None = None) -> Page:
        return await self._do("list", 0, lambda: self.inner.list(query, limit, cursor))

    async def prune(self, plan: PrunePlan) -> Pruned:
        return await self._do("prune", 0, lambda: self.inner.prune(plan))

    async def wait(self, seconds: float) -> None:
        fault = self._fault("wait", 0)
        if fault.before is not None:
            await self._surroundings.pause(fault.before)
        if fault.kind is FaultKind.NO_WAKEUP:
            await self._surroundings.pause(seconds)
        elif fault.kind in (FaultKind.LOST_REQUEST, FaultKind.LOST_REPLY, FaultKind.REFUSED, FaultKind.LATE):
            raise JournalUnavailable("wait: connection lost by a planted fault")
        else:
            await self.inner.wait(seconds)


# --- choosers --------------------------------------------------------------------------------------------


def at_call(verb: str, number: int, fault: Fault) -> Chooser:
    """One fault at the `number`-th call of `verb`, and nothing else."""
    return lambda call: fault if (call.verb, call.number) == (verb, number) else Fault()


@frozen
class _AtRandom:
    rates: Mapping[FaultKind, float]
    chance: random.Random = field(eq=False)
    pause: float

    def __call__(self, call: Call) -> Fault:
        drawn = self.chance.random()
        for kind, rate in self.rates.items():
            drawn -= rate
            if drawn < 0 and _fits(kind, call.verb):
                before, after = self.chance.random() * self.pause, self.chance.random() * self.pause
                return Fault(kind, before, after, self.chance.random() * self.pause)
        return Fault(before=0.0, after=0.0)


def at_random(rates: Mapping[FaultKind, float], chance: random.Random, pause: float = 0.01) -> Chooser:
    """Faults by chance: kind → probability per call. Print the seed of `chance` when a test fails.

    :param pause: the longest pause, in seconds, before and after a call that goes wrong.
    """
    return _AtRandom(dict(rates), chance, pause)


def _fits(kind: FaultKind, verb: str) -> bool:
    if kind is FaultKind.NO_WAKEUP:
        return verb == "wait"
    # A late read would be read by nobody, and a late handle would be open for ever.
    return not (kind is FaultKind.LATE and (verb in _READS or verb == "open"))
