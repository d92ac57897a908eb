"""Ours on journals of several kinds: `python3 dev.py bench port w1 w2 w3 --journals sqlite,redis`.

Rule: the same loops as beside other engines, each journal fresh for each measurement; what is not PostgreSQL
counts no transactions for us, so that rates, waits and CPU are all there is.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks.contestants import OURS, WIDE
from benchmarks.cpu import resident_bytes, tree_seconds
from benchmarks.process import Contestant, Process
from benchmarks.rounds import interleaved
from benchmarks.tables import Column, Target, figure, markdown
from continuum_core.testing.redis_server import Redis
from continuum_core.testing.servers import Postgres

__all__ = ["JOURNALS", "PARTS", "measure", "tables", "targets"]

PARTS = ("port", "w1", "w2", "w3")
"""What can be measured here."""

_PORT_FLYING = 400
_PARKED = 20_000
_WARM = 1.0  # seconds

_COLUMNS: tuple[Column, ...] = (
    ("per second", "rate", ",.0f", True),
    ("p50 ms", "p50", ".1f", False),
    ("p99 ms", "p99", ".1f", False),
    ("client µs", "client_us", ",.1f", False),
    ("server µs", "server_us", ",.1f", False),
    ("bytes each", "bytes", ",.0f", False),
)

_TITLES = {
    "port": "The port alone: commits in batches of 100, 400 runs in flight",
    "w1": "W1, step-durable",
    "w2": "W2, one step at a time",
    "w3": "W3, runs that wait: woken",
}


@frozen
class _Place:
    """A fresh journal.

    :ivar pid: of its server; None where there is none.
    """

    url: str
    pid: int | None


@contextmanager
def _sqlite() -> Iterator[_Place]:
    with tempfile.TemporaryDirectory() as folder:
        yield _Place(f"sqlite:///{Path(folder) / 'bench.db'}", None)


@contextmanager
def _postgres() -> Iterator[_Place]:
    with Postgres(settings={"shared_buffers": "128MB"}) as server:
        yield _Place(server.url(), server.pid)


def _redis(level: str, tags: int = 1) -> Callable[[], Any]:
    @contextmanager
    def opened() -> Iterator[_Place]:
        with Redis(appendfsync=level) as server:
            yield _Place(f"{server.url()}?tags={tags}", server.pid)

    return opened


JOURNALS: dict[str, tuple[Callable[[], Any], str]] = {
    "sqlite": (_sqlite, "a file; the disk is synced at each commit"),
    "postgres": (_postgres, "a private server, fsync and synchronous_commit on"),
    "redis": (_redis("everysec"), "a private server, its file synced every second"),
    "redis-always": (_redis("always"), "a private server, its file synced before each answer"),
    "redis-tags": (_redis("everysec", 16), "as redis, in 16 hash tags"),
}


def measure(part: str, names: Sequence[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Raw figures of each journal and round."""
    rows, failed = interleaved(names, str, rounds, lambda name: _round(part, JOURNALS[name][0], seconds))
    return {part: {"rows": rows, "failed": failed, "notes": {name: JOURNALS[name][1] for name in names}}}


def _round(part: str, opened: Callable[[], Any], seconds: float) -> dict[str, Any]:
    module = "port" if part == "port" else OURS
    contestant = Contestant(part, module, 0, "", WIDE if part == "w1" else {})
    with opened() as place, Process(contestant) as process:
        process.ask("open", url=place.url, options=contestant.options)
        figures = _loops[part](process, place, seconds)
        process.ask("close")
    return figures


def _spent(process: Process, place: _Place) -> tuple[float | None, float | None]:
    return tree_seconds(process.pid), None if place.pid is None else tree_seconds(place.pid)


def _around(process: Process, place: _Place, do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    before = _spent(process, place)
    answer = do()
    after = _spent(process, place)
    for name, one, other in zip(("client_us", "server_us"), before, after, strict=True):
        unknown = one is None or other is None or not answer["runs"]
        answer[name] = None if unknown else 1e6 * ((other or 0.0) - (one or 0.0)) / answer["runs"]
    answer["rate"] = answer["runs"] / answer["seconds"]
    return answer


def _steps(flying: int) -> Callable[[Process, _Place, float], dict[str, Any]]:
    def loop(process: Process, place: _Place, seconds: float) -> dict[str, Any]:
        process.ask("steps", seconds=min(_WARM, seconds), flying=flying)
        return _around(process, place, lambda: process.ask("steps", seconds=seconds, flying=flying))

    return loop


def _latency(process: Process, place: _Place, seconds: float) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        begun = time.perf_counter()
        took = sorted(process.ask("latency", samples=max(10, int(seconds * 20)), pause=0.02)["ms"])
        return {
            "runs": len(took),
            "seconds": time.perf_counter() - begun,
            "p50": took[len(took) // 2],
            "p99": took[min(len(took) - 1, int(len(took) * 0.99))],
        }

    return _around(process, place, ask)


def _memory(place: _Place) -> int | None:
    """Of a server that keeps runs in it; the memory of PostgreSQL says nothing of them."""
    return resident_bytes(place.pid) if place.pid is not None and place.url.startswith("redis") else None


def _waiting(process: Process, place: _Place, seconds: float) -> dict[str, Any]:
    count = max(100, int(_PARKED * min(1.0, seconds / 10)))
    empty = _memory(place)
    process.ask("park", count=count)
    full = _memory(place)
    woken = _around(process, place, lambda: process.ask("wake"))
    woken["bytes"] = None if empty is None or full is None else (full - empty) / count
    return woken


_loops: dict[str, Callable[[Process, _Place, float], dict[str, Any]]] = {
    "port": _steps(_PORT_FLYING),
    "w1": _steps(500),
    "w2": _latency,
    "w3": _waiting,
}


def tables(found: dict[str, Any]) -> str:
    """As markdown."""
    return "\n".join(
        markdown(
            _TITLES[part], table, [c for c in _COLUMNS if c[1] != "bytes" or part == "w3"], table["rows"]
        )
        for part, table in found.items()
    )


def targets(found: dict[str, Any]) -> list[Target]:
    """Of commits on Redis, its file synced every second."""
    rows = found.get("port", {}).get("rows", {}).get("redis")
    if not rows:
        return []
    rate = figure(rows, "rate")
    return [(f"20,000 commits a second on Redis with everysec, one process: {rate:,.0f}", rate >= 20_000)]
