"""Figures of the port's verbs: one call at a time, in a scratch namespace that is emptied again.

Rule: only the verb itself is timed, and every call does its whole work: who is given fewer members than were
asked for has measured something else, and is told so. Calls follow one another, so a figure is a latency;
what many callers get together is another question.
"""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from os import cpu_count
from statistics import median, quantiles
from typing import Any, TypeVar

from attrs import define, field, frozen

from continuum_core.errors import UsageError
from continuum_core.gauge.load import FINGERPRINT, LEASE, Load
from continuum_core.host import Host
from continuum_core.journal.commit import Claims, Order, OrderKind, PrunePlan, Query
from continuum_core.journal.protocol import Journal, Opened
from continuum_core.journal.records import RunStatus

__all__ = ["VERBS", "Figures", "Measured", "Plan", "measure", "scratch_name"]

Answer = TypeVar("Answer")

VERBS = ("start", "claim_runs", "commit", "claim_tasks", "finish", "deliver", "list", "history")
"""In the order of a run's life, then what only reads."""

_TAKES = frozenset({FINGERPRINT})
_EVER = 2**53  # µs: the year 2255; the largest number that every backend holds


@frozen
class Plan:
    """What to measure.

    :ivar sizes: members of a batch; of `list` and `history`, rows of an answer.
    :ivar rounds: calls of each verb at each size that count; a tenth as many, at least one, come before.
    :ivar payload: bytes of every payload.
    """

    sizes: tuple[int, ...] = (1, 16, 256)
    rounds: int = 30
    payload: int = 200


@frozen
class Figures:
    """One verb at one size, in seconds a call.

    :ivar low: a quarter of the calls were faster.
    :ivar high: a quarter of the calls were slower.
    """

    verb: str
    size: int
    calls: int
    median: float
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Members a second, of callers one after the other."""
        return self.size / self.median if self.median else 0.0


@frozen
class Measured:
    """All figures, and under what conditions they were taken."""

    figures: tuple[Figures, ...]
    conditions: dict[str, Any]


def scratch_name(host: Host) -> str:
    """The name of a namespace that nobody else has."""
    return f"bench-{host.new_id().hex}"


async def measure(
    journal: Journal, opened: Opened, host: Host, plan: Plan, told: Callable[[int], None] = lambda _: None
) -> Measured:
    """Measure an opened handle on a scratch namespace, which is empty before and after.

    :param told: called with the number of rounds that are done.

    Raises UsageError for a namespace in which there is something, which is not touched.
    """
    if (await journal.list(Query(), 1)).runs:
        raise UsageError(f"the namespace {journal.namespace!r} holds runs: measure in an empty one")
    taken = _Taken(journal, host, Load(host.new_id, b"x" * plan.payload))
    try:
        done = 0
        for size in plan.sizes:
            for number in range(-max(1, plan.rounds // 10), plan.rounds):
                taken.counts = number >= 0
                await taken.round(size)
                done += 1
                told(done)
    finally:
        await _empty(journal, host)
    return Measured(taken.figures(), _conditions(opened, plan))


def _conditions(opened: Opened, plan: Plan) -> dict[str, Any]:
    return {
        "backend": opened.backend,
        "durability": opened.durability,
        "continuum_core": version("continuum-core"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": cpu_count(),
        "rounds": plan.rounds,
        "payload_bytes": plan.payload,
        "callers": 1,
    }


async def _empty(journal: Journal, host: Host) -> None:
    """End what an interrupted round left going, and delete all."""
    while going := (await journal.list(Query(status=RunStatus.RUNNING), 256)).runs:
        await journal.control(
            [Order(host.new_id(), run.run_id, OrderKind.TERMINATE, b"{}", outcome=b"{}") for run in going]
        )
    while (await journal.prune(PrunePlan(_EVER, 500))).runs:
        pass


@define
class _Taken:
    """Times as they are taken."""

    journal: Journal
    host: Host
    load: Load
    counts: bool = False
    _times: dict[tuple[str, int], list[float]] = field(factory=dict[tuple[str, int], "list[float]"])

    async def timed(self, verb: str, size: int, work: Awaitable[Answer]) -> Answer:
        begun = self.host.monotonic()
        answer = await work
        took = self.host.monotonic() - begun
        if self.counts:
            self._times.setdefault((verb, size), []).append(took)
        return answer

    async def round(self, size: int) -> None:
        """The life of `size` runs, from their start to their end, and then of what is read."""
        journal, load = self.journal, self.load
        news = [load.run() for _ in range(size)]
        await self.timed("start", size, journal.start(news))
        claims = await self._claimed(size)
        turns = [load.turn(claim, claims.now, task=True) for claim in claims.runs]
        await self.timed("commit", size, journal.commit(turns))
        wants = [load.want(size)]
        tasks = await self.timed("claim_tasks", size, journal.claim_tasks(self.host.new_id(), wants, LEASE))
        _check("claim_tasks", len(tasks.tasks), size)
        ends = [load.finish(claim) for claim in tasks.tasks]
        await self.timed("finish", size, journal.finish(ends))
        await self.timed("deliver", size, journal.deliver([load.signal(new.run_id) for new in news]))
        await self._read(size)
        await journal.prune(PrunePlan(_EVER, size))

    async def _claimed(self, size: int) -> Claims:
        claimed = self.journal.claim_runs(self.host.new_id(), size, LEASE, _TAKES)
        claims = await self.timed("claim_runs", size, claimed)
        _check("claim_runs", len(claims.runs), size)
        return claims

    async def _read(self, size: int) -> None:
        """End the runs, the first with as many records as are read."""
        journal, load = self.journal, self.load
        counts, self.counts = self.counts, False
        claims = await self._claimed(size)
        lengths = [size] + [1] * (size - 1)
        turns = [
            load.turn(claim, claims.now, records=records)
            for claim, records in zip(claims.runs, lengths, strict=True)
        ]
        await journal.commit(turns)
        self.counts = counts
        page = await self.timed("list", size, journal.list(Query(), size))
        _check("list", len(page.runs), size)
        first = claims.runs[0].run_id
        records = await self.timed("history", size, journal.history(first, limit=size))
        _check("history", len(records), size)

    def figures(self) -> tuple[Figures, ...]:
        return tuple(
            _figures(verb, size, self._times[verb, size])
            for verb in VERBS
            for size in sorted({size for _, size in self._times})
        )


def _check(verb: str, got: int, wanted: int) -> None:
    if got != wanted:
        raise UsageError(f"{verb} gave {got} of {wanted}: somebody else works in this namespace")


def _figures(verb: str, size: int, times: Sequence[float]) -> Figures:
    if len(times) < 2:
        return Figures(verb, size, len(times), times[0], times[0], times[0])
    low, _, high = quantiles(times, n=4, method="inclusive")
    return Figures(verb, size, len(times), median(times), low, high)
