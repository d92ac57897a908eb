"""When a failed activity is tried again: a policy as a value, and its arithmetic.

Chance is an argument: the same arguments give the same delay, in tests and in simulations.
"""

from __future__ import annotations

from datetime import timedelta

from attrs import field, frozen, validators

from continuum_core.clock import span

__all__ = ["Retry"]


def _positive(_: object, attribute: object, value: timedelta) -> None:
    if value <= timedelta():
        raise ValueError(f"{getattr(attribute, 'name', 'value')} must be longer than zero, not {value}")


def _tries(_: object, attribute: object, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{getattr(attribute, 'name', 'value')} must be 1 or more, or None, not {value}")


@frozen
class Retry:
    """How often and how soon a failed attempt of an activity is repeated.

    :param attempts: tries in all, the first one included; None for no limit.
    :param first: the delay after the first failure.
    :param factor: by how much each further delay is longer.
    :param cap: no delay is longer than this; jitter is taken from below it, so that it still spreads.
    :param jitter: the share of each delay that chance may take away, 0 to 1.
    :param fatal: exception classes that are never retried.
    :param within: overall deadline, from the activity's first scheduling to its last attempt's start.
    """

    attempts: int | None = field(default=3, validator=_tries)
    first: timedelta = field(default=timedelta(seconds=1), validator=_positive)
    factor: float = field(default=2.0, validator=validators.ge(1.0))
    cap: timedelta = field(default=timedelta(minutes=5), validator=_positive)
    jitter: float = field(default=0.2, validator=[validators.ge(0.0), validators.le(1.0)])
    fatal: tuple[type[BaseException], ...] = ()
    within: timedelta | None = None

    def delay(self, failures: int, chance: float) -> int:
        """Microseconds to wait after the `failures`-th failure (1 or more).

        :param chance: a number in [0, 1) that decides the jitter.
        """
        cap = span(self.cap)
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
