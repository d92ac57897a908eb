"""W4: a worker is killed with `kill -9` in the middle of a run; when does the next one carry on?

The history of the run is short or long. Nothing is replayed, so the time must not grow with it. The new
worker starts when the dead one's lease has run out, and the rest that an activity takes after a worker died
of it (a second, by default) is cut to a millisecond: what is measured is the work and not the waiting.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.contestants import OURS
from benchmarks.measure import Stage
from benchmarks.process import Contestant, Process
from benchmarks.rounds import interleaved, middle
from benchmarks.tables import Column, Target, markdown

__all__ = ["ROUNDS", "measure", "tables", "targets"]

ROUNDS = 5
HISTORIES = (10, 10_000)
_LEASE = 2.0  # seconds

_COLUMNS: tuple[Column, ...] = (
    ("records", "version", ",.0f", False),
    ("ready to next step, ms", "ms", ".1f", True),
    ("opening, ms", "opening", ".0f", True),
)


def measure(stage: Stage, rounds: int, seconds: float, peers: list[str]) -> dict[str, Any]:
    """Raw figures of each round. Of `seconds` and `peers` nothing depends here."""
    del seconds, peers
    options = {"lease": _LEASE, "limits": {"loss_backoff": 1_000}}
    worker = Contestant("continuum_core", OURS, 1, "", options)
    rows, failed = interleaved(
        HISTORIES, lambda events: f"{events:,} events", rounds, lambda events: _round(stage, worker, events)
    )
    note = f"killed in an activity after so many events; the lease of {_LEASE:g} s had run out"
    return {"resume": {"rows": rows, "failed": failed, "notes": dict.fromkeys(rows, note)}}


def _round(stage: Stage, worker: Contestant, events: int) -> dict[str, Any]:
    name, url = stage.fresh(worker)
    with Process(worker) as first:
        first.ask("open", url=url, options=worker.options)
        left = first.ask("ask", what="relay", arguments={"events": events})
        first.kill()
    time.sleep(_LEASE + 1.0)
    with Process(worker) as second:
        begun = time.perf_counter()
        opened = second.ask("open", url=url, options=worker.options)
        opening = (time.perf_counter() - begun) * 1e3
        carried = second.ask("ask", what="next", arguments={"seconds": 60})
        second.kill()  # it is in an activity of an hour
    stage.server.drop(name)
    return {"version": left["version"], "opening": opening, **carried, "versions": opened.get("versions", {})}


def tables(found: dict[str, Any]) -> str:
    """As markdown."""
    table = found["resume"]
    told: dict[str, list[dict[str, float | None]]] = {
        name: [{key: raw[key] for key in ("version", "ms", "opening")} for raw in rows]
        for name, rows in table["rows"].items()
    }
    return markdown("W4, resuming after kill -9", table, _COLUMNS, told)


def targets(found: dict[str, Any]) -> list[Target]:
    """Flat in the history's length: the medians differ by less than the shorter one itself."""
    short, long = (middle(raw["ms"] for raw in rows) for rows in found["resume"]["rows"].values())
    if short is None or long is None:
        return []
    return [(f"10,000 records resume as 10 do: {long:.1f} and {short:.1f} ms", long < 2 * short)]
