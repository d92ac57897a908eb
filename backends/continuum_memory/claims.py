"""Claims of runs: who works on what, until when.

A claim reads the index of due deliveries from the front and stops at its limits; runs with nothing
due are never looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from uuid import UUID

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.commit import Claims, DueEntry, RunClaim, RunHold
from continuum_core.journal.fences import next_fence
from continuum_core.journal.records import Delivery, Held, RunStatus, own_timer
from continuum_memory.deliveries import set_held, unhold
from continuum_memory.rows import DueKey, RunRow, Space

__all__ = ["SUSPECT", "claim_runs", "release", "renew"]

SUSPECT = 2
"""So many claims without a commit (or losses of a task) make it claimed alone: it may be what kills
its workers, and must not take innocent ones with it."""

_HANDED_OVER = 64
_STOPPED = frozenset({RunStatus.SUSPENDED, RunStatus.PARKED})


@define
class _Page:
    """One reading of the due index.

    :ivar reached: None once it was read to the end.
    """

    chosen: list[RunRow] = field(factory=list[RunRow])
    paused: list[DueKey] = field(factory=list[DueKey])
    reached: DueEntry | None = None


def claim_runs(
    space: Space,
    now: Micros,
    claim_id: UUID,
    limit: int,
    lease: int,
    takes: frozenset[str],
    after: DueEntry,
    scan: int,
) -> Claims:
    held = [space.runs[run_id] for run_id in space.run_claims.get(claim_id, ())]
    reached: DueEntry | None = None
    if not held:  # a repeat is told what the first claim got, and gets no more
        page = _read(space, now, limit, takes, after, scan)
        for _, delivery, _, run in page.paused:
            set_held(space, run, UUID(int=delivery), Held.PAUSED)
        for run in page.chosen:
            if run.status in _STOPPED:
                _wake(space, run)
            run.fence = next_fence(run.fence, now)
            run.tries += 1
            space.lease(run, claim_id, now + lease)
        held, reached = page.chosen, page.reached
    return Claims(
        now=now,
        runs=tuple(sorted((_claim(run, now) for run in held), key=_first_due)),
        reached=reached,
        next_due=_next_due(space, now),
    )


def _read(space: Space, now: Micros, limit: int, takes: frozenset[str], after: DueEntry, scan: int) -> _Page:
    page = _Page()
    chosen: set[int] = set()
    for count, key in enumerate(space.due.up((after.due, after.id.int))):
        due, delivery, run_number, run = key
        if due > now:
            break
        if len(page.chosen) >= limit or count >= scan:
            page.reached = DueEntry(due, UUID(int=delivery))
            break
        if run.status in _STOPPED and not _wakes(run, UUID(int=delivery)):
            page.paused.append(key)
        elif run_number not in chosen and not run.leased(now) and run.fingerprint in takes:
            if run.tries >= SUSPECT and page.chosen:
                page.reached = DueEntry(due, UUID(int=delivery))
                break
            page.chosen.append(run)
            chosen.add(run_number)
            if run.tries >= SUSPECT:
                limit = 1
    return page


def _wakes(run: RunRow, delivery_id: UUID) -> bool:
    delivery = run.deliveries[delivery_id]
    return own_timer(delivery.kind, delivery.token)


def _wake(space: Space, run: RunRow) -> None:
    """End a run's rest: a timer of its own is due."""
    run.status, run.cause = RunStatus.RUNNING, ""
    run.tries = min(run.tries, SUSPECT)
    unhold(space, run, (Held.PAUSED,))


def _claim(run: RunRow, now: Micros) -> RunClaim:
    ready = [run.deliveries[key[2]] for key in islice(run.free.up(), _HANDED_OVER + 1) if key[0] <= now]
    return RunClaim(
        run_id=run.run_id,
        machine=run.machine,
        fingerprint=run.fingerprint,
        generation=run.generation,
        version=run.version,
        fence=run.fence,
        base=run.commit_id,
        snapshot=run.snapshot,
        tries=run.tries,
        lease_until=run.lease_until if run.lease_until is not None else now,
        deliveries=tuple(ready[:_HANDED_OVER]),
        more=len(ready) > _HANDED_OVER,
        has_deferred=run.has_deferred(),
        parent=run.parent,
        root=run.root,
    )


def _first_due(claim: RunClaim) -> tuple[Micros, int, int]:
    first: Delivery | None = claim.deliveries[0] if claim.deliveries else None
    if first is None or first.due is None:
        return (0, 0, claim.run_id.int)
    return (first.due, first.id.int, claim.run_id.int)


def _next_due(space: Space, now: Micros) -> Micros | None:
    first = space.due.first((now + 1,))
    return None if first is None else first[0]


def _held(space: Space, hold: RunHold) -> RunRow | None:
    """The run, if `hold` still names its holder: by fence, not by the clock."""
    run = space.runs.get(hold.run_id)
    return run if run is not None and run.fence == hold.fence and run.claim_id is not None else None


def renew(space: Space, now: Micros, runs: Sequence[RunHold], lease: int) -> list[bool]:
    answers: list[bool] = []
    for hold in runs:
        run = _held(space, hold)
        if run is not None:
            run.lease_until = now + lease
        answers.append(run is not None)
    return answers


def release(space: Space, runs: Sequence[RunHold]) -> None:
    for hold in runs:
        run = _held(space, hold)
        if run is not None:
            space.unlease(run)
            run.tries = max(0, run.tries - 1)
