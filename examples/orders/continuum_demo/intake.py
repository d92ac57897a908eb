"""Reads a file of orders: a line is an order with what its customer will do, or is refused with a reason.

One bad line is told and counted, and stops nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from attrs import frozen

from continuum_demo.order import Item, PlaceOrder

__all__ = ["Accepted", "Refused", "read"]

_Positive = Annotated[int, msgspec.Meta(gt=0)]
_Text = Annotated[str, msgspec.Meta(min_length=1)]


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    sku: _Text
    quantity: _Positive
    price: _Positive


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    order: _Text
    customer: _Text
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
    currency: Literal["CHF", "EUR", "GBP", "USD"]
    items: Annotated[list[_Item], msgspec.Meta(min_length=1)]
    cards: list[str] = []
    reviewer: Literal["approves", "rejects"] | None = None
    cancels: str | None = None
    pay_within: float = 1800.0


@frozen
class Accepted:
    """An order, and what is going to happen to it.

    :ivar cards: what the customer pays with, one after the other.
    :ivar approved: what the reviewer says, if asked.
    :ivar cancels: the reason for which the customer cancels.
    """

    line: int
    order: PlaceOrder
    cards: tuple[str, ...]
    approved: bool | None
    cancels: str | None


@frozen
class Refused:
    line: int
    reason: str


def read(path: Path) -> Iterator[Accepted | Refused]:
    """One value a line. Raises OSError where the file cannot be read."""
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            yield _accepted(number, msgspec.json.decode(line, type=_Row))
        except msgspec.DecodeError as error:
            yield Refused(number, str(error))


def _accepted(number: int, row: _Row) -> Accepted:
    items = tuple(Item(item.sku, item.quantity, item.price) for item in row.items)
    order = PlaceOrder(
        row.order, row.customer, row.country, row.currency, items, timedelta(seconds=row.pay_within)
    )
    approved = None if row.reviewer is None else row.reviewer == "approves"
    return Accepted(number, order, tuple(row.cards), approved, row.cancels)
