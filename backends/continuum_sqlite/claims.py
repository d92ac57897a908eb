"""Claims of runs: from the index of due deliveries, in its order, stopping at the limit.

Rule: first read, then write. A page reads entries until it has found enough; runs that wait, that ended
or that have only future timers are in no entry. What the page met and cannot be taken because its run
is paused or over is put away, so that it is met once.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from attrs import define, field

from continuum_core.clock import Micros
from continuum_core.journal.commit import (
    Claims,
    DueEntry,
    RunClaim,
)
from continuum_core.journal.records import ENDED, Held, RunStatus, own_timer
from continuum_sqlite import deliveries, rows
from continuum_sqlite.rows import Row
from continuum_sqlite.statements.deliveries import DEFERRED, DUE_ENTRIES, DUE_OF_RUN, NEXT_DUE
from continuum_sqlite.statements.runs import CLAIMED_RUNS, LEASE_RUN, RELEASE_RUN, RENEW_RUN, WAKE_RUN
from continuum_sqlite.transaction import Transaction

__all__ = ["ClaimRuns", "release", "renew"]

_HANDED_OVER = 64
"""Deliveries in one claim of a run, at most."""

_SUSPECT = 2
"""Claims without a commit after which a run is claimed alone: it may be what kills its workers."""


@define
class _Page:
    """What one reading of the index found."""

    taken: list[bytes] = field(factory=list[bytes])
    paused: list[tuple[bytes, bytes]] = field(factory=list[tuple[bytes, bytes]])
    woken: list[bytes] = field(factory=list[bytes])
    over: dict[bytes, None] = field(factory=dict[bytes, None])
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

    def peek(self, transaction: Transaction) -> Claims | None:
        """The answer, where there is nothing to write."""
        held = self._held(transaction)
        if held is not None:
            return held
        page = self._page(transaction)
        if page.taken or page.paused or page.over:
            return None
        return Claims(transaction.now, (), page.reached, _next_due(transaction))

    def carry_out(self, transaction: Transaction) -> Claims:
        held = self._held(transaction)
        if held is not None:
            return held
        page = self._page(transaction)
        for run_id, delivery_id in page.paused:
            deliveries.hold(transaction, run_id, delivery_id, Held.PAUSED)
        for run_id in page.woken:
            transaction.execute(WAKE_RUN, (transaction.ns, run_id))
            deliveries.unhold(transaction, UUID(bytes=run_id), Held.PAUSED)
        for run_id in page.over:
            deliveries.empty(transaction, UUID(bytes=run_id))
        until = transaction.now + self.lease
        claim_id = self.claim_id.bytes
        taken: list[RunClaim] = []
        for run_id in page.taken:
            lease = (transaction.ns, run_id, transaction.now, until, claim_id)
            (leased,) = transaction.execute(LEASE_RUN, lease).fetchall()
            taken.append(_claim(transaction, leased))
        in_order = tuple(sorted(taken, key=_first_due))
        return Claims(transaction.now, in_order, page.reached, _next_due(transaction))

    def _held(self, transaction: Transaction) -> Claims | None:
        """What this very claim was given before, when only its answer was lost."""
        found = transaction.execute(CLAIMED_RUNS, (transaction.ns, self.claim_id.bytes)).fetchall()
        if not found:
            return None
        again = tuple(sorted((_claim(transaction, row) for row in found), key=_first_due))
        return Claims(transaction.now, again, None, _next_due(transaction))

    def _page(self, transaction: Transaction) -> _Page:
        page = _Page()
        entries = transaction.execute(
            DUE_ENTRIES, (transaction.ns, self.after.due, transaction.now, self.after.id.bytes)
        )
        try:
            self._read(entries, page, transaction.now)
        finally:
            entries.close()  # an index is not written while it is being read
        return page

    def _read(self, entries: Iterator[Row], page: _Page, now: Micros) -> None:
        """Sort entries into `page` until it has enough. It goes on from the entry that ended it."""
        met: set[bytes] = set()
        limit = self.limit
        for read, (due, delivery_id, run_id, status, lease_until, tries, fingerprint, own) in enumerate(
            _with_own(each) for each in entries
        ):
            page.reached = DueEntry(due, UUID(bytes=delivery_id))
            if len(page.taken) >= limit or read >= self.scan:
                return
            if status in ENDED:
                page.over[run_id] = None
            elif status != RunStatus.RUNNING and not own:
                page.paused.append((run_id, delivery_id))
            elif run_id in met or fingerprint not in self.takes:
                continue
            elif lease_until is None or lease_until <= now:
                if tries >= _SUSPECT and page.taken:
                    return
                met.add(run_id)
                page.taken.append(run_id)
                if status != RunStatus.RUNNING:
                    page.woken.append(run_id)
                if tries >= _SUSPECT:
                    limit = 1
        page.reached = None


def _with_own(entry: Row) -> Row:
    """An entry, of whose kind and token it only counts whether it is a timer of the run itself."""
    return (*entry[:7], own_timer(entry[7], entry[8]))


def _claim(transaction: Transaction, leased: Row) -> RunClaim:
    """A leased run as its holder gets it, with what is due."""
    run_id = leased[0]
    asked = (transaction.ns, run_id, transaction.now, _HANDED_OVER + 1)
    due = transaction.execute(DUE_OF_RUN, asked).fetchall()
    deferred = transaction.execute(DEFERRED, (transaction.ns, run_id)).fetchone()
    return rows.run_claim(leased, due[:_HANDED_OVER], len(due) > _HANDED_OVER, deferred is not None)


def _first_due(claim: RunClaim) -> tuple[Micros, int, int]:
    """Claims are handed over in the order of what is due first, a repeat's too."""
    if not claim.deliveries:
        return (0, 0, claim.run_id.int)
    first = claim.deliveries[0]
    return (first.due or 0, first.id.int, claim.run_id.int)


def _next_due(transaction: Transaction) -> Micros | None:
    found: Micros | None = transaction.execute(NEXT_DUE, (transaction.ns, transaction.now)).fetchone()[0]
    return found


# --- leases


def renew(transaction: Transaction, held: list[tuple[bytes, int]], lease: int) -> list[bool]:
    """The verb: whether each is still the caller's. An expired lease that nobody took is."""
    until = transaction.now + lease
    return [
        transaction.execute(RENEW_RUN, (transaction.ns, run_id, fence, until)).rowcount == 1
        for run_id, fence in held
    ]


def release(transaction: Transaction, held: list[tuple[bytes, int]]) -> None:
    """The verb: as if they had never been claimed."""
    for run_id, fence in held:
        transaction.execute(RELEASE_RUN, (transaction.ns, run_id, fence))
