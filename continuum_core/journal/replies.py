"""Optional: a journal that keeps what asks were answered, beside the dedupe ids that they came under.

A backend that declares `Capability.REPLIES` writes `Commit.replies` in the transaction of the turn, gives
handles that are `Replying`, and keeps a reply as long as its dedupe id: from when the delivery is consumed to
the end of the dedupe window, also after the run ended and was pruned. A reply without such an id is passed
over. An id that is accepted anew after its window has no reply yet.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol, cast
from uuid import UUID

from msgspec import Struct

from continuum_core.errors import UsageError
from continuum_core.journal.declared import can
from continuum_core.journal.protocol import Capability

__all__ = ["Asked", "Replied", "ReplyState", "Replying", "replying"]


class Asked(Struct, frozen=True, gc=False):
    """A question to a run, by the dedupe id that it was delivered under."""

    run_id: UUID
    dedupe: str


class ReplyState(enum.Enum):
    """What a journal knows of a dedupe id."""

    UNKNOWN = "unknown"  # never accepted, or its window is over
    PENDING = "pending"  # its delivery waits, held or not
    GONE = "gone"  # its delivery was consumed, or removed when the run ended


class Replied(Struct, frozen=True, gc=False):
    """Answer to one question: `body` is the reply, of one whose state is GONE and that was answered."""

    state: ReplyState
    body: bytes | None = None


class Replying(Protocol):
    """What a handle has beside `Journal`, of a backend that declares `Capability.REPLIES`."""

    async def replies(self, asked: Sequence[Asked]) -> list[Replied]:
        """What became of each. Raises JournalUnavailable."""
        ...


def replying(journal: object) -> Replying:
    """The handle's means to read replies. Raises UsageError where its backend keeps none."""
    if can(journal, Capability.REPLIES):
        return cast(Replying, journal)
    raise UsageError(
        "this journal's backend keeps no replies (capability 'replies'), so a run cannot be asked here; send "
        "the event and look at the run, or take another journal"
    )
