"""The tables of one namespace: dicts of frozen rows, and a note of every change for the log.

Rule: whatever changes a row goes through `Table.put` and `Table.drop`, so that the log has it and a verb that
fails can be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from attrs import frozen

from continuum_core.clock import Micros
from continuum_core.journal.commit import Ordered
from continuum_core.journal.records import ENDED, DeadLetter, Definition, Delivery, Held, Record, Run, Task

__all__ = [
    "Bucketed",
    "Change",
    "Dealt",
    "Given",
    "Seen",
    "Shared",
    "Space",
    "Table",
    "Work",
    "ended",
    "in_order",
    "leased",
]

R = TypeVar("R", bound=msgspec.Struct)


class Work(msgspec.Struct, frozen=True):
    """A task, and the fence that a RETRY or RETURN ended: it tells the repeat of one from a stranger."""

    task: Task
    ended_fence: int = 0

    @property
    def unstarted(self) -> bool:
        """Nobody can be carrying it out: never claimed, or every claim was reported."""
        return self.task.fence == 0 or (self.task.lease_until is None and self.task.losses == 0)


class Seen(msgspec.Struct, frozen=True):
    """A dedupe id; `consumed` is None while its delivery is pending."""

    run_id: UUID
    dedupe: str
    consumed: Micros | None


class Shared(msgspec.Struct, frozen=True):
    """A keyed result, or the reservation of one while `outcome` is None."""

    activity: str
    key: str
    owner: tuple[UUID, int, int]
    until: Micros
    outcome: bytes | None = None


class Given(msgspec.Struct, frozen=True):
    """An order that was answered."""

    id: UUID
    at: Micros
    answer: Ordered


class Bucketed(msgspec.Struct, frozen=True):
    """The tokens of a queue that is claimed from under a rate."""

    queue: str
    level: int
    at: Micros
    per: int


class Dealt(msgspec.Struct, frozen=True):
    """Whose turn it was."""

    queue: str
    priority: int
    key: str


@frozen
class Change:
    """One row that a verb wrote or dropped (`gone`), and what was there before."""

    table: Table[Any]
    row: msgspec.Struct
    before: msgspec.Struct | None
    gone: bool


class Table(Generic[R]):
    """Rows by their keys, and by the first part of them.

    :param key: a row's key; its first part groups rows, such as those of one run.
    """

    def __init__(
        self, name: str, kind: type[R], key: Callable[[R], tuple[Any, ...]], changes: list[Change]
    ) -> None:
        self.name = name
        self.kind = kind
        self._key = key
        self._changes = changes
        self._rows: dict[Any, dict[tuple[Any, ...], R]] = {}

    def get(self, *key: Any) -> R | None:
        return self._rows.get(key[0], {}).get(key)

    def of(self, first: Any) -> list[R]:
        """The rows whose keys begin so."""
        return list(self._rows.get(first, {}).values())

    def all(self) -> Iterator[R]:
        for rows in self._rows.values():
            yield from rows.values()

    def put(self, row: R) -> None:
        self._changes.append(Change(self, row, self.set(row), gone=False))

    def drop(self, row: R) -> None:
        self._changes.append(Change(self, row, self.unset(row), gone=True))

    def drop_all(self, first: Any) -> None:
        for row in self.of(first):
            self.drop(row)

    def set(self, row: R) -> R | None:
        """Keep a row without noting it; what was there."""
        key = self._key(row)
        rows = self._rows.setdefault(key[0], {})
        before = rows.get(key)
        rows[key] = row
        return before

    def unset(self, row: R) -> R | None:
        """Forget a row without noting it; what was there."""
        key = self._key(row)
        rows = self._rows.get(key[0], {})
        before = rows.pop(key, None)
        if not rows:
            self._rows.pop(key[0], None)
        return before


class Space:
    """One namespace.

    :ivar changes: what the verb under way has changed, in order.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.changes: list[Change] = []
        self.tables: dict[str, Table[Any]] = {}
        self.runs = self._table("runs", Run, lambda run: (run.run_id,))
        self.records = self._table("records", Record, lambda record: (record.run_id, record.version))
        self.deliveries = self._table("deliveries", Delivery, lambda one: (one.run_id, one.id))
        self.tasks = self._table(
            "tasks", Work, lambda work: (work.task.run_id, work.task.token, work.task.slot)
        )
        self.seen = self._table("seen", Seen, lambda seen: (seen.run_id, seen.dedupe))
        self.shared = self._table("shared", Shared, lambda shared: (shared.activity, shared.key))
        self.orders = self._table("orders", Given, lambda order: (order.id,))
        self.dead = self._table(
            "dead", DeadLetter, lambda letter: (letter.delivery.run_id, letter.delivery.id)
        )
        self.defined = self._table("defined", Definition, lambda definition: (definition.fingerprint,))
        self.buckets = self._table("buckets", Bucketed, lambda bucket: (bucket.queue,))
        self.dealt = self._table("dealt", Dealt, lambda dealt: (dealt.queue, dealt.priority))

    def _table(self, name: str, kind: type[R], key: Callable[[R], tuple[Any, ...]]) -> Table[R]:
        table = self.tables[name] = Table(name, kind, key, self.changes)
        return table

    def history(self, run_id: UUID) -> list[Record]:
        """The records of a run, ascending."""
        return sorted(self.records.of(run_id), key=lambda record: record.version)

    def free(self, run_id: UUID) -> list[Delivery]:
        """A run's deliveries that are not held, in (due, id) order."""
        return sorted((one for one in self.deliveries.of(run_id) if one.held is Held.NO), key=in_order)


def in_order(delivery: Delivery) -> tuple[Micros, int]:
    """(due, id). A stored delivery has a due time."""
    return (delivery.due or 0, delivery.id.int)


def ended(run: Run) -> bool:
    return run.status in ENDED


def leased(run: Run, now: Micros) -> bool:
    return run.lease_until is not None and run.lease_until > now
