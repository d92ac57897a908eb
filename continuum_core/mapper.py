"""The only translator between the interpreter's values and the journal's rows.

Step → Commit, Event ⇄ Delivery, Snapshot ⇄ bytes. The formats written here are storage formats: each
envelope carries its version `v`, and what was once written must be readable for ever.

States are stored by path, never by number, so that a chart may gain states between two turns.
Payloads of users' types are written by their codec and spliced as they are: an event that arrives
is not encoded a second time for the record that tells of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

import msgspec
from attrs import frozen
from msgspec import UNSET, Raw, UnsetType

from continuum_core.clock import span
from continuum_core.codec import codec_for
from continuum_core.definition.chart import Chart
from continuum_core.definition.event import event_name, is_event
from continuum_core.definition.message import Message
from continuum_core.envelope import (
    FORMAT,
    CancelBody,
    CommandBody,
    ControlBody,
    EventBody,
    FailureBody,
    OutcomeBody,
    SignalBody,
    SnapshotBody,
    StartBody,
    StepBody,
    TaskOutcomeBody,
    fields_of,
    read,
    write,
)
from continuum_core.errors import MachineFault, UnexpectedEvent, UnknownVersion
from continuum_core.interpreter.commands import Close, StartActivity, StartTimer
from continuum_core.interpreter.events import (
    Cancel,
    Event,
    Failed,
    Failure,
    Finished,
    Signal,
    Start,
    TimedOut,
    Undeclared,
)
from continuum_core.interpreter.snapshot import Outcome, OutcomeKind, Snapshot, Step
from continuum_core.journal.commit import NewTask
from continuum_core.journal.records import Delivery, DeliveryKind, Record, RunStatus
from continuum_core.registry import Entry

__all__ = [
    "Asked",
    "Image",
    "ask",
    "decode_control",
    "decode_event",
    "decode_failure",
    "decode_image",
    "decode_outcome",
    "decode_step",
    "derive_run_id",
    "encode_cancel",
    "encode_control",
    "encode_failed",
    "encode_failure",
    "encode_image",
    "encode_outcome",
    "encode_output",
    "encode_signal",
    "encode_signal_raw",
    "encode_start",
    "encode_start_raw",
    "encode_step",
    "encode_termination",
    "imaged",
    "machine_name",
    "outcome_failure",
    "peek_event",
    "signal_delivery",
    "status_of",
    "unborn",
]

_RUNS = UUID("6d3c2a0e-5d3b-5c57-9a35-0b8f5c1d7e42")
"""The UUID namespace under which keyed runs derive their ids. Never change it."""


# --- ids ---------------------------------------------------------------------------------------------


def machine_name(machine: Any) -> str:
    """The name of a machine that is given as its class or by its name."""
    return machine if isinstance(machine, str) else str(machine.chart.name)


def derive_run_id(namespace: str, machine: str, key: str) -> UUID:
    """The id of the run started with `key`: anyone who knows the three can address it."""
    return uuid5(_RUNS, f"{namespace}\x00{machine}\x00{key}")


# --- snapshots ---------------------------------------------------------------------------------------


_NO_CONTEXT = b"null"


@frozen
class Image:
    """A snapshot together with the stored bytes of its context.

    The bytes tell cheaply which fields the next step changed, and save encoding what did not.
    """

    snapshot: Snapshot
    context: bytes


def unborn(version: int = 0) -> Image:
    """A run before its first event; orders (suspend, resume, cancel) may have moved its version already."""
    return Image(Snapshot(version, 0, None, {}, {}, 0), b"")


def encode_image(entry: Entry, image: Image) -> bytes:
    snapshot = image.snapshot
    states = entry.chart.states
    return write(
        SnapshotBody(
            v=FORMAT,
            states=entry.leaves(snapshot.configuration),
            now=snapshot.now,
            context=Raw(image.context),
            tokens={states[n].path: token for n, token in snapshot.tokens.items()},
            history={states[n].path: entry.paths(mask) for n, mask in snapshot.history.items()},
        )
    )


def decode_image(entry: Entry, version: int, data: bytes) -> Image:
    """The run at rest. Raises UnknownVersion where states or context cannot be read by this code."""
    if not data:
        return unborn(version)
    body = read(SnapshotBody, data)
    numbers = entry.numbers
    context = bytes(body.context)
    history: dict[int, int] = {}
    for path, recorded in body.history.items():
        mask = 0
        for name in recorded:
            if name in numbers:
                mask |= 1 << numbers[name]
        # A history that was removed, or whose states are gone, falls back to its default.
        if path in numbers and mask:
            history[numbers[path]] = mask
    return Image(
        Snapshot(
            version=version,
            configuration=entry.configuration(body.states),
            # One that was cancelled before it began never had a context.
            context=entry.context.decode(context) if body.states or context != _NO_CONTEXT else None,
            history=history,
            tokens={numbers[path]: token for path, token in body.tokens.items() if path in numbers},
            now=body.now,
        ),
        context,
    )


def imaged(entry: Entry, before: Image, snapshot: Snapshot) -> Image:
    """The image of a snapshot that a step made out of `before`."""
    if snapshot.context is before.snapshot.context and before.context:
        return Image(snapshot, before.context)
    if snapshot.configuration == 0 and not before.context:
        return Image(snapshot, _NO_CONTEXT)  # cancelled before it began: there never was a context
    return Image(snapshot, entry.context.encode(snapshot.context))


# --- events ------------------------------------------------------------------------------------------


def encode_start(entry: Entry, value: Any) -> bytes:
    return write(StartBody(FORMAT, Raw(entry.input.encode(value))))


def encode_start_raw(data: bytes) -> bytes:
    """A start whose input is JSON already."""
    return write(StartBody(FORMAT, Raw(data)))


def encode_signal(entry: Entry, event: object) -> bytes:
    """Raises UnexpectedEvent where the machine never mentions the class."""
    name = entry.names.get(type(event))
    if name is None:
        raise UnexpectedEvent(entry.chart.name, type(event).__name__, sorted(entry.events))
    return encode_signal_raw(name, entry.events[name].encode(event))


def encode_signal_raw(name: str, data: bytes) -> bytes:
    """An event by name, whose data is JSON already."""
    return write(SignalBody(FORMAT, name, Raw(data)))


def encode_cancel(reason: str) -> bytes:
    return write(CancelBody(FORMAT, reason))


def encode_output(output: bytes, *, activity: str = "", tries: int = 1, losses: int = 0) -> bytes:
    """The payload of a task's success, from its encoded output."""
    return write(TaskOutcomeBody(FORMAT, output=Raw(output), activity=activity, tries=tries, losses=losses))


def encode_failed(failure: Failure, *, activity: str = "", tries: int = 1, losses: int = 0) -> bytes:
    """The payload of a task's failure."""
    body = _failure_body(failure)
    return write(TaskOutcomeBody(FORMAT, failure=body, activity=activity, tries=tries, losses=losses))


def _failure_body(failure: Failure) -> FailureBody:
    return FailureBody(failure.type, failure.message, failure.bases, failure.traceback, failure.details)


def _failure_value(body: FailureBody) -> Failure:
    return Failure(body.type, body.message, tuple(body.bases), body.traceback, body.details)


def encode_failure(failure: Failure) -> bytes:
    return write(_failure_body(failure))


def decode_failure(data: bytes) -> Failure:
    return _failure_value(read(FailureBody, data))


def decode_event(
    entry: Entry, snapshot: Snapshot, kind: DeliveryKind, payload: bytes, token: int, slot: int
) -> Event:
    """What this delivery says to this run.

    The outcome of an activity is typed by the state entry that asked for it; where that entry is over
    its type no longer matters, and the event is stale. Raises UnknownVersion.
    """
    if kind is DeliveryKind.TIMER:
        return TimedOut(token, slot)
    if kind is DeliveryKind.OUTCOME:
        return _decode_outcome(entry, snapshot, payload, token, slot)
    if kind is DeliveryKind.SIGNAL:
        body = read(SignalBody, payload)
        codec = entry.events.get(body.type)
        if codec is None:
            return Undeclared(body.type)
        return Signal(codec.decode(bytes(body.data)))
    if kind is DeliveryKind.START:
        start = read(StartBody, payload)
        return Start(entry.input.decode(bytes(start.input)))
    cancel = read(CancelBody, payload)
    return Cancel(cancel.reason)


def _decode_outcome(entry: Entry, snapshot: Snapshot, payload: bytes, token: int, slot: int) -> Event:
    state = next((number for number, live in snapshot.tokens.items() if live == token), None)
    if state is None:
        return Finished(token, slot, None)
    body = read(TaskOutcomeBody, payload)
    if isinstance(body.failure, FailureBody):
        return Failed(token, slot, _failure_value(body.failure))
    invoke = next((i for i in entry.chart.states[state].invokes if i.slot == slot), None)
    if invoke is None or isinstance(body.output, UnsetType):
        raise UnknownVersion(f"{entry.chart.states[state].path} no longer has activity number {slot}")
    return Finished(token, slot, entry.activities[invoke.activity.name].output.decode(bytes(body.output)))


def peek_event(kind: DeliveryKind, payload: bytes) -> tuple[str, Any]:
    """A word for an event and its data as JSON values, without any machine's code.

    What cannot be read is "unreadable": a damaged row must not hide its run from view.
    """
    if kind is DeliveryKind.TIMER:
        return "timer", None
    try:
        if kind is DeliveryKind.OUTCOME:
            return _peek_outcome(read(TaskOutcomeBody, payload))
        body = _objects.decode(payload)
    except (UnknownVersion, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "unreadable", None
    if kind is DeliveryKind.SIGNAL:
        return str(body.get("type", "?")), body.get("data")
    if kind is DeliveryKind.START:
        return "start", body.get("input")
    return "cancel", body.get("reason")


_objects = msgspec.json.Decoder(dict[str, Any])


def _peek_outcome(body: TaskOutcomeBody) -> tuple[str, Any]:
    word, data = f"done {body.activity}", None
    if isinstance(body.failure, FailureBody):
        word = f"failed {body.activity}".rstrip() + f": {body.failure.type.rpartition('.')[2]}"
        data = msgspec.to_builtins(body.failure)
    elif isinstance(body.output, Raw):
        data = msgspec.json.decode(body.output)
    counts = [f"try {body.tries}"] if body.tries > 1 else []
    counts += [f"{body.losses} lost"] if body.losses else []
    return f"{word.rstrip()} ({', '.join(counts)})" if counts else word.rstrip(), data


def signal_delivery(
    new_id: UUID,
    run_id: UUID,
    payload: bytes,
    *,
    dedupe: str | None = None,
    due: int | None = None,
    floor: int = 0,
    cause: UUID | None = None,
) -> Delivery:
    return Delivery(
        id=new_id,
        run_id=run_id,
        kind=DeliveryKind.SIGNAL,
        payload=payload,
        due=due,
        dedupe=dedupe,
        floor=floor,
        cause=cause,
    )


# --- steps -------------------------------------------------------------------------------------------


def encode_step(
    entry: Entry, before: Image, after: Image, step: Step, delivery: Delivery, asked: Asked
) -> bytes:
    """The body of a step's record; `asked` is what `ask` made of its commands."""
    body = StepBody(
        v=FORMAT,
        fingerprint=entry.fingerprint,
        event=EventBody(
            kind=int(delivery.kind),
            payload=Raw(delivery.payload) if delivery.payload else UNSET,
            token=delivery.token,
            slot=delivery.slot,
        ),
        disposition=step.disposition.value,
        states=entry.leaves(after.snapshot.configuration),
        edges=step.edges,
        commands=asked.bodies,
    )
    if after.context != before.context:
        _describe_change(body, before.context, after.context)
    if after.snapshot.outcome is not None:
        body.outcome = Raw(encode_outcome(entry, after.snapshot.outcome))
    return write(body)


def _describe_change(body: StepBody, before: bytes, after: bytes) -> None:
    if not after.startswith(b"{"):
        body.context = Raw(after)
        return
    new = fields_of(after)
    old = fields_of(before) if before.startswith(b"{") else {}
    body.changed = {name: value for name, value in new.items() if name not in old or old[name] != value}


def decode_step(record: Record) -> StepBody:
    """Raises UnknownVersion."""
    return read(StepBody, record.body)


def encode_control(order: str, who: str, why: str, failure: Failure | None = None) -> bytes:
    body = ControlBody(v=FORMAT, order=order, who=who, why=why)
    if failure is not None:
        body.failure = _failure_body(failure)
    return write(body)


def decode_control(record: Record) -> ControlBody:
    """Raises UnknownVersion."""
    return read(ControlBody, record.body)


# --- what a step asks of the world ---------------------------------------------------------------------


@frozen
class Asked:
    """The commands of one step as rows, and as the bodies that the record tells them by."""

    tasks: list[NewTask]
    deliveries: list[Delivery]
    closed: list[int]
    bodies: list[CommandBody]


def ask(
    entry: Entry, namespace: str, run_id: UUID, step: Step, cause: UUID, new_id: Callable[[], UUID]
) -> Asked:
    """What a step asks of the world, as rows.

    Messages to other runs are told apart by (run, version, position in the step), so that a step that
    is written twice sends once.
    """
    asked = Asked([], [], [], [])
    for position, command in enumerate(step.commands):
        if isinstance(command, Close):
            asked.closed.append(command.token)
            body = CommandBody(do="close", token=command.token)
        elif isinstance(command, StartActivity):
            task = _new_task(entry, command)
            asked.tasks.append(task)
            body = _task_body(entry, command, task)
        elif isinstance(command, StartTimer):
            asked.deliveries.append(_timer(run_id, command, cause, new_id()))
            body = _timer_body(entry, command)
        else:
            dedupe = f"{run_id}:{step.snapshot.version}:{position}"
            sent = _sent(entry, namespace, command.message, step.snapshot.now, dedupe, cause, new_id())
            asked.deliveries.append(sent)
            body = CommandBody(do="send", to=_target_text(command.message), event=Raw(sent.payload))
        asked.bodies.append(body)
    return asked


def _task_body(entry: Entry, command: StartActivity, task: NewTask) -> CommandBody:
    return CommandBody(
        do="start-activity",
        token=command.token,
        slot=command.slot,
        state=entry.chart.states[command.state].path,
        activity=task.activity,
        input=Raw(task.payload),
        key=command.key,
    )


def _timer_body(entry: Entry, command: StartTimer) -> CommandBody:
    return CommandBody(
        do="start-timer",
        token=command.token,
        slot=command.slot,
        state=entry.chart.states[command.state].path,
        due=command.due,
    )


def _timer(run_id: UUID, command: StartTimer, cause: UUID, id_: UUID) -> Delivery:
    return Delivery(
        id=id_,
        run_id=run_id,
        kind=DeliveryKind.TIMER,
        payload=b"",
        due=command.due,
        token=command.token,
        slot=command.slot,
        cause=cause,
    )


def _sent(
    entry: Entry, namespace: str, message: Message, now: int, dedupe: str, cause: UUID, id_: UUID
) -> Delivery:
    _check(entry, message)
    return signal_delivery(
        id_,
        _target(namespace, message),
        _message_payload(message),
        dedupe=dedupe,
        due=None if message.delay is None else now + span(message.delay),
        cause=cause,
    )


def _new_task(entry: Entry, command: StartActivity) -> NewTask:
    invoke = next(i for i in entry.chart.states[command.state].invokes if i.slot == command.slot)
    found = entry.activities[invoke.activity.name]
    activity = found.activity
    return NewTask(
        token=command.token,
        slot=command.slot,
        activity=activity.name,
        queue=activity.queue,
        priority=activity.priority,
        payload=found.input.encode(command.input),
        key=command.key,
        undo=activity.undo is not None,
    )


def _check(entry: Entry, message: Message) -> None:
    """A message that can go nowhere is a fault of the machine: the run parks, and no worker stumbles."""
    event: object = message.event
    wrong = ""
    if not is_event(type(event)):
        wrong = "its event is no instance of an @event class"
    elif message.run is not None:
        try:
            UUID(str(message.run))
        except ValueError:
            wrong = "run= is no run id; a run started with a key is named by machine= and key="
    elif message.key is None or not isinstance(
        getattr(message.machine, "chart", message.machine), str | Chart
    ):
        wrong = "it names no run: give run=, or machine= and key="
    if wrong:
        raise MachineFault(entry.chart.name, "send", f"{message!r} cannot be sent: {wrong}")


def _message_payload(message: Message) -> bytes:
    event: object = message.event
    cls = type(event)
    return encode_signal_raw(event_name(cls), codec_for(cls).encode(event))


def _target(namespace: str, message: Message) -> UUID:
    if message.run is not None:
        return UUID(str(message.run))
    return derive_run_id(namespace, machine_name(message.machine), str(message.key))


def _target_text(message: Message) -> str:
    if message.run is not None:
        return str(message.run)
    return f"{machine_name(message.machine)}:{message.key}"


# --- the end -------------------------------------------------------------------------------------------

_STATUS = {
    OutcomeKind.COMPLETED: RunStatus.COMPLETED,
    OutcomeKind.FAILED: RunStatus.FAILED,
    OutcomeKind.CANCELLED: RunStatus.CANCELLED,
}


def status_of(outcome: Outcome | None) -> RunStatus:
    return RunStatus.RUNNING if outcome is None else _STATUS[outcome.kind]


def encode_outcome(entry: Entry, outcome: Outcome) -> bytes:
    body = OutcomeBody(
        v=FORMAT,
        kind=outcome.kind.value,
        state="" if outcome.state is None else entry.chart.states[outcome.state].path,
    )
    if outcome.kind is OutcomeKind.COMPLETED:
        body.value = Raw(entry.result.encode(outcome.value))
    elif outcome.kind is OutcomeKind.CANCELLED:
        body.reason = str(outcome.value or "")
    elif entry.verdict is not None:
        body.value = Raw(entry.verdict.encode(outcome.value))
    if outcome.failure is not None:
        body.failure = _failure_body(outcome.failure)
    return write(body)


def encode_termination(reason: str) -> bytes:
    """The outcome of a run that an operator ended."""
    return write(OutcomeBody(v=FORMAT, kind="terminated", reason=reason))


def decode_outcome(data: bytes) -> OutcomeBody:
    """Raises UnknownVersion."""
    return read(OutcomeBody, data)


def outcome_failure(body: OutcomeBody) -> Failure | None:
    return _failure_value(body.failure) if isinstance(body.failure, FailureBody) else None
