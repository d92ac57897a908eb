"""The PostgreSQL that all contenders use, a fresh database for each measurement, and what it counted.

Rule: a contender makes its schema once, in a template that is copied for every measurement. So all databases
are equally fresh, their counters begin at nothing, and no measurement pays for making tables. Everything
is asked over the database `postgres`, so that asking never counts as the contender's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import environ, getpid
from types import TracebackType
from typing import Any, LiteralString
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from benchmarks.cpu import tree_seconds
from continuum_core.testing.servers import Postgres

__all__ = ["Counted", "Server"]

DEFAULTS = {"shared_buffers": "128MB"}
"""What PostgreSQL itself comes with; the server for tests is smaller."""

_TOLD = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "max_connections",
    "autovacuum",
)

Counted = dict[str, int]


class Server:
    """A private server, or the one that CONTINUUM_TEST_POSTGRES names. Use it as a context manager."""

    def __init__(self) -> None:
        named = environ.get("CONTINUUM_TEST_POSTGRES")
        self._private = None if named else Postgres(settings=DEFAULTS)
        self._named = named or ""
        self._prefix = f"bench{getpid()}_"  # two that use one named server stay apart
        self._made: list[str] = []

    def __enter__(self) -> Server:
        if self._private is not None:
            self._private.start()
        self._admin = psycopg.connect(self._url("postgres"), autocommit=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for name in list(self._made):
                self.drop(name)
            self._admin.close()
        finally:
            if self._private is not None:
                self._private.stop()

    def url(self, name: str) -> str:
        """Of a database that `create` made."""
        return self._url(self._prefix + name)

    def _url(self, database: str) -> str:
        if self._private is not None:
            return self._private.url(database)
        parts = urlsplit(self._named)
        return urlunsplit(parts._replace(path=f"/{database}"))

    # --- databases

    def create(self, name: str, template: str | None = None, *, large: bool = False) -> str:
        """A new database, empty or a copy of a template that nobody is connected to; its URL.

        :param large: copy files instead of logging pages: quicker for gigabytes, slower for little.
        """
        self.drop(name)
        like: sql.Composable = sql.SQL("")
        if template is not None:
            like = sql.SQL("TEMPLATE {}").format(sql.Identifier(self._prefix + template))
            if large and self._admin.info.server_version >= 150_000:  # before, that is what it does anyway
                like += sql.SQL(" STRATEGY file_copy")
        made = sql.Identifier(self._prefix + name)
        self._admin.execute(sql.SQL("CREATE DATABASE {} {}").format(made, like))
        self._made.append(name)
        return self.url(name)

    def drop(self, name: str) -> None:
        gone = sql.Identifier(self._prefix + name)
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(gone))
        if name in self._made:
            self._made.remove(name)

    def checkpoint(self) -> None:
        """So that every measurement begins with the same first-touch page images ahead of it."""
        self._admin.execute("CHECKPOINT")

    @contextmanager
    def connection(self, name: str) -> Iterator[psycopg.Connection[Any]]:
        """For making old rows and looking at tables; what it does counts for the database."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            yield connection

    # --- what it says of itself

    def settings(self) -> dict[str, str]:
        """Those that matter to the figures."""
        rows = self._admin.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)", (list(_TOLD),)
        )
        return dict(rows.fetchall())

    def cpu(self) -> float | None:
        """CPU seconds of all its processes; None for one that is not ours."""
        pid = None if self._private is None else self._private.pid
        return None if pid is None else tree_seconds(pid)

    def instant(self) -> Counted:
        """What is exact at any moment: bytes of WAL, and the number of writing transactions."""
        row = self._one(
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,"
            " pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        )
        return {"wal": row[0], "writing": row[1]}

    def syncs(self) -> int:
        """How often clients had the WAL synced so far; complete once everybody has left."""
        self._admin.execute("SELECT pg_stat_clear_snapshot()")
        if self._admin.info.server_version >= 150_000:
            self._admin.execute("SELECT pg_stat_force_next_flush()")
        if self._admin.info.server_version >= 180_000:
            row = self._one(
                "SELECT sum(fsyncs)::bigint FROM pg_stat_io"
                " WHERE object = 'wal' AND backend_type = 'client backend'"
            )
        else:
            row = self._one("SELECT wal_sync FROM pg_stat_wal")
        return int(row[0])

    def counted(self, name: str) -> Counted:
        """Transactions and rows of a database so far; complete once everybody has left it."""
        row = self._one(
            "SELECT xact_commit, xact_rollback, tup_inserted, tup_updated, tup_deleted, numbackends"
            " FROM pg_stat_database WHERE datname = %s",
            self._prefix + name,
        )
        return {
            "transactions": row[0] + row[1],
            "inserted": row[2],
            "updated": row[3],
            "deleted": row[4],
            "connections": row[5],
        }

    def size(self, name: str) -> int:
        """Bytes of all tables of users, with their indexes and toast."""
        with self.connection(name) as connection:
            row = connection.execute(
                "SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_stat_user_tables"
            ).fetchone()
        return 0 if row is None else row[0]

    def _one(self, text: LiteralString, *arguments: Any) -> tuple[Any, ...]:
        row = self._admin.execute(text, arguments or None).fetchone()
        if row is None:
            raise psycopg.OperationalError(f"no answer to {text}")
        return row
