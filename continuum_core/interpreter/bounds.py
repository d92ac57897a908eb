"""When a run has to be over, whatever it does. Pure values.

A run may have a *deadline*, fixed when it begins; and from the moment on at which it is asked to stop, there
may be an instant by which it must have stopped. Both are timers of the run itself and of no state entry. So
their token is `OWN`, which no entry bears: nothing closes them but the end of the run, and generations,
upgrades and copies pass them by.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = ["DEADLINE", "FORCED", "OWN", "STOP", "Bounds"]

OWN = 0
"""The token of a run's own timers."""

DEADLINE = 0
"""The slot of its deadline's."""

STOP = 1
"""The slot of the timer that ends what a cancel, or the deadline, led to."""

FORCED = 2
"""The slot of a deadline that is taken again, because the machine's own code failed at it."""


class Bounds(Struct, frozen=True, gc=False):
    """What bounds a run in time; all times in microseconds of the journal's clock.

    :ivar deadline: when the run has to be over; None: it has no deadline, or that is behind it.
    :ivar passed: the deadline has passed, and the run only goes on to clean up.
    :ivar stop_by: when what it does since it was asked to stop is ended; None: nothing bounds that.
    """

    deadline: int | None = None
    passed: bool = False
    stop_by: int | None = None
