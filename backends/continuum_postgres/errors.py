"""Turns what psycopg raises into errors of the port; nothing of the driver leaves the backend.

Rule: SQLSTATE decides, never the text, wherever there is one. A refused *connection* has none: libpq hands
over nothing but a sentence, so there its English words decide, and one that we do not know is told as it is.
The cause stays attached (`raise … from`).
"""

from __future__ import annotations

import struct

import psycopg
from psycopg import errors as states

from continuum_core.errors import IncompatibleJournal, JournalUnavailable, PayloadRefused

__all__ = ["UNFIT", "SetReadOnly", "lost", "port_error", "retryable", "unusable"]


class SetReadOnly(states.ReadOnlySqlTransaction):
    """A primary on which somebody set that transactions only read; as a sentence, with whose setting it is.

    :param source: as `pg_settings` tells it.
    """

    def __init__(self, source: str, role: str, database: str) -> None:
        setting = "default_transaction_read_only"
        undone = {
            "user": f'ALTER ROLE "{role}" RESET {setting}',
            "database": f'ALTER DATABASE "{database}" RESET {setting}',
            "database user": f'ALTER ROLE "{role}" IN DATABASE "{database}" RESET {setting}',
            "global": f"ALTER ROLE ALL RESET {setting}",
            "client": "it is in the URL's options, in PGOPTIONS or in a pool's settings",
            "session": "it is what makes the connections that sets it",
        }.get(source, f"it is in the server's configuration ({source})")
        super().__init__(
            f"{setting} is on, so that nothing can be written: services set it where the disk is full; else "
            f"whoever set it undoes it: {undone}"
        )


UNFIT = (UnicodeEncodeError, OverflowError, struct.error, psycopg.DataError, states.ProgramLimitExceeded)
"""What a value raises that PostgreSQL cannot hold: lone surrogates, NUL in text, a number past its type, a
payload or a key that is too large."""

_RETRYABLE = (
    states.SerializationFailure,
    states.DeadlockDetected,
    states.UniqueViolation,  # another transaction made the row first: the next try reads it
)

_STAYS = (
    *_RETRYABLE,
    states.LockNotAvailable,
    states.QueryCanceled,
    states.DiskFull,
    states.OutOfMemory,
    states.InsufficientPrivilege,
)
"""Errors that say nothing against the connection they came by."""

_REASONS: tuple[tuple[type[psycopg.Error], str], ...] = (
    (states.DiskFull, "the server's disk is full: give it room, and runs go on by themselves"),
    (states.OutOfMemory, "the server is out of memory"),
    (states.TooManyConnections, "the server has no connection left"),
    (
        states.LockNotAvailable,
        "a row or table stayed locked by others beyond lock_timeout: look for a long transaction in "
        "pg_stat_activity",
    ),
    (states.QueryCanceled, "the statement was cancelled, by an operator or by statement_timeout"),
    (
        states.ReadOnlySqlTransaction,
        "the server takes no writes: it is a replica, was demoted or set read-only",
    ),
    (states.AdminShutdown, "the server was shut down, or an operator ended this session"),
    (states.CrashShutdown, "the server crashed"),
    (states.CannotConnectNow, "the server is starting up or shutting down"),
    (
        states.IdleInTransactionSessionTimeout,
        "this process stood still in a transaction, and the server ended it: is the event loop blocked?",
    ),
    (
        states.InsufficientPrivilege,
        "the role lacks a privilege it had when the journal was opened; see its owner's GRANTs",
    ),
    (states.UndefinedTable, "the journal's tables are gone"),
    (states.InvalidSchemaName, "the journal's schema is gone"),
    (
        states.InvalidSqlStatementName,
        "a prepared statement is gone: does a proxy pool by transaction? Then say ?pgbouncer=yes",
    ),
    (
        states.DuplicatePreparedStatement,
        "sessions are mixed up: does a proxy pool by transaction? Then say ?pgbouncer=yes",
    ),
)

_UNUSABLE: tuple[tuple[type[psycopg.Error], str], ...] = (
    (states.InvalidPassword, "the server refuses the password"),
    (states.InvalidAuthorizationSpecification, "the server refuses the role"),
    (states.InvalidCatalogName, "there is no such database; create it first"),
    (states.InsufficientPrivilege, "this role lacks a privilege; see its owner's GRANTs"),
)

_REFUSED: tuple[tuple[str, str], ...] = (
    ("password authentication failed", "the server refuses the password"),
    (
        "no password supplied",
        "the server wants a password, and there is none in the URL, PGPASSWORD or .pgpass",
    ),
    ("pg_hba.conf rejects", "the server admits no such client (pg_hba.conf)"),
    (
        "no pg_hba.conf entry",
        "the server admits no such client (pg_hba.conf): host, role, database or encryption",
    ),
    ("permission denied for database", "the role may not connect; grant CONNECT on the database"),
    (
        "unsupported startup parameter",
        "a pooling proxy is in between, which takes no settings at startup; say so with ?pgbouncer=yes",
    ),
    ("unrecognized configuration parameter", "a setting in the URL's options is unknown to the server"),
)
"""Of a connection: words that no repetition will change, and what they mean."""

_MISSING = (
    ('database "', "there is no such database; create it first"),
    ('role "', "there is no such role"),
)

_CROWDED = ("too many connections", "remaining connection slots", "too many clients", "no more connections")


def retryable(error: BaseException) -> bool:
    """Whether the same transaction, begun again, may succeed at once."""
    return isinstance(error, _RETRYABLE)


def lost(error: BaseException) -> bool:
    """Whether the connection is gone, or of no use any more.

    One to a server that takes no writes is of no use: after a failover the next one may reach the primary.
    """
    gone = (psycopg.OperationalError, psycopg.InterfaceError, states.ReadOnlySqlTransaction)
    return isinstance(error, gone) and not isinstance(error, _STAYS)


def port_error(error: BaseException, ambiguous: bool) -> BaseException:
    """What the caller of a verb is told, with `error` as its cause; the port's own errors as they are."""
    if isinstance(error, UNFIT):
        told: Exception = PayloadRefused("$", f"the journal cannot store it: {error}")
    elif isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        # The driver itself: it knows nothing of a value's type. No repetition makes it another one.
        told = PayloadRefused("$", f"the journal cannot store or look for it: {error}")
    elif isinstance(error, (psycopg.Error, OSError)):
        told = JournalUnavailable(_reason(error), ambiguous)
    elif isinstance(error, JournalUnavailable):  # a new one for each caller
        told = JournalUnavailable(error.reason, error.ambiguous)
    elif isinstance(error, IncompatibleJournal):
        told = IncompatibleJournal(str(error))
    else:
        return error
    told.__cause__ = error
    return told


def _reason(error: psycopg.Error | OSError) -> str:
    if isinstance(error, SetReadOnly):
        return str(error)
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return f"{reason} ({_first_line(error)})"
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return f"PostgreSQL refused the transaction ({error.sqlstate}: {_first_line(error)})"
    text = str(error)
    if any(words in text for words in _CROWDED):
        return f"the server has no connection left for this role: raise its limit ({_refusal(error)})"
    return _refused(error) or f"the connection failed ({_first_line(error)})"


def unusable(shown: str, error: psycopg.Error) -> IncompatibleJournal | JournalUnavailable:
    """The port's error for a server that could not be opened as a journal."""
    for kind, reason in _UNUSABLE:
        if isinstance(error, kind):
            return IncompatibleJournal(f"{shown}: {reason} ({_first_line(error)})")
    if error.sqlstate is None and (reason := _refused(error)):
        return IncompatibleJournal(f"{shown}: {reason}")
    return JournalUnavailable(_reason(error))


def _refused(error: psycopg.Error | OSError) -> str:
    """Why a connection was refused for good, in a sentence; "" where it may work the next time."""
    text = str(error)
    for words, reason in _REFUSED:
        if words in text:
            return f"{reason} ({_refusal(error)})"
    for words, reason in _MISSING:
        if f"FATAL:  {words}" in text and "does not exist" in text:
            return f"{reason} ({_refusal(error)})"
    return ""


def _refusal(error: BaseException) -> str:
    """What the server said, without where libpq tried."""
    return _first_line(error).rpartition("FATAL:")[2].strip()


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
