"""The engine of tests, on each embedded backend: time, crashes, deploys, histories, golden files."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve

from continuum_core import Machine, ResultTimeout, RunFailed, Transaction, UsageError, Worker, activity, root
from continuum_core.client import Client
from continuum_core.replay import DriftError
from continuum_core.testing import Drive, Engine, golden
from continuum_core.testing.histories import history_text
from tests.golden.release_0_1 import Declined, Jukebox, Ledger, Order, Pause, Resume, Skip, charge
from tests.golden.write import place
from tests.runtime.machines import Broken, Finish, Go, Job, Mended, Note, Steps, Waits, work
from tests.runtime.talks import Quote, Shop


async def test_time_moves_only_when_the_test_lets_it(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        began = engine.now()
        run = await engine.start(Waits, "a")
        for n in range(5):
            await engine.send(run, Note(str(n)))
            await engine.view(run)
        await engine.settle()
        assert engine.now() == began
        assert {step.at for step in await engine.history(run)} == {began}


async def test_waiting_for_a_result_takes_as_long_as_it_takes(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        began = engine.now()
        run = await engine.start(Waits, "a")
        with pytest.raises(RunFailed):
            await run.result()
        assert [step.at - began for step in await engine.history(run)] == [timedelta(), timedelta(hours=1)]


async def test_when_the_test_takes_place(journal: str) -> None:
    moment = datetime(2024, 2, 29, 12, tzinfo=UTC)
    async with Engine([Waits], journal=journal, start=moment) as engine:
        assert engine.now() == moment
        run = await engine.start(Waits, "a")
        [timer] = (await engine.view(run)).waiting
        assert (timer.what, timer.due, timer.state) == ("timer", moment + timedelta(hours=1), "waiting")


async def test_bodies_are_given_what_the_test_has_for_them() -> None:
    """Open resources or fakes of them; also in the place of a transaction, where there is none to be had."""

    class Ledger:
        def __init__(self) -> None:
            self.lines: list[str] = []

        async def add(self, line: str) -> None:
            self.lines.append(line)

    class Books:
        """A connection, if this were a database."""

        lines: tuple[str, ...] = ()

    @activity()
    async def note(line: str, *, ledger: Ledger, books: Transaction[Books]) -> str:
        await ledger.add(line)
        books.lines = (*books.lines, line)
        return line

    class Noted(Machine[str, str, str], name="noted"):
        s = root(str)
        noting = s.state(initial=True)
        done = s.final()
        bad = s.final(ok=False)

        @staticmethod
        def init(i: str) -> str:
            return i

        @staticmethod
        def result(c: str) -> str:
            return c

        noting.invoke(note, lambda c: c, done=done, error={Exception: bad})

    ledger, books = Ledger(), Books()
    async with Engine([Noted], resources={Ledger: ledger, Books: books}) as engine:
        run = await engine.start(Noted, "a line")
        assert await run.result() == "a line"
    assert (ledger.lines, books.lines) == (["a line"], ("a line",))
    async with Engine([Noted]) as engine:
        engine.stub(note, returns="stubbed")
        run = await engine.start(Noted, "a line")
        assert await run.result() == "a line"


async def test_a_crash_loses_nothing_that_was_acknowledged(journal: str) -> None:
    async with Engine([Steps], journal=journal, queues={"default": 5, "slow": 1}) as engine:
        engine.stub(work, hangs=True)
        run = await engine.start(Steps, "a")
        assert await engine.states(run) == {"two"}
        await engine.crash()
        assert await engine.states(run) == {"two"}
        engine.stub(work, returns="after the crash")
        assert await run.result() == "plain 1,after the crash,3"
        await engine.check(run)


async def test_a_deploy_keeps_runs_and_their_time(journal: str) -> None:
    async with Engine([Broken], journal=journal) as engine:
        run = await engine.start(Broken, "a")
        await engine.deploy([Mended])
        await engine.send(run, Note("unknown"))
        await engine.send(run, Finish())
        assert await run.result() == "0"


async def test_history_and_path_tell_what_happened(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        run = await engine.start(Waits, "a")
        await engine.send(run, Go("x"))
        assert await engine.path(run) == [("start", ("waiting",)), ("Go", ("ready",))]
        step = (await engine.history(run))[1]
        assert step.edges == ("waiting ─Go→ ready",)
        assert step.changed == {"log": ["x"]}
        assert await engine.context(run) == (await engine.view(run)).context


async def test_checking_finds_code_that_would_not_do_again_what_it_did(journal: str) -> None:
    async with Engine([Job], journal=journal) as engine:
        run = await engine.start(Job, "a")
        await run.result()
        await engine.check(run)
        # The same definition to look at, with another body behind it.
        entry = engine.client._registry.named("job")
        chart = evolve(entry.chart, result=evolve(entry.chart.result, call=lambda c: "another"))
        engine.client._registry.replace([chart])
        with pytest.raises(DriftError, match="record 2: the outcome was"):
            await engine.check(run)


async def test_the_parts_may_be_used_by_themselves(journal: str) -> None:
    async with Engine([Waits], journal=journal) as engine:
        assert isinstance(engine.client, Client)
        assert isinstance(engine._worker, Worker)
        handle = await engine.client.start(Waits, "a", key="k")
        assert (await engine.client.get(Waits, "k").view()).id == handle.id


# --- golden files --------------------------------------------------------------------------------------


@pytest.fixture
def comparing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """These tests are about golden files: how the suite itself was called must not matter."""
    monkeypatch.delenv("CONTINUUM_GOLDEN", raising=False)
    return monkeypatch


def listened() -> Drive[object, str, int]:
    run = Drive(Jukebox, "intro")
    for sent in (Skip(), Pause(), Skip(), Resume()):
        run.send(sent)
        run.advance(timedelta(seconds=10))
    return run  # type: ignore[return-value]  # the context is of no interest here


def test_a_golden_file_is_written_when_asked_and_compared_else(
    tmp_path: Path, comparing: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "golden" / "jukebox.json"
    with pytest.raises(AssertionError, match=r"no .*jukebox\.json .*; CONTINUUM_GOLDEN=write writes it"):
        golden(listened().steps, file)
    comparing.setenv("CONTINUUM_GOLDEN", "write")
    golden(listened().steps, file)
    comparing.delenv("CONTINUUM_GOLDEN")
    golden(listened().steps, file)
    told = json.loads(file.read_text())
    assert [step["event"] for step in told] == ["start", "Skip", "Pause", "Skip", "Resume", "Skip"]
    assert told[3] == {
        "at": "+0:00:20",
        "event": "Skip",
        "disposition": "deferred",
        "states": ["paused"],
    }


def test_a_history_that_differs_fails_with_the_lines_and_how_to_accept_them(
    tmp_path: Path, comparing: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "jukebox.json"
    comparing.setenv("CONTINUUM_GOLDEN", "write")
    golden(listened().steps, file)
    comparing.delenv("CONTINUUM_GOLDEN")
    run = listened()
    run.send(Pause())
    with pytest.raises(AssertionError) as caught:
        golden(run.steps, file)
    text = str(caught.value)
    assert "run this test with CONTINUUM_GOLDEN=write and commit the new file" in text
    assert '+    "event": "Pause",' in text
    assert '-    "event": "Skip",' not in text


async def test_ids_times_and_tracebacks_leave_no_trace_in_a_golden_file(journal: str) -> None:
    texts: list[str] = []
    for start in (datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 5, 5, 5, tzinfo=UTC)):
        async with Engine([Order, Ledger], journal=f"{journal}_{start.year}", start=start) as engine:
            run = await engine.start(Order, place(3))
            engine.stub(charge, raises=Declined("no"))
            await engine.send(run, "Approved", {"by": "ann"})
            texts.append(history_text(await engine.history(run)))
    assert texts[0] == texts[1]
    assert "timer until +2 days, 0:00:00" in texts[0]
    assert '"event": "failed charge: Declined"' in texts[0]
    assert "raceback" not in texts[0]
    assert '"id": "id-1"' in texts[0]


def test_the_same_id_has_the_same_number_throughout() -> None:
    run = Drive(Order, place(1))
    run.complete(charge, f"charge-{place(1).id}")
    told = json.loads(history_text(run.steps))
    assert told[0]["data"]["id"] == "id-1"
    assert told[1]["data"] == "charge-id-1"
    assert told[1]["changed"]["receipt"] == "id-2"


async def test_a_run_begins_later_and_time_is_given_in_seconds_too() -> None:
    async with Engine([Job]) as engine:
        engine.stub(work, returns="ok")
        run = await engine.start(Job, "a", after=3_600)
        await engine.advance(3_599.0)
        assert not (await engine.view(run)).begun
        await engine.advance(1)
        assert await run.result() == "ok"
        with pytest.raises(UsageError, match="no shorter than 0 s"):
            await engine.advance(timedelta(seconds=-1))


async def test_a_wait_for_what_never_happens_ends(journal: str) -> None:
    """Without a worker nobody answers, and no run ends: the clock would go on from poll to poll."""
    async with Engine([Shop], journal=journal) as engine:
        run = await engine.start(Shop, 10)
        assert engine._worker is not None
        await engine._worker.close()
        with pytest.raises(UsageError, match="the test waits for what does not happen"):
            await run.result()
        waits = asyncio.create_task(run.ask(Quote(1)))
        while not waits.done():
            await engine.settle()
        with pytest.raises(UsageError, match="Is there a worker"):
            await waits
        with pytest.raises(ResultTimeout):
            await run.result(60)
