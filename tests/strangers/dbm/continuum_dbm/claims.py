"""Claims of runs: who works on what, until when."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from attrs import define, field
from msgspec.structs import replace

from continuum_core.clock import Micros
from continuum_core.journal.commit import (
    Claims,
    DueEntry,
    RunClaim,
    RunHold,
)
from continuum_core.journal.fences import next_fence
from continuum_core.journal.records import Delivery, Held, Run, RunStatus, own_timer
from continuum_dbm.deliveries import hold, unhold
from continuum_dbm.rows import Space, in_order, leased

__all__ = ["SUSPECT", "claim_runs", "release", "renew"]

SUSPECT = 2
"""So many claims without a commit (or losses of a task) make it claimed alone: it may be what kills its
workers, and must not take innocent ones with it."""

_HANDED_OVER = 64
_STOPPED = frozenset({RunStatus.SUSPENDED, RunStatus.PARKED})


@define
class _Page:
    """One reading of what is due; `reached` is None once it was read to the end."""

    chosen: list[Run] = field(factory=list[Run])
    paused: list[Delivery] = field(factory=list[Delivery])
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
    held = [run for run in space.runs.all() if run.claim_id == claim_id]
    reached: DueEntry | None = None
    if not held:  # a repeat is told what the first claim got, and gets no more
        page = _read(space, now, limit, takes, after, scan)
        reached = page.reached
        for delivery in page.paused:
            hold(space, delivery.run_id, delivery.id, Held.PAUSED)
        for run in page.chosen:
            fence, until = next_fence(run.fence, now), now + lease
            tries = run.tries
            if run.status in _STOPPED:  # a timer of its own ends its rest
                tries = min(tries, SUSPECT)
                unhold(space, run.run_id, {Held.PAUSED})
            awake = replace(run, status=RunStatus.RUNNING, cause="") if run.status in _STOPPED else run
            held.append(replace(awake, fence=fence, tries=tries + 1, claim_id=claim_id, lease_until=until))
            space.runs.put(held[-1])
    claims = sorted((_claim(space, run, now) for run in held), key=_first_due)
    later = [due for one in space.deliveries.all() if one.held is Held.NO and (due := one.due or 0) > now]
    return Claims(now=now, runs=tuple(claims), reached=reached, next_due=min(later, default=None))


def _read(space: Space, now: Micros, limit: int, takes: frozenset[str], after: DueEntry, scan: int) -> _Page:
    page = _Page()
    taken: set[UUID] = set()
    due_now = [
        one
        for one in space.deliveries.all()
        if one.held is Held.NO and after <= _entry(one) and (one.due or 0) <= now
    ]
    due_now.sort(key=lambda one: (*in_order(one), one.run_id.int))
    for count, delivery in enumerate(due_now):
        if len(page.chosen) >= limit or count >= scan:
            page.reached = _entry(delivery)
            break
        run = space.runs.get(delivery.run_id)
        if run is None:
            continue
        if run.status in _STOPPED and not own_timer(delivery.kind, delivery.token):
            page.paused.append(delivery)
        elif run.run_id not in taken and not leased(run, now) and run.fingerprint in takes:
            suspect = run.tries >= SUSPECT
            if suspect and page.chosen:
                page.reached = _entry(delivery)
                break
            page.chosen.append(run)
            taken.add(run.run_id)
            if suspect:
                limit = 1
    return page


def _entry(delivery: Delivery) -> DueEntry:
    return DueEntry(delivery.due or 0, delivery.id)


def _claim(space: Space, run: Run, now: Micros) -> RunClaim:
    ready = [one for one in space.free(run.run_id) if (one.due or 0) <= now]
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
        has_deferred=any(one.held is Held.DEFERRED for one in space.deliveries.of(run.run_id)),
        parent=run.parent,
        root=run.root,
    )


def _first_due(claim: RunClaim) -> tuple[Micros, int, int]:
    if not claim.deliveries:
        return (0, 0, claim.run_id.int)
    return (*in_order(claim.deliveries[0]), claim.run_id.int)


def _held(space: Space, held: RunHold) -> Run | None:
    """The run, if `held` still names its holder: by fence, not by the clock."""
    run = space.runs.get(held.run_id)
    return run if run is not None and run.fence == held.fence and run.claim_id is not None else None


def renew(space: Space, now: Micros, runs: Sequence[RunHold], lease: int) -> list[bool]:
    answers: list[bool] = []
    for held in runs:
        run = _held(space, held)
        if run is not None:
            space.runs.put(replace(run, lease_until=now + lease))
        answers.append(run is not None)
    return answers


def release(space: Space, runs: Sequence[RunHold]) -> None:
    for held in runs:
        run = _held(space, held)
        if run is not None:
            space.runs.put(replace(run, claim_id=None, lease_until=None, tries=max(0, run.tries - 1)))
