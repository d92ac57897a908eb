# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
# What is broken here on purpose is private to others, and wrong on purpose: types would only be in the way.
"""Bugs planted in workers and clients: what they forget, repeat, or take for granted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

from attrs import evolve
from msgspec.structs import replace

from continuum_core import starting
from continuum_core.client import Client
from continuum_core.definition.failure import Failure
from continuum_core.errors import JournalUnavailable
from continuum_core.interpreter import macrostep
from continuum_core.interpreter.progress import Progress
from continuum_core.journal.commit import Delivered, DeliverOutcome, FinishKind, RunHold
from continuum_core.lane import Lane
from continuum_core.runtime import lease, runs
from continuum_core.runtime.holding import Holding
from continuum_core.runtime.pages import Pages
from continuum_core.runtime.places import Places
from continuum_core.runtime.reports import Reports
from continuum_core.runtime.supervisor import Supervisor
from continuum_core.runtime.turns import Turns
from continuum_core.testing.simulation.planted.plants import Plant, backend

__all__ = [
    "blind_release",
    "born_past_the_limits",
    "failures_are_believed",
    "forgotten_deferral",
    "forgotten_retries",
    "interrupted_deeds",
    "leaked_slots",
    "local_clock",
    "lost_reply_taken_for_done",
    "no_renewal",
    "nobody_looks_behind",
    "notify_only",
    "retried_under_new_ids",
    "stale_results",
    "starts_are_not_idempotent",
    "undone_oldest_first",
]

_FOREVER = 1e9


def nobody_looks_behind() -> list[Plant]:
    """What a worker has passed in the due index it passes for good: a lease that ends there ends unseen."""
    return [(Pages, "_sweep_due", lambda self: _FOREVER)]


def notify_only() -> list[Plant]:
    """Nobody polls: what nobody hints at is never looked for."""
    real: Any = Supervisor.__init__

    def init(self: Any, *args: Any) -> None:
        *others, settings = args
        real(self, *others, evolve(settings, poll=_FOREVER))

    return [(Supervisor, "__init__", init)]


def starts_are_not_idempotent() -> list[Plant]:
    """Every start with a key makes a run of its own."""
    count = iter(range(1, 1 << 30))
    return [(starting, "derive_run_id", lambda *_: UUID(int=next(count)))]


def stale_results() -> list[Plant]:
    """An activity's outcome is taken by whatever state entry is there now. (Needs a state re-entered.)"""

    def owned(kind: Any, _token: int, slot: int, snapshot: Any) -> Any:
        return next(((kind, state, slot) for state in snapshot.tokens), None)

    return [(macrostep, "_owned", owned)]


def local_clock() -> list[Plant]:
    """Turns use the worker's clock for `now`. (Needs clocks that are wrong.)"""
    real = Turns.claimed

    def claimed(self: Any, claim: Any, now: int, *others: Any) -> Any:
        local = int(self._host.monotonic() * 1e6) + 1_700_000_000_000_000
        return real(self, claim, local, *others)

    return [(Turns, "claimed", claimed)]


def blind_release() -> list[Plant]:
    """A worker whose commit was refused releases the run, whoever has it now."""
    claims = backend("claims")
    real = runs.Runs._take

    def held(space: Any, hold: Any) -> Any:
        run = space.runs.get(hold.run_id)
        return run if run is not None and run.claim_id is not None else None

    def take(self: Any, claim: Any, now: int, suspicion: str, beside: Any) -> None:
        real(self, claim, now, suspicion, beside)
        member = self._commits._pending[-1]
        told = member.asker

        def answered(committed: Any) -> None:
            told.answered(committed)
            self._host.spawn(_release(self._journal, self.holds_of(claim)), "release")

        member.asker = SimpleNamespace(answered=answered, refused=told.refused)

    return [
        (claims, "_held", held),
        (runs.Runs, "_take", take),
        (runs.Runs, "holds_of", lambda _self, claim: [RunHold(claim.run_id, claim.fence)]),
    ]


async def _release(journal: Any, holds: Any) -> None:
    try:
        await journal.release(holds)
    except JournalUnavailable:
        return


def forgotten_deferral() -> list[Plant]:
    """A turn that rides on a finish does not know that the run holds deferred deliveries."""
    real = Turns._remember

    def remember(self: Any, turn: Any) -> None:
        real(self, evolve(turn, has_deferred=False))

    return [(Turns, "_remember", remember)]


def lost_reply_taken_for_done() -> list[Plant]:
    """A client that cannot know whether its event arrived says that it did."""
    real = Client._ready

    def ready(self: Any, host: Any, opened: Any) -> None:
        real(self, host, opened)
        verb = self._sends._verb

        async def deliver(deliveries: Any) -> Any:
            try:
                return await verb(deliveries)
            except JournalUnavailable as error:
                if not error.ambiguous:
                    raise
                return [Delivered(DeliverOutcome.ACCEPTED, 0) for _ in deliveries]

        self._sends._verb = deliver

    return [(Client, "_ready", ready)]


def retried_under_new_ids() -> list[Plant]:
    """A send whose answer was lost is repeated as if it were another."""
    real = Lane._refreshed

    def refreshed(self: Any, batch: Any) -> Any:
        again = real(self, batch)
        if self._name == "deliveries":
            for member in again:
                id_ = self._host.new_id()
                member.value = replace(member.value, id=id_, dedupe=str(id_))
        return again

    return [(Lane, "_refreshed", refreshed)]


def no_renewal() -> list[Plant]:
    """Leases are not renewed. (Needs bodies that take longer than a lease, and nothing else wrong.)"""

    async def renew_once(*_: Any) -> None:
        return None

    return [(lease, "_renew_once", renew_once)]


def forgotten_retries() -> list[Plant]:
    """A failed try is handed back as if it had never begun: it is tried without end."""
    real = Reports.report

    def report(self: Any, finish: Any, *rest: Any, **options: Any) -> None:
        if finish.kind is FinishKind.RETRY:
            finish = replace(finish, kind=FinishKind.RETURN, failure=None)
        real(self, finish, *rest, **options)

    return [(Reports, "report", report)]


def born_past_the_limits() -> list[Plant]:
    """Tasks of queues with limits are born in the hands of whoever makes them."""
    real = Places.born

    def born(self: Any, task: Any, *rest: Any, **options: Any) -> Any:
        self.bound = frozenset()
        return real(self, replace(task, fairness=""), *rest, **options)

    return [(Places, "born", born)]


def leaked_slots() -> list[Plant]:
    """The slot of a task whose commit did not stand is never given back."""
    return [(Places, "unborn", lambda _self, _tasks: None)]


def undone_oldest_first() -> list[Plant]:
    """The undos run in the order of the deeds."""

    def compensate(self: Any, state: int) -> Any:
        ledger = self.ledger
        if ledger is None or len(ledger.done) < 2 or ledger.pending:
            return _compensate(self, state)
        if not any(each.undo for each in ledger.done):
            self.ledger = replace(ledger, done=ledger.done[::-1])
        return _compensate(self, state)

    _compensate = Progress.compensate
    return [(Progress, "compensate", compensate)]


def interrupted_deeds() -> list[Plant]:
    """Leaving a state interrupts an activity that may have to be undone, as it does all others."""
    return [(Holding, "stop", lambda self: self.attempt.request_cancel())]


def failures_are_believed() -> list[Plant]:
    """A deed that took too long is taken for one that was not done."""
    return [(Failure, "unknown", property(lambda _self: False))]
