"""How verbs open journals: those that bring something in make one where there is none, all others look.

Rule: `worker`, `dev`, `start`, `bench`, `migrate`, and what `restore` and `copy` write into, may create a
journal or bring its schema forward. Every other verb is about what is there: it refuses a journal that is
not, by exit code and sentence. Of a backend that does not declare `Capability.LOOKS`, opening is one thing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import cast

from continuum_core.blobs import with_blobs
from continuum_core.errors import JournalMissing
from continuum_core.journal.connect import connect
from continuum_core.journal.looking import Nothing, existing
from continuum_core.journal.protocol import Journal

__all__ = ["opened", "planned", "there"]


def there(url: str, namespace: str | None) -> Journal:
    """An unopened handle on a journal that has to be there."""
    return existing(connect(url, namespace))


@contextlib.asynccontextmanager
async def opened(url: str, namespace: str | None) -> AsyncGenerator[Journal, None]:
    """An open handle on a journal that has to be there, closed again."""
    journal = with_blobs(there(url, namespace))
    try:
        await journal.open()
        yield journal
    finally:
        await journal.close()


@contextlib.asynccontextmanager
async def planned(url: str, namespace: str | None, *, dry_run: bool) -> AsyncGenerator[Journal, None]:
    """What is to be written into. In a dry run nothing is made: what is not there is empty."""
    journal = with_blobs(there(url, namespace) if dry_run else connect(url, namespace))
    try:
        try:
            await journal.open()
        except JournalMissing:
            journal = cast(Journal, Nothing(journal.namespace))
        yield journal
    finally:
        await journal.close()
