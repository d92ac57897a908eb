"""Turns what psycopg raises into errors of the port; nothing of the driver leaves the backend.

Rule: SQLSTATE decides, never the text. The cause stays attached (`raise … from`).
"""

from __future__ import annotations

import struct

import psycopg
from psycopg import errors as states

from continuum_core.errors import IncompatibleJournal, JournalUnavailable, PayloadRefused

__all__ = ["UNFIT", "lost", "port_error", "retryable", "unusable"]

UNFIT = (UnicodeEncodeError, OverflowError, struct.error, psycopg.DataError)
"""What a value raises that PostgreSQL cannot hold: lone surrogates, NUL in text, a number past its type."""

_RETRYABLE = (
    states.SerializationFailure,
    states.DeadlockDetected,
    states.UniqueViolation,  # another transaction made the row first: the next try reads it
)

_REASONS: tuple[tuple[type[psycopg.Error], str], ...] = (
    (states.DiskFull, "the server's disk is full"),
    (states.OutOfMemory, "the server is out of memory"),
    (states.TooManyConnections, "the server has no connection left"),
    (states.LockNotAvailable, "a row stayed locked by others beyond the bounded wait"),
    (states.QueryCanceled, "the server cancelled the statement"),
    (states.ReadOnlySqlTransaction, "the server takes no writes: it is a replica, or was demoted"),
    (states.AdminShutdown, "the server was shut down"),
    (states.CrashShutdown, "the server crashed"),
    (states.CannotConnectNow, "the server is starting up or shutting down"),
    (states.IdleInTransactionSessionTimeout, "this process stood still in a transaction"),
    (states.InsufficientPrivilege, "the role lacks a privilege"),
    (states.UndefinedTable, "the journal's tables are gone"),
)

_UNUSABLE: tuple[tuple[type[psycopg.Error], str], ...] = (
    (states.InvalidPassword, "the server refuses the password"),
    (states.InvalidAuthorizationSpecification, "the server refuses the role"),
    (states.InvalidCatalogName, "there is no such database; create it first"),
    (
        states.InsufficientPrivilege,
        "the role may not create the journal's schema; grant CREATE on the database",
    ),
)


def retryable(error: BaseException) -> bool:
    """Whether the same transaction, begun again, may succeed at once."""
    return isinstance(error, _RETRYABLE)


def lost(error: BaseException) -> bool:
    """Whether the connection is gone, or of no use any more."""
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and not isinstance(
        error, (*_RETRYABLE, states.LockNotAvailable, states.QueryCanceled)
    )


def port_error(error: BaseException, ambiguous: bool) -> BaseException:
    """What the caller of a verb is told, with `error` as its cause; the port's own errors as they are."""
    if isinstance(error, UNFIT):
        told: Exception = PayloadRefused("$", f"the journal cannot store it: {error}")
    elif isinstance(error, (psycopg.Error, OSError)):
        told = JournalUnavailable(_reason(error), ambiguous)
    elif isinstance(error, JournalUnavailable):  # a new one for each caller
        told = JournalUnavailable(error.reason, error.ambiguous)
    else:
        return error
    told.__cause__ = error
    return told


def _reason(error: psycopg.Error | OSError) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return f"{reason} ({_first_line(error)})"
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return f"PostgreSQL refused the transaction ({error.sqlstate}: {_first_line(error)})"
    return f"the connection failed ({_first_line(error)})"


def unusable(shown: str, error: psycopg.Error) -> IncompatibleJournal | JournalUnavailable:
    """The port's error for a server that could not be opened as a journal."""
    for kind, reason in _UNUSABLE:
        if isinstance(error, kind):
            return IncompatibleJournal(f"{shown}: {reason} ({_first_line(error)})")
    return JournalUnavailable(_reason(error))


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
