"""Under what conditions figures were taken: without these, no figure is one."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from benchmarks.cpu import model
from benchmarks.pace import pace

__all__ = ["conditions", "quietness", "versions_of"]


def conditions(settings: dict[str, str], rounds: int, seconds: float) -> dict[str, Any]:
    """Of the machine, the server and the run."""
    return {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": model(),
        "cores": os.cpu_count(),
        "memory_gb": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "pace_ms": pace(),
        "load_before": round(os.getloadavg()[0], 2),
        "postgres": settings,
        "rounds": rounds,
        "seconds": seconds,
    }


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None


def versions_of(found: Any) -> dict[str, str]:
    """All libraries that contenders said they are."""
    told: dict[str, str] = {}
    for figures in _figures(found):
        told.update(figures.get("versions", {}))
    return dict(sorted(told.items()))


def quietness(found: Any) -> float | None:
    """How many cores were busy with something else, on average over all measurements."""
    known = [figures["others"] for figures in _figures(found) if figures.get("others") is not None]
    return sum(known) / len(known) if known else None


def _figures(found: Any) -> Iterator[dict[str, Any]]:
    """Every measurement, however deep."""
    if isinstance(found, dict):
        if "versions" in found or "others" in found:
            yield found
        for part in found.values():
            yield from _figures(part)
    elif isinstance(found, list):
        for part in found:
            yield from _figures(part)
