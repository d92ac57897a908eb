"""The demo from the first order placed to the account: who does what, in which order."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from continuum_core import Client
from continuum_core.definition.svg import svg
from continuum_demo.audit import audit
from continuum_demo.crew import Killed, crew, kill_in_a_charge, watch
from continuum_demo.intake import read
from continuum_demo.ledger import entries
from continuum_demo.machine import Order
from continuum_demo.order import Receipt, Verdict
from continuum_demo.report import Account, Interrupted
from continuum_demo.shop import Intake, Placed, act, ending, place
from continuum_demo.worker import LEASE

__all__ = ["Plan", "play"]

_PATIENCE = 60.0
"""Seconds after which an order that has not ended is called unfinished."""


@frozen
class Plan:
    """What was asked for.

    :ivar directory: where the services keep their books, and the workers their logs.
    :ivar seed: in which order customers act.
    """

    orders: Path
    journal: str
    namespace: str
    directory: Path
    workers: int
    seed: int
    kill: bool

    @property
    def payments(self) -> Path:
        return self.directory / "payments.jsonl"


@frozen
class _Played:
    intake: Intake
    endings: tuple[Receipt | Verdict | None, ...]
    late: int
    killed: Killed | None


async def play(plan: Plan, console: Console) -> Account:
    """Carry the plan out. Raises NoWorkers when all workers stop by themselves."""
    began = time.monotonic()
    async with Client(plan.journal, [Order], namespace=plan.namespace) as client:
        async with crew(plan.workers, plan.journal, plan.namespace, plan.directory) as workers:
            played = await _supervised(plan, console, client, workers)
        interrupted = None if played.killed is None else await _interrupted(client, plan, played.killed)
    visited = frozenset[str]() if interrupted is None else interrupted.visited()
    (plan.directory / "order.svg").write_text(svg(Order.chart, active=visited), encoding="utf-8")
    async with Client(plan.journal, [Order], namespace=plan.namespace) as auditor:
        audited = await audit(auditor, plan.directory)
    return Account(
        file=plan.orders,
        directory=plan.directory,
        seconds=time.monotonic() - began,
        endings=played.endings,
        repeated=tuple(played.intake.repeated),
        refused=tuple(played.intake.refused),
        late=played.late,
        audit=audited,
        interrupted=interrupted,
        killing=plan.kill,
    )


async def _supervised(plan: Plan, console: Console, client: Client, workers: Sequence[Process]) -> _Played:
    """What happens while there are workers."""
    try:
        async with asyncio.TaskGroup() as tasks:
            guard = tasks.create_task(watch(workers, plan.directory))
            pids = ", ".join(str(worker.pid) for worker in workers)
            kind = plan.journal.partition(":")[0]
            _say(console, f"{len(workers)} workers (pids {pids}) on a journal of {kind}")
            intake = await place(client, read(plan.orders))
            _say(console, f"{len(intake.placed)} orders placed, {len(intake.refused)} lines refused")
            acting = tasks.create_task(act(intake.placed, plan.seed))
            killing = tasks.create_task(_kill(plan, console, workers))
            endings = await _endings(console, intake.placed)
            late = await acting
            killing.cancel()  # if no charge was slow enough to be caught, none will be
            guard.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return _Played(intake, endings, late, killing.result() if _ended(killing) else None)


def _ended(task: asyncio.Task[Killed | None]) -> bool:
    return task.done() and not task.cancelled()


async def _kill(plan: Plan, console: Console, workers: Sequence[Process]) -> Killed | None:
    if not plan.kill:
        return None
    killed = await kill_in_a_charge(workers, plan.payments, _PATIENCE)
    if killed is not None:
        _say(console, f"kill -9 {killed.pid}, in the middle of charging for {killed.order_id}", "bold red")
        _say(console, f"what it held is free when its lease has run out ({LEASE:g} s); the others go on")
    return killed


async def _endings(console: Console, placed: Sequence[Placed]) -> tuple[Receipt | Verdict | None, ...]:
    """How each order ends, with a bar that tells how many have."""
    columns = (TextColumn("orders ended"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("orders", total=len(placed))

        async def one(each: Placed) -> Receipt | Verdict | None:
            ended = await ending(each.handle, _PATIENCE)
            progress.advance(bar)
            return ended

        return tuple(await asyncio.gather(*map(one, placed)))


async def _interrupted(client: Client, plan: Plan, killed: Killed) -> Interrupted:
    steps = await client.get(Order, killed.order_id).history()
    book = (entry for entry in entries(plan.payments) if entry["subject"].startswith(f"{killed.order_id}/"))
    return Interrupted(killed, tuple(steps), tuple(book))


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(text, style=style, highlight=False)
