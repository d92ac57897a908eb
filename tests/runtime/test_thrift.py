"""What a run does not cost: questions nobody needs answered, and work left to the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from continuum_core import Machine, RunTerminated, Worker, activity, root
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.runtime.attempt import Attempt
from continuum_core.runtime.holding import Holding
from tests.runtime.machines import Ctx, noted
from tests.runtime.test_hints import POLL, Deaf

RUNS = 20


class Counting(Deaf):
    """Counts the verbs that are called; it never hints."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return super().__getattr__(name)


@activity()
async def word(name: str) -> str:
    return name


@activity()
async def for_ever(name: str) -> str:
    await asyncio.Event().wait()
    return name


class Twice(Machine[Ctx, str, str], name="twice"):
    s = root(Ctx)
    one = s.state(initial=True)
    two = s.state()
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    one.invoke(word, lambda c: c.name, done=two, assign=noted, error={Exception: failed})
    two.invoke(word, lambda c: c.name, done=done, assign=noted, error={Exception: failed})


class Stuck(Machine[Ctx, str, str], name="stuck"):
    s = root(Ctx)
    one = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    one.invoke(for_ever, lambda c: c.name, done=done, error={Exception: done})


async def test_a_run_in_one_process_is_neither_claimed_nor_read() -> None:
    journal = Counting(connect("memory://"))
    async with Worker(cast(Journal, journal), [Twice], poll=POLL) as worker:
        await (await worker.client.start(Twice, "warm")).result(20)
        before = journal.calls.copy()
        for number in range(RUNS):
            run = await worker.client.start(Twice, str(number))
            assert await run.result(20) == f"{number},{number}"
        asked = journal.calls - before
    for verb in ("claim_runs", "claim_tasks", "load", "commit"):
        assert asked[verb] == 0, f"{verb}: {asked[verb]} times in {RUNS} runs"


async def test_the_end_of_a_run_in_hand_that_no_turn_here_made_is_seen_without_a_hint() -> None:
    journal = Counting(connect("memory://"))
    async with Worker(cast(Journal, journal), [Stuck], poll=POLL, grace=0.0) as worker:
        run = await worker.client.start(Stuck, "a")
        await asyncio.sleep(0)
        await run.view()
        await worker.client.terminate(run)
        try:
            await run.result(20)
        except RunTerminated:
            return
    raise AssertionError("it was terminated")


async def test_an_attempt_leaves_nothing_to_the_garbage_collector() -> None:
    async with Worker("memory://", [Twice]) as worker:
        await (await worker.client.start(Twice, "warm")).result(20)
        with _garbage() as found:
            for number in range(RUNS):
                await (await worker.client.start(Twice, str(number))).result(20)
    left = [type(each).__name__ for each in found if isinstance(each, Attempt | Holding | asyncio.Task)]
    assert not left


@contextmanager
def _garbage() -> Iterator[list[object]]:
    """What only the garbage collector could free of all that was made in the block."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.extend(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
