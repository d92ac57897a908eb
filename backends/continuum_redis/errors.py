"""Turns what the driver raises into errors of the port; nothing of it leaves the backend.

Rule: the first word of an error's text is its code, which is Redis's protocol; the rest is for people.
"""

from __future__ import annotations

import asyncio

from redis import exceptions as raised

from continuum_core.errors import IncompatibleJournal, JournalUnavailable, PayloadRefused

__all__ = ["LOST", "UNFIT", "port_error", "unusable"]

UNFIT = (UnicodeEncodeError, OverflowError)
"""What a value raises that the scripts cannot hold: lone surrogates, numbers beyond 2**53."""

LOST = (raised.ConnectionError, raised.TimeoutError, OSError, asyncio.IncompleteReadError)
"""The connection is gone, or of no use any more."""

_REASONS: tuple[tuple[str, type[Exception] | None, str], ...] = (
    (
        "OOM",
        raised.OutOfMemoryError,
        "the server has reached its maxmemory: prune what is over, or give it more; work goes on by itself",
    ),
    (
        "MISCONF",
        None,
        "the server cannot write to its disk: its log says why; give it room, and work goes on by itself",
    ),
    ("READONLY", raised.ReadOnlyError, "the server is a replica and takes no writes"),
    ("LOADING", raised.BusyLoadingError, "the server is loading its data, and answers once it has"),
    ("BUSY", None, "the server is busy with somebody's script; SCRIPT KILL ends one that does not end"),
    ("NOREPLICAS", None, "the server has too few replicas for its min-replicas-to-write"),
    ("MASTERDOWN", raised.MasterDownError, "the replica has lost its primary"),
    ("CLUSTERDOWN", raised.ClusterDownError, "the cluster is down"),
    ("TRYAGAIN", raised.TryAgainError, "the namespace's slot is on its way to another node"),
    (
        "NOPERM",
        raised.NoPermissionError,
        "the user lacks a permission it had when the journal was opened: see ACL GETUSER",
    ),
)
"""Codes, and the classes for which the driver takes the code away."""

_NO_DATABASE = ("DB index is out of range", "invalid DB index", "SELECT is not allowed in cluster mode")
"""What SELECT is refused with: a general code, so that the words decide."""

_UNUSABLE: tuple[tuple[type[Exception], str], ...] = (
    (raised.AuthenticationError, "the server refuses the user or the password"),
    (
        raised.NoPermissionError,
        "the user lacks a permission: scripts, keys and channels of the journal's prefix",
    ),
)


def port_error(error: Exception, ambiguous: bool = False) -> Exception:
    """What the caller of a verb is told, with `error` as its cause; the port's own errors as they are."""
    if isinstance(error, UNFIT):
        told: Exception = PayloadRefused("$", f"the journal cannot store it: {error}")
    elif isinstance(error, LOST) and not isinstance(error, raised.BusyLoadingError):
        told = JournalUnavailable(f"the connection failed ({_words(error)})", ambiguous)
    elif isinstance(error, raised.RedisError):
        told = JournalUnavailable(_reason(error), ambiguous)
    elif isinstance(error, JournalUnavailable):  # a new one for each caller
        told = JournalUnavailable(error.reason, error.ambiguous)
    else:
        return error
    told.__cause__ = error
    return told


def _reason(error: raised.RedisError) -> str:
    for code, kind, reason in _REASONS:
        if str(error).startswith(f"{code} ") or (kind is not None and isinstance(error, kind)):
            return f"{reason} ({_words(error)})"
    return f"the server refused the script ({_words(error)})"


def unusable(shown: str, error: Exception) -> IncompatibleJournal | JournalUnavailable:
    """The port's error for a server that could not be opened as a journal."""
    for kind, reason in _UNUSABLE:
        if isinstance(error, kind):
            return IncompatibleJournal(f"{shown}: {reason} ({_words(error)})")
    if str(error).startswith(_NO_DATABASE):
        return IncompatibleJournal(
            f"{shown}: the server has no such database ({_words(error)}): name another one in the URL, "
            "or raise the server's `databases`"
        )
    told = port_error(error)
    return told if isinstance(told, JournalUnavailable) else JournalUnavailable(_words(error))


def _words(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__
