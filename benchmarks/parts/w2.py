"""W2: how long a run of one step takes from start to result while nothing else happens; all settings default.

And what a run of three steps costs when it is alone: transactions, one after the other.
"""

from __future__ import annotations

from typing import Any

from benchmarks import contestants
from benchmarks.load import quantile
from benchmarks.measure import Stage, around
from benchmarks.process import Contestant, Process
from benchmarks.rounds import interleaved
from benchmarks.tables import Column, Target, figure, markdown

__all__ = ["ROUNDS", "measure", "tables", "targets"]

ROUNDS = 5
SAMPLES = 80
"""A round; those that need a second each take fewer."""
PAUSE = 0.01  # seconds between two runs, so that each finds the system idle
_WARM = 4

_COLUMNS: tuple[Column, ...] = (
    ("p50 ms", "p50", ".2f", True),
    ("p99 ms", "p99", ".2f", False),
    ("ours ×", "times", ".1f", True),
    ("samples", "samples", ".0f", False),
    ("client µs", "client_us", ",.0f", False),
    ("server µs", "server_us", ",.0f", False),
    ("WAL syncs", "syncs", ".2f", False),
    ("tx ids", "writing", ".2f", False),
)
_ALONE: tuple[Column, ...] = (
    ("WAL syncs", "syncs", ".2f", False),
    ("tx ids", "writing", ".2f", False),
    ("WAL kB", "wal_kb", ".1f", False),
    ("client µs", "client_us", ",.0f", False),
    ("server µs", "server_us", ",.0f", False),
    ("p50 ms", "p50", ".2f", True),
)


def measure(stage: Stage, rounds: int, seconds: float, peers: list[str]) -> dict[str, Any]:
    """Raw samples of each round."""
    shares = {contestant.name: share for contestant, share in contestants.latency()}
    entering = contestants.chosen([contestant for contestant, _ in contestants.latency()], peers)

    def one(contestant: Contestant) -> dict[str, Any]:
        samples = max(4, round(SAMPLES * shares[contestant.name] * min(1.0, seconds / 10)))
        return _timed(stage, contestant, {"verb": "latency", "samples": samples, "pause": PAUSE})

    rows, failed = interleaved(entering, lambda c: c.name, rounds, one)
    notes = {c.name: c.note for c in entering}
    alone, broken = interleaved(
        contestants.chosen(entering[:1], peers),
        lambda c: c.name,
        rounds,
        lambda c: _timed(
            stage, c, {"verb": "ask", "what": "alone", "arguments": {"samples": 30, "pause": 0.1}}
        ),
    )
    return {
        "latency": {"rows": rows, "failed": failed, "notes": notes},
        "alone": {"rows": alone, "failed": broken, "notes": notes},
    }


def _timed(stage: Stage, contestant: Contestant, asked: dict[str, Any]) -> dict[str, Any]:
    idle = stage.template(contestant).idle
    name, url = stage.fresh(contestant)
    syncs = stage.server.syncs()
    verb = asked["verb"]
    arguments = {key: value for key, value in asked.items() if key != "verb"}
    with Process(contestant) as process:
        opened = process.ask("open", url=url, options=contestant.options)
        warm = {**arguments, "samples": _WARM} if verb != "ask" else arguments
        process.ask(verb, **warm)
        stage.server.checkpoint()
        figures = around(stage.server, [process], [opened], lambda: process.ask(verb, **arguments))
        process.ask("close")
    runs = len(figures["ms"]) + (_WARM if verb != "ask" else len(figures["ms"]))
    if "server" not in opened:
        figures["syncs"] = (stage.life(name, syncs)["syncs"] - idle["syncs"]) / runs
    stage.server.drop(name)
    return {**figures, "versions": opened.get("versions", {})}


def tables(found: dict[str, Any]) -> str:
    """As markdown."""
    latency, alone = found["latency"], found["alone"]
    return "\n".join(
        (
            markdown("W2, start to result of a one-step run, idle", latency, _COLUMNS, _latencies(latency)),
            markdown("A run of three steps alone", alone, _ALONE, _latencies(alone)),
        )
    )


def targets(found: dict[str, Any]) -> list[Target]:
    """Of the latency beside DBOS, and of transactions of a run alone."""
    told, alone = _latencies(found["latency"]), _latencies(found["alone"])
    met: list[Target] = []
    if told.get("DBOS"):
        times = figure(told["DBOS"], "times")
        met.append((f"p50 at most a third of DBOS's direct call: 1/{times:.1f}", times >= 3))
    if alone.get("continuum_core"):
        syncs = figure(alone["continuum_core"], "syncs")
        met.append(
            (f"three steps alone, a start and three commits that are synced: {syncs:.2f}", round(syncs) <= 4)
        )
    return met


def _latencies(table: dict[str, Any]) -> dict[str, list[dict[str, float | None]]]:
    """Median a round; the 99th percentile over all samples of all rounds."""
    told: dict[str, list[dict[str, float | None]]] = {}
    mine = {raw["round"]: quantile(sorted(raw["ms"]), 0.5) for raw in next(iter(table["rows"].values()), [])}
    for name, rows in table["rows"].items():
        every = sorted(ms for raw in rows for ms in raw["ms"])
        told[name] = [_round(raw, every, mine.get(raw["round"])) for raw in rows]
    return told


def _round(raw: dict[str, Any], every: list[float], ours: float | None) -> dict[str, float | None]:
    runs, spent = len(raw["ms"]), raw["spent"]
    median = quantile(sorted(raw["ms"]), 0.5)

    def each(key: str, scale: float) -> float | None:
        return None if spent[key] is None else spent[key] / runs * scale

    return {
        "p50": median,
        "p99": quantile(every, 0.99),
        "times": None if not ours else median / ours,
        "samples": len(every),
        "client_us": each("client_cpu", 1e6),
        "server_us": each("server_cpu", 1e6),
        "writing": each("writing", 1.0),
        "syncs": raw.get("syncs"),
        "wal_kb": each("wal", 1e-3),
    }
