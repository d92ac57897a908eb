"""What writes: the verbs that wait are carried out in one transaction.

Rule: no lingering. Whatever queued up while the last transaction was committed goes into the next one,
so the sync to disk is shared when there is much to do, and immediate when there is little. If one verb
of a transaction fails, all is rolled back and each is done by itself: its failure harms no other.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence

from continuum_core.errors import JournalMissing, JournalUnavailable
from continuum_core.journal.looking import missing
from continuum_core.journal.protocol import Limits
from continuum_sqlite.clock import HostClock
from continuum_sqlite.connection import begin, data_version, identity, open_writer
from continuum_sqlite.errors import broken, port_error, unavailable
from continuum_sqlite.hub import Hand, Hub
from continuum_sqlite.lane import Job
from continuum_sqlite.place import Place
from continuum_sqlite.statements.namespaces import ADD_NAMESPACE, NAMESPACE
from continuum_sqlite.transaction import Transaction

__all__ = ["Writer"]


class Writer:
    """Owns the connection that writes. Used by one thread.

    :ivar hand: the handle that it writes for.
    """

    def __init__(
        self,
        place: Place,
        namespace: str,
        limits: Limits,
        clock: HostClock,
        hub: Hub,
        *,
        makes: bool = True,
    ) -> None:
        self._makes = makes
        self._place = place
        self._namespace = namespace
        self._limits = limits
        self._clock = clock
        self._hub = hub
        self.hand = Hand()
        self._data_version = 0
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self.ns = 0
        self.schema = 0

    def open(self) -> None:
        """Connect, migrate, number the namespace. Raises IncompatibleJournal, JournalUnavailable."""
        self._connect(create=self._makes)
        self._file = identity(self._place.path)

    def close(self) -> None:
        """Give the connection up; the next verb opens another."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def carry_out(self, jobs: Sequence[Job]) -> None:
        self._notice_others()
        if jobs and all(job.peek is not None for job in jobs):
            jobs = self._peek(jobs)
        if jobs and not self._together(jobs):
            for job in jobs:
                job.answer = None
                self._together([job])

    # --- transactions

    def _peek(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Answer what reading alone can answer; the others."""
        try:
            connection = self._connected()
            for job in jobs:
                if job.peek is not None:
                    job.answer = job.peek(self._transaction(connection))
        except Exception:
            return jobs  # the ordinary way will tell what is wrong, and with which of them
        return [job for job in jobs if job.answer is None]

    def _together(self, jobs: Sequence[Job]) -> bool:
        """Carry out `jobs` in one transaction. False: one of several failed, and nothing was done."""
        try:
            connection = self._connected()
            begin(connection, self._place.busy_timeout)
        except (sqlite3.Error, JournalUnavailable) as error:
            self._failed(jobs, error)
            return True
        try:
            for job in jobs:
                job.answer = job.verb(self._transaction(connection))
        except Exception as error:  # of whatever kind: it is the verb's answer, and the thread goes on
            self._roll_back(connection)
            if len(jobs) > 1:
                return False
            self._failed(jobs, error)
            return True
        self.hand.begun += 1  # before: others may see the commit before this thread is told of it
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # the log may hold the commit although its sync failed: who asks again will be told
            self.close()
            self._failed(jobs, error, ambiguous=True)
            return True
        finally:
            self.hand.ended = self.hand.begun
        if any(job.tells for job in jobs):
            self._hub.changed(self.hand)
        return True

    def _notice_others(self) -> None:
        """Wake whoever waits where other connections have committed since this was last asked.

        A reading connection cannot tell these from this one. What cannot be asked now is told by what the
        verbs meet.
        """
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            before = self._data_version
            self._data_version = data_version(self._connection.execute)
            if self._data_version != before:
                self._hub.changed()

    def _transaction(self, connection: sqlite3.Connection) -> Transaction:
        return Transaction(
            connection.execute,
            connection.executemany,
            self.ns,
            self._namespace,
            self._clock.now(),
            self._limits,
        )

    def _failed(self, jobs: Sequence[Job], error: Exception, ambiguous: bool = False) -> None:
        if isinstance(error, sqlite3.Error) and broken(error):
            self.close()
        for job in jobs:
            job.error = port_error(error, ambiguous)

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:  # SQLite itself rolls back after some errors
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()

    # --- the connection

    def _connected(self) -> sqlite3.Connection:
        """The connection, a new one after an error. Raises JournalUnavailable."""
        if self._file != identity(self._place.path):
            self.close()
            raise JournalUnavailable(f"{self._place.path} was removed or replaced while it was open")
        if self._connection is not None:
            return self._connection
        try:
            return self._connect(create=False)
        except JournalUnavailable:
            raise
        except Exception as error:
            raise JournalUnavailable(f"the database cannot be opened again: {error}") from error

    def _connect(self, create: bool) -> sqlite3.Connection:
        connection, self.schema = open_writer(self._place, create, makes=self._makes)
        try:
            self.ns = self._number(connection)
            self._data_version = data_version(connection.execute)
        except sqlite3.Error as error:
            connection.close()
            raise unavailable(error) from error
        except JournalMissing:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _number(self, connection: sqlite3.Connection) -> int:
        """The number of the namespace, which its first opener gives it."""
        found = connection.execute(NAMESPACE, (self._namespace,)).fetchone()
        if found is None:
            if not self._makes:
                raise missing(self._place.path, self._namespace)
            begin(connection, self._place.busy_timeout)
            connection.execute(ADD_NAMESPACE, (self._namespace,))
            connection.execute("COMMIT")
            found = connection.execute(NAMESPACE, (self._namespace,)).fetchone()
        number: int = found[0]
        return number
