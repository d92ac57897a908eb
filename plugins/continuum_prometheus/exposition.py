"""Measures as metrics of `prometheus_client`, and an endpoint that shows them while workers run."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from continuum_core.hooks import HealthSection, WorkerFacts, hookimpl
from continuum_core.hooks.measures import MEASURES, SECONDS, Kind, Measure, Measuring, Reading

__all__ = ["Prometheus"]


class Prometheus(Measuring):
    """The plugin, for programs: ``Worker(…, plugins=Plugins(Prometheus(port=9464)))``.

    :param registry: where the metrics are collected; the process's own unless given. A registry takes one
        plugin: its names must be free.
    :param port: of an endpoint that is open while workers run; 0 for any that is free, None for no endpoint.
    :param host: the address that it listens at. Everybody who reaches it can read what it shows.
    """

    HOOKS_VERSION = 2

    def __init__(
        self, registry: CollectorRegistry = REGISTRY, *, port: int | None = None, host: str = "127.0.0.1"
    ) -> None:
        super().__init__(_Registered(registry))
        self._registry = registry
        self._wanted = None if port is None else (host, port)
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._open = 0

    @property
    def address(self) -> str | None:
        """The URL of the endpoint; None while there is none."""
        if self._server is None:
            return None
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/metrics"

    @hookimpl
    def worker_started(self, worker: WorkerFacts) -> None:
        """Open the endpoint with the first worker. Raises OSError where the address is taken."""
        super().worker_started(worker)
        self._open += 1
        if self._wanted is not None and self._server is None:
            host, port = self._wanted
            self._server, self._thread = start_http_server(port, host, self._registry)

    @hookimpl
    def worker_stopped(self, worker: WorkerFacts) -> None:
        """Close the endpoint with the last worker."""
        super().worker_stopped(worker)
        self._open -= 1
        if self._open > 0 or self._server is None or self._thread is None:
            return
        server, thread = self._server, self._thread
        self._server = self._thread = None
        server.shutdown()
        server.server_close()
        thread.join()

    @hookimpl
    def health_sections(self) -> Iterable[HealthSection]:
        """Where the endpoint is; not well where one was asked for and is not open."""
        if self._wanted is None:
            return []
        return [HealthSection("prometheus", bool(self._server) or not self._open, {"endpoint": self.address})]


class _Registered(Collector):
    """A sink of measurements: counters and histograms of the client, and gauges as they were last read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._made: dict[Measure, Counter | Histogram] = {}
        self._gauges: dict[str, tuple[Reading, ...]] = {}  # by namespace; replaced whole, read by any thread
        for measure in MEASURES:
            if measure.kind is Kind.COUNTER:
                self._made[measure] = Counter(_name(measure), measure.help, measure.labels, registry=registry)
            elif measure.kind is Kind.HISTOGRAM:
                self._made[measure] = Histogram(
                    _name(measure), measure.help, measure.labels, registry=registry, buckets=SECONDS
                )
        registry.register(self)

    def add(self, measure: Measure, value: float, labels: tuple[str, ...]) -> None:
        """One more value of a counter or a histogram."""
        made = self._made[measure].labels(*labels)
        if isinstance(made, Counter):
            made.inc(value)
        else:
            made.observe(value)

    def read(self, namespace: str, readings: tuple[Reading, ...]) -> None:
        """All gauges of a namespace, in the place of those before."""
        self._gauges = {**self._gauges, namespace: readings}

    def collect(self) -> Iterable[Metric]:
        """What the client shows of gauges."""
        gauges = self._gauges
        for measure in MEASURES:
            if measure.kind is not Kind.GAUGE:
                continue
            family = GaugeMetricFamily(_name(measure), measure.help, labels=measure.labels)
            for readings in gauges.values():
                for each, value, labels in readings:
                    if each is measure:
                        family.add_metric(labels, value)
            yield family


def _name(measure: Measure) -> str:
    """A measure's name in the manner of Prometheus: underscores, and the unit behind it."""
    name = f"continuum_{measure.name.replace('.', '_')}"
    return f"{name}_seconds" if measure.unit == "s" else name
