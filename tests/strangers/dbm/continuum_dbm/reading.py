"""What people and clients read, and what is thrown away when it is old."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal.commit import Inspection, Page, Pruned, PrunePlan, Query
from continuum_core.journal.cursor import position, write
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import ENDED, Definition, Record, Run
from continuum_dbm.queues import places
from continuum_dbm.rows import Space, in_order

__all__ = ["define", "definitions", "history", "inspect", "page", "prune"]


def define(space: Space, definitions: Iterable[Definition]) -> None:
    for definition in definitions:
        if space.defined.get(definition.fingerprint) is None:
            space.defined.put(definition)


def definitions(space: Space) -> list[Definition]:
    return sorted(space.defined.all(), key=lambda one: (one.machine, one.version, one.fingerprint))


def history(space: Space, run_id: UUID, after: int, limit: int) -> list[Record]:
    return [record for record in space.history(run_id) if record.version > after][: max(limit, 0)]


def inspect(space: Space, now: Micros, run_id: UUID) -> Inspection | None:
    run = space.runs.get(run_id)
    if run is None:
        return None
    tasks = sorted((work.task for work in space.tasks.of(run_id)), key=lambda task: (task.token, task.slot))
    return Inspection(
        run=run,
        deliveries=tuple(sorted(space.deliveries.of(run_id), key=in_order)),
        tasks=tuple(tasks),
        dead=tuple(sorted(space.dead.of(run_id), key=lambda letter: (letter.at, letter.delivery.id.int))),
        places=places(space, now, tasks),
    )


# --- pages -----------------------------------------------------------------------------------------


def page(space: Space, query: Query, limit: int, cursor: str | None) -> Page:
    begins = position(space.name, query, cursor)
    found = sorted(
        (run for run in space.runs.all() if _matches(run, query)), key=_created_order, reverse=True
    )
    if begins is not None:
        found = [run for run in found if (run.created, run.run_id.bytes) < begins]
    shown = found[: max(limit, 0)]
    more = len(found) > len(shown) > 0
    return Page(tuple(shown), write(query, shown[-1]) if more else None)


def _created_order(run: Run) -> tuple[Micros, int]:
    return (run.created, run.run_id.int)


def _matches(run: Run, query: Query) -> bool:
    return (
        query.machine in (None, run.machine)
        and query.status in (None, run.status)
        and query.parent in (None, run.parent)
        and (query.created_from is None or run.created >= query.created_from)
        and (query.created_to is None or run.created < query.created_to)
    )


# --- retention -------------------------------------------------------------------------------------


def prune(space: Space, limits: Limits, now: Micros, plan: PrunePlan) -> Pruned:
    statuses = plan.statuses & ENDED if plan.statuses else ENDED
    old = [
        run
        for run in space.runs.all()
        if run.status in statuses and run.updated < plan.before and plan.machine in (None, run.machine)
    ]
    old = sorted(old, key=lambda run: (run.updated, run.run_id.int))[: max(plan.limit, 0)]
    records = sum(len(space.records.of(run.run_id)) for run in old)
    pruned = Pruned(len(old), records, _expire(space, limits, now, plan))
    if not plan.dry_run:
        for run in old:
            for table in (space.records, space.tasks, space.dead):
                table.drop_all(run.run_id)
            space.runs.drop(run)
        for letter in list(space.dead.all()):
            if letter.at < plan.before and space.runs.get(letter.delivery.run_id) is None:
                space.dead.drop(letter)
    return pruned


def _expire(space: Space, limits: Limits, now: Micros, plan: PrunePlan) -> int:
    """Count, and unless it is a dry run delete, what only stood to recognise repeats."""
    window = limits.dedupe_window
    seen = [one for one in space.seen.all() if one.consumed is not None and one.consumed + window <= now]
    orders = [one for one in space.orders.all() if one.at + window <= now]
    shared = [one for one in space.shared.all() if one.until <= now]
    if not plan.dry_run:
        for one in seen:
            space.seen.drop(one)
        for order in orders:
            space.orders.drop(order)
        for result in shared:
            space.shared.drop(result)
    return len(seen) + len(orders) + len(shared)
