"""Pruning: whole ended runs, and entries past their windows, in bounded transactions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.blobs import LOOKED_AT
from continuum_core.journal.commit import Pruned, PrunePlan
from continuum_core.journal.records import ENDED
from continuum_postgres import arrays, blobs
from continuum_postgres.ahead import Tasks, lock_tasks
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch
from continuum_postgres.blobs import BlobPlace
from continuum_postgres.session import Ask, Session
from continuum_postgres.statements import retention as statements
from continuum_postgres.statements.blobs import COUNT_BLOBS_OF_ENDED
from continuum_postgres.statements.deliveries import EMPTY_RUNS
from continuum_postgres.statements.reading import NOW
from continuum_postgres.writes import by_run

__all__ = ["drops_of", "prune"]

Answer = TypeVar("Answer")

_RUNS = 200
_ROWS = 5_000

_SETTLED = 60_000_000
"""After so many microseconds most claims hold nothing any more; those that do are kept."""


class _Ask(Protocol):
    async def __call__(self, verb: Callable[[Session], Awaitable[Answer]]) -> Answer: ...


@define
class _Pruning:
    """One pruning, transaction by transaction.

    :ivar place: ended and id of the last run that was found.
    :ivar looked: where in the order of blobs it has come to.
    :ivar passed: how many past generations were found.
    :ivar past: when it was over, id of its run and version of the last past generation that was found.
    """

    plan: PrunePlan
    now: Micros = 0
    place: tuple[Micros, UUID] = (-1, UUID(int=0))
    found: int = 0
    runs: int = 0
    records: int = 0
    expired: int = 0
    eternal: int = 0
    passed: int = 0
    generations: int = 0
    apart: int = 0
    looked: BlobPlace = blobs.START
    past: tuple[Micros, UUID, int] = (-1, UUID(int=0), 0)
    drops: list[tuple[str, Micros, bool]] = field(factory=list[tuple[str, Micros, bool]])

    async def begin(self, session: Session) -> None:
        """Read the clock, and count or line up what is past its window."""
        (told,) = await session.ask((NOW, ()))
        self.now = session.space.at(told[0][0])
        forgotten = self.now - session.limits.dedupe_window
        if self._bits:
            asked = (Bigint(self.plan.before), Bigint(max(self.plan.limit, 0)))
            eternal = self._of(statements.COUNT_ETERNAL, statements.COUNT_ETERNAL_OF, *asked)
            ((self.eternal,),) = (await session.ask(eternal))[0]
        if self.plan.dry_run:
            asked = (Bigint(forgotten), Bigint(self.now))
            ((counted,),) = (await session.ask((statements.COUNT_EXPIRED, asked)))[0]
            self.expired = counted
            return
        self.drops = [
            (statements.DROP_SEEN, forgotten, True),
            (statements.DROP_ORDERS, forgotten, True),
            (statements.DROP_RESULTS, self.now, True),
            (statements.DROP_CLAIMS, self.now - _SETTLED, False),
            (statements.DROP_STRAY_DEAD, self.plan.before, False),
        ]

    @property
    def _bits(self) -> int:
        """The statuses, one bit each."""
        return sum(1 << status for status in (self.plan.statuses & ENDED if self.plan.statuses else ENDED))

    def _of(self, every: str, one: str, *asked: object) -> Ask:
        """The statement about all machines, or the one about the plan's."""
        machine = self.plan.machine
        return (every, (*asked, self._bits)) if machine is None else (one, (*asked, self._bits, machine))

    async def some_runs(self, session: Session) -> bool:
        """A bounded number of runs; False when there are no others."""
        wanted = min(_RUNS, self.plan.limit - self.found)
        if wanted <= 0 or not self._bits:  # a plan for generations alone reads no ended run
            return False
        place = (Bigint(self.place[0]), self.place[1])
        asked = (Bigint(self.plan.before), *place, Bigint(wanted))
        (told,) = await session.ask(self._of(statements.ENDED_RUNS, statements.ENDED_RUNS_OF, *asked))
        if not told:
            return False
        self.place = (told[-1][0], told[-1][2])
        self.found += len(told)
        await self._drop(session, [run_id for _, _, run_id in told])
        return len(told) == wanted

    async def _drop(self, session: Session, runs: list[UUID]) -> None:
        batch = Batch(session, last=True)
        if self.plan.dry_run:
            named = by_run(runs)
            counted = await batch.look((statements.COUNT_RECORDS, named), (COUNT_BLOBS_OF_ENDED, named))
            self.runs += len(runs)
        else:
            asked = (*by_run(runs), Bigint(self.plan.before), self._bits, self.plan.machine)
            locked = await batch.read((statements.LOCK_PRUNED, asked))
            gone = [run_id for _, run_id in locked[statements.LOCK_PRUNED]]
            named = by_run(gone)
            counts = ((statements.COUNT_RECORDS, named), (COUNT_BLOBS_OF_ENDED, named))
            counted = await batch.write(*counts, *drops_of(gone, self.now))
            self.runs += len(locked[statements.LOCK_PRUNED])
        self.records += counted[statements.COUNT_RECORDS][0][0]
        self.apart += counted[COUNT_BLOBS_OF_ENDED][0][0]

    async def some_generations(self, session: Session) -> bool:
        """A bounded number of past generations; False when there are no others."""
        wanted = min(_RUNS, self.plan.limit - self.passed)
        if wanted <= 0 or not self.plan.generations:
            return False
        place = (Bigint(self.past[0]), self.past[1], Bigint(self.past[2]))
        asked = (Bigint(self.plan.before), *place, Bigint(wanted), self.plan.machine)
        (told,) = await session.ask((statements.PAST_GENERATIONS, asked))
        if not told:
            return False
        self.past = (told[-1][0], told[-1][2], told[-1][3])
        self.passed += len(told)
        past = [(run_id, below) for _, _, run_id, below in told]
        batch = Batch(session, last=True)
        if self.plan.dry_run:
            counted = await batch.look((statements.COUNT_GENERATIONS, _named(past)))
        else:
            still = (*_named(past), Bigint(self.plan.before))
            locked = await batch.read((statements.LOCK_GENERATIONS, still))
            past = [(run_id, below) for run_id, below in locked[statements.LOCK_GENERATIONS]]
            named = _named(past)
            counted = await batch.write(
                (statements.COUNT_GENERATIONS, named),
                (statements.DROP_GENERATION_RECORDS, named),
                (statements.DROP_GENERATION_MEMBERS, named),
                (statements.DROP_GENERATIONS, named),
            )
        self.records += counted[statements.COUNT_GENERATIONS][0][0]
        self.generations += len(past)
        return len(told) == wanted

    async def some_blobs(self, session: Session) -> bool:
        """A bounded number of blobs whose time to be looked at has come; False when there are no others."""
        dry = self.plan.dry_run
        found, gone, self.looked = await blobs.sweep(session, self.now, self.looked, LOOKED_AT, dry=dry)
        self.apart += gone
        return found == LOOKED_AT

    async def some_expired(self, session: Session) -> bool:
        """A bounded number of entries past their window; False when there are no others."""
        if not self.drops:
            return False
        statement, until, counts = self.drops[0]
        gone = await session.change((statement, (Bigint(until), Bigint(_ROWS))))
        if counts:
            self.expired += gone
        if gone < _ROWS:
            self.drops.pop(0)
        return True


def _named(past: Sequence[tuple[UUID, int]]) -> tuple[object, ...]:
    """The three arrays that name past generations."""
    return (*by_run(run_id for run_id, _ in past), arrays.bigints([below for _, below in past]))


def drops_of(runs: Sequence[UUID], now: Micros) -> list[Ask]:
    """All that there is of runs, which are locked. What a sender left who saw them going is a dead letter."""
    named = by_run(runs)
    drops: list[Ask] = [(statement, named) for statement in statements.DROP_RUNS]
    return [*lock_tasks(map(Tasks, runs)), *drops, (EMPTY_RUNS, (Bigint(now), *named))]


async def prune(ask: _Ask, plan: PrunePlan) -> Pruned:
    """The verb, as several transactions on one lane: other verbs go between them."""
    pruning = _Pruning(plan)
    await ask(pruning.begin)
    while await ask(pruning.some_runs):
        pass
    while await ask(pruning.some_generations):
        pass
    while await ask(pruning.some_blobs):
        pass
    while await ask(pruning.some_expired):
        pass
    return Pruned(
        pruning.runs, pruning.records, pruning.expired, pruning.generations, pruning.eternal, pruning.apart
    )
