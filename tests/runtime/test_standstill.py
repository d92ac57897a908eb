"""Who keeps a worker's event loop is named, once: what the engine called, not what that calls in turn."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from continuum_core import Machine, Worker, activity, root, standstill
from continuum_core.standstill import Standstill, called
from tests.runtime.machines import Ctx

_WARNED = "continuum_core.standstill"
_kept = threading.Event()
"""Set when somebody was named: what keeps the loop then lets it go."""


def _keep(word: str) -> str:
    _kept.wait(60)
    return word


_HIDDEN = [_keep]
"""From the check of definitions, which refuses what keeps a loop where it sees it."""


@activity()
async def keeps(name: str) -> str:
    return _keep(name) if name == "body" else name


class Keeper(Machine[Ctx, str, str], name="keeper"):
    """Its body keeps the loop; or else what makes its result does."""

    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return _HIDDEN[0](c.name) if c.name == "result" else c.name

    working.invoke(keeps, lambda c: c.name, done=done, error={Exception: failed})


class _Listens(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        _kept.set()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    monkeypatch.setattr(standstill, "_PERIOD", 0.01)
    monkeypatch.setattr(standstill, "_PATIENCE", 0.01)
    _kept.clear()
    listens = _Listens()
    logger = logging.getLogger(_WARNED)
    logger.addHandler(listens)
    yield listens.said
    logger.removeHandler(listens)
    _kept.set()


@pytest.mark.parametrize(("name", "keeper"), [("body", "keeps"), ("result", "Keeper.result")])
async def test_who_keeps_the_loop_is_named_once(said: list[str], name: str, keeper: str) -> None:
    async with Worker("memory://", [Keeper]) as worker:
        handle = await worker.client.start(Keeper, name)
        assert await handle.result(timeout=60) == name
        _kept.clear()
        again = await worker.client.start(Keeper, name, key="again")
        threading.Timer(0.2, _kept.set).start()
        assert await again.result(timeout=60) == name
    [warned] = said
    assert f"kept by {keeper} ({__file__}, line " in warned
    assert "make the body a plain function" in warned


async def test_a_loop_that_turns_is_not_spoken_of(said: list[str]) -> None:
    loop = asyncio.get_running_loop()
    watching = asyncio.create_task(Standstill(loop, threading.get_ident()).watch())
    for _ in range(10):
        await asyncio.sleep(0.01)
    watching.cancel()
    assert said == []


def test_who_is_called_by_nobody_of_ours_is_named_whole() -> None:
    frame = sys._getframe()
    outermost = frame
    while outermost.f_back is not None:
        outermost = outermost.f_back
    assert called(frame) is outermost
    assert called(None) is None


async def test_the_loops_own_code_is_nobody() -> None:
    """A process that was stopped, and goes on: its loop stands in its own code until it turns."""
    waits = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    here = called(sys._getframe())
    assert here is not None
    assert here.f_code.co_name == "test_the_loops_own_code_is_nobody"
    assert here.f_back is not None
    assert called(here.f_back) is None  # a handle of asyncio
    waits.cancel()
