"""Invariants of activities: 11-16 of the project's list. Each function yields what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Raw

from continuum_core.journal.commit import FinishKind, FinishOutcome
from continuum_core.journal.records import DeliveryKind
from continuum_core.mapper import peek_event
from continuum_core.testing.simulation.bodies import Fate
from continuum_core.testing.simulation.evidence import Evidence

__all__ = [
    "attempts_stay_within_limits",
    "executions_have_reasons",
    "keyed_bodies_succeed_once",
    "only_the_holder_finishes",
    "outcomes_are_applied_once",
    "rates_hold",
]


def outcomes_are_applied_once(evidence: Evidence) -> Iterator[str]:
    """11, 19, 20: of one state entry each activity's outcome, and each timer, is taken at most once."""
    for story in evidence.stories.values():
        seen: Counter[tuple[int, int, int]] = Counter()
        for _, body in story.steps():
            kind = body.event.kind
            if kind in (DeliveryKind.OUTCOME, DeliveryKind.TIMER):
                seen[kind, body.event.token, body.event.slot] += 1
        for (kind, token, slot), count in seen.items():
            if count > 1:
                yield f"{story.name}: {DeliveryKind(kind).name} {token}.{slot} came {count} times"
        opened = Counter(
            (command.do, command.token, command.slot)
            for _, command in story.asked()
            if command.do in ("start-activity", "start-timer")
        )
        for what, count in opened.items():
            if count > 1:
                yield f"{story.name}: {what} was scheduled {count} times"


def executions_have_reasons(evidence: Evidence) -> Iterator[str]:
    """12-14: no outcome without an execution; another one only after a failure or a recorded loss."""
    executions: Counter[tuple[str, int, int]] = Counter()
    began: dict[str, int] = {}
    for execution in evidence.ledger.executions:
        began[execution.key] = began.get(execution.key, 0) + 1
        if execution.fate is not Fate.ABANDONED:
            executions[execution.key, execution.number, execution.losses] += 1
        if evidence.gentle and execution.losses:
            yield f"{execution.key}: a loss was counted though no worker was lost"
    for (key, number, losses), count in executions.items():
        if count > 1:
            yield f"{key}: try {number} after {losses} losses began {count} times"
    for story in evidence.stories.values():
        keyed = {
            (command.token, command.slot)
            for _, command in story.asked()
            if command.do == "start-activity" and command.key is not None
        }
        for record, body in story.steps():
            if body.event.kind != DeliveryKind.OUTCOME:
                continue
            place = (body.event.token, body.event.slot)
            lost = b"WorkerLost" in record.body
            if place not in keyed and not lost and not began.get(f"{record.run_id}:{place[0]}:{place[1]}"):
                yield f"{story.name}: the outcome of {place} was applied, and nobody ever ran it"


def attempts_stay_within_limits(evidence: Evidence) -> Iterator[str]:
    """13: no more tries than the policy allows; exhaustion is told."""
    for execution in evidence.ledger.executions:
        entry = evidence.registry.activities().get(execution.activity)
        if entry is None:
            continue
        most = entry.activity.retry.attempts
        if most is not None and execution.number > most:
            yield f"{execution.key}: try {execution.number} of {most}"
        if execution.losses > entry.activity.losses:
            yield f"{execution.key}: ran after {execution.losses} losses, {entry.activity.losses} are allowed"


def rates_hold(evidence: Evidence) -> Iterator[str]:
    """24: in any span of time a queue's tasks are claimed no more often than its rate allows."""
    for name, queue in evidence.registry.queues().items():
        if queue.rate is None:
            continue
        count, per, burst = queue.rate.micros()
        times = evidence.witness.grants.get(name, [])
        for first, since in enumerate(times):
            for last in range(first + burst, len(times)):
                most = burst + count * (times[last] - since) // per
                if last - first + 1 > most:
                    claims = f"{last - first + 1} claims in {times[last] - since} µs"
                    yield f"queue {name}: {claims}, {most} may be"


def only_the_holder_finishes(evidence: Evidence) -> Iterator[str]:
    """12: a task is closed once, by the fence it was last granted to."""
    for key, ends in evidence.witness.finished.items():
        closed = [
            end
            for end, outcome in ends
            if outcome is FinishOutcome.FINISHED and end.kind not in (FinishKind.RETRY, FinishKind.RETURN)
        ]
        if len(closed) > 1:
            yield f"task {key} was closed {len(closed)} times"


def keyed_bodies_succeed_once(evidence: Evidence) -> Iterator[str]:
    """16: of all runs with one key at most one success is handed out, whoever executed the body."""
    outputs: dict[str, set[str]] = {}
    for story in evidence.stories.values():
        keys = {
            (command.token, command.slot): command.key
            for _, command in story.asked()
            if command.do == "start-activity" and command.key is not None
        }
        for _, body in story.steps():
            key = keys.get((body.event.token, body.event.slot))
            if key is None or not isinstance(body.event.payload, Raw):
                continue
            word, output = peek_event(DeliveryKind.OUTCOME, bytes(body.event.payload))
            if word == "done":
                outputs.setdefault(key, set()).add(repr(output))
    for key, found in outputs.items():
        if len(found) > 1:
            yield f"key {key} gave {len(found)} different results: {sorted(found)}"
