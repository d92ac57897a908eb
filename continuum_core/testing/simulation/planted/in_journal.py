# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
# What is broken here on purpose is private to others, and wrong on purpose: types would only be in the way.
"""Bugs planted in the journal: what it lets through, forgets, or tells too early.

They break the memory backend, which the simulator's workers share.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from continuum_core.interpreter.bounds import OWN
from continuum_core.journal.commit import OrderKind
from continuum_core.journal.records import RunStatus
from continuum_core.runtime.supervisor import Supervisor
from continuum_core.testing.simulation.planted.plants import Plant, backend

__all__ = [
    "cancel_told_to_the_owner_only",
    "caps_are_ignored",
    "early_timers",
    "exits_close_deadlines",
    "fused_turns_overtake",
    "held_for_ever",
    "live_leases_are_claimed",
    "no_dedupe",
    "no_fence_check",
    "no_version_check",
    "orders_keep_the_fence",
    "paused_for_ever",
    "rates_are_ignored",
    "rests_hold_deadlines",
    "split_transaction",
    "zombie_results",
]


def no_fence_check() -> list[Plant]:
    """A commit stands whatever its fence. (Version and base still protect the records.)"""
    turns = backend("turns")
    real = turns._claimed

    def claimed(space: Any, limits: Any, now: int, turn: Any) -> Any:
        run = space.runs.get(turn.run_id)
        return real(space, limits, now, turn if run is None else replace(turn, fence=run.fence))

    return [(turns, "_claimed", claimed)]


def no_version_check() -> list[Plant]:
    """A commit stands though the run has moved on."""
    return [(backend("turns"), "_follows", lambda run, _turn: run.status is RunStatus.RUNNING)]


def live_leases_are_claimed() -> list[Plant]:
    """A claim takes what another worker has."""
    return [(backend("rows").RunRow, "leased", lambda _run, _now: False)]


def no_dedupe() -> list[Plant]:
    """A delivery is accepted as often as it is sent."""
    return [(backend("deliveries"), "seen", lambda *_: False)]


def fused_turns_overtake() -> list[Plant]:
    """A turn that rides on a finish stands though older deliveries are due."""
    return [(backend("turns"), "_overtakes", lambda *_: False)]


def held_for_ever() -> list[Plant]:
    """Deferred deliveries are not released by a change of configuration."""
    return [(backend("turns"), "unhold", lambda *_: None)]


def paused_for_ever() -> list[Plant]:
    """Resume and unpark forget what was held meanwhile."""
    return [(backend("orders"), "unhold", lambda *_: None)]


def zombie_results() -> list[Plant]:
    """A finish is accepted from whoever ran the task, also after another worker claimed it."""
    tasks = backend("tasks")
    real = tasks._finish

    def finish(space: Any, limits: Any, now: int, end: Any) -> Any:
        run = space.runs.get(end.run_id)
        row = None if run is None else run.tasks.get((end.token, end.slot))
        return real(space, limits, now, end if row is None else replace(end, fence=row.task.fence))

    return [(tasks, "_finish", finish)]


def early_timers() -> list[Plant]:
    """A claim looks a second ahead of the clock."""
    claims = backend("claims")
    real = claims.claim_runs
    return [(claims, "claim_runs", lambda space, now, *rest: real(space, now + 1_000_000, *rest))]


def cancel_told_to_the_owner_only() -> list[Plant]:
    """An order to cancel a run that nobody holds is acknowledged and forgotten."""
    orders = backend("orders")
    real = orders._carry_out

    def carry_out(space: Any, run: Any, order: Any, now: int) -> None:
        if order.kind is not OrderKind.CANCEL or run.leased(now):
            real(space, run, order, now)

    return [(orders, "_carry_out", carry_out)]


def orders_keep_the_fence() -> list[Plant]:
    """An order does not end the holder's claim: its turn stands beside the order."""
    orders = backend("orders")
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
    return [(backend("queues"), "_left", lambda _space, _now, want: want.limit)]


def rates_are_ignored() -> list[Plant]:
    """A claim takes tokens that are not there."""
    queues = backend("queues")
    return [(queues, "_room", lambda space, now, want: min(want.limit, queues._left(space, now, want)))]


def rests_hold_deadlines() -> list[Plant]:
    """What is due of a run that rests is held, whatever it is."""
    return [(backend("claims"), "_wakes", lambda *_: False)]


def exits_close_deadlines() -> list[Plant]:
    """A state that is left takes the run's own timers with it."""
    turns = backend("turns")
    real = turns._close

    def close(space: Any, run: Any, tokens: frozenset[int], now: int) -> None:
        real(space, run, tokens | {OWN} if tokens else tokens, now)

    return [(turns, "_close", close)]
