"""Files as older releases left them, without rows: what tests of migrations begin from."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from continuum_core.errors import UsageError
from continuum_sqlite.errors import unusable
from continuum_sqlite.migrations import MIGRATIONS
from continuum_sqlite.place import Place, parse
from continuum_sqlite.schema import migrate, stated_version

__all__ = ["plant"]


async def plant(url: str, version: int) -> None:
    """Make a file of schema `version` where there is none.

    Raises UsageError for a version that there never was, or where there is a journal already, and
    IncompatibleJournal for a file that cannot be made.
    """
    if not 1 <= version <= MIGRATIONS[-1].version:
        raise UsageError(f"schema versions are 1 to {MIGRATIONS[-1].version}, not {version}")
    await asyncio.to_thread(_planted, parse(url), version)


def _planted(place: Place, version: int) -> None:
    try:
        with closing(sqlite3.connect(place.path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if stated_version(connection) is not None:
                raise UsageError(f"{place.path} has a journal already: name a file that is not there")
            migrate(connection, place.path, MIGRATIONS[:version])
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise unusable(place.path, error) from error
