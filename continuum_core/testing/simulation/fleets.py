"""Machines with child runs, for schedules of their own: how each ends follows from its input alone.

A fleet waits for one child run, then for several in a window of which the first failure ends the others,
then collects what comes of activities. An event or a cancel may leave it at any moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from continuum_core.definition.declare import Machine, root, to
from continuum_core.definition.failure import Failure
from continuum_core.testing.simulation.machines import (
    Job,
    Stop,
    Told,
    began,
    charge,
    label_of,
    reserve,
    seen,
    told,
    with_output,
)

__all__ = ["FLEET", "FLEETS", "PART", "WINDOW"]

FLEET, PART = "sim.fleet", "sim.part"

WINDOW = 2
"""Members of a fleet that are under way at once."""


class Part(Machine[Told, Job, str], name=PART):
    """A child run: an activity, and a short rest before its end."""

    s = root(Told)
    charging = s.state(initial=True)
    resting = s.state()
    end = s.final()
    lost = s.final(ok=False)

    charging.invoke(charge, label_of, done=resting, assign=with_output, error=lost)
    resting.after(timedelta(seconds=0.2), end)

    init = staticmethod(began)
    result = staticmethod(told)


class Anchor(Machine[Told, Job, str], name="sim.anchor"):
    """A child run that ends only when it is told to."""

    s = root(Told)
    lying = s.state(initial=True)
    end = s.final()

    lying.on(Stop, end)

    init = staticmethod(began)
    result = staticmethod(told)


def _failed(context: Told, failure: Failure) -> Told:
    return context.and_(failure.type.rpartition(".")[2])


def _gathered(context: Told, outputs: tuple[str | Failure, ...]) -> Told:
    return context.and_(",".join(each if isinstance(each, str) else "failed" for each in outputs))


def _shipped(context: Told, outputs: tuple[str, ...]) -> Told:
    return context.and_(",".join(outputs))


class Fleet(Machine[Told, Job, str], name=FLEET):
    """As many members as the job is big."""

    s = root(Told)
    scouting = s.state(initial=True)
    shipping = s.state()
    closing = s.state()
    end = s.final()
    stopped = s.final(ok=False)

    scouting.invoke(
        Part,
        lambda c: Job(f"{c.label}-s"),
        done=shipping,
        assign=with_output,
        error=to(shipping, assign=_failed),
    )
    scouting.spawn(Part, lambda c: Job(f"{c.label}-f"))
    shipping.each(
        Part,
        lambda c: tuple(Job(f"{c.label}-{number}") for number in range(c.size)),
        limit=WINDOW,
        done=closing,
        assign=_shipped,
        error={Exception: closing},
    )
    shipping.invoke(Anchor, lambda c: Job(f"{c.label}-a"), error=closing)
    closing.collect(
        reserve,
        lambda c: tuple(f"{c.label}-{number}" for number in range(c.size)),
        limit=WINDOW,
        done=end,
        assign=_gathered,
    )
    s.on(Stop, stopped, assign=seen)

    init = staticmethod(began)
    result = staticmethod(told)


FLEETS: Mapping[str, type[Machine[Told, Job, str]]] = {FLEET: Fleet, PART: Part}
