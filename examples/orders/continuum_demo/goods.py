"""The audit's other half: goods and parcels, the journal's runs held against the books of stock and carrier.

Each parcel of an order is one child run of it; it is collected once, or not at all; and what was collected
for an order that was not completed was brought back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from continuum_core import Client
from continuum_demo.ledger import Entry, entries
from continuum_demo.runs import Ended, Sent, read_parcels

__all__ = ["Goods", "goods"]


@frozen
class Goods:
    """What was found.

    :ivar parcels: runs of parcels in the journal.
    :ivar collected: parcels that the carrier took, by its book, `declined` those that it did not.
    :ivar recalled: those of them that were brought back.
    :ivar compensated: orders of which some parcels were collected and another was declined.
    """

    parcels: int
    collected: int
    declined: int
    recalled: int
    compensated: tuple[str, ...]
    faults: tuple[str, ...]


async def goods(client: Client, directory: Path, orders: Mapping[str, Ended]) -> Goods:
    """Compare all parcels of a journal with the books in the directory."""
    sent, faults = await read_parcels(client)
    book = entries(directory / "parcels.jsonl")
    faults += _family(sent, orders)
    faults += _journeys(sent, book)
    faults += _carried(book, orders)
    faults += _stock(entries(directory / "stock.jsonl"), orders)
    collected, declined = _told(book, "collected"), _told(book, "declined")
    torn = {_order(p) for p in collected} & {_order(p) for p in declined}
    return Goods(
        parcels=len(sent),
        collected=len(collected),
        declined=len(declined),
        recalled=sum(bool(entry["under_way"]) for entry in book if entry["what"] == "recalled"),
        compensated=tuple(sorted(torn)),
        faults=tuple(faults),
    )


def _told(book: Sequence[Entry], what: str) -> Counter[str]:
    """How often the carrier's book says it, by parcel."""
    return Counter(entry["subject"] for entry in book if entry["what"] == what)


def _order(parcel_id: str) -> str:
    return parcel_id.rpartition(".")[0]


def _family(sent: Sequence[Sent], orders: Mapping[str, Ended]) -> Iterator[str]:
    """What is wrong with who is whose child."""
    runs = Counter(each.journey.parcel.parcel_id for each in sent)
    yield from (f"parcel {parcel} has {count} runs" for parcel, count in runs.items() if count > 1)
    for each in sent:
        order = orders.get(each.journey.parcel.order_id)
        if order is None or each.parent != order.run:
            yield f"parcel {each.journey.parcel.parcel_id} is an orphan: run {each.run} has no order above it"
    for order_id, order in orders.items():
        missing = [p.parcel_id for p in order.progress.parcels if not runs[p.parcel_id]]
        if order.completed and missing:
            yield f"{order_id} was completed without its parcels {', '.join(missing)}"


def _journeys(sent: Sequence[Sent], book: Sequence[Entry]) -> Iterator[str]:
    """Where a parcel's run and the carrier's book differ."""
    collected, voided = _told(book, "collected"), _told(book, "voided")
    for each in sent:
        parcel = each.journey.parcel.parcel_id
        if each.collected != bool(collected[parcel]):
            said = "has" if collected[parcel] else "has not"
            yield f"the carrier {said} collected parcel {parcel}, the journal says otherwise"
        if voided[parcel] != (each.journey.label != "" and not each.collected):
            yield f"the label of parcel {parcel} was voided {voided[parcel]} times"
    known = {each.journey.parcel.parcel_id for each in sent}
    yield from (f"parcel {parcel} was collected and is in no journal" for parcel in set(collected) - known)


def _carried(book: Sequence[Entry], orders: Mapping[str, Ended]) -> Iterator[str]:
    """What was carried twice, or without need, or not brought back."""
    for what in ("labelled", "collected", "recalled"):
        yield from (f"parcel {p} was {what} {n} times" for p, n in _told(book, what).items() if n > 1)
    recalled = _told(book, "recalled")
    for parcel in _told(book, "collected"):
        order = orders.get(_order(parcel))
        wanted = order is not None and order.completed
        if wanted and recalled[parcel]:
            yield f"parcel {parcel} was recalled, and its order is completed"
        if not wanted and not recalled[parcel]:
            yield f"parcel {parcel} was collected and not brought back, and its order is not completed"


def _stock(book: Sequence[Entry], orders: Mapping[str, Ended]) -> Iterator[str]:
    """What is set aside for nobody."""
    aside, back = ({e["subject"] for e in book if e["what"] == what} for what in ("reserved", "released"))
    completed = {order_id for order_id, order in orders.items() if order.completed}
    yield from (f"items of {order} are still set aside" for order in sorted(aside - back - completed))
    yield from (
        f"items were set aside for {order}, which is in no journal" for order in sorted(aside - set(orders))
    )
