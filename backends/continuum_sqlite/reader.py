"""What reads: a connection of its own, so that looking never queues behind writing.

Rule: each verb reads one snapshot. It begins after whatever was acknowledged before the verb was asked.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence

from continuum_core.journal.protocol import Limits
from continuum_sqlite.clock import HostClock
from continuum_sqlite.connection import data_version, open_reader
from continuum_sqlite.errors import broken, port_error
from continuum_sqlite.lane import Job
from continuum_sqlite.place import Place
from continuum_sqlite.transaction import Transaction

__all__ = ["Reader"]


class Reader:
    """Owns the connection that reads. Used by one thread.

    :param ns: tells the namespace's number, which the writer found.
    """

    def __init__(
        self, place: Place, namespace: str, ns: Callable[[], int], limits: Limits, clock: HostClock
    ) -> None:
        self._place = place
        self._namespace = namespace
        self._ns = ns
        self._limits = limits
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._data_version = 0

    def open(self) -> None:
        self._connected()

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def carry_out(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            try:
                job.answer = self._read(job)
            except Exception as error:
                if isinstance(error, sqlite3.Error) and broken(error):
                    self.close()
                job.error = port_error(error)

    def changed(self, transaction: Transaction) -> bool:
        """Whether another connection, of whatever process, has committed since this was last asked."""
        before = self._data_version
        self._data_version = data_version(transaction.execute)
        return self._data_version != before

    def _read(self, job: Job) -> object:
        connection = self._connected()
        connection.execute("BEGIN")
        try:
            return job.verb(
                Transaction(
                    connection.execute,
                    connection.executemany,
                    self._ns(),
                    self._namespace,
                    self._clock.now(),
                    self._limits,
                )
            )
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_reader(self._place)
            self._data_version = data_version(self._connection.execute)
        return self._connection
