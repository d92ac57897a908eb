"""What live workers take and want, so that a run or a task that nobody takes is seen at once.

A worker reserves, for every definition it takes, the result of an activity that does not exist
(`ACTIVITY`), under the definition's fingerprint, and renews the reservation while it lives. One row a
definition, however many workers: who finds it reserved by another worker leaves it. When the last one is
gone the reservation runs out. So it does for every pair of queue and activity that it wants tasks of
(`WANTED`). Every journal has reservations, so every journal can tell.

To look is to reserve for no time at all: what is refused is taken by a live worker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import sha256
from uuid import UUID

from continuum_core.journal.commit import Reservation, ReserveOutcome
from continuum_core.journal.protocol import Journal

__all__ = ["ACTIVITY", "WANTED", "announce", "taken", "wanted"]

ACTIVITY = "continuum.taking"
"""No activity of a user's has a name with this prefix by accident."""

WANTED = "continuum.wanting"
"""The same for tasks."""

_NOBODY = UUID(int=0)


def _reservations(
    owner: UUID, fingerprints: Iterable[str], lanes: Iterable[tuple[str, str]], lease: int
) -> list[Reservation]:
    keys = [(ACTIVITY, print_) for print_ in sorted(fingerprints)]
    keys += [(WANTED, _key(*lane)) for lane in sorted(lanes)]
    return [Reservation(activity, key, owner, 0, 0, lease) for activity, key in keys]


def _key(queue: str, activity: str) -> str:
    """Of bounded length, whatever the names are: no journal refuses it."""
    return sha256(f"{len(queue)} {queue} {activity}".encode(errors="surrogatepass")).hexdigest()


async def announce(
    journal: Journal,
    worker: UUID,
    fingerprints: Iterable[str],
    lanes: Iterable[tuple[str, str]],
    lease: int,
) -> None:
    """Say that this worker takes runs of these definitions and wants these tasks, for `lease` microseconds.

    :param lanes: (queue, activity) of each.

    Raises JournalUnavailable.
    """
    asked = _reservations(worker, fingerprints, lanes, lease)
    if asked:
        await journal.reserve(asked)


async def taken(journal: Journal, fingerprints: Iterable[str]) -> frozenset[str]:
    """Those of the definitions that some live worker takes. Raises JournalUnavailable."""
    return await _busy(journal, _reservations(_NOBODY, fingerprints, (), 0))


async def wanted(journal: Journal, lanes: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Those of (queue, activity) whose tasks some live worker wants. Raises JournalUnavailable."""
    busy = await _busy(journal, _reservations(_NOBODY, (), lanes, 0))
    return frozenset(lane for lane in lanes if _key(*lane) in busy)


async def _busy(journal: Journal, asked: list[Reservation]) -> frozenset[str]:
    if not asked:
        return frozenset()
    answers = await journal.reserve(asked)
    return frozenset(
        one.key for one, answer in zip(asked, answers, strict=True) if answer.outcome is ReserveOutcome.BUSY
    )
