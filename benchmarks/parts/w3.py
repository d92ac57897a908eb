"""W3: many runs that wait for an event: what it takes to make them, to keep them, and to wake them all."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import contestants
from benchmarks.contestants import OURS
from benchmarks.cpu import resident_bytes
from benchmarks.measure import Stage, around
from benchmarks.process import Contestant, NotOffered, Process
from benchmarks.rounds import interleaved, say
from benchmarks.tables import Column, Target, figure, markdown

__all__ = ["ROUNDS", "measure", "tables", "targets"]

ROUNDS = 5
MANY = 100_000
FEW = 2_000
_SETTLING = 11.5
"""Seconds. A connection that falls silent tells what it counted after 10 s; and who polls has looked once at
the vacuumed tables by then, which marks pages as seen and so writes WAL that waiting itself does not."""

_COLUMNS: tuple[Column, ...] = (
    ("waiting", "count", ",.0f", False),
    ("made/s", "made", ",.0f", True),
    ("bytes each", "bytes", ",.0f", False),
    ("memory each, bytes", "memory", ",.0f", False),
    ("idle: tx/s", "idle_transactions", ",.1f", False),
    ("tx ids/s", "idle_writing", ",.2f", False),
    ("WAL B/s", "idle_wal", ",.0f", False),
    ("% of a core", "idle_cpu", ".2f", False),
    ("connections", "connections", ".0f", False),
    ("woken/s", "woken", ",.0f", True),
    ("ours ×", "times", ".1f", True),
    ("client µs", "client_us", ",.0f", False),
    ("server µs", "server_us", ",.0f", False),
)


def measure(
    stage: Stage, rounds: int, seconds: float, peers: list[str], many: int = MANY, few: int = FEW
) -> dict[str, Any]:
    """Raw figures of each round; the idle system is watched for half of `seconds`."""
    entering = contestants.chosen(contestants.waiting(), peers)

    def one(contestant: Contestant) -> dict[str, Any]:
        return _round(stage, contestant, many if contestant.module == OURS else few, seconds)

    rows, failed = interleaved(entering, lambda c: c.name, rounds, one)
    return {"waiting": {"rows": rows, "failed": failed, "notes": {c.name: c.note for c in entering}}}


def _round(stage: Stage, contestant: Contestant, count: int, seconds: float) -> dict[str, Any]:
    server = stage.server
    name, url = stage.fresh(contestant)
    empty = server.size(name)
    with Process(contestant) as process:
        opened = process.ask("open", url=url, options=contestant.options)
        server.checkpoint()
        # Memory is compared between a tenth and all of them: the first runs also load code and caches.
        first = around(server, [process], [opened], lambda: process.ask("park", count=count // 10))
        before = resident_bytes(process.pid)
        parked = around(server, [process], [opened], lambda: process.ask("park", count=count - count // 10))
        after = resident_bytes(process.pid)
        say(f"    {contestant.name}: {count:,} wait")
        size = server.size(name) - empty
        idle = _idle(stage, name, process, opened, seconds / 2)
        server.checkpoint()
        woken = around(server, [process], [opened], lambda: process.ask("wake"))
        process.ask("close")
    server.drop(name)
    if woken["runs"] != count:
        raise NotOffered(f"{contestant.name} woke {woken['runs']} of {count}")
    return {
        "count": count,
        "first": first,
        "parked": parked,
        "memory": None if before is None or after is None else (after - before) / (count - count // 10),
        "resident": after,
        "bytes": size / count,
        "elsewhere": "server" in opened,  # what it stores is not in this PostgreSQL
        "idle": idle,
        "woken": woken,
        "versions": opened.get("versions", {}),
    }


def _idle(
    stage: Stage, name: str, process: Process, opened: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """What happens while everything waits. The tables are vacuumed before, lest that fall into it."""
    process.ask("ask", what="idle", arguments={})
    with stage.server.connection(name) as connection:
        connection.execute("VACUUM ANALYZE")
    stage.server.checkpoint()
    time.sleep(_SETTLING)
    before = stage.server.counted(name)
    figures = around(stage.server, [process], [opened], lambda: _rest(seconds))
    after = stage.server.counted(name)
    return {
        **figures,
        "transactions": after["transactions"] - before["transactions"],
        "connections": after["connections"],
    }


def _rest(seconds: float) -> dict[str, Any]:
    time.sleep(seconds)
    return {}


def tables(found: dict[str, Any]) -> str:
    """As markdown."""
    return markdown("W3, runs that wait for an event", found["waiting"], _COLUMNS, _rounds(found["waiting"]))


def targets(found: dict[str, Any]) -> list[Target]:
    """Of the space of a run that waits, of what it writes, and of the rate of waking."""
    told = _rounds(found["waiting"])
    met: list[Target] = []
    if ours := told.get("continuum_core"):
        space, writing = figure(ours, "bytes"), figure(ours, "idle_writing")
        met.append((f"at most 1,024 bytes a waiting run: {space:,.0f}", space <= 1024))
        met.append((f"no write while they wait: {writing:.2f} writing transactions a second", writing == 0))
    for name, least in (("DBOS", 15), ("Absurd", 5)):
        if told.get(name):
            times = figure(told[name], "times")
            met.append((f"woken {least} times as fast as {name}'s: {times:.1f}", times >= least))
    return met


def _rounds(table: dict[str, Any]) -> dict[str, list[dict[str, float | None]]]:
    """The figures of each round, and how many times as fast as it ours woke in the same round."""
    mine = {raw["round"]: _rate(raw["woken"]) for raw in next(iter(table["rows"].values()), [])}
    return {
        name: [_figures(raw, mine.get(raw["round"])) for raw in rows] for name, rows in table["rows"].items()
    }


def _rate(figures: dict[str, Any]) -> float:
    rate: float = figures["runs"] / figures["seconds"]
    return rate


def _figures(raw: dict[str, Any], ours: float | None) -> dict[str, float | None]:
    idle, woken = raw["idle"], raw["woken"]
    spent, wall = idle["spent"], idle["wall"]
    here = not raw["elsewhere"]
    cpu = None if None in spent.values() else (spent["client_cpu"] + spent["server_cpu"]) / wall * 100

    def each(key: str) -> float | None:
        return None if woken["spent"][key] is None else woken["spent"][key] / woken["runs"] * 1e6

    return {
        "count": raw["count"],
        "made": _rate(raw["parked"]),
        "bytes": raw["bytes"] if here else None,
        "memory": raw["memory"],
        "idle_transactions": idle["transactions"] / wall if here else None,
        "idle_writing": spent["writing"] / wall if here else None,
        "idle_wal": spent["wal"] / wall if here else None,
        "idle_cpu": cpu,
        "connections": idle["connections"] if here else None,
        "woken": _rate(woken),
        "times": None if ours is None else ours / _rate(woken),
        "client_us": each("client_cpu"),
        "server_us": each("server_cpu"),
    }
