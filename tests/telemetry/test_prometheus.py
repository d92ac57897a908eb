"""What Prometheus is shown, and where."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from continuum_core import Client, Worker
from continuum_core.hooks import PluginRefused, Plugins
from continuum_core.hooks.measures import MEASURES, Kind
from continuum_core.testing import Engine
from continuum_prometheus import Idle, chosen
from continuum_prometheus.exposition import Prometheus
from tests.runtime.machines import Job, Shaky, Waits, work
from tests.telemetry.test_otel import GAUGES, WORKER


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample that is shown, by name and sorted labels."""
    return parsed(generate_latest(registry).decode())


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return (f"continuum_{name}", tuple(sorted({"namespace": "default", **labels}.items())))


async def test_the_same_measures_are_shown() -> None:
    registry = CollectorRegistry()
    async with Engine([Job], plugins=Plugins(Prometheus(registry))) as engine:
        engine.stub(work, returns="x")
        await (await engine.start(Job, "a")).result()
        engine.stub(work, raises=Shaky("no"))
        await engine.start(Job, "b")
        await engine.advance(timedelta(minutes=2))
    shown = samples(registry)
    assert shown[key("runs_started_total", machine="job")] == 2
    assert shown[key("runs_ended_total", machine="job", status="failed")] == 1
    assert shown[key("turn_duration_seconds_count", machine="job")] == 4
    assert shown[key("turn_duration_seconds_bucket", machine="job", le="+Inf")] == 4
    assert shown[key("attempt_retries_total", activity="work")] == 2
    assert shown[key("attempt_duration_seconds_count", activity="work", ended="raised")] == 3
    assert shown[key("commit_duration_seconds_count", verb="start")] >= 1


def test_every_measure_has_a_name_and_a_help() -> None:
    registry = CollectorRegistry()
    Prometheus(registry)
    families = {f.name: f for f in text_string_to_metric_families(generate_latest(registry).decode())}
    for measure in MEASURES:
        name = f"continuum_{measure.name.replace('.', '_')}{'_seconds' if measure.unit == 's' else ''}"
        assert families[name].documentation == measure.help
        assert families[name].type == measure.kind.value
    assert len(families) == len(MEASURES)


def test_gauges_are_those_that_were_read_last() -> None:
    registry = CollectorRegistry()
    plugins = Plugins(Prometheus(registry))
    assert plugins.worker_started is not None
    assert plugins.worker_stopped is not None
    assert plugins.gauges_read is not None
    plugins.worker_started(worker=WORKER)
    plugins.gauges_read(namespace="default", gauges=GAUGES)
    shown = samples(registry)
    assert shown[key("oldest_due_seconds")] == 6.0
    assert shown[key("runs_parked")] == 2
    assert shown[key("queue_depth", queue="cards")] == 7
    plugins.worker_stopped(worker=WORKER)
    assert key("runs_parked") not in samples(registry)
    assert plugins.failures == {}


async def test_what_waits_in_a_journal_is_shown_as_the_journal_counts_it(tmp_path: Path) -> None:
    url, registry = f"sqlite:///{tmp_path}/journal.db", CollectorRegistry()
    async with Client(url, [Waits]) as client:
        await client.suspend(await client.start(Waits, "a"), "for the test")
    async with Worker(url, [Waits], plugins=Plugins(Prometheus(registry))):
        while key("runs_suspended") not in samples(registry):
            await asyncio.sleep(0.01)
        shown = samples(registry)
    assert (shown[key("runs_suspended")], shown[key("runs_parked")]) == (1, 0)
    assert shown[key("oldest_due_seconds")] >= 0


def _fetched(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return str(answer.read().decode())


async def test_the_endpoint_is_open_while_workers_run_and_on_this_machine_alone() -> None:
    plugin = Prometheus(CollectorRegistry(), port=0)
    plugins = Plugins(plugin)
    assert plugin.address is None
    async with Worker("memory://", [Job], plugins=plugins) as first:
        async with Worker("memory://", [Job], plugins=plugins):
            await (await first.client.start(Job, "a")).result(20)
        address = plugin.address
        assert address is not None
        assert address.startswith("http://127.0.0.1:")
        shown = parsed(await asyncio.to_thread(_fetched, address))
        assert shown[key("runs_ended_total", machine="job", status="completed")] == 1
        assert [s.ok for s in first.health() if s.name == "prometheus"] == [True]
    assert plugin.address is None
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(_fetched, address)


async def test_a_port_that_is_taken_harms_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        plugins = Plugins(Prometheus(CollectorRegistry(), port=taken.getsockname()[1]))
        async with Worker("memory://", [Job], plugins=plugins) as worker:
            assert await (await worker.client.start(Job, "a")).result(20) == "done a"
            assert [s.ok for s in worker.health() if s.name == "prometheus"] == [False]
    assert plugins.failures == {("Prometheus", "worker_started"): 1}
    assert "in use" in caplog.text


def test_the_environment_says_where() -> None:
    assert type(chosen("")) is type(chosen("off")) is Idle
    assert Plugins(Idle()).implement("run_turned", "gauges_read", "worker_started") is False


@pytest.mark.parametrize("setting", ["yes", "70000", "localhost:", "1.2.3.4:port", "-1", "٣"])
def test_a_setting_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(PluginRefused, match="HOST:PORT"):
        chosen(setting)


def test_counters_and_gauges_do_not_share_a_name() -> None:
    kinds = {measure.name: measure.kind for measure in MEASURES}
    assert kinds["runs.parkings"] is Kind.COUNTER
    assert kinds["runs.parked"] is Kind.GAUGE
