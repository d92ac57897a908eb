"""Whatever the moment of a worker's death, there is one child run of each, and its end is told once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from continuum_core import RunCancelled, RunFailed
from continuum_core.journal.commit import Query
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.testing import Engine
from tests.crews.machines import Fleet, Kept, Labels, Leave, Mixed

LEASES = timedelta(minutes=30)
"""Longer than the leases of what a dead worker had."""

PARCELS = ("a", "b", "c", "d", "e")
WAITING = ("wait-1", "wait-2")


class Dying:
    """A journal whose writer stops for ever at its `at`-th write: before it, or when it stands untold."""

    def __init__(self, inner: Journal, at: int, after: bool, counts: dict[str, int] | None = None) -> None:
        self._inner = inner
        self._at = at
        self._after = after
        self._counts = {"writes": 0, "died": 0} if counts is None else counts

    pause: Callable[[timedelta], Awaitable[None]]

    @property
    def died(self) -> bool:
        return bool(self._counts["died"])

    def sibling(self) -> Journal:
        made = Dying(self._inner.sibling(), self._at, self._after, self._counts)
        made.pause = self.pause
        return cast(Journal, made)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._counted(found) if name in ("commit", "finish") else found

    def _counted(self, verb: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        async def counted(members: Any) -> Any:
            self._counts["writes"] += 1
            last = self._counts["writes"] == self._at
            if last and not self._after:
                await self._die()
            answer = await verb(members)
            if last:
                await self._die()
            return answer

        return counted

    async def _die(self) -> None:
        self._counts["died"] = 1
        await self.pause(timedelta(days=3650))


Scenario = Callable[[Engine, Dying], Awaitable[None]]


async def died(url: str, at: int, after: bool, scenario: Scenario) -> bool:
    """Whether the scenario met its `at`-th write; it has ended as if nobody had died there."""
    clocks: list[Any] = []
    dying = Dying(connect(url, clock=lambda: clocks[0].now()), at, after)
    engine = Engine([Fleet, Labels, Kept, Mixed], journal=cast(Journal, dying))
    clocks.append(engine.clock)
    dying.pause = engine.sleep
    async with engine:
        await scenario(engine, dying)
    return dying.died


async def lives_on(engine: Engine, dying: Dying) -> None:
    await engine.settle()
    if dying.died:
        await engine.crash()
        await engine.advance(LEASES)


async def fleet(engine: Engine, dying: Dying) -> None:
    run = await engine.start(Fleet, PARCELS)
    await lives_on(engine, dying)
    assert (await run.result()).got == tuple(f"trk-{parcel}" for parcel in PARCELS)
    children = (await engine.client.journal.list(Query(parent=run.id))).runs
    assert [child.status for child in children] == [RunStatus.COMPLETED] * len(PARCELS)
    await engine.check(run)


async def labels(engine: Engine, dying: Dying) -> None:
    run = await engine.start(Labels, ("a", "lost-1", "c"))
    await lives_on(engine, dying)
    assert (await run.result()).got == ("trk-a", "Lost", "trk-c")
    await engine.check(run)


async def kept(engine: Engine, dying: Dying) -> None:
    """The parent is left at once: what closes its child runs races their beginnings."""
    run = await engine.client.start(Kept, ())
    await engine.client.send(run, Leave())
    await lives_on(engine, dying)
    children = (await engine.client.journal.list(Query(parent=run.id))).runs
    ends = sorted(child.status for child in children)
    assert ends == [RunStatus.RUNNING] * 2 + [RunStatus.CANCELLED] * 2 + [RunStatus.TERMINATED]
    assert await run.result() is not None


async def lost(engine: Engine, dying: Dying) -> None:
    """A member fails while its siblings run: they are closed, and those that waited never begin."""
    run = await engine.start(Mixed, (*WAITING, "lost-1", "late"))
    await lives_on(engine, dying)
    with pytest.raises(RunFailed):
        await run.result()
    await engine.settle()
    family = (await engine.client.journal.list(Query(parent=run.id))).runs
    ends = sorted(child.status for child in family)
    assert ends == [RunStatus.FAILED, *[RunStatus.CANCELLED] * len(WAITING)]
    await engine.check(run)


async def cancelled(engine: Engine, dying: Dying) -> None:
    """The cancel overtakes what the parent does: its child runs end with it, or never begin."""
    run = await engine.client.start(Mixed, WAITING)
    await engine.client.cancel(run, "at once")
    await lives_on(engine, dying)
    with pytest.raises(RunCancelled):
        await run.result()
    await engine.settle()
    family = (await engine.client.journal.list(Query(parent=run.id))).runs
    assert {child.status for child in family} <= {RunStatus.CANCELLED}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scenario", [fleet, labels, kept, lost, cancelled])
async def test_every_write_may_be_the_last_of_a_worker(scenario: Scenario, after: bool) -> None:
    at = 1
    while await died("memory://", at, after, scenario):
        at += 1
    assert at > 2, "the scenario writes"


@pytest.mark.every_journal
@pytest.mark.parametrize("scenario", [fleet, lost])
async def test_so_on_the_other_journals(tagged_journal: str, scenario: Scenario) -> None:
    assert await died(tagged_journal, 2, True, scenario)


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("scenario", [fleet, labels, kept, lost, cancelled])
async def test_every_write_of_a_worker_on_the_other_journals(
    fresh_tagged: Callable[[], str], scenario: Scenario, after: bool
) -> None:
    at = 1
    while await died(fresh_tagged(), at, after, scenario):
        at += 1
    assert at > 2, "the scenario writes"
