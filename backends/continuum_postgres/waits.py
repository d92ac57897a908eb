"""Starts and deliveries that meet a transaction which is open still: they alone wait, and nobody behind them.

A caller's transaction may hold a run's key or a dedupe id for as long as it likes. The lane of starts and
deliveries waits for it only briefly; then the batch is halved until the members that meet it are alone, and
these are answered BUSY. Their callers ask again, one by one, and what is known to be busy goes by a lane of
its own, which may wait longer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from attrs import define, field
from psycopg import errors as states

from continuum_core.journal.commit import Delivered, DeliverOutcome, NewRun, Started, StartOutcome
from continuum_core.journal.records import Delivery
from continuum_postgres import fused
from continuum_postgres.deliveries import deliver
from continuum_postgres.lane import Lane
from continuum_postgres.session import Session
from continuum_postgres.starts import start, start_long

__all__ = ["ASIDE", "BRIEF", "Busy", "deliver_busy", "deliver_free", "start_busy", "start_free"]

Member = TypeVar("Member")
Answer = TypeVar("Answer")

BRIEF = 30
"""Milliseconds that a batch waits for another transaction: ordinary ones are over by then."""

ASIDE = 250
"""Milliseconds that a member waits which is alone."""

_LOCKED = 40
"""So many halves in a row that met a lock are no matter of single members: the table itself is locked."""

_REMEMBERED = 10_000

BUSY_DELIVERY = Delivered(DeliverOutcome.BUSY, 0)


# --- in a batch


async def start_free(session: Session, runs: Sequence[NewRun]) -> list[Started]:
    """The verb `start`; who meets an open transaction is BUSY."""
    return await _halved(session, runs, start, fused.BUSY)


async def deliver_free(session: Session, deliveries: Sequence[Delivery]) -> list[Delivered]:
    """The verb `deliver`; who meets an open transaction is BUSY."""
    return await _halved(session, deliveries, deliver, BUSY_DELIVERY)


async def _start_long(session: Session, runs: Sequence[NewRun]) -> list[Started]:
    return await _halved(session, runs, start_long, fused.BUSY)


async def _halved(
    session: Session,
    members: Sequence[Member],
    verb: Callable[[Session, Sequence[Member]], Awaitable[Sequence[Answer]]],
    busy: Answer,
) -> list[Answer]:
    answers: list[Answer] = []
    parts = [members]
    met = 0
    while parts:
        part = parts.pop()
        if met >= _LOCKED:
            answers += [busy] * len(part)
            continue
        try:
            answers += await verb(session, part)
            met = 0
            session.partly = bool(parts)
        except states.LockNotAvailable:
            met += 1
            await session.recover()
            session.committing = False
            session.partly = session.partly or bool(answers)
            half = len(part) // 2
            if half:
                parts += [part[half:], part[:half]]
            else:
                answers.append(busy)
    session.partly = False
    return answers


# --- alone


@define(eq=False)
class Busy:
    """What is known to be busy, by name, and the lane on which it is asked for.

    :ivar aside: its connection waits for as long as `ASIDE` says.
    :ivar names: in the order in which they were busy last.
    """

    aside: Lane
    names: dict[object, None] = field(factory=dict[object, None])

    def knows(self, name: object) -> bool:
        return name in self.names

    def note(self, name: object, busy: bool) -> None:
        """Keep in mind what a member was answered."""
        if not busy:
            self.names.pop(name, None)
            return
        self.names[name] = None
        while len(self.names) > _REMEMBERED:
            del self.names[next(iter(self.names))]


async def start_busy(busy: Busy, lane: Lane, runs: Sequence[NewRun]) -> list[Started]:
    """One answer per run: what is known to be busy holds up nobody, and is tried where it comes alone."""
    if len(runs) == 1 and lane.free and not busy.names and fused.begins(runs[0]):
        told = await lane.single(fused.start_single, _start_long, runs[0])
        if told.outcome is StartOutcome.BUSY:
            busy.note(runs[0].run_id, True)
        return [told]
    return await _apart(
        busy, lane, runs, start_free, _run, fused.BUSY, lambda answer: answer.outcome is StartOutcome.BUSY
    )


async def deliver_busy(busy: Busy, lane: Lane, deliveries: Sequence[Delivery]) -> list[Delivered]:
    """The same for deliveries."""
    return await _apart(
        busy,
        lane,
        deliveries,
        deliver_free,
        _delivery,
        BUSY_DELIVERY,
        lambda answer: answer.outcome is DeliverOutcome.BUSY,
    )


def _run(new: NewRun) -> object:
    return new.run_id


def _delivery(delivery: Delivery) -> object:
    return (delivery.run_id, delivery.dedupe)


async def _apart(
    busy: Busy,
    lane: Lane,
    members: Sequence[Member],
    verb: Callable[[Session, Sequence[Member]], Awaitable[list[Answer]]],
    name: Callable[[Member], object],
    untried: Answer,
    is_busy: Callable[[Answer], bool],
) -> list[Answer]:
    known = [busy.knows(name(member)) for member in members]
    if len(members) == 1 and known[0]:
        told = await busy.aside.ask(lambda session: verb(session, members))
    elif any(known):
        free = [member for member, waits in zip(members, known, strict=True) if not waits]
        rest = iter(await lane.gather(verb, free, prompt=True))
        told = [untried if waits else next(rest) for waits in known]
    else:
        told = await lane.gather(verb, members, prompt=True)
    for member, answer in zip(members, told, strict=True):
        if is_busy(answer) or busy.knows(name(member)):
            busy.note(name(member), is_busy(answer))
    return told
