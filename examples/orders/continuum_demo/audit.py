"""The audit: what the journal says of every order, held against the books of the services.

Neither side is asked for the other's view: the journal is read through a client of its own, the books are
read as files.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from attrs import frozen

from continuum_core import Client
from continuum_demo.ledger import Entry, entries
from continuum_demo.machine import Progress

__all__ = ["Audit", "audit"]

Sums = dict[str, int]
"""Currency → cents."""


@frozen
class Audit:
    """What was found.

    :ivar repeats: requests to charge that the provider had answered before, and did not charge again.
    :ivar taken: by the ledger: charged less refunded.
    :ivar earned: by the journal: what completed orders cost.
    :ivar faults: what does not fit; the audit holds when there is none.
    """

    orders: int
    charges: int
    repeats: int
    refunds: int
    charged_twice: tuple[str, ...]
    taken: Sums
    earned: Sums
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
    ended = await _orders(client, faults)
    for order_id, (progress, completed) in ended.items():
        if completed:
            earned[progress.order.currency] += progress.order.total
        paid = _sum(charged[order_id]) - _sum(refunded[order_id])
        due = progress.order.total if completed else 0
        if paid != due:
            faults.append(f"{order_id}: the ledger took {paid}, the journal says {due}")
    faults += [f"{order} was charged and is in no journal" for order in charged if order not in ended]
    faults += _goods(directory, {order for order, (_, completed) in ended.items() if completed}, set(ended))
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
        faults=tuple(faults),
    )


async def _orders(client: Client, faults: list[str]) -> dict[str, tuple[Progress, bool]]:
    """Every order of the journal, and whether it was completed."""
    found: dict[str, tuple[Progress, bool]] = {}
    cursor: str | None = None
    while True:
        page, cursor = await client.list(machine="order", cursor=cursor)
        for run in page:
            assert isinstance(run.context, Progress)
            found[run.context.order.order_id] = (run.context, run.states == ("completed",))
            if run.outcome is None:
                faults.append(f"{run.key} has not ended: {', '.join(run.states)} ({run.status.name.lower()})")
            steps = await client.history(run.id)
            if [step.version for step in steps] != list(range(1, run.version + 1)):
                faults.append(f"the journal of {run.key} has gaps")
        if cursor is None:
            return found


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


def _goods(directory: Path, completed: set[str], ended: set[str]) -> list[str]:
    """What is wrong with the goods: sent without need, kept, or set aside for nobody."""
    stock = entries(directory / "stock.jsonl")
    aside, back = ({e["subject"] for e in stock if e["what"] == what} for what in ("reserved", "released"))
    sent = Counter(entry["subject"] for entry in entries(directory / "parcels.jsonl"))
    return [
        *(f"{order} was completed and sent {sent[order]} times" for order in completed if sent[order] != 1),
        *(f"{order} was sent and not completed" for order in sorted(set(sent) - completed)),
        *(f"items of {order} are still set aside" for order in sorted(aside - back - completed)),
        *(f"items were set aside for {order}, which is in no journal" for order in sorted(aside - ended)),
    ]
