"""The journal on PostgreSQL: many workers, one database, group commit.

Rule: `connect` understands a URL and does nothing else; the server is reached by `open`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from continuum_core.journal.protocol import Capability, Journal, Limits

if TYPE_CHECKING or find_spec("psycopg") is not None:
    from continuum_postgres.journal import PostgresJournal
    from continuum_postgres.place import parse
else:
    MISSING = 'the driver is missing: pip install "continuum-core[postgres]"'

__all__ = ["CAPABILITIES", "PORT_VERSION", "connect"]

PORT_VERSION = 1

CAPABILITIES = frozenset({Capability.DURABLE, Capability.SHARED, Capability.WAKEUPS})


def connect(url: str, namespace: str, limits: Limits) -> Journal:
    """An unopened handle. Raises IncompatibleJournal for a URL that is wrong.

    :param url: ``postgresql://user@host/database`` (or ``postgres://``, ``postgresql+psycopg://``), with
        libpq's options in its query, and ours: ``schema=continuum`` (where the tables are), ``pgbouncer=yes``
        (a transaction-pooling proxy is in between) and ``listen=URL`` (past that proxy, for hints).
    """
    return PostgresJournal(parse(url), namespace, limits)
