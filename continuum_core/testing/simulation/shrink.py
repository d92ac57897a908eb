"""Makes a failing schedule small: leaves out mishaps and actions as long as it still fails.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002):
try to do with a half, then without each half, then with finer parts. Leaving something out makes the
rest of the schedule go another way, so a smaller one is kept whenever it fails, however it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from continuum_core.testing.simulation.schedule import Report, rerun

__all__ = ["ddmin", "shrink"]

T = TypeVar("T")


def ddmin(items: Sequence[T], fails: Callable[[Sequence[T]], bool], tries: int = 400) -> list[T]:
    """A small part of `items`, in order, for which `fails` is still true.

    :param tries: how often `fails` may be asked at most.
    """
    kept = list(items)
    parts = 2
    while kept and tries > 0:
        size = max(1, len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            tries -= 1
            if fails(rest):
                kept, parts = rest, max(2, parts - 1)
                break
            if tries <= 0:
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), parts * 2)
    return kept


def shrink(report: Report) -> Report:
    """The smallest failing schedule found, traced; the report itself where it fails only as a whole."""

    def fails(kept: Sequence[str]) -> bool:
        return bool(rerun(report.seed, {p: report.mishaps[p] for p in kept}, report.actions).violations)

    places = list(report.mishaps)
    if not fails(places):
        return report  # what was not drawn as a mishap made it fail: nothing can be left out by name
    places = ddmin(places, fails)
    mishaps = {place: report.mishaps[place] for place in places}
    actions = ddmin(report.actions, lambda kept: bool(kept and rerun(report.seed, mishaps, kept).violations))
    places = ddmin(
        places,
        lambda kept: bool(rerun(report.seed, {p: mishaps[p] for p in kept}, actions).violations),
    )
    return rerun(report.seed, {place: mishaps[place] for place in places}, actions, traced=True)
