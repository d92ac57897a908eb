"""What a verb is given while its transaction runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Protocol

from attrs import frozen

from continuum_core.clock import Micros
from continuum_core.journal.protocol import Limits

__all__ = ["Execute", "ExecuteMany", "Transaction"]


class Execute(Protocol):
    """`sqlite3.Connection.execute`, as far as verbs use it: positional parameters only."""

    def __call__(self, sql: str, parameters: tuple[object, ...] = ..., /) -> sqlite3.Cursor: ...


ExecuteMany = Callable[[str, Iterable[tuple[object, ...]]], sqlite3.Cursor]


@frozen
class Transaction:
    """A verb's view of the store: one namespace, one moment.

    :ivar ns: number of the namespace; the first parameter of every statement.
    :ivar now: the journal's clock, read once for the whole verb.
    """

    execute: Execute
    executemany: ExecuteMany
    ns: int
    namespace: str
    now: Micros
    limits: Limits
