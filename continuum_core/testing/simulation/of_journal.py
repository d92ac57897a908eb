"""Invariants of the journal: 1-8 of the project's list. Each function yields what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from continuum_core.definition.compatibility import compare
from continuum_core.definition.fingerprint import graph
from continuum_core.definition.upgrade import way
from continuum_core.envelope import OriginBody, StepBody
from continuum_core.interpreter.macrostep import step
from continuum_core.interpreter.snapshot import Disposition
from continuum_core.journal.records import ENDED, DeliveryKind, Record, RecordKind, RunStatus
from continuum_core.mapper import (
    decode_event,
    decode_image,
    decode_migration,
    encode_image,
    imaged,
    migrated,
    origin_in,
    unborn,
)
from continuum_core.registry import Entry, Registry
from continuum_core.testing.simulation.evidence import Evidence

__all__ = [
    "fences_never_decrease",
    "nothing_follows_the_end",
    "records_are_gap_free",
    "records_are_those_committed",
    "records_fold_to_snapshots",
]


def records_are_gap_free(evidence: Evidence) -> Iterator[str]:
    """1: versions are exactly 1..n, and the run's version is n."""
    for story in evidence.stories.values():
        versions = [record.version for record in story.records]
        if versions != list(range(1, len(versions) + 1)) or story.found.run.version != len(versions):
            yield f"{story.name} has records {versions} at version {story.found.run.version}"
        times = [record.at for record in story.records]
        if times != sorted(times):
            yield f"{story.name} has records at times that go back"


def records_are_those_committed(evidence: Evidence) -> Iterator[str]:
    """1, 4, 8: what is stored is what took effect, once, whole, in that order, and nothing else."""
    witness = evidence.witness
    for run_id, story in evidence.stories.items():
        stored = list(dict.fromkeys(record.commit_id for record in story.records))
        if stored != witness.order.get(run_id, []):
            yield f"{story.name} holds other commits than those that took effect"
        for commit_id in stored:
            mine = tuple(r for r in story.records if r.commit_id == commit_id)
            applied = witness.applied.get(commit_id)
            if applied is not None and mine != applied.commit.records:
                yield f"{story.name} holds other records of commit {commit_id} than were written"


def fences_never_decrease(evidence: Evidence) -> Iterator[str]:
    """2, 3: along a journal, the fences under which it was written never decrease."""
    witness = evidence.witness
    for run_id, story in evidence.stories.items():
        last = 0
        for commit_id in witness.order.get(run_id, []):
            applied = witness.applied.get(commit_id)
            if applied is None or applied.commit.fence is None:
                continue
            if applied.commit.fence < last:
                yield f"{story.name} was written under fence {applied.commit.fence} after {last}"
            last = applied.commit.fence
        if story.found.run.fence < last:
            yield f"{story.name} has fence {story.found.run.fence}, was written under {last}"


def records_fold_to_snapshots(evidence: Evidence) -> Iterator[str]:
    """5: folding the records through `step` gives the stored snapshot, at every commit."""
    for run_id, story in evidence.stories.items():
        folding = _Folding(evidence.registry, run_id, origin_in(story.found.run.snapshot))
        for record, body in zip(story.records, story.bodies, strict=True):
            wrong = folding.take(record, body)
            if wrong:
                yield f"{story.name}, record {record.version}: {wrong}"
                break
            applied = evidence.witness.applied.get(record.commit_id)
            if applied is None or applied.commit.after != record.version:
                continue
            if applied.commit.snapshot != folding.snapshot():
                yield f"{story.name}, record {record.version}: the snapshot is not the fold"
                break
        else:
            if story.found.run.snapshot and story.found.run.snapshot != folding.snapshot():
                yield f"{story.name}: the stored snapshot is not the fold"


class _Folding:
    """A run as its records tell it, each folded through the very definition that it ran under."""

    def __init__(self, registry: Registry, run_id: UUID, origin: OriginBody | None) -> None:
        self.registry = registry
        self.run_id = run_id
        self.image = replace(unborn(), origin=origin)  # a cancel may come before the start that tells it
        self.entry: Entry | None = None

    def snapshot(self) -> bytes:
        return encode_image(self.entry, self.image) if self.entry is not None and self.image.context else b""

    def take(self, record: Record, body: StepBody | None) -> str:
        """Fold one record in; what is wrong with it, or ""."""
        if record.kind is RecordKind.MIGRATION:
            return self._migrate(record)
        if body is None:
            self.image = replace(self.image, snapshot=replace(self.image.snapshot, version=record.version))
            return ""
        return self._step(record, body)

    def _migrate(self, record: Record) -> str:
        told = decode_migration(record)
        before, entry = self.entry, self.registry.entry(told.fingerprint)
        if before is None or before.fingerprint != told.since or before.chart.version != told.since_version:
            return "it was moved from a definition that it did not have"
        if self.snapshot() != bytes(told.before):
            return "it was moved from another snapshot"
        there, obstacles = way(graph(before.chart), entry.chart)
        if there is None:
            return f"it was moved where no way leads: {obstacles}"
        made = migrated(entry, there, self.run_id, record.version - 1, bytes(told.before), record.at)
        self.entry, self.image = entry, made.image
        return "" if self.snapshot() == bytes(told.after) else "it was moved into another snapshot"

    def _step(self, record: Record, body: StepBody) -> str:
        entry = self.registry.entry(body.fingerprint)
        if self.entry is not None and entry is not self.entry:
            if compare(graph(self.entry.chart), graph(entry.chart)).blocking:
                return "it ran under logic that was not chosen for it"
            self.image = decode_image(entry, self.image.snapshot.version, self.snapshot())
        self.entry, before = entry, self.image.snapshot
        payload = bytes(body.event.payload) if isinstance(body.event.payload, Raw) else b""
        kind, token = DeliveryKind(body.event.kind), body.event.token
        event = decode_event(entry, before, kind, payload, token, body.event.slot, body.event.due)
        made = step(entry.program, before, event, record.at, self.run_id.bytes, renewed=body.patches)
        self.image = imaged(entry, self.image, made.snapshot)
        living = token in before.tokens.values() or token in before.crews
        if token and made.disposition is Disposition.TAKEN and not living:
            return "took what a dead state entry had asked for"
        if tuple(body.states) != entry.leaves(made.snapshot.configuration):
            return "folds to other states"
        return ""


def nothing_follows_the_end(evidence: Evidence) -> Iterator[str]:
    """6: exactly one terminal record, the last; what ended has nothing open."""
    for story in evidence.stories.values():
        run = story.found.run
        ends = [body is not None and body.outcome is not msgspec.UNSET for body in story.bodies]
        if any(ends[:-1]):
            yield f"{story.name} went on after its end"
        by_order = run.status is RunStatus.TERMINATED and bool(ends) and story.bodies[-1] is None
        if ends and ends[-1] != (run.status in ENDED and not by_order):
            yield f"{story.name} is {run.status.name} and its last record says otherwise"
        if run.status not in ENDED:
            continue
        if story.found.deliveries:
            yield f"{story.name} is over and still has deliveries"
        if run.outcome is None:
            yield f"{story.name} is over without an outcome"
        if any(task.fence == 0 for task in story.found.tasks):
            yield f"{story.name} is over and still has a task that nobody began"
