"""The audit: what the journal says of every order, held against the books of the services.

Neither side is asked for the other's view: the journal is read through a client of its own, the books are
read as files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from attrs import frozen

from continuum_core import Client
from continuum_demo.goods import Goods, goods
from continuum_demo.ledger import Entry, entries
from continuum_demo.runs import read_orders

__all__ = ["Audit", "audit"]

Sums = dict[str, int]
"""Currency → cents."""


@frozen
class Audit:
    """What was found.

    :ivar repeats: requests to charge that the provider had answered before, and did not charge again.
    :ivar taken: by the ledger: charged less refunded.
    :ivar earned: by the journal: what completed orders cost.
    :ivar goods: what became of the parcels.
    :ivar faults: what does not fit; the audit holds when there is none.
    """

    orders: int
    charges: int
    repeats: int
    refunds: int
    charged_twice: tuple[str, ...]
    taken: Sums
    earned: Sums
    goods: Goods
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.faults


async def audit(client: Client, directory: Path) -> Audit:
    """Compare all orders of a journal with the books in the directory."""
    book = entries(directory / "payments.jsonl")
    charged = _by_order(book, "charged")
    refunded = _by_order(book, "refunded")
    twice = _twice(charged, refunded)
    faults = [f"{order} was charged twice" for order in twice]
    earned: Counter[str] = Counter()
    ended, broken = await read_orders(client)
    faults += broken
    for order_id, order in ended.items():
        if order.completed:
            earned[order.progress.order.currency] += order.progress.order.total
        paid = _sum(charged[order_id]) - _sum(refunded[order_id])
        due = order.progress.order.total if order.completed else 0
        if paid != due:
            faults.append(f"{order_id}: the ledger took {paid}, the journal says {due}")
    faults += [f"{order} was charged and is in no journal" for order in charged if order not in ended]
    found = await goods(client, directory, ended)
    faults += found.faults
    taken: Counter[str] = Counter()
    for entry in book:
        if entry["what"] in ("charged", "refunded"):
            taken[entry["currency"]] += entry["amount"] if entry["what"] == "charged" else -entry["amount"]
    if +taken != +earned:
        faults.append(f"the ledger took {dict(taken)}, the journal earned {dict(earned)}")
    return Audit(
        orders=len(ended),
        charges=sum(len(found) for found in charged.values()),
        repeats=sum(entry["what"] == "repeat" for entry in book),
        refunds=sum(len(found) for found in refunded.values()),
        charged_twice=tuple(twice),
        taken=dict(sorted((+taken).items())),
        earned=dict(sorted((+earned).items())),
        goods=found,
        faults=tuple(faults),
    )


def _by_order(book: list[Entry], what: str) -> dict[str, list[Entry]]:
    found: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in book:
        if entry["what"] == what:
            found[entry["order"]].append(entry)
    return found


def _twice(charged: dict[str, list[Entry]], refunded: dict[str, list[Entry]]) -> list[str]:
    """Orders with two charges under one reference, or two that were not given back."""
    return sorted(
        order
        for order, charges in charged.items()
        if len({entry["subject"] for entry in charges}) < len(charges)
        or len(charges) - len(refunded.get(order, ())) > 1
    )


def _sum(found: list[Entry]) -> int:
    return sum(int(entry["amount"]) for entry in found)
