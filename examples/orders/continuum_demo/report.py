"""What the demo prints, for a terminal of 80 columns, with colours or without."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import frozen
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from continuum_core.definition.terminal import terminal
from continuum_core.view import Step
from continuum_demo.audit import Audit
from continuum_demo.crew import Killed
from continuum_demo.intake import Refused
from continuum_demo.ledger import Entry
from continuum_demo.machine import Order
from continuum_demo.order import Receipt, Verdict

__all__ = ["Account", "Interrupted", "facts", "show_account", "show_interrupted"]


@frozen
class Interrupted:
    """The order whose worker was killed: its journal, and what the payment provider saw of it."""

    killed: Killed
    steps: tuple[Step, ...]
    payments: tuple[Entry, ...]

    def visited(self) -> frozenset[str]:
        """The states it went through."""
        return frozenset(state for step in self.steps for state in step.states)

    def resumed(self) -> Entry | None:
        """The request of the worker that took over."""
        after = (e for e in self.payments if e["what"] == "asked" and e["pid"] != self.killed.pid)
        return next(after, None)


@frozen
class Account:
    """Every line of the file, and how it all ended."""

    file: Path
    directory: Path
    seconds: float
    endings: tuple[Receipt | Verdict | None, ...]
    repeated: tuple[int, ...]
    refused: tuple[Refused, ...]
    late: int
    audit: Audit
    interrupted: Interrupted | None
    killing: bool

    @property
    def lines(self) -> int:
        return len(self.endings) + len(self.repeated) + len(self.refused)

    def completed(self) -> int:
        return sum(isinstance(ending, Receipt) for ending in self.endings)

    def verdicts(self) -> Counter[str]:
        """Why orders were not completed, most frequent first."""
        return Counter(ending.why.value for ending in self.endings if isinstance(ending, Verdict))

    def unfinished(self) -> int:
        return sum(ending is None for ending in self.endings)

    @property
    def holds(self) -> bool:
        """Whether every order ended, the books agree, and the killed worker's order was taken over."""
        return self.audit.holds and not self.unfinished() and (self.resumed() or not self.killing)

    def resumed(self) -> bool:
        """Whether a worker was killed in a charge, and another took over."""
        return self.interrupted is not None and self.interrupted.resumed() is not None


def facts(account: Account) -> dict[str, Any]:
    """The account as JSON values."""
    interrupted, audit = account.interrupted, account.audit
    resumed = None if interrupted is None else interrupted.resumed()
    return {
        "holds": account.holds,
        "file": str(account.file),
        "directory": str(account.directory),
        "seconds": round(account.seconds, 1),
        "lines": account.lines,
        "completed": account.completed(),
        "not_completed": dict(account.verdicts().most_common()),
        "unfinished": account.unfinished(),
        "too_late": account.late,
        "repeated": list(account.repeated),
        "refused": [{"line": refused.line, "reason": refused.reason} for refused in account.refused],
        "killed": None
        if interrupted is None
        else {
            "pid": interrupted.killed.pid,
            "order": interrupted.killed.order_id,
            "reference": interrupted.killed.reference,
            "resumed_by": None if resumed is None else resumed["pid"],
            "losses": None if resumed is None else resumed["losses"],
            "states": [list(step.states) for step in interrupted.steps],
        },
        "audit": {
            "orders": audit.orders,
            "charges": audit.charges,
            "repeats": audit.repeats,
            "refunds": audit.refunds,
            "charged_twice": list(audit.charged_twice),
            "taken": audit.taken,
            "earned": audit.earned,
            "parcels": audit.goods.parcels,
            "collected": audit.goods.collected,
            "declined": audit.goods.declined,
            "recalled": audit.goods.recalled,
            "compensated": list(audit.goods.compensated),
            "faults": list(audit.faults),
        },
    }


# --- the interrupted order ----------------------------------------------------------------------------


def show_interrupted(console: Console, interrupted: Interrupted) -> None:
    """The order's journal and the provider's book in one time, then the way it took through the machine."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("seconds", "who", "what happened"):
        table.add_column(column, justify="right" if column == "seconds" else "left", overflow="fold")
    rows = sorted(_rows(interrupted), key=lambda row: row[0])
    for at, who, what, style in rows:
        table.add_row(f"{(at - rows[0][0]).total_seconds():.2f}", who, escape(what), style=style)
    console.rule(
        f"Order {interrupted.killed.order_id}: its journal, beside the provider's ledger", align="left"
    )
    console.print(table)
    console.rule("The machine; ● marks the states this order went through", align="left")
    drawing = terminal(
        Order.chart,
        interrupted.visited(),
        width=min(console.width, 100),
        ascii_only=not console.encoding.lower().startswith("utf"),
    )
    console.print(drawing, end="", highlight=False, markup=False)


_WORDS = {
    "asked": "asked to charge {subject} (attempt {attempt}, losses {losses})",
    "charged": "the card is charged; the answer is slow",
    "repeat": "known already: {charge}, not charged again",
    "declined": "card declined",
    "answered": "answered {charge}",
    "refunded": "refunded",
}

Row = tuple[datetime, str, str, str]


def _rows(interrupted: Interrupted) -> list[Row]:
    killed = interrupted.killed
    rows: list[Row] = [(killed.at, "demo", f"kill -9 {killed.pid}", "bold red")]
    for step in interrupted.steps:
        rows.append((step.at, f"journal {step.version}", _step(step), "cyan"))
    for entry in interrupted.payments:
        at = datetime.fromisoformat(entry["at"])
        what = str(entry["what"])
        words = _WORDS.get(what, what).format_map(entry)
        rows.append((at, f"worker {entry['pid']}", words, ""))
    return rows


def _step(step: Step) -> str:
    """What a step did: the edges it took; its event where it took none."""
    if step.disposition != "taken":
        return f"{step.event}: {step.disposition}"
    edges = "; ".join(step.edges) or f"{step.event} → {', '.join(step.states)}"
    return re.sub(r"(\w+\.)+", "", edges)  # within this machine the last part of a path is enough


# --- the account --------------------------------------------------------------------------------------


def show_account(console: Console, account: Account) -> None:
    """Every line of the file, then the audit."""
    console.rule(f"Every line of {account.file.name}, accounted for", align="left")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_row(str(account.completed()), "completed")
    for why, count in account.verdicts().most_common():
        table.add_row(str(count), f"not completed: {why}")
    if account.unfinished():
        table.add_row(str(account.unfinished()), "NOT FINISHED", style="bold red")
    for line in account.repeated:
        table.add_row("1", f"line {line}: sent twice; it is the same order, and one run")
    for refused in account.refused:
        table.add_row("1", f"line {refused.line} refused: {escape(refused.reason)}")
    table.add_row(str(account.lines), f"lines, in {account.seconds:.1f} s", style="bold")
    console.print(table)
    _show_audit(console, account.audit)
    if account.killing and not account.resumed():
        console.print("✗ no worker was killed in a charge and another took over", style="bold red")


def _show_audit(console: Console, audit: Audit) -> None:
    console.rule("The payment provider's ledger, held against the journal", align="left")
    console.print(f"{audit.charges} cards charged, {audit.refunds} of them refunded,", end=" ")
    console.print(f"{len(audit.charged_twice)} charged twice", style="bold", end=" ")
    console.print(f"({audit.repeats} requests were repeats)")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("", "taken, by the ledger", "earned, by the journal"):
        table.add_column(column, justify="right")
    for currency in sorted({*audit.taken, *audit.earned}):
        both = (audit.taken.get(currency, 0), audit.earned.get(currency, 0))
        table.add_row(currency, *(f"{cents / 100:,.2f}" for cents in both))
    console.print(table)
    console.rule("The carrier's book, held against the child runs", align="left")
    goods = audit.goods
    console.print(f"{goods.parcels} parcels, each a child run of its order:", end=" ")
    console.print(f"{goods.collected} collected, {goods.declined} declined.", end=" ")
    console.print(
        f"{len(goods.compensated)} orders lost a parcel that way: {goods.recalled} others came back"
    )
    for fault in audit.faults:
        console.print(f"✗ {escape(fault)}", style="bold red")
    if audit.holds:
        console.print("The audit holds.", style="bold green")
