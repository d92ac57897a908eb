"""Interleaved rounds: everybody once, then everybody again, so that a slow minute hits all of them.

Rule: who cannot be had or fails is left out by name, with the reason, and the run goes on.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from benchmarks.envs import NotToBeHad
from benchmarks.process import Broken, NotOffered

__all__ = ["Failures", "interleaved", "middle", "say", "spread"]

C = TypeVar("C")
Failures = dict[str, str]


def say(text: str) -> None:
    """Progress, apart from the tables."""
    print(text, file=sys.stderr, flush=True)


def interleaved(
    contestants: Sequence[C],
    name: Callable[[C], str],
    rounds: int,
    one: Callable[[C], dict[str, Any]],
) -> tuple[dict[str, list[dict[str, Any]]], Failures]:
    """The figures of each, round by round, and why some have none. The order turns from round to round."""
    found: dict[str, list[dict[str, Any]]] = {name(c): [] for c in contestants}
    failed: Failures = {}
    for number in range(rounds):
        turned = [*contestants[number % len(contestants) :], *contestants[: number % len(contestants)]]
        for contestant in turned:
            called = name(contestant)
            if called in failed:
                continue
            begun = time.perf_counter()
            try:
                figures = one(contestant)
            except (NotToBeHad, NotOffered, Broken) as error:
                failed[called] = f"{type(error).__name__}: {error}"
                say(f"left out: {called}: {error}")
                continue
            figures["round"] = number
            found[called].append(figures)
            say(f"  round {number + 1}/{rounds}, {called}: {time.perf_counter() - begun:.1f} s")
    return found, failed


def middle(values: Iterable[float | None]) -> float | None:
    """The median; None where one is unknown or there is none."""
    known = list(values)
    return None if not known or None in known else statistics.median(v for v in known if v is not None)


def spread(values: Iterable[float | None], form: str) -> str:
    """Median, lowest and highest, for a table."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    low, high = min(known), max(known)
    told = format(statistics.median(known), form)
    return told if len(known) == 1 else f"{told} ({low:{form}}–{high:{form}})"
