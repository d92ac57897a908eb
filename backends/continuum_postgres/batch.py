"""One verb's transaction: rounds of reading, deciding and writing, with one time for all.

Rule: rows are locked before they are read to be decided upon, in a statement before: under READ COMMITTED
the next statement's snapshot sees what the one who held the lock has done. What a round writes goes out
in one piece, and the last round's with the commit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from attrs import define

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Limits
from continuum_postgres.rounds import Touched, rounds
from continuum_postgres.session import Ask, Row, Session
from continuum_postgres.shards import shard
from continuum_postgres.statements.runs import LOCK_RUNS
from continuum_postgres.writes import by_run

__all__ = ["Batch", "Rows", "in_order", "in_rounds"]

Member = TypeVar("Member")
Answer = TypeVar("Answer")

Rows = dict[str, list[Row]]
"""Per statement, what it returned."""


@define(eq=False)
class Batch:
    """The transaction of one verb.

    :ivar now: the verb's time; 0 until `at` was told the server's clock.
    :ivar last: the round under way is the last one: what it writes is committed.
    """

    session: Session
    now: Micros = 0
    last: bool = False
    _begun: bool = False

    @property
    def limits(self) -> Limits:
        return self.session.limits

    @property
    def forgotten(self) -> Micros:
        """Dedupe ids consumed up to then may be accepted again."""
        return self.now - self.limits.dedupe_window

    def at(self, clock: Micros) -> Micros:
        """The verb's time: the clock as its first round read it."""
        if not self.now:
            self.now = self.session.space.at(clock)
        return self.now

    async def read(self, *asks: Ask) -> Rows:
        """What may lock, and what decides; in the transaction."""
        asked = asks if self._begun else (("BEGIN", ()), *asks)
        self._begun = True
        return _by_statement(asked, await self.session.ask(*asked))

    async def look(self, *asks: Ask) -> Rows:
        """What decides where nothing is locked: the transaction begins with what it writes."""
        return _by_statement(asks, await self.session.ask(*asks)) if asks else {}

    async def write(self, *asks: Ask) -> Rows:
        """What was decided; it ends the transaction where the round is the last."""
        asked: tuple[Ask, ...] = asks if self._begun else (("BEGIN", ()), *asks)
        if not self.last:
            self._begun = True
            return _by_statement(asked, await self.session.ask(*asked))
        if not asks and not self._begun:
            return {}
        asked = (*asked, ("COMMIT", ()))
        return _by_statement(asked, await self.session.write(*asked))

    async def undo(self) -> None:
        """End the transaction, and take back all that it wrote."""
        await self.session.ask(("ROLLBACK", ()))


def _by_statement(asks: Sequence[Ask], answers: Sequence[list[Row]]) -> Rows:
    return {sql: rows for (sql, _), rows in zip(asks, answers, strict=True)}


async def in_rounds(
    session: Session,
    members: Sequence[Member],
    touched: Callable[[Member], Touched],
    carry_out: Callable[[Batch, Sequence[Member]], Awaitable[Sequence[Answer]]],
    locks: Callable[[Member], UUID | None] = lambda member: None,
    ahead: Callable[[Batch, Sequence[Member]], Awaitable[None]] | None = None,
) -> list[Answer]:
    """One answer a member, in one transaction; members that could see one another in rounds of their own.

    :param locks: the run that a member locks. Of several rounds all are locked before the first, in
        everybody's order: what a later round adds would stand in the way of who locks in order.
    :param ahead: locks what else they need, after the runs and for the same reason.
    """
    divided = rounds(members, touched)
    batch = Batch(session)
    if len(divided) > 1:
        runs = {run_id for member in members if (run_id := locks(member)) is not None}
        if runs:
            await batch.read((LOCK_RUNS, by_run(in_order(list(runs)))))
        if ahead is not None:
            await ahead(batch, members)
    answers: dict[int, Answer] = {}
    for number, positions in enumerate(divided, start=1):
        batch.last = number == len(divided)
        told = await carry_out(batch, [members[position] for position in positions])
        answers.update(zip(positions, told, strict=True))
    return [answers[position] for position in range(len(members))]


def in_order(run_ids: Sequence[UUID]) -> list[UUID]:
    """Runs in the one order in which everybody locks them."""
    return sorted(run_ids, key=lambda run_id: (shard(run_id), run_id.int))
