"""Invariants of a moment: what must hold of a run whenever somebody looks, or when nothing is due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from continuum_core.envelope import CommandBody
from continuum_core.interpreter.bounds import FORCED, OWN
from continuum_core.interpreter.macrostep import step
from continuum_core.interpreter.program import ascending
from continuum_core.interpreter.snapshot import Disposition
from continuum_core.journal.commit import Commit, Inspection
from continuum_core.journal.records import ENDED, DeliveryKind, Held, Record, RecordKind, RunStatus
from continuum_core.mapper import (
    Image,
    decode_event,
    decode_image,
    decode_migration,
    decode_step,
)
from continuum_core.registry import Registry

__all__ = ["at_rest", "held_rightly", "nothing_is_lost", "nothing_is_overtaken", "well_placed"]


def at_rest(found: Inspection, registry: Registry) -> Iterator[str]:
    """10, 17: of a running run with nothing due, nothing is held that could go on."""
    run = found.run
    if run.status is not RunStatus.RUNNING:
        return
    if found.tasks:
        yield f"run {run.run_id} is at rest with {len(found.tasks)} tasks"
    if any(delivery.held is Held.POISON for delivery in found.deliveries) and not _cancelled(found):
        yield f"run {run.run_id} runs, and its poison is still held"
    yield from held_rightly(found, registry)


def nothing_is_lost(found: Inspection, records: Sequence[Record]) -> Iterator[str]:
    """4, 10, 17: what a living state entry asked for is on its way: a task, a timer, or an outcome."""
    if found.run.status in ENDED:
        return
    waiting: dict[tuple[str, int, int], str] = {}
    for record in records:
        commands: Sequence[CommandBody] = ()
        if record.kind is RecordKind.MIGRATION:
            commands = decode_migration(record).commands
        elif record.kind in (RecordKind.STEP, RecordKind.GENERATION):
            body = decode_step(record)
            commands = body.commands
            if body.event.token:
                word = "start-timer" if body.event.kind == DeliveryKind.TIMER else "start-activity"
                waiting.pop((word, body.event.token, body.event.slot), None)
            elif body.event.kind == DeliveryKind.TIMER:
                waiting.pop(("start-timer", OWN, body.event.slot % FORCED), None)
        for command in commands:
            if command.do == "close":
                waiting = {name: what for name, what in waiting.items() if name[1] != command.token}
            elif command.do in ("start-timer", "start-activity"):
                waiting[command.do, command.token, command.slot] = command.activity or "timer"
    there = {("start-activity", task.token, task.slot) for task in found.tasks}
    for delivery in found.deliveries:
        word = "start-timer" if delivery.kind is DeliveryKind.TIMER else "start-activity"
        there.add((word, delivery.token, delivery.slot))
    for name, what in waiting.items():
        if name not in there:
            yield f"run {found.run.run_id} waits for {what} {name[1]}.{name[2]}, which nobody will ever bring"


def nothing_is_overtaken(found: Inspection, commit: Commit) -> Iterator[str]:
    """22: a turn that rode on a finish left nothing behind that was due before it."""
    if commit.fence is not None or found.run.status is not RunStatus.RUNNING or commit.release:
        return
    mine = {delivery.id for delivery in commit.deliveries}
    for delivery in found.deliveries:
        if delivery.held is Held.NO and delivery.id not in mine and (delivery.due or 0) < commit.now:
            yield f"run {found.run.run_id}: a turn on a finish overtook a {delivery.kind.name} that was due"


def well_placed(found: Inspection, registry: Registry) -> Iterator[str]:
    """25: a run that was just moved has begun all that its states have, and nothing else is left open."""
    run = found.run
    if run.status is not RunStatus.RUNNING:
        return
    entry = registry.entry(run.fingerprint)
    snapshot = decode_image(entry, run.version, run.snapshot).snapshot
    owners = snapshot.configuration & entry.program.owners
    unbegun = [number for number in ascending(owners) if number not in snapshot.tokens]
    if unbegun:
        yield f"run {run.run_id} was moved, and states {unbegun} never begin what they have"
    living = set(snapshot.tokens.values())
    for delivery in found.deliveries:
        of_state = delivery.kind is DeliveryKind.TIMER and delivery.token != OWN
        if of_state and delivery.token not in living:
            yield f"run {run.run_id} was moved, and a timer of a state that it left runs on"
    for task in found.tasks:
        if task.token not in living and not task.cancel:
            yield f"run {run.run_id} was moved, and {task.activity} of a state that it left goes on"


def _cancelled(found: Inspection) -> bool:
    """A cancel lifts a parking and leaves the poison where it is."""
    return any(delivery.kind is DeliveryKind.CANCEL for delivery in found.deliveries)


def held_rightly(found: Inspection, registry: Registry) -> Iterator[str]:
    """10, 17: at any moment, what a running run holds back is what it must hold back."""
    run = found.run
    if run.status is not RunStatus.RUNNING:
        return
    entry = registry.entry(run.fingerprint)
    image: Image | None = None
    for delivery in found.deliveries:
        if delivery.held is Held.PAUSED:
            yield f"run {run.run_id} runs, and {delivery.kind.name} is held as if it were paused"
        if delivery.held is Held.DEFERRED:
            image = image or decode_image(entry, run.version, run.snapshot)
            event = decode_event(
                entry, image.snapshot, delivery.kind, delivery.payload, delivery.token, delivery.slot
            )
            made = step(entry.program, image.snapshot, event, image.snapshot.now, run.run_id.bytes)
            if made.disposition is not Disposition.DEFERRED:
                yield f"run {run.run_id} holds a deferred {delivery.kind.name} that it would take now"
