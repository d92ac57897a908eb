"""The journal on PostgreSQL: many workers, one database, group commit.

Rule: `connect` understands a URL and does nothing else; the server is reached by `open`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Journal, Limits
from continuum_postgres.capabilities import CAPABILITIES

if TYPE_CHECKING or find_spec("psycopg") is not None:
    from continuum_postgres.adopting import source_of
    from continuum_postgres.journal import PostgresJournal
    from continuum_postgres.place import OPTIONS, parse, place_of
    from continuum_postgres.upkeep import migrate, migration_sql, plant, schema_of
else:
    MISSING = 'the driver is missing: pip install "continuum-core[postgres]"'

__all__ = [
    "CAPABILITIES",
    "PORT_VERSION",
    "adopt",
    "connect",
    "migrate",
    "migration_sql",
    "plant",
    "schema_of",
]

PORT_VERSION = 1


def connect(
    url: str, namespace: str, limits: Limits, *, clock: Callable[[], Micros] | None = None
) -> Journal:
    """An unopened handle. Raises IncompatibleJournal for a URL that is wrong.

    :param url: ``postgresql://user@host/database`` (or ``postgres://``, ``postgresql+psycopg://``), with
        libpq's options in its query, and ours: ``schema=continuum`` (where the tables are), ``pgbouncer=yes``
        (a transaction-pooling proxy is in between; ``prepared``: one that keeps what its clients
        prepare), ``listen=URL`` (past that proxy, for hints),
        ``migrate=no`` (opening never changes the schema), ``history=accept`` (a server that has
        forgotten what it acknowledged is gone on with) and ``wakeups=redis://…`` (what carries hints in
        the place of NOTIFY).
    :param clock: microseconds since the Unix epoch, in the place of the server's time: for tests.
    """
    return PostgresJournal(parse(url), namespace, limits, clock)


def adopt(
    target: object, namespace: str = "default", limits: Limits | None = None, **options: str
) -> Journal | None:
    """An unopened handle on the database that a pool or an engine connects to; None for anything else.

    It makes connections of its own, as the pool or engine would, and borrows none.

    :param target: ``psycopg_pool.ConnectionPool`` or ``AsyncConnectionPool``, or an SQLAlchemy ``Engine`` or
        ``AsyncEngine`` on psycopg (``postgresql+psycopg://``).
    :param options: ours, as `connect` takes them in a URL: ``schema="continuum"``, ``migrate="no"`` …

    Raises UsageError for an engine on another driver, IncompatibleJournal for a wrong option.
    """
    if unknown := options.keys() - OPTIONS:
        raise TypeError(f"adopt() got unexpected options: {', '.join(sorted(unknown))}")
    source = source_of(target)
    return (
        None if source is None else PostgresJournal(place_of(source, options), namespace, limits or Limits())
    )
