"""Members of crews: results that are read back, what they are made of, sealing, undoing, pruning."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from continuum_core import Client, RunFailed, UsageError, Worker
from continuum_core.hooks import Plugins
from continuum_core.journal.commit import Query
from continuum_core.journal.connect import connect
from continuum_core.journal.crews import crewed
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RecordKind, RunStatus
from continuum_core.mapper import decode_step
from continuum_core.testing import Engine
from continuum_core.unopened import is_sealed
from continuum_crypto import Crypto, Key
from tests.crews.machines import Again, Fickle, Fleet, Go, Labels, Mixed, Trips, Wide, hands, label

LATELY = timedelta(minutes=1)
MANY = 300
"""More than are remembered between two turns."""


async def tokens(journal: Journal, run: UUID) -> list[int]:
    """Of the crews that the run's records tell of, oldest first."""
    records = [
        each for each in await journal.history(run) if each.kind in (RecordKind.STEP, RecordKind.GENERATION)
    ]
    commands = [command for record in records for command in decode_step(record).commands]
    return sorted({command.token for command in commands if command.do == "start-activity"})


async def test_results_of_many_members_are_read_back_from_their_rows(tagged_journal: str) -> None:
    parcels = tuple(f"p{number}" for number in range(MANY))
    async with Engine([Wide], journal=tagged_journal) as engine:
        run = await engine.start(Wide, parcels)
        assert (await run.result()).got == tuple(f"trk-{parcel}" for parcel in parcels)
        await engine.check(run)


async def test_a_worker_that_never_saw_them_reads_all(journal: str) -> None:
    parcels = tuple(f"wait-{number}" for number in range(3))
    async with Engine([Mixed], journal=journal) as engine:
        run = await engine.start(Mixed, parcels)
        for child in reversed((await engine.client.journal.list(Query(parent=run.id))).runs):
            await engine.crash()
            await engine.send(child.run_id, Go())
        assert (await run.result()).got == tuple(f"trk-{parcel}" for parcel in parcels)


async def test_members_that_wait_are_made_of_what_the_state_was_entered_with(journal: str) -> None:
    """The context that they are made of is kept, also over the death of the worker."""
    async with Engine([Fleet], journal=journal, paranoid=True) as engine:
        held = engine.stub(label, holds=True)
        run = await engine.start(Fleet, ("a", "b", "c", "d", "e"))
        await engine.send(run, Go())
        assert (await engine.context(run)).parcels == ()
        await engine.crash()
        engine.stub(label, calls=lambda parcel: f"trk-{parcel}")
        await engine.advance(timedelta(hours=1))
        assert (await run.result()).got == ("trk-a", "trk-b", "trk-c", "trk-d", "trk-e")
        assert held.calls == ["a", "b", "c"]


async def test_a_collection_that_changes_its_length_parks_the_run(journal: str) -> None:
    async with Engine([Fickle], journal=journal) as engine:
        run = await engine.start(Fickle, ("wait-1", "b", "c"))
        hands["more"] = 1
        await engine.crash()
        [child] = (await engine.client.journal.list(Query(parent=run.id))).runs
        await engine.send(child.run_id, Go())
        view = await engine.view(run)
        assert view.status is RunStatus.PARKED
        assert "gave 4 members, and 3 when the crew began" in view.cause
        hands.clear()
        await engine.client.unpark(run)
        assert (await run.result()).got == ("trk-wait-1", "trk-b", "trk-c")


async def test_members_that_were_done_are_undone(journal: str) -> None:
    async with Engine([Trips], journal=journal, paranoid=True) as engine:
        run = await engine.start(Trips, ("a", "b", "lost-1", "d"))
        with pytest.raises(RunFailed):
            await run.result()
        asked = [each for step in await engine.history(run) for each in step.asked if "unbook" in each]
        assert len(asked) == 2, "of a and b, and of nothing else"
        assert (await engine.context(run)).why == "undone"


async def test_what_came_of_members_is_sealed(shared_journal: str) -> None:
    plugins = Plugins(Crypto(lambda: (Key("new", b"n" * 32),)))
    async with Worker(shared_journal, [Labels], plugins=plugins, poll=0.05) as worker:
        run = await worker.client.start(Labels, ("a", "lost-1"))
        assert (await run.result(60)).got == ("trk-a", "Lost")
        [token] = await tokens(worker.client.journal, run.id)
        async with Client(shared_journal, [Labels], plugins=Plugins()) as plain:
            stored = await crewed(plain.journal).members(run.id, token)
            opened = await crewed(worker.client.journal).members(run.id, token)
        assert [is_sealed(each.body) for each in stored] == [True, True]
        assert b"trk-a" in opened[0].body


async def test_members_go_with_their_run_and_with_their_generation(journal: str) -> None:
    async with Engine([Again], journal=journal) as engine:
        run = await engine.start(Again, ("a", "b"))
        assert (await engine.view(run)).states == ("resting",)
        seen = await tokens(engine.client.journal, run.id)
        members = crewed(engine.client.journal).members
        assert [len(await members(run.id, token)) for token in seen] == [2, 2]
        await engine.advance(timedelta(hours=1))
        await engine.client.prune(LATELY, generations=True)
        assert [len(await members(run.id, token)) for token in seen] == [0, 2]
        await engine.client.terminate(run)
        await engine.advance(timedelta(hours=1))
        await engine.client.prune(LATELY)
        assert [len(await members(run.id, token)) for token in seen] == [0, 0]


class Simple:
    """A journal whose backend starts no child runs."""

    def __init__(self) -> None:
        self._inner = connect("memory://")

    def __getattr__(self, name: str) -> Any:
        if name == "members":
            raise AttributeError(name)
        return getattr(self._inner, name)

    def sibling(self) -> Any:
        return self


async def test_a_worker_says_at_once_that_its_journal_starts_no_child_runs() -> None:
    simple: Any = Simple()
    worker = Worker(simple, [Fleet], plugins=Plugins())
    with pytest.raises(UsageError, match="starts no child runs"):
        await worker.open()
