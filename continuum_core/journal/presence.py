"""Optional: a journal that knows which workers are there, and need not be told again and again.

A backend that declares `Capability.PRESENCE` gives handles that are `Vouching`. A handle vouches for a worker
by something that goes with it: a session of the store's, which ends when the process does. So a worker that
only waits writes nothing, and one that was killed is missed as soon as the store has noticed.

Rule: *seen or not said.* What a handle cannot vouch for just now it refuses, and its caller announces itself
some other way. A worker may thus be known in two ways, or for a while in none; it is never known because
nobody took a row away.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, cast
from uuid import UUID

from continuum_core.journal.declared import can
from continuum_core.journal.protocol import Capability

__all__ = ["Vouching", "vouching"]


class Vouching(Protocol):
    """What a handle has beside `Journal`, of a backend that declares `Capability.PRESENCE`."""

    async def present(self, worker: UUID, keys: Collection[str]) -> bool:
        """Tell whoever asks that a live worker has these keys, until this handle is closed or gone.

        Said with other keys it replaces what was said before; without any it takes that back. Said again
        without a change it writes nothing. False: this handle cannot vouch for it just now, and nobody is
        told; asked later it may.

        :param worker: whose keys they are; a handle may vouch for several. Calls for one come in turn.
        :param keys: texts of at most 200 characters, without NUL.

        Raises JournalUnavailable.
        """
        ...

    async def presence(self, keys: Collection[str]) -> frozenset[str]:
        """Those of the keys that some present worker has, whichever handle it is with. Writes nothing.

        Raises JournalUnavailable.
        """
        ...


def vouching(journal: object) -> Vouching | None:
    """A journal's handle as one that vouches for workers; None where it does not."""
    return cast(Vouching, journal) if can(journal, Capability.PRESENCE) else None
