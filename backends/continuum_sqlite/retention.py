"""Pruning: whole ended runs, and entries past their windows, in bounded transactions.

Rule: no transaction deletes more than a bounded number of rows of the windows, or runs, so that
writers of other processes wait no longer for a pruning than for anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from heapq import merge
from itertools import islice
from typing import Protocol, TypeVar

from continuum_core.clock import Micros
from continuum_core.journal.blobs import LOOKED_AT
from continuum_core.journal.commit import Pruned, PrunePlan
from continuum_core.journal.records import ENDED, RunStatus
from continuum_sqlite import blobs
from continuum_sqlite.blobs import BlobPlace
from continuum_sqlite.statements.blobs import COUNT_BLOBS_OF_ENDED
from continuum_sqlite.statements.retention import (
    COUNT_ETERNAL,
    COUNT_EXPIRED,
    COUNT_GENERATION,
    COUNT_RECORDS,
    DROP_GENERATION,
    DROP_ORDERS,
    DROP_RESULTS,
    DROP_RUN,
    DROP_SEEN,
    DROP_STRAY_DEAD,
    ENDED_RUNS,
    NEXT_ETERNAL_MACHINE,
    NEXT_MACHINE,
    PAST_GENERATIONS,
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

_PastPlace = tuple[Micros, bytes, int]
"""(over, run id, version below which it is) of a past generation."""


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
    runs, records, apart, after = 0, 0, 0, _START
    while runs < plan.limit and _wanted(plan):  # a plan for generations alone reads no ended run
        room = min(_RUNS, plan.limit - runs)
        found, theirs, after = await write(partial(_prune_runs, plan=plan, limit=room, after=after))
        runs += found
        records += theirs[0]
        apart += theirs[1]
        if found < room:
            break
    eternal = await write(partial(_count_eternal, plan=plan)) if _wanted(plan) else 0
    generations, more = await _prune_past(write, plan)
    swept = await _sweep(write, plan)
    return Pruned(runs, records + more, expired, generations, eternal, apart + swept)


async def _sweep(write: Write, plan: PrunePlan) -> int:
    """How many blobs no row refers to any more."""
    swept, place = 0, blobs.START
    while True:
        verb = partial(_sweep_some, after=place, dry=plan.dry_run)
        found, gone, place = await write(verb)
        swept += gone
        if found < LOOKED_AT:
            return swept


def _sweep_some(transaction: Transaction, after: BlobPlace, *, dry: bool) -> tuple[int, int, BlobPlace]:
    return blobs.sweep(transaction, after, LOOKED_AT, dry=dry)


async def _prune_past(write: Write, plan: PrunePlan) -> tuple[int, int]:
    """(generations, records) of the plan's past generations."""
    generations, records = 0, 0
    place: _PastPlace = (*_START, 0)
    while plan.generations and generations < plan.limit:
        room = min(_RUNS, plan.limit - generations)
        found, theirs, place = await write(partial(_prune_generations, plan=plan, limit=room, after=place))
        generations += found
        records += theirs
        if found < room:
            break
    return generations, records


def _prune_generations(
    transaction: Transaction, plan: PrunePlan, limit: int, after: _PastPlace
) -> tuple[int, int, _PastPlace]:
    asked = (transaction.ns, plan.before, *after, limit, plan.machine)
    found = transaction.execute(PAST_GENERATIONS, asked).fetchall()
    records = 0
    for _, run_id, below in found:
        name = (transaction.ns, run_id, below)
        records += transaction.execute(COUNT_GENERATION, name).fetchone()[0]
        if not plan.dry_run:
            for statement in DROP_GENERATION:
                transaction.execute(statement, name)
    return len(found), records, found[-1] if found else after


def _wanted(plan: PrunePlan) -> frozenset[RunStatus]:
    return plan.statuses & ENDED if plan.statuses else ENDED


def _kinds(transaction: Transaction, plan: PrunePlan, following: str) -> Iterator[tuple[str, int]]:
    """(machine, status) of what the plan asks for."""
    statuses = sorted(int(status) for status in _wanted(plan))
    if plan.machine is not None:
        yield from ((plan.machine, status) for status in statuses)
        return
    found = transaction.execute(following, (transaction.ns, "")).fetchone()
    while found is not None:
        yield from ((found[0], status) for status in statuses)
        found = transaction.execute(following, (transaction.ns, found[0])).fetchone()


def _count_eternal(transaction: Transaction, plan: PrunePlan) -> int:
    """How many the plan would take if they were not eternal, counted up to its limit."""
    found, limit = 0, max(plan.limit, 0)
    for kind in _kinds(transaction, plan, NEXT_ETERNAL_MACHINE):
        asked = (transaction.ns, *kind, plan.before, limit - found)
        found += transaction.execute(COUNT_ETERNAL, asked).fetchone()[0]
    return found


def _oldest(transaction: Transaction, plan: PrunePlan, limit: int, after: _Place) -> list[_Place]:
    """Of every kind that the plan asks for as much as is wanted at all; the first of them."""
    pages = [
        transaction.execute(ENDED_RUNS, (transaction.ns, *kind, plan.before, *after, limit)).fetchall()
        for kind in _kinds(transaction, plan, NEXT_MACHINE)
    ]
    return list(islice(merge(*pages), limit))


def _prune_runs(
    transaction: Transaction, plan: PrunePlan, limit: int, after: _Place
) -> tuple[int, tuple[int, int], _Place]:
    """Delete, or only count, up to `limit` runs; (runs, their records and blobs, where to go on)."""
    found = _oldest(transaction, plan, limit, after)
    records, apart = 0, 0
    for _, run_id in found:
        name = (transaction.ns, run_id)
        records += transaction.execute(COUNT_RECORDS, name).fetchone()[0]
        apart += transaction.execute(COUNT_BLOBS_OF_ENDED, name).fetchone()[0]
        if not plan.dry_run:
            for statement in DROP_RUN:
                transaction.execute(statement, name)
    return len(found), (records, apart), found[-1] if found else after


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
