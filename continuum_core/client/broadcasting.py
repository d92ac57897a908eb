"""One event to all runs that a query finds, each of which takes it once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen

from continuum_core.arguments import kept
from continuum_core.client.finding import Finding, Wanted
from continuum_core.client.sending import Sending
from continuum_core.definition.event import event_name
from continuum_core.errors import UnexpectedEvent, UsageError
from continuum_core.journal.commit import DeliverOutcome
from continuum_core.journal.records import ENDED, Run
from continuum_core.mapper import signal_delivery

__all__ = ["Broadcast", "Broadcasting"]


@frozen
class Broadcast:
    """What became of a broadcast, so far or in the end.

    :ivar sent: runs that it was sent to now.
    :ivar repeated: runs that it was sent to before, under the same key.
    :ivar over: runs that had ended.
    :ivar full: runs with as many pending events as they may have: repeat the broadcast for them later.
    :ivar unfit: runs of machines that never mention the event.
    """

    sent: int = 0
    repeated: int = 0
    over: int = 0
    full: int = 0
    unfit: int = 0

    @property
    def runs(self) -> int:
        """How many runs were found."""
        return self.sent + self.repeated + self.over + self.full + self.unfit


_AHEAD = "broadcast/"
"""How the dedupe ids begin under which broadcasts are sent."""

_FIELDS = {
    DeliverOutcome.ACCEPTED: "sent",
    DeliverOutcome.DUPLICATE: "repeated",
    DeliverOutcome.RUN_OVER: "over",
    DeliverOutcome.UNKNOWN_RUN: "over",
    DeliverOutcome.FULL: "full",
}


class Broadcasting(Sending, Finding):
    """The part of a client that sends to many."""

    async def broadcast(
        self,
        query: Wanted,
        event: Any,
        data: Any = None,
        *,
        key: str,
        progress: Callable[[Broadcast], None] | None = None,
    ) -> Broadcast:
        """Send an event to every run that a query finds and that has not ended.

        :param event: as in `send`.
        :param key: names this broadcast. Repeated under the same key, after a crash say, it reaches each run
            once: those that took the event are found again, if at all, and told apart. A run takes it once
            within the dedupe window.
        :param progress: told after each page of runs.

        Runs are gone through page by page, newest first, however the event changes what the query would find.
        Raises what `find` raises, JournalUnavailable, and UsageError for an event that is none.
        """
        self._check()
        if not key:
            raise UsageError("broadcast: key= names the broadcast; without one a repeat would send twice")
        kept("key", key, "'prices-2030'", _AHEAD)
        told = Broadcast()
        async for runs in self._pages(query):
            for run in runs:
                field = await self._told(run, event, data, key)
                told = evolve(told, **{field: getattr(told, field) + 1})
            if progress is not None and runs:
                progress(told)
        return told

    async def _told(self, run: Run, event: Any, data: Any, key: str) -> str:
        if run.status in ENDED:
            return "over"
        try:
            payload = await self._payload_of(run, event, data)
        except UnexpectedEvent:
            return "unfit"
        delivery = signal_delivery(self._host.new_id(), run.run_id, payload, dedupe=f"{_AHEAD}{key}")
        if self.plugins.outgoing_headers is not None:
            cls: Any = event.__class__
            name = event if isinstance(event, str) else event_name(cls)
            delivery = self._outgoing(delivery, run.machine, name)
        answer = await self._delivered(delivery)
        return _FIELDS[answer.outcome]
