"""A journal that is away is told of once for each reason, now and then again, and when it is back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import cast

import pytest

from continuum_core import Worker
from continuum_core.errors import JournalUnavailable
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.outage import Outage
from continuum_core.testing import Engine
from continuum_core.testing.clock import VirtualClock, VirtualHost
from continuum_core.testing.hinted import Hints, hinted
from tests.runtime.machines import Job, Steps, work
from tests.runtime.test_draining import VERBS, Away

GONE = JournalUnavailable("the cable is out")
OTHER = JournalUnavailable("the server is starting up")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def said(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "continuum_core.outage" and record.levelno >= level
    ]


@pytest.fixture(autouse=True)
def listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_each_reason_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outage = Outage(clock)
    for second in range(125):
        clock.now = float(second)
        outage.failed("commits", GONE)
        outage.failed("claiming runs", JournalUnavailable(GONE.reason, ambiguous=True))
    outage.failed("commits", OTHER)
    assert said(caplog) == [
        "commits: journal unavailable: the cable is out; tried again until it answers",
        "commits: journal unavailable: the cable is out; the journal has not answered for 60 s",
        "commits: journal unavailable: the cable is out; the journal has not answered for 120 s",
        "commits: journal unavailable: the server is starting up; tried again until it answers",
    ]
    assert len(said(caplog, logging.DEBUG)) == 251


def test_it_is_back_when_all_that_failed_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    """What works all the time says nothing of what does not: a full disk refuses commits, and no claims."""
    clock = Clock()
    outage = Outage(clock)
    outage.worked("commits")
    outage.failed("commits", GONE)
    outage.failed("leases", GONE)
    outage.worked("claiming runs")
    outage.worked("commits")
    assert len(said(caplog)) == 1
    clock.now = 45.0
    outage.worked("leases")
    outage.worked("leases")
    assert said(caplog)[1:] == ["the journal answers again, after 45 s"]
    outage.failed("commits", GONE)
    assert said(caplog)[2:] == [
        "commits: journal unavailable: the cable is out; tried again until it answers"
    ]


def test_what_nothing_waits_for_keeps_no_outage_open(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(Clock())
    outage.mention("reading definitions", GONE)
    outage.failed("commits", GONE)
    outage.worked("commits")
    assert said(caplog) == [
        "reading definitions: journal unavailable: the cable is out; tried again until it answers",
        "the journal answers again, after 0 s",
    ]


@asynccontextmanager
async def working() -> AsyncIterator[tuple[VirtualClock, Worker, Away]]:
    clock = VirtualClock()
    host = VirtualHost(clock)
    journal = Away(connect("memory://", clock=clock.now), host)
    told = hinted(cast(Journal, journal), host, Hints())
    async with Worker(told, [Steps], host=host, stall=86_400.0) as worker:
        yield clock, worker, journal


async def test_a_worker_says_little_of_ten_minutes(caplog: pytest.LogCaptureFixture) -> None:
    async with working() as (clock, worker, journal):
        await clock.quiet()
        journal.away = set(VERBS)
        await clock.advance(timedelta(minutes=10))
        assert 10 <= len(said(caplog)) <= 11
        journal.back_after(0.0)
        await clock.advance(timedelta(minutes=1))
        [back] = [line for line in said(caplog) if "answers again" in line]
        assert 590 <= int(back.split()[-2]) <= 610
        run = await worker.client.start(Steps, "a")
        assert await run.result(60) == "plain 1,done 2,3"
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


async def test_what_holds_its_leases_again_says_so(caplog: pytest.LogCaptureFixture) -> None:
    engines: list[Engine] = []
    inner = connect("memory://", clock=lambda: engines[0].clock.now())
    journal = Away(inner, VirtualHost(VirtualClock()))
    engines.append(Engine([Job], journal=cast(Journal, journal), lease=30.0, stall=86_400.0))
    async with engines[0] as engine:
        engine.stub(work, holds=True)
        await engine.start(Job, "a")
        journal.away = {"heartbeat"}
        await engine.advance(25)
        assert [line.partition(":")[0] for line in said(caplog)] == ["renewing leases"]
        journal.away = set()
        await engine.advance(25)
        assert said(caplog)[1].startswith("the journal answers again")
