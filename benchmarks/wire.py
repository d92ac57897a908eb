"""How the runner and a contender talk: one JSON object a line, over the contender's own two pipes.

A contender is a program in an environment of its own, so that no two libraries have to agree on anything.
This module, `load` and the contender's own file are all of ours that runs in there; they need the standard
library only. What a library prints goes to stderr, because stdout belongs to the runner.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from importlib import metadata
from typing import Any

__all__ = ["Contender", "elapsed_ms", "serve", "versions"]


class Contender:
    """What a contender offers; those it does not override, it cannot do, and the tables say so.

    Times are seconds, answers JSON. Every method that starts runs waits until the library itself says that
    they ended, checks their results, and raises where one is wrong.
    """

    mode = ""
    """How it is run here, in one line for the tables' legend."""

    async def prepare(self, url: str) -> None:
        """Make its schema in an empty database. A program of its own, so nothing stays open."""

    async def open(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        """Connect and begin to work. Answers its versions, and `server`: the pid of a server it brought."""
        raise NotImplementedError

    async def steps(self, seconds: float, flying: int) -> dict[str, Any]:
        """Runs of three durable steps, `flying` at a time, started for that many seconds; all are awaited."""
        raise NotImplementedError

    async def macrostep(self, seconds: float, flying: int) -> dict[str, Any]:
        """Runs that take their three transitions in one event and one commit."""
        raise NotImplementedError

    async def latency(self, samples: int, pause: float) -> dict[str, Any]:
        """Runs of one durable step, one after the other: milliseconds from start to result."""
        raise NotImplementedError

    async def park(self, count: int) -> dict[str, Any]:
        """Start so many runs that wait for an event, until all of them do."""
        raise NotImplementedError

    async def wake(self) -> dict[str, Any]:
        """Send each run that waits its event, and await all results."""
        raise NotImplementedError

    async def ask(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What only one contender can do."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop and disconnect, so that the server counts everything."""


def versions(*packages: str) -> dict[str, str]:
    """Of the distributions named."""
    return {name: metadata.version(name) for name in packages}


def elapsed_ms(begun: float) -> float:
    """Milliseconds since a reading of `time.perf_counter`."""
    return (time.perf_counter() - begun) * 1e3


def serve(contender: Contender) -> None:
    """Answer the runner until it closes the pipe."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    asyncio.run(_serve(contender, lambda answer: print(json.dumps(answer), file=answers, flush=True)))


def _relax_collector() -> None:
    """Set Python's garbage collector for every contender as `continuum worker` sets it for its own process.

    With its default it looks through all runs in flight again and again, whoever runs them: the comparison is
    to be of engines, and what one of them recommends for the collector costs the others nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


async def _serve(contender: Contender, tell: Callable[[dict[str, Any]], None]) -> None:
    verbs: dict[str, Callable[..., Awaitable[Any]]] = {
        "prepare": contender.prepare,
        "open": contender.open,
        "steps": contender.steps,
        "macrostep": contender.macrostep,
        "latency": contender.latency,
        "park": contender.park,
        "wake": contender.wake,
        "ask": contender.ask,
        "close": contender.close,
    }
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        verb = asked.pop("do")
        try:
            done = await verbs[verb](**asked) or {}
            if verb == "open":
                _relax_collector()
            tell({"ok": done})
        except NotImplementedError:
            tell({"error": "not offered"})
        except Exception as error:
            traceback.print_exc()
            tell({"error": f"{type(error).__name__}: {error}"})
