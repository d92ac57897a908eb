"""Hides fields from logs, the command line and exports: by name, and where an attrs class says so.

    CONTINUUM_REDACT='*card*, password, iban'

    @frozen
    class Payment:
        account: str = field(metadata=HIDDEN)

It changes nothing that is stored, and nothing that application code asks a client for.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from continuum_core.hooks import MachineFacts, Redactor, hookimpl
from continuum_redact.marks import HIDDEN, marked_names
from continuum_redact.names import Names

__all__ = ["HIDDEN", "HOOKS_VERSION", "LogFilter", "Redact", "machine_registered", "redactors"]

HOOKS_VERSION = 2

_SETTING = "CONTINUUM_REDACT"


class Redact:
    """The plugin, for programs that configure it themselves. Raises ValueError for a pattern that is none.

    :param names: patterns of field names, in either case: letters, digits, ``_`` and ``-``, ``*`` and ``?``.
    """

    HOOKS_VERSION = HOOKS_VERSION

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = Names(names)

    @hookimpl
    def redactors(self) -> Iterable[Redactor]:
        """One, which knows also the marked fields of machines that it is told of."""
        return [self.names]

    @hookimpl
    def machine_registered(self, machine: MachineFacts) -> None:
        """Hide the fields that are marked in the types of this machine."""
        self.names.add(marked_names(machine.types))


class LogFilter(logging.Filter):
    """For programs with a logging set-up of their own: ``handler.addFilter(LogFilter(redact))``."""

    def __init__(self, redact: Redact) -> None:
        super().__init__()
        self._names = redact.names

    def filter(self, record: logging.LogRecord) -> bool:
        """Hide in the message; what a formatter makes of an exception is the formatter's."""
        record.msg, record.args = self._names.text(record.getMessage()), None
        return True


_marks = Redact()  # of the machines of this process


@hookimpl
def machine_registered(machine: MachineFacts) -> None:
    """Marked fields are hidden whatever the environment says: who marks them wants that."""
    _marks.machine_registered(machine)


@hookimpl
def redactors() -> Iterable[Redactor]:
    """What hides marked fields, and what hides the names that the environment tells. Raises ValueError."""
    words = [word.strip() for word in os.environ.get(_SETTING, "").split(",")]
    return [_marks.names, Names(word for word in words if word)]
