"""What must not pass in silence, hang or leak: broken loops, refused writes, callers that go away, poison."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from continuum_core import (
    Client,
    JournalUnavailable,
    Machine,
    Message,
    PayloadRefused,
    Retry,
    RunFailed,
    UsageError,
    Worker,
    activity,
    current_attempt,
    root,
    to,
)
from continuum_core.cli.portrait import Portrait, _head  # pyright: ignore[reportPrivateUsage]  # prints need a terminal
from continuum_core.hooks import Plugins, hookimpl
from continuum_core.journal.commit import (
    Claims,
    Commit,
    Committed,
    Finished,
    NewRun,
    Started,
    TaskFinish,
)
from continuum_core.journal.connect import connect
from continuum_core.journal.records import RunStatus
from continuum_core.runtime.turns import Turns
from continuum_core.testing import Engine
from continuum_core.testing.faults import Fault, FaultyJournal
from tests.runtime.machines import Ctx, Finish, Go, Job, Note, Steps, Waits, noted, work


class Spoilt(FaultyJournal):
    """A journal whose verbs a test may replace."""

    def __init__(self, url: str) -> None:
        super().__init__(connect(url), lambda _call: Fault())
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.spoil: dict[str, Callable[[Sequence[Any]], None]] = {}

    def _spoil(self, verb: str, members: Sequence[Any]) -> None:
        if verb in self.spoil:
            self.spoil[verb](members)

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        self._spoil("start", runs)
        self.asked.set()
        await self.gate.wait()
        return await super().start(runs)

    async def commit(self, commits: Sequence[Commit]) -> list[Committed]:
        self._spoil("commit", commits)
        return await super().commit(commits)

    async def finish(self, finishes: Sequence[TaskFinish]) -> list[Finished]:
        self._spoil("finish", finishes)
        return await super().finish(finishes)

    async def claim_runs(self, *arguments: Any, **named: Any) -> Claims:
        self._spoil("claim_runs", ())
        return await super().claim_runs(*arguments, **named)


# --- loops that break --------------------------------------------------------------------------------


async def test_a_broken_loop_of_an_embedded_worker_is_told_to_everybody(
    journal: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoilt = Spoilt(journal)

    def breaks(_: Sequence[Any]) -> None:
        raise ZeroDivisionError("a fault of the engine")

    async def embeds() -> None:
        async with Worker(spoilt, [Waits], poll=0.05) as worker:
            run = await worker.client.start(Waits, "a")
            waits = asyncio.create_task(run.result())
            spoilt.spoil["claim_runs"] = breaks
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(waits, 20)
            with pytest.raises(ZeroDivisionError):
                await worker.client.start(Waits, "b")

    with pytest.raises(ZeroDivisionError):
        await embeds()
    assert [r.levelname for r in caplog.records if "runs" in r.getMessage()] == ["CRITICAL"]


# --- callers that go away ----------------------------------------------------------------------------


async def test_a_start_whose_caller_was_cancelled_leaves_its_tasks_in_good_hands(journal: str) -> None:
    spoilt = Spoilt(journal)
    async with Worker(spoilt, [Steps], queues={"default": 1, "slow": 1}, poll=0.05) as worker:
        spoilt.gate.clear()
        starting = asyncio.create_task(worker.client.start(Steps, "a", key="a"))
        await spoilt.asked.wait()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        spoilt.gate.set()
        assert await worker.client.settled(10)
        # With the only slot lost, or the task left to its lease, this would not end in time.
        assert await worker.client.get(Steps, "a").result(10) == "plain 1,done 2,3"


async def test_a_start_that_the_journal_refuses_gives_its_slots_back(journal: str) -> None:
    spoilt = Spoilt(journal)

    def refuses(_: Sequence[Any]) -> None:
        raise PayloadRefused("$", "cannot be stored")

    async with Worker(spoilt, [Steps], queues={"default": 1, "slow": 1}, poll=0.05) as worker:
        spoilt.spoil["start"] = refuses
        with pytest.raises(PayloadRefused):
            await worker.client.start(Steps, "a")
        del spoilt.spoil["start"]
        run = await worker.client.start(Steps, "a")
        assert await run.result(10) == "plain 1,done 2,3"


async def test_closing_a_client_leaves_nobody_waiting(journal: str) -> None:
    spoilt = Spoilt(journal)
    client = Client(spoilt, [Waits])
    await client.open()
    run = await client.start(Waits, "a")
    spoilt.gate.clear()
    spoilt.asked.clear()
    results = asyncio.create_task(run.result())
    starts = asyncio.create_task(client.start(Waits, "b"))
    await spoilt.asked.wait()
    await client.close()
    with pytest.raises(UsageError, match="closed while it waited"):
        await asyncio.wait_for(results, 10)
    with pytest.raises(JournalUnavailable, match="closed meanwhile"):
        await asyncio.wait_for(starts, 10)


# --- a worker's life ---------------------------------------------------------------------------------


async def test_a_worker_is_opened_once_and_closed_as_often_as_one_likes(journal: str) -> None:
    worker = Worker(journal, [Waits])
    await worker.close()
    await worker.open()
    with pytest.raises(UsageError, match="open already"):
        await worker.open()
    await worker.close()
    await worker.close()
    assert await worker.drain()


class Away(Spoilt):
    """Cannot be opened until told."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.away = True

    async def open(self) -> Any:
        self.asked.set()
        if self.away:
            raise JournalUnavailable("not there yet")
        return await super().open()


async def test_a_worker_that_waits_for_its_journal_can_be_given_up(journal: str) -> None:
    away = Away(journal)
    worker = Worker(away, [Waits])
    opening = asyncio.create_task(worker.open())
    await away.asked.wait()
    with pytest.raises(UsageError, match="still opening"):
        await worker.close()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    away.away = False
    async with worker:
        assert (await (await worker.client.start(Waits, "a")).view()).version == 1


async def test_a_signal_gives_up_waiting_for_the_journal(journal: str) -> None:
    away = Away(journal)
    working = asyncio.create_task(Worker(away, [Waits]).run())
    await away.asked.wait()
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait_for(working, 10)


@activity(retry=Retry(attempts=1))
async def stubborn(folder: str) -> str:
    Path(folder, "begun").touch()
    while True:
        try:
            await asyncio.Event().wait()
        finally:
            Path(folder, "cleaned").touch()


class Stubborn(Machine[Ctx, str, str], name="stubborn"):
    s = root(Ctx)
    working = s.state(initial=True)
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    working.invoke(stubborn, lambda c: c.name, done=done, error={Exception: failed})


async def test_a_second_signal_hands_over_at_once_what_still_runs(
    shared_journal: str, tmp_path: Path
) -> None:
    async with Client(shared_journal, [Stubborn]) as client:
        run = await client.start(Stubborn, str(tmp_path))
        working = asyncio.create_task(Worker(shared_journal, [Stubborn], grace=3600.0, lease=3600.0).run())
        while not (tmp_path / "begun").exists():
            await asyncio.sleep(0.01)
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0.01)
        signal.raise_signal(signal.SIGINT)
        await asyncio.wait_for(working, 20)
        assert (tmp_path / "cleaned").exists()
        [task] = (await run.view()).tasks
        assert not task.claimed, "others need not wait for its lease"
        assert task.losses == 0


def test_a_program_that_just_ends_ends_quietly(tmp_path: Path) -> None:
    """Without drain or close, with bodies on the loop and on a thread that never end."""
    program = f"""
import asyncio, warnings
warnings.filterwarnings("ignore", ".* C234 ")  # of the machines of other tests
from tests.runtime import test_trouble as t
async def main():
    worker = t.Worker("sqlite:///{tmp_path}/j.db", [t.Stubborn, t.Steps])
    await worker.open()
    await worker.client.start(t.Stubborn, "{tmp_path}")
    while not t.Path("{tmp_path}/begun").exists():
        await asyncio.sleep(0.01)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "destroyed" not in done.stderr
    assert "ResourceWarning" not in done.stderr
    assert "Traceback" not in done.stderr


# --- writes that are refused -------------------------------------------------------------------------


def refusing(what: Callable[[Any], bool]) -> Callable[[Sequence[Any]], None]:
    def refuse(members: Sequence[Any]) -> None:
        if any(what(member) for member in members):
            raise PayloadRefused("$", "more than this store can take")

    return refuse


async def test_an_outcome_that_cannot_be_stored_is_a_failure(journal: str) -> None:
    spoilt = Spoilt(journal)
    spoilt.spoil["finish"] = refusing(lambda finish: b"done a" in finish.delivery.payload)
    async with Worker(spoilt, [Job], poll=0.05) as worker:
        run = await worker.client.start(Job, "a")
        with pytest.raises(RunFailed) as caught:
            await run.result(10)
        assert "PayloadRefused" in str(caught.value.verdict)
        assert (await run.view()).tasks == ()


async def test_a_turn_that_cannot_be_stored_parks_its_run_with_the_reason(journal: str) -> None:
    spoilt = Spoilt(journal)
    spoilt.spoil["commit"] = refusing(lambda commit: b"poison" in commit.snapshot)
    async with Worker(spoilt, [Waits], poll=0.05) as worker:
        run = await worker.client.start(Waits, "a")
        other = await worker.client.start(Waits, "b")
        await run.send(Go("poison"))
        await other.send(Go("fine"))
        await other.send(Finish())
        assert await other.result(10) == "fine"
        while (view := await run.view()).status is RunStatus.RUNNING:
            await asyncio.sleep(0.01)
        assert view.status is RunStatus.PARKED
        assert "more than this store can take" in view.cause


@activity(retry=Retry(attempts=1))
async def much(size: str) -> str:
    return "x" * int(size)


class Grows(Machine[Ctx, str, str], name="grows"):
    """Its activity returns as much as told, and each note makes the context longer."""

    s = root(Ctx)
    working = s.state(initial=True)
    waiting = s.state()
    done = s.final()
    failed = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return str(len(c.log))

    @staticmethod
    def verdict(c: Ctx) -> str:
        return c.log[0]

    working.invoke(
        much,
        lambda c: c.name,
        done=waiting,
        error={Exception: to(failed, assign=lambda c, f: noted(c, f.message))},
    )
    waiting.on(Note, assign=lambda c, e: evolve(c, log=(*c.log, e.word)))
    waiting.on(Finish, done)


async def test_what_is_too_large_is_refused_failed_or_parked_and_never_hangs(journal: str) -> None:
    async with Engine([Grows], journal=journal) as engine:
        run = await engine.start(Grows, "9000000")
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert "limit" in str(caught.value.verdict), "too large an output is a failure"
        run = await engine.start(Grows, "1")
        with pytest.raises(PayloadRefused, match="limit"):
            await run.send(Note("x" * 9_000_000))
        while (await engine.view(run)).status is RunStatus.RUNNING:
            await engine.send(run, Note("x" * 500_000))
        cause = (await engine.view(run)).cause
        assert cause.startswith("context cannot be stored")
        assert "limit" in cause


class Careless(Machine[Ctx, str, str], name="careless"):
    """Sends to a run that no id can name."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    waiting.on(Go, done, send=lambda c, e: Message(Finish(), run=e.word))
    waiting.on(Finish, done)


async def test_a_message_to_nowhere_parks_its_sender_alone(journal: str) -> None:
    async with Engine([Careless], journal=journal) as engine:
        bad, good = await engine.start(Careless, "a"), await engine.start(Careless, "b")
        await engine.send(bad, Go("nonsense"))
        await engine.send(good, Finish())
        assert await good.result(1) == "b"
        assert (await engine.view(bad)).status is RunStatus.PARKED


# --- tasks -------------------------------------------------------------------------------------------


async def test_the_next_try_begins_where_the_last_one_said_it_was(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        seen: list[Any] = []

        def half_way(name: str) -> str:
            attempt = current_attempt()
            seen.append(attempt.details)
            if len(seen) < 3:
                attempt.heartbeat({"at": len(seen)})
                raise ValueError("not yet")
            return "there"

        engine.stub(work, calls=half_way)
        assert await (await engine.start(Job, "a")).result() == "there"
        assert seen == [None, {"at": 1}, {"at": 2}]


GATE: list[asyncio.Event] = []
ORDER: list[str] = []


@activity(priority=9)
async def can_wait(name: str) -> str:
    await GATE[0].wait()
    ORDER.append(name)
    return name


@activity(priority=0)
async def urgent(name: str) -> str:
    ORDER.append(name)
    return name


class Patient(Machine[Ctx, str, str], name="patient"):
    """Three activities of low priority, one after the other."""

    s = root(Ctx)
    one = s.state(initial=True)
    two = s.state()
    three = s.state()
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    one.invoke(can_wait, lambda c: c.name, done=two, error={Exception: done})
    two.invoke(can_wait, lambda c: c.name, done=three, error={Exception: done})
    three.invoke(can_wait, lambda c: c.name, done=done, error={Exception: done})


class Pressing(Machine[Ctx, str, str], name="pressing"):
    s = root(Ctx)
    one = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: str) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.name

    one.invoke(urgent, lambda c: c.name, done=done, error={Exception: done})


async def test_a_task_of_the_hot_path_overtakes_no_more_urgent_one(journal: str) -> None:
    GATE[:] = [asyncio.Event()]
    ORDER.clear()
    async with Worker(journal, [Patient, Pressing], queues={"default": 1}) as worker:
        first = await worker.client.start(Patient, "patient")
        await worker.client.start(Pressing, "pressing")
        GATE[0].set()
        await first.result(20)
        assert ORDER == ["patient", "pressing", "patient", "patient"]


# --- what must not grow ------------------------------------------------------------------------------


def test_a_plugin_that_raises_ever_new_texts_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class Plugin:
        @hookimpl
        def run_parked(self, run: object) -> None:
            raise ValueError(f"no place for {run}")

    plugins = Plugins(named={"noisy": Plugin()})
    assert plugins.run_parked is not None
    for number in range(50):
        plugins.run_parked(run=number)
    assert plugins.failures == {("noisy", "run_parked"): 50}
    assert len(caplog.records) == 1


# --- what nobody takes ---------------------------------------------------------------------------------


async def test_a_run_that_no_live_worker_takes_is_seen_by_who_looks(shared_journal: str) -> None:
    hour = timedelta(hours=1)
    async with Worker(shared_journal, [Job]), Client(shared_journal, [Waits]) as client:
        run = await client.start(Waits, "a")
        view = await run.view()
        assert view.overdue(view.created + hour / 2) is None, "it waits for an event, and a timer in an hour"
        await run.send(Go())
        view = await run.view()
        now = view.created + hour / 2
        overdue = view.overdue(now)
        assert overdue is not None
        assert hour / 3 < overdue <= hour / 2
        assert evolve(view, leased_until=now + hour).overdue(now) is None, "a worker has it"
        drawn = "\n".join(text.plain for text in _head(Portrait(view, "", now)))
        assert "no worker takes it" in drawn


async def test_a_fault_in_a_turn_that_would_ride_loses_no_outcome(
    journal: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The outcome goes the long way: what the body did is not done again."""

    def fails(*_: Any) -> None:
        raise ZeroDivisionError("a fault of the engine")

    monkeypatch.setattr(Turns, "fused", fails)
    async with Engine([Job], journal=journal) as engine:
        worked = engine.stub(work, returns="well")
        run = await engine.start(Job, "a")
        await engine.settle()
        assert (await engine.view(run)).status is RunStatus.COMPLETED
        assert len(worked.calls) == 1
    assert [r.levelname for r in caplog.records if "in a turn of run" in r.getMessage()] == ["CRITICAL"]
