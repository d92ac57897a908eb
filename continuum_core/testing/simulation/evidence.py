"""What is known of a schedule that is over: what the invariants are judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from attrs import define, field
from msgspec import Raw

from continuum_core.envelope import CommandBody, StepBody
from continuum_core.interpreter.snapshot import Disposition
from continuum_core.journal.commit import Inspection
from continuum_core.journal.records import DeliveryKind, Record, RecordKind
from continuum_core.mapper import (
    decode_migration,
    decode_step,
    peek_event,
)
from continuum_core.registry import Registry
from continuum_core.testing.simulation.bodies import Ledger
from continuum_core.testing.simulation.store import Witness
from continuum_core.testing.simulation.workload import Result

__all__ = ["Evidence", "Story", "accounted", "signals"]


_DEFERRED = Disposition.DEFERRED.value


_STEPS = (RecordKind.STEP, RecordKind.GENERATION)


@define
class Story:
    """One run at the end: its rows, its records, and the bodies of its steps (None for an order's)."""

    found: Inspection
    records: Sequence[Record]
    bodies: Sequence[StepBody | None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.bodies = [decode_step(r) if r.kind in _STEPS else None for r in self.records]

    @property
    def name(self) -> str:
        return f"{self.found.run.machine} {self.found.run.run_id}"

    def steps(self) -> Iterator[tuple[Record, StepBody]]:
        for record, body in zip(self.records, self.bodies, strict=True):
            if body is not None:
                yield record, body

    def asked(self) -> Iterator[tuple[Record, CommandBody]]:
        """Every wish of every record, in order: steps have some, and migrations."""
        for record, body in zip(self.records, self.bodies, strict=True):
            if body is not None:
                yield from ((record, command) for command in body.commands)
            elif record.kind is RecordKind.MIGRATION:
                yield from ((record, command) for command in decode_migration(record).commands)


@define
class Evidence:
    """All that is known of a schedule that is over.

    :ivar gentle: nothing happened through which a lease could run out.
    """

    stories: Mapping[UUID, Story]
    witness: Witness
    ledger: Ledger
    results: Sequence[Result]
    registry: Registry
    gentle: bool


# --- events ---


def signals(story: Story) -> Iterator[tuple[str, str, int, bool]]:
    """(event, sender, number, consumed) of every signal that was folded, in order."""
    for _, body in story.steps():
        if body.event.kind == DeliveryKind.SIGNAL and isinstance(body.event.payload, Raw):
            name, data = peek_event(DeliveryKind.SIGNAL, bytes(body.event.payload))
            yield name, data["sender"], data["number"], body.disposition != _DEFERRED


def accounted(story: Story) -> Counter[tuple[str, int]]:
    """How often each event (sender, number) is somewhere: consumed, waiting, or dead."""
    found: Counter[tuple[str, int]] = Counter()
    for _, sender, number, consumed in signals(story):
        found[sender, number] += consumed
    for delivery in (*story.found.deliveries, *(letter.delivery for letter in story.found.dead)):
        if delivery.kind is DeliveryKind.SIGNAL:
            _, data = peek_event(delivery.kind, delivery.payload)
            found[data["sender"], data["number"]] += 1
    return found
