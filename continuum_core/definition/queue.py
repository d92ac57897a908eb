"""Queues of activities as declared: how many tasks at once and how fast, over all workers together.

Rule: a queue's limits are operational. They are no part of what a machine does, so they leave no trace
in its fingerprint, and may be changed under runs that are under way. A worker hands them to the journal
with every claim (`continuum_core.journal.rate` has the arithmetic).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

from attrs import field, frozen

from continuum_core.arguments import Length, timed
from continuum_core.clock import span
from continuum_core.texts import text_flaw

__all__ = ["Queue", "Rate", "flaws", "queue_name"]

_LARGEST = 2**62
"""What a journal's bucket may hold: tokens times microseconds."""


def _per(given: Length) -> timedelta:
    """As it was given where it is none: a queue is checked whole, with what it is given to."""
    return cast(timedelta, timed(given))


@frozen
class Rate:
    """How fast tasks of a queue may be started: a token bucket.

    In any span of time `t` at most ``burst + count * t / per`` attempts are started.

    :param count: starts per `per`, at least 1.
    :param per: a length of time: a `timedelta`, or seconds.
    :param burst: starts that may come at once after a rest; `count` unless given.
    """

    count: int
    per: timedelta = field(converter=_per)
    burst: int | None = None

    def micros(self) -> tuple[int, int, int]:
        """Count, length of time in microseconds, and burst: what journals reckon with."""
        return self.count, span(self.per), self.count if self.burst is None else self.burst


@frozen
class Queue:
    """A queue that activities share, with its limits over all workers.

    :param name: workers choose queues by it (``Worker(queues={"payments": 10})``).
    :param limit: tasks that may be under way at once; None for no limit.
    :param rate: how fast they may be started; None for no limit.
    """

    name: str
    limit: int | None = field(default=None, kw_only=True)
    rate: Rate | None = field(default=None, kw_only=True)


def queue_name(queue: str | Queue) -> str:
    """What workers and journals know it by."""
    return queue.name if isinstance(queue, Queue) else queue


def flaws(queue: object, argument: str = "queue") -> Iterator[tuple[str, str]]:
    """What is wrong with what was given as ``queue=`` (`argument`): sentence and remedy, one pair a flaw."""
    if isinstance(queue, str):
        if not queue:
            yield f"{argument} is empty", f"Name the queue, or leave {argument}= out"
        yield from _name_flaws(queue)
        return
    if not isinstance(queue, Queue):
        yield f"{argument}={queue!r} is not a queue", 'Give a name, or Queue("name", limit=..., rate=...)'
        return
    name, limit, rate = _given(queue)
    if not isinstance(name, str) or not name:
        yield f"Queue({name!r}) has no name", 'Name it: Queue("payments")'
    else:
        yield from _name_flaws(name)
    if limit is not None and not _counts(limit):
        yield f"limit={limit!r} of queue {name!r} is out of range", "Give a whole number from 1, or None"
    if rate is not None:
        yield from _rate_flaws(rate, f"of queue {name!r}")


def _name_flaws(name: str) -> Iterator[tuple[str, str]]:
    if flaw := text_flaw(name):
        yield f"the name {name[:60]!r} of a queue {flaw}", "Name it otherwise, such as payments"


def _given(queue: Queue) -> tuple[Any, Any, Any]:
    """The fields as whatever was passed in."""
    return queue.name, queue.limit, queue.rate


def _rate_flaws(rate: Any, where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(rate, Rate):
        yield f"rate={rate!r} {where} is not a Rate", "Write rate=Rate(100, per=timedelta(minutes=1))"
        return
    count, per, burst = _given_rate(rate)
    whole = True
    for word, number in (("count", count), ("burst", 1 if burst is None else burst)):
        if not _counts(number):
            whole = False
            yield f"{word}={number!r} of the rate {where} is out of range", "Give a whole number from 1"
    if not isinstance(per, timedelta) or per <= timedelta():
        yield (
            f"per={per!r} of the rate {where} is no length of time",
            "Give a timedelta or seconds, more than none",
        )
    elif whole and max(count, burst or 0) * span(per) >= _LARGEST:
        yield f"the rate {where} is too large to be reckoned with", "State it per a shorter time"


def _given_rate(rate: Rate) -> tuple[Any, Any, Any]:
    return rate.count, rate.per, rate.burst


def _counts(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1
