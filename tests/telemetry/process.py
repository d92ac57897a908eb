"""A worker in a process of its own that writes its spans to a file: ``python -m tests.telemetry.process``.

Arguments: the journal's URL, the file, and how many activities of the queue "default" it takes at once. The
plugin comes in by its entry point, as in production: the environment says ``CONTINUUM_OTEL=on``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from continuum_core import Machine, Worker, activity, root
from tests.runtime.machines import Job


class ToFile(SpanExporter):
    """One line of JSON for each span, as soon as it has ended."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._file.open("a", encoding="utf-8") as lines:
            lines.writelines(span.to_json(indent=None) + "\n" for span in spans)
        return SpanExportResult.SUCCESS


@activity(queue="elsewhere")
async def idle(n: int) -> int:
    return n


class Aside(Machine[int, int, int], name="aside"):
    """Nobody starts one: its queue is for a worker that is to carry out nothing."""

    s = root(int)
    idling = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(n: int) -> int:
        return n

    @staticmethod
    def result(n: int) -> int:
        return n

    idling.invoke(idle, lambda n: n, done=done, error={Exception: done})


async def main() -> None:
    """Work until SIGTERM."""
    url, file, activities = sys.argv[1:]
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ToFile(Path(file))))
    trace.set_tracer_provider(provider)
    queues = {"default": int(activities)} if int(activities) else {"elsewhere": 1}
    await Worker(url, [Job, Aside], queues=queues).run()


if __name__ == "__main__":
    asyncio.run(main())
