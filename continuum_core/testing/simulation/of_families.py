"""Invariants of child runs. Each function yields what is wrong.

A child run begins once, by a wish of its parent; its end is told to a parent that waits for it, as it was;
one that the parent wants no more comes to an end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from msgspec import Raw

from continuum_core.journal.commit import Inspection
from continuum_core.journal.records import ENDED, DeliveryKind, RunStatus
from continuum_core.mapper import child_id, crews_of, origin_in, peek_event
from continuum_core.testing.simulation.evidence import Evidence, Story
from continuum_core.testing.simulation.fleets import WINDOW

__all__ = ["children_begin_once", "ends_are_told", "families_at_rest", "windows_hold"]

_TOLD = {
    RunStatus.COMPLETED: "done",
    RunStatus.FAILED: "RunFailed",
    RunStatus.CANCELLED: "RunCancelled",
    RunStatus.TERMINATED: "RunTerminated",
}


def children_begin_once(evidence: Evidence) -> Iterator[str]:
    """26: each was wished for by one record of its parent, and each that is wished for begins.

    One that the very same commit closes again need not be there.
    """
    wished: dict[UUID, UUID] = {}
    for story in evidence.stories.values():
        for child, commit in _wished(story):
            if child in wished:
                yield f"{story.name} started child run {child} twice"
            wished[child] = commit
            if child not in evidence.stories and (child, commit) not in _closed(story):
                yield f"{story.name} started child run {child}, which is not there"
    for run_id, story in evidence.stories.items():
        if story.found.run.parent is not None and run_id not in wished:
            yield f"{story.name} is a child run that no record of its parent asked for"


def _wished(story: Story) -> Iterator[tuple[UUID, UUID]]:
    """Every child run that a record asks for, with the record's commit."""
    for record, command in story.asked():
        if command.do == "start-run":
            yield UUID(command.to), record.commit_id


def _closed(story: Story) -> set[tuple[UUID, UUID]]:
    """Every child run that a record closes, with the record's commit."""
    return {
        (child_id(record.run_id, command.token, number), record.commit_id)
        for record, command in story.asked()
        if command.do.endswith("-runs")
        for number in command.numbers
    }


def ends_are_told(evidence: Evidence) -> Iterator[str]:
    """27: what a parent takes as the end of a child run is how that run ended."""
    for story in evidence.stories.values():
        children = {
            (command.token, command.slot): UUID(command.to)
            for _, command in story.asked()
            if command.do == "start-run"
        }
        for _, body in story.steps():
            event = body.event
            child = children.get((event.token, event.slot))
            if event.kind != DeliveryKind.OUTCOME or child is None or not isinstance(event.payload, Raw):
                continue
            word, _ = peek_event(DeliveryKind.OUTCOME, bytes(event.payload))
            ended = evidence.stories.get(child)
            status = None if ended is None else ended.found.run.status
            if status is None or _TOLD.get(status, "?") not in word:
                yield f"{story.name} was told {word!r} of child run {child}, which is {status!r}"


def windows_hold(evidence: Evidence) -> Iterator[str]:
    """28: never are more members under way than the window has room for."""
    for applied in evidence.witness.applied.values():
        for crew in crews_of(applied.commit.snapshot):
            if len(crew.open) > WINDOW:
                yield f"run {applied.commit.run_id} has {len(crew.open)} members under way, {WINDOW} may be"


def families_at_rest(found: Mapping[UUID, Inspection]) -> Iterator[str]:
    """27, 29: with nothing due, what a parent waits for is under way, and nothing else of its is."""
    for run_id, parent in found.items():
        if parent.run.status is not RunStatus.RUNNING:
            continue
        for child in _open(parent):
            there = found.get(child)
            if there is None or there.run.status in ENDED:
                yield f"run {run_id} waits for child run {child}, which will never tell it anything"
    for run_id, child_run in found.items():
        run = child_run.run
        origin = origin_in(run.snapshot, child_run.deliveries)
        if run.status is not RunStatus.RUNNING or origin is None or not origin.awaited:
            continue
        family = found.get(UUID(origin.run))
        if family is None or family.run.status in ENDED or run_id not in _open(family):
            yield f"child run {run_id} goes on, and its parent waits for it no more"


def _open(parent: Inspection) -> set[UUID]:
    """The child runs that it waits for."""
    return {
        child_id(parent.run.run_id, crew.token, number)
        for crew in crews_of(parent.run.snapshot)
        if crew.runs
        for number in crew.open
    }
