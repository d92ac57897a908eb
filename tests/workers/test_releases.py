"""Two releases side by side: a run goes on only under logic that may have it; what nobody takes is seen."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from continuum_core import Client
from continuum_core.journal.records import RunStatus
from tests.workers.fleet import fleet, until
from tests.workers.machines import RELEASES, ChangedOne, ChangedTwo, Nudge, RollingOne, RollingTwo


@pytest.fixture
def url(postgres_database: str) -> str:
    return f"{postgres_database}?schema=releases_{os.urandom(6).hex()}"


async def test_two_releases_side_by_side(url: str, tmp_path: Path) -> None:
    """An additive change is adopted by the new release alone; another is not, and waits for the old one."""
    with fleet(url, tmp_path) as workers:
        async with Client(url, RELEASES["one"]) as old_client, Client(url, RELEASES["two"]) as client:
            old = await workers.hire("one").ready()
            # Of the new release, while no worker has it: the old one may not take them.
            ahead = [await client.start(RollingTwo, "ahead"), await client.start(ChangedTwo, "ahead")]
            for run in ahead:
                await run.send(Nudge())
            seen = await old_client.start(RollingOne, "seen")
            await seen.send(Nudge())
            assert await seen.result(60) == "one"  # the old worker works, and has met what lay before this
            for run in ahead:
                view = await client.view(run)
                assert (view.status, view.version, view.leased_until) == (RunStatus.RUNNING, 1, None)
                assert view.overdue(datetime.now(UTC)) is not None
            new = await workers.hire("two").ready()
            assert [await run.result(60) for run in ahead] == ["two", "two"]
            # Of the old release, with both alive.
            both = await old_client.start(RollingOne, "both")
            unchanged = await old_client.start(ChangedOne, "both")
            left = await old_client.start(ChangedOne, "left")
            adopted = await old_client.start(RollingOne, "adopted")
            for run in (both, unchanged):
                await run.send(Nudge())
            assert await both.result(60) in ("one", "two")
            assert await unchanged.result(60) == "one", "the new release cannot know what its state means"
            await old.dismiss()
            # Of the old release, with the new one alone: what it may adopt goes on, the rest waits.
            for run in (left, adopted):
                await run.send(Nudge())
            assert await adopted.result(60) == "two"
            view = await client.view(left)
            assert (view.status, view.version, view.states) == (RunStatus.RUNNING, 1, ("waiting",))
            assert view.overdue(datetime.now(UTC)) is not None
            await until(lambda: new.says("are left unclaimed: this code cannot adopt them"), "it says so")
            # Back with the old code, it goes on as if nothing had been.
            again = workers.hire("one")
            assert await left.result(60) == "one"
            await again.dismiss()
            await new.dismiss()
