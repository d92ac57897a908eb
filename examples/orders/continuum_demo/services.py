"""The world outside: a payment provider, a warehouse, mail; see `carrier`. Each keeps a book of its own.

They behave as such services do: they refuse, they fail at times, they are slow, and they do what is asked
under one name once. What a card does is in its number, as in the sandboxes of real payment providers.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar, Self

from continuum_demo.ledger import Ledger, first
from continuum_demo.order import Charge

__all__ = ["Declined", "Mail", "OutOfStock", "Payments", "Service", "ServiceDown", "Stock"]

SLOW = 30.0
"""Seconds that the provider keeps the answer to a slow card's first request. The money has moved by then."""

HESITANT = 2.0
"""Seconds that the bank of a hesitant card thinks before the money moves."""

SOLD_OUT = "SOFA-09"
"""An item that is sold and not there."""


class OutOfStock(Exception):
    """The warehouse has not got it."""


class Declined(Exception):
    """The card's bank says no."""


class ServiceDown(Exception):
    """The service does not answer now; it may in a moment."""


class Service:
    """A service as one worker has it open; a resource that the worker hands to activities.

    :param directory: where the books of all services lie.
    """

    book: ClassVar[str]

    def __init__(self, directory: Path) -> None:
        self._ledger = Ledger(directory / self.book)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.close()


class Payments(Service):
    """The payment provider. Its book is the proof of what was taken from whom."""

    book = "payments.jsonl"

    async def charge(self, charge: Charge, *, attempt: int, losses: int) -> str:
        """Take the money once, however often it is asked for under one reference; gives the charge's id.

        Raises Declined, ServiceDown.
        """
        if charge.card.startswith("hesitant"):
            await asyncio.sleep(HESITANT)
        fresh, known = await asyncio.to_thread(self._take, charge, attempt, losses)
        if fresh and charge.card.startswith("slow"):
            await asyncio.sleep(SLOW)
        await asyncio.to_thread(self._answer, charge.reference, known)
        return known

    def _take(self, charge: Charge, attempt: int, losses: int) -> tuple[bool, str]:
        reference = charge.reference
        with self._ledger.about(reference) as book:
            fresh = not book
            self._ledger.write(reference, "asked", attempt=attempt, losses=losses)
            taken = first(book, "charged")
            if taken is not None:
                known: str = taken["charge"]
                self._ledger.write(reference, "repeat", charge=known)
                return fresh, known
            if first(book, "void") or charge.card.startswith("declined"):
                self._ledger.write(reference, "declined", card=charge.card)
                raise Declined(f"card {charge.card} was declined")
            if fresh and charge.card.startswith("flaky"):
                raise ServiceDown("503 Service Unavailable")
            known = f"ch-{reference}"
            self._ledger.write(
                reference,
                "charged",
                sync=True,
                charge=known,
                order=charge.order_id,
                card=charge.card,
                amount=charge.amount,
                currency=charge.currency,
            )
            return fresh, known

    def _answer(self, reference: str, known: str) -> None:
        with self._ledger.about(reference):
            self._ledger.write(reference, "answered", charge=known)

    async def refund(self, reference: str) -> int:
        """Give back what was taken, once; what was not taken yet is not taken any more."""
        return await asyncio.to_thread(self._give_back, reference)

    def _give_back(self, reference: str) -> int:
        with self._ledger.about(reference) as book:
            done = first(book, "refunded", "void")
            if done is not None:
                return int(done.get("amount", 0))
            taken = first(book, "charged")
            if taken is None:
                self._ledger.write(reference, "void", sync=True)
                return 0
            amount: int = taken["amount"]
            self._ledger.write(
                reference,
                "refunded",
                sync=True,
                charge=taken["charge"],
                order=taken["order"],
                amount=amount,
                currency=taken["currency"],
            )
            return amount


class Stock(Service):
    """The warehouse."""

    book = "stock.jsonl"

    def reserve(self, order_id: str, items: dict[str, int]) -> None:
        """Set items aside for an order. Raises OutOfStock."""
        with self._ledger.about(order_id) as book:
            if SOLD_OUT in items:
                raise OutOfStock(f"{SOLD_OUT} is sold out")
            if not book:
                self._ledger.write(order_id, "reserved", items=items)

    def release(self, order_id: str) -> None:
        with self._ledger.about(order_id) as book:
            if first(book, "released") is None:
                self._ledger.write(order_id, "released")

    def pick(self, order_id: str) -> str:
        """The place where the order lies packed."""
        with self._ledger.about(order_id) as book:
            if first(book, "picked") is None:
                self._ledger.write(order_id, "picked")
        return f"bay-{sum(order_id.encode()) % 24:02}"


class Mail(Service):
    """Outgoing mail; a message's id is sent once."""

    book = "mail.jsonl"

    def send(self, message_id: str, to: str, text: str) -> None:
        with self._ledger.about(message_id) as book:
            if not book:
                self._ledger.write(message_id, "sent", to=to, text=text)
