"""Claims of runs: from the index of due deliveries, in its order, stopping at the limit.

Rule: first read without a lock, then locked only where version and fence are what was read; then what is
due of each, in a statement after that. A poll that finds nothing writes nothing and opens no transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.commit import Claims, DueEntry, RunClaim, RunHold
from continuum_core.journal.records import ENDED, Delivery, Held
from continuum_postgres import arrays
from continuum_postgres.arrays import Bigint
from continuum_postgres.batch import Batch, in_order
from continuum_postgres.rows import delivery, run_claim
from continuum_postgres.session import Ask, Row, Session
from continuum_postgres.shards import shard
from continuum_postgres.statements.claims import (
    CLAIMED_RUNS,
    DUE_PAGE,
    FORGET_CLAIMS,
    LEASE_RUNS,
    LEASED_DUE,
    LEASED_RUNS,
    NOTE_CLAIM,
    PAUSE,
    WAKE_RUNS,
)
from continuum_postgres.statements.deliveries import EMPTY_RUNS, UNHOLD
from continuum_postgres.statements.runs import RELEASE_RUNS, RENEW_RUNS
from continuum_postgres.writes import by_run

__all__ = ["ClaimRuns", "release", "renew"]

_HANDED_OVER = 64
"""Deliveries in one claim of a run, at most."""

_SUSPECT = 2
"""Claims without a commit after which a run is claimed alone: it may be what kills its workers."""


_SETTLED = 60_000_000
"""After so many microseconds most claims hold nothing any more: a repeat is then a claim like any other."""

_FORGOTTEN = 4
"""Each claim looks at so many old ones, and forgets those that hold nothing: more than it adds."""


class _Head(NamedTuple):
    """A run that may be taken, as the first reading saw it."""

    run_id: UUID
    version: int
    fence: int


@define
class _Page:
    """What one reading of the index found.

    :ivar over: runs that ended or are gone, yet have something due.
    """

    now: Micros
    next_due: Micros | None
    taken: dict[UUID, _Head] = field(factory=dict[UUID, _Head])
    paused: list[tuple[UUID, UUID]] = field(factory=list["tuple[UUID, UUID]"])
    woken: list[UUID] = field(factory=list[UUID])
    over: dict[UUID, None] = field(factory=dict[UUID, None])
    reached: DueEntry | None = None


@define
class ClaimRuns:
    """The verb `claim_runs`, with its arguments."""

    claim_id: UUID
    limit: int
    lease: int
    takes: frozenset[str]
    after: DueEntry
    scan: int

    async def carry_out(self, session: Session) -> Claims:
        batch = Batch(session, last=True)
        begin = (Bigint(self.after.due), self.after.id)
        page_ask = (*begin, Bigint(max(self.scan, 1)), arrays.texts(sorted(self.takes)))
        rows = await batch.look((CLAIMED_RUNS, (self.claim_id,)), (DUE_PAGE, page_ask))
        page = self._page(rows[DUE_PAGE], batch)
        if rows[CLAIMED_RUNS]:
            runs: list[UUID] = rows[CLAIMED_RUNS][0][1]
            again = await batch.look(*self._leased(runs, batch.now))
            if again[LEASED_RUNS]:
                return Claims(batch.now, _claims(again[LEASED_RUNS], again[LEASED_DUE]), None, page.next_due)
        if not (page.taken or page.paused or page.over):
            return Claims(batch.now, (), page.reached, page.next_due)
        told = await batch.write(*self._writes(page))
        claims = _claims(told.get(LEASED_RUNS, []), told.get(LEASED_DUE, []))
        return Claims(batch.now, claims, page.reached, page.next_due)

    def _page(self, rows: Sequence[Row], batch: Batch) -> _Page:
        now, next_due, *ends = rows[0][:6]
        page = _Page(batch.at(now), next_due)
        limit = self.limit
        if limit <= 0:
            page.reached = _entry(*ends[:2])
            return page
        for due, delivery_id, run_id, status, tries, version, fence, *behind, wakes, taken in (
            row[6:] for row in rows
        ):
            if due is None:  # nothing of the page is for us
                break
            if status is None or status in ENDED:
                page.over[run_id] = None
            elif status != 0 and not wakes:
                page.paused.append((run_id, delivery_id))
            elif taken is False:  # whoever takes it wakes it
                continue
            elif run_id not in page.taken:
                if tries >= _SUSPECT and page.taken:
                    page.reached = _entry(due, delivery_id)
                    return page
                page.taken[run_id] = _Head(run_id, version, fence)
                if status != 0:
                    page.woken.append(run_id)
                if tries >= _SUSPECT:
                    limit = 1
            if len(page.taken) >= limit:
                page.reached = _entry(*behind)
                return page
        page.reached = _entry(*ends[2:])
        return page

    def _writes(self, page: _Page) -> list[Ask]:
        asks: list[Ask] = []
        if page.paused:
            ids = arrays.uuids([name for _, name in page.paused])
            asks.append((PAUSE, (*by_run(run for run, _ in page.paused), ids)))
        if page.over:
            asks.append((EMPTY_RUNS, (Bigint(page.now), *by_run(page.over))))
        if page.woken:
            woken = in_order(page.woken)
            heads = [page.taken[run_id] for run_id in woken]
            as_read = (arrays.bigints([h.version for h in heads]), arrays.bigints([h.fence for h in heads]))
            asks.append((WAKE_RUNS, (*by_run(woken), *as_read)))
            asks.append((UNHOLD, (*by_run(woken), arrays.smallints([1 << Held.PAUSED] * len(woken)))))
        if page.taken:
            runs = in_order(list(page.taken))
            leased = (
                Bigint(page.now),
                Bigint(page.now + self.lease),
                self.claim_id,
                *by_run(runs),
                arrays.bigints([page.taken[run_id].version for run_id in runs]),
                arrays.bigints([page.taken[run_id].fence for run_id in runs]),
            )
            asks.append((LEASE_RUNS, leased))
            asks.append((NOTE_CLAIM, (self.claim_id, Bigint(page.now), *by_run(runs))))
            oldest = (Bigint(page.now - _SETTLED), Bigint(_FORGOTTEN), Bigint(page.now))
            asks.append((FORGET_CLAIMS, oldest))
            asks += self._leased(list(page.taken), page.now)
        return asks

    def _leased(self, runs: list[UUID], now: Micros) -> list[Ask]:
        """What the claim holds of `runs`, with what is due."""
        named = (self.claim_id, *by_run(runs))
        return [(LEASED_RUNS, named), (LEASED_DUE, (*named, Bigint(now)))]


def _entry(due: Micros | None, delivery_id: UUID | None) -> DueEntry | None:
    return None if due is None or delivery_id is None else DueEntry(due, delivery_id)


def _claims(runs: Sequence[Row], due: Sequence[Row]) -> tuple[RunClaim, ...]:
    handed: dict[int, list[Delivery]] = {}
    for row in due:
        handed.setdefault(row[0], []).append(delivery(row[1:]))
    claims: list[RunClaim] = []
    for row in runs:
        ready = handed.get(row[0], [])
        claims.append(run_claim(row, ready[:_HANDED_OVER], len(ready) > _HANDED_OVER))
    return tuple(sorted(claims, key=_first_due))


def _first_due(claim: RunClaim) -> tuple[Micros, int, int]:
    """Claims are handed over in the order of what is due first, a repeat's too."""
    if not claim.deliveries:
        return (0, 0, claim.run_id.int)
    first = claim.deliveries[0]
    return (first.due or 0, first.id.int, claim.run_id.int)


# --- leases


def _holds(runs: Sequence[RunHold]) -> tuple[tuple[object, ...], list[int]]:
    """The holds in everybody's order, as arrays, and where each of them was."""
    at = sorted(range(len(runs)), key=lambda i: (shard(runs[i].run_id), runs[i].run_id.int, runs[i].fence))
    fences = arrays.bigints([runs[i].fence for i in at])
    return (*by_run(runs[i].run_id for i in at), fences), at


async def renew(session: Session, runs: Sequence[RunHold], lease: int) -> list[bool]:
    """The verb: whether each is still the caller's. An expired lease that nobody took is."""
    holds, at = _holds(runs)
    (rows,) = await session.write((RENEW_RUNS, (*holds, Bigint(lease))))
    answers = dict(zip(at, (row[0] for row in rows), strict=True))
    return [answers[position] for position in range(len(runs))]


async def release(session: Session, runs: Sequence[RunHold]) -> None:
    """The verb: as if they had never been claimed."""
    holds, _ = _holds(runs)
    await session.write((RELEASE_RUNS, holds))
