"""Optional: a journal whose commits start child runs, and that keeps what came of members of crews.

A backend that declares `Capability.CREWS` carries out `Commit.starts` and `Commit.members`, and gives handles
that are `Crewed`. A worker with machines that start child runs or fan out asks for one that does.
"""

from __future__ import annotations

from typing import Protocol, cast
from uuid import UUID

from continuum_core.errors import UsageError
from continuum_core.journal.commit import Member
from continuum_core.journal.declared import can
from continuum_core.journal.protocol import Capability, Journal

__all__ = ["Crewed", "crewed", "first_token"]

_VERSION = 1 << 16
"""Tokens count within a version: so many are given out in one record at most."""


def first_token(version: int) -> int:
    """Where the tokens begin that the record of this version gave out: so they tell generations apart."""
    return version * _VERSION


class Crewed(Protocol):
    """A handle that can tell what came of members of crews."""

    async def members(self, run: UUID, token: int, after: int = -1, limit: int = 1_000) -> list[Member]:
        """Of one crew, those with numbers above `after`, ascending.

        They are pruned with the run, or with the generation that they belong to.
        """
        ...


def crewed(journal: Journal) -> Crewed:
    """The journal as one that starts child runs. Raises UsageError where its backend cannot."""
    if not can(journal, Capability.CREWS):
        raise UsageError(
            "this journal's backend starts no child runs (capability 'crews'), and a machine here wants "
            "some; use a backend that does; its author finds how on the page 'Write a backend'"
        )
    return cast(Crewed, journal)
