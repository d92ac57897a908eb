"""Times and lengths of time, as people type them and as programs read them.

A time that names no zone is UTC.
"""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta

import typer

__all__ = ["duration", "instant", "point_of", "since_of", "stamp"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def instant(text: str) -> datetime:
    """A time in ISO form, such as ``2026-03-01T12:00Z``. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def point_of(text: str) -> int | datetime:
    """A record's number, or a time."""
    if text.isdecimal():
        return int(text)
    try:
        return instant(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a record's number nor a time such as 2026-03-01T12:00Z", param_hint="--at"
        ) from None


def since_of(text: str, now: datetime) -> datetime:
    """A point in time: so long before `now`, or a time."""
    with contextlib.suppress(ValueError):
        return instant(text)
    try:
        return now - duration(text)
    except (typer.BadParameter, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time; write how long ago (2h, 3d) or when (2026-03-01T12:00Z)",
            param_hint="--since",
        ) from None


def duration(text: str) -> timedelta:
    """A length of time from ``10m``, ``1h30m``, ``2d``, ``500ms``, or seconds such as ``90``."""
    parts = _PART.findall(text)
    if text and "".join(number + unit for number, unit in parts) == text:
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
    try:
        length = timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        length = timedelta(-1)
    if length < timedelta():
        raise typer.BadParameter(f"{text!r} is no length of time; write 90 (seconds), 10m, 1h30m or 2d")
    return length


def stamp(at: datetime | None) -> str | None:
    """A time in UTC for programs, in ISO form to the microsecond; None where there is none."""
    return None if at is None else at.isoformat(timespec="microseconds").replace("+00:00", "Z")
