"""The bookkeeping of a journal with one run: deliveries come in, records are kept, deferred events retried.

`step` decides everything. What it gives passes through the codec as on its way to a journal, and one that
raises has changed nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from copy import copy
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from continuum_core.clock import Micros, to_datetime
from continuum_core.definition.message import Message
from continuum_core.errors import RunOver
from continuum_core.interpreter.commands import Send
from continuum_core.interpreter.crews import OpenCrew
from continuum_core.interpreter.macrostep import step
from continuum_core.interpreter.snapshot import Disposition
from continuum_core.journal.records import ENDED, Delivery, DeliveryKind, Record, RunStatus
from continuum_core.mapper import (
    Image,
    ask,
    decode_event,
    decode_image,
    encode_image,
    encode_reply,
    encode_step,
    ending,
    imaged,
    is_asked,
    record_kind,
    status_of,
    unborn,
)
from continuum_core.registry import Entry
from continuum_core.testing.opened import OpenWork

__all__ = ["LoneRun"]

_NAMESPACE = "drive"


class LoneRun:
    """One run, unborn at first.

    :ivar kept: deliveries that it deferred, oldest first.
    :ivar stuck: deliveries that it could not take: undos that failed.
    :ivar taken: the numbers of the edges it took.
    :ivar sent: its messages for other runs.
    :ivar replies: the stored replies to questions, by the dedupe ids of these.
    """

    def __init__(self, entry: Entry, run_id: UUID, now: Micros) -> None:
        self.entry = entry
        self.id = run_id
        self.now = now
        self.image = unborn()
        self.work = OpenWork(entry)
        self.kept: list[Delivery] = []
        self.stuck: list[Delivery] = []
        self.records: list[Record] = []
        self.taken: list[int] = []
        self.sent: list[Message] = []
        self.replies: dict[str, bytes] = {}
        self._ids = 0

    def fork(self) -> LoneRun:
        """The same run once more: what happens to one of the two the other never sees."""
        other = copy(self)
        other.work = self.work.fork()
        for name in ("kept", "stuck", "records", "taken", "sent"):
            setattr(other, name, list(getattr(self, name)))
        other.replies = dict(self.replies)
        return other

    @property
    def status(self) -> RunStatus:
        """Running, or how it ended; parked while an undo that failed is stuck."""
        return RunStatus.PARKED if self.stuck else status_of(self.image.snapshot.outcome)

    # --- what comes ---

    def delivery(self, kind: DeliveryKind, payload: bytes, token: int = 0, slot: int = 0) -> Delivery:
        """A delivery to this run."""
        return Delivery(self.new_id(), self.id, kind, payload, token=token, slot=slot)

    def new_id(self) -> UUID:
        """The next id: the same in every run of a test."""
        self._ids += 1
        return UUID(int=self._ids)

    def decoded(self, delivery: Delivery) -> Any:
        """The event of a delivery."""
        snapshot = self.image.snapshot
        return decode_event(
            self.entry, snapshot, delivery.kind, delivery.payload, delivery.token, delivery.slot
        )

    def arrive(self, delivery: Delivery) -> None:
        """Take a delivery in, and what a change of configuration releases."""
        before = self.image.snapshot.configuration
        disposition = self.take(delivery)
        if disposition is Disposition.DEFERRED:
            self.kept.append(delivery)
        elif disposition is Disposition.STUCK:
            self.stuck.append(delivery)
        elif self.image.snapshot.configuration != before:
            self._retry()

    def _retry(self) -> None:
        index = 0
        while index < len(self.kept):
            before = self.image.snapshot.configuration
            if self.take(self.kept[index]) is Disposition.DEFERRED:
                index += 1
                continue
            if self.kept:  # the end of a run clears them
                del self.kept[index]
            if self.image.snapshot.configuration != before:
                index = 0  # the oldest first, again

    def take(self, delivery: Delivery) -> Disposition:
        """Take one event, and nothing after it. Raises RunOver once the run has ended."""
        if self.status in ENDED:
            raise RunOver(str(self.id))
        entry, before = self.entry, self.image
        made = step(entry.program, before.snapshot, self.decoded(delivery), self.now, self.id.bytes)
        after = imaged(entry, before, made.snapshot)
        asked = ask(entry, _NAMESPACE, self.id, made, delivery.id, self.new_id)
        body = encode_step(entry, before, after, made, delivery, asked, ending(entry, after.snapshot))
        stored = _with_results(decode_image(entry, made.snapshot.version, encode_image(entry, after)), after)
        opened = self.work.opened(made, asked)
        reply = encode_reply(entry, before.snapshot, delivery, made) if is_asked(delivery) else None
        # Nothing above has changed this run: what raises leaves it as it was.
        outcome = made.snapshot.outcome
        self.image = after if outcome is not None else stored
        self.records.append(
            Record(
                run_id=self.id,
                version=made.snapshot.version,
                kind=record_kind(delivery.kind, made),
                at=made.snapshot.now,
                cause=delivery.id,
                commit_id=delivery.id,
                body=body,
            )
        )
        if reply is not None:
            self.replies[reply.dedupe] = reply.body
        self.taken.extend(number for microstep in made.edges for number in microstep)
        self.sent.extend(command.message for command in made.commands if isinstance(command, Send))
        self.work.follow(made, opened)
        if outcome is not None:
            self.work.clear()
            self.kept.clear()
            self.stuck.clear()
        return made.disposition

    # --- how it can go on ---

    @property
    def situation(self) -> Hashable:
        """What decides how it can go on; see `Drive.situation`."""
        snapshot, now = self.image.snapshot, to_datetime(self.now)
        timers = sorted(self.work.timers, key=lambda timer: timer.due)
        return (
            snapshot.configuration,
            bytes(self.image.context),
            tuple(sorted(snapshot.history.items())),
            tuple((each.activity, each.state, each.slot) for each in self.work.activities),
            tuple((each.state, each.slot, each.due - now) for each in timers),
            tuple((each.kind, each.payload) for each in self.kept),
            tuple(self._crew(crew) for crew in snapshot.crews.values()),
        )

    def _crew(self, crew: OpenCrew) -> Hashable:
        """How a crew can go on."""
        ended: list[tuple[int, str]] = []
        chain = crew.results
        while chain is not None:
            chain, number, result = chain
            ended.append((number, repr(result)))
        waiting = self.entry.context.encode(crew.context) if crew.next < crew.total else b""
        return (crew.state, crew.slot, crew.next, crew.open, tuple(sorted(ended)), waiting)


def _with_results(stored: Image, after: Image) -> Image:
    """The run as it is stored, with what a journal keeps beside it."""
    if not stored.snapshot.crews:
        return stored
    known = after.snapshot.crews
    crews = {
        token: replace(crew, results=known[token].results, known=known[token].known)
        for token, crew in stored.snapshot.crews.items()
    }
    return replace(stored, snapshot=replace(stored.snapshot, crews=crews))
