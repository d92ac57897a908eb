"""What a step asks of the world, as rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from msgspec import Raw, Struct

from continuum_core.clock import span
from continuum_core.codec import codec_for
from continuum_core.definition.activity import Activity
from continuum_core.definition.chart import Chart
from continuum_core.definition.event import event_name, is_event
from continuum_core.definition.message import Message
from continuum_core.envelope import CommandBody, OriginBody
from continuum_core.errors import MachineFault
from continuum_core.interpreter.commands import Close, CloseRuns, StartActivity, StartRun, StartTimer
from continuum_core.interpreter.ledger import UNDO
from continuum_core.interpreter.snapshot import Step
from continuum_core.journal.commit import NewRun, NewTask
from continuum_core.journal.records import Delivery, DeliveryKind
from continuum_core.mapper.events import encode_signal_raw, signal_delivery
from continuum_core.mapper.ids import derive_run_id, machine_name, start_digest
from continuum_core.mapper.kin import child_id, closings, encode_child_start
from continuum_core.registry import Entry
from continuum_core.texts import text_flaw, time_flaw

__all__ = ["LONGEST_KEY", "Asked", "ask"]

LONGEST_KEY = 200
"""Characters of a fairness key: journals keep it in an index, whose entries must stay small."""


class Asked(Struct, frozen=True, gc=False):
    """The commands of one step as rows, and as the bodies that the record tells them by."""

    tasks: list[NewTask]
    deliveries: list[Delivery]
    closed: list[int]
    bodies: list[CommandBody]
    starts: list[NewRun]


def ask(
    entry: Entry,
    namespace: str,
    run_id: UUID,
    step: Step,
    cause: UUID,
    new_id: Callable[[], UUID],
    context: bytes | None = None,
    origin: OriginBody | None = None,
) -> Asked:
    """What a step asks of the world, as rows.

    Messages to other runs are told apart by (run, version, position in the step), so that a step that
    is written twice sends once.

    :param context: the encoded context after the step, for activities whose input is the context itself:
        it need not be encoded again.
    :param origin: where this run comes from, if it is a child: its own children are of the same family.
    """
    asked = Asked([], [], [], [], [])
    for position, command in enumerate(step.commands):
        if isinstance(command, Close):
            asked.closed.append(command.token)
            body = CommandBody(do="close", token=command.token)
        elif isinstance(command, StartActivity):
            same = command.input is step.snapshot.context
            task = _new_task(entry, command, context if same else None)
            asked.tasks.append(task)
            body = _task_body(entry, command, task)
        elif isinstance(command, StartRun):
            root = run_id if origin is None else UUID(origin.root)
            new = _new_run(entry, run_id, root, command, cause, new_id())
            asked.starts.append(new)
            body = _run_body(entry, command, new)
        elif isinstance(command, CloseRuns):
            told = closings(new_id, run_id, command.token, command.numbers, command.closing, cause)
            asked.deliveries.extend(told)
            body = CommandBody(do=f"{command.closing}-runs", token=command.token, numbers=command.numbers)
        elif isinstance(command, StartTimer):
            asked.deliveries.append(_timer(entry, run_id, command, cause, new_id()))
            body = _timer_body(entry, command)
        else:
            dedupe = f"{run_id}:{step.snapshot.version}:{position}"
            sent = _sent(entry, namespace, command.message, step.snapshot.now, dedupe, cause, new_id())
            asked.deliveries.append(sent)
            body = CommandBody(do="send", to=_target_text(command.message), event=Raw(sent.payload))
        asked.bodies.append(body)
    return asked


def _new_run(entry: Entry, parent: UUID, root: UUID, command: StartRun, cause: UUID, id_: UUID) -> NewRun:
    crew = entry.crews[command.state, command.slot]
    assert crew.child is not None, "only child runs are started as runs"
    data = crew.input.encode(command.input)
    origin = OriginBody(str(parent), command.token, command.number, str(root), command.awaited)
    run_id = child_id(parent, command.token, command.number)
    payload = encode_child_start(data, origin)
    return NewRun(
        run_id=run_id,
        machine=crew.child.machine,
        fingerprint=crew.child.fingerprint,
        digest=start_digest(crew.child.machine, data),
        delivery=Delivery(id_, run_id, DeliveryKind.START, payload, cause=cause),
        parent=parent,
        root=root,
    )


def _run_body(entry: Entry, command: StartRun, new: NewRun) -> CommandBody:
    return CommandBody(
        do="start-run",
        token=command.token,
        slot=command.number,
        state=entry.chart.states[command.state].path,
        machine=new.machine,
        input=Raw(entry.crews[command.state, command.slot].input.encode(command.input)),
        to=str(new.run_id),
    )


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


def _timer(entry: Entry, run_id: UUID, command: StartTimer, cause: UUID, id_: UUID) -> Delivery:
    if flaw := time_flaw(command.due):
        where = entry.chart.states[command.state].path or "the run"
        raise MachineFault(entry.chart.name, f"timer of {where}", f"the time at which it is due {flaw}")
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
    due = None if message.delay is None else now + max(0, span(message.delay))
    if due is not None and (flaw := time_flaw(due)):
        what = f"{message!r} cannot be sent: the end of its delay {flaw}"
        raise MachineFault(entry.chart.name, "send", what)
    return signal_delivery(
        id_,
        _target(namespace, message),
        _message_payload(message),
        dedupe=dedupe,
        due=due,
        cause=cause,
    )


def _new_task(entry: Entry, command: StartActivity, context: bytes | None) -> NewTask:
    if command.activity:
        found = entry.activities[command.activity]
    else:
        found = entry.invoked[command.state, command.slot]
    encoded = context if found.input is entry.context else None
    activity = found.activity
    fairness = "" if activity.fairness is None else _fairness(entry, activity, command.input)
    return NewTask(
        token=command.token,
        slot=command.slot,
        activity=activity.name,
        queue=activity.queue,
        priority=activity.priority,
        payload=found.input.encode(command.input) if encoded is None else encoded,
        key=command.key,
        undo=entry.compensates and not command.slot & UNDO and activity.undo is not None,
        fairness=fairness,
    )


def _fairness(entry: Entry, activity: Activity[Any, Any], value: object) -> str:
    """The fairness key of an input. What a journal cannot keep is a fault of the machine, as in `_check`."""
    where = f"fairness of activity {activity.name}"
    try:
        key: object = None if activity.fairness is None else activity.fairness(value)
    except Exception as error:
        raise MachineFault(entry.chart.name, where, f"{type(error).__name__}: {error}") from error
    if not isinstance(key, str):
        raise MachineFault(entry.chart.name, where, f"it gave {key!r}; a fairness key is text")
    if len(key) > LONGEST_KEY or text_flaw(key):
        what = f"it gave {key[:50]!r}; a fairness key has at most {LONGEST_KEY} characters of Unicode, no NUL"
        raise MachineFault(entry.chart.name, where, what)
    return key


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
    elif _lone(str(message.key)) or _lone(machine_name(message.machine)):
        wrong = "what it names the run by contains half of a surrogate pair, which is no character"
    if wrong:
        raise MachineFault(entry.chart.name, "send", f"{message!r} cannot be sent: {wrong}")


def _lone(text: str) -> bool:
    """Whether it has half of a surrogate pair. All else may be the key of a run, an old one's perhaps."""
    return any("\ud800" <= character <= "\udfff" for character in text)


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
