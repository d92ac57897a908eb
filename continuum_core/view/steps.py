"""Histories for people: one `Step` for each record.

A step tells what came, what it did and what it asked, in words that the record alone gives. Only the words of
edges need the machine's code; where it is not here, they are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from attrs import field, frozen
from msgspec import Raw

from continuum_core.clock import to_datetime
from continuum_core.definition.chart import Edge, TriggerKind
from continuum_core.definition.event import event_name
from continuum_core.envelope import CommandBody, MigrationBody, SnapshotBody, StepBody, read
from continuum_core.interpreter.bounds import DEADLINE, OWN
from continuum_core.journal.records import DeliveryKind, Record, RecordKind
from continuum_core.mapper import decode_control, decode_migration, decode_step, peek_event, upgrade_word
from continuum_core.registry import Entry, Registry

__all__ = ["Step", "edge_text", "step_view"]


@frozen
class Step:
    """One record of a run's history.

    :ivar event: what came, as a word: an event's name, ``start``, ``timer``, ``done charge (try 2)``,
        ``failed charge: Declined``, ``cancel``, ``deadline``, ``upgrade 1 → 2``
    :ivar data: what it carried, as JSON values.
    :ivar edges: the edges taken, in words where the machine's code is here.
    :ivar changed: fields of the context that changed, with their new JSON values.
    :ivar asked: what the step asked of the world, in words.
    :ivar patches: those that it pinned; True: the run goes the new way.
    :ivar steps: how many steps the record stands for; those before it left none.
    """

    version: int
    at: datetime
    kind: RecordKind
    event: str
    data: Any
    disposition: str
    states: tuple[str, ...]
    edges: tuple[str, ...]
    changed: dict[str, Any]
    asked: tuple[str, ...]
    cause: UUID
    who: str = ""
    why: str = ""
    patches: Mapping[str, bool] = field(factory=dict[str, bool])
    steps: int = 1


def step_view(record: Record, registry: Registry) -> Step:
    """A record for people."""
    if record.kind is RecordKind.CONTROL:
        order = decode_control(record)
        return Step(
            version=record.version,
            at=to_datetime(record.at),
            kind=record.kind,
            event=order.order,
            data=order.attributes or None,
            disposition="",
            states=(),
            edges=(),
            changed={},
            asked=(),
            cause=record.cause,
            who=order.who,
            why=order.why,
        )
    if record.kind is RecordKind.MIGRATION:
        return _migration_view(record, registry)
    body = decode_step(record)
    event, data = _event(body)
    return Step(
        version=record.version,
        at=to_datetime(record.at),
        kind=record.kind,
        event=f"{event}, as new" if record.kind is RecordKind.GENERATION else event,
        data=data,
        disposition=body.disposition,
        states=tuple(body.states),
        edges=_edges(body, registry.find(body.fingerprint)),
        changed=_changed(body),
        asked=tuple(_asked(command) for command in body.commands),
        cause=record.cause,
        patches=body.patches,
        steps=body.steps,
    )


def _migration_view(record: Record, registry: Registry) -> Step:
    body = decode_migration(record)
    before, after = msgspec.json.decode(body.before), msgspec.json.decode(body.after)
    return Step(
        version=record.version,
        at=to_datetime(record.at),
        kind=record.kind,
        event=upgrade_word(body),
        data={"since": body.since, "definition": body.fingerprint, "mapping": body.mapping},
        disposition="",
        states=tuple(after["states"]),
        edges=_edges(body, registry.find(body.fingerprint)),
        changed=_difference(before.get("context"), after.get("context")),
        asked=tuple(_asked(command) for command in body.commands),
        cause=record.cause,
    )


def _difference(before: Any, after: Any) -> dict[str, Any]:
    """Fields that an upgrade changed or added; a context that is no object counts as one field."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return {} if before == after else {"context": after}
    old, new = cast("dict[str, Any]", before), cast("dict[str, Any]", after)
    return {name: value for name, value in new.items() if name not in old or old[name] != value}


def _event(body: StepBody) -> tuple[str, Any]:
    payload = bytes(body.event.payload) if isinstance(body.event.payload, Raw) else b""
    return peek_event(DeliveryKind(body.event.kind), payload, (body.event.token, body.event.slot))


def _changed(body: StepBody) -> dict[str, Any]:
    if isinstance(body.changed, dict):
        return {name: msgspec.json.decode(raw) for name, raw in body.changed.items()}
    context = body.context
    if isinstance(body.after, Raw):  # nothing before it counts any more
        context = read(SnapshotBody, bytes(body.after)).context
    if isinstance(context, Raw):
        whole: object = msgspec.json.decode(context)
        named = isinstance(body.after, Raw) and isinstance(whole, dict)
        return cast("dict[str, Any]", whole) if named else {"context": whole}
    return {}


def _edges(body: StepBody | MigrationBody, entry: Entry | None) -> tuple[str, ...]:
    numbers = [number for microstep in body.edges for number in microstep]
    if entry is None or entry.fingerprint != body.fingerprint:
        return tuple(f"edge {number}" for number in numbers)
    edges = {edge.number: edge for state in entry.chart.states for edge in state.edges}
    return tuple(edge_text(edges[n], entry) if n in edges else f"edge {n}" for n in numbers)


_TRIGGER_WORDS = {
    TriggerKind.ANY: "any event",
    TriggerKind.ALWAYS: "",
    TriggerKind.AFTER: "after",
    TriggerKind.DONE: "done",
    TriggerKind.DEADLINE: "run overdue",
}


def edge_text(edge: Edge, entry: Entry) -> str:
    """An edge in words: ``paying ─Authorised [covers]→ charging``."""
    states = entry.chart.states
    source = states[edge.source]
    trigger = edge.trigger
    if trigger.kind is TriggerKind.EVENT and trigger.event is not None:
        word = event_name(trigger.event)
    elif trigger.kind in (TriggerKind.INVOKE_DONE, TriggerKind.INVOKE_ERROR):
        invoke = next(i for i in source.invokes if i.slot == trigger.slot)
        mark = "✓" if trigger.kind is TriggerKind.INVOKE_DONE else "✗"
        error = "" if trigger.error is None else f" {trigger.error.__name__}"
        word = f"{invoke.activity.name} {mark}{error}"
    elif trigger.kind in (TriggerKind.CREW_DONE, TriggerKind.CREW_ERROR):
        mark = "✓" if trigger.kind is TriggerKind.CREW_DONE else "✗"
        error = "" if trigger.error is None else f" {trigger.error.__name__}"
        word = f"{source.crews[trigger.slot].work.name} {mark}{error}"
    else:
        word = _TRIGGER_WORDS.get(trigger.kind, trigger.kind.value)
    guard = f" [{edge.guard.label}]" if edge.guard is not None and edge.guard.label else ""
    targets = ", ".join(states[t].path for t in edge.targets) or "(stays)"
    label = f"{word}{guard}".strip()
    return f"{source.path or 'root'} ─{label}→ {targets}" if label else f"{source.path or 'root'} → {targets}"


def _asked(command: CommandBody) -> str:
    if command.do == "start-activity":
        return f"start {command.activity}"
    if command.do == "start-run":
        return f"start child run {command.to} of {command.machine}"
    if command.do in ("cancel-runs", "terminate-runs"):
        verb = command.do.partition("-")[0]
        return f"{verb} child runs number {', '.join(map(str, command.numbers))}"
    if command.do == "start-timer":
        if command.token == OWN:
            until = to_datetime(command.due).isoformat(timespec="seconds")
            return f"deadline {until}" if command.slot == DEADLINE else f"stop by {until}"
        return f"timer until {to_datetime(command.due).isoformat(timespec='seconds')}"
    if command.do == "send":
        event = ""
        if isinstance(command.event, Raw):
            event = peek_event(DeliveryKind.SIGNAL, bytes(command.event))[0]
        return f"send {event} to {command.to}"
    return "close state entry"
