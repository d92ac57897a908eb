"""What is kept beside a run, read page by page."""

from __future__ import annotations

from uuid import UUID

from continuum_core.journal.commit import Member
from continuum_core.journal.crews import crewed
from continuum_core.journal.protocol import Journal

__all__ = ["read_members"]

_PAGE = 1_000


async def read_members(journal: Journal, run: UUID, token: int) -> list[Member]:
    """What came of all members of a crew, in their order. Raises JournalUnavailable."""
    found: list[Member] = []
    while True:
        page = await crewed(journal).members(run, token, found[-1].number if found else -1, _PAGE)
        found += page
        if len(page) < _PAGE:
            return found
