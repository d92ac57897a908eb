"""Schemas of a worker's database, for journals that nobody opened before: emptied, and used again.

To make one takes longer than most tests that ask for it: some fifty tables and indexes, and what the server
keeps of each. Rule: one that is used again is like a new one. Where a process that a test left behind is
still in the middle of a transaction, or where a test changed the schema itself, the next test gets another.
"""

from __future__ import annotations

from uuid import uuid4

import psycopg
from psycopg import errors, sql

from continuum_postgres.migrations import MIGRATIONS

__all__ = ["Schemas"]

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'schema'"
_PATIENCE = "SET lock_timeout = '300ms'"


class Schemas:
    """Those of one database. `take` one for a test, and `give_back` what it took."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._left: list[str] = []

    def take(self) -> str:
        """The name of a schema in which nothing is."""
        while self._left:
            name = self._left.pop()
            if self._emptied(name):
                return name
        return f"fresh_{uuid4().hex[:12]}"

    def give_back(self, name: str) -> None:
        self._left.append(name)

    def _emptied(self, name: str) -> bool:
        """Whether the schema is as new now."""
        try:
            with psycopg.connect(self._database) as connection:
                row = connection.execute(_stated(name)).fetchone()
                if row != (MIGRATIONS[-1].version, MIGRATIONS[-1].min_reader):
                    return False
                connection.execute(_PATIENCE)
                tables = [sql.Identifier(name, table) for (table,) in connection.execute(_TABLES, (name,))]
                connection.execute(sql.SQL("LOCK TABLE {}").format(sql.SQL(", ").join(tables)))
                for table in tables:
                    connection.execute(sql.SQL("DELETE FROM {}").format(table))
        except (errors.UndefinedTable, errors.LockNotAvailable):
            return False
        return True


def _stated(name: str) -> sql.Composed:
    return sql.SQL("SELECT version, min_reader FROM {}").format(sql.Identifier(name, "schema"))
