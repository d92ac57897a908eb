"""Promise 3: a stale fence, version or base changes nothing: whoever comes when, and however many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest
from attrs import frozen

from continuum_core.journal.commit import CommitOutcome, OrderKind, RunClaim
from continuum_core.journal.protocol import Journal
from continuum_core.testing.conformance.given import (
    HOUR,
    MOMENT,
    TAKES,
    folded,
    fused,
    new_id,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import (
    Kit,
    apart,
    claimed_one,
    delivered,
    ordered,
    passed,
    row,
    seen,
    tried,
    waiting,
)

_MANY = 6


@pytest.mark.parametrize("claimed", [True, False], ids=["claimed", "fused"])
async def test_of_many_committers_one_stands(kit: Kit, claimed: bool) -> None:
    """Promise 3: of many turns computed from one version, written at once by many, one stands."""
    journal = await kit.open()
    run_id = await waiting(journal)
    for generation in range(5):
        if claimed:
            await delivered(journal, signal(run_id))
            claim, now = await claimed_one(journal)
            turns = [turn(claim, now, (b"%d;" % number,)) for number in range(_MANY)]
        else:
            run, now = await row(journal, run_id), await journal.now()
            turns = [fused(run, now, bodies=(b"%d;" % number,)) for number in range(_MANY)]
        outcomes = apart(journal, [partial(tried, commit=commit) for commit in turns])
        assert Counter(outcomes)[CommitOutcome.COMMITTED] == 1
        history = await journal.history(run_id)
        assert [record.version for record in history] == list(range(1, generation + 3))
        assert history[-1].commit_id == turns[outcomes.index(CommitOutcome.COMMITTED)].commit_id


async def test_an_order_among_committers(kit: Kit) -> None:
    """Promise 3: many orders and many turns at once: each that was told it stands is one record."""
    journal = await kit.open()
    run_id = await waiting(journal)

    async def commit(sibling: Journal) -> int:
        stood = 0
        for _ in range(8):
            await sibling.deliver([signal(run_id)])
            claims = await sibling.claim_runs(new_id(), 1, HOUR, TAKES)
            for claim in claims.runs:
                stood += await tried(sibling, turn(claim, claims.now)) is CommitOutcome.COMMITTED
        return stood

    async def order(sibling: Journal) -> int:
        done = 0
        for _ in range(4):
            for kind in (OrderKind.SUSPEND, OrderKind.RESUME):
                done += (await ordered(sibling, kind, run_id)).outcome.value == "done"
        return done

    moved = sum(apart(journal, [commit, order, commit, order]))
    run, history = await row(journal, run_id), await journal.history(run_id)
    assert [record.version for record in history] == list(range(1, run.version + 1))
    assert run.version == 1 + moved
    assert folded(history) == run.snapshot


# --- planted interleavings ------------------------------------------------------------------------

Step = Callable[[], Coroutine[Any, Any, None]]


class _Worker:
    """Claims with a lease that is over at once, and commits later, whoever has claimed meanwhile."""

    def __init__(self, journal: Journal, run_id: UUID) -> None:
        self._journal = journal
        self._run_id = run_id
        self._claim: RunClaim | None = None
        self._now = 0
        self.fence = 0
        self.taken: list[bytes] = []

    async def claim(self) -> None:
        claims = await self._journal.claim_runs(new_id(), 1, MOMENT, TAKES)
        self._now = claims.now
        for claim in claims.runs:
            assert claim.run_id == self._run_id
            self._claim, self.fence = claim, claim.fence
            await passed(self._journal, claim.lease_until)

    async def commit(self) -> None:
        if self._claim is None:
            return
        commit = turn(self._claim, self._now, [one.payload + b";" for one in self._claim.deliveries])
        if await tried(self._journal, commit) is CommitOutcome.COMMITTED:
            self.taken += [one.payload for one in self._claim.deliveries]


def _merged(programs: Sequence[Sequence[Step]]) -> Iterator[list[Step]]:
    """Every order in which the programs' steps can come, each program's own order kept."""
    if not programs:
        yield []
        return
    first, *others = programs
    for rest in _merged(others):
        for places in combinations(range(len(first) + len(rest)), len(first)):
            steps, others_steps = iter(first), iter(rest)
            at = frozenset(places)
            yield [next(steps if n in at else others_steps) for n in range(len(first) + len(rest))]


_ORDERS = 30


@frozen
class _Cast:
    """Two workers and a sender, and one order of all their steps."""

    one: _Worker
    two: _Worker
    steps: list[Step]


def _cast(journal: Journal, other: Journal, run_id: UUID, number: int) -> _Cast:
    async def send() -> None:
        await delivered(other, signal(run_id, b"late"))

    one, two = _Worker(journal, run_id), _Worker(other, run_id)
    orders = list(_merged([[one.claim, one.commit], [two.claim, two.commit], [send]]))
    assert len(orders) == _ORDERS
    return _Cast(one, two, orders[number])


async def test_every_order_of_two_workers_and_a_sender(kit: Kit) -> None:
    """Promise 3: whatever the order of two claims, two commits and a sender, each delivery is taken once."""
    journal, other = await kit.open(), await kit.open()
    for number in range(_ORDERS):
        run_id = await waiting(journal)
        await delivered(journal, signal(run_id, b"early"))
        cast = _cast(journal, other, run_id, number)
        for step in cast.steps:
            await step()
        claims = await journal.claim_runs(new_id(), 1, HOUR, TAKES)
        rest = [delivery.payload for claim in claims.runs for delivery in claim.deliveries]
        taken = sorted([*cast.one.taken, *cast.two.taken, *rest])
        assert taken == [b"early", b"late"], f"interleaving {number}"
        if cast.one.fence and cast.two.fence:
            assert cast.one.fence != cast.two.fence, f"interleaving {number}: one fence was granted twice"
        history, inspection = await journal.history(run_id), await seen(journal, run_id)
        assert folded(history) == inspection.run.snapshot
        assert [record.version for record in history] == list(range(1, len(history) + 1))
        await ordered(journal, OrderKind.TERMINATE, run_id, outcome=b"over")
