"""Time as the journal counts it: integers of microseconds since the Unix epoch, in UTC.

Every time that crosses the port is such an integer (`Micros`): exact, ordered, without zones, the
same on every backend. Users see `datetime`; these functions are the only place that translates.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["Micros", "from_datetime", "span", "to_datetime"]

Micros = int
"""Microseconds since 1970-01-01T00:00:00Z."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_datetime(at: Micros) -> datetime:
    """`at` as an aware datetime in UTC. Raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=at)


def from_datetime(moment: datetime) -> Micros:
    """An aware datetime as microseconds. Raises ValueError for a naive one: it has no zone to trust."""
    if moment.tzinfo is None:
        raise ValueError("a datetime without a time zone does not say when; give it one, such as UTC")
    return (moment - _EPOCH) // _MICROSECOND


def span(length: timedelta) -> int:
    """A length of time in microseconds."""
    return length // _MICROSECOND
