"""What the journal says of orders and their parcels, for the audit; and whether each history is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from attrs import frozen

from continuum_core import Client
from continuum_core.view import RunView
from continuum_demo.machine import Progress
from continuum_demo.parcel import Journey

__all__ = ["Ended", "Sent", "read_orders", "read_parcels"]


@frozen
class Ended:
    """An order as the journal has it."""

    run: UUID
    progress: Progress
    completed: bool


@frozen
class Sent:
    """A parcel as the journal has it; `parent` is the run that started it."""

    run: UUID
    parent: UUID | None
    journey: Journey
    collected: bool


async def read_orders(client: Client) -> tuple[dict[str, Ended], list[str]]:
    """Every order of the journal by its id, and what is wrong with their runs."""
    found: dict[str, Ended] = {}
    faults: list[str] = []
    async for run in _runs(client, "order", faults):
        assert isinstance(run.context, Progress)
        completed = run.states == ("completed",)
        found[run.context.order.order_id] = Ended(run.id, run.context, completed)
    return found, faults


async def read_parcels(client: Client) -> tuple[list[Sent], list[str]]:
    """Every parcel of the journal, and what is wrong with their runs."""
    found: list[Sent] = []
    faults: list[str] = []
    async for run in _runs(client, "parcel", faults):
        assert isinstance(run.context, Journey)
        found.append(Sent(run.id, run.parent, run.context, run.states == ("collected",)))
    return found, faults


async def _runs(client: Client, machine: str, faults: list[str]) -> AsyncIterator[RunView]:
    cursor: str | None = None
    while True:
        page, cursor = await client.list(machine=machine, cursor=cursor)
        for run in page:
            name = f"{machine} {run.key or run.id}"
            if run.outcome is None:
                faults.append(f"{name} has not ended: {', '.join(run.states)} ({run.status.name.lower()})")
            steps = await client.history(run.id)
            if [step.version for step in steps] != list(range(1, run.version + 1)):
                faults.append(f"the journal of {name} has gaps")
            if run.context is None:
                faults.append(f"{name} was never begun")
            else:
                yield run
        if cursor is None:
            return
