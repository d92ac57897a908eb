"""What an order is: the values that its machine, its activities and the file of orders share."""

from __future__ import annotations

import enum
from datetime import timedelta

from attrs import frozen

__all__ = ["Charge", "Item", "Parcel", "PlaceOrder", "Receipt", "Verdict", "Why"]


@frozen
class Item:
    """:ivar price: of one piece, in cents."""

    sku: str
    quantity: int
    price: int


@frozen
class PlaceOrder:
    """:ivar pay_within: how long the order waits for a payment."""

    order_id: str
    customer: str
    country: str
    currency: str
    items: tuple[Item, ...]
    pay_within: timedelta = timedelta(minutes=30)

    @property
    def total(self) -> int:
        """Cents."""
        return sum(item.quantity * item.price for item in self.items)


@frozen
class Charge:
    """:ivar reference: names this payment for ever: whoever repeats it is told what became of it."""

    reference: str
    order_id: str
    card: str
    amount: int
    currency: str


@frozen
class Parcel:
    """One item of an order on its way.

    :ivar parcel_id: names this parcel for ever: whoever repeats it is told what became of it.
    :ivar shelf: where it lies packed.
    """

    parcel_id: str
    order_id: str
    customer: str
    country: str
    item: Item
    shelf: str


@frozen
class Receipt:
    """What a completed order gives."""

    order_id: str
    reference: str
    amount: int
    currency: str
    tracking: tuple[str, ...]


class Why(enum.Enum):
    """Why an order was not completed."""

    OUT_OF_STOCK = "out of stock"
    REJECTED = "rejected by the reviewer"
    UNREVIEWED = "never reviewed"
    UNPAID = "never paid"
    DECLINED = "card declined"
    CUSTOMER = "cancelled by the customer"
    UNDELIVERABLE = "cannot be delivered"
    INCOMPLETE = "a parcel was declined"
    TROUBLE = "technical trouble"


@frozen
class Verdict:
    """What an order that was not completed gives.

    :ivar refunded: cents that went back to the customer.
    :ivar recalled: parcels that were brought back.
    """

    order_id: str
    why: Why
    detail: str
    refunded: int
    recalled: int = 0
