"""A machine whose runs are over by their deadline, whatever they do: for schedules of its own.

Left alone, a run books in each generation and begins again for ever. A deadline, an event, or a cancel makes
it take back what it booked, for which it has its time; another event parks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from continuum_core.definition.declare import Machine, root
from continuum_core.testing.simulation.machines import (
    Boom,
    Job,
    Stop,
    Told,
    began,
    book,
    failing,
    seen,
    told,
    with_output,
)

__all__ = ["LATE", "LATES"]

LATE = "sim.late"


class Late(Machine[Told, Job, str], name=LATE):
    """It never ends by itself."""

    s = root(Told)
    booking = s.state(initial=True)
    resting = s.state()
    undoing = s.state()
    again = s.continue_as_new(lambda c: Job(c.label, c.size, c.peer))
    given_up = s.final(ok=False)

    s.deadline(lambda c: timedelta(seconds=1 + 2 * c.size))
    booking.invoke(book, lambda c: c.label, done=resting, assign=with_output, error=resting)
    resting.after(timedelta(seconds=1), again)
    s.on(Stop, undoing, assign=seen)
    s.on(Boom, assign=failing)
    s.on_cancel(undoing, within=timedelta(seconds=4))
    undoing.on(Stop, assign=seen)
    undoing.on_cancel(within=timedelta(seconds=4))
    undoing.compensate(given_up)

    init = staticmethod(began)
    result = staticmethod(told)


LATES: Mapping[str, type[Machine[Told, Job, str]]] = {LATE: Late}
