"""What turns answered: kept beside the dedupe ids that they were asked under."""

from __future__ import annotations

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Limits
from continuum_core.journal.replies import Asked, Replied, ReplyState
from continuum_memory.rows import Space

__all__ = ["replied"]


def replied(space: Space, limits: Limits, now: Micros, asked: Asked) -> Replied:
    name = (asked.run_id, asked.dedupe)
    if name not in space.seen:
        return Replied(ReplyState.UNKNOWN)
    consumed = space.seen[name]
    if consumed is None:
        return Replied(ReplyState.PENDING)
    if now >= consumed + limits.dedupe_window:
        return Replied(ReplyState.UNKNOWN)
    return Replied(ReplyState.GONE, space.replies.get(name))
