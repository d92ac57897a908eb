"""Asking runs: an event goes in like any other, and what the turn that took it replies comes back."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from continuum_core.arguments import Length, kept, seconds
from continuum_core.client.handle import Ref
from continuum_core.client.holding import held_up
from continuum_core.client.sending import Sending
from continuum_core.clock import to_datetime
from continuum_core.definition.event import Question
from continuum_core.errors import AskTimeout, RunOver, UsageError
from continuum_core.journal.records import Held
from continuum_core.journal.replies import Asked, Replied, ReplyState, replying
from continuum_core.mapper import ASK
from continuum_core.replied import question, reply_of
from continuum_core.view import run_view

__all__ = ["Asking"]

R = TypeVar("R")

_HELD = {
    Held.NO: "it is accepted, and no worker has taken it yet",
    Held.DEFERRED: "the run has deferred it, until a state that takes it",
    Held.POISON: "the run is parked, for it stumbled over this very event",
}


class Asking(Sending):
    """The part of a client that asks."""

    @overload
    async def ask(
        self, run: Ref, event: Question[R], *, timeout: Length | None = None, id: str | None = None
    ) -> R: ...
    @overload
    async def ask(
        self, run: Ref, event: str, data: Any = None, *, timeout: Length | None = None, id: str | None = None
    ) -> Any: ...
    async def ask(
        self, run: Ref, event: Any, data: Any = None, *, timeout: Length | None = None, id: str | None = None
    ) -> Any:
        """Send a run a question and wait for what the turn that takes it replies.

        :param event: an instance of a question's class; or its name, and then `data`, and the reply, are JSON
            values.
        :param timeout: seconds, or a `timedelta`; None waits for ever. The question stays with the run all
            the same.
        :param id: under which the run is asked once, however often this is called: each call gets the same
            reply, until the dedupe window ends, also when the run has ended. Without one each call asks anew.

        Raises AskRejected where the run took it and has no reply, AskTimeout, RunOver where the run ended
        without taking it, UsageError for an event that is no question and for a journal that keeps no
        replies, and what `send` raises; PayloadLocked where the reply cannot be opened here, and
        IncompatibleJournal where the journal refuses for good, however long it was to wait.
        """
        self._check()
        wait = None if timeout is None else seconds("timeout", timeout)
        if id is not None:
            kept("id", id, "'question-1'", ASK)
        replying(self.journal)
        told, reply = question(event)
        run_id, _ = self._ref(run)
        name = id or str(self._host.new_id())
        asked = Asked(run_id, ASK + name)
        await self._send(run, event, data, asked.dedupe)
        answer = await self.waiting.reply(asked, wait)
        self.watch()
        if answer is None and not self._open:
            raise UsageError("this client was closed while it waited; the question stays with the run")
        if answer is None:
            raise AskTimeout(str(run_id), told, name, wait or 0.0, await self._holding(asked))
        return _told(answer, asked, told, reply)

    async def _holding(self, asked: Asked) -> str:
        """What holds a question up, in words."""
        found = await self._patience(lambda: self.journal.inspect(asked.run_id))
        if found is None:
            raise self._missing(asked.run_id)
        for delivery in found.deliveries:
            if delivery.dedupe == asked.dedupe:
                if delivery.held is Held.PAUSED:  # who has to do something is said
                    now = self._clock.estimate()
                    view = run_view(found, self._registry.reader(found.run.fingerprint), now)
                    return held_up(view, to_datetime(now), taken=True)
                return _HELD[delivery.held]
        return "it was taken just now"

    def waiting_told(self, asked: Asked, answer: Replied) -> None:
        """For a worker on the same handle: what it replied."""
        self.waiting.tell_reply(asked, answer)


def _told(answer: Replied, asked: Asked, event: str, reply: Any) -> Any:
    run = str(asked.run_id)
    if answer.state is not ReplyState.GONE or answer.body is None:
        raise RunOver(run)  # the window cannot be over: it began after we asked
    return reply_of(run, event, answer.body, reply)
