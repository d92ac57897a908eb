"""What is looked at: rows, histories, pages. Nothing here writes.

Rule: a page's cursor is its last row and a mark of the question it belongs to; with another question it
is refused rather than answered with gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from continuum_core.clock import Micros
from continuum_core.journal import cursor
from continuum_core.journal.commit import Inspection, Page, Query
from continuum_core.journal.records import Definition, Record, Run
from continuum_core.journal.replies import Asked, Replied, ReplyState
from continuum_sqlite import rows
from continuum_sqlite.places import places
from continuum_sqlite.statements.definitions import ADD_DEFINITION, DEFINITIONS
from continuum_sqlite.statements.deliveries import REPLIED
from continuum_sqlite.statements.reading import (
    CHILDREN,
    DEAD_OF_RUN,
    DELIVERIES_OF_RUN,
    RUNS,
    RUNS_IN_STATUS,
    TASKS_OF_RUN,
)
from continuum_sqlite.statements.runs import HISTORY, RUN
from continuum_sqlite.transaction import Transaction

__all__ = ["define", "definitions", "history", "inspect", "load", "page", "replies"]

_EARLIEST, _LATEST = -(2**63), 2**63 - 1
_FIRST_PAGE = (_LATEST, b"\xff" * 17)  # above every (created, run id)


def load(transaction: Transaction, runs: Sequence[UUID]) -> list[Run | None]:
    return [_load(transaction, run_id) for run_id in runs]


def _load(transaction: Transaction, run_id: UUID) -> Run | None:
    row = transaction.execute(RUN, (transaction.ns, run_id.bytes)).fetchone()
    return None if row is None else rows.run(row, transaction.namespace)


def inspect(transaction: Transaction, run_id: UUID) -> Inspection | None:
    run = _load(transaction, run_id)
    if run is None:
        return None
    name = (transaction.ns, run_id.bytes)
    tasks = tuple(rows.task(row) for row in transaction.execute(TASKS_OF_RUN, name))
    return Inspection(
        run,
        tuple(rows.delivery(row) for row in transaction.execute(DELIVERIES_OF_RUN, name)),
        tasks,
        tuple(rows.dead_letter(row) for row in transaction.execute(DEAD_OF_RUN, name)),
        places(transaction, tasks),
    )


def history(transaction: Transaction, run_id: UUID, after: int, limit: int) -> list[Record]:
    asked = (transaction.ns, run_id.bytes, after, max(limit, 0))
    return [rows.record(row) for row in transaction.execute(HISTORY, asked)]


def replies(transaction: Transaction, asked: Sequence[Asked]) -> list[Replied]:
    return [_replied(transaction, each) for each in asked]


def _replied(transaction: Transaction, asked: Asked) -> Replied:
    since = transaction.now - transaction.limits.dedupe_window
    name = (transaction.ns, asked.run_id.bytes, asked.dedupe, since)
    row = transaction.execute(REPLIED, name).fetchone()
    if row is None:
        return Replied(ReplyState.UNKNOWN)
    return Replied(ReplyState.PENDING) if row[0] is None else Replied(ReplyState.GONE, row[1])


def define(transaction: Transaction, definitions: Sequence[Definition]) -> None:
    for new in definitions:
        known = (transaction.ns, new.fingerprint, new.machine, new.version, new.body)
        transaction.execute(ADD_DEFINITION, known)


def definitions(transaction: Transaction) -> list[Definition]:
    return [rows.definition(row) for row in transaction.execute(DEFINITIONS, (transaction.ns,))]


# --- pages


def page(transaction: Transaction, query: Query, limit: int, after: tuple[Micros, bytes] | None) -> Page:
    """One page, from below the row that `after` names."""
    statement = CHILDREN if query.parent is not None else RUNS
    if query.parent is None and query.status is not None:
        statement = RUNS_IN_STATUS
    limit = max(limit, 0)
    asked = (
        transaction.ns,
        _EARLIEST if query.created_from is None else query.created_from,
        _LATEST if query.created_to is None else query.created_to,
        *(_FIRST_PAGE if after is None else after),
        limit + 1,
        query.machine,
        None if query.status is None else int(query.status),
        rows.ident(query.parent),
    )
    found = transaction.execute(statement, asked).fetchall()
    runs = tuple(rows.run(row, transaction.namespace) for row in found[:limit])
    more = len(found) > limit and runs
    return Page(runs, cursor.write(query, runs[-1]) if more else None)
