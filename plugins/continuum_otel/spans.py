"""Spans for what is sent, for turns and for attempts, each the child of what asked for it.

The link is a W3C ``traceparent`` (https://www.w3.org/TR/trace-context/) that travels as a header with every
start, event, timer, task and outcome. It is stored with them, so that a trace goes on in another process,
and after a restart. A turn that takes several events is the child of the first that carries a context, and
is linked to the others. Payloads and texts of errors are in no span.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from continuum_core.hooks import AttemptFacts, Headers, Outgoing, TurnFacts, hookimpl

__all__ = ["Spans"]

_PROPAGATOR = TraceContextTextMapPropagator()
_OPEN = 10_000
"""How many turns may be between their commit and its answer. A dying loop leaves some there without a word:
the oldest are ended."""


class Spans:
    """Hooks that become spans.

    :param tracers: the provider of tracers; the process's own unless given.
    """

    def __init__(self, tracers: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("continuum", tracer_provider=tracers)
        self._turns: OrderedDict[UUID, Span] = OrderedDict()

    @hookimpl
    def outgoing_headers(self, outgoing: Outgoing) -> Headers:
        """A span for a start, an event or an order to cancel, below the caller's own span."""
        what = outgoing.event or outgoing.machine
        span = self._tracer.start_span(
            f"{outgoing.kind.name.lower()} {what}".strip(),
            kind=SpanKind.PRODUCER,
            attributes={
                "continuum.namespace": outgoing.namespace,
                "continuum.run.id": str(outgoing.run_id),
                "continuum.machine": outgoing.machine,
                "continuum.event": outgoing.event,
            },
        )
        span.end()
        return _headers(span)

    @hookimpl
    def turn_headers(self, turn: TurnFacts) -> Headers:
        """Begin a turn's span: what the turn asks for carries its context."""
        contexts = [_PROPAGATOR.extract(headers) for headers in turn.headers if "traceparent" in headers]
        parent, *others = contexts or [Context()]
        span = self._tracer.start_span(
            f"turn {turn.machine}".strip(),
            context=parent,
            kind=SpanKind.CONSUMER,
            links=[Link(trace.get_current_span(each).get_span_context()) for each in others],
            attributes={
                "continuum.namespace": turn.namespace,
                "continuum.run.id": str(turn.run_id),
                "continuum.machine": turn.machine,
                "continuum.machine.version": turn.machine_version,
                "continuum.run.version": turn.version,
                "continuum.events": [kind.name.lower() for kind in turn.events],
            },
        )
        self._turns[turn.turn_id] = span
        while len(self._turns) > _OPEN:
            self._turns.popitem(last=False)[1].end()
        return _headers(span)

    @hookimpl
    def run_turned(self, turn: TurnFacts) -> None:
        """End a turn's span: it stands."""
        span = self._turns.pop(turn.turn_id, None)
        if span is not None:
            span.set_attribute("continuum.run.status", turn.status.name.lower())
            span.end()

    @hookimpl
    def turn_dropped(self, turn: TurnFacts) -> None:
        """End a turn's span: another had the run. That is no error."""
        span = self._turns.pop(turn.turn_id, None)
        if span is not None:
            span.set_attribute("continuum.turn.dropped", True)
            span.end()

    @hookimpl
    @contextmanager
    def around_attempt(self, attempt: AttemptFacts) -> Generator[Headers, None, None]:
        """A span around the body, and the current one in it: spans of the body's own are below it."""
        with self._tracer.start_as_current_span(
            f"attempt {attempt.activity}",
            context=_PROPAGATOR.extract(attempt.headers, Context()),
            kind=SpanKind.CONSUMER,
            attributes={
                "continuum.namespace": attempt.namespace,
                "continuum.run.id": str(attempt.run_id),
                "continuum.machine": attempt.machine,
                "continuum.activity": attempt.activity,
                "continuum.queue": attempt.queue,
                "continuum.attempt.number": attempt.number,
                "continuum.attempt.losses": attempt.losses,
            },
        ) as span:
            yield _headers(span)
            span.set_attribute("continuum.attempt.ended", attempt.ended or "unknown")
            if attempt.failure:
                span.set_attribute("error.type", attempt.failure)
                span.set_status(StatusCode.ERROR)


def _headers(span: Span) -> Headers:
    """The context of a span; nothing where no SDK makes real ones."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span, Context()))
    return carrier
