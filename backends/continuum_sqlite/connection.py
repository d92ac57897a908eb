"""Opens connections whose promises are checked, and waits for locks within a bound.

Rule: WAL with `synchronous=FULL`, or nothing: with NORMAL a power loss takes acknowledged commits.
"database is locked" ends here: it is waited out, or becomes `JournalUnavailable`.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from continuum_core.errors import IncompatibleJournal
from continuum_core.journal.looking import behind, missing
from continuum_sqlite.errors import busy, unavailable, unusable
from continuum_sqlite.migrations import MIGRATIONS
from continuum_sqlite.place import Place
from continuum_sqlite.schema import check_file, migrate, stated_version

__all__ = ["OLDEST", "begin", "data_version", "identity", "open_reader", "open_writer", "patiently"]

OLDEST = (3, 37, 0)
"""The oldest SQLite that has all we use (STRICT tables; RETURNING)."""

_SHORTEST, _LONGEST = 0.0002, 0.01  # seconds between tries for the lock

_SETTINGS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: an ordinary fsync there leaves data in the drive's cache
    "PRAGMA checkpoint_fullfsync = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cache_size = -32768",
    "PRAGMA wal_autocheckpoint = 2000",
    "PRAGMA journal_size_limit = 67108864",  # a log that once grew gives its disk back
)

_FULL = 2

Value = TypeVar("Value")


def patiently(attempt: Callable[[], Value], seconds: float) -> Value:
    """Call `attempt` until no lock stands in its way, for `seconds` at most.

    SQLite's own busy handler sleeps in steps up to 100 ms and is not asked in every case (recovery of
    the log, change of the journal mode); short steps with jitter are fairer among many writers.
    """
    deadline = time.monotonic() + seconds
    pause = _SHORTEST
    while True:
        try:
            return attempt()
        except sqlite3.Error as error:
            if not busy(error) or time.monotonic() >= deadline:
                raise
        time.sleep(pause * (0.5 + random.random()))
        pause = min(pause * 1.5, _LONGEST)


def begin(connection: sqlite3.Connection, seconds: float) -> None:
    """Take the write lock. Raises sqlite3.OperationalError (busy) when the bound is over."""
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"), seconds)


def identity(path: str) -> tuple[int, int] | None:
    """Which file the path names; None when it names none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def open_writer(place: Place, create: bool, *, makes: bool = True) -> tuple[sqlite3.Connection, int]:
    """A connection for the writer's thread, on a file whose schema is ours; and the schema's version.

    :param create: the file may be made. Reopening must not: a journal that was deleted beneath us is
        lost, and an empty one in its place would hide it.
    :param makes: a schema may be made, or brought forward.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST[:2]))
        raise IncompatibleJournal(f"SQLite {sqlite3.sqlite_version} is too old; {wanted} or later is needed")
    if not makes and identity(place.path) is None:
        raise missing(place.path)
    try:
        connection = _connect(place, "rwc" if create else "rw")
    except sqlite3.Error as error:
        raise unusable(place.path, error) from error
    try:
        patiently(lambda: check_file(connection, place.path, place.beside), place.busy_timeout)
        if not makes:
            _check_current(connection, place)
        _settle(connection, place)
        return connection, _migrated(connection, place)
    except sqlite3.Error as error:
        connection.close()
        raise unusable(place.path, error) from error
    except BaseException:
        connection.close()
        raise


def open_reader(place: Place) -> sqlite3.Connection:
    """A connection that only reads. SQLite itself waits where a reader must (recovery of the log)."""
    try:
        connection = _connect(place, "rw")
        connection.execute(f"PRAGMA busy_timeout = {round(place.busy_timeout * 1000)}")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        raise unavailable(error) from error
    return connection


def _connect(place: Place, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{Path(place.path).as_uri()}?mode={mode}",
        uri=True,
        timeout=0,
        isolation_level=None,  # transactions begin and end where we say so
        check_same_thread=False,  # a thread opens and uses it alone; only its closing may be another's
        cached_statements=256,
    )


def _settle(connection: sqlite3.Connection, place: Place) -> None:
    """Set what durability rests on, and check that it took."""
    mode = patiently(
        lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone()[0], place.busy_timeout
    )
    for setting in _SETTINGS:
        connection.execute(setting)
    if mode != "wal":
        raise IncompatibleJournal(
            f"{place.path}: this filesystem does not support write-ahead logging (mode is {mode!r}); "
            "use a local disk"
        )
    if connection.execute("PRAGMA synchronous").fetchone()[0] != _FULL:
        raise IncompatibleJournal(f"{place.path}: SQLite refuses synchronous=FULL")


def _check_current(connection: sqlite3.Connection, place: Place) -> None:
    """Refuse what would have to be changed before it can be read. Raises IncompatibleJournal."""
    stated = patiently(lambda: stated_version(connection), place.busy_timeout)
    if stated is None or not stated[0]:
        raise missing(place.path)
    if stated[0] < MIGRATIONS[-1].version:
        raise behind(place.path, stated[0], MIGRATIONS[-1].version)


def _migrated(connection: sqlite3.Connection, place: Place) -> int:
    stated = patiently(lambda: stated_version(connection), place.busy_timeout)  # another may mend the log
    if stated is not None and stated[0] >= MIGRATIONS[-1].version:
        return stated[0]
    begin(connection, place.busy_timeout)
    try:
        version = migrate(connection, place.path)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return version


def data_version(execute: Callable[[str], sqlite3.Cursor]) -> int:
    """A number that is another one when other connections than this have committed. Raises sqlite3.Error."""
    found: int = execute("PRAGMA data_version").fetchone()[0]
    return found
