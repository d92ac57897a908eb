"""Turns that grow old while the journal is away: one that may stand already is asked for, not given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from continuum_core import Machine, activity, current_attempt, event, root
from continuum_core.journal.connect import connect
from continuum_core.testing import Engine
from continuum_core.testing.faults import Call, Fault, FaultKind, FaultyJournal
from tests.runtime.machines import Ctx

LEASE = 600.0  # seconds; that of the test's engine


@event
class Begin:
    pass


@activity()
async def one(name: str) -> int:
    return current_attempt().losses


@activity()
async def two(name: str) -> int:
    return current_attempt().losses


class Twice(Machine[Ctx, str, str], name="twice"):
    """Two activities, the first one born with a commit, the second with a finish."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    first = s.state()
    second = s.state()
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    waiting.on(Begin, first)
    first.invoke(
        one, lambda c: c.name, done=second, error=done, assign=lambda c, n: Ctx(c.name, (*c.log, f"one {n}"))
    )
    second.invoke(
        two, lambda c: c.name, done=done, error=done, assign=lambda c, n: Ctx(c.name, (*c.log, f"two {n}"))
    )


class Outage:
    """A verb that is refused for long; then its request or its answer is lost once; then refused again."""

    def __init__(self, verb: str, lost: FaultKind) -> None:
        self.verb = verb
        self.lost = lost
        self.began: float | None = None
        self.over = False
        self.seconds: Any = None  # the test's clock

    def __call__(self, call: Call) -> Fault:
        if call.verb != self.verb or self.over:
            return Fault()
        if self.began is None:
            self.began = self.seconds()
        passed = self.seconds() - self.began
        if passed < 0.9 * LEASE:
            return Fault(FaultKind.REFUSED)
        if self.lost is not FaultKind.NONE:
            lost, self.lost = self.lost, FaultKind.NONE
            return Fault(lost)
        self.over = passed > 1.1 * LEASE
        return Fault(FaultKind.REFUSED)


@pytest.mark.parametrize("lost", [FaultKind.LOST_REPLY, FaultKind.LOST_REQUEST], ids=lambda kind: kind.value)
@pytest.mark.parametrize("verb", ["commit", "finish"])
@pytest.mark.parametrize("url", ["memory://", "sqlite:///{folder}/journal.db"], ids=["memory", "sqlite"])
async def test_a_task_that_was_born_with_an_old_turn_is_begun_and_not_lost(
    url: str, verb: str, lost: FaultKind, tmp_path: Any
) -> None:
    outage = Outage(verb, lost)
    inner = connect(url.format(folder=tmp_path), clock=lambda: engine.clock.now())
    engine = Engine([Twice], journal=FaultyJournal(inner, outage))
    outage.seconds = lambda: engine.clock.now() / 1e6
    async with engine:
        run = await engine.start(Twice, "a")
        await engine.send(run, Begin())
        await engine.advance(timedelta(seconds=1.3 * LEASE))
        assert outage.over
        assert await run.result() == "one 0,two 0"


async def test_a_turn_that_never_reached_the_journal_is_given_up_for_a_newer_one() -> None:
    outage = Outage("commit", FaultKind.NONE)
    inner = connect("memory://", clock=lambda: engine.clock.now())
    engine = Engine([Twice], journal=FaultyJournal(inner, outage))
    outage.seconds = lambda: engine.clock.now() / 1e6
    async with engine:
        run = await engine.start(Twice, "a")
        await engine.send(run, Begin())
        sent = engine.now()
        await engine.advance(timedelta(seconds=2.5 * LEASE))
        await engine.join()  # the lease of the run has ended
        assert await run.result() == "one 0,two 0"
        begun = [step.at for step in await engine.history(run) if step.event == "Begin"]
    assert begun[0] - sent > timedelta(seconds=LEASE), "it was claimed again, and the time read anew"
