"""The machine of the run in ``0.1/`` that continued as new. Never edit this module: see `release_0_1`."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Machine, Question, event, root


@frozen
class Month:
    number: int
    total: int = 0


@frozen
class Meter:
    month: int
    total: int
    readings: tuple[int, ...] = ()


@event
class Reading:
    units: int


@event
class Sum(Question[int]):
    pass


class Metering(Machine[Meter, Month, int], name="frozen-metering"):
    s = root(Meter)
    s.attribute("total", int, lambda c: c.total)
    s.attribute("region", str)
    s.index_states()
    reading = s.state(initial=True)
    next_month = s.continue_as_new(lambda c: Month(c.month + 1, c.total + sum(c.readings)))

    @staticmethod
    def init(i: Month) -> Meter:
        return Meter(i.number, i.total)

    @staticmethod
    def result(c: Meter) -> int:
        return c.total

    reading.on(Reading, assign=lambda c, e: evolve(c, readings=(*c.readings, e.units)))
    reading.answer(Sum, lambda c, e: c.total + sum(c.readings))
    reading.after(timedelta(days=30), next_month)
