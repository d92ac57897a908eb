"""W2: how long a run of one step takes from start to result while nothing else happens; all settings default.

One run after the other, with rests of several lengths between two: after a rest the caches of all processes
are cold, and the cores asleep. And what a run of three steps costs when it is alone: transactions, one after
the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
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
"""A round and rest; those that need a second each take fewer."""
RESTS = (100, 10, 0)
"""Milliseconds between two runs, in the order in which they are measured."""
_WARM = 4

_Ask = Callable[[Process], dict[str, Any]]

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
        samples = max(_WARM, round(SAMPLES * shares[contestant.name] * min(1.0, seconds / 10)))

        def ask(process: Process, samples: int, ms: int) -> dict[str, Any]:
            return process.ask("latency", samples=samples, pause=ms / 1000)

        rests = {str(ms): partial(ask, samples=samples, ms=ms) for ms in RESTS}
        return _timed(stage, contestant, partial(ask, samples=_WARM, ms=10), rests)

    def steps(process: Process) -> dict[str, Any]:
        return process.ask("ask", what="alone", arguments={"samples": 30, "pause": 0.1})

    rows, failed = interleaved(entering, lambda c: c.name, rounds, one)
    notes = {c.name: c.note for c in entering}
    alone, broken = interleaved(
        contestants.chosen(entering[:1], peers),
        lambda c: c.name,
        rounds,
        lambda c: _timed(stage, c, steps, {"100": steps}),
    )
    return {
        "latency": {"rows": rows, "failed": failed, "notes": notes},
        "alone": {"rows": alone, "failed": broken, "notes": notes},
    }


def _timed(stage: Stage, contestant: Contestant, warm: _Ask, rests: Mapping[str, _Ask]) -> dict[str, Any]:
    """Of each rest what the contender answers, with what it cost; syncs a run over all of them."""
    idle = stage.template(contestant).idle
    name, url = stage.fresh(contestant)
    syncs = stage.server.syncs()
    with Process(contestant) as process:
        opened = process.ask("open", url=url, options=contestant.options)
        runs = len(warm(process)["ms"])
        stage.server.checkpoint()
        taken = {
            rest: around(stage.server, [process], [opened], partial(ask, process))
            for rest, ask in rests.items()
        }
        process.ask("close")
    figures: dict[str, Any] = {"rests": taken, "versions": opened.get("versions", {})}
    if "server" not in opened:
        runs += sum(len(each["ms"]) for each in taken.values())
        figures["syncs"] = (stage.life(name, syncs)["syncs"] - idle["syncs"]) / runs
    stage.server.drop(name)
    return figures


def tables(found: dict[str, Any]) -> str:
    """As markdown."""
    latency, alone = found["latency"], found["alone"]
    each: list[str] = []
    for ms in RESTS:
        table = latency if ms == RESTS[-1] else {**latency, "notes": {}, "failed": {}}
        title = f"W2, start to result of a one-step run, idle, {_title(ms)}"
        each.append(markdown(title, table, _COLUMNS, _latencies(latency, ms)))
    three = markdown("A run of three steps alone", alone, _ALONE, _latencies(alone, 100))
    return "\n".join((*each, "- WAL syncs: of all runs, whatever their rests\n", three))


def _title(ms: int) -> str:
    return f"each after {ms} ms of rest" if ms else "one after the other"


def targets(found: dict[str, Any]) -> list[Target]:
    """Of the latency beside DBOS, and of transactions of a run alone."""
    met: list[Target] = []
    for ms in RESTS:
        told = _latencies(found["latency"], ms)
        if told.get("DBOS"):
            times = figure(told["DBOS"], "times")
            met.append(
                (f"p50 at most a third of DBOS's direct call, {_title(ms)}: 1/{times:.2f}", times >= 3)
            )
    alone = _latencies(found["alone"], 100)
    if alone.get("continuum_core"):
        syncs = figure(alone["continuum_core"], "syncs")
        met.append(
            (f"three steps alone, a start and three commits that are synced: {syncs:.2f}", round(syncs) <= 4)
        )
    return met


def _latencies(table: dict[str, Any], ms: int) -> dict[str, list[dict[str, float | None]]]:
    """Of the runs after such rests the median a round; the 99th percentile over all samples of all rounds."""
    told: dict[str, list[dict[str, float | None]]] = {}
    rest = str(ms)
    mine = {raw["round"]: _median(raw["rests"][rest]) for raw in next(iter(table["rows"].values()), [])}
    for name, rows in table["rows"].items():
        every = sorted(took for raw in rows for took in raw["rests"][rest]["ms"])
        told[name] = [
            {**_figures(raw["rests"][rest], every, mine.get(raw["round"])), "syncs": raw.get("syncs")}
            for raw in rows
        ]
    return told


def _median(raw: dict[str, Any]) -> float:
    return quantile(sorted(raw["ms"]), 0.5)


def _figures(raw: dict[str, Any], every: list[float], ours: float | None) -> dict[str, float | None]:
    runs, spent = len(raw["ms"]), raw["spent"]
    median = _median(raw)

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
        "wal_kb": each("wal", 1e-3),
    }
