"""Pruning: whole ended runs, and entries past their windows, in bounded transactions.

Rule: no transaction deletes more than a bounded number of rows of the windows, or runs, so that
writers of other processes wait no longer for a pruning than for anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from continuum_core.clock import Micros
from continuum_core.journal.commit import Pruned, PrunePlan
from continuum_core.journal.records import ENDED
from continuum_sqlite.statements.retention import (
    COUNT_EXPIRED,
    COUNT_RECORDS,
    DROP_ORDERS,
    DROP_RESULTS,
    DROP_RUN,
    DROP_SEEN,
    DROP_STRAY_DEAD,
    ENDED_RUNS,
)
from continuum_sqlite.transaction import Transaction

Answer = TypeVar("Answer")

__all__ = ["Write", "prune"]

_CHUNK = 5_000
"""Small rows deleted in one transaction, of each table."""

_RUNS = 100
"""Runs deleted in one transaction."""

_Place = tuple[Micros, bytes]
"""(updated, run id): where in the order of ended runs a pruning has come to."""

_START: _Place = (-(2**63), b"")


class Write(Protocol):
    """Has a verb carried out in a transaction of its own."""

    async def __call__(self, verb: Callable[[Transaction], Answer], /) -> Answer: ...


async def prune(write: Write, plan: PrunePlan) -> Pruned:
    """The verb."""
    expired = 0
    if plan.dry_run:
        expired = await write(_count_expired)
    else:
        while dropped := await write(_drop_expired):
            expired += dropped
        while await write(lambda transaction: _drop_stray_dead(transaction, plan.before)):
            pass
    runs, records, after = 0, 0, _START
    while runs < plan.limit:
        room = min(_RUNS, plan.limit - runs)
        found, their_records, after = await write(partial(_prune_runs, plan=plan, limit=room, after=after))
        runs += found
        records += their_records
        if found < room:
            break
    return Pruned(runs, records, expired)


def _prune_runs(
    transaction: Transaction, plan: PrunePlan, limit: int, after: _Place
) -> tuple[int, int, _Place]:
    """Delete, or only count, up to `limit` runs; (runs, records, where to go on)."""
    wanted = sum(1 << int(status) for status in (plan.statuses or ENDED))
    asked = (transaction.ns, plan.before, *after, limit, plan.machine, wanted)
    found = transaction.execute(ENDED_RUNS, asked).fetchall()
    records = 0
    for _, run_id in found:
        name = (transaction.ns, run_id)
        records += transaction.execute(COUNT_RECORDS, name).fetchone()[0]
        if not plan.dry_run:
            for statement in DROP_RUN:
                transaction.execute(statement, name)
    return len(found), records, found[-1] if found else after


def _count_expired(transaction: Transaction) -> int:
    since = transaction.now - transaction.limits.dedupe_window
    found: int = transaction.execute(COUNT_EXPIRED, (transaction.ns, since, transaction.now)).fetchone()[0]
    return found


def _drop_expired(transaction: Transaction) -> int:
    """Delete some of what is past its window; 0 when there is no more."""
    since = transaction.now - transaction.limits.dedupe_window
    dropped = 0
    for statement, until in ((DROP_SEEN, since), (DROP_ORDERS, since), (DROP_RESULTS, transaction.now)):
        dropped += transaction.execute(statement, (transaction.ns, until, _CHUNK)).rowcount
    return dropped


def _drop_stray_dead(transaction: Transaction, before: Micros) -> int:
    """Delete some dead letters that belong to no run; 0 when there are no more."""
    return transaction.execute(DROP_STRAY_DEAD, (transaction.ns, before, _CHUNK)).rowcount
