"""The demo as a command: `continuum demo`, or `python -m continuum_demo.run`."""

from __future__ import annotations

import argparse
import asyncio
import io
import shutil
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from continuum_core import ContinuumError
from continuum_demo.crew import NoWorkers
from continuum_demo.machine import Order
from continuum_demo.report import Account, facts, show_account, show_interrupted
from continuum_demo.scene import Plan, play

__all__ = ["main"]

_ORDERS = Path(__file__).with_name("orders.jsonl")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when every order is accounted for and the audit holds, else 1."""
    arguments = _arguments(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks an arrow still gets the account
    directory = Path(tempfile.mkdtemp(prefix="continuum-demo-"))
    plan = Plan(
        orders=arguments.orders,
        journal=arguments.journal or f"sqlite:///{directory}/orders.db",
        # A journal that somebody named may hold the orders of an earlier demo, under the same keys.
        namespace="default" if arguments.journal is None else f"demo-{uuid.uuid4().hex[:8]}",
        directory=directory,
        workers=arguments.workers,
        seed=arguments.seed,
        kill=arguments.kill,
    )
    console = Console(stderr=arguments.json)
    try:
        account = asyncio.run(play(plan, console))
    except (ContinuumError, NoWorkers, OSError) as error:
        print(f"continuum demo: {error}\nWhat there is lies in {directory}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped; what there is lies in {directory}", file=sys.stderr)
        return 130
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(facts(account))).decode())
    else:
        if account.interrupted is not None:
            show_interrupted(console, account.interrupted)
        show_account(console, account)
    if arguments.keep or not account.holds:
        _say_where(console, plan, account)
    else:
        shutil.rmtree(directory)
    return 0 if account.holds else 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="continuum demo",
        description="Process a file of orders with two workers, kill one in the middle of a charge, and show "
        "that every order and parcel is accounted for and that no card was charged twice.",
    )
    parser.add_argument("--orders", metavar="FILE", type=Path, default=_ORDERS, help="a file of orders")
    parser.add_argument("--journal", metavar="URL", help="the journal; a fresh SQLite file unless given")
    parser.add_argument("--workers", metavar="N", type=int, default=2, help="worker processes (2)")
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="in which order customers act (1)")
    parser.add_argument("--no-kill", dest="kill", action="store_false", help="let all workers live")
    parser.add_argument("--keep", action="store_true", help="keep journal, ledgers, logs and the picture")
    parser.add_argument("--json", action="store_true", help="print the account as JSON, all else to stderr")
    arguments = parser.parse_args(argv)
    if arguments.workers < (2 if arguments.kill else 1):
        parser.error("a worker that is killed needs another one that goes on: --workers 2, or --no-kill")
    if not arguments.orders.is_file():
        parser.error(f"there is no file {arguments.orders}")
    if (arguments.journal or "").startswith("memory:"):
        parser.error("several processes cannot share a memory journal")
    return arguments


def _say_where(console: Console, plan: Plan, account: Account) -> None:
    """What is kept, and how to look further."""
    files = ", ".join(sorted(path.name for path in plan.directory.iterdir()))
    where = f"--journal {plan.journal}"
    if plan.namespace != "default":
        where += f" --namespace {plan.namespace}"
    lines = [f"\nkept in {plan.directory}: {files}", "look further:", f"  continuum list {where}"]
    if account.interrupted is not None:
        order = account.interrupted.killed.order_id
        lines.append(f"  continuum history order/{order} --app {Order.__module__}:Order {where}")
    lines += [f"  continuum graph order/{order} {where}" for order in account.audit.goods.compensated[:1]]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
