# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
# What is broken here on purpose is private to others, and wrong on purpose: types would only be in the way.
"""Bugs planted in the upgrade of a run to newer code.

Rolling schedules find them: workers of several releases, and runs of all of them.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from continuum_core import registry
from continuum_core.definition.compatibility import Change, ChangeKind
from continuum_core.fold import Fold
from continuum_core.interpreter import macrostep, migration
from continuum_core.interpreter.progress import Progress
from continuum_core.mapper import migrations
from continuum_core.testing.simulation.planted.plants import Plant

__all__ = [
    "adopted_whatever_changed",
    "deferred_over_a_migration",
    "entries_lose_their_tokens",
    "new_entries_never_begin",
    "old_entries_stay_open",
]


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
    real = Fold.migrate

    def migrate(fold: Any, moving: Any) -> bool:
        go_on = real(fold, moving)
        fold.release = False
        return go_on

    return [(Fold, "migrate", migrate)]


def adopted_whatever_changed() -> list[Plant]:
    """A worker takes runs of any definition of its machine, as they are."""
    no_difference = Change(ChangeKind.ADOPTABLE)
    return [(registry, "way", lambda *_: (None, ())), (registry, "compare", lambda *_: no_difference)]
