"""CPU seconds of processes, and of the whole machine, as Linux counts them; None elsewhere.

Rule: a figure that cannot be had is None, never 0.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["busy_seconds", "model", "resident_bytes", "tree_seconds"]

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, which may hold spaces; None for one that is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def tree_seconds(root: int) -> float | None:
    """User and system time of a process, those below it, and those of them that ended and were waited for."""
    if not (_PROC / "stat").is_file():
        return None
    stats = {int(entry.name): _stat(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit()}
    below = {root}
    grown = True
    while grown:
        more = {pid for pid, s in stats.items() if s is not None and int(s[1]) in below} - below
        below |= more
        grown = bool(more)
    found = [stat for pid in below if (stat := stats.get(pid)) is not None]
    return sum(int(tick) for stat in found for tick in stat[11:15]) / _TICK


def busy_seconds() -> float | None:
    """All that the machine's cores did since it started: everything but idling and waiting for disks."""
    try:
        fields = (_PROC / "stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / _TICK


def resident_bytes(pid: int) -> int | None:
    """Memory of a process that is in RAM."""
    stat = _stat(pid)
    return None if stat is None else int(stat[21]) * _PAGE


def model() -> str:
    """The CPU's own name for itself."""
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
