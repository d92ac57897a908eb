"""What plugins are told of turns, attempts and batches, and how headers travel from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import pytest
from attrs import frozen

from continuum_core import Client, Machine, Message, RunTerminated, Worker, event, root
from continuum_core.errors import PayloadRefused, UnknownVersion
from continuum_core.headers import (
    check_headers,
    delivery_headers,
    split_task,
    with_headers,
    with_task_headers,
)
from continuum_core.hooks import (
    AttemptFacts,
    BatchFacts,
    JournalFacts,
    MachineFacts,
    Outgoing,
    Plugins,
    ReportFacts,
    RunFacts,
    TurnFacts,
    hookimpl,
)
from continuum_core.journal.commit import FinishKind, FinishOutcome
from continuum_core.journal.records import DeliveryKind, RunStatus
from continuum_core.testing import Engine
from tests.runtime.machines import Job, Shaky, work

SECOND = 1_000_000


class Tracer:
    """Gives every step of the way a number, and carries the one before along."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str, str]] = []
        self.turns: list[TurnFacts] = []
        self.dropped: list[TurnFacts] = []
        self.reports: list[ReportFacts] = []
        self.batches: list[BatchFacts] = []
        self.runs: list[tuple[str, RunFacts]] = []
        self.opened: list[str] = []
        self.machines: list[MachineFacts] = []

    def _step(self, what: str, parent: str) -> Mapping[str, str]:
        number = f"{what}-{len(self.steps)}"
        self.steps.append((what, parent, number))
        return {"trace": number}

    @hookimpl
    def outgoing_headers(self, outgoing: Outgoing) -> Mapping[str, str]:
        return self._step(f"{outgoing.kind.name.lower()}{outgoing.event}", "")

    @hookimpl
    def turn_headers(self, turn: TurnFacts) -> Mapping[str, str]:
        return self._step("turn", ",".join(h.get("trace", "-") for h in turn.headers))

    @hookimpl
    def run_turned(self, turn: TurnFacts) -> None:
        self.turns.append(turn)

    @hookimpl
    def turn_dropped(self, turn: TurnFacts) -> None:
        self.dropped.append(turn)

    @hookimpl
    @contextmanager
    def around_attempt(self, attempt: AttemptFacts) -> Iterator[Mapping[str, str]]:
        assert attempt.ended == ""
        yield self._step(attempt.activity, attempt.headers["trace"])
        self.steps.append((attempt.ended, attempt.failure.rpartition(".")[2], ""))

    @hookimpl
    def attempt_reported(self, report: ReportFacts) -> None:
        self.reports.append(report)

    @hookimpl
    def records_committed(self, batch: BatchFacts) -> None:
        self.batches.append(batch)

    @hookimpl
    def run_started(self, run: RunFacts) -> None:
        self.runs.append(("started", run))

    @hookimpl
    def run_completed(self, run: RunFacts) -> None:
        self.runs.append(("completed", run))

    @hookimpl
    def run_terminated(self, run: RunFacts) -> None:
        self.runs.append(("terminated", run))

    @hookimpl
    def run_cancelled(self, run: RunFacts) -> None:
        self.runs.append(("cancelled", run))

    @hookimpl
    def journal_opened(self, journal: JournalFacts) -> None:
        self.opened.append(journal.backend)

    @hookimpl
    def machine_registered(self, machine: MachineFacts) -> None:
        self.machines.append(machine)


@event
class Hello:
    pass


@frozen
class Nothing:
    pass


class Listener(Machine[Nothing, None, None], name="listener"):
    """Waits for one word."""

    s = root(Nothing)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: None) -> Nothing:
        return Nothing()

    @staticmethod
    def result(c: Nothing) -> None:
        return None

    waiting.on(Hello, done)


class Speaker(Machine[Nothing, None, None], name="speaker"):
    """Waits a minute, and then says a word to another run."""

    s = root(Nothing)
    waiting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: None) -> Nothing:
        return Nothing()

    @staticmethod
    def result(c: Nothing) -> None:
        return None

    waiting.after(timedelta(minutes=1), done, send=lambda c: Message(Hello(), machine=Listener, key="ear"))


async def test_headers_link_each_step_to_the_one_before(shared_journal: str) -> None:
    tracer = Tracer()
    plugins = Plugins(tracer)
    async with Worker(shared_journal, [Job], plugins=plugins) as worker:
        async with Client(shared_journal, [Job], plugins=plugins) as client:
            run = await client.start(Job, "a", key="k")
            assert await run.result(20) == "done a"
            assert (await client.start(Job, "a", key="k")).id == run.id, "headers are no part of the input"
        assert worker.plugins.failures == {}
    assert tracer.steps[:6] == [
        ("start", "", "start-0"),
        ("turn", "start-0", "turn-1"),
        ("work", "turn-1", "work-2"),
        ("succeeded", "", ""),
        ("turn", "work-2", "turn-4"),
        ("start", "", "start-5"),
    ]
    assert [fact for fact, _ in tracer.runs] == ["started", "completed"]
    started, completed = (run for _, run in tracer.runs)
    assert (started.key, started.machine, started.machine_version, started.version) == ("k", "job", 1, 1)
    assert (completed.status, completed.version) == (RunStatus.COMPLETED, 2)
    assert [(t.events, t.version, t.activities) for t in tracer.turns] == [
        ((DeliveryKind.START,), 1, ("work",)),
        ((DeliveryKind.OUTCOME,), 2, ()),
    ]
    assert all(turn.seconds > 0 for turn in tracer.turns)
    [report] = tracer.reports
    assert (report.kind, report.outcome) == (FinishKind.DONE, FinishOutcome.FINISHED)
    assert report.attempt.due >= report.attempt.scheduled > 0
    written = [record.version for batch in tracer.batches for record in batch.records]
    assert written == [1, 2]
    assert all(batch.seconds > 0 and batch.members >= 1 for batch in tracer.batches)
    assert len(tracer.opened) == 2
    assert [m.machine for m in tracer.machines] == ["job", "job"]


async def test_a_second_start_of_a_run_drops_its_turn_and_tells_no_start() -> None:
    tracer = Tracer()
    async with Engine([Job], plugins=Plugins(tracer)) as engine:
        engine.stub(work, returns="x")
        for _ in range(2):
            await engine.start(Job, "a", key="same")
    assert [fact for fact, _ in tracer.runs] == ["started", "completed"]
    assert len(tracer.dropped) == 1
    assert tracer.dropped[0].turn_id not in {turn.turn_id for turn in tracer.turns}


async def test_timers_and_messages_carry_headers_and_histories_fold_with_them() -> None:
    tracer = Tracer()
    async with Engine([Listener, Speaker], plugins=Plugins(tracer)) as engine:
        ear = await engine.start(Listener, None, key="ear")
        mouth = await engine.start(Speaker, None)
        await engine.advance(timedelta(minutes=2))
        await ear.result()
        await engine.check(ear)
        await engine.check(mouth)
    by_kind = {turn.events[0]: turn.headers[0].get("trace", "") for turn in tracer.turns}
    assert by_kind[DeliveryKind.TIMER].startswith("turn-")
    assert by_kind[DeliveryKind.SIGNAL].startswith("turn-")
    assert by_kind[DeliveryKind.SIGNAL] != by_kind[DeliveryKind.TIMER]


async def test_a_worker_tells_its_health() -> None:
    worker = Worker("memory://", [Job], plugins=Plugins())
    closed, _ = worker.health()
    assert (closed.name, closed.ok, closed.facts["open"]) == ("worker", False, False)
    async with worker:
        opened, plugins = worker.health()
        assert opened.ok
        assert opened.facts == {
            "namespace": "default",
            "open": True,
            "runs": 0,
            "activities": 0,
            "broken": "",
        }
        assert plugins.facts == {"loaded": [], "off": [], "failures": {}}


async def test_retries_are_told_with_their_number() -> None:
    tracer = Tracer()
    async with Engine([Job], plugins=Plugins(tracer)) as engine:
        engine.stub(work, raises=Shaky("no"))
        await engine.start(Job, "a")
        await engine.advance(timedelta(minutes=2))
    assert [(r.kind, r.attempt.number, r.attempt.failure) for r in tracer.reports] == [
        (FinishKind.RETRY, 1, "tests.runtime.machines.Shaky"),
        (FinishKind.RETRY, 2, "tests.runtime.machines.Shaky"),
        (FinishKind.FAILED, 3, "tests.runtime.machines.Shaky"),
    ]
    assert tracer.reports[0].delay == SECOND


async def test_ends_by_order_are_told() -> None:
    tracer = Tracer()
    async with Engine([Speaker], plugins=Plugins(tracer)) as engine:
        for order in (engine.client.cancel, engine.client.terminate):
            run = await engine.start(Speaker, None)
            await order(run, "enough")
            await engine.settle()
        with pytest.raises(RunTerminated):
            await run.result()
    told = [(fact, run.machine, run.status, run.cause) for fact, run in tracer.runs if fact != "started"]
    assert told == [
        ("cancelled", "speaker", RunStatus.CANCELLED, ""),
        ("terminated", "speaker", RunStatus.TERMINATED, "enough"),
    ]


async def test_a_plugin_that_breaks_around_attempts_and_headers_harms_no_run() -> None:
    class Breaks:
        @hookimpl
        @contextmanager
        def around_attempt(self, attempt: AttemptFacts) -> Iterator[None]:
            yield
            raise RuntimeError("on the way out")

        @hookimpl
        def turn_headers(self) -> Mapping[str, str]:
            return {"UPPER": "no name"}

        @hookimpl
        def run_turned(self) -> None:
            raise RuntimeError("not today")

        @hookimpl
        def attempt_reported(self) -> None:
            raise RuntimeError("nor this")

        @hookimpl
        def records_committed(self) -> None:
            raise RuntimeError("nor that")

    class Suppresses:
        @hookimpl
        def around_attempt(self) -> object:
            return object()

    plugins = Plugins(Breaks(), Suppresses())
    async with Engine([Job], plugins=plugins) as engine:
        engine.stub(work, returns="x")
        assert await (await engine.start(Job, "a")).result() == "x"
    assert plugins.failures == {
        ("Breaks", "around_attempt"): 1,
        ("Suppresses", "around_attempt"): 1,
        ("Breaks", "turn_headers"): 2,
        ("Breaks", "run_turned"): 2,
        ("Breaks", "attempt_reported"): 1,
        ("Breaks", "records_committed"): 3,
    }


# --- how they are stored -----------------------------------------------------------------------------


def test_headers_are_put_beside_a_payload_and_found_again() -> None:
    payload = b'{"v":1,"type":"Note","data":{"headers":{"not":"these"}}}'
    assert delivery_headers(payload) == {}
    assert with_headers(payload, {}) == payload, "absent, they cost nothing"
    carried = with_headers(payload, {"traceparent": "00-a"})
    assert delivery_headers(carried) == {"traceparent": "00-a"}
    again = with_headers(carried, {"baggage": 'b"'})
    assert delivery_headers(again) == {"traceparent": "00-a", "baggage": 'b"'}
    assert delivery_headers(with_headers(b"", {"a": "b"})) == {"a": "b"}
    assert delivery_headers(b'not json "headers"') == {}


def test_a_tasks_headers_stand_before_its_input() -> None:
    for data in (b'"text"', b"{}", b"12", b'{"v":1,"headers":{"a":"b"}}', b""):
        assert split_task(data) == ({}, data)
        stored = with_task_headers(data, {"traceparent": "00-a\\n"})
        assert split_task(stored) == ({"traceparent": "00-a\\n"}, data)
    for broken in (b"\x1e", b"\x1enot json\n{}", b'\x1e{"v":2,"headers":{}}\n{}'):
        with pytest.raises(UnknownVersion, match="the headers of a stored task"):
            split_task(broken)


@pytest.mark.parametrize(
    "headers",
    [
        {"": "x"},
        {"A": "x"},
        {"a": 1},
        {"a": "ü"},
        {"a": "\n"},
        {"a": "x" * 5_000},
        {f"n{i}": "x" for i in range(17)},
    ],
)
def test_what_is_no_header_is_refused(headers: Mapping[str, str]) -> None:
    with pytest.raises(PayloadRefused):
        check_headers(headers)
