"""Sending events: those of one client reach a run in the order they were sent in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from continuum_core.arguments import Length, kept, kept_time, micros
from continuum_core.client.connected import Connected
from continuum_core.client.handle import Ref
from continuum_core.codec import codec_for
from continuum_core.definition.event import event_name, is_event
from continuum_core.errors import RunOver, TooManyPending, UnexpectedEvent, UsageError
from continuum_core.journal.commit import Delivered, DeliverOutcome
from continuum_core.journal.records import Definition, Delivery, Run
from continuum_core.journal.transactions import Within
from continuum_core.mapper import encode_signal, encode_signal_raw, signal_delivery
from continuum_core.registry import Entry
from continuum_core.shape import check_event, parse_json

__all__ = ["Sending"]

_FLOORS = 10_000
"""How many runs' last delivery times a client remembers, to keep its sends in order."""


class Sending(Connected):
    """The part of a client that sends events."""

    async def send(
        self,
        run: Ref,
        event: Any,
        data: Any = None,
        *,
        dedupe: str | None = None,
        delay: Length | None = None,
        connection: object | None = None,
    ) -> None:
        """Send a run an event. Events that this client sends to one run arrive in order.

        :param event: an instance of an event class; or an event's name, and then `data` is JSON values.
        :param dedupe: an id under which the run takes the event once, however often it is sent.
        :param delay: deliver it so much later: a `timedelta`, or seconds. One that is over already is none.
        :param connection: as in `start`: the event is sent if the connection's transaction is committed. It
            arrives when it is; events sent meanwhile without that connection may overtake it.

        Raises UnexpectedEvent where the machine's definition never mentions the event, RunNotFound,
        RunOver, TooManyPending, PayloadRefused, JournalUnavailable; UsageError for a connection that cannot
        be joined.
        """
        self._check()
        if dedupe is not None:
            kept("dedupe", dedupe, "'payment-77'")
        within = None if connection is None else await self._within(connection)
        due = None
        if delay is not None:
            due = kept_time("delay", delay, self._clock.estimate() + max(0, micros("delay", delay)))
        await self._send(run, event, data, dedupe, due, within)

    async def _send(
        self,
        run: Ref,
        event: Any,
        data: Any,
        dedupe: str | None,
        due: int | None = None,
        within: Within | None = None,
    ) -> None:
        run_id, entry = self._ref(run)
        payload = await self._event_payload(run_id, entry, event, data, within)
        id_ = self._host.new_id()
        delivery = signal_delivery(
            id_, run_id, payload, dedupe=dedupe or str(id_), due=due, floor=self._floors.get(run_id, 0)
        )
        if self.plugins.outgoing_headers is not None:
            cls: Any = event.__class__
            name = event if isinstance(event, str) else event_name(cls)
            delivery = self._outgoing(delivery, "" if entry is None else entry.chart.name, name)
        if within is None:
            answer = await self._delivered(delivery)
        else:
            [answer] = await within.deliver([delivery])
        if due is None and answer.outcome is DeliverOutcome.ACCEPTED:
            self._floors[run_id] = answer.due
            self._floors.move_to_end(run_id)
            while len(self._floors) > _FLOORS:
                self._floors.popitem(last=False)
        self._refused(run_id, answer.outcome)

    async def _delivered(self, delivery: Delivery) -> Delivered:
        answer = await self._sends.ask(delivery)
        if answer is not None and answer.outcome is DeliverOutcome.BUSY:
            answer = await self._outwaited(
                lambda: self.journal.deliver([delivery]),
                lambda answer: answer.outcome is DeliverOutcome.BUSY,
            )
        self._tell_here()
        if answer is None:
            raise self._unanswered()
        return answer

    def _refused(self, run_id: UUID, outcome: DeliverOutcome) -> None:
        if outcome is DeliverOutcome.UNKNOWN_RUN:
            raise self._missing(run_id)
        if outcome is DeliverOutcome.RUN_OVER:
            raise RunOver(str(run_id))
        if outcome is DeliverOutcome.FULL:
            raise TooManyPending(str(run_id), self._limits.pending)

    async def _event_payload(
        self, run_id: UUID, entry: Entry | None, event: Any, data: Any, within: Within | None
    ) -> bytes:
        if isinstance(event, type) and is_event(event):
            raise UsageError(f"send an instance: {event.__name__}(...), not the class")
        if entry is None:
            return await self._payload_of(await self._row(run_id, within), event, data)
        return self._typed_payload(entry, event, data)

    async def _payload_of(self, row: Run, event: Any, data: Any) -> bytes:
        """An event for a run, by the definition that it was last run by."""
        entry = self._registry.find(row.fingerprint)
        if entry is None:
            definition = await self._definitions.of_run(row.fingerprint, row.machine)
            return _untyped_event(definition, event, data)
        return self._typed_payload(entry, event, data)

    def _typed_payload(self, entry: Entry, event: Any, data: Any) -> bytes:
        if not isinstance(event, str):
            if data is not None:
                raise UsageError("data= goes with an event's name; an event instance carries its own")
            return encode_signal(entry, event)
        codec = entry.events.get(event)
        if codec is None:
            raise UnexpectedEvent(entry.chart.name, event, sorted(entry.events))
        return encode_signal_raw(event, codec.encode(parse_json(codec, {} if data is None else data)))


def _untyped_event(definition: Definition, event: Any, data: Any) -> bytes:
    """An event for a machine whose code is not here."""
    if not isinstance(event, str):
        cls: Any = event.__class__
        if not is_event(cls):
            raise UnexpectedEvent(definition.machine, cls.__name__, ())
        event, data = event_name(cls), msgspec.json.decode(codec_for(cls).encode(event))
    return encode_signal_raw(event, check_event(definition, event, data))
