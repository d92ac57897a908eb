"""Invariants of the journal: 1-8 of the project's list. Each function yields what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from continuum_core.interpreter.macrostep import step
from continuum_core.interpreter.snapshot import Disposition
from continuum_core.journal.records import ENDED, DeliveryKind, RunStatus
from continuum_core.mapper import (
    Image,
    decode_event,
    encode_image,
    imaged,
    unborn,
)
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
        entry = evidence.registry.entry(story.found.run.fingerprint)
        image = unborn()
        for record, body in zip(story.records, story.bodies, strict=True):
            if body is None:
                image = Image(replace(image.snapshot, version=record.version), image.context)
            else:
                payload = bytes(body.event.payload) if isinstance(body.event.payload, Raw) else b""
                kind = DeliveryKind(body.event.kind)
                event = decode_event(entry, image.snapshot, kind, payload, body.event.token, body.event.slot)
                made = step(entry.program, image.snapshot, event, record.at, run_id.bytes)
                token = body.event.token
                if (
                    token
                    and made.disposition is Disposition.TAKEN
                    and token not in image.snapshot.tokens.values()
                ):
                    yield f"{story.name}, record {record.version}: took what a dead state entry had asked for"
                image = imaged(entry, image, made.snapshot)
                if tuple(body.states) != entry.leaves(made.snapshot.configuration):
                    yield f"{story.name}, record {record.version}: folds to other states"
                    break
            applied = evidence.witness.applied.get(record.commit_id)
            if applied is None or applied.commit.records[-1].version != record.version:
                continue
            if applied.commit.snapshot != (encode_image(entry, image) if image.context else b""):
                yield f"{story.name}, record {record.version}: the snapshot is not the fold"
                break
        else:
            if story.found.run.snapshot and story.found.run.snapshot != encode_image(entry, image):
                yield f"{story.name}: the stored snapshot is not the fold"


def nothing_follows_the_end(evidence: Evidence) -> Iterator[str]:
    """6: exactly one terminal record, the last; what ended has nothing open."""
    for story in evidence.stories.values():
        run = story.found.run
        ends = [body is not None and body.outcome is not msgspec.UNSET for body in story.bodies]
        if any(ends[:-1]):
            yield f"{story.name} went on after its end"
        if ends and ends[-1] != (run.status in ENDED and run.status is not RunStatus.TERMINATED):
            yield f"{story.name} is {run.status.name} and its last record says otherwise"
        if run.status not in ENDED:
            continue
        if story.found.deliveries:
            yield f"{story.name} is over and still has deliveries"
        if run.outcome is None:
            yield f"{story.name} is over without an outcome"
        if any(task.fence == 0 for task in story.found.tasks):
            yield f"{story.name} is over and still has a task that nobody began"
