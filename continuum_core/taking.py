"""Which definitions live workers take, so that a run that nobody takes is seen at once.

A worker reserves, for every definition it takes, the result of an activity that does not exist
(`ACTIVITY`), under the definition's fingerprint, and renews the reservation while it lives. One row a
definition, however many workers: who finds it reserved by another worker leaves it. When the last one is
gone the reservation runs out. Every journal has reservations, so every journal can tell.

To look is to reserve for no time at all: what is refused is taken by a live worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from continuum_core.journal.commit import Reservation, ReserveOutcome
from continuum_core.journal.protocol import Journal

__all__ = ["ACTIVITY", "announce", "taken"]

ACTIVITY = "continuum.taking"
"""No activity of a user's has a name with this prefix by accident."""

_NOBODY = UUID(int=0)


def _reservations(owner: UUID, fingerprints: Iterable[str], lease: int) -> list[Reservation]:
    return [Reservation(ACTIVITY, print_, owner, 0, 0, lease) for print_ in sorted(fingerprints)]


async def announce(journal: Journal, worker: UUID, fingerprints: Iterable[str], lease: int) -> None:
    """Say that this worker takes runs of these definitions, for `lease` microseconds.

    Raises JournalUnavailable.
    """
    asked = _reservations(worker, fingerprints, lease)
    if asked:
        await journal.reserve(asked)


async def taken(journal: Journal, fingerprints: Iterable[str]) -> frozenset[str]:
    """Those of the definitions that some live worker takes. Raises JournalUnavailable."""
    asked = _reservations(_NOBODY, fingerprints, 0)
    if not asked:
        return frozenset()
    answers = await journal.reserve(asked)
    return frozenset(
        one.key for one, answer in zip(asked, answers, strict=True) if answer.outcome is ReserveOutcome.BUSY
    )
