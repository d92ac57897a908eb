"""Measures as instruments of OpenTelemetry, by the names of `measures` behind ``continuum.``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from continuum_core.hooks.measures import MEASURES, SECONDS, Kind, Measure, Reading

__all__ = ["Meters"]

Add = Callable[[float, dict[str, str]], None]


class Meters:
    """A sink of measurements.

    :param meters: the provider of meters; the process's own unless given.
    """

    def __init__(self, meters: MeterProvider | None = None) -> None:
        self._meter = metrics.get_meter("continuum", meter_provider=meters)
        self._adders: dict[Measure, Add] = {}
        self._gauges: dict[str, tuple[Reading, ...]] = {}  # by namespace; replaced whole, read by any thread
        for measure in MEASURES:
            self._make(measure)

    def _make(self, measure: Measure) -> None:
        name, about = f"continuum.{measure.name}", {"unit": measure.unit, "description": measure.help}
        if measure.kind is Kind.COUNTER:
            self._adders[measure] = self._meter.create_counter(name, **about).add
        elif measure.kind is Kind.HISTOGRAM:
            histogram = self._meter.create_histogram(
                name, **about, explicit_bucket_boundaries_advisory=SECONDS
            )
            self._adders[measure] = histogram.record
        else:
            self._meter.create_observable_gauge(name, [self._observer(measure)], **about)

    def add(self, measure: Measure, value: float, labels: tuple[str, ...]) -> None:
        """One more value of a counter or a histogram."""
        self._adders[measure](value, dict(zip(measure.labels, labels, strict=True)))

    def read(self, namespace: str, readings: tuple[Reading, ...]) -> None:
        """All gauges of a namespace, in the place of those before."""
        self._gauges = {**self._gauges, namespace: readings}

    def _observer(self, measure: Measure) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            for readings in self._gauges.values():
                for each, value, labels in readings:
                    if each is measure:
                        yield Observation(value, dict(zip(each.labels, labels, strict=True)))

        return observe
