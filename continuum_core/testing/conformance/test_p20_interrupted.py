"""Promise 20: cancelling or closing in the middle of a verb leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from continuum_core.errors import ContinuumError
from continuum_core.journal.commit import CommitOutcome, NewRun
from continuum_core.journal.protocol import Journal
from continuum_core.testing.conformance.given import folded, new_run, new_task, signal, turn
from continuum_core.testing.conformance.kit import (
    Kit,
    claimed,
    claimed_one,
    committed,
    delivered,
    row,
    seen,
    started,
    tried,
    waiting,
)


async def _interrupted(work: Callable[[], Coroutine[Any, Any, object]], steps: int) -> None:
    """Begin a verb, let the loop turn `steps` times, cancel it."""
    task = asyncio.ensure_future(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_start_is_whole_or_not(kit: Kit, steps: int) -> None:
    """Promise 20: the handle goes on; repeating the start resolves whether it took effect."""
    journal, other = await kit.open(), await kit.open()
    new = new_run()
    await _interrupted(lambda: journal.start([new]), steps)
    await other.start([new])
    assert len((await seen(journal, new.run_id)).deliveries) == 1
    claim, now = await claimed_one(journal)
    await committed(journal, turn(claim, now))


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_commit_is_whole_or_not(kit: Kit, steps: int) -> None:
    """Promise 20: all of it or nothing, and its repeat resolves which."""
    journal, other = await kit.open(), await kit.open()
    run_id = await started(journal)
    claim, now = await claimed_one(journal)
    commit = turn(claim, now, (b"a;", b"b;"), tasks=(new_task(1),), deliveries=(signal(run_id),))
    await _interrupted(lambda: journal.commit([commit]), steps)
    inspection = await seen(other, run_id)
    assert (inspection.run.version, len(inspection.tasks)) in ((0, 0), (2, 1))
    assert await tried(other, commit) is CommitOutcome.COMMITTED
    inspection = await seen(journal, run_id)
    assert (inspection.run.version, len(inspection.tasks), len(inspection.deliveries)) == (2, 1, 1)
    assert folded(await journal.history(run_id)) == inspection.run.snapshot


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_claim_blocks_nobody(kit: Kit, steps: int) -> None:
    """Promise 20: repeated under its id it has what it was granted; others can write meanwhile."""
    journal, other = await kit.open(), await kit.open()
    run_id = await waiting(journal)
    await delivered(journal, signal(run_id))
    claim_id = new_run().run_id
    takes = frozenset({(await row(journal, run_id)).fingerprint})
    await _interrupted(lambda: journal.claim_runs(claim_id, 10, 60_000_000, takes), steps)
    await delivered(other, signal(run_id))
    claims = await journal.claim_runs(claim_id, 10, 60_000_000, takes)
    assert [claim.run_id for claim in claims.runs] == [run_id]
    assert claims.runs[0].tries == 1
    await committed(journal, turn(claims.runs[0], claims.now))


async def test_a_cancelled_wait_ends(kit: Kit) -> None:
    """Promise 20: and the handle waits and works again."""
    journal = await kit.open()
    await _interrupted(lambda: journal.wait(60), 3)
    await started(journal)
    await journal.wait(0.01)
    assert len((await claimed(journal)).runs) == 1


@pytest.mark.parametrize("steps", range(5))
async def test_closing_in_the_middle(kit: Kit, steps: int) -> None:
    """Promise 20: verbs under way end, by an answer or an error of this library; what was answered stands."""
    journal, other = await kit.open(), await kit.open()
    news = [new_run() for _ in range(10)]
    verbs = [asyncio.ensure_future(journal.start([new])) for new in news]
    for _ in range(steps):
        await asyncio.sleep(0)
    await journal.close()
    answers = await asyncio.gather(*verbs, return_exceptions=True)
    for new, answer in zip(news, answers, strict=True):
        if isinstance(answer, BaseException):
            assert isinstance(answer, (ContinuumError, asyncio.CancelledError))
        else:
            await row(other, new.run_id)
    await _start_all(other, news)
    assert len((await claimed(other)).runs) == 10


async def _start_all(journal: Journal, news: list[NewRun]) -> None:
    await journal.start(news)
    for new in news:
        assert len((await seen(journal, new.run_id)).deliveries) == 1


async def test_a_closed_handle_leaves_nothing(kit: Kit) -> None:
    """Promise 20: no thread, no task of the loop, no file, nothing for the collector; twice is once."""
    first = await kit.open()
    await started(first)  # what is loaded and opened once for a process is not the second handle's
    await first.close()
    threads, tasks, files = set(threading.enumerate()), asyncio.all_tasks(), _files()
    journal = await kit.open()
    claims = await claimed(journal)
    run_id = claims.runs[0].run_id
    await committed(journal, turn(claims.runs[0], claims.now))
    waiter = asyncio.create_task(journal.wait(60))
    await asyncio.sleep(0)
    await delivered(journal, signal(run_id))
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    await journal.close()
    await journal.close()
    del waiter, journal
    gc.collect()
    assert set(threading.enumerate()) <= threads
    assert asyncio.all_tasks() <= tasks
    assert _files() <= files


def _files() -> int:
    """How many files and sockets this process has open, where the system tells."""
    open_ = Path("/proc/self/fd")
    return len(list(open_.iterdir())) if open_.exists() else 0
