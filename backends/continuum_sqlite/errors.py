"""Turns what `sqlite3` raises into errors of the port; nothing of the driver leaves the backend.

Rule: the cause stays attached (`raise … from`), and nobody reads texts: SQLite's numeric codes decide.
"""

from __future__ import annotations

import sqlite3

from continuum_core.errors import IncompatibleJournal, JournalUnavailable, PayloadRefused

__all__ = ["broken", "busy", "port_error", "unavailable", "unusable"]

_UNFIT_VALUES = (UnicodeEncodeError, OverflowError)
"""What binding a value raises that SQLite cannot hold: a lone surrogate, a number past 64 bits."""

_MISUSE = (sqlite3.ProgrammingError, sqlite3.InterfaceError)
"""What the driver raises for a value of a type that it knows nothing of, however often it is repeated."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

_REASONS = {
    sqlite3.SQLITE_BUSY: "the database stayed locked by others beyond the bounded wait",
    sqlite3.SQLITE_LOCKED: "the database stayed locked by others beyond the bounded wait",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_READONLY: "the database cannot be written",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not a database any more",
}

_UNUSABLE = {
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a copy, or look at it with `PRAGMA integrity_check`",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened or created; check that it is a file and its permissions",
    sqlite3.SQLITE_READONLY: "it cannot be written; the file and its directory need write permission",
    sqlite3.SQLITE_PERM: "access to it is refused; check its permissions",
    sqlite3.SQLITE_AUTH: "access to it is refused; check its permissions",
}


def _code(error: sqlite3.Error) -> int:
    """The primary result code: extended codes keep it in their low byte."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _coded(error: sqlite3.Error) -> bool:
    """Whether SQLite itself said it, rather than its driver."""
    return getattr(error, "sqlite_errorcode", None) is not None


def busy(error: sqlite3.Error) -> bool:
    """Whether waiting may help: somebody else holds a lock."""
    return _code(error) in _BUSY


def broken(error: sqlite3.Error) -> bool:
    """Whether the connection should be given up, so that the next verb begins with a fresh one."""
    return not busy(error) and not isinstance(error, (sqlite3.IntegrityError, *_MISUSE))


def unavailable(error: sqlite3.Error, ambiguous: bool = False) -> JournalUnavailable:
    """The port's error for a verb that failed; `ambiguous` when its transaction may have been committed."""
    reason = _REASONS.get(_code(error), "SQLite refused the transaction")
    return JournalUnavailable(f"{reason} ({error})", ambiguous)


def unusable(path: str, error: sqlite3.Error) -> IncompatibleJournal | JournalUnavailable:
    """The port's error for a file that could not be opened as a journal."""
    reason = _UNUSABLE.get(_code(error))
    return unavailable(error) if reason is None else IncompatibleJournal(f"{path}: {reason} ({error})")


def port_error(error: Exception, ambiguous: bool = False) -> Exception:
    """What the caller of a verb is told, with `error` as its cause: a new one for each caller.

    Errors that are none of SQLite's are the port's own already, and stay what they are.
    """
    told: Exception
    if isinstance(error, _MISUSE) and not _coded(error):
        told = PayloadRefused("$", f"the journal cannot store or look for it: {error}")
    elif isinstance(error, sqlite3.Error):
        told = unavailable(error, ambiguous)
    elif isinstance(error, _UNFIT_VALUES):
        told = PayloadRefused("$", f"the journal cannot store it: {error}")
    elif isinstance(error, JournalUnavailable):
        told = JournalUnavailable(error.reason, error.ambiguous)
    else:
        return error
    told.__cause__ = error
    return told
