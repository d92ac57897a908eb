"""Makes the file of orders: `python -m continuum_demo.generate [COUNT] > orders.jsonl`.

The same count gives the same file. Most customers are no trouble; each kind of trouble that a shop meets
is there at least once, and the more often the longer the file is.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import msgspec

__all__ = ["lines"]

Row = dict[str, Any]

_FIRST = (
    "Ada",
    "Bogdan",
    "Chiara",
    "Deniz",
    "Elif",
    "Femi",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Katya",
    "Liam",
)
_LAST = ("Adler", "Baptiste", "Costa", "Demir", "Eriksen", "Fontana", "Garcia", "Haddad", "Ito", "Jensen")
_PLACES = (("DE", "EUR"), ("FR", "EUR"), ("IT", "EUR"), ("GB", "GBP"), ("US", "USD"), ("CH", "CHF"))
_GOODS = [
    *(("LAMP-02", 49_90), ("CHAIR-04", 129_00), ("RUG-11", 219_50), ("MUG-31", 12_40)),
    *(("DESK-07", 389_00), ("SHELF-03", 79_95), ("PLANT-21", 24_00), ("CLOCK-15", 64_25)),
]

_SHARES: list[tuple[str, int]] = [  # of a thousand
    *(("sold out", 30), ("declined", 25), ("second card", 30), ("flaky", 40), ("slow", 14)),
    *(("big, approved", 40), ("big, rejected", 17), ("never pays", 24), ("changes mind", 24)),
    *(
        ("cancels late", 20),
        ("unreachable", 17),
        ("declined parcel", 20),
        ("torn", 7),
        ("no items", 4),
        ("negative", 4),
    ),
    *(("sent twice", 7), ("same id, other order", 7)),
]


def lines(count: int) -> list[str]:
    """That many lines of JSON, or of what should have been JSON."""
    chance = random.Random(f"orders {count}")
    kinds = [kind for kind, share in _SHARES for _ in range(max(1, round(count * share / 1000)))]
    if len(kinds) > count:
        raise ValueError(f"{len(kinds)} lines at least, so that every kind of trouble is in the file")
    kinds += ["plain"] * (count - len(kinds))
    chance.shuffle(kinds)
    made: list[str] = []
    rows: list[Row] = []
    for number, kind in enumerate(kinds, start=1):
        made.append(_line(kind, number, rows, chance))
    return made


def _line(kind: str, number: int, rows: list[Row], chance: random.Random) -> str:
    if kind in ("sent twice", "same id, other order") and rows:
        row = dict(chance.choice(rows))
        if kind == "same id, other order":
            row["items"] = [*row["items"], {"sku": "MUG-31", "quantity": 6, "price": 12_40}]
        return _json(row)
    row = _row(kind, number, chance)
    if kind == "torn":
        return _json(row)[: chance.randint(30, 90)]
    if kind not in ("no items", "negative"):
        rows.append(row)
    return _json(row)


def _row(kind: str, number: int, chance: random.Random) -> Row:
    country, currency = chance.choice(_PLACES)
    items = [
        _item(sku, price, chance) for sku, price in chance.sample(_GOODS, chance.choice([1, 1, 1, 2, 3]))
    ]
    card = f"visa-{chance.randint(1000, 9999)}"
    row: Row = {
        "order": f"o-{number:04}",
        "customer": f"{chance.choice(_FIRST)} {chance.choice(_LAST)}",
        "country": country,
        "currency": currency,
        "items": items,
        "cards": [card],
    }
    if kind == "sold out":
        items.append({"sku": "SOFA-09", "quantity": 1, "price": 749_00})
    elif kind in ("declined", "second card"):
        row["cards"] = [f"declined-{card[5:]}"] + ([card] if kind == "second card" else [])
        row["pay_within"] = 3.0 if kind == "declined" else 1800.0
    elif kind in ("flaky", "slow"):
        row["cards"] = [f"{kind}-{card[5:]}"]
    elif kind.startswith("big"):
        items.append({"sku": "DESK-07", "quantity": chance.randint(3, 12), "price": 389_00})
        row["reviewer"] = "approves" if kind == "big, approved" else "rejects"
    elif kind == "never pays":
        row |= {"cards": [], "pay_within": 3.0}
    elif kind == "changes mind":
        row |= {"cards": [], "cancels": "found it cheaper"}
    elif kind == "cancels late":
        row |= {"cards": [f"hesitant-{card[5:]}"], "cancels": "ordered by mistake"}
    elif kind == "unreachable":
        row["country"] = "AQ"
    elif kind == "declined parcel":
        items.append({"sku": "AEROSOL-18", "quantity": 1, "price": 8_90})
    elif kind == "no items":
        row["items"] = []
    elif kind == "negative":
        items[0]["quantity"] = -1
    # A big order without a reviewer would wait for one for days.
    if sum(item["quantity"] * item["price"] for item in items) >= 1_000_00 and "reviewer" not in row:
        row["reviewer"] = "approves"
    return row


def _item(sku: str, price: int, chance: random.Random) -> Row:
    return {"sku": sku, "quantity": chance.choice([1, 1, 1, 2]), "price": price}


def _json(row: Row) -> str:
    return msgspec.json.encode(row).decode()


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
