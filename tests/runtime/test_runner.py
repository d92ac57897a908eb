"""Bodies on the loop, on threads, in processes: outcomes, timeouts, heartbeats, cancellation, resources."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from continuum_core import Activity, UsageError
from continuum_core.runner import AsyncioRunner
from continuum_core.runtime.attempt import Attempt, Cancelled, Ended, Raised, Succeeded, failure_of
from tests.runtime import bodies
from tests.runtime.bodies import Call, Pool


@asynccontextmanager
async def runner(**arguments: Any) -> AsyncIterator[AsyncioRunner]:
    made = AsyncioRunner(**arguments)
    try:
        yield made
    finally:
        made.close()


def attempt(activity: Activity[Any, Any]) -> Attempt:
    return Attempt(run_id=UUID(int=1), machine="m", activity=activity.name, number=1, losses=0, key="the-key")


async def run(activity: Activity[Any, Any], call: Call, at: Attempt | None = None, **arguments: Any) -> Ended:
    async with runner(**arguments) as made:
        return await asyncio.wait_for(made.run(activity, call, at or attempt(activity)), 20)


def raised(ended: Ended) -> Raised:
    assert isinstance(ended, Raised)
    return ended


async def cancelled_when(made: AsyncioRunner, activity: Activity[Any, Any], call: Call) -> Ended:
    at = attempt(activity)
    task = asyncio.create_task(made.run(activity, call, at))
    await asyncio.sleep(0.05)
    at.request_cancel()
    return await asyncio.wait_for(task, 20)


async def test_a_timeout_raises_inside_an_async_body(tmp_path: Path) -> None:
    ended = raised(await run(bodies.never_ends, Call(str(tmp_path))))
    assert ended.failure.type == "TimeoutError"
    assert "never_ends exceeded its timeout 0:00:00.150000" in ended.failure.message


async def test_a_request_to_cancel_lets_an_async_body_clean_up(tmp_path: Path) -> None:
    async with runner() as made:
        assert await cancelled_when(made, bodies.cleans_up, Call(str(tmp_path))) == Cancelled()
    assert (tmp_path / "cleaned").read_text() == "yes"


async def test_beats_hold_the_silence_off_and_a_silent_body_ends(tmp_path: Path) -> None:
    at = attempt(bodies.beats)
    ended = raised(await run(bodies.beats, Call(str(tmp_path), 6), at))
    assert ended.failure.type == "TimeoutError"
    assert "heartbeat" in ended.failure.message
    assert at.reported == {"at": "work"}


async def test_what_a_body_raises_becomes_data_that_every_store_accepts(tmp_path: Path) -> None:
    ended = raised(await run(bodies.raises, Call(str(tmp_path), 3)))
    assert ended.fatal
    assert ended.failure.type == "tests.runtime.bodies.Gone"
    assert ended.failure.bases == ("Exception", "BaseException")
    assert ended.failure.message == "number 3\\x00\\udc80"
    assert "bodies.py" in ended.failure.traceback
    ended.failure.traceback.encode()
    assert "\x00" not in ended.failure.traceback


async def test_resources_are_injected_and_a_missing_one_is_named(tmp_path: Path) -> None:
    call = Call(str(tmp_path))
    assert await run(bodies.uses_pool, call, resources={Pool: Pool()}) == Succeeded("open True")
    missing = raised(await run(bodies.uses_pool, call))
    assert missing.fatal
    assert "Pool" in missing.failure.message
    assert AsyncioRunner().injected(bodies.on_thread) == {}
    with pytest.raises(UsageError, match="uses_pool"):
        AsyncioRunner().injected(bodies.uses_pool)


async def test_a_plain_body_runs_on_a_thread_and_knows_its_attempt(tmp_path: Path) -> None:
    ended = await run(bodies.on_thread, Call(str(tmp_path)))
    assert ended == Succeeded("on_thread on continuum-activity")


async def test_a_thread_that_is_too_late_is_given_up_and_its_result_ignored(tmp_path: Path) -> None:
    async with runner() as made:
        late = raised(await made.run(bodies.blocks, Call(str(tmp_path)), attempt(bodies.blocks)))
        assert late.failure.type == "TimeoutError"
        (tmp_path / "go").touch()  # lets the thread end
        while made.abandoned:
            await asyncio.sleep(0.01)


async def test_a_plain_body_stops_at_a_heartbeat_when_asked_to(tmp_path: Path) -> None:
    async with runner() as made:
        assert await cancelled_when(made, bodies.looks, Call(str(tmp_path))) == Cancelled()


async def test_a_body_in_a_process_of_its_own(tmp_path: Path) -> None:
    at = attempt(bodies.in_process)
    ended = await run(bodies.in_process, Call(str(tmp_path), 5), at)
    assert isinstance(ended, Succeeded)
    pid, key, number = ended.output.split()
    assert int(pid) != os.getpid()
    assert (key, number) == ("the-key", "5")
    assert at.reported == {"number": 5}


async def test_a_timeout_kills_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is: on a busy machine the time is over before the body began."""
    begun: list[asyncio.subprocess.Process] = []
    begin = asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **settings: Any) -> asyncio.subprocess.Process:
        begun.append(await begin(*arguments, **settings))
        return begun[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    ended = raised(await run(bodies.hangs_in_process, Call(str(tmp_path))))
    assert ended.failure.type == "TimeoutError"
    [process] = begun
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_a_request_to_cancel_kills_a_process(tmp_path: Path) -> None:
    at = attempt(bodies.hangs_in_process)
    async with runner() as made:
        task = asyncio.create_task(made.run(bodies.hangs_in_process, Call(str(tmp_path)), at))
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.02)
        at.request_cancel()
        assert await asyncio.wait_for(task, 20) == Cancelled()
    pid = (tmp_path / "pid").read_text()
    if pid:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


async def test_a_process_that_dies_or_raises_is_a_failure_with_its_policy(tmp_path: Path) -> None:
    died = raised(await run(bodies.dies, Call(str(tmp_path))))
    assert died.failure.type == "ChildProcessError"
    assert "exit code 7" in died.failure.message
    told = raised(await run(bodies.raises_in_process, Call(str(tmp_path))))
    assert told.failure.type == "tests.runtime.bodies.Gone"
    assert told.fatal, "fatal classes are matched by name across the border"
    assert "over there" in told.failure.traceback


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_what_would_end_a_program_ends_one_attempt(tmp_path: Path, number: int) -> None:
    on_loop = raised(await run(bodies.exits, Call(str(tmp_path), number)))
    on_thread = raised(await run(bodies.exits_on_thread, Call(str(tmp_path), number)))
    for ended in (on_loop, on_thread):
        assert "Exception" in ended.failure.bases, "an `error=` edge can take it"
    assert ("SystemExit" in on_loop.failure.message) is (number == 0)


async def test_threads_that_nobody_waits_for_hold_up_no_other_body(tmp_path: Path) -> None:
    call = Call(str(tmp_path))
    async with runner(threads=1) as made:
        for count in (1, 2, 3):
            raised(await made.run(bodies.blocks, call, attempt(bodies.blocks)))
            assert made.abandoned == count
        assert isinstance(await made.run(bodies.on_thread, call, attempt(bodies.on_thread)), Succeeded)
        (tmp_path / "go").touch()
        while made.abandoned:
            await asyncio.sleep(0.01)


async def test_waiting_for_a_thread_is_no_time_of_the_body(tmp_path: Path) -> None:
    async with runner(threads=1) as made:
        places = made._threads.places  # pyright: ignore[reportPrivateUsage]  # held until time is up
        async with places:
            waits = asyncio.create_task(
                made.run(bodies.blocks_until_told, Call(str(tmp_path)), attempt(bodies.blocks_until_told))
            )
            await asyncio.sleep(2 * bodies.SHORT.total_seconds())
            (tmp_path / "go").touch()
        assert await waits == Succeeded("done")


async def test_a_body_on_a_thread_is_told_when_its_worker_stops(tmp_path: Path) -> None:
    at = attempt(bodies.looks)
    async with runner() as made:
        task = asyncio.create_task(made.run(bodies.looks, Call(str(tmp_path)), at))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert at.cancel_requested
        while made.abandoned:
            await asyncio.sleep(0.01)


async def test_a_process_may_return_as_much_as_can_be_stored(tmp_path: Path) -> None:
    size = 300_000  # past the 64 KiB that asyncio reads as a line unless told otherwise
    ended = await run(bodies.much_in_process, Call(str(tmp_path), size))
    assert isinstance(ended, Succeeded)
    assert len(ended.output) == size
    failure = raised(await run(bodies.much_in_process, Call(str(tmp_path), 2_000_000))).failure
    assert "limit" in failure.message


async def test_an_endless_message_is_shortened(tmp_path: Path) -> None:
    failure = failure_of(ValueError("x" * 1_000_000))
    assert len(failure.message) < 20_000
    assert "left out" in failure.message


def test_a_process_ends_with_its_worker_and_not_with_a_signal_to_everybody(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from tests.runtime import bodies, test_runner as t;"
        "asyncio.run(t.run(bodies.outlives, bodies.Call(sys.argv[1])))"
    )
    worker = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        until(lambda: (tmp_path / "pid").exists() or worker.poll() is not None)
        pid = int((tmp_path / "pid").read_text())
        assert alive(pid), "the signals did not end it"
    finally:
        worker.kill()
        worker.wait()
    until(lambda: not alive(pid))


def until(true: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # dead, and not yet asked after by whoever inherited it
