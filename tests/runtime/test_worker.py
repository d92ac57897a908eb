"""A worker's life: embedding, resources, draining, an absent journal, releases side by side, leases."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from continuum_core import (
    Client,
    JournalUnavailable,
    Limits,
    Machine,
    ResultTimeout,
    UsageError,
    Worker,
    activity,
    root,
)
from continuum_core.journal.commit import Finished, FinishKind, TaskFinish
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Journal
from continuum_core.journal.records import RunStatus
from continuum_core.runtime.lease import Pulse
from continuum_core.testing import Engine, VirtualClock, VirtualHost
from tests.runtime.bodies import Call, Pool
from tests.runtime.machines import Ctx, Finish, Go, Job, Note, Receiver, Steps, Waits, work


@activity()
async def pooled(name: str, *, pool: Pool) -> str:
    return f"{name} {pool.open}"


@activity()
async def waits_for_release(folder: str) -> str:
    path = Path(folder, "release")
    Path(folder, "begun").touch()
    while not path.exists():
        await asyncio.sleep(0.005)
    return "released"


class Pooled(Machine[Ctx, str, str], name="pooled"):
    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    working.invoke(
        pooled, lambda c: c.name, done=done, assign=lambda c, o: Ctx(c.name, (o,)), error={Exception: failed}
    )


class Slow(Machine[Ctx, str, str], name="slow-job"):
    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.log[0]

    working.invoke(
        waits_for_release,
        lambda c: c.name,
        done=done,
        assign=lambda c, o: Ctx(c.name, (o,)),
        error={Exception: failed},
    )


async def test_resources_are_opened_once_and_closed_at_the_end(journal: str) -> None:
    opened: list[Pool] = []

    @contextlib.asynccontextmanager
    async def open_pool() -> AsyncIterator[Pool]:
        pool = Pool()
        opened.append(pool)
        yield pool
        pool.open = False

    async with Worker(journal, [Pooled], resources={Pool: open_pool}) as worker:
        runs = [await worker.client.start(Pooled, str(n)) for n in range(3)]
        assert [await run.result(20) for run in runs] == ["0 True", "1 True", "2 True"]
    assert len(opened) == 1
    assert not opened[0].open


async def test_a_missing_resource_is_said_before_anything_runs(journal: str) -> None:
    with pytest.raises(UsageError, match=r"pooled.*Pool"):
        async with Worker(journal, [Pooled]):
            pass


async def test_a_resource_that_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    @contextlib.contextmanager
    def fails() -> Iterator[Pool]:
        raise OSError("no such pool")
        yield Pool()

    worker = Worker(f"sqlite:///{tmp_path}/j.db", [Pooled], resources={Pool: fails})
    with pytest.raises(OSError, match="no such pool"):
        await worker.open()
    with pytest.raises(UsageError, match="not open"):
        await worker.client.start(Pooled, "a")


async def test_draining_lets_bodies_end(journal: str, tmp_path: Path) -> None:
    worker = Worker(journal, [Slow], grace=30)
    async with worker:
        run = await worker.client.start(Slow, str(tmp_path))
        while not (tmp_path / "begun").exists():
            await asyncio.sleep(0.005)
        draining = asyncio.create_task(worker.drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        (tmp_path / "release").touch()
        assert await draining is True
    async with Client(journal, [Slow]) as client:
        view = await client.view(run)
        assert view.tasks == (), "its outcome was reported before the end"


async def test_what_does_not_end_in_time_is_handed_over_at_once(shared_journal: str, tmp_path: Path) -> None:
    first = Worker(shared_journal, [Slow], grace=0.05, lease=3600.0)
    async with first:
        run = await first.client.start(Slow, str(tmp_path))
        while not (tmp_path / "begun").exists():
            await asyncio.sleep(0.005)
        assert await first.drain() is False
    (tmp_path / "release").touch()
    async with Worker(shared_journal, [Slow], lease=3600.0) as second:
        assert await second.client.result(run.id, 20) == "released"
        tasks = await second.client.history(run.id)
        assert [step.event for step in tasks] == ["start", "done waits_for_release"]


@activity()
async def ends_when_stopped(folder: str) -> str:
    Path(folder, "one").touch()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return "in time"


@activity()
async def stops(folder: str) -> str:
    Path(folder, "other").touch()
    await asyncio.Event().wait()
    return "never"


class Both(Machine[Ctx, str, str], name="ends-and-stops"):
    """One body ends with its outcome when its worker stops it, the other is stopped."""

    s = root(Ctx)
    working = s.parallel(initial=True)
    left, right = working.state(), working.state()
    ending, stopping = left.state(initial=True), right.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return ",".join(c.log)

    ending.invoke(ends_when_stopped, lambda c: c.name, done=done, error=done)
    stopping.invoke(stops, lambda c: c.name, done=done, error=done)


class Reported:
    """A journal that notes what it is told of tasks."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.finishes: list[TaskFinish] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def finish(self, finishes: Sequence[TaskFinish]) -> Sequence[Finished]:
        self.finishes += finishes
        answers: Sequence[Finished] = await self._inner.finish(finishes)
        return answers


async def test_what_ended_while_it_was_stopped_is_not_handed_over_as_well(
    journal: str, tmp_path: Path
) -> None:
    """The two could meet in batches of two connections: then the outcome is dropped if it comes second."""
    noting = Reported(connect(journal))
    async with Worker(cast(Journal, noting), [Both], grace=0.0, lease=3600.0) as worker:
        run = await worker.client.start(Both, str(tmp_path))
        while not ((tmp_path / "one").exists() and (tmp_path / "other").exists()):
            await asyncio.sleep(0.005)
        found = await noting.inspect(run.id)
        tokens = {task.activity: task.token for task in found.tasks}
        assert await worker.drain() is False
    told = [(each.token, each.kind) for each in noting.finishes]
    ended, stopped = tokens["ends_when_stopped"], tokens["stops"]
    assert sorted(told, key=str) == sorted([(ended, FinishKind.DONE), (stopped, FinishKind.RETURN)], key=str)


class Away:
    """A journal that is away while `away` is set."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.away = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._inner, name)
        if name in ("namespace", "sibling", "close", "wait", "open"):
            return verb

        async def asked(*arguments: Any) -> Any:
            if self.away:
                self.refused += 1
                raise JournalUnavailable("the cable is out")
            return await verb(*arguments)

        return asked


async def test_while_the_journal_is_away_work_waits_and_then_goes_on(journal: str) -> None:
    flaky = Away(connect(journal))
    queues = {"default": 5, "slow": 5}
    async with Worker(cast(Journal, flaky), [Steps, Receiver], queues=queues) as worker:
        receiver = await worker.client.start(Receiver, "r")
        flaky.away = True
        start = asyncio.create_task(worker.client.start(Steps, "a"))
        while flaky.refused < 3:
            await asyncio.sleep(0.01)
        assert not start.done()
        flaky.away = False
        run = await start
        assert await run.result(20) == "plain 1,done 2,3"
        await receiver.send(Finish())
        await receiver.result(20)


async def test_a_caller_without_patience_gets_an_error_that_says_so(journal: str) -> None:
    flaky = Away(connect(journal))
    async with Client(cast(Journal, flaky), [Receiver], patience=0.05) as client:
        run = await client.start(Receiver, "r")
        flaky.away = True
        with pytest.raises(JournalUnavailable) as caught:
            await run.send(Note("x"))
        assert caught.value.ambiguous
        flaky.away = False
        await run.send(Note("y"))


async def test_two_workers_share_and_a_release_takes_over(shared_journal: str) -> None:
    async with (
        Worker(shared_journal, [Waits, Job]) as one,
        Worker(shared_journal, [Waits, Job]) as two,
    ):
        runs = [await one.client.start(Waits, str(n)) for n in range(20)]
        for run in runs:
            await two.client.send(run.id, Go())
        await one.drain()
        for run in runs:
            await two.client.send(run.id, Finish())
        assert {await two.client.result(run.id, 20) for run in runs} == {"go"}


async def test_runs_of_an_unknown_definition_are_left_alone(shared_journal: str, caplog: Any) -> None:
    async with Client(shared_journal, [Waits]) as client:
        run = await client.start(Waits, "a")
        await run.send(Go())
        async with Worker(shared_journal, [Job], poll=0.05) as worker:
            done = await worker.client.start(Job, "b")
            await done.result(20)
            await asyncio.sleep(0.2)
            view = await run.view()
            assert (view.version, view.states) == (1, ("waiting",))
        async with Worker(shared_journal, [Waits]):
            await run.send(Finish())
            assert await run.result(20) == "go"


async def test_a_stalled_loop_is_noticed() -> None:
    clock = VirtualClock()
    host = VirtualHost(clock)
    pulse = Pulse(host, 60.0)
    job = host.spawn(pulse.beat(), "pulse")
    await clock.advance(timedelta(hours=1))
    assert not pulse.still()
    job.cancel()
    await job.join()
    await clock.advance(timedelta(minutes=2))
    assert pulse.still()


async def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one machine"):
        Worker("memory://", [])
    with pytest.raises(UsageError, match="not a machine"):
        Worker("memory://", [Call])  # type: ignore[list-item]  # the fault under test


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"lease": 0}, "lease=0 cannot be: give a length of time longer than 0 s"),
        ({"lease": "30"}, "lease='30' is no length of time: give seconds as a number, or a timedelta"),
        ({"poll": timedelta()}, "longer than 0 s"),
        ({"grace": -1}, "grace=-1 cannot be"),
        ({"stall": 0}, "stall=0 cannot be"),
        ({"generations": -3}, "generations=-3 cannot be"),
        ({"threads": 0}, "threads=0 cannot be: give a whole number from 1"),
        ({"runs": 0}, "runs=0 cannot be"),
        ({"tries": 1.5}, "tries=1.5 cannot be"),
        ({"namespace": ""}, "namespace='' names none"),
        ({"limits": {"pending": 3}}, r"give Limits\(...\)"),
        ({"queues": ["default"]}, r"queues=\['default'\] is no mapping"),
        ({"queues": {"default": 0}}, r"queues\['default'\]=0 cannot be"),
        ({"queues": {"defualt": 3}}, "no activity is in queue 'defualt'; .*did you mean 'default'"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_refused(setting: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Worker("memory://", [Job], **setting)


async def test_a_worker_without_queues_takes_turns_and_leaves_activities_to_others(journal: str) -> None:
    async with Worker(journal, [Job], queues={}) as turns:
        run = await turns.client.start(Job, "a")
        with pytest.raises(ResultTimeout, match="queue 'default'"):
            await run.result(0.3)
        assert (await run.view()).states == ("working",)
        async with Worker(journal, [Job]):
            assert await run.result(20) == "done a"


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ({"pending": 0}, r"Limits\(pending=0\) cannot be: give a whole number from 1"),
        ({"pending": timedelta(1)}, "whole number from 1$"),
        ({"dedupe_window": 1.5}, "microseconds from 0, or a timedelta"),
        ({"loss_backoff": -1}, "from 0"),
        ({"blobs": "many"}, "whole number from 0"),
    ],
    ids=str,
)
def test_a_limit_that_cannot_work_is_refused(limit: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Limits(**limit)


def test_every_length_of_time_is_seconds_or_a_timedelta() -> None:
    minute = timedelta(minutes=1)
    one = Worker("memory://", [Job], lease=minute, poll=minute, stall=minute, generations=minute)
    other = Worker("memory://", [Job], lease=60, poll=60.0, stall=60, generations=60)
    assert one.settings == other.settings
    assert Limits(dedupe_window=minute) == Limits(dedupe_window=60_000_000)


async def test_queues_that_are_left_out_are_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "continuum_core.worker")
    async with Worker("memory://", [Steps], queues={"slow": 1}):
        pass
    assert [line for line in caplog.messages if "not serving" in line] == [
        "not serving: default; another worker has to"
    ]
    caplog.clear()
    async with Worker("memory://", [Steps]):
        pass
    assert not [line for line in caplog.messages if "not serving" in line]


async def test_every_line_about_a_run_names_it(journal: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="continuum_core")
    async with Engine([Job], journal=journal) as engine:
        engine.stub(work, raises=ValueError("no"))
        run = await engine.start(Job, "a")
        lines = [r for r in caplog.records if "failed (attempt" in r.getMessage()]
        assert lines
        assert all(str(run.id) in line.getMessage() for line in lines)
        assert all(getattr(line, "run_id", None) == str(run.id) for line in lines)


async def test_a_run_suspended_before_its_first_turn_waits(shared_journal: str) -> None:
    async with Client(shared_journal, [Waits]) as client:
        run = await client.start(Waits, "a")
        await client.suspend(run)
        async with Worker(shared_journal, [Waits], poll=0.05):
            await run.send(Go())
            assert (await run.view()).status is RunStatus.SUSPENDED
            await client.resume(run)
            await run.send(Finish())
            assert await run.result(20) == "go"
