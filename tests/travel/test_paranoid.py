"""Drift noticed by engines: it parks the run, and fails the test that asked to be told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from continuum_core import Machine, RunStatus, Worker, event, root
from continuum_core.replay import DriftError
from continuum_core.testing import Engine
from tests.travel.machines import Arrive, Board, Book, Travel, buy
from tests.travel.test_fork import until

MOOD = [1]
"""What a careless reducer looks at although it is not given it."""


@event
class Count:
    pass


@event
class Stop:
    pass


def careless(c: int, e: Count) -> int:
    return c + MOOD[0]


class Moody(Machine[int, int, int], name="moody"):
    s = root(int)
    counting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c

    counting.on(Count, assign=careless)
    counting.on(Stop, done)


@pytest.fixture(autouse=True)
def even_tempered() -> None:
    MOOD[0] = 1


async def test_what_folds_to_the_same_passes_unseen() -> None:
    async with Engine([Travel], paranoid=True) as engine:
        engine.stub(buy, returns=3)
        run = await engine.start(Travel, "north")
        for sent in (Book("Oslo"), Board(), Arrive()):
            await engine.send(run, sent)
        assert (await run.result()).total == 3
        fork = await run.fork(2)
        assert await engine.check_all() == 2
        assert (await engine.view(fork)).status is RunStatus.RUNNING


async def moody(failure: Exception | None = None) -> None:
    """A test of a run whose reducer gives something else when it is asked again."""
    async with Engine([Moody], paranoid=True) as engine:
        run = await engine.start(Moody, 0)
        await engine.send(run, Count())
        await engine.send(run, Stop())
        MOOD[0] = 2
        if failure is not None:
            raise failure


async def test_a_reducer_that_is_not_pure_fails_the_test() -> None:
    with pytest.raises(DriftError, match=r"record 2: .* folds to"):
        await moody()


async def test_a_test_that_fails_by_itself_says_so_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        await moody(ZeroDivisionError())


async def test_drift_parks_the_run_and_never_fails_it(journal: str) -> None:
    async with Worker(journal, [Moody], paranoid=True) as worker:
        run = await worker.client.start(Moody, 0)
        await run.send(Count())

        async def counted() -> bool:
            return (await run.view()).version == 2

        await until(counted)
        MOOD[0] = 2
        await run.send(Stop())

        async def parked() -> bool:
            return (await run.view()).status is RunStatus.PARKED

        await until(parked)
        view = await run.view()
        assert view.cause.startswith("drift: at record 2 the context differs; `continuum replay`")
        assert (view.version, view.states, view.outcome) == (3, ("counting",), None)
        assert [(each.what, each.held) for each in view.waiting] == [("Stop", "poison")]
        # The code is mended, and nothing was lost.
        MOOD[0] = 1
        await worker.client.unpark(run)
        assert await run.result(20) == 1


TEST = """
import asyncio
from continuum_core.testing import Engine
from tests.travel.test_paranoid import MOOD, Count, Moody

def test_it():
    async def lived():
        async with Engine([Moody]) as engine:
            run = await engine.start(Moody, 0)
            await engine.send(run, Count())
            MOOD[0] = 2
    asyncio.run(lived())
"""


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--paranoid",), 1)])
def test_the_option_of_pytest_makes_all_engines_paranoid(
    tmp_path: Path, options: tuple[str, ...], code: int
) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    root_ = str(Path(__file__).parents[2])
    environment = {name: value for name, value in os.environ.items() if name != "CONTINUUM_PARANOID"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", *options, "test_it.py"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": root_},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert ("DriftError" in done.stdout) == bool(code)
