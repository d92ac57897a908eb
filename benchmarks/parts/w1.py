"""W1: runs of three no-op activities in three states, and the same three transitions in one commit."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from benchmarks import contestants
from benchmarks.measure import Stage, per_run
from benchmarks.process import Contestant
from benchmarks.rounds import interleaved
from benchmarks.tables import Column, Target, figure, markdown

__all__ = ["ROUNDS", "measure", "tables", "targets"]

ROUNDS = 5
_OTHER = "other modes, step-durable"
_NOT_RIVALS = ("continuum_core", "bare loop", "Procrastinate")
"""Ourselves, what no engine can reach, and what is none."""

_COLUMNS: tuple[Column, ...] = (
    ("runs/s", "rate", ",.0f", True),
    ("ours ×", "times", ".1f", True),
    ("client µs", "client_us", ",.0f", False),
    ("server µs", "server_us", ",.0f", False),
    ("WAL syncs", "syncs", ".3f", False),
    ("tx ids", "writing", ".3f", False),
    ("all tx", "transactions", ".2f", False),
    ("rows ins", "inserted", ".1f", False),
    ("upd", "updated", ".1f", False),
    ("del", "deleted", ".1f", False),
    ("WAL kB", "wal_kb", ".1f", False),
    ("p50 ms", "p50", ".1f", False),
    ("p99 ms", "p99", ".1f", False),
)


def measure(stage: Stage, rounds: int, seconds: float, peers: list[str]) -> dict[str, Any]:
    """All three tables' raw figures."""
    found: dict[str, Any] = {}
    for table, entrants, verb, length in (
        ("step-durable", contestants.steps(), "steps", seconds),
        ("macrostep-atomic", contestants.macrostep(), "macrostep", seconds),
        (_OTHER, contestants.alone(), "steps", seconds / 3),
    ):
        entering = contestants.chosen(entrants, peers)

        def one(contestant: Contestant, verb: str = verb, length: float = length) -> dict[str, Any]:
            return stage.load(contestant, verb, length)

        rows, failed = interleaved(entering, lambda c: c.name, rounds, one)
        notes = {c.name: f"{c.note}; {c.flying} in flight" for c in entering}
        found[table] = {"rows": rows, "failed": failed, "notes": notes, "seconds": length}
    return found


def tables(found: dict[str, Any]) -> str:
    """As markdown."""
    return "\n".join(
        markdown(
            f"W1, {name} ({table['seconds']:.3g} s a round)",
            table,
            _COLUMNS if name != _OTHER else [column for column in _COLUMNS if column[1] != "times"],
            _rounds(table),
        )
        + _share(table)
        for name, table in found.items()
    )


def targets(found: dict[str, Any]) -> list[Target]:
    """Of the rate beside others, of transactions under load and of WAL."""
    told = _rounds(found["step-durable"])
    met: list[Target] = []
    others = {name: figure(rows, "times") for name, rows in told.items() if name not in _NOT_RIVALS and rows}
    if "DBOS" in others:
        times = others.pop("DBOS")
        met.append((f"step-durable, 20 times DBOS (we aim for 40): {times:.1f}", times >= 20))
    if others:
        name, times = min(others.items(), key=itemgetter(1))
        met.append(
            (f"step-durable, 8 times the best other (we aim for 15): {times:.1f} ({name})", times >= 8)
        )
    if told.get("bare loop") and told.get("continuum_core"):
        wal = figure(told["continuum_core"], "wal_kb") / figure(told["bare loop"], "wal_kb")
        met.append((f"at most 1.5 times the bare loop's WAL: {wal:.2f}", wal <= 1.5))
    if told.get("continuum_core"):
        writing = figure(told["continuum_core"], "writing")
        met.append((f"less than one writing transaction a run under load: {writing:.3f}", writing < 1))
    return met


def _rounds(table: dict[str, Any]) -> dict[str, list[dict[str, float | None]]]:
    """The figures a run of each round, and how many times as fast as it ours was in the same round."""
    told = {name: [per_run(figures) for figures in rows] for name, rows in table["rows"].items()}
    ours = next(iter(told.values()), [])
    mine = {
        raw["round"]: row["rate"]
        for raw, row in zip(next(iter(table["rows"].values()), []), ours, strict=True)
    }
    for name, rows in told.items():
        for raw, row in zip(table["rows"][name], rows, strict=True):
            own = mine.get(raw["round"])
            row["times"] = None if own is None or not row["rate"] else own / row["rate"]
    return told


def _share(table: dict[str, Any]) -> str:
    """What part of the bare loop we are, and how much more WAL."""
    told = _rounds(table)
    if not told.get("bare loop") or not told.get("continuum_core"):
        return ""
    ours, bare = told["continuum_core"], told["bare loop"]
    rate = figure(ours, "rate") / figure(bare, "rate")
    wal = figure(ours, "wal_kb") / figure(bare, "wal_kb")
    return f"\nOurs is {rate:.0%} of the bare loop's rate, and writes {wal:.2f} times its WAL.\n"
