"""The schema looked at and brought forward without opening a journal: what `continuum migrate` asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import psycopg

from continuum_core.errors import JournalUnavailable, UsageError
from continuum_core.journal.protocol import SchemaState
from continuum_postgres import schema
from continuum_postgres.errors import unusable
from continuum_postgres.migrations import MIGRATIONS
from continuum_postgres.place import Place, parse
from continuum_postgres.source import Connection, held

__all__ = ["migrate", "migration_sql", "plant", "schema_of"]


async def schema_of(url: str) -> SchemaState:
    """The schema's version as the database states it. Raises IncompatibleJournal, JournalUnavailable."""
    place = parse(url)
    async with _connected(place) as connection:
        stated = await schema.stated_version(connection, place.schema)
    version, min_reader = (0, 0) if stated is None else stated
    return SchemaState(place.shown, version, MIGRATIONS[-1].version, min_reader)


async def migrate(url: str) -> int:
    """Bring the schema to this release's version, also with ``migrate=no``; the version it has then.

    Raises IncompatibleJournal, JournalUnavailable.
    """
    place = parse(url)
    async with _connected(place) as connection:
        await schema.server_of(connection, place.shown)
        return await schema.migrate(connection, place)


def migration_sql(url: str, since: int) -> str:
    """The same as a script, from version `since` on; "" where nothing is to be done."""
    return schema.migration_sql(parse(url).schema, since=since)


async def plant(url: str, version: int) -> None:
    """Make the tables as an older release did, without rows: for tests of migrations.

    Raises UsageError for a version that there never was, or where there is a journal already, and what
    `migrate` raises.
    """
    place = parse(url)
    if not 1 <= version <= MIGRATIONS[-1].version:
        raise UsageError(f"schema versions are 1 to {MIGRATIONS[-1].version}, not {version}")
    async with _connected(place) as connection:
        if await schema.stated_version(connection, place.schema) is not None:
            raise UsageError(f"{place.shown} has a journal already: name a schema that has none")
        await schema.migrate(connection, place, MIGRATIONS[:version])


@asynccontextmanager
async def _connected(place: Place) -> AsyncGenerator[Connection, None]:
    try:
        async with held(place.source, place.pooled) as connection:
            yield connection
    except psycopg.Error as error:
        raise unusable(place.shown, error) from error
    except OSError as error:
        raise JournalUnavailable(f"the connection failed ({error})") from error
