"""When a failed activity is tried again: a policy as a value, and its arithmetic.

Chance is an argument: the same arguments give the same delay, in tests and in simulations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from continuum_core.arguments import NONE, Length, length, whole
from continuum_core.clock import span
from continuum_core.errors import UsageError
from continuum_core.texts import LONGEST_WAIT

__all__ = ["Retry"]


def _first(given: Length) -> timedelta:
    return length("first", given, least=NONE, above=True)


def _cap(given: Length) -> timedelta:
    return length("cap", given, least=NONE, above=True)


def _within(given: Length | None) -> timedelta | None:
    return None if given is None else length("within", given, least=NONE)


def _attempts(given: int | None) -> int | None:
    return None if given is None else whole("attempts", given)


def _between(least: float, most: float) -> Callable[[object, Any, Any], None]:
    def check(_: object, attribute: Any, given: Any) -> None:
        if not isinstance(given, (int, float)) or not least <= given <= most:
            words = f"from {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
            raise UsageError(f"{attribute.name}={given!r} cannot be: give a number {words}")

    return check


@frozen
class Retry:
    """How often and how soon a failed attempt of an activity is repeated.

    :param attempts: tries in all, the first one included; None for no limit.
    :param first: the delay after the first failure: a `timedelta`, or seconds, as the other lengths here.
    :param factor: by how much each further delay is longer.
    :param cap: no delay is longer than this; jitter is taken from below it, so that it still spreads.
    :param jitter: the share of each delay that chance may take away, 0 to 1.
    :param fatal: exception classes that are never retried.
    :param within: overall deadline, from the activity's first scheduling to its last attempt's start.

    Raises UsageError for what no policy can be.
    """

    attempts: int | None = field(default=3, converter=_attempts)
    first: timedelta = field(default=timedelta(seconds=1), converter=_first)
    factor: float = field(default=2.0, validator=_between(1.0, math.inf))
    cap: timedelta = field(default=timedelta(minutes=5), converter=_cap)
    jitter: float = field(default=0.2, validator=_between(0.0, 1.0))
    fatal: tuple[type[BaseException], ...] = ()
    within: timedelta | None = field(default=None, converter=_within)

    def delay(self, failures: int, chance: float) -> int:
        """Microseconds to wait after the `failures`-th failure (1 or more).

        :param chance: a number in [0, 1) that decides the jitter.
        """
        cap = min(span(self.cap), LONGEST_WAIT)
        # The exponent is bounded: a float overflow must not end a patient retry.
        length = min(cap, span(self.first) * self.factor ** min(failures - 1, 256))
        return max(1, round(length * (1.0 - self.jitter * chance)))

    def again(self, failures: int, now: int, scheduled: int, delay: int) -> bool:
        """Whether another attempt may start `delay` after `now`.

        :param scheduled: when the activity was first scheduled; all times in microseconds.
        """
        if self.attempts is not None and failures >= self.attempts:
            return False
        return self.within is None or now + delay - scheduled <= span(self.within)
