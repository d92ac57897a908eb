"""Invariants of runs that are bounded in time. Each yields what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from continuum_core.interpreter.bounds import DEADLINE, FORCED, OWN
from continuum_core.journal.records import ENDED, DeliveryKind, Record, RecordKind
from continuum_core.mapper import decode_control
from continuum_core.testing.simulation.evidence import Evidence, Story
from continuum_core.testing.simulation.lates import LATE

__all__ = ["late_runs_end"]


def late_runs_end(evidence: Evidence) -> Iterator[str]:
    """26: a run that has a deadline, and a time to stop in, is over by itself; the deadline comes once."""
    for story in evidence.stories.values():
        if story.found.run.machine != LATE or not _has_deadline(story):
            continue
        if story.found.run.status not in ENDED or any(map(_ended_by_operator, story.records)):
            yield f"{story.name} outlived its deadline"
        came = sum(
            body.event.kind == DeliveryKind.TIMER
            and body.event.token == OWN
            and body.event.slot in (DEADLINE, FORCED)
            for _, body in story.steps()
        )
        if came > 1:
            yield f"{story.name}: its deadline came {came} times"


def _has_deadline(story: Story) -> bool:
    return any(
        command.do == "start-timer" and (command.token, command.slot) == (OWN, DEADLINE)
        for _, command in story.asked()
    )


def _ended_by_operator(record: Record) -> bool:
    """Whether it is the order of the one who ends, when all is quiet, what did not end by itself."""
    if record.kind is not RecordKind.CONTROL:
        return False
    order = decode_control(record)
    return order.why == "operator" and order.order in ("cancel", "terminate")
