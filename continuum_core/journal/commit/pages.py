"""What is looked at, page by page, and what is pruned: for people and their clients, never for the engine."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from continuum_core.clock import Micros
from continuum_core.journal.records import DeadLetter, Delivery, Run, RunStatus, Task

__all__ = ["Inspection", "Page", "PrunePlan", "Pruned", "Query"]


class Query(Struct, frozen=True, gc=False):
    """Which runs: all fields given must match. Order: newest first by (created, run_id)."""

    machine: str | None = None
    status: RunStatus | None = None
    parent: UUID | None = None
    created_from: Micros | None = None
    created_to: Micros | None = None


class Page(Struct, frozen=True, gc=False):
    """Runs, and the cursor of the next page; None when this is the last."""

    runs: tuple[Run, ...]
    cursor: str | None


class Inspection(Struct, frozen=True, gc=False):
    """A run with all that it has open.

    :ivar places: for each of `tasks`, how many tasks of its queue are claimed before it if no others come:
        `PLACES` stands for as many or more, None for a task that is leased, not due yet, or `unneeded`, which
        counts in no other's place either.
    """

    run: Run
    deliveries: tuple[Delivery, ...]
    tasks: tuple[Task, ...]
    dead: tuple[DeadLetter, ...]
    places: tuple[int | None, ...] = ()


class PrunePlan(Struct, frozen=True, gc=False):
    """Delete whole ended runs last updated before `before`, at most `limit` of them.

    :ivar generations: also delete the records and members of past generations that were over before
        `before`, of runs that have not ended; at most `limit` of those, the oldest first
        (`Capability.FORGETS`).
    """

    before: Micros
    limit: int
    machine: str | None = None
    statuses: frozenset[RunStatus] = frozenset()  # empty: every ended status
    dry_run: bool = False
    generations: bool = False


class Pruned(Struct, frozen=True, gc=False):
    runs: int
    records: int  # of those runs and generations
    expired: int  # entries past their window: dedupe ids, keyed results and reservations, answers to orders
    generations: int = 0  # past ones, whose records went without their run
    eternal: int = 0  # runs that the plan asks for and that are never pruned; counted up to its limit
    blobs: int = 0  # payloads that were kept apart: those runs', and such as no row refers to any more
