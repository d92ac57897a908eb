"""A shop's order, from the cart to the parcel."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from attrs import evolve, frozen

from continuum_core import Machine, Retry, activity, event, root


@frozen
class PlaceOrder:
    """What an order is started with."""

    order_id: str
    total: int  # cents


@frozen
class Context:
    """What an order remembers while it runs."""

    order: PlaceOrder
    charge: str = ""
    tracking: str = ""
    problem: str = ""


@frozen
class Receipt:
    """What an order results in."""

    order_id: str
    tracking: str


@frozen
class Refusal:
    """Why an order was refused."""

    reason: str


@event
class Approved:
    by: str


@event
class Withdrawn:
    reason: str


class Declined(Exception):
    """The card will not be charged, however often we ask."""


@activity(retry=Retry(attempts=5, fatal=(Declined,)), timeout=timedelta(seconds=10))
async def charge(order: PlaceOrder) -> str:
    if order.total > 5_000_00:
        raise Declined(f"the limit of the card is below {order.total}")
    return f"charge-{order.order_id}"


@activity(timeout=timedelta(minutes=1))
async def ship(order_id: str) -> str:
    await asyncio.sleep(1)  # carriers are slow
    return f"parcel-{order_id}"


class Order(Machine[Context, PlaceOrder, Receipt], name="order"):
    s = root(Context)
    checking = s.choice(initial=True)
    review = s.state()
    charging = s.state()
    shipping = s.state()
    delivered = s.final()
    refused = s.final(ok=False)

    @staticmethod
    def init(i: PlaceOrder) -> Context:
        return Context(i)

    @staticmethod
    def result(c: Context) -> Receipt:
        return Receipt(c.order.order_id, c.tracking)

    @staticmethod
    def verdict(c: Context) -> Refusal:
        return Refusal(c.problem)

    checking.always(review, when=lambda c: c.order.total > 1_000_00)
    checking.always(charging)

    review.on(Approved, charging)
    review.on(Withdrawn, refused, assign=lambda c, e: evolve(c, problem=e.reason))
    review.after(timedelta(days=3), refused, assign=lambda c: evolve(c, problem="nobody looked at it"))

    charging.invoke(
        charge,
        lambda c: c.order,
        done=shipping,
        assign=lambda c, number: evolve(c, charge=number),
        error={Declined: refused, Exception: refused},
    )
    shipping.invoke(
        ship,
        lambda c: c.order.order_id,
        done=delivered,
        assign=lambda c, number: evolve(c, tracking=number),
        error=refused,
    )
