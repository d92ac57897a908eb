"""What orders ask of the world. All side effects are here; the machine only says when.

Each may run more than once, for a worker can die between doing something and saying so. So each hands the
service a name for what it wants, and the service does it once.
"""

from __future__ import annotations

from datetime import timedelta

from continuum_core import Retry, activity, current_attempt
from continuum_demo.carrier import Carrier, Undeliverable
from continuum_demo.order import Charge, Parcel, PlaceOrder
from continuum_demo.services import Declined, Mail, OutOfStock, Payments, Stock

__all__ = [
    "charge",
    "hand_over",
    "pick",
    "print_label",
    "recall",
    "refund",
    "release",
    "reserve",
    "send_invoice",
    "void_label",
]

_SOON = timedelta(milliseconds=100)
_UNTIL_DONE = Retry(attempts=None, first=_SOON, cap=timedelta(minutes=1))


@activity(retry=Retry(attempts=5, first=_SOON, fatal=(OutOfStock,)), timeout=timedelta(seconds=10))
def reserve(order: PlaceOrder, *, stock: Stock) -> None:
    """Set the order's items aside; all of them or none."""
    stock.reserve(order.order_id, {item.sku: item.quantity for item in order.items})


@activity(retry=_UNTIL_DONE)
def release(order_id: str, *, stock: Stock) -> None:
    """Put back whatever was set aside for the order."""
    stock.release(order_id)


@activity(retry=Retry(attempts=4, first=_SOON, fatal=(Declined,)), timeout=timedelta(seconds=5))
async def charge(payment: Charge, *, payments: Payments) -> str:
    """Take the money; gives the id of the charge."""
    attempt = current_attempt()
    return await payments.charge(payment, attempt=attempt.number, losses=attempt.losses)


@activity(retry=_UNTIL_DONE)
async def refund(reference: str, *, payments: Payments) -> int:
    """Give back what was taken under the reference, in cents, and see that nothing is taken any more."""
    return await payments.refund(reference)


@activity(retry=Retry(attempts=5, first=_SOON))
def pick(order_id: str, *, stock: Stock) -> str:
    """Take the reserved items out of the shelves; gives the place where they lie packed."""
    return stock.pick(order_id)


@activity(retry=_UNTIL_DONE)
async def void_label(label: str, *, carrier: Carrier) -> None:
    """Cancel a label that is not used."""
    await carrier.void(label)


@activity(undo=void_label, retry=Retry(attempts=5, first=_SOON), timeout=timedelta(seconds=10))
async def print_label(parcel: Parcel, *, carrier: Carrier) -> str:
    """Have the carrier print the parcel's label; gives its number."""
    return await carrier.label(parcel)


@activity(retry=Retry(attempts=5, first=_SOON, fatal=(Undeliverable,)), timeout=timedelta(seconds=10))
async def hand_over(parcel: Parcel, *, carrier: Carrier) -> str:
    """Hand the parcel to the carrier; gives its tracking number."""
    return await carrier.collect(parcel)


@activity(retry=_UNTIL_DONE)
async def recall(parcel_id: str, *, carrier: Carrier) -> bool:
    """Have a parcel brought back, and see that it is not collected any more; whether it was under way."""
    return await carrier.recall(parcel_id)


@activity(retry=Retry(attempts=5, first=_SOON))
def send_invoice(order: PlaceOrder, *, mail: Mail) -> None:
    """Mail the invoice. The attempt's key is the message's id, by which mail servers drop repeats."""
    amount = f"{order.total / 100:.2f} {order.currency}"
    mail.send(current_attempt().key, order.customer, f"Invoice for {order.order_id}: {amount}")
