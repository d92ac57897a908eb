"""Where each record of a run came from, and what a run did to its child runs: by its own records alone.

A record names the delivery or order that caused it. Deliveries are deleted once they are consumed, so the
way back goes by what records keep for ever:

- a timer or an activity's outcome bears the token of a state entry, and some record before asked for it
  under that token; the outcome of a child run, likewise, leads to that run's end;
- a message from a run bears the run, the record and the command that sent it (`EventBody.source`);
- an event that was deferred and taken later has the same cause in both records;
- a cancellation follows the record of the order, or comes from the parent; orders say who gave them; a
  parking says on what;
- the first record of a fork names the run and the record that it branches off from, that of a child run
  the run that started it.

Everything else came from a client: there the way back ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from attrs import evolve, field, frozen
from msgspec import Raw

from continuum_core.envelope import EventBody, StepBody
from continuum_core.interpreter.bounds import FORCED, OWN
from continuum_core.interpreter.progress import minted_by
from continuum_core.journal.records import DeliveryKind, Record, RecordKind
from continuum_core.mapper import (
    child_id,
    commands_of,
    decode_control,
    decode_fork,
    decode_step,
    origin_of_start,
)

__all__ = ["LAST", "Brood", "Origin", "Place", "brood_of", "origins"]

Place = tuple[UUID, int]
"""A record: run and version."""

LAST = 0
"""As a version in an origin: which record of that run it was, only that run's own records tell."""

_OPEN = ("start-timer", "start-activity", "start-run")
_CLOSED = ("cancel-runs", "terminate-runs")


@frozen
class Origin:
    """How a record came about, and the record it came from.

    :ivar how: see `causes.Link`.
    :ivar asked: of the end of a child run: the record of this run that started it.
    """

    how: str
    by: Place | None = None
    who: str = ""
    asked: int = 0


@frozen
class Brood:
    """What a run did to its child runs.

    :ivar started: the record that started each, by the child run's id.
    :ivar states: the state of the parent that each belongs to, and its number in its crew.
    :ivar closed: the record that asked each to stop.
    """

    started: dict[UUID, int] = field(factory=dict[UUID, int])
    states: dict[UUID, tuple[str, int]] = field(factory=dict[UUID, tuple[str, int]])
    closed: dict[UUID, int] = field(factory=dict[UUID, int])


def brood_of(run_id: UUID, records: Sequence[Record]) -> Brood:
    """What a run did to its child runs, by those of its records that are stored.

    A run that is terminated closes whatever is under way then.
    """
    brood = Brood()
    under_way: dict[UUID, None] = {}
    for record in records:
        for command in commands_of(record):
            if command.do == "start-run":
                child = UUID(command.to)
                brood.started[child] = record.version
                brood.states[child] = (command.state, command.slot)
                under_way[child] = None
            elif command.do in _CLOSED:
                for number in command.numbers:
                    brood.closed[child_id(run_id, command.token, number)] = record.version
        if record.kind is RecordKind.CONTROL and decode_control(record).order == "terminate":
            brood.closed.update(dict.fromkeys(under_way, record.version))
        elif record.kind in (RecordKind.STEP, RecordKind.GENERATION):
            event = decode_step(record).event
            if event.kind == DeliveryKind.OUTCOME:
                under_way.pop(child_id(run_id, event.token, event.slot), None)
    return brood


def origins(records: Sequence[Record]) -> list[Origin]:
    """Where each record of a run came from.

    :param records: all that are stored, oldest first.
    """
    found: list[Origin] = []
    told = _Told()
    for record in records:
        if record.kind is RecordKind.CONTROL:
            found.append(_ordered(record, told))
            continue
        for command in commands_of(record):
            if command.do in _OPEN:
                told.opened[command.token, command.slot] = record.version
            if command.do == "start-run":
                told.children.add((command.token, command.slot))
        if record.kind is RecordKind.MIGRATION:
            found.append(Origin("upgrade"))
            continue
        found.append(_stepped(record, decode_step(record), told))
        told.taken[record.cause] = record.version
    return found


@frozen
class _Told:
    """What the records so far have told.

    :ivar taken: what caused a step → the last such step.
    :ivar opened: timer, activity or child run → the record that asked for it; `children` are child runs.
    :ivar cancelled: records of orders to cancel.
    """

    taken: dict[UUID, int] = field(factory=dict[UUID, int])
    opened: dict[tuple[int, int], int] = field(factory=dict[tuple[int, int], int])
    children: set[tuple[int, int]] = field(factory=set[tuple[int, int]])
    cancelled: list[int] = field(factory=list[int])


def _ordered(record: Record, told: _Told) -> Origin:
    order = decode_control(record)
    if order.order == "cancel":
        told.cancelled.append(record.version)
    if order.order != "park":
        return Origin("order", None, order.who)
    if not isinstance(order.event, EventBody):
        return Origin("engine")
    return evolve(_arrived(record, order.event, told), how="engine")


def _stepped(record: Record, body: StepBody, told: _Told) -> Origin:
    if record.cause in told.taken:
        return Origin("deferred", (record.run_id, told.taken[record.cause]))
    if body.event.kind == DeliveryKind.CANCEL:
        if told.cancelled:
            return Origin("order", (record.run_id, told.cancelled[-1]))
        return Origin("closed")
    return _arrived(record, body.event, told)


def _arrived(record: Record, event: EventBody, told: _Told) -> Origin:
    kind, place = DeliveryKind(event.kind), (event.token, event.slot)
    asked = told.opened.get(place, minted_by(event.token))
    if kind is DeliveryKind.TIMER and event.token == OWN:
        # The record that began it may be pruned; then the run's first one did.
        asked = told.opened.get((OWN, event.slot % FORCED), 1)
    if kind is DeliveryKind.TIMER:
        return Origin("timer", (record.run_id, asked))
    if kind is DeliveryKind.OUTCOME:
        if place in told.children:
            return Origin("ended", (child_id(record.run_id, *place), LAST), asked=asked)
        return Origin("activity", (record.run_id, asked))
    if event.source:  # asked first: a parking keeps no payload of what it stumbled on
        run, version, _ = event.source.split(":")
        return Origin("message", (UUID(run), int(version)))
    if not isinstance(event.payload, Raw):
        return Origin("client")
    if kind is DeliveryKind.FORK:
        fork = decode_fork(bytes(event.payload))
        return Origin("fork", (UUID(fork.run), fork.version))
    if kind is DeliveryKind.START:
        above = origin_of_start(bytes(event.payload))
        return Origin("client") if above is None else Origin("child", (UUID(above.run), LAST))
    return Origin("client")
