"""What a worker's log tells of its own beginning, and of activities and runs that fail for good."""

from __future__ import annotations

import logging

import pytest

from continuum_core import Worker
from continuum_core.testing import Engine
from tests.runtime.machines import Job, Refused, Shaky, work


@pytest.mark.parametrize(
    ("error", "tries", "level"),
    [(Shaky("again and again"), 3, logging.WARNING), (Refused("never"), 1, logging.INFO)],
    ids=["its tries are used up", "its policy calls it fatal"],
)
async def test_a_failure_for_good_is_told_with_its_run(
    error: Exception, tries: int, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Engine([Job]) as engine:
        engine.stub(work, raises=error)
        run = await engine.start(Job, "a")
        await engine.advance(60)
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    [told] = [one for one in caplog.records if "for good" in one.msg]
    assert told.getMessage() == f"work of run {run.id} failed for good (attempt {tries}): {kind}: {error}"
    assert told.levelno == level
    assert told.__dict__["run_id"] == str(run.id)
    [ended] = [one for one in caplog.records if one.getMessage() == f"run {run.id} failed"]
    assert ended.levelno == logging.INFO


async def test_what_succeeds_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with Engine([Job]) as engine:
        engine.stub(work, returns="done")
        await engine.start(Job, "a")
    assert not [one for one in caplog.records if "fail" in one.getMessage()]


async def test_a_worker_says_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with Worker("memory://somewhere", [Job], namespace="shop", lease=7):
        pass
    [begun] = [one.getMessage() for one in caplog.records if one.getMessage().startswith("worker on")]
    assert begun.startswith("worker on memory://somewhere (")
    assert "namespace shop, lease 7 s, machines: job v1" in begun
