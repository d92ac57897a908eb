# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
# What is broken here on purpose is private to others, and wrong on purpose: types would only be in the way.
"""Bugs planted on purpose: a simulator that finds nothing proves nothing until it has found these.

Each breaks the shipping code, or the journal under it, in one way that real engines have been broken
in. `planted(name)` breaks it for the length of a `with` block. What the simulator needs to find one is
written beside it where it is not plain.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import UUID

from attrs import evolve
from msgspec.structs import replace

from continuum_core import registry, starting, turn
from continuum_core.client import Client
from continuum_core.definition.compatibility import Change, ChangeKind
from continuum_core.definition.failure import Failure
from continuum_core.errors import JournalUnavailable
from continuum_core.interpreter import macrostep, migration
from continuum_core.interpreter.bounds import OWN
from continuum_core.interpreter.progress import Progress
from continuum_core.journal.commit import (
    Delivered,
    DeliverOutcome,
    FinishKind,
    OrderKind,
    RunHold,
)
from continuum_core.journal.connect import connect
from continuum_core.journal.protocol import Limits
from continuum_core.journal.records import RunStatus
from continuum_core.lane import Lane
from continuum_core.mapper import migrations
from continuum_core.runtime import lease, runs
from continuum_core.runtime.holding import Holding
from continuum_core.runtime.places import Places
from continuum_core.runtime.reports import Reports
from continuum_core.runtime.supervisor import Supervisor
from continuum_core.runtime.turns import Turns

__all__ = ["LATE_PLANTED", "PLANTED", "ROLLING_PLANTED", "planted"]

_FOREVER = 1e9

Plant = tuple[Any, str, Any]
"""(where, the name there, what to put in its place)."""


def _backend(noun: str) -> ModuleType:
    """A module of the memory backend, found from its URL: the core names no backend."""
    package = type(connect("memory://", "default", Limits())).__module__.rpartition(".")[0]
    return importlib.import_module(f"{package}.{noun}")


# --- in the journal --------------------------------------------------------------------------------------


def no_fence_check() -> list[Plant]:
    """A commit stands whatever its fence. (Version and base still protect the records.)"""
    turns = _backend("turns")
    real = turns._claimed

    def claimed(space: Any, limits: Any, now: int, turn: Any) -> Any:
        run = space.runs.get(turn.run_id)
        return real(space, limits, now, turn if run is None else replace(turn, fence=run.fence))

    return [(turns, "_claimed", claimed)]


def no_version_check() -> list[Plant]:
    """A commit stands though the run has moved on."""
    return [(_backend("turns"), "_follows", lambda run, _turn: run.status is RunStatus.RUNNING)]


def live_leases_are_claimed() -> list[Plant]:
    """A claim takes what another worker has."""
    return [(_backend("rows").RunRow, "leased", lambda _run, _now: False)]


def no_dedupe() -> list[Plant]:
    """A delivery is accepted as often as it is sent."""
    return [(_backend("deliveries"), "seen", lambda *_: False)]


def fused_turns_overtake() -> list[Plant]:
    """A turn that rides on a finish stands though older deliveries are due."""
    return [(_backend("turns"), "_overtakes", lambda *_: False)]


def held_for_ever() -> list[Plant]:
    """Deferred deliveries are not released by a change of configuration."""
    return [(_backend("turns"), "unhold", lambda *_: None)]


def paused_for_ever() -> list[Plant]:
    """Resume and unpark forget what was held meanwhile."""
    return [(_backend("orders"), "unhold", lambda *_: None)]


def zombie_results() -> list[Plant]:
    """A finish is accepted from whoever ran the task, also after another worker claimed it."""
    tasks = _backend("tasks")
    real = tasks._finish

    def finish(space: Any, limits: Any, now: int, end: Any) -> Any:
        run = space.runs.get(end.run_id)
        row = None if run is None else run.tasks.get((end.token, end.slot))
        return real(space, limits, now, end if row is None else replace(end, fence=row.task.fence))

    return [(tasks, "_finish", finish)]


def early_timers() -> list[Plant]:
    """A claim looks a second ahead of the clock."""
    claims = _backend("claims")
    real = claims.claim_runs
    return [(claims, "claim_runs", lambda space, now, *rest: real(space, now + 1_000_000, *rest))]


def cancel_told_to_the_owner_only() -> list[Plant]:
    """An order to cancel a run that nobody holds is acknowledged and forgotten."""
    orders = _backend("orders")
    real = orders._carry_out

    def carry_out(space: Any, run: Any, order: Any, now: int) -> None:
        if order.kind is not OrderKind.CANCEL or run.leased(now):
            real(space, run, order, now)

    return [(orders, "_carry_out", carry_out)]


def orders_keep_the_fence() -> list[Plant]:
    """An order does not end the holder's claim: its turn stands beside the order."""
    orders = _backend("orders")
    real = orders._write_run

    def write_run(space: Any, run: Any, order: Any, now: int) -> None:
        before = run.fence, run.version, run.commit_id, run.claim_id, run.lease_until
        real(space, run, order, now)
        if before[3] is not None and order.kind is OrderKind.CANCEL:
            run.records.pop()
            run.fence, run.version, run.commit_id = before[:3]
            space.lease(run, before[3], before[4])

    return [(orders, "_write_run", write_run)]


def split_transaction() -> list[Plant]:
    """A task is closed in one transaction, and its outcome delivered in the next."""
    real: Any = Supervisor.__init__

    def init(self: Any, host: Any, host_apart: Any, journal: Any, *rest: Any) -> None:
        real(self, host, host_apart, journal, *rest)

        async def finish(finishes: Any) -> Any:
            answers = await journal.finish([replace(f, delivery=None, turn=None) for f in finishes])
            outcomes = [f.delivery for f in finishes if f.delivery is not None]
            if outcomes:
                await journal.deliver(outcomes)
            return answers

        self._finishes._verb = finish

    return [(Supervisor, "__init__", init)]


def caps_are_ignored() -> list[Plant]:
    """A claim looks at no other worker's leases."""
    return [(_backend("queues"), "_left", lambda _space, _now, want: want.limit)]


def rates_are_ignored() -> list[Plant]:
    """A claim takes tokens that are not there."""
    queues = _backend("queues")
    return [(queues, "_room", lambda space, now, want: min(want.limit, queues._left(space, now, want)))]


# --- in the engine ---------------------------------------------------------------------------------------


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
    claims = _backend("claims")
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

    def born(self: Any, task: Any, goes_on: bool = False) -> Any:
        self.bound = frozenset()
        return real(self, replace(task, fairness=""), goes_on)

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


# --- in the upgrade of a run ------------------------------------------------------------------------------
# Found by rolling schedules only: workers of several releases, runs of all of them.


def old_entries_stay_open() -> list[Plant]:
    """A migration forgets to close what the run had open and does not take along."""
    return [(Progress, "close_tokens", lambda *_: None)]


def new_entries_never_begin() -> list[Plant]:
    """A migration leaves the timers and activities of the states that it leads to unstarted."""
    real = macrostep.arrive

    def arrive(progress: Any, plan: Any, _begin: int, begun: Any) -> Any:
        return real(progress, plan, 0, begun)

    return [(migration, "arrive", arrive)]


def entries_lose_their_tokens() -> list[Plant]:
    """A migration gives every entry a new token: what is on its way to the old one is stale."""
    real = migrations._placement

    def placement(*arguments: Any) -> Any:
        return replace(real(*arguments), tokens={}, begun={})

    return [(migrations, "_placement", placement)]


def deferred_over_a_migration() -> list[Plant]:
    """A migration is no reason to look at what was deferred."""
    real = turn._Fold.migrate

    def migrate(fold: Any, moving: Any) -> bool:
        go_on = real(fold, moving)
        fold.release = False
        return go_on

    return [(turn._Fold, "migrate", migrate)]


def adopted_whatever_changed() -> list[Plant]:
    """A worker takes runs of any definition of its machine, as they are."""
    no_difference = Change(ChangeKind.ADOPTABLE)
    return [(registry, "way", lambda *_: (None, ())), (registry, "compare", lambda *_: no_difference)]


ROLLING_PLANTED: Mapping[str, Callable[[], list[Plant]]] = {
    plant.__name__: plant
    for plant in (
        adopted_whatever_changed,
        deferred_over_a_migration,
        entries_lose_their_tokens,
        new_entries_never_begin,
        old_entries_stay_open,
    )
}
"""The planted bugs that rolling schedules find, by name."""


def rests_hold_deadlines() -> list[Plant]:
    """What is due of a run that rests is held, whatever it is."""
    return [(_backend("claims"), "_wakes", lambda *_: False)]


def exits_close_deadlines() -> list[Plant]:
    """A state that is left takes the run's own timers with it."""
    turns = _backend("turns")
    real = turns._close

    def close(space: Any, run: Any, tokens: frozenset[int], now: int) -> None:
        real(space, run, tokens | {OWN} if tokens else tokens, now)

    return [(turns, "_close", close)]


LATE_PLANTED: Mapping[str, Callable[[], list[Plant]]] = {
    plant.__name__: plant for plant in (exits_close_deadlines, rests_hold_deadlines)
}
"""The planted bugs that schedules with deadlines find, by name."""


PLANTED: Mapping[str, Callable[[], list[Plant]]] = {
    plant.__name__: plant
    for plant in (
        blind_release,
        born_past_the_limits,
        cancel_told_to_the_owner_only,
        caps_are_ignored,
        early_timers,
        failures_are_believed,
        forgotten_deferral,
        forgotten_retries,
        fused_turns_overtake,
        held_for_ever,
        interrupted_deeds,
        leaked_slots,
        live_leases_are_claimed,
        local_clock,
        lost_reply_taken_for_done,
        no_dedupe,
        no_fence_check,
        no_renewal,
        no_version_check,
        notify_only,
        orders_keep_the_fence,
        paused_for_ever,
        rates_are_ignored,
        retried_under_new_ids,
        split_transaction,
        stale_results,
        starts_are_not_idempotent,
        undone_oldest_first,
        zombie_results,
    )
}
"""Every planted bug by its name."""


@contextmanager
def planted(name: str) -> Generator[None]:
    """Break the code for the length of the block. Raises KeyError for a name that no table has."""
    with ExitStack() as mended:
        for where, attribute, broken in {**PLANTED, **ROLLING_PLANTED, **LATE_PLANTED}[name]():
            missing = object()
            before = vars(where).get(attribute, missing)
            setattr(where, attribute, broken)
            mended.callback(_mend, where, attribute, before, missing)
        yield


def _mend(where: Any, attribute: str, before: object, missing: object) -> None:
    if before is missing:
        delattr(where, attribute)
    else:
        setattr(where, attribute, before)
