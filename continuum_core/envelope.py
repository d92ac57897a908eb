"""The storage formats: every envelope that the engine writes into a journal, and how it is read.

What was once written must be readable for ever: fields are only added, with defaults, and `v` rises
when a reader of the older format would misunderstand. Payloads of users' types are spliced in as they
are (`Raw`).
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from continuum_core.errors import UnknownVersion
from continuum_core.unopened import locked

__all__ = [
    "FORMAT",
    "BoundsBody",
    "CancelBody",
    "CommandBody",
    "ControlBody",
    "CrewBody",
    "DoneBody",
    "EventBody",
    "FailureBody",
    "ForkBody",
    "MigrationBody",
    "OpenActivity",
    "OpenTimer",
    "OriginBody",
    "OutcomeBody",
    "PendingBody",
    "ReplyBody",
    "SignalBody",
    "SnapshotBody",
    "StartBody",
    "StepBody",
    "TaskOutcomeBody",
    "fields_of",
    "read",
    "write",
]

FORMAT = 1
"""The version of every envelope here."""

B = TypeVar("B", bound=Struct)


class OriginBody(Struct, omit_defaults=True):
    """Where a child run comes from: member `number` of the crew `token` of run `run`.

    `root` is the run at the top of its family. `awaited`: the parent is told how it ends.
    """

    run: str
    token: int
    number: int
    root: str
    awaited: bool = True


class StartBody(Struct, omit_defaults=True):
    """The payload of a START delivery. `deadline`: microseconds, where whoever starts the run gave one."""

    v: int
    input: Raw
    origin: OriginBody | UnsetType = UNSET
    deadline: int | None = None


class SignalBody(Struct):
    """The payload of a SIGNAL delivery: the event's name and data."""

    v: int
    type: str
    data: Raw


class CancelBody(Struct, omit_defaults=True):
    """The payload of a CANCEL delivery. `terminate`: of a parent that ends its child.

    Also of a deadline that is taken again because the machine's code failed at it: `reason` says how.
    """

    v: int
    reason: str
    terminate: bool = False


class FailureBody(Struct, omit_defaults=True):
    """An exception as stored."""

    type: str
    message: str
    bases: tuple[str, ...] = ()
    traceback: str = ""
    details: Any = None
    unsure: bool = False


class TaskOutcomeBody(Struct, omit_defaults=True):
    """The payload of an OUTCOME delivery: the output or the failure of an activity.

    `activity`, `tries` and `losses` are for people: the task's row is gone when they read the history.
    """

    v: int
    output: Raw | UnsetType = UNSET
    failure: FailureBody | UnsetType = UNSET
    activity: str = ""
    tries: int = 1
    losses: int = 0


class SnapshotBody(Struct, omit_defaults=True):
    """A run at rest. States by path; `states` are the innermost active ones."""

    v: int
    states: tuple[str, ...]
    now: int
    context: Raw
    tokens: dict[str, int] = {}
    history: dict[str, tuple[str, ...]] = {}
    pending: list[PendingBody] = []
    done: list[DoneBody] = []
    ledgered: int = 0
    cancelling: str | None = None
    patches: dict[str, bool] = {}
    generation: int = 0
    unrecorded: int = 0  # steps since the last record
    eternal: bool = False
    origin: OriginBody | UnsetType = UNSET
    crews: list[CrewBody] = []
    bounds: BoundsBody | UnsetType = UNSET


class BoundsBody(Struct, omit_defaults=True):
    """When a run has to be over: see `interpreter.bounds.Bounds`."""

    deadline: int | None = None
    passed: bool = False
    stop_by: int | None = None


class CrewBody(Struct, omit_defaults=True):
    """A crew that is not over: see `interpreter.crews.OpenCrew`.

    `open` are the numbers under way. `context` is what members that wait are made of, where it is not the
    run's. `runs` and `closing` are there for who must close it without the machine's code.
    """

    token: int
    state: str
    slot: int
    total: int
    next: int
    open: tuple[int, ...]
    runs: bool = False
    closing: str = "cancel"
    context: Raw | UnsetType = UNSET


class PendingBody(Struct, omit_defaults=True):
    """An activity with an undo whose outcome is not known: see `interpreter.ledger.Pending`."""

    token: int
    slot: int
    activity: str
    input: Raw
    key: str | None = None
    unknown: bool = False
    asked: bool = False
    stuck: bool = False


class DoneBody(Struct, omit_defaults=True):
    """What may have to be undone: see `interpreter.ledger.Done`."""

    number: int
    activity: str
    output: Raw
    undo: int = 0
    stuck: bool = False


class ReplyBody(Struct, omit_defaults=True):
    """What a question was answered: `value` of kind "reply"; the other kinds say why there is none."""

    v: int
    kind: str
    value: Raw | UnsetType = UNSET
    states: tuple[str, ...] = ()


class OutcomeBody(Struct, omit_defaults=True):
    """How a run ended, as stored. `left`: what it had done and has not undone, where it was stopped."""

    v: int
    kind: str
    state: str = ""
    value: Raw | UnsetType = UNSET
    reason: str = ""
    failure: FailureBody | UnsetType = UNSET
    left: tuple[str, ...] = ()


class EventBody(Struct, omit_defaults=True):
    """The event of a step, as stored: enough to decode and fold it again.

    `due`: of the start of a machine with a deadline: when the run was to begin.
    """

    kind: int
    payload: Raw | UnsetType = UNSET
    token: int = 0
    slot: int = 0
    source: str = ""  # of a message from a run: RUN:VERSION:POSITION of the command that sent it
    due: int = 0


class CommandBody(Struct, omit_defaults=True):
    """One wish of a step, as stored."""

    do: str
    token: int = 0
    slot: int = 0
    state: str = ""
    activity: str = ""
    input: Raw | UnsetType = UNSET
    key: str | None = None
    due: int = 0
    to: str = ""
    event: Raw | UnsetType = UNSET
    machine: str = ""
    numbers: tuple[int, ...] = ()


class StepBody(Struct, omit_defaults=True):
    """A record of kind STEP: one macrostep.

    `edges` are edge numbers of the definition `fingerprint`, one list a microstep; `states` the
    configuration after it (leaves); `changed` the fields of the context that changed, or `context`
    the whole new context where it is no JSON object or lost a field; `history` all recorded histories
    where the step changed one. So records alone, without the machine's code, tell what a run was at each.
    Nearly every event is taken, so that is not written.

    A record of kind GENERATION is a step that continued the run as new: `anew` is the new input, `generation`
    the number of the generation that begins, `ended` the final state that the one before reached. What the
    run was before counts no more, so it has `after`, the whole snapshot, in place of changes; a history can
    be read on from there though what came before was pruned. `patches` are all that the generation pinned.

    So does a record of any kind that stands for more than one step (`steps`): those before it left none.
    """

    v: int
    fingerprint: str
    event: EventBody
    states: tuple[str, ...]
    disposition: str = "taken"
    edges: tuple[tuple[int, ...], ...] = ()
    changed: dict[str, Raw] | UnsetType = UNSET
    context: Raw | UnsetType = UNSET
    commands: list[CommandBody] = []
    outcome: Raw | UnsetType = UNSET
    history: dict[str, tuple[str, ...]] | UnsetType = UNSET
    patches: dict[str, bool] = {}  # those that this step pinned
    generation: int = 0
    anew: Raw | UnsetType = UNSET
    ended: str = ""
    steps: int = 1
    after: Raw | UnsetType = UNSET


class MigrationBody(Struct, omit_defaults=True):
    """A record of kind MIGRATION: a run of one definition became one of another.

    `since` is the fingerprint that it had, of version `since_version`; `fingerprint` and `version` are what
    it has from now on. `mapping` says where each state that it was in led. `before` and `after` are whole
    snapshots, so that a history can be read on from here though the older code is gone. `edges` and
    `commands` are as a step's: of the newer definition.
    """

    v: int
    fingerprint: str
    version: int
    since: str
    since_version: int
    mapping: dict[str, str]
    before: Raw
    after: Raw
    edges: tuple[tuple[int, ...], ...] = ()
    commands: list[CommandBody] = []
    outcome: Raw | UnsetType = UNSET


class ControlBody(Struct, omit_defaults=True):
    """A record of kind CONTROL: an order, a parking or a departure, with who and why.

    `image` is the JSON of a `RunImage`: all that a run had open when it left for another journal.
    `event` is what a parking stumbled on, without its payload, which may be what is wrong with it.
    `attributes` are what an order set, as texts for people; by name, none where one was taken away.
    """

    v: int
    order: str
    who: str = ""
    why: str = ""
    failure: FailureBody | UnsetType = UNSET
    image: Raw | UnsetType = UNSET
    event: EventBody | UnsetType = UNSET
    attributes: dict[str, list[str]] | UnsetType = UNSET


class OpenTimer(Struct):
    """A timer that was running where a fork begins: `left` microseconds before it was due."""

    state: str
    slot: int
    left: int


class OpenActivity(Struct, omit_defaults=True):
    """An activity without an outcome where a fork begins."""

    state: str
    slot: int
    activity: str
    input: Raw
    key: str | None = None


class ForkBody(Struct, omit_defaults=True):
    """The payload of a FORK delivery: where it comes from, and all that the run takes over.

    `version` of run `run` is the record after which it branches off; `edited` says that the context is
    not the one that run had there; `deferred` are payloads of SIGNAL deliveries.
    """

    v: int
    run: str
    version: int
    states: tuple[str, ...]
    context: Raw
    edited: bool = False
    history: dict[str, tuple[str, ...]] = {}
    timers: list[OpenTimer] = []
    activities: list[OpenActivity] = []
    deferred: list[Raw] = []
    patches: dict[str, bool] = {}
    deadline: int | None = None  # microseconds that were left until then


write = msgspec.json.Encoder(decimal_format="string").encode
"""An envelope as JSON bytes."""

_DECODERS: dict[type[Struct], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (
        CancelBody,
        ControlBody,
        FailureBody,
        ForkBody,
        MigrationBody,
        OutcomeBody,
        ReplyBody,
        SignalBody,
        SnapshotBody,
        StartBody,
        StepBody,
        TaskOutcomeBody,
    )
}
_fields = msgspec.json.Decoder(dict[str, Raw])


def read(kind: type[B], data: bytes) -> B:
    """Decode an envelope. Raises UnknownVersion: another release wrote it, or it is damaged, or locked."""
    try:
        body: B = _DECODERS[kind].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        sealed = locked(data)
        if sealed is not None:
            raise sealed from None
        raise UnknownVersion(f"a stored {kind.__name__} cannot be read: {error}") from error
    version = getattr(body, "v", FORMAT)
    if version != FORMAT:
        raise UnknownVersion(f"a stored {kind.__name__} has format {version}; this release reads {FORMAT}")
    return body


def fields_of(data: bytes) -> dict[str, Raw]:
    """The fields of a JSON object, each as it is written."""
    return _fields.decode(data)
