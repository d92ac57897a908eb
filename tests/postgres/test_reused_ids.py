"""Races between what was found and what becomes of it: pruning, and ids that a later run has again.

A gate stops one handle between the statement that found something and the one that acts on it; what others
do meanwhile is over when it goes on.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.carriage.images import departure_body, left_with, whole
from continuum_core.clock import Micros
from continuum_core.journal.carrying import DepartOutcome, Departure, RunImage
from continuum_core.journal.commit import NewRun, OrderKind, PrunePlan, StartOutcome
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.testing.conformance.given import (
    FAR,
    first_turn,
    fused,
    new_id,
    new_run,
    signal,
    turn,
)
from continuum_core.testing.conformance.kit import (
    claimed,
    claimed_one,
    committed,
    ordered,
    payloads,
    row,
    seen,
    started,
    waiting,
)
from continuum_postgres.journal import PostgresJournal
from tests.postgres.handles import Gate, opened, raw, soon, waits_for_lock

PAST = PrunePlan(before=FAR, limit=100, statuses=frozenset({RunStatus.RUNNING}), generations=True)


def _ended(run_id: UUID, now: Micros) -> NewRun:
    new = new_run(run_id, key="order-1")
    return replace(new, turn=first_turn(new, now, status=RunStatus.COMPLETED, outcome=b"done"))


async def _gone(journal: Journal, run_id: UUID) -> None:
    """The run ends, and is pruned."""
    await ordered(journal, OrderKind.TERMINATE, run_id)
    await _pruned(journal, run_id)


async def _pruned(journal: Journal, run_id: UUID) -> None:
    """It is the last that has ended, and what is buried now is no part of the plan."""
    plan = PrunePlan(before=(await row(journal, run_id)).updated + 1, limit=100)
    assert (await journal.prune(plan)).runs == 1


# --- pruning


async def test_a_run_that_begins_anew_is_not_pruned_for_its_predecessor(
    postgres_url: str, namespace: str
) -> None:
    """Found, pruned by another, begun again under its key and ended: that was after `before`."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        run_id = new_id()
        await quick.start([_ended(run_id, await quick.now())])
        plan = PrunePlan(before=await quick.now() + 1, limit=100)
        while await quick.now() <= plan.before:  # so that the new run ends later
            pass
        with Gate(slow, "reading", before=4) as gate:
            pruning = asyncio.create_task(slow.prune(plan))
            await soon(gate.reached.wait())
            assert (await quick.prune(plan)).runs == 1
            (again,) = await quick.start([_ended(run_id, await quick.now())])
            assert again.outcome is StartOutcome.STARTED
            gate.go.set()
            assert (await soon(pruning)).runs == 0
        assert (await row(quick, run_id)).status is RunStatus.COMPLETED
        assert len(await quick.history(run_id)) == 1


async def _of_two_generations(journal: Journal) -> UUID:
    """A run that has a past generation, of three records, and a present one."""
    run_id = await waiting(journal)
    for begins in (0, 0, 4):
        run = await row(journal, run_id)
        await committed(journal, fused(run, await journal.now(), snapshot=b"", begins=begins))
    return run_id


async def test_the_past_of_a_run_that_becomes_eternal_is_kept(postgres_url: str, namespace: str) -> None:
    """Found, and before it is deleted, the run is promised never to be pruned."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        run_id = await _of_two_generations(quick)
        with Gate(slow, "reading", before=3) as gate:
            pruning = asyncio.create_task(slow.prune(PAST))
            await soon(gate.reached.wait())
            run = await row(quick, run_id)
            await committed(quick, fused(run, await quick.now(), eternal=True))
            gate.go.set()
            pruned = await soon(pruning)
        assert (pruned.generations, pruned.records) == (0, 0)
        assert [record.version for record in await quick.history(run_id)] == [1, 2, 3, 4, 5]


async def _departs(journal: PostgresJournal, run_id: UUID) -> tuple[RunImage, DepartOutcome]:
    carrier = journal.carrier()
    (dumped,) = await carrier.dump([run_id])
    assert dumped is not None
    image = await whole(journal, dumped.image)
    assert image is not None
    body = departure_body(dumped.image, "operator", "to another")
    (outcome,) = await carrier.depart([Departure(run_id, dumped.mark, new_id(), body, b"gone")])
    return image, outcome


async def test_the_past_of_a_run_that_leaves_is_kept(postgres_url: str, namespace: str) -> None:
    """Found, and before it is deleted, the run departs: what it left with is still there, to be restored."""
    async with opened(postgres_url, namespace) as slow, opened(postgres_url, namespace) as quick:
        run_id = await _of_two_generations(quick)
        with Gate(slow, "reading", before=3) as gate:
            pruning = asyncio.create_task(slow.prune(PAST))
            await soon(gate.reached.wait())
            image, outcome = await _departs(quick, run_id)
            assert outcome is DepartOutcome.DEPARTED
            gate.go.set()
            assert (await soon(pruning)).generations == 0
        await _left_whole(quick, run_id, image)


async def _left_whole(journal: PostgresJournal, run_id: UUID, image: RunImage) -> None:
    """What the run left with can be read again, by a copy that is repeated."""
    (dumped,) = await journal.carrier().dump([run_id])
    assert dumped is not None
    left = await left_with(journal, dumped.image)
    assert left is not None
    again = await whole(journal, left)
    assert again is not None
    assert again.records == image.records


async def test_a_run_leaves_with_what_a_pruning_of_its_past_has_left(
    postgres_url: str, namespace: str
) -> None:
    """The past is being deleted: the departure waits, sees another run than was read, and is refused."""
    async with (
        opened(postgres_url, namespace) as pruner,
        opened(postgres_url, namespace) as carrying,
        raw(postgres_url) as looking,
    ):
        run_id = await _of_two_generations(carrying)
        with Gate(pruner, "reading", before=4) as gate:
            pruning = asyncio.create_task(pruner.prune(PAST))
            await soon(gate.reached.wait())
            leaving = asyncio.create_task(_departs(carrying, run_id))
            await soon(waits_for_lock(looking))
            gate.go.set()
            assert (await soon(pruning)).generations == 1
            _, outcome = await soon(leaving)
        assert outcome is not DepartOutcome.DEPARTED
        image, outcome = await _departs(carrying, run_id)
        assert outcome is DepartOutcome.DEPARTED
        assert [record.version for record in image.records] == [4]
        await _left_whole(carrying, run_id, image)


# --- an id that a later run has again


@pytest.mark.parametrize("pruned", ["before it is stored", "after it is stored"])
@pytest.mark.parametrize("begins", ["by its start", "by its first turn", "as a child"])
async def test_an_event_for_a_run_that_is_over_does_not_reach_the_next(
    postgres_url: str, namespace: str, pruned: str, begins: str
) -> None:
    """Its sender saw the run going, and stores it when the run is gone: it becomes a dead letter."""
    async with opened(postgres_url, namespace) as sender, opened(postgres_url, namespace) as quick:
        run_id = await waiting(quick)
        parent = await waiting(quick)
        with Gate(sender, "starting", before=2) as gate:
            late = signal(run_id, b"late", due=FAR, dedupe="one")
            sending = asyncio.create_task(sender.deliver([late]))
            await soon(gate.reached.wait())
            if pruned == "before it is stored":
                await _gone(quick, run_id)
            else:
                await ordered(quick, OrderKind.TERMINATE, run_id)
            gate.go.set()
            await soon(sending)
        if pruned == "after it is stored":
            await _pruned(quick, run_id)
        await _begin(quick, run_id, parent, begins)
        inspection = await seen(quick, run_id)
        assert b"late" not in payloads(inspection.deliveries)
        assert [letter.delivery.payload for letter in inspection.dead] == [b"late"]


async def _begin(journal: Journal, run_id: UUID, parent: UUID, how: str) -> None:
    new = new_run(run_id, key="order-1")
    now = await journal.now()
    if how == "as a child":
        child = replace(new, parent=parent, root=parent)
        await committed(journal, fused(await row(journal, parent), now, starts=(child,)))
        return
    (answer,) = await journal.start(
        [new if how == "by its start" else replace(new, turn=first_turn(new, now))]
    )
    assert answer.outcome is StartOutcome.STARTED


async def test_a_claim_that_met_a_run_that_is_gone_leaves_the_next_its_start(
    postgres_url: str, namespace: str
) -> None:
    """What is left of a gone run is put away by a claim, which read before a new run had its id."""
    async with opened(postgres_url, namespace) as sender, opened(postgres_url, namespace) as quick:
        run_id = await waiting(quick)
        with Gate(sender, "starting", before=2) as gate:
            sending = asyncio.create_task(sender.deliver([signal(run_id, b"late")]))
            await soon(gate.reached.wait())
            await _gone(quick, run_id)
            gate.go.set()
            await soon(sending)
        with Gate(sender, "claiming", before=2) as gate:
            claiming = asyncio.create_task(claimed(sender))
            await soon(gate.reached.wait())
            assert await started(quick, run_id=run_id) == run_id
            gate.go.set()
            assert (await soon(claiming)).runs == ()
        claim, now = await claimed_one(quick)
        assert payloads(claim.deliveries) == [b"start"]
        await committed(quick, turn(claim, now))
