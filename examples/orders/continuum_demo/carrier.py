"""The carrier: prints labels, collects parcels or declines them, and brings back what was recalled.

It does each thing once for each parcel, whoever asks how often. A parcel that was recalled before it was
collected is not collected any more.
"""

from __future__ import annotations

import asyncio

from continuum_demo.ledger import first
from continuum_demo.order import Parcel
from continuum_demo.services import Service

__all__ = ["HAZARDOUS", "UNREACHABLE", "Carrier", "Undeliverable"]

UNREACHABLE = "AQ"
"""A country no carrier goes to."""

HAZARDOUS = "AEROSOL-18"
"""An item that may not be sent; whatever else is ordered may."""

_LABEL = "label-"


class Undeliverable(Exception):
    """The carrier does not take the parcel."""


class Carrier(Service):
    """Who brings the parcels."""

    book = "parcels.jsonl"

    async def label(self, parcel: Parcel) -> str:
        """The number of the parcel's label."""
        return await asyncio.to_thread(self._label, parcel)

    def _label(self, parcel: Parcel) -> str:
        with self._ledger.about(parcel.parcel_id) as book:
            if first(book, "labelled") is None:
                self._ledger.write(parcel.parcel_id, "labelled", order=parcel.order_id)
        return f"{_LABEL}{parcel.parcel_id}"

    async def void(self, label: str) -> None:
        """Cancel a label that is not used."""
        await asyncio.to_thread(self._void, label.removeprefix(_LABEL))

    def _void(self, parcel_id: str) -> None:
        with self._ledger.about(parcel_id) as book:
            if first(book, "voided") is None:
                self._ledger.write(parcel_id, "voided")

    async def collect(self, parcel: Parcel) -> str:
        """Take the parcel; gives its tracking number. Raises Undeliverable."""
        return await asyncio.to_thread(self._collect, parcel)

    def _collect(self, parcel: Parcel) -> str:
        tracking = f"{parcel.country}{parcel.parcel_id[2:]}"
        with self._ledger.about(parcel.parcel_id) as book:
            if first(book, "recalled") is not None:
                raise Undeliverable(f"{parcel.parcel_id} was recalled")
            if first(book, "collected") is not None:
                return tracking
            refusal = _refusal(parcel)
            if refusal:
                self._ledger.write(parcel.parcel_id, "declined", order=parcel.order_id, reason=refusal)
                raise Undeliverable(refusal)
            self._ledger.write(
                parcel.parcel_id, "collected", order=parcel.order_id, tracking=tracking, shelf=parcel.shelf
            )
        return tracking

    async def recall(self, parcel_id: str) -> bool:
        """Bring a parcel back, or never take it; whether it had been under way."""
        return await asyncio.to_thread(self._recall, parcel_id)

    def _recall(self, parcel_id: str) -> bool:
        with self._ledger.about(parcel_id) as book:
            collected = first(book, "collected") is not None
            if first(book, "recalled") is None:
                self._ledger.write(parcel_id, "recalled", sync=True, under_way=collected)
        return collected


def _refusal(parcel: Parcel) -> str:
    if parcel.country == UNREACHABLE:
        return f"no carrier goes to {parcel.country}"
    if parcel.item.sku == HAZARDOUS:
        return f"no carrier takes {parcel.item.sku}"
    return ""
