"""The planted bugs by name, one table for each kind of schedules that finds them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from continuum_core.testing.simulation.planted import in_engine, in_journal, in_upgrade
from continuum_core.testing.simulation.planted.plants import Plant

__all__ = ["LATE_PLANTED", "PLANTED", "ROLLING_PLANTED", "planted"]

ROLLING_PLANTED: Mapping[str, Callable[[], list[Plant]]] = {
    plant.__name__: plant
    for plant in (
        in_upgrade.adopted_whatever_changed,
        in_upgrade.deferred_over_a_migration,
        in_upgrade.entries_lose_their_tokens,
        in_upgrade.new_entries_never_begin,
        in_upgrade.old_entries_stay_open,
    )
}
"""The planted bugs that rolling schedules find, by name."""

LATE_PLANTED: Mapping[str, Callable[[], list[Plant]]] = {
    plant.__name__: plant for plant in (in_journal.exits_close_deadlines, in_journal.rests_hold_deadlines)
}
"""The planted bugs that schedules with deadlines find, by name."""


PLANTED: Mapping[str, Callable[[], list[Plant]]] = {
    plant.__name__: plant
    for plant in (
        in_engine.blind_release,
        in_engine.born_past_the_limits,
        in_journal.cancel_told_to_the_owner_only,
        in_journal.caps_are_ignored,
        in_journal.early_timers,
        in_engine.failures_are_believed,
        in_engine.forgotten_deferral,
        in_engine.forgotten_retries,
        in_journal.fused_turns_overtake,
        in_journal.held_for_ever,
        in_engine.interrupted_deeds,
        in_engine.leaked_slots,
        in_journal.live_leases_are_claimed,
        in_engine.local_clock,
        in_engine.lost_reply_taken_for_done,
        in_journal.no_dedupe,
        in_journal.no_fence_check,
        in_engine.no_renewal,
        in_engine.nobody_looks_behind,
        in_journal.no_version_check,
        in_engine.notify_only,
        in_journal.orders_keep_the_fence,
        in_journal.paused_for_ever,
        in_journal.rates_are_ignored,
        in_engine.retried_under_new_ids,
        in_journal.split_transaction,
        in_engine.stale_results,
        in_engine.starts_are_not_idempotent,
        in_engine.undone_oldest_first,
        in_journal.zombie_results,
    )
}
"""The planted bugs that plain schedules find, by name."""


@contextmanager
def planted(name: str) -> Generator[None]:
    """Break the code for the length of the block. Raises KeyError for a name that no table has."""
    with ExitStack() as mended:
        for where, attribute, broken in {**PLANTED, **ROLLING_PLANTED, **LATE_PLANTED}[name]():
            missing = object()
            before: object = where.__dict__.get(attribute, missing)
            setattr(where, attribute, broken)
            mended.callback(_mend, where, attribute, before, missing)
        yield


def _mend(where: Any, attribute: str, before: object, missing: object) -> None:
    if before is missing:
        delattr(where, attribute)
    else:
        setattr(where, attribute, before)
