"""The table of the manual's page, *What each keeps and loses*, cell by cell: what it says is what happens.

Rule: each row has a probe, which answers with the words of the page for what it found. A cell that says
something else, a row without a probe and a word of the page that no probe gives fail alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from continuum_core import Handle, Machine, UsageError, root
from continuum_core.definition.memory import Word
from continuum_core.testing import Engine
from tests.docs.pages import ROOT
from tests.remembering.machines import Add, Leave, Mark, Seen, Stop, added, begun, double, sum_of

PAGE = ROOT / "docs" / "howto" / "choose-what-to-remember.md"
POLICIES: tuple[Word, ...] = ("ephemeral", "selective", "all", "eternal")
YES, NO = "✓", "–"


def machine(word: Word) -> type[Machine[Seen, int, int]]:
    """One that adds, works and comes to a checkpoint, and remembers by this policy."""

    class Policy(Machine[Seen, int, int], name=f"table-{word}"):
        s = root(Seen)
        counting = s.state(initial=True)
        working = s.state()
        marked = s.state()
        end = s.final()
        s.remember(word)
        if word == "selective":  # elsewhere it would change nothing, which the check tells
            marked.checkpoint()
        counting.on(Add, assign=added)
        counting.on(Mark, working)
        working.invoke(double, lambda c: c.sum, done=marked, assign=lambda c, v: evolve(c, sum=v), error=end)
        marked.on(Leave, counting)
        counting.after(timedelta(hours=1), end)
        s.on(Stop, end)
        init = staticmethod(begun)
        result = staticmethod(sum_of)

    return Policy


SENT = (Add(2), Mark(), Leave(), Add(4))
STEPS = 6  # the start, what was sent, and the outcome of the activity: 1 start, 2 Add, 3 Mark, 4 done, 5, 6
DONE = 4


class Lived:
    """A run that has taken its steps and goes on."""

    def __init__(self, engine: Engine, run: Handle[int]) -> None:
        self.engine, self.run = engine, run

    async def possible(self, what: Callable[[int], Awaitable[Any]]) -> dict[int, Any]:
        """What came of it at each version at which it is not refused."""
        found: dict[int, Any] = {}
        for version in range(1, STEPS + 1):
            with contextlib.suppress(UsageError):
                found[version] = await what(version)
        return found


Probe = Callable[[Lived], Awaitable[str]]
PROBES: dict[str, Probe] = {}


def row(title: str) -> Callable[[Probe], Probe]:
    def kept(probe: Probe) -> Probe:
        PROBES[title] = probe
        return probe

    return kept


@row("the run as it is now, its timers, activities, events and dedupe ids: as durable as the journal")
async def _(lived: Lived) -> str:
    engine, run = lived.engine, lived.run
    await run.send(Add(8), dedupe="once")
    await engine.crash()
    await run.send(Add(8), dedupe="once")
    await engine.advance(timedelta(minutes=30))
    assert await engine.context(run) == Seen(3, 18)
    await engine.advance(timedelta(minutes=31))
    return YES if await run.result() == 18 else NO


@row("`at(version)`, `at(time)`")
async def _(lived: Lived) -> str:
    moments = await lived.possible(lived.run.at)
    if not moments:
        with pytest.raises(UsageError, match="no record is stored"):
            await lived.run.at(lived.engine.now())
        assert (await lived.run.at(lived.engine.now() - timedelta(days=1))).version == 0, "it was not there"
        return NO
    assert await lived.run.at(lived.engine.now()) == moments[max(moments)]
    if len(moments) == STEPS:
        return YES if not any(each.vague for each in moments.values()) else NO
    assert {version: each.vague for version, each in moments.items()} == {1: False, DONE: True}
    assert moments[DONE].context == Seen(1, 6)
    return "at records; what was open in between is not known, and `Moment.vague` says so"


@row("`blame`")
async def _(lived: Lived) -> str:
    try:
        changes = [(each.version, each.steps) for each in await lived.run.blame("sum")]
    except UsageError:
        return NO
    if changes == [(6, 1), (4, 1), (2, 1), (1, 1)]:
        return YES
    assert changes == [(4, 3), (1, 1)]
    return "names the record, and of how many steps one did it"


@row("`why`")
async def _(lived: Lived) -> str:
    ways = await lived.possible(lived.run.why)
    if not ways:
        return NO
    way = [(link.version, link.how) for link in ways[DONE]]
    if way == [(4, "activity"), (3, "client")]:
        return YES
    assert way == [(4, "activity"), (3, "gone")]
    return "goes back as far as records reach, then says *not stored any more*"


@row("`replay`")
async def _(lived: Lived) -> str:
    engine, run = lived.engine, lived.run
    await engine.client.suspend(run)
    await engine.client.resume(run)
    await engine.check(run)
    steps = await engine.history(run)
    if [step.event for step in steps] == ["suspend", "resume"]:
        return "orders only"
    if len(steps) == STEPS + 2:
        return YES
    assert [step.version for step in steps] == [1, DONE, STEPS + 1, STEPS + 2]
    return "what is between gaps; it says how many steps have no record"


@row("`fork`")
async def _(lived: Lived) -> str:
    forks = await lived.possible(lived.run.fork)
    await lived.engine.settle()
    for fork in forks.values():
        await lived.engine.check(fork)
    if not forks:
        return NO
    if len(forks) == STEPS:
        return YES
    assert list(forks) == [1]
    return "from records before the first gap"


@row("`prune`")
async def _(lived: Lived) -> str:
    engine, run = lived.engine, lived.run
    await engine.send(run, Stop())
    await engine.advance(timedelta(days=1))
    pruned = await engine.client.prune(timedelta())
    return {(1, 0): "takes it", (0, 1): "passes it over, and counts it"}[pruned.runs, pruned.eternal]


ELSEWHERE = "a lost answer to a commit is recognised"
"""The port's promise 3, which the conformance kit holds every journal to."""


def _table() -> dict[str, dict[str, str]]:
    """Of each row its cells, by policy."""
    text = PAGE.read_text(encoding="utf-8").partition("## What each keeps and loses")[2]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][1:] == list(POLICIES)
    return {row[0]: dict(zip(POLICIES, row[1:], strict=True)) for row in cells[2:]}


def test_every_row_has_a_probe() -> None:
    assert set(_table()) == {*PROBES, ELSEWHERE}


@pytest.mark.parametrize("title", PROBES)
@pytest.mark.parametrize("word", POLICIES)
async def test_a_cell_says_what_happens(word: Word, title: str) -> None:
    policy = machine(word)
    async with Engine([policy]) as engine:
        engine.stub(double, calls=lambda value: 2 * value)
        run = await engine.start(policy, 1, key="k")
        for event in SENT:
            await engine.send(run, event)
            await engine.advance(timedelta(minutes=1))
        assert await PROBES[title](Lived(engine, run)) == _table()[title][word]
