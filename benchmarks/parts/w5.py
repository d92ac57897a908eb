"""W5: W1 with many old runs in the tables, and with two worker processes.

The database with old runs is made once (`benchmarks.old` says how) and copied for each round like any other.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from benchmarks.contestants import OURS, WIDE
from benchmarks.measure import Stage, per_run
from benchmarks.old import old_runs
from benchmarks.process import Contestant
from benchmarks.rounds import interleaved, say
from benchmarks.tables import Column, Target, figure, markdown

__all__ = ["OLD", "ROUNDS", "measure", "tables", "targets"]

ROUNDS = 5
OLD = 1_000_000

_COLUMNS: tuple[Column, ...] = (
    ("runs/s", "rate", ",.0f", True),
    ("of it without", "share", ".0%", True),
    ("client µs", "client_us", ",.0f", False),
    ("server µs", "server_us", ",.0f", False),
    ("tx ids", "writing", ".3f", False),
    ("WAL kB", "wal_kb", ".1f", False),
    ("p50 ms", "p50", ".1f", False),
    ("p99 ms", "p99", ".1f", False),
)


@frozen
class Case:
    """A row of the table: how many old runs, how many worker processes."""

    name: str
    old: int
    processes: int


def measure(stage: Stage, rounds: int, seconds: float, peers: list[str], old: int = OLD) -> dict[str, Any]:
    """Raw figures of each round. Of `peers` nothing depends here."""
    del peers
    worker = Contestant("continuum_core", OURS, 500, "", WIDE)
    made = old_runs(stage, worker, old)
    say(f"  {old:,} old runs made in {made.seconds:.0f} s, {made.size / 1e9:.2f} GB")
    cases = [
        Case("no old runs", 0, 1),
        Case(f"{old:,} old runs", old, 1),
        Case("no old runs, two worker processes", 0, 2),
    ]

    def one(case: Case) -> dict[str, Any]:
        template = made.template if case.old else None
        return stage.load(worker, "steps", seconds, template=template, processes=case.processes)

    rows, failed = interleaved(cases, lambda case: case.name, rounds, one)
    notes = {
        case.name: f"{case.processes} x 500 in flight"
        + (f", tables of {made.size / 1e9:.2f} GB" if case.old else "")
        for case in cases
    }
    return {"old": {"rows": rows, "failed": failed, "notes": notes, "seconds": seconds, "size": made.size}}


def tables(found: dict[str, Any]) -> str:
    """As markdown."""
    table = found["old"]
    title = f"W5, W1 beside old runs, and on two workers ({table['seconds']:.3g} s a round)"
    return markdown(title, table, _COLUMNS, _rounds(table))


def targets(found: dict[str, Any]) -> list[Target]:
    """What is over and done with does not slow what runs."""
    rows = list(_rounds(found["old"]).items())
    if len(rows) < 2 or not rows[1][1]:
        return []
    share = figure(rows[1][1], "share")
    return [(f"{rows[1][0]}: at least 80 % of the rate without: {share:.0%}", share >= 0.8)]


def _rounds(table: dict[str, Any]) -> dict[str, list[dict[str, float | None]]]:
    """The figures a run of each round, and what share that is of the rate without old runs."""
    told = {name: [per_run(figures) for figures in rows] for name, rows in table["rows"].items()}
    plain = {raw["round"]: per_run(raw)["rate"] for raw in next(iter(table["rows"].values()), [])}
    for name, rows in told.items():
        for raw, row in zip(table["rows"][name], rows, strict=True):
            without = plain.get(raw["round"])
            row["share"] = None if not without or row["rate"] is None else row["rate"] / without
    return told
