"""Brings a file to the schema this code knows, or says why it must not touch it.

Rule: the row in `continuum_schema` is the authority over a file's version. Openers race for one write
lock; whoever gets it second finds the work done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from continuum_core.errors import IncompatibleJournal
from continuum_sqlite.migrations import MIGRATIONS, Migration

__all__ = ["check_file", "migrate", "stated_version"]

_STATED = "SELECT version, min_reader FROM continuum_schema"
_HAS_SCHEMA = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'continuum_schema'"
_FOREIGN = (
    "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'continuum\\_%' ESCAPE '\\' "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT 1"
)
_CREATE = "CREATE TABLE continuum_schema (version INTEGER NOT NULL, min_reader INTEGER NOT NULL) STRICT"


def stated_version(connection: sqlite3.Connection) -> tuple[int, int] | None:
    """(version, min_reader) as the file states them; None for a file without our schema."""
    if not connection.execute(_HAS_SCHEMA).fetchone()[0]:
        return None
    row = connection.execute(_STATED).fetchone()
    return None if row is None else (row[0], row[1])


def check_file(
    connection: sqlite3.Connection, path: str, beside: bool, known: Sequence[Migration] = MIGRATIONS
) -> None:
    """Refuse, before anything is changed, a file that is somebody else's or too new."""
    stated = stated_version(connection)
    if stated is None:
        foreign = connection.execute(_FOREIGN).fetchone()
        if foreign is not None and not beside:
            raise IncompatibleJournal(
                f"{path}: is the database of something else (it has {foreign[0]!r}); name another file, "
                "or add ?beside=yes to keep the journal's tables beside the others"
            )
        return
    version, min_reader = stated
    if min_reader > known[-1].version:
        raise IncompatibleJournal(
            f"{path}: has schema {version}, which needs a release that knows schema {min_reader} or later; "
            f"this one knows {known[-1].version}; upgrade continuum-core"
        )


def migrate(connection: sqlite3.Connection, path: str, known: Sequence[Migration] = MIGRATIONS) -> int:
    """Apply what the file lacks, inside the caller's write transaction; the version it has then."""
    stated = stated_version(connection)
    if stated is None:
        connection.execute(_CREATE)
        connection.execute("INSERT INTO continuum_schema VALUES (0, 0)")
        stated = (0, 0)
    version, min_reader = stated
    if min_reader > known[-1].version:  # somebody upgraded it between our look and our lock
        raise IncompatibleJournal(f"{path}: was just upgraded to schema {version}; upgrade continuum-core")
    for migration in known:
        if migration.version > version:
            for statement in migration.statements:
                connection.execute(statement)
            version = migration.version
            connection.execute(
                "UPDATE continuum_schema SET version = ?, min_reader = ?", (version, migration.min_reader)
            )
    return version
