"""The life of an order, as a statechart.

Nothing here does anything: edges say which state follows on what, reducers give the next context, and
what must happen in the world is invoked by name (see `activities`). Each parcel is a
child run (see `parcel`).
"""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Failure, Machine, event, root, to
from continuum_demo.activities import charge, pick, recall, refund, release, reserve, send_invoice
from continuum_demo.order import Charge, Parcel, PlaceOrder, Receipt, Verdict, Why
from continuum_demo.parcel import Shipment
from continuum_demo.services import Declined, OutOfStock

__all__ = ["Approved", "Authorised", "Cancel", "Order", "Progress", "Rejected", "Settled"]

BIG = 1_000_00
"""Cents from which on a person looks at an order before it may be paid."""


@frozen
class Progress:
    """What an order remembers.

    :ivar tries: cards that were tried; it numbers the payments, so that each has a reference of its own.
    :ivar shelf: where its parcels lie packed.
    :ivar tracking: the numbers of those that the carrier took.
    :ivar why: why it is not to be completed, once that is known.
    """

    order: PlaceOrder
    card: str = ""
    tries: int = 0
    shelf: str = ""
    tracking: tuple[str, ...] = ()
    why: Why | None = None
    detail: str = ""
    refunded: int = 0
    recalled: int = 0

    @property
    def reference(self) -> str:
        return f"{self.order.order_id}/{self.tries}"

    @property
    def parcels(self) -> tuple[Parcel, ...]:
        """One for each line of the order."""
        o = self.order
        return tuple(
            Parcel(f"{o.order_id}.{number}", o.order_id, o.customer, o.country, item, self.shelf)
            for number, item in enumerate(o.items, start=1)
        )


# --- what may reach an order -----------------------------------------------------------------------------


@event
class Approved:
    by: str


@event
class Rejected:
    by: str
    reason: str


@event
class Authorised:
    """The customer agrees that this card is charged."""

    card: str


@event
class Cancel:
    reason: str


@event
class Settled:
    """A clerk has put right what the services could not."""

    by: str


# --- what it decides, and what it remembers -----------------------------------------------------------------


def is_big(c: Progress) -> bool:
    return c.order.total >= BIG


def is_unwanted(c: Progress) -> bool:
    return c.why is Why.CUSTOMER


def is_unpacked(c: Progress) -> bool:
    return not c.shelf


def is_packed(c: Progress) -> bool:
    return bool(c.shelf)


def is_incomplete(c: Progress) -> bool:
    return len(c.tracking) < len(c.order.items)


def was_charged(c: Progress) -> bool:
    return c.tries > 0


def cancelled_by_customer(c: Progress, e: Cancel) -> Progress:
    return evolve(c, why=Why.CUSTOMER, detail=e.reason)


def rejected(c: Progress, e: Rejected) -> Progress:
    return evolve(c, why=Why.REJECTED, detail=e.reason)


def next_card(c: Progress, e: Authorised) -> Progress:
    return evolve(c, card=e.card, tries=c.tries + 1)


def declined(c: Progress, f: Failure) -> Progress:
    return evolve(c, why=c.why or Why.DECLINED, detail=f.message)


def trouble(c: Progress, f: Failure) -> Progress:
    return evolve(c, why=Why.TROUBLE, detail=f.message)


def all_sent(c: Progress, ends: tuple[str | Failure, ...]) -> Progress:
    """What became of the parcels: a tracking number each, or why the carrier does not take it."""
    declined = [end for end in ends if isinstance(end, Failure)]
    c = evolve(c, tracking=tuple(end for end in ends if isinstance(end, str)))
    if not declined:
        return c
    why = Why.INCOMPLETE if c.tracking else Why.UNDELIVERABLE
    return evolve(c, why=why, detail=str(declined[0].details.get("verdict") or declined[0].message))


class Order(Machine[Progress, PlaceOrder, Receipt], name="order"):
    """Reserve, review what is big, wait for a payment, charge, fulfil; undo what was done if that fails."""

    s = root(Progress)
    reserving = s.state(initial=True)
    screening = s.choice()
    reviewing = s.state()
    paying = s.state()
    charging = s.state()
    paid = s.choice()
    unpaid = s.choice()
    fulfilling = s.parallel()
    goods = fulfilling.state()
    picking = goods.state(initial=True)
    shipping = goods.state()
    sent = goods.choice()
    shipped = goods.final()
    papers = fulfilling.state()
    invoicing = papers.state(initial=True)
    invoiced = papers.final()
    undoing = s.state()
    money = undoing.choice(initial=True)
    refunding = undoing.state()
    parcels = undoing.choice()
    recalling = undoing.state()
    releasing = undoing.state()
    by_hand = undoing.state()
    undone = undoing.final()
    completed = s.final()
    cancelled = s.final(ok=False)

    @staticmethod
    def init(i: PlaceOrder) -> Progress:
        return Progress(i)

    @staticmethod
    def result(c: Progress) -> Receipt:
        return Receipt(c.order.order_id, c.reference, c.order.total, c.order.currency, c.tracking)

    @staticmethod
    def verdict(c: Progress) -> Verdict:
        return Verdict(c.order.order_id, c.why or Why.TROUBLE, c.detail, c.refunded, c.recalled)

    # Stock first. A cancellation in the middle is remembered: what was begun must be known to be undone.
    reserving.invoke(
        reserve,
        lambda c: c.order,
        done=screening,
        error={
            OutOfStock: to(cancelled, assign=lambda c, f: evolve(c, why=Why.OUT_OF_STOCK, detail=f.message)),
            Exception: to(undoing, assign=trouble),
        },
    )
    reserving.on(Cancel, assign=cancelled_by_customer)
    reserving.defer(Approved, Rejected, Authorised)

    # A person looks at big orders.
    screening.always(undoing, when=is_unwanted)
    screening.always(reviewing, when=is_big)
    screening.always(paying)
    reviewing.on(Approved, paying)
    reviewing.on(Rejected, undoing, assign=rejected)
    reviewing.after(timedelta(days=2), undoing, assign=lambda c: evolve(c, why=Why.UNREVIEWED))
    reviewing.defer(Authorised)

    # The customer pays, with another card if the first is declined, or runs out of time.
    paying.on(Authorised, charging, assign=next_card)
    paying.after(lambda c: c.order.pay_within, undoing, assign=lambda c: evolve(c, why=c.why or Why.UNPAID))
    charging.invoke(
        charge,
        lambda c: Charge(c.reference, c.order.order_id, c.card, c.order.total, c.order.currency),
        done=paid,
        error={Declined: to(unpaid, assign=declined), Exception: to(undoing, assign=trouble)},
    )
    charging.on(Cancel, assign=cancelled_by_customer)
    charging.defer(Authorised)
    paid.always(undoing, when=is_unwanted)
    paid.always(fulfilling)
    unpaid.always(undoing, when=is_unwanted)
    unpaid.always(paying)

    # Goods and papers go their ways at once. Each parcel is a run of its own, and all are waited for: what
    # came of each must be known before the order can be undone.
    picking.invoke(
        pick,
        lambda c: c.order.order_id,
        done=shipping,
        assign=lambda c, shelf: evolve(c, shelf=shelf),
        error=to(undoing, assign=trouble),
    )
    shipping.collect(Shipment, lambda c: c.parcels, done=sent, assign=all_sent)
    sent.always(undoing, when=is_incomplete)
    sent.always(shipped)
    invoicing.invoke(send_invoice, lambda c: c.order, done=invoiced, error=to(undoing, assign=trouble))
    fulfilling.done(completed)

    # From anywhere the customer may cancel until the goods are packed. Whatever was done is undone, the
    # money first, then every parcel, then the stock; what the services cannot undo waits for a clerk.
    s.on(Cancel, undoing, when=is_unpacked, assign=cancelled_by_customer)
    undoing.on(Cancel)  # it is being undone already
    money.always(refunding, when=was_charged)
    money.always(parcels)
    refunding.invoke(
        refund,
        lambda c: c.reference,
        done=parcels,
        assign=lambda c, amount: evolve(c, refunded=amount),
        error=by_hand,
    )
    parcels.always(recalling, when=is_packed)
    parcels.always(releasing)
    recalling.each(
        recall,
        lambda c: [parcel.parcel_id for parcel in c.parcels],
        done=releasing,
        assign=lambda c, brought: evolve(c, recalled=sum(brought)),
        error=by_hand,
    )
    releasing.invoke(release, lambda c: c.order.order_id, done=undone, error=by_hand)
    by_hand.on(Settled, undone)
    undoing.done(cancelled)
