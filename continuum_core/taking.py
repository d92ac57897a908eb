"""What live workers take and want, so that a run or a task that nobody takes is seen at once.

A worker has a key for every definition it takes, and for every pair of queue and activity that it wants tasks
of. Where the journal knows which workers are there (`journal.presence`), it is told these keys when they
change, and nothing is written while they stay as they are.

Where it does not, or cannot just now, the worker reserves for each key the result of an activity that does
not exist (`ACTIVITY`, `WANTED`), and renews the reservation while it lives. One row a key, however many
workers: who finds it reserved by another worker leaves it. When the last one is gone the reservation runs
out. Every journal has reservations, so every journal can tell; workers of both ways are seen side by side.

To look is to ask who is there; then, for what is left, to reserve for no time at all: what is refused is
taken by a live worker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import sha256
from uuid import UUID

from continuum_core.journal.commit import Reservation, ReserveOutcome
from continuum_core.journal.presence import vouching
from continuum_core.journal.protocol import Journal

__all__ = ["ACTIVITY", "WANTED", "announce", "taken", "wanted", "withdraw"]

ACTIVITY = "continuum.taking"
"""No activity of a user's has a name with this prefix by accident."""

WANTED = "continuum.wanting"
"""The same for tasks."""

_NOBODY = UUID(int=0)

_Key = tuple[str, str]
"""`ACTIVITY` and a fingerprint, or `WANTED` and the digest of a queue and an activity."""


def _keys(fingerprints: Iterable[str], lanes: Iterable[tuple[str, str]]) -> list[_Key]:
    keys = [(ACTIVITY, print_) for print_ in sorted(fingerprints)]
    return keys + [(WANTED, _digest(*lane)) for lane in sorted(lanes)]


def _digest(queue: str, activity: str) -> str:
    """Of bounded length, whatever the names are: no journal refuses it."""
    return sha256(f"{len(queue)} {queue} {activity}".encode(errors="surrogatepass")).hexdigest()


def _told(key: _Key) -> str:
    """As a worker that is present has it."""
    return " ".join(key)


async def announce(
    journal: Journal,
    worker: UUID,
    fingerprints: Iterable[str],
    lanes: Iterable[tuple[str, str]],
    lease: int,
) -> None:
    """Say that this worker takes runs of these definitions and wants these tasks.

    It holds while the worker lives where the journal can tell that, else for `lease` microseconds.

    :param lanes: (queue, activity) of each.

    Raises JournalUnavailable.
    """
    keys = _keys(fingerprints, lanes)
    knowing = vouching(journal)
    if knowing is not None and await knowing.present(worker, [_told(key) for key in keys]):
        return
    if keys:
        await journal.reserve([Reservation(*key, worker, 0, 0, lease) for key in keys])


async def withdraw(journal: Journal, worker: UUID) -> None:
    """Say that this worker takes nothing any more; what was said for a time runs out.

    Raises JournalUnavailable.
    """
    knowing = vouching(journal)
    if knowing is not None:
        await knowing.present(worker, ())


async def taken(journal: Journal, fingerprints: Iterable[str]) -> frozenset[str]:
    """Those of the definitions that some live worker takes. Raises JournalUnavailable."""
    return frozenset(key for _, key in await _live(journal, _keys(fingerprints, ())))


async def wanted(journal: Journal, lanes: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Those of (queue, activity) whose tasks some live worker wants. Raises JournalUnavailable."""
    live = {key for _, key in await _live(journal, _keys((), lanes))}
    return frozenset(lane for lane in lanes if _digest(*lane) in live)


async def _live(journal: Journal, keys: list[_Key]) -> frozenset[_Key]:
    """Those that some live worker has, however it says so."""
    knowing = vouching(journal)
    there = frozenset[str]()
    if knowing is not None and keys:
        there = await knowing.presence([_told(key) for key in keys])
    left = [key for key in keys if _told(key) not in there]
    return frozenset(keys).difference(left) | await _reserved(journal, left)


async def _reserved(journal: Journal, keys: list[_Key]) -> frozenset[_Key]:
    if not keys:
        return frozenset()
    answers = await journal.reserve([Reservation(*key, _NOBODY, 0, 0, 0) for key in keys])
    return frozenset(
        key for key, answer in zip(keys, answers, strict=True) if answer.outcome is ReserveOutcome.BUSY
    )
