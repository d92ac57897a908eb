"""One machine in three versions, as three releases had it. Locks of them lie beside this file.

Version 2 renames states, adds a region, replaces an activity and changes the context's type. Version 3
renames once more, changes a timer, and still takes runs of both.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from attrs import evolve, frozen

from continuum_core import Machine, activity, event, patched, root

DAY = timedelta(days=1)


@event
class Paid:
    amount: int


@event
class Picked:
    bin: str


@event
class Note:
    text: str


@event
class Hold:
    pass


@event
class Go:
    pass


async def let(label: str) -> None:
    """In a worker process of these tests, bodies of runs called slow-… wait until they are let."""
    folder = os.environ.get("CONTINUUM_TEST_FOLDER")
    while folder and label.startswith("slow") and not Path(folder, f"open-{label}").exists():
        await asyncio.sleep(0.01)


@activity()
async def reserve(label: str) -> str:
    await let(label)
    return f"hold-{label}"


@activity()
async def pack(label: str) -> str:
    await let(f"{label}-packed")
    return f"box-{label}"


@activity()
async def wrap(label: str) -> str:
    return f"parcel-{label}"


@frozen
class Basket1:
    label: str
    amount: int = 0
    log: tuple[str, ...] = ()


class Order1(Machine[Basket1, str, str], name="evolving", version=1):
    s = root(Basket1)
    working = s.state(initial=True)
    reserving = working.state(initial=True)
    awaiting_card = working.state()
    packing = working.state()
    picking = working.state()
    where = working.history(deep=True)
    held = s.state()
    done = s.final()
    lost = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Basket1:
        return Basket1(i)

    @staticmethod
    def result(c: Basket1) -> str:
        return f"1:{c.label}:{c.amount}:{','.join(c.log)}"

    reserving.invoke(
        reserve,
        lambda c: c.label,
        done=awaiting_card,
        assign=lambda c, o: evolve(c, log=(*c.log, o)),
        error=lost,
    )
    awaiting_card.on(Paid, picking, assign=lambda c, e: evolve(c, amount=e.amount))
    awaiting_card.after(DAY, lost)
    awaiting_card.defer(Picked)
    picking.on(Picked, packing, assign=lambda c, e: evolve(c, log=(*c.log, e.bin)))
    packing.invoke(
        pack, lambda c: c.label, done=done, assign=lambda c, o: evolve(c, log=(*c.log, o)), error=lost
    )
    working.on(Hold, held)
    held.on(Go, where)
    held.defer(Picked)
    s.on(Note, assign=lambda c, e: evolve(c, log=(*c.log, e.text)))


@frozen
class Basket2:
    label: str
    cents: int
    log: tuple[str, ...] = ()


class Order2(Machine[Basket2, str, str], name="evolving", version=2):
    s = root(Basket2)
    working = s.state(initial=True)
    reserving = working.state(initial=True)
    paying = working.state()
    fulfilling = working.parallel()
    goods = fulfilling.state()
    picking = goods.state(initial=True)
    wrapping = goods.state()
    gone = goods.final()
    papers = fulfilling.state()
    invoicing = papers.state(initial=True)
    invoiced = papers.final()
    where = working.history(deep=True)
    held = s.state()
    done = s.final()
    lost = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Basket2:
        return Basket2(i, 0)

    @staticmethod
    def result(c: Basket2) -> str:
        return f"2:{c.label}:{c.cents}:{','.join(c.log)}"

    reserving.invoke(
        reserve,
        lambda c: c.label,
        done=paying,
        assign=lambda c, o: evolve(c, log=(*c.log, o)),
        error=lost,
    )
    paying.on(Paid, fulfilling, assign=lambda c, e: evolve(c, cents=e.amount * 100))
    paying.after(DAY, lost)
    paying.defer(Picked)
    picking.on(Picked, wrapping, assign=lambda c, e: evolve(c, log=(*c.log, e.bin)))
    wrapping.invoke(
        wrap, lambda c: c.label, done=gone, assign=lambda c, o: evolve(c, log=(*c.log, o)), error=lost
    )
    invoicing.always(
        invoiced, when=lambda c: c.cents > 0, assign=lambda c: evolve(c, log=(*c.log, "invoice"))
    )
    fulfilling.done(done)
    working.on(Hold, held)
    held.on(Go, where)
    held.defer(Picked)
    s.on(Note, assign=lambda c, e: evolve(c, log=(*c.log, e.text)))

    s.upgrade(
        1,
        {"working.awaiting_card": paying, "working.packing": wrapping, "working.picking": picking},
        ctx=lambda old: {"label": old["label"], "cents": old["amount"] * 100, "log": old["log"]},
    )


@frozen
class Basket3:
    label: str
    cents: int
    currency: str
    log: tuple[str, ...] = ()


def greeting(c: Basket3) -> str:
    return "hello" if patched("greeting") else "good day"


class Order3(Machine[Basket3, str, str], name="evolving", version=3):
    s = root(Basket3)
    working = s.state(initial=True)
    reserving = working.state(initial=True)
    billing = working.state()
    fulfilling = working.parallel()
    stock = fulfilling.state()
    picking = stock.state(initial=True)
    wrapping = stock.state()
    gone = stock.final()
    papers = fulfilling.state()
    invoicing = papers.state(initial=True)
    invoiced = papers.final()
    where = working.history(deep=True)
    held = s.state()
    done = s.final()
    lost = s.final(ok=False)

    @staticmethod
    def init(i: str) -> Basket3:
        return Basket3(i, 0, "EUR")

    @staticmethod
    def result(c: Basket3) -> str:
        return f"3:{c.label}:{c.cents}{c.currency}:{','.join(c.log)}"

    reserving.invoke(
        reserve,
        lambda c: c.label,
        done=billing,
        assign=lambda c, o: evolve(c, log=(*c.log, o)),
        error=lost,
    )
    billing.on(Paid, fulfilling, assign=lambda c, e: evolve(c, cents=e.amount * 100))
    billing.after(2 * DAY, lost)
    billing.defer(Picked)
    picking.on(Picked, wrapping, assign=lambda c, e: evolve(c, log=(*c.log, e.bin, greeting(c))))
    wrapping.invoke(
        wrap, lambda c: c.label, done=gone, assign=lambda c, o: evolve(c, log=(*c.log, o)), error=lost
    )
    invoicing.always(
        invoiced, when=lambda c: c.cents > 0, assign=lambda c: evolve(c, log=(*c.log, "invoice"))
    )
    fulfilling.done(done)
    working.on(Hold, held)
    held.on(Go, where)
    held.defer(Picked)
    s.on(Note, assign=lambda c, e: evolve(c, log=(*c.log, e.text)))

    s.upgrade(
        1,
        {
            "working.awaiting_card": "working.paying",
            "working.packing": "working.fulfilling.goods.wrapping",
            "working.picking": "working.fulfilling.goods.picking",
        },
        ctx=lambda old: {"label": old["label"], "cents": old["amount"] * 100, "log": old["log"]},
        to=2,
    )
    s.upgrade(
        2,
        {"working.paying": billing, "working.fulfilling.goods": stock},
        ctx=lambda old: {**old, "currency": "USD"},
    )
