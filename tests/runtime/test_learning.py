"""A release that is there before its workers: what it starts is taken up soon, not after the longest wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from continuum_core import Client, Machine, Worker, root
from continuum_core.journal.connect import connect
from continuum_core.journal.records import RunStatus
from continuum_core.testing.clock import VirtualClock, VirtualHost
from continuum_core.testing.hinted import Hints, hinted
from tests.runtime.machines import Ctx, Job

POLL = 5.0


def release(seconds: float) -> type[Machine[Any, Any, Any]]:
    """The same version of a machine whose only difference another release can adopt."""

    class Patient(Machine[Ctx, str, str], name="patient"):
        s = root(Ctx)
        waiting = s.state(initial=True)
        done = s.final()

        @staticmethod
        def init(i: str) -> Ctx:
            return Ctx(i)

        @staticmethod
        def result(c: Ctx) -> str:
            return c.name

        waiting.after(timedelta(seconds=seconds), done)

    return Patient


@pytest.mark.parametrize("hints", [True, False], ids=["hinted", "no hints"])
async def test_a_definition_that_a_client_brings_is_learnt_after_its_hint(hints: bool) -> None:
    clock = VirtualClock()
    host = VirtualHost(clock)
    journal = connect("memory://", clock=clock.now)
    shared = Hints()
    other = shared if hints else Hints()
    newer = release(1.0)
    async with Worker(hinted(journal, host, shared), [release(2.0)], host=host, poll=POLL) as worker:
        await clock.quiet()
        async with Client(hinted(journal.sibling(), host, other), [newer], host=host) as client:
            run = await client.start(newer, "a")
            await clock.advance(timedelta(seconds=2.5 * POLL))
            soon = (await client.view(run)).status
            await clock.advance(timedelta(seconds=9 * POLL))
            late = (await client.view(run)).status
    assert late is RunStatus.COMPLETED
    assert soon is (RunStatus.COMPLETED if hints else RunStatus.RUNNING)
    assert worker.registry.refused() == {}


async def test_who_is_left_unclaimed_is_named(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    host = VirtualHost(clock)
    journal, hints = connect("memory://", clock=clock.now), Hints()
    newer = release(1.0)

    class Patient(Machine[Ctx, str, str], name="patient"):
        s = root(Ctx)
        elsewhere = s.state(initial=True)
        done = s.final()

        @staticmethod
        def init(i: str) -> Ctx:
            return Ctx(i)

        @staticmethod
        def result(c: Ctx) -> str:
            return c.name

        elsewhere.after(timedelta(seconds=1), done)

    async with Client(hinted(journal, host, hints), [newer], host=host) as client:
        await client.start(newer, "a")
        async with Worker(hinted(journal.sibling(), host, hints), [Patient, Job], host=host):
            await clock.quiet()
    [warned] = [one.getMessage() for one in caplog.records if "unclaimed" in one.msg]
    assert warned.startswith("runs of patient version 1 (definition ")
    assert "continuum migrate-runs" in warned
