"""Closed loops of load: so many runs in flight, each awaited, for so long. Standard library only.

Rule: the clock stops when the last run that was started has ended, and all of them count. Nothing that was
merely accepted is counted, and nothing that was counted is still under way.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

__all__ = ["each_in_tasks", "each_in_threads", "in_tasks", "in_threads", "summary"]


def summary(took: list[float], elapsed: float) -> dict[str, Any]:
    """Runs, seconds, and how long a run took from start to result, in milliseconds.

    :param took: seconds of each run.
    """
    ordered = sorted(took)
    return {
        "runs": len(ordered),
        "seconds": elapsed,
        "p50": quantile(ordered, 0.50) * 1e3,
        "p99": quantile(ordered, 0.99) * 1e3,
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of the values does not exceed (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def in_tasks(one: Callable[[int], Awaitable[None]], seconds: float, flying: int) -> dict[str, Any]:
    """`flying` asyncio tasks, each starting its next run when its last one ended."""
    took: list[float] = []
    begun = time.perf_counter()
    until = begun + seconds

    async def loop(first: int) -> None:
        number = first
        while (started := time.perf_counter()) < until:
            await one(number)
            took.append(time.perf_counter() - started)
            number += flying

    await asyncio.gather(*(loop(first) for first in range(flying)))
    return summary(took, time.perf_counter() - begun)


def in_threads(one: Callable[[int], None], seconds: float, flying: int) -> dict[str, Any]:
    """The same with threads. Raises what the first run raised that failed."""
    took: list[float] = []
    failed: list[BaseException] = []
    begun = time.perf_counter()
    until = begun + seconds

    def loop(first: int) -> None:
        number = first
        try:
            while (started := time.perf_counter()) < until and not failed:
                one(number)
                took.append(time.perf_counter() - started)
                number += flying
        except BaseException as error:
            failed.append(error)

    _all(loop, flying)
    if failed:
        raise failed[0]
    return summary(took, time.perf_counter() - begun)


async def each_in_tasks(
    one: Callable[[int], Awaitable[None]], numbers: Sequence[int], flying: int
) -> dict[str, Any]:
    """Do each number once, `flying` at a time."""
    took: list[float] = []
    rest = iter(numbers)
    begun = time.perf_counter()

    async def loop() -> None:
        for number in rest:
            started = time.perf_counter()
            await one(number)
            took.append(time.perf_counter() - started)

    await asyncio.gather(*(loop() for _ in range(flying)))
    return summary(took, time.perf_counter() - begun)


def each_in_threads(one: Callable[[int], None], numbers: Sequence[int], flying: int) -> dict[str, Any]:
    """The same with threads."""
    took: list[float] = []
    failed: list[BaseException] = []
    begun = time.perf_counter()

    def loop(first: int) -> None:
        try:
            for number in numbers[first::flying]:
                started = time.perf_counter()
                one(number)
                took.append(time.perf_counter() - started)
        except BaseException as error:
            failed.append(error)

    _all(loop, flying)
    if failed:
        raise failed[0]
    return summary(took, time.perf_counter() - begun)


def _all(loop: Callable[[int], None], flying: int) -> None:
    threads = [threading.Thread(target=loop, args=(first,)) for first in range(flying)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
