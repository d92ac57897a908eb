"""How fast this interpreter is on this machine, now: the same work each time, for comparing across runs.

An interpreter that was built without profile-guided optimisation takes half as long again as one with, and a
virtual machine's neighbours come and go. Ratios within a run survive both, rates do not.
"""

from __future__ import annotations

import json
import time

__all__ = ["pace"]

_REPEATS = 5
_ROUNDS = 100_000


class _Point:
    __slots__ = ("x", "y")

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y

    def moved(self, by: int) -> _Point:
        return _Point(self.x + by, self.y - by)


def _work() -> None:
    """Calls, objects, dicts, texts and JSON, in about the shares that a program has."""
    seen: dict[int, tuple[int, str]] = {}
    point = _Point(0, 0)
    for number in range(_ROUNDS):
        point = point.moved(number)
        seen[number % 97] = (point.x, str(number))
    json.loads(json.dumps({str(number): [number, None, "text"] for number in range(_ROUNDS // 10)}))


def pace() -> float:
    """Milliseconds of a fixed piece of work, the quickest of five."""
    took: list[float] = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        _work()
        took.append(time.perf_counter() - begun)
    return round(min(took) * 1e3, 1)
