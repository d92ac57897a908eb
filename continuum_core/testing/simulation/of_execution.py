"""Invariants of activities: 11-16 of the project's list. Each function yields what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from msgspec import Raw

from continuum_core.interpreter.ledger import AGAIN, UNDO
from continuum_core.interpreter.snapshot import Disposition
from continuum_core.journal.commit import FinishKind, FinishOutcome
from continuum_core.journal.records import DeliveryKind, RunStatus
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
    "what_was_done_is_undone",
]

_STUCK = Disposition.STUCK.value
_SCHEDULED = ("start-activity", "start-timer", "start-run")


def outcomes_are_applied_once(evidence: Evidence) -> Iterator[str]:
    """11, 19, 20: of one state entry each activity's outcome, and each timer, is taken at most once."""
    for story in evidence.stories.values():
        seen: Counter[tuple[int, int, int]] = Counter()
        for _, body in story.steps():
            kind = body.event.kind
            if body.event.slot & UNDO:
                continue  # a stuck one comes again: `what_was_done_is_undone`
            if kind in (DeliveryKind.OUTCOME, DeliveryKind.TIMER) and body.disposition != _STUCK:
                seen[kind, body.event.token, body.event.slot] += 1
        for (kind, token, slot), count in seen.items():
            if count > 1:
                yield f"{story.name}: {DeliveryKind(kind).name} {token}.{slot} came {count} times"
        opened = Counter(
            (command.do, command.token, command.slot)
            for _, command in story.asked()
            if command.do in _SCHEDULED and not command.slot & (UNDO | AGAIN)
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
    asked = _times_asked(evidence)
    for (key, number, losses), count in executions.items():
        if count > max(1, asked[key]):
            yield f"{key}: try {number} after {losses} losses began {count} times"
    for story in evidence.stories.values():
        keyed = {
            (command.token, command.slot)
            for _, command in story.asked()
            if command.do == "start-activity" and command.key is not None
        }
        runs = {command.token for _, command in story.asked() if command.do == "start-run"}
        for record, body in story.steps():
            if body.event.kind != DeliveryKind.OUTCOME or body.event.token in runs:
                continue
            place = (body.event.token, body.event.slot)
            lost = b"WorkerLost" in record.body or b"NeverStarted" in record.body
            if place not in keyed and not lost and not began.get(_key(record.run_id, *place)):
                yield f"{story.name}: the outcome of {place} was applied, and nobody ever ran it"


def _key(run_id: UUID, token: int, slot: int) -> str:
    """The idempotency key of a task."""
    return f"{run_id}:{token}:{slot & ~AGAIN}"


def _times_asked(evidence: Evidence) -> Counter[str]:
    """How often each activity was asked for: again where its outcome was unknown, or its undo was stuck."""
    return Counter(
        _key(record.run_id, command.token, command.slot)
        for story in evidence.stories.values()
        for record, body in story.steps()
        for command in body.commands
        if command.do == "start-activity"
    )


_UNDONE_AT = {"sim.trip": b'"given_up"', "sim.loop": b'"end"', "sim.late": b"given_up"}
"""By machine, the final state that is reached when all was undone, as an outcome has it."""


def what_was_done_is_undone(evidence: Evidence) -> Iterator[str]:
    """17, 18: a run that gave up has undone all that the world did for it, once, newest first."""
    done: dict[UUID, set[str]] = {}
    for execution in evidence.ledger.executions:
        if execution.fate is Fate.SUCCEEDED and execution.activity == "book":
            done.setdefault(execution.run_id, set()).add(execution.key)
    for run_id, story in evidence.stories.items():
        gave_up = _UNDONE_AT.get(story.found.run.machine)
        if gave_up is None:
            continue
        known: list[str] = []
        undone: list[int] = []
        for _, body in story.steps():
            slot, payload = body.event.slot, body.event.payload
            if body.event.kind != DeliveryKind.OUTCOME or not isinstance(payload, Raw):
                continue
            word = peek_event(DeliveryKind.OUTCOME, bytes(payload))[0]
            if word.startswith("done book"):
                known.append(_key(run_id, body.event.token, slot))
            elif word.startswith("done unbook"):
                undone.append(slot & ~UNDO)
        outcome = story.found.run.outcome or b""
        if gave_up not in outcome:
            if undone and story.found.run.status is RunStatus.COMPLETED:
                yield f"{story.name} completed and undid {undone}"
            continue
        if missed := done.get(run_id, set()) - set(known):
            yield f"{story.name} gave up and never learnt of {sorted(missed)}"
        if undone != list(range(len(known), 0, -1)):
            yield f"{story.name} did {len(known)} things and undid {undone}"


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
    """12: a task is closed once each time it was asked for, by the fence it was last granted to."""
    asked = Counter(
        (record.run_id, command.token, command.slot)
        for story in evidence.stories.values()
        for record, body in story.steps()
        for command in body.commands
        if command.do == "start-activity"
    )
    for key, ends in evidence.witness.finished.items():
        closed = [
            end
            for end, outcome in ends
            if outcome is FinishOutcome.FINISHED and end.kind not in (FinishKind.RETRY, FinishKind.RETURN)
        ]
        if len(closed) > max(1, asked[key]):
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
