"""Traces go from who starts a run through its turns to its attempts, in one process and across several."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from continuum_core import Client, Worker
from continuum_core.hooks import (
    AttemptFacts,
    Gauges,
    PluginRefused,
    Plugins,
    QueueGauge,
    ReportFacts,
    TurnFacts,
    WorkerFacts,
)
from continuum_core.hooks.measures import MEASURES, Kind, Measuring
from continuum_core.journal.commit import FinishKind, FinishOutcome
from continuum_core.journal.records import DeliveryKind, RunStatus
from continuum_core.testing import Engine
from continuum_otel import Idle, chosen
from continuum_otel import spans as spans_module
from continuum_otel.spans import Spans
from continuum_otel.telemetry import Metrics, Otel, Traces
from tests.runtime.machines import Finish, Job, Shaky, work

ROOT = Path(__file__).parents[2]


class Recorded:
    """A plugin with everything it exports in memory."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.reader = InMemoryMetricReader()
        self.plugin = Otel(self.tracers, MeterProvider([self.reader]))

    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.name == name]

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data = self.reader.get_metrics_data()
        scopes = [] if data is None else [s for r in data.resource_metrics for s in r.scope_metrics]
        return [
            point
            for scope in scopes
            for metric in scope.metrics
            if metric.name == f"continuum.{name}"
            for point in metric.data.data_points
        ]


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def identity(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


# --- traces ----------------------------------------------------------------------------------------------


async def test_a_run_is_one_trace_below_its_caller() -> None:
    recorded = Recorded()
    tracer = recorded.tracers.get_tracer("mine")
    inside: list[int] = []

    def body(_: str) -> str:
        with tracer.start_as_current_span("inside") as span:
            inside.append(span.get_span_context().trace_id)
        return "x"

    async with Engine([Job], plugins=Plugins(recorded.plugin)) as engine:
        engine.stub(work, calls=body)
        with tracer.start_as_current_span("request") as request:
            run = await engine.start(Job, "a")
        assert await run.result() == "x"
    [start], [first, last] = recorded.named("start job"), recorded.named("turn job")
    [attempt], [within] = recorded.named("attempt work"), recorded.named("inside")
    assert parent(start) == request.get_span_context().span_id
    chain = [start, first, attempt, last]
    assert [parent(span) for span in chain[1:]] == [identity(span) for span in chain[:-1]]
    assert parent(within) == identity(attempt), "what the body traces is below its attempt"
    assert inside == [request.get_span_context().trace_id]
    assert len({span.context.trace_id for span in recorded.spans() if span.context}) == 1
    told = dict(last.attributes or {})
    assert told["continuum.run.id"] == str(run.id)
    assert told["continuum.run.status"] == "completed"
    assert told["continuum.events"] == ("outcome",)
    assert dict(attempt.attributes or {})["continuum.attempt.ended"] == "succeeded"
    assert all(span.end_time is not None for span in chain)


async def test_every_attempt_is_a_span_of_its_own() -> None:
    recorded = Recorded()
    async with Engine([Job], plugins=Plugins(recorded.plugin)) as engine:
        engine.stub(work, raises=Shaky("a secret"))
        await engine.start(Job, "a")
        await engine.advance(timedelta(minutes=2))
    attempts = recorded.named("attempt work")
    assert [dict(span.attributes or {})["continuum.attempt.number"] for span in attempts] == [1, 2, 3]
    assert {parent(span) for span in attempts} == {identity(recorded.named("turn job")[0])}
    assert {span.status.status_code for span in attempts} == {trace.StatusCode.ERROR}
    assert {dict(span.attributes or {})["error.type"] for span in attempts} == {
        "tests.runtime.machines.Shaky"
    }
    assert "a secret" not in "".join(span.to_json() for span in recorded.spans())


async def test_an_event_leads_to_its_turn() -> None:
    recorded = Recorded()
    async with Engine([Job], plugins=Plugins(recorded.plugin)) as engine:
        engine.stub(work, raises=Shaky("later"))
        run = await engine.start(Job, "a")
        await engine.send(run, Finish())
    [sent] = recorded.named("signal Finish")
    stopped = recorded.named("turn job")[-1]
    assert parent(stopped) == identity(sent)
    assert dict(stopped.attributes or {})["continuum.events"] == ("signal",)


TURN = TurnFacts(
    namespace="n",
    run_id=uuid4(),
    turn_id=uuid4(),
    machine="job",
    machine_version=1,
    fingerprint="f",
    version=3,
    status=RunStatus.RUNNING,
    events=(DeliveryKind.SIGNAL, DeliveryKind.SIGNAL, DeliveryKind.SIGNAL),
    headers=({}, {}, {}),
    activities=(),
    messages=0,
    due=None,
    now=0,
    fused=False,
)


ATTEMPT = AttemptFacts(
    namespace="default",
    run_id=uuid4(),
    machine="job",
    fingerprint="f",
    activity="work",
    queue="default",
    token=1,
    slot=0,
    number=1,
    losses=2,
    key="k",
    scheduled=0,
    due=0,
    headers={},
    ended="succeeded",
)


def _traceparent(number: int) -> dict[str, str]:
    return {"traceparent": f"00-{number:032x}-{number:016x}-01"}


def test_a_turn_of_several_events_is_linked_to_all_of_them() -> None:
    recorded = Recorded()
    turn = replace(TURN, headers=({}, _traceparent(7), _traceparent(8)))
    headers = recorded.plugin.turn_headers(turn)
    recorded.plugin.run_turned(turn)
    [span] = recorded.spans()
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (7, 7)
    assert [link.context.span_id for link in span.links] == [8]
    assert headers["traceparent"].startswith(f"00-{7:032x}-{identity(span):016x}-")


def test_a_turn_that_does_not_stand_ends_its_span() -> None:
    recorded = Recorded()
    recorded.plugin.turn_headers(TURN)
    recorded.plugin.turn_dropped(TURN)
    [span] = recorded.spans()
    assert dict(span.attributes or {})["continuum.turn.dropped"] is True
    assert span.status.status_code is trace.StatusCode.UNSET, "a lost race is no error"
    recorded.plugin.turn_dropped(TURN)
    recorded.plugin.run_turned(TURN)
    assert len(recorded.spans()) == 1
    [dropped] = recorded.points("turns.dropped")
    assert dropped.value == 2


def test_what_both_halves_look_at_reaches_both() -> None:
    shared = {name for name in vars(Spans) if name in vars(Measuring) and not name.startswith("_")}
    assert shared
    assert shared <= set(vars(Otel)), "a class has a name once: each of these must call both"


def test_a_turn_that_nobody_hears_of_again_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans_module, "_OPEN", 10)
    recorded = Recorded()
    for number in range(25):
        recorded.plugin.turn_headers(replace(TURN, turn_id=UUID(int=number)))
    assert len(recorded.spans()) == 15


@pytest.mark.parametrize("value", ["", "x", "00-0-0-01", "ff" * 500, f"00-{0:032x}-{0:016x}-01"])
def test_a_header_that_is_no_context_begins_a_trace_of_its_own(value: str) -> None:
    recorded = Recorded()
    turn = replace(TURN, headers=({"traceparent": value}, {}, {}))
    recorded.plugin.turn_headers(turn)
    recorded.plugin.run_turned(turn)
    [span] = recorded.spans()
    assert span.parent is None


# --- metrics ---------------------------------------------------------------------------------------------


async def test_runs_turns_and_attempts_are_measured() -> None:
    recorded = Recorded()
    async with Engine([Job], plugins=Plugins(recorded.plugin)) as engine:
        engine.stub(work, returns="x")
        await (await engine.start(Job, "a")).result()
        engine.stub(work, raises=Shaky("no"))
        await engine.start(Job, "b")
        await engine.advance(timedelta(minutes=2))
    job = {"namespace": "default", "machine": "job"}
    [started] = recorded.points("runs.started")
    assert (started.value, dict(started.attributes)) == (2, job)
    ended = {point.attributes["status"]: point.value for point in recorded.points("runs.ended")}
    assert ended == {"completed": 1, "failed": 1}
    [turns] = recorded.points("turn.duration")
    assert (turns.count, dict(turns.attributes)) == (4, job)
    assert turns.explicit_bounds[0] == 0.001
    assert {p.attributes["verb"] for p in recorded.points("commit.duration")} >= {"start", "finish"}
    reports = {point.attributes["report"]: point.value for point in recorded.points("attempts")}
    assert reports == {"done": 1, "retry": 2, "failed": 1}
    [retries] = recorded.points("attempt.retries")
    assert (retries.value, retries.attributes["activity"]) == (2, "work")
    assert recorded.points("attempt.losses") == []


@pytest.mark.parametrize(
    ("kind", "outcome", "losses"),
    [
        (FinishKind.DONE, FinishOutcome.FINISHED, [2]),
        (FinishKind.FAILED, FinishOutcome.FINISHED, [2]),
        (FinishKind.RETRY, FinishOutcome.FINISHED, []),
        (FinishKind.DONE, FinishOutcome.LOST, []),
    ],
)
def test_workers_that_died_are_counted_once_a_task_has_ended(
    kind: FinishKind, outcome: FinishOutcome, losses: list[int]
) -> None:
    recorded = Recorded()
    recorded.plugin.attempt_reported(ReportFacts(ATTEMPT, kind, outcome))
    assert [point.value for point in recorded.points("attempt.losses")] == losses


WORKER = WorkerFacts("default", ("job",), ())
GAUGES = Gauges(
    now=10_000_000,
    due=3,
    oldest_due=4_000_000,
    parked=2,
    suspended=1,
    queues=(QueueGauge("cards", 7, 1, 2, 9_500_000), QueueGauge("mail", 0, 0, 0, None)),
)


def test_what_waits_is_shown_until_the_last_worker_stops() -> None:
    recorded = Recorded()
    plugins = Plugins(recorded.plugin)
    for hook in (plugins.worker_started, plugins.worker_started):
        assert hook is not None
        hook(worker=WORKER)
    assert plugins.gauges_read is not None
    assert plugins.worker_stopped is not None
    plugins.gauges_read(namespace="default", gauges=GAUGES)
    shown = {
        name: [p.value for p in recorded.points(name)] for name in ("oldest.due", "events.due", "runs.parked")
    }
    assert shown == {"oldest.due": [6.0], "events.due": [3], "runs.parked": [2]}
    depth = {point.attributes["queue"]: point.value for point in recorded.points("queue.depth")}
    assert depth == {"cards": 7, "mail": 0}
    assert {p.attributes["queue"]: p.value for p in recorded.points("queue.oldest")} == {
        "cards": 0.5,
        "mail": 0.0,
    }
    plugins.worker_stopped(worker=WORKER)
    assert recorded.points("runs.parked")
    plugins.worker_stopped(worker=WORKER)
    assert recorded.points("runs.parked") == []
    assert plugins.failures == {}


def test_no_measure_is_labelled_by_what_never_ends() -> None:
    names = [measure.name for measure in MEASURES]
    assert len(names) == len(set(names))
    labels = {label for measure in MEASURES for label in measure.labels}
    assert labels == {"namespace", "machine", "status", "verb", "activity", "ended", "report", "queue"}
    assert all(measure.unit == "s" for measure in MEASURES if measure.kind is Kind.HISTOGRAM)


# --- harm nothing, cost nothing --------------------------------------------------------------------------


class Broken(SpanExporter):
    """An exporter whose backend is away."""

    def __init__(self) -> None:
        self.asked = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked += 1
        raise ConnectionError("nobody there")


async def test_an_exporter_that_fails_harms_no_run() -> None:
    exporter, tracers = Broken(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    plugins = Plugins(Traces(tracers))
    async with Engine([Job], plugins=plugins) as engine:
        engine.stub(work, returns="x")
        assert await (await engine.start(Job, "a")).result() == "x"
    assert exporter.asked == 4
    assert plugins.failures == {}


async def test_a_provider_that_fails_harms_no_run() -> None:
    class Refuses:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f"no {name} today")

    class Provider(trace.TracerProvider):
        def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
            return cast(trace.Tracer, Refuses())

    plugins = Plugins(Traces(Provider()))
    async with Engine([Job], plugins=plugins) as engine:
        engine.stub(work, returns="x")
        assert await (await engine.start(Job, "a")).result() == "x"
    assert {hook for _, hook in plugins.failures} == {"outgoing_headers", "turn_headers", "around_attempt"}


async def test_without_an_sdk_nothing_is_carried() -> None:
    plugins = Plugins(Otel(trace.NoOpTracerProvider()))
    traces = Traces(trace.NoOpTracerProvider())
    assert dict(traces.turn_headers(TURN)) == {}
    async with Engine([Job], plugins=plugins) as engine:
        engine.stub(work, returns="x")
        assert await (await engine.start(Job, "a")).result() == "x"
    assert plugins.failures == {}


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("", Idle), ("off", Idle), ("on", Otel), ("traces", Traces), ("metrics", Metrics)],
)
def test_the_environment_says_what_is_exported(setting: str, kind: type) -> None:
    assert type(chosen(setting)) is kind


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(PluginRefused, match="on, traces, metrics or off, not 'yes'"):
        chosen("yes")


def test_where_it_is_not_asked_for_nothing_is_gathered() -> None:
    assert Plugins(Idle()).implement("run_turned", "turn_headers", "around_attempt", "gauges_read") is False


# --- across processes ------------------------------------------------------------------------------------


@contextmanager
def worker(url: str, file: Path, activities: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.telemetry.process", url, str(file), str(activities)]
    environment = {**os.environ, "CONTINUUM_PLUGINS": "otel", "CONTINUUM_OTEL": "on"}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def _written(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("shared_journal", ["sqlite", "postgres"], indirect=True)
async def test_one_trace_runs_through_client_and_two_workers_and_survives_a_kill(
    shared_journal: str, tmp_path: Path
) -> None:
    recorded = Recorded()
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    async with Client(shared_journal, plugins=Plugins(recorded.plugin)) as client:
        with worker(shared_journal, first, 0) as taker:
            while not any(d.machine == "job" for d in await client.journal.definitions()):
                assert taker.poll() is None
                await asyncio.sleep(0.02)
            run = await client.start("job", "a")
            while not _written(first):
                assert taker.poll() is None
                await asyncio.sleep(0.02)
            taker.send_signal(signal.SIGKILL)
        with worker(shared_journal, second, 5):
            assert await run.result(60) == "done a"
            while len(_written(second)) < 2:
                await asyncio.sleep(0.02)
    [start] = recorded.named("start job")
    assert start.context is not None
    [turn], [attempt, last] = _written(first), _written(second)
    assert [turn["name"], attempt["name"], last["name"]] == ["turn job", "attempt work", "turn job"]
    assert {span["context"]["trace_id"] for span in (turn, attempt, last)} == {
        f"0x{start.context.trace_id:032x}"
    }
    chain = [f"0x{start.context.span_id:016x}", *(s["context"]["span_id"] for s in (turn, attempt))]
    assert [span["parent_id"] for span in (turn, attempt, last)] == chain


async def test_a_plugin_of_a_program_needs_no_environment() -> None:
    recorded = Recorded()
    async with Worker("memory://", [Job], plugins=Plugins(recorded.plugin)) as running:
        run = await running.client.start(Job, "a")
        assert await run.result(20) == "done a"
    assert len(recorded.named("attempt work")) == 1
