"""Child runs: started once, awaited, told, closed with the state that wanted them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from continuum_core import RunCancelled, RunFailed, RunTerminated
from continuum_core.journal.commit import Query
from continuum_core.journal.records import Run, RunStatus
from continuum_core.testing import Engine
from tests.crews.machines import Above, Ctx, Fleet, Go, Kept, Labels, Leave, One, Waits

HOUR = timedelta(hours=1)


async def children(engine: Engine, parent: str | UUID) -> list[Run]:
    """Oldest first."""
    page = await engine.client.journal.list(Query(parent=UUID(str(parent))))
    return list(reversed(page.runs))


async def test_the_result_of_a_child_run_is_the_parents(tagged_journal: str) -> None:
    async with Engine([One], journal=tagged_journal, paranoid=True) as engine:
        run = await engine.start(One, ("a",))
        assert await run.result() == Ctx(("a",), ("trk-a",))
        [child] = await children(engine, run.id)
        assert (child.status, child.machine, child.root) == (RunStatus.COMPLETED, "crew-parcel", child.parent)


async def test_a_child_runs_child_is_of_the_same_family(tagged_journal: str) -> None:
    """Its root is the run that nobody else has started, not its parent."""
    async with Engine([Above], journal=tagged_journal, paranoid=True) as engine:
        run = await engine.start(Above, ("a",))
        assert await run.result() == Ctx(("a",), ("trk-a",))
        [child] = await children(engine, run.id)
        [below] = await children(engine, child.run_id)
        assert (child.parent, child.root) == (run.id, run.id)
        assert (below.parent, below.root) == (child.run_id, run.id)


async def test_its_failure_is_an_error_of_the_parents(tagged_journal: str) -> None:
    async with Engine([One], journal=tagged_journal, paranoid=True) as engine:
        run = await engine.start(One, ("lost-1",))
        assert await engine.states(run) == {"failed"}


async def test_so_is_its_cancelling_and_its_termination(journal: str) -> None:
    for order, state in (("cancel", "lost"), ("terminate", "lost")):
        async with Engine([Waits], journal=journal, paranoid=True) as engine:
            run = await engine.start(Waits, (order,))
            [child] = await children(engine, run.id)
            if order == "cancel":
                await engine.client.cancel(child.run_id, "enough")
            else:
                await engine.client.terminate(child.run_id, "enough")
            await engine.settle()
            with pytest.raises(RunFailed) as caught:
                await run.result()
            assert caught.value.state == state


async def test_of_an_event_and_a_child_run_one_wins(journal: str) -> None:
    async with Engine([Waits], journal=journal, paranoid=True) as engine:
        run = await engine.start(Waits, ("a",))
        [child] = await children(engine, run.id)
        await engine.send(run, Leave())
        assert await run.result() == Ctx(("a",))
        await engine.settle()
        with pytest.raises(RunCancelled):
            await engine.client.handle(child.run_id).result()


async def test_so_of_a_timer_and_a_child_run(journal: str) -> None:
    async with Engine([Waits], journal=journal, paranoid=True) as engine:
        late, told = await engine.start(Waits, ("a",)), await engine.start(Waits, ("b",))
        [child] = await children(engine, told.id)
        await engine.client.send(child.run_id, Go())
        await engine.settle()
        assert await told.result() == Ctx(("b",), ("slow-b",))
        await engine.advance(HOUR)
        assert await late.result() == Ctx(("a",))
        [child] = await children(engine, late.id)
        assert child.status is RunStatus.CANCELLED


async def test_leaving_the_state_closes_each_as_it_was_declared(tagged_journal: str) -> None:
    async with Engine([Kept], journal=tagged_journal, paranoid=True) as engine:
        run = await engine.start(Kept, ())
        started = await children(engine, run.id)
        assert len(started) == 5
        await engine.send(run, Leave())
        await engine.settle()
        ends = {each.status for each in await children(engine, run.id)}
        assert ends == {RunStatus.CANCELLED, RunStatus.TERMINATED, RunStatus.RUNNING}
        count = [each.status for each in await children(engine, run.id)].count(RunStatus.CANCELLED)
        assert count == 2, "the awaited one, and the forgotten one that is tied all the same"


async def test_members_are_shipped_in_order_and_in_windows(tagged_journal: str) -> None:
    parcels = tuple(f"p{number}" for number in range(8))
    async with Engine([Fleet], journal=tagged_journal, paranoid=True) as engine:
        run = await engine.start(Fleet, parcels)
        result = await run.result()
        assert result.got == tuple(f"trk-{parcel}" for parcel in parcels)
        assert len(await children(engine, run.id)) == 8


async def test_the_first_failure_ends_the_others(journal: str) -> None:
    async with Engine([Fleet], journal=journal, paranoid=True) as engine:
        run = await engine.start(Fleet, ("a", "lost-1", "c", "d", "e", "f", "g"))
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert caught.value.state == "lost"


async def test_activities_are_members_too_and_failures_can_be_results(journal: str) -> None:
    async with Engine([Labels], journal=journal, paranoid=True) as engine:
        run = await engine.start(Labels, ("a", "lost-1", "c", "lost-2"))
        assert (await run.result()).got == ("trk-a", "Lost", "trk-c", "Lost")


async def test_an_empty_collection_is_done_at_once(journal: str) -> None:
    async with Engine([Fleet], journal=journal, paranoid=True) as engine:
        run = await engine.start(Fleet, ())
        assert (await run.result()).got == ()


async def test_a_child_run_that_ends_while_its_parent_rests_is_not_forgotten(journal: str) -> None:
    async with Engine([Waits], journal=journal, paranoid=True) as engine:
        run = await engine.start(Waits, ("a",))
        [child] = await children(engine, run.id)
        await engine.client.suspend(run, "for a while")
        await engine.client.send(child.run_id, Go())
        await engine.settle()
        assert (await children(engine, run.id))[0].status is RunStatus.COMPLETED
        await engine.client.resume(run)
        assert await run.result() == Ctx(("a",), ("slow-a",))


async def test_a_dead_worker_leaves_one_child_run_of_each(journal: str) -> None:
    async with Engine([Waits], journal=journal, paranoid=True) as engine:
        run = await engine.start(Waits, ("a",))
        await engine.crash()
        [child] = await children(engine, run.id)
        await engine.client.send(child.run_id, Go())
        await engine.settle()
        assert await run.result() == Ctx(("a",), ("slow-a",))


async def test_a_cancel_that_races_the_beginning_reaches_the_children(tagged_journal: str) -> None:
    async with Engine([Kept], journal=tagged_journal, paranoid=True) as engine:
        run = await engine.client.start(Kept, ())
        await engine.client.cancel(run, "at once")
        await engine.settle()
        with pytest.raises(RunCancelled):
            await run.result()
        ends = sorted(child.status for child in await children(engine, run.id))
        running = [RunStatus.RUNNING] * 2
        assert ends == [*running, RunStatus.CANCELLED, RunStatus.CANCELLED, RunStatus.TERMINATED]


async def test_terminating_a_parent_closes_its_children(journal: str) -> None:
    async with Engine([Kept], journal=journal, paranoid=True) as engine:
        run = await engine.start(Kept, ())
        await engine.client.terminate(run, "enough")
        await engine.settle()
        with pytest.raises(RunTerminated):
            await run.result()
        ends = [child.status for child in await children(engine, run.id)]
        assert ends.count(RunStatus.RUNNING) == 2
