"""Every statement of the backend, static and by name, one module a noun.

Rule: no statement is put together from values, and only searches (`Composed`) are put together at all.
`$1` is always the namespace's number. The schema is written `continuum.` and put in once, by `qualified`.
Members of a batch come as arrays, sorted by (shard, run id), and rows are found by a LATERAL probe of the
primary key, once for each member: nothing there for the planner to choose, whatever its statistics say. What
is changed is then named by its `ctid`.
"""

from __future__ import annotations

from functools import cache, lru_cache

__all__ = ["CLOCK", "NEEDED", "REACHED", "Composed", "patient", "qualified", "query", "timed"]


class Composed(str):
    """The text of one search: put together for it, and neither kept here nor prepared by the server."""

    __slots__ = ()


CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The journal's clock, in microseconds."""

NEEDED = "(t.undo OR NOT t.cancel)"
"""Of a task `t`: somebody asks what becomes of it. What is not needed is put away by the next claim."""

REACHED = "(pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_catalog.pg_lsn)::bigint"
"""How far the log is on the disk, in bytes since its beginning: on one timeline it never goes back, unless
older data was put in the place of newer."""

_CLOCK = CLOCK.encode()


@cache
def qualified(statement: str, schema: str) -> str:
    """The statement for one schema."""
    return _qualified(statement, schema)


def _qualified(statement: str, schema: str) -> str:
    quoted = f'"{schema}"'
    return statement.replace("continuum. ", f"{quoted} ").replace("continuum.", f"{quoted}.").strip()


def query(statement: str, schema: str) -> bytes:
    """The same as the driver takes it."""
    if isinstance(statement, Composed):
        return _qualified(statement, schema).encode()
    return _encoded(statement, schema)


@cache
def _encoded(statement: str, schema: str) -> bytes:
    return qualified(statement, schema).encode()


_BEGINNING = b"WITH c AS MATERIALIZED (SELECT "


@lru_cache(maxsize=64)
def patient(statement: bytes, milliseconds: int) -> bytes:
    """The same, which waits no longer than that for another transaction: what is set goes with its own.

    A statement that writes reads its clock first, and so it is set before anything is locked. One that only
    looks waits for nobody.
    """
    if not statement.startswith(_BEGINNING):
        return statement
    setting = b"pg_catalog.set_config('lock_timeout', '%d', true) AS patience, " % milliseconds
    return _BEGINNING + setting + statement[len(_BEGINNING) :]


def timed(statement: bytes, now: int) -> bytes:
    """The same with a time of a test's own, in microseconds, where it reads the journal's clock."""
    return statement.replace(_CLOCK, b"%d::bigint" % now)
