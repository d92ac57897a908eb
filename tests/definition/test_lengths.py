"""Lengths of time in declarations: seconds are the `timedelta`, down to the fingerprint and the drawing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from continuum_core.arguments import Length
from continuum_core.definition.activity import activity
from continuum_core.definition.declare import Machine, root
from continuum_core.definition.diagram import mermaid
from continuum_core.definition.fingerprint import fingerprint
from continuum_core.definition.message import Message
from continuum_core.definition.queue import Queue, Rate
from continuum_core.definition.retry import Retry
from continuum_core.errors import UsageError
from continuum_core.testing import Drive


def declared(minute: Length) -> type[Machine[Any, Any, Any]]:
    @activity(
        timeout=minute,
        heartbeat=minute,
        retry=Retry(first=minute, cap=minute, within=minute),
        queue=Queue("slow", rate=Rate(3, per=minute)),
    )
    async def work(n: int) -> int:
        return n

    class Patient(Machine[int, int, int], name="patient"):
        s = root(int)
        s.deadline(minute * 60)
        waiting = s.state(initial=True)
        computed = s.state()
        working = s.state()
        done = s.final()

        @staticmethod
        def init(n: int) -> int:
            return n

        @staticmethod
        def result(n: int) -> int:
            return n

        waiting.after(minute, computed)
        computed.after(lambda n: n, working)
        working.invoke(work, lambda n: n, done=done, error={Exception: done})
        s.on_cancel(done, within=minute)
        s.on_deadline(done, within=minute)

    return Patient


def test_seconds_are_what_the_timedelta_is() -> None:
    by_seconds, by_timedelta = declared(60).chart, declared(timedelta(minutes=1)).chart
    assert fingerprint(by_seconds) == fingerprint(by_timedelta)
    assert mermaid(by_seconds) == mermaid(by_timedelta)
    assert "1 min" in mermaid(by_seconds)
    [one], [other] = by_seconds.activities.values(), by_timedelta.activities.values()
    assert (one.timeout, one.heartbeat, one.retry) == (other.timeout, other.heartbeat, other.retry)
    assert one.declares == other.declares


def test_a_function_may_give_seconds() -> None:
    run = Drive(declared(60), 90)
    run.advance(timedelta(minutes=1))
    assert run.states == {"computed"}
    assert [timer.due - run.now for timer in run.timers if timer.state == "computed"] == [
        timedelta(seconds=90)
    ]


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: Retry(first=0), "first=0 cannot be: give a length of time longer than 0 s"),
    (lambda: Retry(cap="5m"), "cap='5m' is no length of time"),  # type: ignore[arg-type]
    (lambda: Retry(within=-1), "within=-1 cannot be"),
    (lambda: Retry(attempts=0), "attempts=0 cannot be: give a whole number from 1"),
    (lambda: Retry(factor=0.5), "factor=0.5 cannot be: give a number from 1$"),
    (lambda: Retry(jitter=2), "jitter=2 cannot be: give a number from 0 to 1"),
    (lambda: Message(1, run="r", delay="soon"), "delay='soon' is no length of time"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "told"), WRONG, ids=[each[1].partition("=")[0] for each in WRONG])
def test_what_is_none_is_refused_where_it_is_made(make: Callable[[], object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        make()
