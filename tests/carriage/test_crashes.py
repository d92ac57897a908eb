"""`kill -9` of a copy at each of its stages: no run lives in two journals, and the same copy completes it."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from continuum_core.asyncio_host import AsyncioHost
from continuum_core.carriage.asking import Copying
from continuum_core.carriage.copying import copy
from continuum_core.journal.carrying import is_moving
from continuum_core.journal.commit import Query
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from tests.carriage.conftest import Fresh
from tests.carriage.crowd import crowd, images, live

STAGES = [
    ("define", "after", 1),
    ("restore", "after", 1),
    ("depart", "before", 1),
    ("depart", "after", 1),
    ("depart", "after", 3),
    ("restore", "after", 4),
    ("settle", "before", 1),
    ("settle", "after", 1),
    ("forget", "before", 1),
    ("keep", "before", 2),
]
"""A verb, whether the process dies before or after it, and at which of its calls."""

PLACES = [(stage, "sqlite", "sqlite") for stage in STAGES] + [
    (("depart", "after", 2), "postgres", "redis"),
    (("restore", "after", 2), "redis", "postgres"),
]


@pytest.mark.parametrize(("stage", "source_on", "target_on"), PLACES)
async def test_a_killed_copy_is_taken_on(
    fresh: Fresh, stage: tuple[str, str, int], source_on: str, target_on: str
) -> None:
    source_url, target_url = fresh(source_on), fresh(target_on)
    await crowd(source_url)
    async with AsyncExitStack() as stack:
        source, target = await _opened(stack, source_url), await _opened(stack, target_url)
        before, lived = await images(source), await live(source)
        verb, when, number = stage
        command = ("-m", "tests.carriage.dying_copy", source_url, target_url, verb, when, str(number))
        process = await asyncio.create_subprocess_exec(sys.executable, *command)
        assert await asyncio.wait_for(process.wait(), 60.0) == -signal.SIGKILL
        here, there = await live(source), await live(target)
        assert here.isdisjoint(there)
        moving = await _moving(source)
        assert here | there | moving == lived
        assert len(moving) <= 1
        done = await copy(source, target, Copying(host=AsyncioHost(), to="elsewhere"))
        assert done.complete
        assert await images(target) == before
        assert (await live(source), await live(target)) == (set(), lived)
        assert (done.resumed, await _moving(source)) == (len(moving), set())


async def _moving(journal: Journal) -> set[UUID]:
    """Runs that have left, and are not known to have arrived."""
    page = await journal.list(Query(), 100)
    return {run.run_id for run in page.runs if is_moving(run.status, run.cause)}


async def _opened(stack: AsyncExitStack, url: str) -> Journal:
    journal = connect(url)
    await journal.open()
    stack.push_async_callback(journal.close)
    return journal
