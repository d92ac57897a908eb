"""The machines of the runs frozen in ``0.1/``. Never edit this module.

Runs of released versions must load, fold and show for ever, and these machines are what they ran on. A
change here would make the frozen runs those of another definition, and prove nothing any more. Another
release with other constructs gets a module and a folder of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from attrs import evolve, field, frozen

from continuum_core import AnyEvent, Machine, Message, Retry, activity, event, now, root, to, uuid4


class Speed(enum.Enum):
    SLOW = "slow"
    FAST = "fast"


@frozen
class Line:
    sku: str
    count: int
    price: Decimal


@frozen
class PlaceOrder:
    id: UUID
    lines: tuple[Line, ...]
    wanted: datetime
    speed: Speed = Speed.SLOW
    note: str | None = None


@frozen
class Basket:
    order: PlaceOrder
    receipt: UUID | None = None
    charge: str = ""
    bins: Mapping[str, int] = field(factory=dict)
    weight: float = 0.0
    log: tuple[str, ...] = ()


@frozen
class Receipt:
    order: UUID
    charge: str
    total: Decimal


@frozen
class Refusal:
    why: str
    at: datetime


@event
class Approved:
    by: str


@event
class Picked:
    bin: str
    count: int
    grams: float = 0.5


@event
class Withdrawn:
    pass


@event(name="order-shipped", version=2)
class Shipped:
    order: UUID
    total: Decimal


class Declined(Exception):
    """Never worth another try."""


class Busy(Exception):
    """Worth another try."""


@activity(retry=Retry(attempts=4, first=timedelta(seconds=1), jitter=0.0, fatal=(Declined,)))
async def charge(order: PlaceOrder) -> str:
    return f"charge-{order.id}"


@activity(queue="papers", priority=7, timeout=timedelta(minutes=1), retry=Retry(attempts=1))
async def invoice(order: UUID) -> None:
    return None


class Order(Machine[Basket, PlaceOrder, Receipt], name="frozen-order", version=3):
    """Choice, parallel regions, timers, activities, messages, a verdict."""

    s = root(Basket)
    sizing = s.choice(initial=True)
    review = s.state()
    charging = s.state()
    fulfilling = s.parallel()
    goods = fulfilling.state()
    picking = goods.state(initial=True)
    packing = goods.state()
    gone = goods.final()
    papers = fulfilling.state()
    invoicing = papers.state(initial=True)
    invoiced = papers.final()
    completed = s.final()
    refused = s.final(ok=False)

    @staticmethod
    def init(i: PlaceOrder) -> Basket:
        return Basket(i)

    @staticmethod
    def result(c: Basket) -> Receipt:
        return Receipt(c.order.id, c.charge, sum((each.price for each in c.order.lines), Decimal("0.00")))

    @staticmethod
    def verdict(c: Basket) -> Refusal:
        return Refusal(",".join(c.log), now())

    sizing.always(review, when=lambda c: len(c.order.lines) > 2)
    sizing.always(charging)
    review.on(Approved, charging, assign=lambda c, e: evolve(c, log=(*c.log, f"approved by {e.by}")))
    review.after(timedelta(days=2), refused, assign=lambda c: evolve(c, log=(*c.log, "nobody looked")))
    charging.invoke(
        charge,
        lambda c: c.order,
        done=fulfilling,
        assign=lambda c, done: evolve(c, charge=done, receipt=uuid4()),
        error={
            Declined: to(refused, assign=lambda c, f: evolve(c, log=(*c.log, f"{f.type}: {f.message}"))),
            Exception: review,
        },
    )
    fulfilling.entry(assign=lambda c: evolve(c, log=(*c.log, "fulfilling")))
    picking.on(
        Picked,
        packing,
        assign=lambda c, e: evolve(c, bins={**c.bins, e.bin: e.count}, weight=c.weight + e.grams),
    )
    picking.exit(assign=lambda c: evolve(c, log=(*c.log, "picked")))
    packing.after(timedelta(minutes=30), gone)
    invoicing.invoke(invoice, lambda c: c.order.id, done=invoiced, error={Exception: invoiced})
    fulfilling.done(
        completed,
        send=lambda c: Message(
            Shipped(c.order.id, Decimal("12.50")),
            machine="frozen-ledger",
            key="2030",
            delay=timedelta(minutes=1),
        ),
    )
    s.on(Withdrawn, refused)


class Ledger(Machine[str, str, str], name="frozen-ledger"):
    """A context that is no object, and the wildcard."""

    s = root(str)
    open_ = s.state(initial=True)
    closed = s.final()

    @staticmethod
    def init(i: str) -> str:
        return i

    @staticmethod
    def result(c: str) -> str:
        return c

    open_.on(Shipped, assign=lambda c, e: f"{c}+{e.total}")
    open_.on(Withdrawn, closed)
    open_.on(AnyEvent, assign=lambda c, e: f"{c}?")


@event
class Skip:
    pass


@event
class Pause:
    pass


@event
class Resume:
    deep: bool = True


@event
class Tune:
    station: int


@event
class Tuned:
    station: int


@event
class Stop:
    pass


@frozen
class Player:
    heard: tuple[str, ...] = ()
    station: int | None = None


class Jukebox(Machine[Player, str, int], name="frozen-jukebox"):
    """Both histories, deferral, raised events, a delay that depends on the context."""

    s = root(Player)
    playing = s.state(initial=True)
    song = playing.state(initial=True)
    verse = song.state(initial=True)
    chorus = song.state()
    radio = playing.state()
    where = playing.history(deep=True)
    which = playing.history()
    paused = s.state()
    off = s.final()

    @staticmethod
    def init(i: str) -> Player:
        return Player((i,))

    @staticmethod
    def result(c: Player) -> int:
        return len(c.heard)

    verse.on(Skip, chorus, assign=lambda c, e: evolve(c, heard=(*c.heard, "chorus")))
    chorus.on(Skip, verse)
    song.on(Tune, radio, raise_=lambda c, e: Tuned(e.station))
    radio.on(Tuned, assign=lambda c, e: evolve(c, station=e.station))
    radio.on(Skip, song)
    playing.on(Pause, paused)
    playing.on(Stop, off)
    paused.defer(Skip, Tune)
    paused.on(Resume, where, when=lambda c, e: e.deep)
    paused.on(Resume, which)
    paused.after(lambda c: timedelta(hours=len(c.heard)), off)


class Fragile(Machine[int, int, int], name="frozen-fragile", version=1):
    """Its reducer faults on a word that is not in its table."""

    s = root(int)
    counting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c

    counting.on(Approved, assign=lambda c, e: c + {"ann": 1}[e.by])
    counting.on(Stop, done)


class Mended(Machine[int, int, int], name="frozen-fragile", version=2):
    """The same machine after the fix; it adopts runs of version 1."""

    s = root(int)
    counting = s.state(initial=True)
    done = s.final()

    @staticmethod
    def init(i: int) -> int:
        return i

    @staticmethod
    def result(c: int) -> int:
        return c

    counting.on(Approved, assign=lambda c, e: c + {"ann": 1}.get(e.by, 10))
    counting.on(Stop, done)


MACHINES = (Order, Ledger, Jukebox, Fragile, Mended)
