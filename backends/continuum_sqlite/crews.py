"""Child runs that begin with a commit, and what came of members of crews, written in its transaction."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from continuum_core.journal.commit import Member, NewRun
from continuum_sqlite import attributes, deliveries, rows
from continuum_sqlite.statements.crews import ADD_MEMBER, ALL_MEMBERS, MEMBERS
from continuum_sqlite.statements.runs import ADD_RUN, EXISTING_START
from continuum_sqlite.transaction import Transaction

__all__ = ["add_run", "all_members", "keep", "members", "start_children"]


def add_run(transaction: Transaction, new: NewRun) -> None:
    """The row of a new run."""
    transaction.execute(
        ADD_RUN,
        (
            transaction.ns,
            new.run_id.bytes,
            new.machine,
            new.fingerprint,
            new.key,
            new.digest,
            rows.ident(new.parent),
            rows.ident(new.root),
            transaction.now,
        ),
    )
    attributes.describe(transaction, new.run_id, new.attributes)


def start_children(transaction: Transaction, runs: Iterable[NewRun]) -> None:
    """Begin child runs; those that are there already are passed over."""
    for new in runs:
        name = (transaction.ns, new.run_id.bytes)
        if transaction.execute(EXISTING_START, name).fetchone() is None:
            add_run(transaction, new)
            deliveries.insert(transaction, new.delivery)


def keep(transaction: Transaction, run_id: UUID, members: Iterable[Member]) -> None:
    """Keep what came of members; what is there already stays."""
    transaction.executemany(
        ADD_MEMBER,
        [(transaction.ns, run_id.bytes, each.token, each.number, each.body) for each in members],
    )


def members(transaction: Transaction, run_id: UUID, token: int, after: int, limit: int) -> list[Member]:
    """The verb: a page of one crew's."""
    asked = (transaction.ns, run_id.bytes, token, after, max(limit, 0))
    return [Member(token, number, body) for number, body in transaction.execute(MEMBERS, asked)]


def all_members(transaction: Transaction, run_id: UUID) -> tuple[Member, ...]:
    """Of all crews of a run."""
    found = transaction.execute(ALL_MEMBERS, (transaction.ns, run_id.bytes))
    return tuple(Member(*row) for row in found)
