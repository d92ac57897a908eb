"""What people and clients read, and what is thrown away when it is old."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal import cursor as cursors
from continuum_core.journal.carrying import is_moving
from continuum_core.journal.commit import Inspection, Member, Page, Pruned, PrunePlan, Query
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import ENDED, DeadLetter, Definition, Delivery, Record
from continuum_memory import blobs
from continuum_memory.ordered import Ordered
from continuum_memory.queues import places
from continuum_memory.rows import RunRow, Space

__all__ = [
    "dead_letters",
    "define",
    "definitions",
    "delete",
    "due_order",
    "history",
    "inspect",
    "members",
    "page",
    "prune",
]


def define(space: Space, definitions: Iterable[Definition]) -> None:
    for definition in definitions:
        space.defined.setdefault(definition.fingerprint, definition)


def definitions(space: Space) -> list[Definition]:
    return sorted(
        space.defined.values(),
        key=lambda definition: (definition.machine, definition.version, definition.fingerprint),
    )


def history(space: Space, run_id: UUID, after: int, limit: int) -> list[Record]:
    run = space.runs.get(run_id)
    if run is None:
        return []
    at = run.after(max(after, 0))
    return run.records[at : at + max(limit, 0)]


def members(space: Space, run_id: UUID, token: int, after: int, limit: int) -> list[Member]:
    run = space.runs.get(run_id)
    return [] if run is None else run.kept(token, after, max(limit, 0))


def inspect(space: Space, now: Micros, run_id: UUID) -> Inspection | None:
    run = space.runs.get(run_id)
    if run is None:
        return None
    tasks = tuple(run.tasks[name].task for name in sorted(run.tasks))
    return Inspection(
        run=run.value(space.name),
        deliveries=tuple(sorted(run.deliveries.values(), key=due_order)),
        tasks=tasks,
        dead=dead_letters(space, run_id),
        places=places(space, now, tasks),
    )


def dead_letters(space: Space, run_id: UUID) -> tuple[DeadLetter, ...]:
    letters = space.dead.get(run_id, {}).values()
    return tuple(sorted(letters, key=lambda letter: (letter.at, letter.delivery.id.int)))


def due_order(delivery: Delivery) -> tuple[Micros, int]:
    return (delivery.due if delivery.due is not None else 0, delivery.id.int)


# --- pages -----------------------------------------------------------------------------------------


def page(space: Space, query: Query, limit: int, cursor: str | None) -> Page:
    after = cursors.position(space.name, query, cursor)
    end: tuple[int, ...] | None = None if after is None else (after[0], int.from_bytes(after[1]))
    if query.created_to is not None and (end is None or (query.created_to,) < end):
        end = (query.created_to,)
    found: list[RunRow] = []
    among = space.created if query.parent is None else space.children.get(query.parent, Ordered())
    for created, _, run in among.down(end):
        if query.created_from is not None and created < query.created_from:
            break
        if _matches(run, query):
            found.append(run)
            if len(found) > limit:
                break
    more = len(found) > limit > 0
    shown = found[: max(limit, 0)]
    runs = tuple(run.value(space.name) for run in shown)
    return Page(runs, cursors.write(query, runs[-1]) if more else None)


def _matches(run: RunRow, query: Query) -> bool:
    return (
        query.machine in (None, run.machine)
        and query.status in (None, run.status)
        and query.parent in (None, run.parent)
    )


# --- retention -------------------------------------------------------------------------------------


def prune(space: Space, limits: Limits, now: Micros, plan: PrunePlan) -> Pruned:
    limit, ended = max(plan.limit, 0), _ended(space, plan)
    old = [run for run in ended if not run.eternal][:limit]
    records = sum(len(run.records) for run in old)
    eternal = min(sum(run.eternal for run in ended), limit)
    expired = _expire(space, limits, now, plan)
    apart = sum(blobs.of_ended(space, run, dry=True) for run in old)
    if not plan.dry_run:
        delete(space, old)
        for run_id in [name for name in space.dead if name not in space.runs]:
            _forget_dead(space, run_id, plan.before)
    past = _past(space, plan)[:limit]
    for _, run, below in past:
        records += _forget_past(run, below, dry=plan.dry_run)
    swept = blobs.sweep(space, now, dry=plan.dry_run)
    return Pruned(len(old), records, expired, len(past), eternal, apart + swept)


def _ended(space: Space, plan: PrunePlan) -> list[RunRow]:
    statuses = plan.statuses & ENDED if plan.statuses else ENDED
    found = (
        run
        for run in space.runs.values()
        if run.status in statuses
        and run.updated < plan.before
        and plan.machine in (None, run.machine)
        and not is_moving(run.status, run.cause)
    )
    return sorted(found, key=lambda run: (run.updated, run.run_id.int))


def _past(space: Space, plan: PrunePlan) -> list[tuple[Micros, RunRow, int]]:
    """Past generations, by (over, run, version): when each was over, its run, the version it is below."""
    if not plan.generations:
        return []
    found = (
        (over, run, below)
        for run in space.runs.values()
        if not run.ended and plan.machine in (None, run.machine)
        for below, over in run.past.items()
        if over < plan.before
    )
    return sorted(found, key=lambda each: (each[0], each[1].run_id.int, each[2]))


def _forget_past(run: RunRow, below: int, *, dry: bool) -> int:
    """How many records the generation has that is below this version, and above the one before it."""
    since = max((each for each in run.past if each < below), default=0)
    first, end = run.after(since - 1), run.after(below - 1)
    if not dry:
        del run.records[first:end]
        run.forget_members(since, below)
        del run.past[below]
    return end - first


def delete(space: Space, old: Sequence[RunRow]) -> None:
    for run in old:
        for row in list(run.tasks.values()):
            space.drop_task(row)
        space.dead.pop(run.run_id, None)
        blobs.of_ended(space, run, dry=False)
        space.drop_run(run)


def _forget_dead(space: Space, run_id: UUID, before: Micros) -> None:
    kept = {name: letter for name, letter in space.dead[run_id].items() if letter.at >= before}
    if kept:
        space.dead[run_id] = kept
    else:
        del space.dead[run_id]


def _expire(space: Space, limits: Limits, now: Micros, plan: PrunePlan) -> int:
    """Count, and unless it is a dry run delete, what only stood to recognise repeats."""
    window = limits.dedupe_window
    seen = [name for name, at in space.seen.items() if at is not None and at + window <= now]
    orders = [name for name, (given, _) in space.orders.items() if given + window <= now]
    results = [name for name, result in space.results.items() if result.until <= now]
    if not plan.dry_run:
        for name in seen:
            del space.seen[name]
            space.replies.pop(name, None)
        for order in orders:
            del space.orders[order]
        for result in results:
            del space.results[result]
    return len(seen) + len(orders) + len(results)
