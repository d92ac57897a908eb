"""Optional: a journal whose rows live where its users' rows do, and that shares transactions with them.

A backend that declares `Capability.TRANSACTIONS` gives handles that are `Transactional`. Two things become
possible: a start or a delivery that is written in a transaction of the caller's, and an activity whose
body's writes are committed together with its outcome. Which connections there are is the backend's
business; the engine hands objects through and names no driver.

Rules of such a backend:

- *A caller's transaction locks nothing that others need*: verbs in it insert rows and change none that are
  there; no run is locked or waited for. Another who asks for the very same run or dedupe id meanwhile is
  answered BUSY, and the rest of that batch stands.
- *Nothing of a caller's transaction is committed or rolled back here*, and its connection is left as it
  was. A refusal leaves the transaction usable.
- *Hints* of what such a transaction wrote are sent after it has ended, as far as the backend can tell.
- *A transaction for a body* holds no lock of the journal's before `finish`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, cast
from uuid import UUID

from continuum_core.journal.commit import Delivered, Finished, NewRun, Started, TaskFinish
from continuum_core.journal.declared import can
from continuum_core.journal.protocol import Capability
from continuum_core.journal.records import Delivery, Run

__all__ = ["Transaction", "Transactional", "Within", "transactional"]


class Within(Protocol):
    """Verbs in the transaction that a caller's connection is in, answered like those of the journal.

    They raise what those raise; JournalUnavailable also where another open transaction does the same for
    longer than the caller's patience. None answers BUSY.
    """

    async def start(self, runs: Sequence[NewRun]) -> list[Started]:
        """Create runs. No task of a first turn is born claimed: nobody sees it before the commit."""
        ...

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        """Insert deliveries."""
        ...

    async def load(self, runs: Sequence[UUID]) -> list[Run | None]:
        """Rows of runs, as this transaction sees them."""
        ...


class Transaction(Protocol):
    """A transaction for the body of one attempt, on a connection that nobody else uses.

    :ivar connection: what the body is handed.
    """

    @property
    def connection(self) -> Any: ...

    async def finish(self, ending: TaskFinish) -> Finished:
        """Write the outcome, and commit it with all that the body wrote, once.

        Unless it is FINISHED, everything is rolled back. Raises

        - JournalUnavailable for trouble that is not the body's, and after which the body is run again,
          however often (`ambiguous` where it may have been committed: a later finish of the same attempt
          tells, GONE);
        - PayloadRefused for what cannot be stored: then the transaction goes on, and may be finished with
          something else;
        - UsageError where the body has ended the transaction itself, and any other error where what it did
          in it is at fault: a constraint that is checked at the commit.
        """
        ...


class Transactional(Protocol):
    """What a handle has beside `Journal`, of a backend that declares `Capability.TRANSACTIONS`."""

    async def within(self, connection: object, patience: float, *, apart: bool = False) -> Within:
        """Verbs in the transaction of a connection that its caller opened.

        :param connection: a driver's, or that of a library above it.
        :param patience: seconds that a verb waits for another transaction which does the same.
        :param apart: the caller is on another thread than this loop: only a connection that blocks will do.

        Raises UsageError for what is no connection to this journal's own tables, or in no transaction.
        """
        ...

    def check_kind(self, kind: object, plain: bool) -> None:
        """Raise UsageError unless a body may be given a connection of this kind.

        :param kind: a class, as the body's parameter is annotated.
        :param plain: the body is a plain function, run on a thread.
        """
        ...

    def transaction(self, kind: object) -> AbstractAsyncContextManager[Transaction]:
        """A new transaction on a connection of this kind; leaving it rolls back what is not committed.

        Raises JournalUnavailable where there is none to be had.
        """
        ...


def transactional(journal: object) -> Transactional | None:
    """A journal's handle as one that shares transactions; None where it does not."""
    return cast(Transactional, journal) if can(journal, Capability.TRANSACTIONS) else None
