"""One file, many users: processes, forks, event loops, and how they notice each other."""

from __future__ import annotations

import asyncio
import json
import os
import signal as signals
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from continuum_core.errors import UsageError
from continuum_core.journal.commit import Query
from continuum_core.journal.protocol import Limits
from continuum_core.testing.conformance.given import new_run, signal
from continuum_sqlite import hub
from continuum_sqlite.journal import SqliteJournal
from continuum_sqlite.place import Place
from continuum_sqlite.wakeups import Wakeups
from tests.sqlite.handles import claim, opened

BUSY = Path(__file__).with_name("busy_process.py")
PROCESSES = 4
ROUNDS = 25


def busy(path: Path, rounds: int, name: str) -> subprocess.Popen[str]:
    """Another process at work on the file; it tells what was acknowledged, line by line."""
    command = [sys.executable, str(BUSY), str(path), str(rounds), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def check_histories(path: Path, acknowledged: list[dict[str, str]]) -> None:
    """Gap-free, each record once, and everything that was acknowledged is there."""
    async with opened(path) as journal:
        committed = [one for one in acknowledged if "version" in one]
        for run_id in {one["run"] for one in acknowledged}:
            history = await journal.history(UUID(run_id), limit=10_000)
            assert [record.version for record in history] == list(range(1, len(history) + 1))
            there = {(str(record.version), str(record.commit_id)) for record in history}
            asked = {(str(one["version"]), one["commit"]) for one in committed if one["run"] == run_id}
            assert asked <= there
            bodies = b"".join(record.body for record in history)
            run = (await journal.load([UUID(run_id)]))[0]
            assert run is not None
            assert run.snapshot == bodies
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_several_processes_write_one_file_without_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    processes = [busy(path, ROUNDS, f"p{number}") for number in range(PROCESSES)]
    results = await asyncio.gather(*(asyncio.to_thread(one.communicate, timeout=120) for one in processes))
    assert [(one.returncode, errors) for one, (_, errors) in zip(processes, results, strict=True)] == [
        (0, "")
    ] * PROCESSES
    acknowledged = [json.loads(line) for told, _ in results for line in told.splitlines()]
    commits = [one["commit"] for one in acknowledged if "commit" in one]
    assert len(commits) == len(set(commits)) > PROCESSES * ROUNDS
    await check_histories(path, acknowledged)
    async with opened(path) as journal:
        runs = [run for run in (await journal.list(Query(), limit=10_000)).runs if run.lease_until is None]
        assert sum(run.version for run in runs) == len(commits)


@pytest.mark.parametrize("after", [3, 40])
async def test_what_a_killed_process_was_told_is_there(after: int, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    process = busy(path, 100_000, "doomed")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after)]
    process.send_signal(signals.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    whole = [line for line in (*lines, *rest.splitlines(keepends=True)) if line.endswith("\n")]
    await check_histories(path, [json.loads(line) for line in whole])


# --- forks and event loops


def in_fork(work: object) -> str:
    """What `work` says when it is called in a fork of this process."""
    assert callable(work)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    os.waitpid(child, 0)
    return text


def refusal(work: object) -> str:
    """Run a coroutine function on a new event loop; the UsageError it meets."""
    assert callable(work)
    with closing(asyncio.SelectorEventLoop()) as loop:
        try:
            loop.run_until_complete(work())
        except UsageError as error:
            return str(error)
    return "no refusal"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_fork_is_told_that_it_cannot_go_on(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as journal:
        sibling = journal.sibling()

        def use(verb: object) -> str:
            asyncio.events._set_running_loop(None)  # the fork's copy of the loop does not run
            return refusal(verb)

        assert "in this fork" in await asyncio.to_thread(in_fork, lambda: use(journal.now))
        assert "forked while" in await asyncio.to_thread(in_fork, lambda: use(sibling.open))
        await journal.start([new_run()])
        assert len(await claim(journal)) == 1
    assert not hub.forked(str(path)), "the parent itself is no fork"


async def test_another_event_loop_is_refused_and_a_sibling_serves_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as journal:
        run = new_run()
        await journal.start([run])
        assert "another event loop" in await asyncio.to_thread(refusal, journal.now)

        async def elsewhere() -> object:
            sibling = journal.sibling()
            await sibling.open()
            try:
                return await sibling.load([run.run_id])
            finally:
                await sibling.close()

        assert await asyncio.to_thread(asyncio.run, elsewhere()) == await journal.load([run.run_id])


def test_a_handle_whose_loop_is_gone_can_be_closed(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    journal = SqliteJournal(Place(str(tmp_path / "x.db")), "test", Limits())
    asyncio.run(journal.open())
    asyncio.run(journal.close())
    assert set(threading.enumerate()) <= before


# --- wakeups: what is tested is that they come at all; the bound is for a test that would fail


@pytest.mark.parametrize("early", [True, False], ids=["written before", "written while waiting"])
async def test_a_handle_wakes_when_another_of_this_process_writes(early: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as journal, opened(path) as other:
        await journal.wait(0)
        run = new_run()
        if early:
            await other.start([run])
        waiting = asyncio.ensure_future(journal.wait(3600))
        await asyncio.sleep(0)
        if not early:
            await other.start([run])
        await asyncio.wait_for(waiting, timeout=60)


async def test_a_handle_wakes_when_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path) as journal:
        await journal.wait(0)
        waiting = asyncio.ensure_future(journal.wait(3600))
        with closing(sqlite3.connect(path)) as other, other:  # a connection that no handle knows of
            other.execute("INSERT INTO continuum_namespaces (name) VALUES ('another')")
        await asyncio.wait_for(waiting, timeout=60)


async def test_a_handle_is_not_woken_by_what_it_writes_itself(tmp_path: Path) -> None:
    """Neither told by its writer, nor by looking at the file; and then by another's write all the same."""
    path = tmp_path / "x.db"
    async with opened(path) as journal, opened(path) as other:
        waiting = asyncio.ensure_future(journal.wait(3600))
        looks = journal._opened().wakeups
        for _ in range(5):
            await journal.start([new_run()])
            looks._next_look = 0.0
            await looks._notice(asyncio.get_running_loop(), 0.001)
        await journal.start([new_run()])  # behind what a look had the writer ask
        assert not waiting.done()
        await other.start([new_run()])
        await asyncio.wait_for(waiting, timeout=60)


@pytest.mark.parametrize("under_way", [False, True])
async def test_a_commit_may_be_seen_before_its_writer_knows(under_way: bool) -> None:
    """A look that meets the handle's own commit has the writer asked; one that meets no own commit wakes."""
    asked: list[bool] = []
    hand, shared = hub.Hand(begun=int(under_way)), hub.Hub()

    async def look() -> bool:
        return True

    waiting = Wakeups(shared, hand, look, lambda: asked.append(True))
    await waiting._notice(asyncio.get_running_loop(), 0.001)
    assert (len(asked), shared.others(hand)) == ((1, 0) if under_way else (0, 1))


async def test_a_commit_may_end_while_a_look_is_under_way() -> None:
    """It came too late for that one, and the next, which is the first to see it, knows whose it may be."""
    asked: list[bool] = []
    hand, shared = hub.Hand(), hub.Hub()
    looks = iter((False, True))

    async def look() -> bool:
        hand.begun = hand.ended = 1
        return next(looks)

    waiting = Wakeups(shared, hand, look, lambda: asked.append(True))
    for _ in range(2):
        waiting._next_look = 0.0
        await waiting._notice(asyncio.get_running_loop(), 0.001)
    assert (len(asked), shared.others(hand)) == (1, 0)


@pytest.mark.parametrize("behind", [False, True])
async def test_a_handle_that_writes_is_woken_by_another_process(behind: bool, tmp_path: Path) -> None:
    """What came before its own last transaction the writer notes; behind it, a look has the writer asked."""
    path, loop = tmp_path / "x.db", asyncio.get_running_loop()
    async with opened(path) as journal:
        looks = journal._opened().wakeups
        await looks._notice(loop, 7200)  # the next one by itself is an hour away
        waiting = asyncio.ensure_future(journal.wait(3600))
        await asyncio.sleep(0)
        if behind:
            await journal.start([new_run()])
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("INSERT INTO continuum_namespaces (name) VALUES ('other')")
        if behind:
            looks._next_look = 0.0
            await looks._notice(loop, 7200)
        else:
            await journal.start([new_run()])
        await asyncio.wait_for(waiting, timeout=20)


async def test_waiting_ends_in_time_while_another_program_keeps_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with opened(path, busy_timeout=60) as journal:
        await journal.wait(0.01)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            stuck = asyncio.ensure_future(journal.start([new_run()]))
            await asyncio.sleep(0.01)
            await asyncio.wait_for(journal.wait(0.2), timeout=30)
            assert not stuck.done()
            other.execute("ROLLBACK")
        await asyncio.wait_for(stuck, timeout=60)


async def test_two_loops_of_one_handle_are_both_woken_by_one_change(tmp_path: Path) -> None:
    """What woke one loop is not hidden from the other, which was busy meanwhile."""
    path = tmp_path / "x.db"
    async with opened(path) as journal, opened(path) as other:
        checked, changed = asyncio.Event(), asyncio.Event()

        async def idle() -> None:
            await claim(journal)
            checked.set()
            await journal.wait(3600)
            changed.set()

        async def occupied() -> None:
            await claim(journal)
            await changed.wait()
            await journal.wait(3600)

        loops = [asyncio.ensure_future(idle()), asyncio.ensure_future(occupied())]
        await checked.wait()
        await other.deliver([signal(new_run().run_id)])
        await asyncio.wait_for(asyncio.gather(*loops), timeout=60)


async def test_waiting_ends_when_its_time_is_over(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as journal:
        await asyncio.wait_for(journal.wait(0.001), timeout=60)
        await asyncio.wait_for(journal.wait(-1), timeout=60)


async def test_closing_lets_everybody_go_who_waits(tmp_path: Path) -> None:
    async with opened(tmp_path / "x.db") as journal:
        waiting = [asyncio.ensure_future(journal.wait(3600)) for _ in range(3)]
        await asyncio.sleep(0)
        await journal.close()
        await asyncio.wait_for(asyncio.gather(*waiting), timeout=60)
