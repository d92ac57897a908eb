"""The plugins for programs: ``Worker(…, plugins=Plugins(Otel()))``."""

from __future__ import annotations

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from continuum_core.hooks import TurnFacts, hookimpl
from continuum_core.hooks.measures import Measuring
from continuum_otel.meters import Meters
from continuum_otel.spans import Spans

__all__ = ["Metrics", "Otel", "Traces"]


class Traces(Spans):
    """Starts, events, turns and attempts as spans.

    :param tracers: the provider of tracers; the process's own unless given.
    """

    HOOKS_VERSION = 2


class Metrics(Measuring):
    """The measures of `continuum_core.hooks.measures` as instruments.

    :param meters: the provider of meters; the process's own unless given.
    """

    HOOKS_VERSION = 2

    def __init__(self, meters: MeterProvider | None = None) -> None:
        super().__init__(Meters(meters))


class Otel(Traces, Metrics):
    """Both."""

    def __init__(self, tracers: TracerProvider | None = None, meters: MeterProvider | None = None) -> None:
        Traces.__init__(self, tracers)
        Metrics.__init__(self, meters)

    # Both look at these two hooks, and a class has a name once.

    @hookimpl
    def run_turned(self, turn: TurnFacts) -> None:
        """End its span, and measure it."""
        Traces.run_turned(self, turn)
        Metrics.run_turned(self, turn)

    @hookimpl
    def turn_dropped(self, turn: TurnFacts) -> None:
        """End its span, and count it."""
        Traces.turn_dropped(self, turn)
        Metrics.turn_dropped(self, turn)
