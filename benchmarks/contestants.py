"""Who takes part, and how: the mode in which each is quickest and still keeps its promises."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.process import Contestant

__all__ = ["OURS", "WIDE", "alone", "chosen", "latency", "macrostep", "steps", "waiting"]

OURS = "continuum"
_WORKER = "one asyncio worker, started and awaited by its own client, defaults"
WIDE = {"queues": {"default": 500}}
"""As many activities at once as runs in flight."""
_WIDE = "one asyncio worker, 500 activities at once, started and awaited by its own client"
_DIRECT = "workflows called by threads in the same process, its quickest mode"
_QUEUE = "enqueued, found by its own worker"
_GRAPH = "`invoke` in threads over a pool, durability=sync"
_INLINE = "DurableRunner, execution=inline, in threads, a connection each"
_JOBS = "three chained jobs, its worker in the same process; a queue, keeps no run"
_CALLS = "its server and hypercorn here, called over kept HTTP/1.1 connections"
_CLIENTS = "thirty-two clients in threads, spawning and working in batches of 25"


def chosen(contestants: Sequence[Contestant], peers: Sequence[str]) -> list[Contestant]:
    """Ours, and those of the others whose module is named; all where none is."""
    return [c for c in contestants if not peers or c.module == OURS or c.module in peers]


def steps() -> list[Contestant]:
    """W1, step-durable."""
    return [
        Contestant("continuum_core", OURS, 500, _WIDE, WIDE),
        Contestant("bare loop", "bare", 1000, "no engine: the rows that ours writes, group-committed"),
        Contestant("DBOS", "dbos", 16, _DIRECT),
        Contestant("Absurd", "absurd", 32, _CLIENTS),
        Contestant("LangGraph", "langgraph", 16, _GRAPH),
        Contestant("harel", "harel", 8, _INLINE),
        Contestant("Restate", "restate", 100, _CALLS),
        Contestant("Procrastinate", "procrastinate", 32, _JOBS),
    ]


def alone() -> list[Contestant]:
    """W1 in other modes, for completeness; measured for a third of the time."""
    narrow = "the same with all settings default: 100 activities at once"
    queue = {"mode": "queue", "tuned": True}
    return [
        Contestant("continuum_core, defaults", OURS, 500, narrow),
        Contestant("continuum_core, 16 in flight", OURS, 16, _WORKER),
        Contestant("continuum_core, 1 in flight", OURS, 1, _WORKER),
        Contestant("DBOS, 1 in flight", "dbos", 1, _DIRECT),
        Contestant("DBOS, queue", "dbos", 64, f"{_QUEUE}; both polls tuned to 20 ms", queue),
    ]


def macrostep() -> list[Contestant]:
    """W1, macrostep-atomic: only statecharts have it."""
    return [
        Contestant("continuum_core", OURS, 500, _WIDE, WIDE),
        Contestant("harel", "harel", 8, _INLINE),
    ]


def latency() -> list[tuple[Contestant, float]]:
    """W2, and which part of the samples each can afford: a second each is a long time."""
    return [
        (Contestant("continuum_core", OURS, 1, _WORKER), 1.0),
        (
            Contestant("two bare commits", "bare", 1, "no engine: two small rows, each in its own commit"),
            1.0,
        ),
        (Contestant("DBOS", "dbos", 1, "workflow called directly, no worker in between"), 1.0),
        (Contestant("DBOS, queue", "dbos", 1, _QUEUE, {"mode": "queue"}), 0.15),
        (Contestant("Absurd", "absurd", 1, "spawned, its worker loop, defaults"), 0.3),
        (Contestant("Absurd, tuned", "absurd", 1, "the same, all polls 1 ms", {"tuned": True}), 1.0),
        (Contestant("LangGraph", "langgraph", 1, "`invoke`, no worker in between"), 1.0),
        (Contestant("harel", "harel", 1, "in-process start and event, no worker in between"), 1.0),
        (Contestant("Restate", "restate", 1, _CALLS), 1.0),
        (Contestant("Procrastinate", "procrastinate", 1, "a job, its worker in the same process"), 1.0),
    ]


def waiting() -> list[Contestant]:
    """W3; `flying` is not used, each parks and wakes as suits it best."""
    return [
        Contestant("continuum_core", OURS, 0, _WORKER),
        Contestant("DBOS", "dbos", 0, "asyncio workflows in `recv`, in the memory of the process"),
        Contestant(
            "Absurd", "absurd", 0, "eight clients; idle with one worker, woken by eight; default polls"
        ),
        Contestant("harel", "harel", 0, "started in-process; events through its worker"),
        Contestant("Restate", "restate", 0, _CALLS),
    ]
