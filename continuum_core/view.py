"""Runs and their histories as values for people: what the CLI prints and tests assert.

Everything here is read from stored rows. Where this process has the machine's code, contexts are typed
values and edges are told in words; where it has not, they are JSON values and numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
from attrs import field, frozen
from msgspec import UNSET, Raw

from continuum_core.clock import to_datetime
from continuum_core.definition.chart import Edge, TriggerKind
from continuum_core.definition.event import event_name
from continuum_core.envelope import CommandBody, MigrationBody, OutcomeBody, SnapshotBody, StepBody, read
from continuum_core.errors import PayloadLocked, PayloadRefused, UnknownVersion
from continuum_core.interpreter.bounds import DEADLINE, OWN
from continuum_core.journal.commit import Inspection
from continuum_core.journal.records import (
    ENDED,
    DeadLetter,
    Delivery,
    DeliveryKind,
    Held,
    Record,
    RecordKind,
    Run,
    RunStatus,
    Task,
)
from continuum_core.mapper import (
    decode_control,
    decode_image,
    decode_migration,
    decode_outcome,
    decode_step,
    peek_event,
    upgrade_word,
)
from continuum_core.registry import Entry, Registry
from continuum_core.unopened import is_sealed, locked

__all__ = [
    "RunView",
    "Step",
    "TaskView",
    "Waiting",
    "edge_text",
    "outcome_view",
    "page_views",
    "run_view",
    "step_view",
]


@frozen
class Waiting:
    """Something that will reach a run, or cannot any more (`reason`).

    :ivar state: the state whose timer or activity it belongs to, by dotted path; "" where none is known.
    :ivar begins: the run begins with it.
    """

    what: str
    due: datetime | None
    held: str = ""
    reason: str = ""
    state: str = ""
    begins: bool = False


@frozen
class TaskView:
    """An activity that is to be carried out, or is being; `state` is the one that invoked it.

    :ivar place: how many of its queue are started before it if no others come: 10,000 stands for as many or
        more, None for one that does not wait.
    """

    activity: str
    queue: str
    due: datetime
    attempt: int
    losses: int
    claimed: bool
    cancel_requested: bool
    failure: str = ""
    state: str = ""
    place: int | None = None


@frozen
class RunView:
    """A run as it is.

    :ivar states: the active states, innermost only, by dotted path.
    :ivar context: a typed value where the machine's code is here, else JSON values; None before its
        first turn.
    :ivar outcome: how it ended, as JSON values; None while it has not.
    :ivar parent: the run it was forked from, or whose child it is; `root` the first of all above it.
    :ivar begun: whether it has taken its first turn: it may be started for later, or wait for a worker.
    """

    id: UUID
    machine: str
    key: str | None
    status: RunStatus
    cause: str
    version: int
    states: tuple[str, ...]
    context: Any
    outcome: dict[str, Any] | None
    created: datetime
    updated: datetime
    fingerprint: str
    parent: UUID | None = None
    root: UUID | None = None
    begun: bool = True
    leased_until: datetime | None = None
    waiting: tuple[Waiting, ...] = ()
    tasks: tuple[TaskView, ...] = ()
    dead: tuple[Waiting, ...] = ()

    @property
    def begins(self) -> datetime | None:
        """When a run that has not begun may; None for one that has. Only a view of one run can tell."""
        starts = [each.due or self.created for each in self.waiting if each.begins and not each.held]
        return None if self.begun else min(starts, default=None)

    def overdue(self, now: datetime) -> timedelta | None:
        """How long something has been due that no worker takes; None where nothing is, or one has the run.

        After more than a few seconds it means that no live worker takes runs of this definition, or that
        all of them are overwhelmed. Only a view of one run can tell, not those of a list.
        """
        due = [each.due for each in self.waiting if each.due is not None and not each.held]
        first = min(due, default=now)
        leased = self.leased_until is not None and self.leased_until > now
        if self.status is not RunStatus.RUNNING or leased or first >= now:
            return None
        # A cancellation sorts before everything by a due time of 0.
        return now - max(first, self.created)


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


# --- runs --------------------------------------------------------------------------------------------


def page_views(runs: Iterable[Run], registry: Registry) -> Sequence[RunView]:
    return [_run(run, registry.reader(run.fingerprint)) for run in runs]


def run_view(found: Inspection, entry: Entry | None) -> RunView:
    """A run with all that it has open."""
    states = _states_by_token(found.run)
    places = found.places or (None,) * len(found.tasks)
    return _run(
        found.run,
        entry,
        waiting=tuple(_waiting(d, states) for d in found.deliveries),
        tasks=tuple(_task(t, place, states) for t, place in zip(found.tasks, places, strict=True)),
        dead=tuple(_dead(d) for d in found.dead),
    )


def _states_by_token(run: Run) -> dict[int, str]:
    """Which state's entry a token stands for: timers and activities know the token alone."""
    body: dict[str, Any] = {}
    if run.snapshot and not is_sealed(run.snapshot):
        body = msgspec.json.decode(run.snapshot)
    tokens: dict[str, int] = body.get("tokens", {})
    return {token: path for path, token in tokens.items()}


def _run(run: Run, entry: Entry | None, **open_work: Any) -> RunView:
    states, context = _stored(run, entry)
    return RunView(
        id=run.run_id,
        machine=run.machine,
        key=run.key,
        status=run.status,
        cause=run.cause,
        version=run.version,
        leased_until=None if run.lease_until is None else to_datetime(run.lease_until),
        states=states,
        context=context,
        outcome=None if run.outcome is None else _outcome(run.outcome),
        created=to_datetime(run.created),
        updated=to_datetime(run.updated),
        fingerprint=run.fingerprint,
        parent=run.parent,
        root=run.root,
        begun=bool(run.snapshot) or run.status in ENDED,
        **open_work,
    )


def _stored(run: Run, entry: Entry | None) -> tuple[tuple[str, ...], Any]:
    if not run.snapshot:
        return (), None
    if entry is not None:
        try:
            image = decode_image(entry, run.version, run.snapshot)
        except (UnknownVersion, PayloadRefused):
            pass  # shown as stored: looking at a run must not need code that can run it
        else:
            return entry.leaves(image.snapshot.configuration), image.snapshot.context
    sealed = locked(run.snapshot)
    if sealed is not None:
        return (), f"({sealed})"
    body = msgspec.json.decode(run.snapshot)
    return tuple(body.get("states", ())), body.get("context")


def _outcome(data: bytes) -> dict[str, Any]:
    try:
        return outcome_view(decode_outcome(data))
    except PayloadLocked as sealed:
        return {"kind": "locked", "reason": str(sealed)}


def outcome_view(body: OutcomeBody) -> dict[str, Any]:
    """How a run ended, as JSON values."""
    shown: dict[str, Any] = msgspec.to_builtins(
        {f: getattr(body, f) for f in ("kind", "state", "reason") if getattr(body, f)}
    )
    if body.left:
        shown["left"] = list(body.left)
    if isinstance(body.value, Raw):
        shown["value"] = msgspec.json.decode(body.value)
    if body.failure is not UNSET:
        shown["failure"] = msgspec.to_builtins(body.failure)
    return shown


def _waiting(delivery: Delivery, states: dict[int, str]) -> Waiting:
    held = "" if delivery.held is Held.NO else delivery.held.name.lower()
    due = None if delivery.due is None or delivery.due <= 0 else to_datetime(delivery.due)
    what = peek_event(delivery.kind, delivery.payload, (delivery.token, delivery.slot))[0]
    begins = delivery.kind in (DeliveryKind.START, DeliveryKind.FORK)
    return Waiting(what, due, held, state=states.get(delivery.token, ""), begins=begins)


def _dead(letter: DeadLetter) -> Waiting:
    what = peek_event(letter.delivery.kind, letter.delivery.payload)[0]
    return Waiting(what, to_datetime(letter.at), reason=letter.reason)


def _task(task: Task, place: int | None, states: dict[int, str]) -> TaskView:
    failure = ""
    if task.failure is not None:
        sealed = locked(task.failure)
        if sealed is None:
            body = msgspec.json.decode(task.failure)
            failure = f"{body.get('type')}: {body.get('message')}"
        else:
            failure = f"({sealed})"
    return TaskView(
        activity=task.activity,
        queue=task.queue,
        due=to_datetime(task.due),
        attempt=task.attempt,
        losses=task.losses,
        claimed=task.lease_until is not None,
        cancel_requested=task.cancel,
        failure=failure,
        state=states.get(task.token, ""),
        place=place,
    )


# --- histories ---------------------------------------------------------------------------------------


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
