"""A run as it was at an earlier version, told by its records alone: no code of its machine is needed.

Records are the authority. Each says what changed of the context, which states were active after it, what
it started and what it closed; so the records from the first on, taken in order, tell what the run was
after each, and what it had open. Rows of deliveries and tasks are not asked: they are long gone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from attrs import frozen
from msgspec import Raw, UnsetType
from msgspec.structs import replace

from continuum_core.clock import Micros, span, to_datetime
from continuum_core.envelope import (
    BoundsBody,
    CommandBody,
    MigrationBody,
    SnapshotBody,
    StepBody,
    fields_of,
    read,
    write,
)
from continuum_core.errors import PayloadRefused, UnknownVersion, UsageError
from continuum_core.interpreter.bounds import DEADLINE, OWN, STOP
from continuum_core.journal.records import ENDED, DeliveryKind, Record, RecordKind, RunStatus
from continuum_core.mapper import decode_control, decode_migration, decode_outcome, decode_step, peek_event
from continuum_core.registry import Entry

__all__ = ["Moment", "OpenActivity", "OpenTimer", "Past", "Reader", "moment_of", "no_record", "read_past"]

Reader = Callable[[int], Awaitable[list[Record]]]
"""The records of one run with versions above a number, a page of them; none when there are no more."""

_ORDERED = {
    "suspend": RunStatus.SUSPENDED,
    "resume": RunStatus.RUNNING,
    "cancel": RunStatus.RUNNING,
    "park": RunStatus.PARKED,
    "unpark": RunStatus.RUNNING,
    "terminate": RunStatus.TERMINATED,
}
_ENDS = {
    "completed": RunStatus.COMPLETED,
    "failed": RunStatus.FAILED,
    "cancelled": RunStatus.CANCELLED,
    "terminated": RunStatus.TERMINATED,
    "timed-out": RunStatus.FAILED,
}


# --- the value ---------------------------------------------------------------------------------------


@frozen
class OpenTimer:
    """A timer that was running; `state` is the one it belongs to, by dotted path."""

    state: str
    due: datetime


@frozen
class OpenActivity:
    """An activity that had no outcome yet.

    :ivar input: JSON values.
    :ivar since: when it was asked for.
    :ivar deadline: after it no attempt begins any more; None where it has none, or its code is not here.
    """

    activity: str
    state: str
    input: Any
    key: str | None
    since: datetime
    deadline: datetime | None = None


@frozen
class Moment:
    """A run as it was after one of its records.

    :ivar at: the time of that record.
    :ivar states: the active states, innermost only, by dotted path.
    :ivar context: a typed value where the machine's code is here and reads it, else JSON values; None before
        the first turn.
    :ivar outcome: how the run ended, as JSON values, where it had.
    :ivar deferred: names of the events that it kept for later.
    :ivar generation: how often it had continued as new.
    :ivar deadline: when it had to be over; None where it had no deadline, or that had passed.
    :ivar stop_by: when it had to have stopped, since it was asked to.
    :ivar vague: steps before it left no record, so that it may have had more open than is told.
    """

    run: UUID
    version: int
    at: datetime
    status: RunStatus
    states: tuple[str, ...]
    context: Any
    fingerprint: str
    outcome: dict[str, Any] | None = None
    timers: tuple[OpenTimer, ...] = ()
    activities: tuple[OpenActivity, ...] = ()
    deferred: tuple[str, ...] = ()
    generation: int = 0
    vague: bool = False
    deadline: datetime | None = None
    stop_by: datetime | None = None


# --- the fold ----------------------------------------------------------------------------------------


@frozen
class Opened:
    """A timer or an activity, as the command that asked for it, and when that was."""

    command: CommandBody
    at: Micros


class Past:
    """A run while its records are taken in; what it holds is the run after the last of them."""

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self.version = 0
        self.at: Micros = 0
        self.status = RunStatus.RUNNING
        self.fingerprint = ""
        self.states: tuple[str, ...] = ()
        self.history: dict[str, tuple[str, ...]] = {}
        self.outcome: bytes | None = None
        self.timers: dict[tuple[int, int], Opened] = {}
        self.activities: dict[tuple[int, int], Opened] = {}
        self.deferred: dict[UUID, bytes] = {}  # delivery → payload
        self.patches: dict[str, bool] = {}
        self.generation = 0
        self.deadline: Micros | None = None
        self.stop_by: Micros | None = None
        self.vague = False  # some steps left no record: it may have more open than is told
        self._fields: dict[str, Raw] = {}
        self._whole: bytes | None = b"null"  # what is no JSON object; so it is before the first turn

    @property
    def context(self) -> bytes:
        """The context as JSON; ``null`` before the first turn."""
        return write(self._fields) if self._whole is None else self._whole

    def take(self, record: Record) -> None:
        """Take in the next record. Raises UnknownVersion for one that cannot be read."""
        if record.kind is RecordKind.CONTROL:
            self._order(decode_control(record).order)
        elif record.kind is RecordKind.MIGRATION:
            self._migration(decode_migration(record), record.at)
        else:
            self._step(decode_step(record), record)
        self.version, self.at = record.version, record.at

    def _order(self, order: str) -> None:
        self.status = _ORDERED.get(order, self.status)
        if self.status in ENDED:
            self._close_all()

    def _step(self, body: StepBody, record: Record) -> None:
        kind, arrived = DeliveryKind(body.event.kind), (body.event.token, body.event.slot)
        self.fingerprint = body.fingerprint
        self.states = tuple(body.states)
        self.status = RunStatus.RUNNING  # whatever rested: its deadline may have ended that
        if kind is DeliveryKind.TIMER:
            self.timers.pop(arrived, None)
            if arrived == (OWN, DEADLINE):
                self.deadline = None
        elif kind is DeliveryKind.OUTCOME:
            self.activities.pop(arrived, None)
        self.deferred.pop(record.cause, None)
        if isinstance(body.after, Raw):
            self._take_over(read(SnapshotBody, bytes(body.after)))
            if body.steps > 1:
                self._forget(read(SnapshotBody, bytes(body.after)))
        if body.disposition == "deferred" and isinstance(body.event.payload, Raw):
            self.deferred[record.cause] = bytes(body.event.payload)
        self._change(body)
        self.patches.update(body.patches)
        self._asked(body.commands, body.outcome, record.at)

    def _migration(self, body: MigrationBody, at: Micros) -> None:
        after = read(SnapshotBody, bytes(body.after))
        self.fingerprint = body.fingerprint
        self._take_over(after)
        self._asked(body.commands, body.outcome, at)
        # What goes on belongs to the state that its own state became.
        places = {token: path for path, token in after.tokens.items()}
        for going_on in (self.timers, self.activities):
            for place, opened in going_on.items():
                state = opened.command.state
                state = places.get(place[0], body.mapping.get(state, state))
                going_on[place] = Opened(replace(opened.command, state=state), opened.at)

    def _take_over(self, after: SnapshotBody) -> None:
        """What the run is from now on, whatever it was before."""
        self.states = tuple(after.states)
        self.history = after.history
        self.patches = after.patches
        self.generation = after.generation
        bounds = after.bounds if isinstance(after.bounds, BoundsBody) else BoundsBody()
        self.deadline, self.stop_by = bounds.deadline, bounds.stop_by
        self._whole_context(bytes(after.context))

    def _forget(self, after: SnapshotBody) -> None:
        """Steps before left no record: what they closed is closed, and what they opened is not told."""
        self.vague = True
        live = {*after.tokens.values(), *(each.token for each in after.pending)}
        for opened in (self.timers, self.activities):
            for place in [place for place in opened if place[0] not in live]:
                del opened[place]
        self.deferred.clear()

    def _asked(self, commands: list[CommandBody], outcome: Raw | UnsetType, at: Micros) -> None:
        for command in commands:
            self._ask(command, at)
        if isinstance(outcome, Raw):
            self.outcome = bytes(outcome)
            self.status = _ENDS.get(decode_outcome(self.outcome).kind, RunStatus.COMPLETED)
            self._close_all()

    def _change(self, body: StepBody) -> None:
        if isinstance(body.changed, dict):
            self._fields.update(body.changed)
            self._whole = None
        elif isinstance(body.context, Raw):
            self._whole_context(bytes(body.context))
        if isinstance(body.history, dict):
            self.history = body.history

    def _whole_context(self, data: bytes) -> None:
        self._fields = fields_of(data) if data.startswith(b"{") else {}
        self._whole = None if data.startswith(b"{") else data

    def _ask(self, command: CommandBody, at: Micros) -> None:
        place = (command.token, command.slot)
        if command.do == "start-timer" and place == (OWN, DEADLINE):
            self.deadline = command.due
        elif command.do == "start-timer" and place == (OWN, STOP):
            self.stop_by = command.due
        elif command.do == "start-timer":
            self.timers[place] = Opened(command, at)
        elif command.do == "start-activity":
            self.activities[place] = Opened(command, at)
        elif command.do == "close":
            for opened in (self.timers, self.activities):
                for key in [key for key in opened if key[0] == command.token]:
                    del opened[key]

    def _close_all(self) -> None:
        self.timers.clear()
        self.activities.clear()
        self.deferred.clear()
        self.deadline = self.stop_by = None


async def read_past(
    run_id: UUID, reader: Reader, *, version: int | None = None, at: Micros | None = None
) -> Past:
    """The run after record `version`, or after the last record that is not later than `at`.

    Where the run has fewer records, or none so early, it is the run after as many as there are.
    """
    past = Past(run_id)
    while version is None or past.version < version:
        page = await reader(past.version)
        for record in page:
            if (version is not None and record.version > version) or (at is not None and record.at > at):
                return past
            past.take(record)
        if not page:
            break
    return past


def no_record(run_id: UUID, wanted: int, version: int, records: Sequence[Record]) -> UsageError:
    """The error for somebody who asks for a record that is not there: it never was, or was pruned."""
    stored = [record.version for record in records]
    if 0 < wanted <= version and (not stored or wanted < stored[0]):
        begins = f"what is stored begins with record {stored[0]}" if stored else "no record is stored"
        return UsageError(
            f"record {wanted} of run {run_id} was pruned with a past generation, or never kept; {begins}"
        )
    if 0 < wanted <= version:
        near = max(each for each in stored if each < wanted)
        return UsageError(
            f"step {wanted} of run {run_id} left no record, as its states ask for; the nearest before it is "
            f"record {near}"
        )
    known = f"it has records {min(stored[0] if stored else 1, version)} to {version}"
    return UsageError(f"run {run_id} has no record {wanted}; {known}")


def moment_of(past: Past, entry: Entry | None) -> Moment:
    """The value that users get.

    :param entry: the machine's code, where it is here.
    """
    return Moment(
        run=past.run_id,
        version=past.version,
        at=to_datetime(past.at),
        status=past.status,
        states=past.states,
        context=_context(past, entry),
        fingerprint=past.fingerprint,
        outcome=None if past.outcome is None else msgspec.json.decode(past.outcome),
        timers=tuple(OpenTimer(o.command.state, to_datetime(o.command.due)) for o in past.timers.values()),
        activities=tuple(_activity(o, entry) for o in past.activities.values()),
        deferred=tuple(peek_event(DeliveryKind.SIGNAL, each)[0] for each in past.deferred.values()),
        generation=past.generation,
        vague=past.vague,
        deadline=None if past.deadline is None else to_datetime(past.deadline),
        stop_by=None if past.stop_by is None else to_datetime(past.stop_by),
    )


def _context(past: Past, entry: Entry | None) -> Any:
    data = past.context
    if entry is not None and data != b"null":
        try:
            return entry.context.decode(data)
        except (UnknownVersion, PayloadRefused):
            pass  # shown as stored: looking at the past must not need code that can run it
    return msgspec.json.decode(data)


def _activity(opened: Opened, entry: Entry | None) -> OpenActivity:
    command = opened.command
    known = None if entry is None else entry.activities.get(command.activity)
    within = None if known is None else known.activity.retry.within
    return OpenActivity(
        activity=command.activity,
        state=command.state,
        input=msgspec.json.decode(command.input) if isinstance(command.input, Raw) else None,
        key=command.key,
        since=to_datetime(opened.at),
        deadline=None if within is None else to_datetime(opened.at + span(within)),
    )
