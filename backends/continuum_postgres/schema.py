"""Brings a database to the schema this code knows, or says why it must not touch it.

Rule: the row of the table `schema` is the authority over the version. Openers race for its lock, and
whoever gets it second finds the work done; definitions are transactional, so there is no half of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import psycopg
from attrs import frozen
from psycopg import errors as states

from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.looking import behind, missing
from continuum_postgres.errors import SetReadOnly
from continuum_postgres.migrations import MIGRATIONS, Migration
from continuum_postgres.place import Place
from continuum_postgres.source import Connection
from continuum_postgres.statements import qualified, query
from continuum_postgres.statements.history import PRIVILEGES, SERVER

__all__ = [
    "Server",
    "check_current",
    "check_privileges",
    "grants",
    "migrate",
    "migration_sql",
    "server_of",
    "stated_version",
]

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

_TABLES = re.findall(r"CREATE TABLE continuum\.(\w+)", " ".join(s for m in MIGRATIONS for s in m.statements))
"""Those whose rows verbs change: all but the one that states the version."""

_TRIES = 20

_OLDEST = 140_000


async def stated_version(connection: Connection, schema: str) -> tuple[int, int] | None:
    """(version, min_reader) as the database states them; None where our schema is not."""
    try:
        row = await (await connection.execute(query(_STATED, schema))).fetchone()
    except (states.UndefinedTable, states.InvalidSchemaName):
        return None
    return None if row is None else (row[0], row[1])


async def migrate(
    connection: Connection, place: Place, known: Sequence[Migration] = MIGRATIONS, *, wanted: bool = True
) -> int:
    """Apply what the database lacks; the version it has then. Raises IncompatibleJournal.

    :param wanted: False: apply nothing, and refuse a schema that is behind.
    """
    stated = await _visible_version(connection, place)
    for attempt in range(_TRIES):
        if stated is not None and stated[0] >= known[-1].version:
            break
        if not wanted:
            raise IncompatibleJournal(_behind(place, stated, known, "the URL says migrate=no"))
        try:
            await _apply(connection, place.schema, known)
        except states.InsufficientPrivilege as error:
            lacks = f"this role may not change it ({str(error).splitlines()[0]})"
            raise IncompatibleJournal(_behind(place, stated, known, lacks)) from error
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


async def check_current(connection: Connection, place: Place) -> None:
    """Refuse what would have to be changed before it can be read. Raises IncompatibleJournal."""
    stated = await _visible_version(connection, place)
    if stated is None or not stated[0]:
        raise missing(place.shown)
    if stated[0] < MIGRATIONS[-1].version:
        raise behind(place.shown, stated[0], MIGRATIONS[-1].version)


def _behind(place: Place, stated: tuple[int, int] | None, known: Sequence[Migration], why: str) -> str:
    has = f"has schema version {stated[0]}" if stated is not None else "has no journal yet"
    return (
        f"{place.shown}: {has}, this release needs {known[-1].version}, and {why}: run `continuum migrate` "
        "as the schema's owner, or apply what `continuum migrate --sql` prints"
    )


async def _visible_version(connection: Connection, place: Place) -> tuple[int, int] | None:
    try:
        return await stated_version(connection, place.schema)
    except states.InsufficientPrivilege as error:
        raise IncompatibleJournal(
            f"{place.shown}: this role may not use the journal ({str(error).splitlines()[0]}); "
            f"its owner grants it:\n{grants(place.schema, connection.info.user)}"
        ) from error


async def check_privileges(connection: Connection, place: Place) -> None:
    """Raise IncompatibleJournal where this role may not use a table: said now, not by the first claim."""
    cursor = await connection.execute(PRIVILEGES.encode(), (0, place.schema, _TABLES))
    lacking = [str(name) for name, _ in await cursor.fetchall()]
    if lacking:
        raise IncompatibleJournal(
            f"{place.shown}: this role may not read and write {', '.join(lacking)}; the owner grants it:\n"
            f"{grants(place.schema, connection.info.user)}"
        )


def grants(schema: str, role: str) -> str:
    """What a role needs that works on a schema which another one owns and migrates."""
    quoted = '"' + role.replace('"', '""') + '"'
    return (
        f'GRANT USAGE ON SCHEMA "{schema}" TO {quoted};\n'
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}" TO {quoted};\n'
        f'ALTER DEFAULT PRIVILEGES IN SCHEMA "{schema}" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES '
        f"TO {quoted};"
    )


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


def migration_sql(
    schema: str = "continuum", known: Sequence[Migration] = MIGRATIONS, *, since: int = 0
) -> str:
    """The same as a script, for teams that apply their own. "" where `since` is this release's version.

    :param since: the version that the database has; 0: there is nothing yet.
    """
    steps = [migration for migration in known if migration.version > since]
    if not steps:
        return ""
    script = ["BEGIN"]
    if since:
        script.append(_guarded(since))
    else:
        script += ["CREATE SCHEMA IF NOT EXISTS continuum. ", _CREATE, _FIRST]
    for migration in steps:
        script += migration.statements
        script.append(_STATE.replace("$1", str(migration.version)).replace("$2", str(migration.min_reader)))
    return ";\n\n".join(qualified(statement, schema) for statement in [*script, "COMMIT;\n"]) + "\n"


def _guarded(since: int) -> str:
    """Ends the script where the schema is not at the version it begins from."""
    return (
        f"-- fails (division by zero) unless the schema is at version {since}\n"
        f"SELECT 1 / count(*) FROM continuum.schema WHERE version = {since}"
    )


@frozen
class Server:
    """What a server says of itself.

    :ivar synchronous_commit: of this session, which the role or the URL may set.
    """

    fsync: str
    synchronous_commit: str
    full_page_writes: str

    @property
    def durability(self) -> str:
        """What survives what, in one sentence."""
        if self.fsync != "on":
            return "NOTHING SURVIVES a crash of the server's machine: the server runs with fsync=off"
        if self.full_page_writes != "on":
            return (
                "A LOSS OF POWER may damage the database: the server runs with full_page_writes=off, which "
                "is safe on few filesystems"
            )
        if self.synchronous_commit == "off":
            return (
                "THE LATEST MAY BE LOST: the server acknowledges before it syncs (synchronous_commit=off), "
                "so that a crash may take what was acknowledged last"
            )
        return (
            "what was acknowledged survives the process, the server and a loss of power (write-ahead log, "
            "synced at every commit); a failover keeps it only where replicas are synchronous"
        )

    @property
    def loses(self) -> bool:
        """Whether its settings give durability up."""
        return self.fsync != "on" or self.full_page_writes != "on" or self.synchronous_commit == "off"


async def server_of(connection: Connection, shown: str) -> Server:
    """Raises IncompatibleJournal for a server that cannot be used."""
    if connection.info.server_version < _OLDEST:
        raise IncompatibleJournal(
            f"{shown}: the server is PostgreSQL {connection.info.server_version // 10_000}; "
            f"{_OLDEST // 10_000} or later is needed"
        )
    row = await (await connection.execute(SERVER.encode(), (0,))).fetchone()
    if row is None:
        raise psycopg.OperationalError("the server told none of its settings")
    encoding, recovering, fsync, synchronous, full_pages, read_only, _ = row
    if recovering:
        raise IncompatibleJournal(f"{shown}: the server is a replica and takes no writes; name the primary")
    if read_only is not None:
        told = SetReadOnly(str(read_only), connection.info.user, connection.info.dbname)
        raise IncompatibleJournal(f"{shown}: {told}")
    if encoding != "UTF8":
        raise IncompatibleJournal(
            f"{shown}: the database's encoding is {encoding}, which cannot hold every text; create one with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
    return Server(str(fsync), str(synchronous), str(full_pages))
