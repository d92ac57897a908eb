"""Brings a database to the schema this code knows, or says why it must not touch it.

Rule: the row of the table `schema` is the authority over the version. Openers race for its lock, and
whoever gets it second finds the work done; definitions are transactional, so there is no half of one.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import errors as states

from continuum_core.errors import IncompatibleJournal
from continuum_postgres.migrations import MIGRATIONS, Migration
from continuum_postgres.place import Place
from continuum_postgres.session import Connection
from continuum_postgres.statements import qualified, query

__all__ = ["migrate", "migration_sql", "server_faults", "stated_version"]

_STATED = "SELECT version, min_reader FROM continuum.schema"
_LOCKED = "SELECT version, min_reader FROM continuum.schema FOR UPDATE"
_HAS_SCHEMA = "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = $1::text"
_CREATE = (
    "CREATE TABLE IF NOT EXISTS continuum.schema "
    "(one boolean PRIMARY KEY CHECK (one), version integer NOT NULL, min_reader integer NOT NULL)"
)
_FIRST = "INSERT INTO continuum.schema VALUES (true, 0, 0) ON CONFLICT DO NOTHING"
_STATE = "UPDATE continuum.schema SET version = $1::integer, min_reader = $2::integer"

_RACES = (states.UniqueViolation, states.DuplicateTable, states.DuplicateSchema, states.DeadlockDetected)
"""What two that create the same thing at the same moment are told, IF NOT EXISTS or not."""

_TRIES = 20


async def stated_version(connection: Connection, schema: str) -> tuple[int, int] | None:
    """(version, min_reader) as the database states them; None where our schema is not."""
    try:
        row = await (await connection.execute(query(_STATED, schema))).fetchone()
    except (states.UndefinedTable, states.InvalidSchemaName):
        return None
    return None if row is None else (row[0], row[1])


async def migrate(connection: Connection, place: Place, known: Sequence[Migration] = MIGRATIONS) -> int:
    """Apply what the database lacks; the version it has then. Raises IncompatibleJournal."""
    stated = await stated_version(connection, place.schema)
    for attempt in range(_TRIES):
        if stated is not None and stated[0] >= known[-1].version:
            break
        try:
            await _apply(connection, place.schema, known)
        except _RACES:
            if attempt == _TRIES - 1:
                raise
        stated = await stated_version(connection, place.schema)
    version, min_reader = stated if stated is not None else (0, 0)
    if min_reader > known[-1].version:
        raise IncompatibleJournal(
            f"{place.shown}: has schema version {version}, which needs a release that knows version "
            f"{min_reader} or later; this one knows {known[-1].version}; upgrade continuum-core"
        )
    return version


async def _apply(connection: Connection, schema: str, known: Sequence[Migration]) -> None:
    found = await (await connection.execute(_HAS_SCHEMA, (schema,))).fetchone()
    async with connection.transaction():
        if found is None or not found[0]:  # a role that may not create schemas can use one that is there
            await connection.execute(query("CREATE SCHEMA IF NOT EXISTS continuum. ", schema))
        await connection.execute(query(_CREATE, schema))
        await connection.execute(query(_FIRST, schema))
        row = await (await connection.execute(query(_LOCKED, schema))).fetchone()
        version: int = 0 if row is None else row[0]
        for migration in known:
            if migration.version > version:
                for statement in migration.statements:
                    await connection.execute(query(statement, schema))
                await connection.execute(query(_STATE, schema), (migration.version, migration.min_reader))


def migration_sql(schema: str = "continuum", known: Sequence[Migration] = MIGRATIONS) -> str:
    """The same as a script, for teams that apply their own."""
    script = [
        "BEGIN",
        qualified("CREATE SCHEMA IF NOT EXISTS continuum. ", schema),
        qualified(_CREATE, schema),
    ]
    script.append(qualified(_FIRST, schema))
    for migration in known:
        script += [qualified(statement, schema).strip() for statement in migration.statements]
        state = _STATE.replace("$1", str(migration.version)).replace("$2", str(migration.min_reader))
        script.append(qualified(state, schema))
    return ";\n".join([*script, "COMMIT;\n"])


async def server_faults(connection: Connection, shown: str) -> tuple[str, str]:
    """(fsync, synchronous_commit). Raises IncompatibleJournal for a server that cannot be used."""
    if connection.info.server_version < 140_000:
        raise IncompatibleJournal(
            f"{shown}: the server is PostgreSQL {connection.info.server_version // 10_000}; "
            "14 or later is needed"
        )
    cursor = await connection.execute(
        "SELECT current_setting('fsync'), current_setting('synchronous_commit'), pg_is_in_recovery()"
    )
    row = await cursor.fetchone()
    if row is None:
        raise psycopg.OperationalError("the server told none of its settings")
    if row[2]:
        raise IncompatibleJournal(f"{shown}: the server is a replica and takes no writes; name the primary")
    return str(row[0]), str(row[1])
