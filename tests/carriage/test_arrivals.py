"""What a copy owes runs that have left: they arrive, once, or somebody is told."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, cast
from uuid import UUID

import pytest
from msgspec.structs import replace

from continuum_core.carriage.images import departure_body
from continuum_core.errors import PayloadRefused
from continuum_core.journal.carrying import Arrival, DepartOutcome, Departure, carrier_of, is_moving
from continuum_core.journal.commit import PrunePlan, Query
from continuum_core.journal.protocol import Journal, Limits
from continuum_core.journal.records import ENDED, Run, RunStatus
from continuum_core.testing.conformance.given import FAR, new_id, signal
from tests.carriage.conftest import Fresh
from tests.carriage.interrupted import (
    Interrupted,
    Interrupts,
    Passing,
    copied,
    opened,
    resting,
    stepped,
    to_the_left,
)

BACKENDS = ("memory", "sqlite", "postgres", "redis")
_ALL = PrunePlan(before=FAR, limit=100)


async def _row(journal: Journal, run_id: UUID) -> Run:
    [row] = await journal.load([run_id])
    assert row is not None
    return row


async def _is_kept(journal: Journal, run_id: UUID) -> bool:
    """Whether pruning passes a run over."""
    await journal.prune(_ALL)
    return await journal.load([run_id]) != [None]


async def _departed(journal: Journal, run_id: UUID) -> None:
    """As by a copy that came no further."""
    [dumped] = await carrier_of(journal).dump([run_id])
    assert dumped is not None
    leaving = Departure(run_id, dumped.mark, new_id(), departure_body(dumped.image, "ada", "why"), b"left")
    assert await carrier_of(journal).depart([leaving]) == [DepartOutcome.DEPARTED]


def _refusing(journal: Journal, verb: str, runs: set[UUID]) -> Journal:
    """A journal that cannot hold these runs, and says so by this verb."""

    async def around(name: str, found: Any, arguments: tuple[Any, ...]) -> Any:
        if name == verb and runs & {image.run.run_id for image in arguments[0]}:
            raise PayloadRefused("dedupe id", "it is longer than this journal can hold")
        return await found(*arguments)

    return cast(Journal, Passing(journal, around))


# --- the target cannot hold it


async def test_what_the_target_cannot_hold_never_leaves(fresh: Fresh) -> None:
    """A timer in a year that Redis cannot sort: the run stays alive where it is, and all others are moved."""
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh("sqlite")), await opened(stack, fresh("redis"))
        runs = [await resting(source) for _ in range(3)]
        await source.deliver([replace(signal(runs[1]), due=253_402_300_799_999_999)])
        for dry_run in (True, False, False):
            done = await copied(source, target, dry_run=dry_run)
            [trouble] = done.troubles
            assert (trouble.run, trouble.machine) == (runs[1], "kit")
            assert "the target cannot hold it" in trouble.why
            assert (await _row(source, runs[1])).status is RunStatus.RUNNING
            assert done.moved == (2 if dry_run or not done.present else 0)
        assert [row is not None for row in await target.load(runs)] == [True, False, True]


@pytest.mark.parametrize("verb", ["restore", "rehearse"])
async def test_an_ended_run_that_is_refused_stops_no_other(fresh: Fresh, verb: str) -> None:
    """Of those that are restored together, the others arrive; a dry run says as much."""
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh("memory")), await opened(stack, fresh("sqlite"))
        runs = [await resting(source) for _ in range(3)]
        for run_id in runs:
            await stepped(source, run_id, status=RunStatus.COMPLETED, outcome=b"over")
        refusing = _refusing(target, verb, {runs[1]})
        done = await copied(source, refusing, dry_run=verb == "rehearse")
        assert ([trouble.run for trouble in done.troubles], done.finished) == ([runs[1]], 2)
        there = [row is not None for row in await target.load(runs)]
        assert there == ([True, False, True] if verb == "restore" else [False] * 3)


async def test_a_run_that_is_refused_after_it_left_waits(fresh: Fresh) -> None:
    """Its image is kept, pruning passes it over, and the copy that finds room takes it on."""
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh("sqlite")), await opened(stack, fresh("memory"))
        run_id, other = await resting(source), await resting(source)
        done = await copied(source, _refusing(target, "restore", {run_id}))
        assert ([trouble.run for trouble in done.troubles], done.moved) == ([run_id], 1)
        assert (await source.prune(_ALL)).runs == 1  # the other
        row = await _row(source, run_id)
        assert is_moving(row.status, row.cause)
        done = await copied(source, target)
        assert (done.complete, done.resumed) == (True, 1)
        assert {row.status for row in await target.load([run_id, other]) if row} == {RunStatus.RUNNING}


async def test_a_run_that_is_not_whole_any_more_is_told_of(fresh: Fresh) -> None:
    """It left, the copy died, and records are gone: the source keeps what there is."""
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh("memory")), await opened(stack, fresh("memory"))
        run_id = await resting(source)
        await _departed(source, run_id)
        space = source.store.space(source.namespace)  # type: ignore[attr-defined]  # the memory journal's own
        del space.runs[run_id].records[0]
        for _ in range(2):
            done = await copied(source, target)
            [trouble] = done.troubles
            assert (trouble.run, "cannot be restored whole" in trouble.why) == (run_id, True)
            assert (done.complete, done.moved, await target.load([run_id])) == (False, 0, [None])
            assert (await source.prune(_ALL)).runs == 0


# --- a copy that is repeated knows what it has moved


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_run_that_went_on_without_a_record_is_known(fresh: Fresh, backend: str) -> None:
    """What was sent to it in the source meanwhile reaches it, and the source is told."""
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh(backend)), await opened(stack, fresh(backend))
        run_id = await resting(source)
        dying = Interrupts(1, verb="settle")
        with pytest.raises(Interrupted):
            await copied(dying.of(source), dying.of(target))
        await stepped(target, run_id)
        await to_the_left(source, run_id, b"late")
        done = await copied(source, target)
        assert (done.complete, done.resumed, done.forwarded) == (True, 1, 1)
        found = await target.inspect(run_id)
        assert found is not None
        assert [delivery.payload for delivery in found.deliveries] == [b"late"]
        assert (await _row(source, run_id)).cause == ""


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_run_that_ended_and_was_pruned_does_not_live_again(fresh: Fresh, backend: str) -> None:
    """Until the source was told, the target knows that it was there."""
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh(backend)), await opened(stack, fresh(backend))
        run_id = await resting(source)
        dying = Interrupts(1, verb="settle")
        with pytest.raises(Interrupted):
            await copied(dying.of(source), dying.of(target))
        await stepped(target, run_id, status=RunStatus.COMPLETED, outcome=b"over")
        assert (await target.prune(_ALL)).runs == 1
        await to_the_left(source, run_id, b"late")
        for _ in range(2):
            assert (await copied(source, target)).complete
            assert await target.load([run_id]) == [None]
        assert (await _row(source, run_id)).cause == ""


async def test_what_the_target_has_no_room_for_keeps_the_run(fresh: Fresh) -> None:
    """Events that came late stay, and the run with them, until the target has taken every one, once."""
    async with AsyncExitStack() as stack:
        source = await opened(stack, fresh("memory"))
        target_url = fresh("sqlite")
        narrow = await opened(stack, target_url, Limits(pending=2))
        run_id = await resting(source)
        await _departed(source, run_id)
        await to_the_left(source, run_id, b"one", b"two", b"three")
        for forwarded in (2, 0):
            done = await copied(source, narrow)
            [trouble] = [each for each in done.troubles if each.run == run_id]
            assert (done.forwarded, "1 that came after it had left" in trouble.why) == (forwarded, True)
            assert await _is_kept(source, run_id)
        wide = await opened(stack, target_url)
        done = await copied(source, wide)
        assert (done.forwarded, done.complete) == (1, True)
        found = await wide.inspect(run_id)
        assert found is not None
        assert sorted(delivery.payload for delivery in found.deliveries) == [b"one", b"three", b"two"]
        assert not await _is_kept(source, run_id)


async def test_one_late_event_that_is_refused_stops_no_other(fresh: Fresh) -> None:
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh("memory")), await opened(stack, fresh("memory"))
        run_id = await resting(source)
        await _departed(source, run_id)
        await to_the_left(source, run_id, b"one", b"odd", b"two")

        async def around(name: str, found: Any, arguments: tuple[Any, ...]) -> Any:
            if name == "deliver" and any(each.payload == b"odd" for each in arguments[0]):
                raise PayloadRefused("payload", "it is odd")
            return await found(*arguments)

        done = await copied(source, cast(Journal, Passing(target, around)))
        [trouble] = done.troubles
        assert (trouble.run, "it is odd" in trouble.why, done.forwarded) == (run_id, True, 2)
        assert await _is_kept(source, run_id)
        done = await copied(source, target)
        assert (done.forwarded, done.complete) == (1, True)


# --- at every crossing

_CROSSINGS = 15
"""Verbs that write, of the copy below; it has no more."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, _CROSSINGS + 1))
async def test_a_copy_that_ends_at_any_crossing_is_taken_on(fresh: Fresh, at: int, after: bool) -> None:
    """Whatever the runs do in between where they live: each lives once, and what was sent reaches it once."""
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh("memory")), await opened(stack, fresh("memory"))
        steps, ends = await resting(source), await resting(source)
        dying = Interrupts(at, after)
        with pytest.raises(Interrupted):
            await copied(dying.of(source), dying.of(target))
        assert not await _living(source) & await _living(target)
        ended = await _goes_on(source, target, steps, ends)
        done = await copied(source, target)
        assert done.complete
        assert not await _living(source)
        assert {steps, ends} - ended <= await _living(target)
        assert not ended & await _living(target)
        found = await target.inspect(steps)
        assert found is not None
        assert [delivery.payload for delivery in found.deliveries] == [b"late"]
        space = target.store.space(target.namespace)  # type: ignore[attr-defined]  # the memory journal's own
        assert space.arrived == set()
        assert {(await _row(source, run_id)).cause for run_id in (steps, ends)} == {""}


async def _goes_on(source: Journal, target: Journal, steps: UUID, ends: UUID) -> set[UUID]:
    """One run takes a step and is sent something, wherever it lives; the other ends in the target."""
    there = await _living(target)
    if steps in there:
        await stepped(target, steps)
    if steps in await _living(source):
        await stepped(source, steps)
        await source.deliver([signal(steps, b"late")])
    else:
        await to_the_left(source, steps, b"late")
    if ends not in there:
        return set()
    await stepped(target, ends, status=RunStatus.COMPLETED, outcome=b"over")
    assert (await target.prune(_ALL)).runs == 1
    return {ends}


async def _living(journal: Journal) -> set[UUID]:
    page = await journal.list(Query(), 100)
    return {run.run_id for run in page.runs if run.status not in ENDED}


async def test_the_crossings_are_all_there_are(fresh: Fresh) -> None:
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh("memory")), await opened(stack, fresh("memory"))
        for _ in range(2):
            await resting(source)
        counting = Interrupts(0)
        await copied(counting.of(source), counting.of(target))
        assert counting.calls == _CROSSINGS


# --- told twice


async def test_a_settled_run_is_not_moved_again(fresh: Fresh) -> None:
    """A copy that died before the target forgot: the next one has it forget, and restores nothing."""
    async with AsyncExitStack() as stack:
        source, target = await opened(stack, fresh("memory")), await opened(stack, fresh("memory"))
        run_id = await resting(source)
        dying = Interrupts(1, verb="forget")
        with pytest.raises(Interrupted):
            await copied(dying.of(source), dying.of(target))
        space = target.store.space(target.namespace)  # type: ignore[attr-defined]  # the memory journal's own
        assert [run for run, _ in space.arrived] == [run_id]
        done = await copied(source, target)
        assert (done.present, done.moved, space.arrived) == (1, 0, set())
        await carrier_of(source).settle([Arrival(run_id)])
        assert (await source.prune(_ALL)).runs == 1
        assert (await copied(source, target)).complete
