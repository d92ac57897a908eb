"""The application that the commands of these tests are about: an order that is paid, or is not."""

from __future__ import annotations

import logging
from datetime import timedelta

from attrs import evolve, frozen

from continuum_core.definition.activity import activity
from continuum_core.definition.declare import Machine, root
from continuum_core.definition.event import event
from continuum_core.definition.retry import Retry

logger = logging.getLogger("shop")


@frozen
class PlaceOrder:
    order_id: str
    total: int


@frozen
class Ctx:
    order: PlaceOrder
    charge: str = ""
    reason: str = ""


@event
class Paid:
    amount: int


@event
class Refused:
    reason: str


@activity(retry=Retry(attempts=1))
async def charge(order: PlaceOrder) -> str:
    if order.total < 0:
        raise ValueError("nobody is charged less than nothing")
    logger.info("charging %s", order.order_id)
    return f"ch-{order.order_id}"


def covers(c: Ctx, e: Paid) -> bool:
    if e.amount < 0:
        raise ValueError("nobody pays less than nothing")
    return e.amount >= c.order.total


class Order(Machine[Ctx, PlaceOrder, str], name="order"):
    """Waits for a payment, charges it, ends."""

    s = root(Ctx)
    waiting = s.state(initial=True)
    charging = s.state()
    done = s.final()
    refused = s.final(ok=False)
    expired = s.final(ok=False)

    @staticmethod
    def init(i: PlaceOrder) -> Ctx:
        return Ctx(i)

    @staticmethod
    def result(c: Ctx) -> str:
        return c.charge

    @staticmethod
    def verdict(c: Ctx) -> str:
        return c.reason

    waiting.on(Paid, charging, when=covers)
    waiting.on(Refused, refused, assign=lambda c, e: evolve(c, reason=e.reason))
    waiting.after(timedelta(minutes=30), expired)
    charging.invoke(
        charge,
        lambda c: c.order,
        done=done,
        assign=lambda c, out: evolve(c, charge=out),
        error={Exception: expired},
    )
