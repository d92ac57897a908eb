"""The demo itself, with real processes and a real `kill -9`, judged by the files it leaves."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from continuum_core import Client
from continuum_demo import generate
from continuum_demo.goods import goods
from continuum_demo.ledger import Entry, entries
from continuum_demo.machine import Order
from continuum_demo.runs import read_orders

LINES = 40


def test_a_killed_worker_costs_no_order_and_no_customer_a_cent(tmp_path: Path) -> None:
    told, directory = demonstrated(tmp_path)
    assert (directory / "orders.db").exists()
    assert (directory / "order.svg").read_text().startswith("<svg")
    the_killed_workers_order_was_taken_over(told, directory)
    no_card_was_charged_twice(told, directory)
    every_parcel_went_once_or_came_back(told, directory)
    the_audit_notices_what_does_not_fit(f"sqlite:///{directory}/orders.db", directory)


def test_on_postgres_by_its_url(tmp_path: Path, postgres_database: str) -> None:
    """Another journal is another URL, and nothing besides."""
    url = f"{postgres_database}?schema=demo_{os.urandom(6).hex()}"
    told, directory = demonstrated(tmp_path, "--journal", url)
    assert not (directory / "orders.db").exists()
    the_killed_workers_order_was_taken_over(told, directory)
    no_card_was_charged_twice(told, directory)
    every_parcel_went_once_or_came_back(told, directory)


def demonstrated(tmp_path: Path, *options: str) -> tuple[dict[str, Any], Path]:
    """Run the demo to its end: what it told, and the directory that it kept."""
    orders = tmp_path / "few.jsonl"
    orders.write_text("".join(f"{line}\n" for line in generate.lines(LINES)))
    command = [sys.executable, "-W", "error", "-m", "continuum_demo.run", "--orders", str(orders)]
    done = subprocess.run(
        [*command, "--json", "--keep", *options],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # what it keeps goes where the test's files go
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    every_line_is_accounted_for(told)
    every_kind_of_trouble_ends_as_it_should(told)
    return told, Path(told["directory"])


def every_line_is_accounted_for(told: dict[str, Any]) -> None:
    ended = told["completed"] + sum(told["not_completed"].values())
    assert told["unfinished"] == 0
    assert ended == told["audit"]["orders"]
    assert ended + len(told["repeated"]) + len(told["refused"]) == told["lines"] == LINES


def every_kind_of_trouble_ends_as_it_should(told: dict[str, Any]) -> None:
    assert set(told["not_completed"]) == {
        *("a parcel was declined", "cancelled by the customer", "cannot be delivered", "card declined"),
        *("never paid", "out of stock", "rejected by the reviewer"),
    }
    assert len(told["repeated"]) == 1
    reasons = sorted(refused["reason"] for refused in told["refused"])
    assert [reason.partition(" - ")[0] for reason in reasons] == [
        "Expected `array` of length >= 1",
        "Expected `int` >= 1",
        "Input data was truncated",
        next(reason for reason in reasons if reason.endswith("is the id of another order")),
    ]


def the_killed_workers_order_was_taken_over(told: dict[str, Any], directory: Path) -> None:
    """By the provider's own book: asked and charged by the one, then asked again by the other."""
    killed = told["killed"]
    book = [e for e in entries(directory / "payments.jsonl") if e["subject"] == killed["reference"]]
    charged = next(e for e in book if e["what"] == "charged")
    assert charged["pid"] == killed["pid"]
    after = [e for e in book[book.index(charged) + 1 :] if e["what"] != "refunded"]
    assert [(e["what"], e["pid"] == killed["pid"]) for e in after] == [
        ("asked", False),
        ("repeat", False),
        ("answered", False),
    ]
    assert after[0]["losses"] == killed["losses"] >= 1
    assert killed["states"][-1] in (["completed"], ["cancelled"])


def no_card_was_charged_twice(told: dict[str, Any], directory: Path) -> None:
    """Recomputed from the ledger's lines, without the demo's own audit."""
    lines = (directory / "payments.jsonl").read_text().splitlines()
    book = [json.loads(line) for line in lines]
    charges = Counter(e["subject"] for e in book if e["what"] == "charged")
    refunds = Counter(e["subject"] for e in book if e["what"] == "refunded")
    assert set(charges.values()) == {1}
    assert set(refunds.values()) == {1}
    assert set(refunds) <= set(charges)
    kept = Counter(e["order"] for e in book if e["what"] == "charged" and e["subject"] not in refunds)
    assert set(kept.values()) == {1}
    assert len(kept) == told["completed"]


def every_parcel_went_once_or_came_back(told: dict[str, Any], directory: Path) -> None:
    """Recomputed from the carrier's lines, without the demo's own audit."""
    book = entries(directory / "parcels.jsonl")
    collected = Counter(e["subject"] for e in book if e["what"] == "collected")
    recalled = {e["subject"] for e in book if e["what"] == "recalled" and e["under_way"]}
    declined = {e["order"] for e in book if e["what"] == "declined"}
    assert set(collected.values()) == {1}
    assert {parcel for parcel in collected if parcel.rpartition(".")[0] in declined} == recalled != set()
    assert len({parcel.rpartition(".")[0] for parcel in set(collected) - recalled}) == told["completed"]
    assert told["audit"]["compensated"] == sorted({parcel.rpartition(".")[0] for parcel in recalled})


def the_audit_notices_what_does_not_fit(journal: str, directory: Path) -> None:
    """The same journal, beside books that tell something else."""
    book = entries(directory / "parcels.jsonl")
    back = next(e for e in book if e["what"] == "recalled" and e["under_way"])
    collected = next(e for e in book if e["subject"] == back["subject"] and e["what"] == "collected")
    parcel = back["subject"]
    told = {
        f"parcel {parcel} was collected and not brought back": [e for e in book if e is not back],
        f"parcel {parcel} was collected 2 times": [*book, collected],
        f"the carrier has not collected parcel {parcel}": [e for e in book if e is not collected],
        "parcel o-9999.1 was collected and is in no journal": [*book, {**collected, "subject": "o-9999.1"}],
    }
    for fault, other in told.items():
        assert any(each.startswith(fault) for each in asyncio.run(faults(journal, directory, other)))
    assert asyncio.run(faults(journal, directory, book)) == []
    orphans = asyncio.run(faults(journal, directory, book, without=parcel.rpartition(".")[0]))
    assert any(each.startswith(f"parcel {parcel} is an orphan") for each in orphans)


async def faults(journal: str, directory: Path, book: list[Entry], without: str = "") -> list[str]:
    """What the audit of goods says where the carrier's book is this one, and an order is not there."""
    other = directory / "other"
    other.mkdir(exist_ok=True)
    (other / "stock.jsonl").write_bytes((directory / "stock.jsonl").read_bytes())
    (other / "parcels.jsonl").write_text("".join(f"{json.dumps(entry)}\n" for entry in book))
    async with Client(journal, [Order]) as client:
        orders, _ = await read_orders(client)
        orders.pop(without, None)
        return list((await goods(client, other, orders)).faults)


def test_the_file_of_orders_is_what_its_script_makes() -> None:
    kept = Path(generate.__file__).with_name("orders.jsonl").read_text(encoding="utf-8")
    assert kept.splitlines() == generate.lines(300)
