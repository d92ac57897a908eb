"""The machine of the runs frozen in ``0.1/`` that were upgraded and patched. Never edit this module.

Three versions of one machine: the second upgrades runs of the first, the third adopts those of the second
and asks for a patch. What was frozen of their runs must load, fold and show for ever.
"""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Machine, activity, event, patched, root


@event
class Weighed:
    grams: int


@event
class Sent:
    pass


@event
class Lost:
    pass


@activity()
async def label(name: str) -> str:
    return f"label-{name}"


@frozen
class Parcel:
    name: str
    weight: int = 0
    log: tuple[str, ...] = ()


@frozen
class Weight:
    grams: int
    rounded: bool = False


@frozen
class Parcel2:
    name: str
    weight: Weight
    log: tuple[str, ...] = ()


class First(Machine[Parcel, str, str], name="frozen-parcel", version=1):
    s = root(Parcel)
    here = s.state(initial=True)
    scales = here.state(initial=True)
    shelf = here.state()
    seen = here.history(deep=True)
    away = s.state()
    gone = s.final()

    @staticmethod
    def init(i: str) -> Parcel:
        return Parcel(i)

    @staticmethod
    def result(c: Parcel) -> str:
        return ",".join(c.log)

    scales.on(Weighed, shelf, assign=lambda c, e: evolve(c, weight=e.grams))
    scales.after(timedelta(days=3), gone)
    scales.defer(Sent)
    shelf.invoke(label, lambda c: c.name, assign=lambda c, o: evolve(c, log=(*c.log, o)), error=gone)
    shelf.on(Sent, gone)
    here.on(Lost, away)
    away.on(Lost, seen)
    away.defer(Weighed)


class Second(Machine[Parcel2, str, str], name="frozen-parcel", version=2):
    s = root(Parcel2)
    house = s.state(initial=True)
    balance = house.state(initial=True)
    packing = house.parallel()
    paper = packing.state()
    labelling = paper.state(initial=True)
    labelled = paper.final()
    string = packing.state()
    tying = string.state(initial=True)
    tied = string.final()
    seen = house.history(deep=True)
    away = s.state()
    gone = s.final()

    @staticmethod
    def init(i: str) -> Parcel2:
        return Parcel2(i, Weight(0))

    @staticmethod
    def result(c: Parcel2) -> str:
        return ",".join((*c.log, f"{c.weight.grams}g"))

    balance.on(Weighed, packing, assign=lambda c, e: evolve(c, weight=Weight(e.grams)))
    balance.after(timedelta(days=3), gone)
    balance.defer(Sent)
    labelling.invoke(
        label, lambda c: c.name, done=labelled, assign=lambda c, o: evolve(c, log=(*c.log, o)), error=labelled
    )
    tying.after(timedelta(hours=1), tied)
    packing.done(gone)
    house.on(Lost, away)
    away.on(Lost, seen)
    away.defer(Weighed)

    s.upgrade(
        1,
        {"here": house, "here.scales": balance, "here.shelf": labelling},
        ctx=lambda old: {**old, "weight": {"grams": old["weight"], "rounded": True}},
    )


def noted(c: Parcel2, e: Weighed) -> Parcel2:
    grams = e.grams - e.grams % 10 if patched("round-to-ten") else e.grams
    return evolve(c, weight=Weight(grams), log=(*c.log, "weighed"))


class Third(Machine[Parcel2, str, str], name="frozen-parcel", version=3):
    s = root(Parcel2)
    house = s.state(initial=True)
    balance = house.state(initial=True)
    packing = house.parallel()
    paper = packing.state()
    labelling = paper.state(initial=True)
    labelled = paper.final()
    string = packing.state()
    tying = string.state(initial=True)
    tied = string.final()
    seen = house.history(deep=True)
    away = s.state()
    gone = s.final()

    @staticmethod
    def init(i: str) -> Parcel2:
        return Parcel2(i, Weight(0))

    @staticmethod
    def result(c: Parcel2) -> str:
        return ",".join((*c.log, f"{c.weight.grams}g"))

    balance.on(Weighed, packing, assign=noted)
    balance.after(timedelta(days=3), gone)
    balance.defer(Sent)
    labelling.invoke(
        label, lambda c: c.name, done=labelled, assign=lambda c, o: evolve(c, log=(*c.log, o)), error=labelled
    )
    tying.after(timedelta(hours=1), tied)
    packing.done(gone)
    house.on(Lost, away)
    away.on(Lost, seen)
    away.defer(Weighed)


PARCELS = (First, Second, Third)
