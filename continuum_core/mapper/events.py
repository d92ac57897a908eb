"""What arrives at a run: Event ⇄ Delivery."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw, UnsetType

from continuum_core.envelope import (
    FORMAT,
    CancelBody,
    FailureBody,
    OriginBody,
    SignalBody,
    StartBody,
    TaskOutcomeBody,
    read,
    write,
)
from continuum_core.errors import UnexpectedEvent, UnknownVersion
from continuum_core.interpreter.bounds import DEADLINE, FORCED, OWN, STOP
from continuum_core.interpreter.crews import OpenCrew
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
from continuum_core.interpreter.ledger import AGAIN, UNDO
from continuum_core.interpreter.snapshot import Snapshot
from continuum_core.journal.records import Delivery, DeliveryKind
from continuum_core.mapper.failures import failure_body, failure_value
from continuum_core.registry import Entry

__all__ = [
    "decode_event",
    "decode_start",
    "encode_cancel",
    "encode_failed",
    "encode_forced",
    "encode_output",
    "encode_signal",
    "encode_signal_raw",
    "encode_start",
    "encode_start_raw",
    "peek_event",
    "signal_delivery",
    "with_deadline",
]


def encode_start(entry: Entry, value: Any, deadline: int | None = None) -> bytes:
    return encode_start_raw(entry.input.encode(value), deadline)


def encode_start_raw(data: bytes, deadline: int | None = None) -> bytes:
    """A start whose input is JSON already. :param deadline: of the run, in microseconds."""
    return write(StartBody(FORMAT, Raw(data), deadline=deadline))


def with_deadline(payload: bytes, deadline: int) -> bytes:
    """A start that gives its run a deadline, with another one; what else it has, such as headers, stays."""
    body = msgspec.json.decode(payload, type=dict[str, Raw])
    return write({**body, "deadline": deadline})


def encode_signal(entry: Entry, event: object) -> bytes:
    """Raises UnexpectedEvent where the machine never mentions the class."""
    name = entry.names.get(type(event))
    if name is None:
        raise UnexpectedEvent(entry.chart.name, type(event).__name__, sorted(entry.events))
    return encode_signal_raw(name, entry.events[name].encode(event))


def encode_signal_raw(name: str, data: bytes) -> bytes:
    """An event by name, whose data is JSON already."""
    return write(SignalBody(FORMAT, name, Raw(data)))


def encode_cancel(reason: str, *, terminate: bool = False) -> bytes:
    return write(CancelBody(FORMAT, reason, terminate))


def encode_output(output: bytes, *, activity: str = "", tries: int = 1, losses: int = 0) -> bytes:
    """The payload of a task's success, from its encoded output."""
    return write(TaskOutcomeBody(FORMAT, output=Raw(output), activity=activity, tries=tries, losses=losses))


def encode_failed(failure: Failure, *, activity: str = "", tries: int = 1, losses: int = 0) -> bytes:
    """The payload of a task's failure."""
    body = failure_body(failure)
    return write(TaskOutcomeBody(FORMAT, failure=body, activity=activity, tries=tries, losses=losses))


def encode_forced(reason: str) -> bytes:
    """The payload of a deadline that is taken again, because the machine's code failed at it."""
    return write(CancelBody(FORMAT, reason))


def decode_event(
    entry: Entry,
    snapshot: Snapshot,
    kind: DeliveryKind,
    payload: bytes,
    token: int,
    slot: int,
    due: int | None = None,
) -> Event:
    """What this delivery says to this run.

    :param due: of a start: when the run was to begin, where that is known.

    The outcome of an activity is typed by the state entry that asked for it; where that entry is over
    its type no longer matters, and the event is stale. Raises UnknownVersion.
    """
    if kind is DeliveryKind.TIMER:
        forced = token == OWN and slot == FORCED
        return TimedOut(token, slot, read(CancelBody, payload).reason if forced else "")
    if kind is DeliveryKind.OUTCOME:
        return _decode_outcome(entry, snapshot, payload, token, slot)
    if kind is DeliveryKind.SIGNAL:
        body = read(SignalBody, payload)
        codec = entry.events.get(body.type)
        if codec is None:
            return Undeclared(body.type)
        return Signal(codec.decode(bytes(body.data)))
    if kind is DeliveryKind.START:
        return decode_start(entry, payload, due)[0]
    cancel = read(CancelBody, payload)
    return Cancel(cancel.reason, cancel.terminate)


def decode_start(entry: Entry, payload: bytes, due: int | None) -> tuple[Start, OriginBody | None]:
    """What a start says, and where its run comes from; None for one that a client started.

    Raises UnknownVersion.
    """
    body = read(StartBody, payload)
    start = Start(entry.input.decode(bytes(body.input)), deadline=body.deadline, begun=due or 0)
    return start, body.origin if isinstance(body.origin, OriginBody) else None


def _decode_outcome(entry: Entry, snapshot: Snapshot, payload: bytes, token: int, slot: int) -> Event:
    ledger = snapshot.ledger
    pending = None if ledger is None else ledger.pending.get((token, slot & ~AGAIN))
    state = _owner(snapshot, token)
    crew = snapshot.crews.get(token)
    if state is None and ledger is None and crew is None:
        return Finished(token, slot, None)
    body = read(TaskOutcomeBody, payload)
    if isinstance(body.failure, FailureBody):
        return Failed(token, slot, failure_value(body.failure))
    if crew is not None and not slot & AGAIN:
        return Finished(token, slot, _crew_output(entry, crew, body))
    if pending is not None and not isinstance(body.output, UnsetType):
        output = entry.activities[pending.activity].output
        return Finished(token, slot, output.decode(bytes(body.output)))
    if state is None or slot & UNDO:
        return Finished(token, slot, None)
    invoked = entry.invoked.get((state, slot))
    if invoked is None or isinstance(body.output, UnsetType):
        raise UnknownVersion(f"{entry.chart.states[state].path} no longer has activity number {slot}")
    return Finished(token, slot, invoked.output.decode(bytes(body.output)))


def _crew_output(entry: Entry, crew: OpenCrew, body: TaskOutcomeBody) -> Any:
    started = entry.crews.get((crew.state, crew.slot))
    if started is None:
        path = entry.chart.states[crew.state].path
        raise UnknownVersion(f"{path} no longer has child runs or members number {crew.slot}")
    return None if isinstance(body.output, UnsetType) else started.output.decode(bytes(body.output))


def _owner(snapshot: Snapshot, token: int) -> int | None:
    """The state whose current entry has this token."""
    for state, live in snapshot.tokens.items():
        if live == token:
            return state
    return None


def peek_event(kind: DeliveryKind, payload: bytes, place: tuple[int, int] | None = None) -> tuple[str, Any]:
    """A word for an event and its data as JSON values, without any machine's code.

    :param place: token and slot of the delivery, which tell of a timer whose it is.

    What cannot be read is "unreadable": a damaged row must not hide its run from view.
    """
    if kind is DeliveryKind.TIMER:
        return "timer" if place is None or place[0] != OWN else _OWN_TIMERS.get(place[1], "timer"), None
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
    if kind is DeliveryKind.FORK:
        return "fork", {"run": body.get("run"), "version": body.get("version")}
    return "cancel", body.get("reason")


_OWN_TIMERS = {DEADLINE: "deadline", STOP: "stop deadline", FORCED: "deadline, forced"}
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
